"""Each check of the conformance suite by itself: what it notices, also where another would have come first."""

import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence, register_kl

from tests.variants.test_testing import Wrong, normal, posterior, variant
from variants import DataSpec, testing
from variants.core import VAE, OneHots, Terms
from variants.parts.likelihoods import Gaussian
from variants.parts.networks import Decoder, Encoder, mlp
from variants.parts.objectives import Objective
from variants.parts.posteriors import Posterior
from variants.parts.priors import Prior
from variants.testing import CHECKS, SPECS, ConformanceError, bounds, check_variant, densities, form, gradients
from variants.testing import reproducible as again
from variants.testing.case import OTHER_SPECS, Case, global_state
from variants.testing.enumeration import tuples

REAL = SPECS[2]
KL: dict[type[Wrong], Callable[[Tensor], Tensor]] = {}


def stated(kl: Callable[[Tensor], Tensor], **methods: Any) -> type[Wrong]:
    """A diagonal Gaussian of a closed form that somebody made of the KL of each latent, `[B, D]`."""
    made: type[Wrong] = type("Stated", (Wrong,), methods)
    KL[made] = kl
    register_kl(made, Independent)(_stated)
    return made


def of_latents(q: Wrong, p: Independent) -> Tensor:
    return kl_divergence(q.right.base_dist, p.base_dist)


def _stated(q: Wrong, p: Independent) -> Tensor:
    return KL[type(q)](of_latents(q, p))


def nearly(q: Wrong, p: Independent, _: Tensor) -> Tensor:
    """The KL of each latent, but for a hundredth in all examples but the first."""
    return of_latents(q, p) + 0.01 * torch.eye(4, dtype=torch.float64)[:, 1:]


def by_mode(training: bool, **wrong: float) -> type[Posterior]:
    """A Gaussian that is wrong either in training or in evaluation."""

    class Made(posterior(Wrong)):  # type: ignore[misc]
        def forward(self, h: Tensor) -> Distribution:
            q = super().forward(h)
            return Wrong(q.mean, q.noise_scale, **wrong) if self.training is training else q

    return Made


class Nowhere(Independent):
    @property
    def support(self) -> Any:
        raise NotImplementedError


def undeclared(training: bool) -> type[Posterior]:
    class Made(posterior(normal)):  # type: ignore[misc]
        def forward(self, h: Tensor) -> Distribution:
            q = super().forward(h)
            return Nowhere(q.base_dist, 1, validate_args=False) if self.training is training else q

    return Made


def pathless(q: type[Distribution]) -> type[Posterior]:
    return type("Pathless", (posterior(q),), {"has_path": False})


def prior(make: Callable[[int], Distribution]) -> type[Prior]:
    class Made(Prior):
        def __init__(self, latent: int) -> None:
            super().__init__()
            self.latent = latent
            self.register_buffer("one", torch.ones(()), persistent=False)

        def forward(self) -> Distribution:
            return make(self.latent)

    return Made


def standard(*shape: int) -> Independent[Normal]:
    return normal(torch.zeros(shape), torch.ones(shape))


class EachLatent(Wrong):
    def log_prob(self, value: Tensor) -> Tensor:
        return self.right.base_dist.log_prob(value)


class OneDraw(Wrong):
    def rsample(self, _: Any = ()) -> Tensor:
        return self.right.rsample()


class DrawsApart(Wrong):
    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return super().rsample(sample_shape).unsqueeze(1)


class DrawsOfNothing(Wrong):
    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return super().rsample(sample_shape) * math.nan


class WithoutPath(Wrong):
    """No gradient by its draws, nor by its density."""

    has_rsample = False

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.right.sample(torch.Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value).detach()


class Remembers(Wrong):
    """Its own draw is a nat more likely than an equal point."""

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        self.drawn = super().rsample(sample_shape)
        return self.drawn

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + float(value is self.drawn)


