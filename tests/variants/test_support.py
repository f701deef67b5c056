"""Conformance where latents are no points of R^D, or a decoder gives several numbers for each value of x."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Binomial,
    Categorical,
    Dirichlet,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
)

from tests.judge.test_support import Bits, FairBits
from variants import DataSpec
from variants.core import VAE, Blocks, OneHots, is_discrete, is_real
from variants.core.support import state_count, states, where
from variants.parts import assemble
from variants.parts.discrete import RelaxedBits, bits
from variants.parts.likelihoods import Likelihood
from variants.parts.networks import Decoder, Encoder, mlp
from variants.parts.posteriors import Posterior
from variants.parts.priors import Prior
from variants.testing import ConformanceError, check_variant


def variant(**parts: Any) -> Any:
    def made(data: DataSpec, **options: Any) -> VAE:
        return assemble(data, **({"latent": 3} | parts | options))

    return made


def test_draws_of_a_countable_set_that_pretend_to_have_a_gradient_are_refused() -> None:
    """T3. Elbo's gradient is then biased, and nothing says so."""
    with pytest.raises(ConformanceError, match=r"'reparameterised samples': .*countable"):
        check_variant(variant(posterior=Bits, prior=FairBits))


def two_numbers(data: DataSpec, latent: int) -> tuple[Encoder, Decoder]:
    encoder, _ = mlp(data, latent, hidden=(16,))
    return encoder, Decoder(nn.Linear(latent, 2 * data.dims), (2, *data.shape))


class MeanAndScale(Likelihood):
    support = "real"

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        self.dims = len(data.shape)

    def forward(self, h: Tensor) -> Distribution:
        loc, log_scale = h.unbind(-self.dims - 1)
        return Independent(Normal(loc, (0.1 * log_scale).exp(), validate_args=False), self.dims, validate_args=False)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return self(h).log_prob(x)


def test_a_decoder_may_give_several_numbers_for_each_value() -> None:
    """T5."""
    check_variant(variant(network=two_numbers, likelihood=MeanAndScale))


class Relaxed(Posterior):
    """Bits when it is judged, their relaxation when it is trained."""

    detached = False

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.logits = nn.Linear(features, latent)

    def forward(self, h: Tensor) -> Distribution:
        logits = self.logits(h)
        base: Any = Bernoulli(logits=logits, validate_args=False)
        if self.training:
            return (Detached if self.detached else RelaxedBits)(logits, 0.7)
        return Independent(base, 1, validate_args=False)


class Detached(RelaxedBits):
    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return super().rsample(sample_shape).detach()


class RelaxedPrior(FairBits):
    def forward(self) -> Distribution:
        return RelaxedBits(self.logits, 0.7) if self.training else super().forward()


class DetachedInTraining(Relaxed):
    detached = True


def test_samples_are_reparameterised_where_they_are_trained_on() -> None:
    """T6. In evaluation mode this posterior is discrete, and owes no gradient."""
    check_variant(variant(posterior=Relaxed, prior=RelaxedPrior))
    with pytest.raises(ConformanceError, match=r"'reparameterised samples': z gives no gradient to posterior\.logits"):
        check_variant(variant(posterior=DetachedInTraining, prior=RelaxedPrior))


class Undeclared(Normal):
    support = property(lambda _: (_ for _ in ()).throw(NotImplementedError))  # type: ignore[assignment]


class Forgetful(Posterior):
    """Bits that do not say that their draws carry no gradient."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.logits = nn.Linear(features, latent)

    def forward(self, h: Tensor) -> Distribution:
        return Independent(Bernoulli(logits=self.logits(h), validate_args=False), 1, validate_args=False)


def test_a_missing_path_is_loud_in_training() -> None:
    model = variant(posterior=Forgetful, prior=FairBits)(DataSpec((4,), "binary", 40))
    with pytest.raises(NotImplementedError):
        model.loss(torch.ones(2, 4))
    assert model.eval().terms(torch.ones(2, 4), 3).z.shape == (3, 2, 3)


class NoSupport(Prior):
    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("loc", torch.zeros(latent), persistent=False)

    def forward(self) -> Distribution:
        return Independent(Undeclared(self.loc, torch.ones_like(self.loc), validate_args=False), 1, validate_args=False)


NORMAL = Independent(Normal(torch.zeros(2), 1.0), 1)
UNDECLARED = Independent(Undeclared(torch.zeros(2), torch.ones(2), validate_args=False), 1, validate_args=False)


@pytest.mark.parametrize(
    ("d", "real", "discrete", "words"),
    [
        (NORMAL, True, False, "Real()"),
        (MixtureSameFamily(Categorical(torch.ones(2)), NORMAL.expand((2,))), True, False, "Real()"),
        (Dirichlet(torch.ones(2)), False, False, "Simplex()"),
        (bits(torch.randn(2)), False, True, "Boolean()"),
        (Blocks([NORMAL, bits(torch.randn(2))]), False, True, "Cat()"),
        (UNDECLARED, False, False, "an undeclared support"),
    ],
)
def test_where_a_distribution_lives_is_what_its_innermost_support_says(
    d: Distribution, real: bool, discrete: bool, words: str
) -> None:
    assert (is_real(d), is_discrete(d), where(d)) == (real, discrete, words)


def test_a_density_has_no_points_to_count() -> None:
    assert state_count(NORMAL) is None


@pytest.mark.parametrize(
    "d",
    [
        bits(torch.randn(3)),
        bits(torch.randn(5)),
        Independent(Binomial(2, torch.rand(3)), 1),
        OneHots(torch.randn(3, 2)),
        OneHots(torch.randn(2, 5)),
    ],
)
def test_points_that_can_be_counted_are_as_many_as_are_said_and_have_all_of_the_mass(d: Distribution) -> None:
    points = states(d)
    assert points.shape == (state_count(d), d.event_shape.numel())
    assert len(points.unique(dim=0)) == len(points)
    torch.testing.assert_close(d.log_prob(points).exp().sum(), torch.ones(()))


def test_a_density_says_where_it_lives() -> None:
    with pytest.raises(ConformanceError, match=r"'support': p\(z\) does not declare its support"):
        check_variant(variant(prior=NoSupport))
