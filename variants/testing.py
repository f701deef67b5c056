"""The conformance suite: what every variant must satisfy. Our tests loop it over the registry; plugins' tests call it.

    from variants.testing import check_variant

    def test_mine():
        check_variant("mine")

The numeric checks run in float64 on models as they are initialised, with fixed seeds: they pass or fail the same way
every time. What is estimated by Monte Carlo may be off by at most `STANDARD_ERRORS` standard errors.
"""

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from variants.core.bounds import elbo, iwae
from variants.core.terms import Terms
from variants.core.vae import VAE
from variants.data_spec import DataSpec, Kind
from variants.registry import Recipe, get

STANDARD_ERRORS = 4.0

# An odd-sized grey image, a colour image and a vector: what a shape mistake trips over.
SPECS = (DataSpec((1, 5, 7), "binary", 40), DataSpec((3, 6, 6), "unit", 40), DataSpec((8,), "real", 40))
# Two dimensions: few enough to integrate a density over all of them.
TINY = {
    "binary": DataSpec((1, 1, 2), "binary", 40),
    "unit": DataSpec((1, 1, 2), "unit", 40),
    "real": DataSpec((2,), "real", 40),
}
# Data kinds on which a likelihood of each support is a density.
FITS: dict[Kind, tuple[Kind, ...]] = {
    "binary": ("binary",),
    "unit": ("binary", "unit"),
    "real": ("binary", "unit", "real"),
}

BATCH = 4
DRAWS = 1024
# Past the end of any warm-up, so that no term of a loss has weight zero.
LATE = 1e9


class ConformanceError(AssertionError):
    """A variant breaks a rule. One line: the variant, the data, the check, and the numbers."""


def check_variant(recipe: str | Recipe | Callable[..., VAE], **overrides: Any) -> None:
    """Hold a variant to every rule of the benchmark, on several small data specs.

    A spec that the recipe refuses with a ValueError (images only, say) is passed over; at least one must be accepted.

    Args:
        recipe: a registered name, a `Recipe`, or the recipe function itself.
        **overrides: keywords of the recipe and of its parts, as for `variants.build`.

    Raises:
        ConformanceError: an AssertionError; the first rule that is broken, in one line.
        RegistryError: an unknown or unavailable name.
    """
    if isinstance(recipe, str):
        recipe = get(recipe)
    name = recipe.name if isinstance(recipe, Recipe) else getattr(recipe, "__name__", repr(recipe))
    function = recipe.load() if isinstance(recipe, Recipe) else recipe
    before, refused = _global_state(), []
    try:
        with torch.random.fork_rng(devices=[]):
            for data in SPECS:
                case = _Case(name, function, data, overrides)
                try:
                    case.model()
                except ValueError as error:
                    refused.append(f"{data.kind} {data.shape}: {_one_line(error)}")
                    continue
                except Exception as error:
                    raise case.error("build", _one_line(error)) from error
                for check in CHECKS:
                    try:
                        case.run(check)
                    finally:  # first of all, for a changed state can be the cause of any other failure
                        case.unchanged(before)
    finally:
        torch.set_default_dtype(before["default dtype"])
        torch.set_num_threads(before["number of threads"])
        torch.set_grad_enabled(before["gradient mode"])
    if len(refused) == len(SPECS):
        raise ConformanceError(f"variant {name!r} accepts no data: {'; '.join(refused)}")