class Flat(Wrong):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.detach()) + 0 * value.sum(-1)


class Heavy(OneHots):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + 0.01


class Light(OneHots):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) - 0.01


class Certain(OneHots):
    def sample(self, sample_shape: Any = ()) -> Tensor:
        return torch.eye(2).double()[0].expand(*sample_shape, *self.batch_shape, 2)


def one_hots(kind: type[OneHots]) -> dict[str, Any]:
    return {
        "posterior": posterior(lambda m, _: kind(m.unsqueeze(-2))),
        "prior": prior(lambda latent: OneHots(torch.zeros(1, latent))),
    }


class Moved(Independent):
    """Of another mean than its density has."""

    @property
    def mean(self) -> Tensor:
        return super().mean + 0.1


class Apart(Independent):
    @property
    def mean(self) -> Tensor:
        return super().mean.unsqueeze(-1)


def likelihood(make: Callable[[Tensor, Tensor], Distribution]) -> type[Gaussian]:
    """A right log-density, and another p(x|z) of mean and sigma beside it."""

    class Made(Gaussian):
        def forward(self, h: Tensor) -> Distribution:
            return make(h, self.sigma)

        def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
            return self._density(h, self.sigma).log_prob(x)

    return Made


class OfTheBatch(Gaussian):
    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return super().log_prob(h - h.mean(1, keepdim=True), x)


class Grey(Gaussian):
    support = "grey"  # type: ignore[assignment]


class NoDraws(Objective):
    samples = 0

    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - the common signature
        return terms.kl


class Body(nn.Module):
    """Of an encoder, with one fault."""

    passes = itertools.count()

    def __init__(self, body: nn.Module, fault: str) -> None:
        super().__init__()
        self.body, self.fault = body, fault
        self.spare = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        match self.fault:
            case "by precision":
                x = x + float(x.dtype == torch.float64)
            case "by pass":
                x = x + 0.01 * next(self.passes)
            case "grows" if not self.training:
                self.register_buffer("seen", x)
            case "weighs nothing":
                return self.body(x) + 0 * self.spare.sum()
            case "no slope":
                return self.body(x) + (0 * self.spare[0]).sqrt()
            case "detached":
                return self.body(x).detach()
        return self.body(x)


class Cut(nn.Module):
    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, z: Tensor) -> Tensor:
        return self.decoder(z.detach())


def network(fault: str) -> Any:
    def made(data: DataSpec, latent: int) -> tuple[Encoder, nn.Module]:
        encoder, decoder = mlp(data, latent, hidden=(16,))
        encoder.body = Body(encoder.body, fault)
        return encoder, Cut(decoder) if fault == "cut" else decoder

    return made


