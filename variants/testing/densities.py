"""Densities: total mass one, and samples that follow them."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Distribution

from variants.core.support import draw, is_real, state_count, states
from variants.core.vae import VAE
from variants.data_spec import Kind
from variants.testing.case import DRAWS, STANDARD_ERRORS, Case, hold, seeded

Grid = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def densities(case: Case) -> None:
    """q(z|x), p(z) and p(x|z) in two dimensions, integrated or summed over their support."""
    model = next(tiny(case), None)
    if model is None:
        return
    data = case.small().data
    x = case.small().batch(dtype=torch.float64)[:1]
    with torch.no_grad(), seeded(11):
        q, p = model.infer(x), model.prior()
        if model.has_bound:
            for name, density in (("q(z|x)", q), ("p(z)", p)):
                _check_latents(name, density)
        # The z is drawn: at z = 0 a decoder without biases would be flat.
        z = draw(q, [1])
        h = model.decoder(z + 0.5 if is_real(q) else z)
        px = model.likelihood(h)
        shape = data.shape

        def log_prob(x: Tensor) -> Tensor:
            points = x.reshape(-1, *shape)
            log_px: Tensor = model.likelihood.log_prob(h.expand(1, len(points), *h.shape[2:]), points)
            return log_px

        draws = px.sample(torch.Size([DRAWS]))
        mean = _check_density("p(x|z)", _grid(model.likelihood.support, data.levels), log_prob, draws)
        off = (px.mean.flatten() - mean).abs().max().item()
        hold(off < 1e-3, f"the mean of p(x|z) and that of its density differ by up to {off:.4g}")


def _check_latents(name: str, density: Distribution) -> None:
    """A density on R^2, or probabilities of latents that can be listed."""
    draws = density.sample(torch.Size([DRAWS]))
    count = state_count(density)
    if is_real(density) and density.event_shape == (2,):
        _check_density(name, _grid("real"), density.log_prob, draws)
    elif count is not None and count <= DRAWS:
        points = states(density).to(torch.float64)
        # A posterior has one for each of its B = 1 examples.
        lead = (len(points), *[1] * len(density.batch_shape), -1)
        _check_density(
            name, lambda *_: (points, torch.ones_like(points[:, 0])), lambda z: density.log_prob(z.reshape(lead)), draws
        )


def tiny(case: Case) -> Iterator[VAE]:
    """The variant on two data dimensions, with two latents where it takes that keyword."""
    for overrides in ({**case.overrides, "latent": 2}, case.overrides):
        try:
            model = replace(case.small(), overrides=overrides).model(dtype=torch.float64)
        except (TypeError, ValueError):
            continue
        yield model.eval()


def _check_density(name: str, grid: Grid, log_prob: Callable[[Tensor], Tensor], draws: Tensor) -> Tensor:
    """Total mass one, and samples `[N, ...]` that follow the density; returns the density's mean `[d]`."""
    draws = draws.flatten(1)
    centre, spread = draws.mean(0), draws.std(0).clamp_min(1e-12)
    points, weights = grid(centre, spread)
    mass = weights * log_prob(points).flatten().exp()
    total = mass.sum().item()
    hold(abs(total - 1) < 2e-3, f"the density {name} sums to {total:.6g} over its support, should be 1")

    def features(points: Tensor) -> Tensor:
        """Bounded, so that heavy tails do no harm: t_i and t_i t_j with t = tanh of the standardised point."""
        t = ((points - centre) / spread).tanh()
        return torch.cat([t, (t[:, :, None] * t[:, None, :]).flatten(1)], dim=1)

    expected, seen = mass @ features(points), features(draws)
    off = (seen.mean(0) - expected).abs()
    z = (off / (seen.std(0) / math.sqrt(len(draws)) + 1e-4)).max().item()
    hold(z <= STANDARD_ERRORS, f"samples of {name} are {z:.1f} standard errors off its density")
    return mass @ points


def _grid(support: Kind, levels: int | None = None) -> Grid:
    """Points `[N, d]` and weights `[N]` of a sum over {0, 1}^d, levels or counts, or of a product rule over [0, 1]^d or
    R^d, for draws of that mean and spread `[d]`."""

    def grid(centre: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        axes = []
        for middle, scale in zip(centre.tolist(), spread.tolist(), strict=True):
            if support == "binary":
                axes.append((torch.tensor([0.0, 1.0], dtype=torch.float64), torch.ones(2, dtype=torch.float64)))
            elif support == "levels":
                assert levels is not None
                axes.append((torch.linspace(0, 1, levels, dtype=torch.float64), torch.ones(levels).double()))
            elif support == "counts":
                # Of counts around one, as those of a model at its start are, these are all but one in 1e9.
                axes.append((torch.arange(200, dtype=torch.float64), torch.ones(200, dtype=torch.float64)))
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

    return grid
