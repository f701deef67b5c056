"""Latents z = (u, y): Gaussian ones, then one class as a one-hot vector. Labels tell it, or it is given.

q(z|x) = q(y|x) q(u|x, y)        of a model of x, p(z) = N(0, I) p(y)
q(u|x, c), y = c                 of a model of x given c, p(x|c) with p(u) = N(0, I)
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints, register_kl
from torch.nn import functional

from variants.core.blocks import Blocks
from variants.core.kl import closed_form_kl
from variants.core.one_hots import OneHots
from variants.data_spec import DataSpec
from variants.parts import discrete_priors
from variants.parts.checks import at_least, sizes
from variants.parts.discrete import joint_sizes
from variants.parts.layers import Conditional
from variants.parts.posteriors import Posterior

Within = Callable[[Tensor], Independent[Normal]]


class OfClasses(Distribution):
    """q(u, y) = q(y) q(u|y) over z = (u, y).

    Args:
        classes: q(y), one variable of C classes, batch shape `[B]`.
        within: one-hot y `[..., B, C]` -> q(u|y), batch shape `[..., B]`, event shape `[D - C]`.
    """

    arg_constraints = {}  # noqa: RUF012 - torch reads this class attribute

    def __init__(self, classes: OneHots, within: Within) -> None:
        self.classes, self.within = classes, within
        self.count = classes.event_shape.numel()
        # q(u|y) of every y, `[C, B]`.
        self.each = within(classes.enumerate_support())
        self.sizes = [self.each.event_shape.numel(), self.count]
        super().__init__(classes.batch_shape, torch.Size([sum(self.sizes)]), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Of u and of y, side by side."""
        return constraints.cat([constraints.real_vector, self.classes.support], dim=-1, lengths=self.sizes)  # type: ignore[no-untyped-call, no-any-return]

    def _mean_of(self, of_each: Tensor) -> Tensor:
        """Over q(y), of what has a value for every y: `[C, B, ...]` -> `[B, ...]`."""
        q = self.classes.mean.T
        return (q.reshape(*q.shape, *[1] * (of_each.dim() - 2)) * of_each).sum(0)

    @property
    def mean(self) -> Tensor:
        """`[B, D]`."""
        return torch.cat([self._mean_of(self.each.mean), self.classes.mean], dim=-1)

    @property
    def variance(self) -> Tensor:
        """`[B, D]`."""
        mean = self._mean_of(self.each.mean)
        spread = self._mean_of(self.each.variance + (self.each.mean - mean).square())
        return torch.cat([spread, self.classes.variance], dim=-1)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """`[*sample_shape, B, D]`."""
        y = self.classes.sample(sample_shape)
        return torch.cat([self.within(y).sample(), y], dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """At `value` `[..., B, D]`, `[..., B]` in nats."""
        u, y = torch.split(value, self.sizes, dim=-1)
        log_q: Tensor = self.classes.log_prob(y) + self.within(y).log_prob(u)  # type: ignore[no-untyped-call]
        return log_q

    def kl_parts(self, p: Distribution, z: Tensor | None = None) -> Tensor | None:  # noqa: ARG002 - a closed form
        """Of u given y on average, and of y: `[B, 2]`."""
        if not isinstance(p, Blocks) or p.sizes != self.sizes:
            return None
        within, classes = closed_form_kl(self.each, p.blocks[0]), closed_form_kl(self.classes, p.blocks[1])
        assert within is not None
        assert classes is not None
        return torch.stack([self._mean_of(within), classes], dim=-1)


@register_kl(OfClasses, Blocks)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_of_classes(q: OfClasses, p: Blocks) -> Tensor:
    parts = q.kl_parts(p)
    if parts is None:
        raise NotImplementedError
    return parts.sum(-1)


class Given(OneHots):
    """A class that is given: it has probability one whatever it is, and nothing of it is counted.

    As a posterior its draws are the class, as a prior, where there is none to draw for, any with equal chances.
    """

    # It is a constant, whose draws are no steps of a discrete choice.
    support = constraints.simplex

    def log_prob(self, value: Tensor) -> Tensor:
        """0 at one-hot points `[..., C]`, `[...]`."""
        return torch.zeros_like(value[..., 0])

    def kl_by_variable(self, p: OneHots) -> Tensor:  # noqa: ARG002 - there is nothing to tell
        """0, `[*batch, 1]`."""
        return torch.zeros_like(self.logits[..., 0])

    def entropy(self) -> Tensor:
        """0, `[*batch]`."""
        return torch.zeros_like(self.logits[..., 0, 0])


def sizes_of(latent: int, classes: int | None, data: DataSpec | None) -> tuple[int, int]:
    """(D - C, C), where C is by default the data's number of classes; ValueError for fewer than that."""
    known = None if data is None else data.classes
    if classes is not None and at_least("classes", classes, 2) < (known or 2):
        raise ValueError(f"the data's labels are of {known} classes: classes={known} or more, not {classes}")
    return joint_sizes(latent, classes or known)


class Labelled(Posterior):
    """q(z|x) = q(y|x) N(u; mu(x, y), diag(sigma(x, y)^2)): a class, and Gaussian latents given it.

    Source: Kingma, Rezende, Mohamed and Welling 2014, arXiv:1406.5298, section 2 (M2).

    Args:
        features: H, width of the encoder's output.
        latent: D, of which C are the class.
        classes: C; None for those of the data's labels, or where there are none half of D, at most ten.
        class_hidden: widths of the layers from features and class to mu and log sigma.
        data_spec: of the data.
    """

    has_path = False
    has_marginals = False
    latents = "labelled"

    def __init__(
        self,
        features: int,
        latent: int,
        *,
        classes: int | None = None,
        class_hidden: tuple[int, ...] = (100,),
        data_spec: DataSpec | None = None,
    ) -> None:
        super().__init__()
        size, self.classes = sizes_of(latent, classes, data_spec)
        self.logits = nn.Linear(features, self.classes)
        self.within = Conditional(self.classes, size, sizes("class_hidden", class_hidden), "relu", context=features)

    def forward(self, h: Tensor) -> Distribution:
        """Features `[B, H]` -> q(z|x), batch shape `[B]`, event shape `[D]`."""
        return OfClasses(OneHots(self.logits(h).unsqueeze(-2)), self.within.given(h))


class GivenClass(Posterior):
    """q(u|x, c) = N(mu(x, c), diag(sigma(x, c)^2)) of a model of p(x|c); c is the last C latents.

    Source: Sohn, Lee and Yan 2015, Learning structured output representation using deep conditional generative models,
    NeurIPS, eq. 4, with a prior that is the same for every c.

    Args:
        features: H, width of the encoder's output.
        latent: D, of which C are the class.
        class_hidden: widths of the layers from features and class to mu and log sigma.
        data_spec: of data with labels.

    Raises:
        ValueError: the data have no labels.
    """

    conditional = True
    has_marginals = False
    latents = "given class"

    def __init__(
        self, features: int, latent: int, *, class_hidden: tuple[int, ...] = (100,), data_spec: DataSpec | None = None
    ) -> None:
        super().__init__()
        if data_spec is None or data_spec.classes is None:
            raise ValueError("p(x|c) needs data whose labels are classes, such as mnist: these have none")
        size, self.classes = sizes_of(latent, None, data_spec)
        self.within = Conditional(self.classes, size, sizes("class_hidden", class_hidden), "relu", context=features)

    def forward(self, h: Tensor, c: Tensor | None = None) -> Distribution:
        """Features `[B, H]` and classes `[B]` -> q(z|x, c), batch shape `[B]`, event shape `[D]`.

        Raises:
            ValueError: no classes.
        """
        if c is None:
            raise ValueError("a model of p(x|c) needs the class of each x: give a variants.core.Batch of both")
        y = functional.one_hot(c, self.classes).to(h.dtype)
        return Blocks([self.within.given(h)(y), Given(y.log().unsqueeze(-2))])


class LabelledPrior(discrete_priors.Joint):
    """p(z) = N(u; 0, I) times equal probabilities of C classes, of which the labels tell.

    Args:
        latent: D.
        classes: C; None for those of the data's labels, or where there are none half of D, at most ten.
        data_spec: of the data.
    """

    latents = "labelled"

    def __init__(self, latent: int, *, classes: int | None = None, data_spec: DataSpec | None = None) -> None:
        super().__init__(latent, classes=sizes_of(latent, classes, data_spec)[1])


class GivenClassPrior(LabelledPrior):
    """p(u) = N(0, I), the same for every c; a draw without a c is given one, all with equal chances.

    Args:
        latent: D.
        data_spec: of data with labels.
    """

    latents = "given class"

    def __init__(self, latent: int, *, data_spec: DataSpec | None = None) -> None:
        super().__init__(latent, data_spec=data_spec)

    def forward(self) -> Distribution:
        """p(u) and any c, batch shape `[]`, event shape `[D]`."""
        return Blocks([self.continuous(), Given(self.discrete.logits)])