Fault = tuple[Callable[[Case], None], dict[str, Any], str]
NO_PATH: dict[str, Any] = {"objective": "vimco"}
FAULTS: dict[str, Fault] = {
    "no draws": (form.parts, {"objective": NoDraws}, "objective.samples is 0, should be at least 1"),
    "a support of no name": (
        form.parts,
        {"likelihood": Grey},
        "likelihood.support is 'grey', should be one of binary",
    ),
    "no support in training": (form.support, {"posterior": undeclared(True)}, r"q\(z\|x\) does not declare"),
    "no support in evaluation": (form.support, {"posterior": undeclared(False)}, r"q\(z\|x\) does not declare"),
    "numbers beside each other": (form.shapes, {"posterior": posterior(Normal)}, r"q has event shape \(\), should be"),
    "q of one example": (
        form.shapes,
        {"posterior": posterior(lambda m, s: normal(m[:1], s[:1]))},
        r"the batch of q has shape \(1,\), should be \(4,\)",
    ),
    "p of other latents": (
        form.shapes,
        {"prior": prior(lambda latent: standard(latent + 1))},
        r"the event of the prior has shape \(4,\), should be \(3,\)",
    ),
    "p of many": (
        form.shapes,
        {"prior": prior(lambda latent: standard(5, latent))},
        r"the prior has batch shape \(5,\), should be \(\)",
    ),
    "one draw": (form.shapes, {"posterior": posterior(OneDraw)}, r"z has shape \(4, 3\), should be \(3, 4, 3\)"),
    "log q of each latent": (
        form.shapes,
        {"posterior": posterior(EachLatent)},
        r"log_qz_x has shape \(3, 4, 3\), should be \(3, 4\)",
    ),
    "log p of each latent": (
        form.shapes,
        {"prior": prior(lambda latent: EachLatent(torch.zeros(latent), torch.ones(latent)))},
        r"log_pz has shape \(3, 4, 3\), should be \(3, 4\)",
    ),
    "KL of each latent": (
        form.shapes,
        {"posterior": posterior(stated(lambda kl: kl))},
        r"kl has shape \(4, 3\), should be \(4,\)",
    ),
    "reconstructions apart": (
        form.shapes,
        {"likelihood": likelihood(lambda m, s: Apart(Normal(m, s), 1))},
        r"reconstruct\(x\) has shape \(4, 8, 1\), should be \(4, 8\)",
    ),
    "samples apart": (
        form.shapes,
        {"prior": prior(lambda latent: DrawsApart(torch.zeros(latent), torch.ones(latent)))},
        r"sample\(5\) has shape \(5, 1, 8\), should be \(5, 8\)",
    ),
    "values that are no event": (
        form.shapes,
        {"likelihood": likelihood(Normal)},
        r"the batch of p\(x\|z\) has shape \(6, 8\), should be \(6,\)",
    ),
    "NaN in training": (form.finite_terms, {"posterior": by_mode(True, constant=math.nan)}, "12 of 12 values of log_q"),
    "inf in evaluation": (form.finite_terms, {"posterior": by_mode(False, constant=math.inf)}, "values of log_qz_x"),
    "samples that are no numbers": (
        form.finite_terms,
        {"prior": prior(lambda latent: DrawsOfNothing(torch.zeros(latent), torch.ones(latent)))},
        "40 of 40 values of sample are not finite",
    ),
    "two precisions, two models": (
        form.float64,
        {"network": network("by precision")},
        "reconstructions in float32 and in float64 differ by up to",
    ),
    "noise of its own": (again.same_seed, {"network": network("by pass")}, "z differs between two passes with one"),
    "a buffer that comes with use": (
        again.evaluation_mode,
        {"network": network("grows")},
        "encoder.body.seen appears or disappears after a pass in evaluation mode",
    ),
    "probabilities of more than all": (densities.densities, one_hots(Heavy), r"density q\(z\|x\) sums to 1.01005 over"),
    "probabilities of less than all": (densities.densities, one_hots(Light), r"density q\(z\|x\) sums to 0.99005 over"),
    "draws of one point": (densities.densities, one_hots(Certain), r"samples of q\(z\|x\) are .* standard errors off"),
    "another mean than that of the density": (
        densities.densities,
        {"likelihood": likelihood(lambda m, s: Moved(Normal(m, s), 1))},
        r"the mean of p\(x\|z\) and that of its density differ by up to 0\.1",
    ),
    "draws wider than p(x|z)": (
        densities.densities,
        {"likelihood": likelihood(lambda m, s: normal(m, 1.5 * s.expand(m.shape)))},
        r"samples of p\(x\|z\) are .* standard errors off its density",
    ),
    "KL twice as large": (
        bounds.kl,
        {"posterior": posterior(stated(lambda kl: 2 * kl.sum(-1)))},
        r"the closed-form KL is .* and E_q\[log q - log p\] is",
    ),
    "KL by draws below zero": (
        bounds.kl,
        {"posterior": posterior(lambda m, s: Wrong(m, s, constant=-1.0))},
        "the Monte Carlo KL is -.*, should be >= 0",
    ),
    "parts in a row": (
        bounds.kl,
        {"posterior": posterior(stated(lambda kl: kl.sum(-1), kl_parts=lambda q, p, _: of_latents(q, p).sum(-1)))},
        r"kl_parts has shape \(4,\), should be \(4, G\)",
    ),
    "parts on the wrong axis": (
        bounds.kl,
        {"posterior": posterior(stated(lambda kl: kl.sum(-1), kl_parts=lambda q, p, _: of_latents(q, p).mT))},
        r"kl_parts has shape \(3, 4\), should be \(4, G\)",
    ),
    "parts of more than all": (
        bounds.kl,
        {"posterior": posterior(stated(lambda kl: kl.sum(-1), kl_parts=nearly))},
        "the parts of the KL add up to 0.01 nats more or less than it",
    ),
    "KL a nat too small": (
        bounds.bounds,
        {"posterior": posterior(stated(lambda kl: kl.sum(-1) - 1))},
        "the ELBO exceeds IWAE-8 by 0",
    ),
    "p(x|z) of the batch": (
        bounds.batch_mates,
        {"likelihood": OfTheBatch},
        r"log p\(x\|z\) of an example changes by .* with its batch mates",
    ),
    "a width of the batch": (
        bounds.batch_mates,
        {"posterior": posterior(lambda m, s: Wrong(m, s * s.mean(0)))},
        r"log q\(z\|x\) of an example changes by .* with its batch mates",
    ),
    "a weight of no effect": (
        gradients.gradients,
        {"network": network("weighs nothing")},
        "the gradient of the parameter encoder.body.spare is zero on every batch",
    ),
    "a slope that is no number": (
        gradients.gradients,
        {"network": network("no slope")},
        "the gradient of the parameter encoder.body.spare is not finite",
    ),
    "a path that is denied": (
        gradients.reparameterised_samples,
        NO_PATH | {"posterior": pathless(Wrong)},
        "z carries gradients, and posterior.has_path is false",
    ),
    "neither path nor score": (
        gradients.reparameterised_samples,
        NO_PATH | {"posterior": pathless(WithoutPath)},
        r"log q\(z\|x\) gives no gradient to posterior.heads.loc.weight, posterior.heads.loc.bias",
    ),
    "z cut off": (
        gradients.reparameterised_samples,
        {"network": network("cut")},
        r"log p\(x\|z\) gives no gradient to the posterior: is z detached\?",
    ),
    "features cut off": (
        gradients.reparameterised_samples,
        {"network": network("detached")},
        r"log p\(x\|z\) gives no gradient to the encoder: is z detached\?",
    ),
    "own draws more likely": (
        gradients.path_derivative,
        {"posterior": posterior(Remembers)},
        r"log q\(z\|x\) of its own sample and of an equal point differ by 1 nats",
    ),
    "a density without a slope": (
        gradients.path_derivative,
        {"posterior": posterior(Flat)},
        r"the derivative of log q\(z\|x\) in z is off by",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_check_notices_by_itself(fault: str) -> None:
    check, parts, message = FAULTS[fault]
    case = Case("mine", variant(**parts), REAL)
    with pytest.raises(ConformanceError, match=message) as caught:
        case.run(check)
    said = str(caught.value)
    assert said.startswith(f"variant 'mine' on real data (8,), check {check.__name__.replace('_', ' ')!r}: ")
    assert "\n" not in said


@pytest.mark.parametrize("data", [*SPECS, *OTHER_SPECS], ids=lambda data: data.kind)
def test_examples_are_of_their_kind(data: DataSpec) -> None:
    case = Case("any", variant(), data, {"latent": 7})
    x = torch.cat([case.examples(seed, torch.float64) for seed in range(20)])
    assert x.shape == (80, *data.shape)
    assert x.dtype == torch.float64
    assert torch.equal(case.examples(3), case.batch(3).x)
    assert not torch.equal(case.examples(3), case.examples(4))
    values = x.unique()
    if data.kind == "real":
        assert x.mean().abs() < 0.2
        assert x.std().item() == pytest.approx(1, abs=0.2)
    elif data.kind == "unit":
        assert 0 < values[0] < 0.1
        assert 0.9 < values[-1] < 1
        assert len(values) == x.numel()
    elif data.kind == "counts":
        assert torch.equal(values, values.round())
        assert values[:4].tolist() == [0, 1, 2, 3]
    else:
        assert values.tolist() == torch.linspace(0, 1, data.levels or 2).double().tolist()
    c = case.batch().c
    assert (None if c is None else c.tolist()) == ([0, 1, 2, 0] if data.classes else None)
    small = case.small()
    told = (small.data.dims, small.data.kind, small.data.levels, small.data.classes, small.data.pairs, small.overrides)
    assert told == (2, data.kind, data.levels, data.classes, data.pairs, {"latent": 7})


def test_what_a_check_raises_is_one_line_of_whose_it_is() -> None:
    def _of_two_words(_: Case) -> None:
        raise ZeroDivisionError("by\nnought")

    with pytest.raises(ConformanceError) as caught:
        Case("mine", variant(), REAL).run(_of_two_words)
    said = "variant 'mine' on real data (8,), check 'of two words': raised ZeroDivisionError: by nought"
    assert str(caught.value) == said


@contextmanager
def validating() -> Iterator[None]:
    before = Distribution._validate_args
    Distribution.set_default_validate_args(not before)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (torch.no_grad(), "the gradient mode was True and is now False"),
        (torch.device("meta"), "the default device was cpu and is now meta"),
        (validating(), f"the validation of distributions was {Distribution._validate_args} and is now"),
    ],
)
def test_what_is_global_is_left_alone(state: AbstractContextManager[Any], words: str) -> None:
    case, before = Case("mine", variant(), REAL), global_state()
    case.unchanged(before)
    with state, pytest.raises(ConformanceError, match=f"check 'global state': {words}"):
        case.unchanged(before)


