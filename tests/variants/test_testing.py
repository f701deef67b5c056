"""The conformance suite must fail where it should: each variant here makes one mistake that somebody once shipped."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, constraints, register_kl

from variants import DataSpec, RegistryError, get
from variants.core import VAE, Terms
from variants.parts import assemble
from variants.parts.likelihoods import Bernoulli, Gaussian, Likelihood
from variants.parts.networks import Decoder, Encoder, mlp
from variants.parts.objectives import Objective
from variants.parts.posteriors import Posterior
from variants.parts.priors import Prior
from variants.testing import ConformanceError, check_variant


class Heads(nn.Module):
    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.loc = nn.Linear(features, latent)
        self.log_scale = nn.Linear(features, latent)


def normal(loc: Tensor, scale: Tensor) -> Independent:
    return Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)


class Wrong(Distribution):
    """A diagonal Gaussian with one fault, which subclasses make by way of these three numbers."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 - torch reads this class attribute
    has_rsample = True
    support = constraints.real_vector

    def __init__(self, loc: Tensor, scale: Tensor, *, constant: float = 0.0, stretch: float = 1.0) -> None:
        self.right, self.constant, self.stretch = normal(loc, scale), constant, stretch
        self.noise_scale = scale * stretch
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.right.mean

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return normal(self.right.mean, self.noise_scale).rsample(torch.Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return self.right.log_prob(value) + self.constant


class FlippedKl(Wrong):
    pass


class MeanKl(Wrong):
    pass


@register_kl(FlippedKl, Independent)
def _flipped(q: FlippedKl, p: Independent) -> Tensor:
    return -torch.distributions.kl_divergence(q.right, p)


@register_kl(MeanKl, Independent)
def _mean(q: MeanKl, p: Independent) -> Tensor:
    return torch.distributions.kl_divergence(q.right, p) / q.event_shape[0]


def posterior(make: Any) -> type[Posterior]:
    class Made(Posterior):
        def __init__(self, features: int, latent: int) -> None:
            super().__init__()
            self.heads = Heads(features, latent)

        def forward(self, h: Tensor) -> Distribution:
            return make(self.heads.loc(h), self.heads.log_scale(h).exp())

    return Made


class DetachedSampling(Wrong):
    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.right.sample(torch.Size(sample_shape))


class DetachedScale(Wrong):
    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return normal(self.mean, self.noise_scale.detach()).rsample(torch.Size(sample_shape))


class NanDensity(Wrong):
    def log_prob(self, value: Tensor) -> Tensor:
        return self.right.log_prob(value) * math.nan


class MeanOfPixels(Bernoulli):
    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return super().log_prob(h, x) / x[0].numel()


class AnyDataBernoulli(Likelihood):
    support = "binary"

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        self.inner = Bernoulli(DataSpec(data.shape, "binary"))

    def forward(self, h: Tensor) -> Distribution:
        return self.inner(h)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return self.inner.log_prob(h, x)


class SquaredError(Gaussian):
    """The squared error as if it were a log-likelihood: no 1/2, no constant."""

    def __init__(self, data: DataSpec) -> None:
        super().__init__(data, sigma=1.0)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return -(self._mean(h) - x).square().flatten(2).sum(-1)


class Unnormalised(Likelihood):
    """Both faces of the likelihood agree, and neither has the Gaussian's constant."""

    support = "real"

    def __init__(self, data: DataSpec) -> None:
        super().__init__()
        self.dims = len(data.shape)

    def forward(self, h: Tensor) -> Distribution:
        class NoConstant(Normal):
            def log_prob(self, value: Tensor) -> Tensor:
                return -0.5 * ((value - self.loc) / self.scale).square()

        return Independent(NoConstant(h, torch.ones_like(h)), self.dims)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return self(h).log_prob(x)


class SumOverTheBatch(Bernoulli):
    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return super().log_prob(h, x).sum(-1)


class ScalarLoss(Objective):
    def forward(self, terms: Terms, epoch: float) -> Tensor:  # noqa: ARG002 - the common signature
        return (terms.kl - terms.log_px_z.mean(0)).mean()


class WidePrior(Prior):
    """Samples and density disagree."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(latent), persistent=False)

    def forward(self) -> Distribution:
        return Wrong(torch.zeros_like(self.one), self.one, stretch=2.0)


class Network(nn.Module):
    """An encoder body with one fault of behaviour."""

    def __init__(self, body: nn.Module, fault: str) -> None:
        super().__init__()
        self.body, self.fault = body, fault
        self.register_buffer("calls", torch.zeros(()), persistent=fault != "forgotten")
        if fault == "unused":
            self.spare = nn.Linear(2, 2)
        if fault == "unseeded":
            with torch.no_grad():
                generator = torch.Generator()
                generator.seed()
                # Small: a large shift of every weight overflows, and then another check speaks first.
                next(body.parameters()).add_(0.01 * torch.randn((), generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        match self.fault:
            case "batch":
                x = x - x.mean(0)
            case "counts":
                self.calls += 1
            case "forgotten":
                if self.training:
                    self.calls += 1
                x = x + self.calls
            case "float32":
                return self.body(x).float()
            case "dtype":
                torch.set_default_dtype(torch.float64)
            case "threads":
                torch.set_num_threads(torch.get_num_threads() + 1)
            case "gradients":
                torch.set_grad_enabled(True)
                x = x.detach()
            case "leaves evaluation":
                self.train()
            case "detached":
                return self.body(x).detach()
        return self.body(x)


def faulty_network(fault: str) -> Any:
    def network(data: DataSpec, latent: int) -> tuple[Encoder, Decoder]:
        encoder, decoder = mlp(data, latent, hidden=(16,))
        encoder.body = Network(encoder.body, fault)
        return encoder, decoder

    return network


class FlatDecoder(nn.Module):
    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, z: Tensor) -> Tensor:
        return self.decoder(z).flatten(0, -len(self.decoder.shape) - 1)


def flat_network(data: DataSpec, latent: int) -> tuple[Encoder, FlatDecoder]:
    encoder, decoder = mlp(data, latent, hidden=(16,))
    return encoder, FlatDecoder(decoder)


def variant(**parts: Any) -> Any:
    def wrong(data: DataSpec, **options: Any) -> VAE:
        return assemble(data, **({"latent": 3} | parts | options))

    return wrong


MISTAKES: dict[str, tuple[Any, str]] = {
    "KL with the wrong sign": (variant(posterior=posterior(FlippedKl)), "'kl': the closed-form KL is -"),
    "KL averaged over latents": (variant(posterior=posterior(MeanKl)), "'kl': the closed-form KL is .* and E_q"),
    "log q without its constant": (
        variant(posterior=posterior(lambda m, s: Wrong(m, s, constant=1.0))),
        r"'densities': the density q\(z\|x\) sums to 2.71",
    ),
    "log q with the wrong sign": (
        variant(posterior=posterior(type("Flipped", (Wrong,), {"log_prob": lambda s, z: -s.right.log_prob(z)}))),
        r"'densities': the density q\(z\|x\)",
    ),
    "samples wider than q": (
        variant(posterior=posterior(lambda m, s: Wrong(m, s, stretch=1.5))),
        r"'densities': samples of q\(z\|x\) are .* standard errors off",
    ),
    "samples wider than the prior": (variant(prior=WidePrior), r"'densities': samples of p\(z\) are"),
    "detached posterior": (
        variant(posterior=posterior(DetachedSampling)),
        "'reparameterised samples': z gives no gradient to posterior.heads.loc.weight",
    ),
    "detached scale": (
        variant(posterior=posterior(DetachedScale)),
        "gives no gradient to posterior.heads.log_scale.weight",
    ),
    "NaN": (variant(posterior=posterior(NanDensity)), "'finite terms': .* values of log_qz_x are not finite"),
    "mean over pixels": (variant(likelihood=MeanOfPixels), "'one likelihood': log_px_z and the log density"),
    "squared error as likelihood": (variant(likelihood=SquaredError), "'one likelihood'"),
    "likelihood without its constant": (
        variant(likelihood=Unnormalised),
        r"'densities': the density p\(x\|z\) sums to 6.28",
    ),
    "Bernoulli on grey pixels": (
        variant(likelihood=AnyDataBernoulli),
        "'parts': a likelihood with binary support is no density on unit data",
    ),
    "sum over the batch": (
        variant(likelihood=SumOverTheBatch),
        r"'shapes': log_px_z has shape \(3,\), should be \(3, 4\)",
    ),
    "scalar loss": (variant(objective=ScalarLoss), r"'shapes': the loss has shape \(\), should be \(4,\)"),
    "flattened decoder": (variant(network=flat_network), "'shapes': "),
    "unused parameter": (variant(network=faulty_network("unused")), "'gradients': the loss does not reach .*spare"),
    "detached encoder": (variant(network=faulty_network("detached")), "'gradients': the loss does not reach .*encoder"),
    "unseeded weights": (variant(network=faulty_network("unseeded")), "'same seed': encoder.* differs"),
    "batch statistics": (variant(network=faulty_network("batch")), "'batch mates': in evaluation mode"),
    "state that is not saved": (
        variant(network=faulty_network("forgotten")),
        "'save and load': .* differs after saving",
    ),
    "evaluation that counts": (
        variant(network=faulty_network("counts")),
        "'evaluation mode': encoder.body.calls differs",
    ),
    "evaluation that ends": (variant(network=faulty_network("leaves evaluation")), "leaves it"),
    "float32 only": (variant(network=faulty_network("float32")), "'float64'"),
    "default dtype": (variant(network=faulty_network("dtype")), "'global state': the default dtype was torch.float32"),
    "threads": (variant(network=faulty_network("threads")), "'global state': the number of threads was"),
    "no model": (lambda _: nn.Linear(2, 2), "'parts': the recipe returns a Linear"),
    "broken recipe": (lambda _: 1 / 0, "'build': ZeroDivisionError"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_is_caught(mistake: str) -> None:
    recipe, message = MISTAKES[mistake]
    threads = torch.get_num_threads()
    with pytest.raises(ConformanceError, match=message) as caught:
        check_variant(recipe)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"variant '{recipe.__name__}' on ")
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_num_threads() == threads


def test_a_sound_variant_of_the_same_make_passes() -> None:
    """The scaffolding above is not what fails."""
    check_variant(variant(posterior=posterior(Wrong), network=faulty_network("none")))


def test_conformance_errors_are_assertion_errors() -> None:
    assert issubclass(ConformanceError, AssertionError)


def test_a_variant_that_refuses_everything_fails() -> None:
    def picky(data: DataSpec) -> VAE:
        raise ValueError(f"not {data.kind}")

    with pytest.raises(ConformanceError, match=r"variant 'picky' accepts no data: .*not binary.*not unit.*not real"):
        check_variant(picky)


def test_names_recipes_and_functions_are_taken() -> None:
    for recipe in ("vanilla", get("vanilla"), get("vanilla").load()):
        with pytest.raises(ConformanceError, match=r"variant 'vanilla' .* no chosen part takes the option 'bta'"):
            check_variant(recipe, bta=1)
    with pytest.raises(RegistryError, match="did you mean 'vanilla'"):
        check_variant("vanila")