@dataclass(frozen=True)
class _Case:
    """One variant on one data spec."""

    name: str
    recipe: Callable[..., VAE]
    data: DataSpec
    overrides: dict[str, Any] = field(default_factory=dict)

    def model(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> VAE:
        """A fresh model, in training mode."""
        with _seed(seed):
            model = self.recipe(self.data, **self.overrides)
        return model.to(dtype) if isinstance(model, VAE) else model

    def batch(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Random data of the right kind, `[B, *shape]`."""
        generator = torch.Generator().manual_seed(seed)
        shape = (BATCH, *self.data.shape)
        if self.data.kind == "real":
            return torch.randn(shape, generator=generator, dtype=dtype)
        x = torch.rand(shape, generator=generator, dtype=dtype)
        return x.round() if self.data.kind == "binary" else x

    @cached_property
    def judged(self) -> Terms:
        """What the judge sees of a fresh model: evaluation mode, float64, many samples."""
        with torch.no_grad(), _seed(3):
            return self.model(dtype=torch.float64).eval().terms(self.batch(dtype=torch.float64), DRAWS)

    def run(self, check: "Callable[[_Case], None]") -> None:
        """One check; whatever it raises becomes a one-line ConformanceError."""
        title = check.__name__.lstrip("_").replace("_", " ")
        try:
            check(self)
        except _Broken as broken:
            raise self.error(title, str(broken)) from None
        except Exception as error:
            raise self.error(title, f"raised {_one_line(error)}") from error

    def unchanged(self, before: dict[str, Any]) -> None:
        """ConformanceError if torch's global state is not what it was."""
        for what, now in _global_state().items():
            if now != before[what]:
                raise self.error("global state", f"the {what} was {before[what]} and is now {now}")

    def error(self, check: str, message: str) -> ConformanceError:
        """The one line."""
        return ConformanceError(
            f"variant {self.name!r} on {self.data.kind} data {self.data.shape}, check {check!r}: {message}"
        )


class _Broken(Exception):
    """A rule that does not hold; the case adds whose it is."""


def _hold(condition: bool | Tensor, message: str) -> None:
    if not condition:
        raise _Broken(message)


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _global_state() -> dict[str, Any]:
    return {
        "default dtype": torch.get_default_dtype(),
        "number of threads": torch.get_num_threads(),
        "gradient mode": torch.is_grad_enabled(),
        "default device": str(torch.get_default_device()),
        "validation of distributions": Distribution._validate_args,
    }


@contextmanager
def _seed(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _numbers(model: VAE, x: Tensor, seed: int = 7) -> dict[str, Tensor]:
    """Everything that a model yields for a batch, with one seed for the sampling."""
    with torch.no_grad(), _seed(seed):
        terms = model.terms(x, 3)
        numbers = {"z": terms.z, "log_px_z": terms.log_px_z}
        if model.has_bound:
            numbers |= {"log_pz": terms.log_pz, "log_qz_x": terms.log_qz_x, "kl": terms.kl}
            numbers |= {"elbo": elbo(terms), "iwae": iwae(terms)}
        numbers |= {"loss": model.loss(x, LATE), "reconstruct": model.reconstruct(x), "sample": model.sample(5)}
        return numbers


# ---------------------------------------------------------------------------------------------------------------------
# What a model is


def _parts(case: _Case) -> None:
    model = case.model()
    _hold(isinstance(model, VAE), f"the recipe returns a {type(model).__name__}, should be a variants.core.VAE")
    samples = model.objective.samples
    _hold(isinstance(samples, int) and samples >= 1, f"objective.samples is {samples!r}, should be at least 1")
    support = model.likelihood.support
    _hold(support in FITS, f"likelihood.support is {support!r}, should be one of {', '.join(FITS)}")
    _hold(
        case.data.kind in FITS[support], f"a likelihood with {support} support is no density on {case.data.kind} data"
    )


def _shapes(case: _Case) -> None:
    model, x, shape = case.model().eval(), case.batch(), case.data.shape

    def same(name: str, got: torch.Size, expected: tuple[int, ...]) -> None:
        _hold(got == expected, f"{name} has shape {tuple(got)}, should be {expected}")

    with torch.no_grad(), _seed(2):
        terms, p = model.terms(x, 3), model.prior()
        _hold(len(terms.q.event_shape) == 1, f"q has event shape {tuple(terms.q.event_shape)}, should be (D,)")
        latent = terms.q.event_shape[0]
        same("the batch of q", terms.q.batch_shape, (BATCH,))
        same("the event of the prior", p.event_shape, (latent,))
        _hold(p.batch_shape in ((), (BATCH,)), f"the prior has batch shape {tuple(p.batch_shape)}, should be ()")
        same("z", terms.z.shape, (3, BATCH, latent))
        same("log_px_z", terms.log_px_z.shape, (3, BATCH))
        same("log_pz", terms.log_pz.shape, (3, BATCH))
        if model.has_bound:
            same("log_qz_x", terms.log_qz_x.shape, (3, BATCH))
            same("kl", terms.kl.shape, (BATCH,))
            same("the ELBO", elbo(terms).shape, (BATCH,))
            same("the IWAE bound", iwae(terms).shape, (BATCH,))
        same("the loss", model.loss(x, LATE).shape, (BATCH,))
        same("reconstruct(x)", model.reconstruct(x).shape, (BATCH, *shape))
        same("sample(5)", model.sample(5).shape, (5, *shape))
        for lead in ((6,), (3, BATCH)):
            px = model.decode(torch.zeros(*lead, latent))
            same("the batch of p(x|z)", px.batch_shape, lead)
            same("the event of p(x|z)", px.event_shape, shape)


def _finite_terms(case: _Case) -> None:
    for seed in range(3):
        for model in (case.model().eval(), case.model().train()):
            for name, value in _numbers(model, case.batch(seed)).items():
                bad = int((~value.isfinite()).sum())
                _hold(bad == 0, f"{bad} of {value.numel()} values of {name} are not finite")


def _float64(case: _Case) -> None:
    exact = _numbers(case.model(dtype=torch.float64).eval(), case.batch(dtype=torch.float64))
    for name, value in exact.items():
        _hold(value.dtype == torch.float64, f"{name} of a float64 model has dtype {value.dtype}")
    single = case.model().eval().reconstruct(case.batch(dtype=torch.float64).float())
    error = (single - exact["reconstruct"]).abs().max().item()
    _hold(error < 1e-3, f"reconstructions in float32 and in float64 differ by up to {error:.2g}")


# ---------------------------------------------------------------------------------------------------------------------
# The numbers


def _kl(case: _Case) -> None:
    if not case.model().has_bound:
        return
    terms = case.judged
    ratio = terms.log_qz_x - terms.log_pz
    estimate, error = ratio.mean(0), ratio.std(0) / math.sqrt(DRAWS)
    for kl, mc, se in zip(terms.kl.tolist(), estimate.tolist(), error.tolist(), strict=True):
        if terms.kl_method == "closed_form":
            _hold(kl >= -1e-6, f"the closed-form KL is {kl:.6g}, should be at least 0")
            off = abs(kl - mc)
            _hold(
                off <= STANDARD_ERRORS * se + 1e-6,
                f"the closed-form KL is {kl:.6g} and E_q[log q - log p] is {mc:.6g} +- {se:.2g}",
            )
        else:
            _hold(kl >= -STANDARD_ERRORS * se - 1e-6, f"the Monte Carlo KL is {kl:.6g} +- {se:.2g}, should be >= 0")


def _path_derivative(case: _Case) -> None:
    """Sticking the landing and IWAE-DReG hold for any posterior whose log-density is a smooth function of the point."""
    model, x = case.model(dtype=torch.float64).eval(), case.batch(dtype=torch.float64)
    if not model.has_bound:
        return
    with _seed(29):
        terms = model.terms(x, 3)
        step = 1e-5 * torch.randn_like(terms.z)
    off = (terms.log_qz_x_stopped - terms.log_qz_x).abs().max().item()
    _hold(off < 1e-6, f"log q(z|x) of its own sample and of an equal point differ by {off:.4g} nats")
    (slope,) = torch.autograd.grad(terms.log_qz_x_stopped.sum(), terms.z)
    with torch.no_grad():
        seen = (terms.q.log_prob(terms.z + step) - terms.q.log_prob(terms.z - step)) / 2e-5
        expected = (slope * step).sum(-1) / 1e-5
    off = ((seen - expected).abs() / (1 + seen.abs())).max().item()
    _hold(off < 1e-4, f"the derivative of log q(z|x) in z is off by {off:.2g} of itself: is z detached in log_prob?")


def _bounds(case: _Case) -> None:
    if not case.model().has_bound:
        return
    terms = case.judged

    def groups(k: int) -> Tensor:
        """IWAE-k of each group of k samples, `[DRAWS / k, B]`."""
        return terms.log_weights.reshape(-1, k, BATCH).logsumexp(1) - math.log(k)

    # The same log-weights reduced ever later: Jensen's inequality, no Monte Carlo error.
    ladder = [
        ("mean log w", terms.log_weights.mean(0)),
        ("IWAE-8", groups(8).mean(0)),
        ("IWAE-64", groups(64).mean(0)),
        (f"IWAE-{DRAWS}", iwae(terms)),
    ]
    for (low_name, low), (high_name, high) in pairwise(ladder):
        gap = (low - high).max().item()
        _hold(gap <= 1e-8, f"{low_name} exceeds {high_name} of the same log-weights by {gap:.4g} nats")
    # The ELBO with its KL as the variant gives it: equal samples, so that only the KL's own noise is left.
    values = terms.log_px_z.reshape(-1, 8, BATCH).mean(1) - terms.kl - groups(8)
    for gap, se in zip(values.mean(0).tolist(), (values.std(0) / math.sqrt(len(values))).tolist(), strict=True):
        _hold(gap <= STANDARD_ERRORS * se + 1e-6, f"the ELBO exceeds IWAE-8 by {gap:.4g} +- {se:.2g} nats")


def _one_likelihood(case: _Case) -> None:
    model, x = case.model(dtype=torch.float64).eval(), case.batch(dtype=torch.float64)
    with torch.no_grad(), _seed(5):
        terms = model.terms(x, 3)
        off = (model.decode(terms.z).log_prob(x) - terms.log_px_z).abs().max().item()
    _hold(off < 1e-6, f"log_px_z and the log density of decode(z) differ by up to {off:.4g} nats")


def _densities(case: _Case) -> None:
    model = next(_tiny(case), None)
    if model is None:
        return
    x = _Case(case.name, case.recipe, TINY[case.data.kind]).batch(dtype=torch.float64)[:1]
    with torch.no_grad(), _seed(11):
        q, p = model.infer(x), model.prior()
        if model.has_bound and q.event_shape == (2,):
            for name, density in (("q(z|x)", q), ("p(z)", p)):
                if _on_real_line(density):
                    _check_density(name, "real", density.log_prob, density.sample(torch.Size([DRAWS])))
        # A drawn z, not z = 0, where a decoder without biases would be flat.
        h = model.decoder(q.rsample(torch.Size([1])) + 0.5)
        px = model.likelihood(h)
        shape = TINY[case.data.kind].shape

        def log_prob(x: Tensor) -> Tensor:
            points = x.reshape(-1, *shape)
            log_px: Tensor = model.likelihood.log_prob(h.expand(1, len(points), *shape), points)
            return log_px

        draws = px.sample(torch.Size([DRAWS]))
        mean = _check_density("p(x|z)", model.likelihood.support, log_prob, draws)
        off = (px.mean.flatten() - mean).abs().max().item()
        _hold(off < 1e-3, f"the mean of p(x|z) and that of its density differ by up to {off:.4g}")


def _tiny(case: _Case) -> Iterator[VAE]:
    """The variant on two data dimensions, with two latents where it takes that keyword."""
    for overrides in ({**case.overrides, "latent": 2}, case.overrides):
        try:
            model = _Case(case.name, case.recipe, TINY[case.data.kind], overrides).model(dtype=torch.float64)
        except (TypeError, ValueError):
            continue
        yield model.eval()


def _on_real_line(density: Distribution) -> bool:
    try:
        support = density.support
    except NotImplementedError:
        return True
    return getattr(support, "base_constraint", support) is torch.distributions.constraints.real


def _check_density(name: str, support: Kind, log_prob: Callable[[Tensor], Tensor], draws: Tensor) -> Tensor:
    """Total mass one, and samples `[N, ...]` that follow the density; returns the density's mean `[d]`."""
    draws = draws.flatten(1)
    centre, spread = draws.mean(0), draws.std(0).clamp_min(1e-12)
    points, weights = _grid(support, centre, spread)
    mass = weights * log_prob(points).flatten().exp()
    total = mass.sum().item()
    _hold(abs(total - 1) < 2e-3, f"the density {name} sums to {total:.6g} over its {support} support, should be 1")

    def features(points: Tensor) -> Tensor:
        """Bounded, so that heavy tails do no harm: t_i and t_i t_j with t = tanh of the standardised point."""
        t = ((points - centre) / spread).tanh()
        return torch.cat([t, (t[:, :, None] * t[:, None, :]).flatten(1)], dim=1)

    expected, seen = mass @ features(points), features(draws)
    off = (seen.mean(0) - expected).abs()
    z = (off / (seen.std(0) / math.sqrt(len(draws)) + 1e-4)).max().item()
    _hold(z <= STANDARD_ERRORS, f"samples of {name} are {z:.1f} standard errors off its density")
    return mass @ points


def _grid(support: Kind, centre: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Points `[N, d]` and weights `[N]` of a sum over {0, 1}^d, or of a product rule over [0, 1]^d or R^d."""
    axes = []
    for middle, scale in zip(centre.tolist(), spread.tolist(), strict=True):
        if support == "binary":
            axes.append((torch.tensor([0.0, 1.0], dtype=torch.float64), torch.ones(2, dtype=torch.float64)))
        elif support == "unit":
            # Double-exponential rule: it also takes densities that are infinite at the ends.
            t = torch.linspace(-3, 3, 301, dtype=torch.float64)
            x = torch.sigmoid(math.pi * t.sinh())
            axes.append((x, x * (1 - x) * math.pi * t.cosh() * (t[1] - t[0])))
        else:
            t = torch.linspace(-7, 7, 401, dtype=torch.float64)
            axes.append((middle + scale * t.sinh(), scale * t.cosh() * (t[1] - t[0])))
    points = torch.cartesian_prod(*(x for x, _ in axes)).reshape(-1, len(axes))
    weights = torch.cartesian_prod(*(w for _, w in axes)).reshape(-1, len(axes)).prod(-1)
    return points, weights


def _batch_mates(case: _Case) -> None:
    model, x = case.model(dtype=torch.float64).eval(), case.batch(dtype=torch.float64)
    with torch.no_grad(), _seed(13):
        together, alone = model.infer(x), model.infer(x[:1])
        z = together.rsample(torch.Size([3]))
        pairs = [
            ("the mean of q(z|x)", together.mean[:1], alone.mean),
            (
                "log p(x|z)",
                model.likelihood.log_prob(model.decoder(z), x)[:, :1],
                model.likelihood.log_prob(model.decoder(z[:, :1]), x[:1]),
            ),
        ]
        if model.has_bound:
            pairs.append(("log q(z|x)", together.log_prob(z)[:, :1], alone.log_prob(z[:, :1])))
    for name, a, b in pairs:
        off = (a - b).abs().max().item()
        _hold(off < 1e-8, f"in evaluation mode {name} of an example changes by {off:.4g} with its batch mates")


# ---------------------------------------------------------------------------------------------------------------------
# Learning


def _gradients(case: _Case) -> None:
    model = case.model().train()
    with _seed(17):
        for seed in range(3):
            model.loss(case.batch(seed), LATE).mean().backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or parameter.numel() == 0:
            continue
        _hold(parameter.grad is not None, f"the loss does not reach the parameter {name}")
        assert parameter.grad is not None
        _hold(bool(parameter.grad.isfinite().all()), f"the gradient of the parameter {name} is not finite")
        _hold(bool(parameter.grad.any()), f"the gradient of the parameter {name} is zero on every batch")


def _reparameterised_samples(case: _Case) -> None:
    model = case.model().eval()
    with _seed(19):
        terms = model.terms(case.batch(), 2)
        # Every latent: a decoder need not see all of them.
        z = (terms.z * torch.randn_like(terms.z)).sum()
    log_px_z = terms.log_px_z.sum()

    def missed(value: Tensor, module: torch.nn.Module) -> tuple[list[str], bool]:
        """The parameters to which a value gives no gradient, and whether that is all of them."""
        named = {name: p for name, p in module.named_parameters() if p.requires_grad and p.numel()}
        gradients: list[Tensor | None] = [None] * len(named)
        if named and value.requires_grad:
            gradients = list(torch.autograd.grad(value, list(named.values()), retain_graph=True, allow_unused=True))
        names = [name for name, g in zip(named, gradients, strict=True) if g is None or not g.any()]
        return names, bool(named) and len(names) == len(named)

    names, none_hit = missed(z, model.posterior)
    # Without a density the posterior may hold parameters that z does not move, such as a code book's.
    if model.has_bound or none_hit:
        _hold(not names, f"z gives no gradient to posterior.{', posterior.'.join(names)}: is it detached?")
    for name in ("posterior", "encoder"):
        _hold(
            not missed(log_px_z, getattr(model, name))[1], f"log p(x|z) gives no gradient to the {name}: is z detached?"
        )


# ---------------------------------------------------------------------------------------------------------------------
# Reproducibility


def _equal(a: dict[str, Tensor], b: dict[str, Tensor], when: str) -> None:
    _hold(a.keys() == b.keys(), f"{', '.join(sorted(a.keys() ^ b.keys()))} appears or disappears {when}")
    for name in a:
        _hold(torch.equal(a[name], b[name]), f"{name} differs {when}")


def _tensors(model: VAE) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in (*model.named_parameters(), *model.named_buffers())}


def _same_seed(case: _Case) -> None:
    first, second = case.model(seed=23), case.model(seed=23)
    _equal(_tensors(first), _tensors(second), "between two models built with one seed")
    _equal(_numbers(first, case.batch()), _numbers(second, case.batch()), "between two passes with one seed")


def _save_and_load(case: _Case) -> None:
    model, fresh, file = case.model(seed=1).train(), case.model(seed=2), io.BytesIO()
    _numbers(model, case.batch(1))  # a training pass, so that running statistics move
    torch.save(model.state_dict(), file)
    file.seek(0)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    _equal(
        _numbers(model.eval(), case.batch()),
        _numbers(fresh.eval(), case.batch()),
        "after saving and loading into a fresh model",
    )


def _evaluation_mode(case: _Case) -> None:
    model = case.model().eval()
    before = _tensors(model)
    _numbers(model, case.batch())
    _equal(before, _tensors(model), "after a pass in evaluation mode")
    _hold(not any(module.training for module in model.modules()), "a pass in evaluation mode leaves it")


CHECKS: tuple[Callable[[_Case], None], ...] = (
    _parts,
    _shapes,
    _finite_terms,
    _same_seed,
    _save_and_load,
    _evaluation_mode,
    _float64,
    _one_likelihood,
    _densities,
    _kl,
    _bounds,
    _batch_mates,
    _gradients,
    _reparameterised_samples,
    _path_derivative,
)