def test_gradients_are_put_on_again() -> None:
    def wrong(data: DataSpec) -> VAE:
        torch.set_grad_enabled(False)
        return variant()(data)

    with pytest.raises(ConformanceError, match="the gradient mode was True"):
        check_variant(wrong)
    assert torch.is_grad_enabled()


def test_every_check_is_run() -> None:
    rooms = (form, again, bounds, densities, gradients)
    found = {
        function
        for room in rooms
        for function in vars(room).values()
        if inspect.isfunction(function) and function.__module__ == room.__name__
        if [p.annotation for p in inspect.signature(function).parameters.values()] == [Case]
        if inspect.signature(function).return_annotation is None
    }
    assert set(CHECKS) == found
    assert len(CHECKS) == len(found)


@pytest.mark.parametrize(
    ("refused", "tried"),
    [((), SPECS), (SPECS[:1], SPECS[1:]), (SPECS, OTHER_SPECS), ((*SPECS, *OTHER_SPECS[:2]), OTHER_SPECS[2:])],
)
def test_data_of_a_special_kind_are_for_variants_of_no_other(
    monkeypatch: pytest.MonkeyPatch, refused: tuple[DataSpec, ...], tried: tuple[DataSpec, ...]
) -> None:
    seen: list[tuple[DataSpec, dict[str, Any]]] = []

    def note(case: Case) -> None:
        seen.append((case.data, case.overrides))

    def picky(data: DataSpec, **_: Any) -> Any:
        if data in refused:
            raise ValueError

    monkeypatch.setattr(testing, "CHECKS", (note, note))
    check_variant(picky, latent=2)
    assert seen == [(data, {"latent": 2}) for data in tried for _ in range(2)]


def test_points_that_cannot_be_listed_are_refused() -> None:
    with pytest.raises(ValueError, match="the points of Independent cannot be listed"):
        tuples(variant()(REAL), torch.zeros(1, 8), 2)
