"""The judge. Every reported figure is computed here from `Terms` with beta = 1, in nats per example, as a mean over all
examples of a split that the model was not trained on. It never sees a training loss."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import seeds
from bench.data.batches import Data
from bench.suite import Measure
from variants.core import VAE, elbo, iwae

# Examples per evaluation batch, and numbers per decoded tensor: 2^21 float32 are 8 MiB, which stays near the caches.
EVAL_BATCH = 250
CHUNK_NUMBERS = 2**21
# Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, section 5.2: a unit is active if its posterior mean varies
# over the data by more than this.
ACTIVE_VARIANCE = 0.01

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Scores:
    """Per-example estimates, each `[N]` float64 on the CPU. `elbo` and `kl` are None for a model without a bound."""

    recon: Tensor
    kl: Tensor | None
    elbo: Tensor | None
    kl_method: str | None

    def means(self) -> dict[str, float | None]:
        """Means over the N examples: `elbo_nats`, `recon_nats`, `kl_nats`."""
        return {
            "elbo_nats": _mean(self.elbo),
            "recon_nats": _mean(self.recon),
            "kl_nats": _mean(self.kl),
        }


def _mean(values: Tensor | None) -> float | None:
    return None if values is None else values.mean().item()


def _collect(parts: list[Tensor]) -> Tensor | None:
    return torch.cat(parts).cpu().double() if parts else None


@torch.no_grad()
def scores(model: VAE, batches: Batches, *, samples: int, seed: int) -> Scores:
    """ELBO (beta = 1), reconstruction E_q log p(x|z) and KL of every example.

    Args:
        model: left in evaluation mode.
        batches: pairs of x `[B, *shape]` and labels.
        samples: posterior draws per example.
        seed: the run's seed; draws come from its evaluation stream.
    """
    model.eval()
    recon: list[Tensor] = []
    kl: list[Tensor] = []
    bound: list[Tensor] = []
    method = None
    with seeds.stream(seed, "evaluate", _device(model)):
        for x, _ in batches:
            terms = model.terms(x, samples)
            recon.append(terms.log_px_z.mean(0))
            if model.has_bound:
                kl.append(terms.kl)
                bound.append(elbo(terms))
                method = terms.kl_method
    return Scores(recon=torch.cat(recon).cpu().double(), kl=_collect(kl), elbo=_collect(bound), kl_method=method)


@torch.no_grad()
def importance_sampling(
    model: VAE, data: Data, split: str, *, samples: int, points: int | None, seed: int
) -> tuple[Tensor, Tensor]:
    """log p(x) by importance sampling from q(z|x): log 1/K sum_k w_k, with the ELBO of the same examples and draws.

    Memory is bounded by `CHUNK_NUMBERS` per tensor, whatever K: draws beyond that are taken in turns and accumulated by
    a running logsumexp.

    Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, section 5.

    Args:
        model: with a bound; left in evaluation mode.
        data: on the model's device.
        split: which examples.
        samples: K.
        points: so many evenly spaced examples, None for all.
        seed: the run's seed; draws come from its importance stream.

    Returns:
        Estimates of log p(x) and of the ELBO, each `[N]` float64 on the CPU.
    """
    model.eval()
    rows = max(1, CHUNK_NUMBERS // data.spec.dims)
    turn = min(samples, rows)
    log_px: list[Tensor] = []
    bound: list[Tensor] = []
    with seeds.stream(seed, "importance", _device(model)):
        for x, _ in data.eval_batches(split, max(1, rows // turn), limit=points):
            # Double precision is the CPU's: not every device has it.
            log_sum = torch.full((len(x),), -math.inf, dtype=torch.float64)
            lower = torch.zeros_like(log_sum)
            for start in range(0, samples, turn):
                terms = model.terms(x, min(turn, samples - start))
                k = len(terms.z)
                log_sum = torch.logaddexp(log_sum, iwae(terms).cpu().double() + math.log(k))
                lower += elbo(terms).cpu().double() * k
            log_px.append(log_sum - math.log(samples))
            bound.append(lower / samples)
    return torch.cat(log_px), torch.cat(bound)


@torch.no_grad()
def point_metrics(model: VAE, data: Data, split: str) -> dict[str, float | int | None]:
    """What needs no sampling: `mse_per_pixel` (decoder mean at the posterior mean) and `active_units`."""
    model.eval()
    squared, count = 0.0, 0
    means: list[Tensor] = []
    for x, _ in data.eval_batches(split, EVAL_BATCH):
        mean = model.infer(x).mean
        squared += (x - model.decode(mean).mean).cpu().double().square().sum().item()
        count += x.numel()
        means.append(mean.cpu().double())
    active = int((torch.cat(means).var(0) > ACTIVE_VARIANCE).sum().item())
    # The threshold presumes a prior of unit scale, which a model without a density does not have.
    return {"mse_per_pixel": squared / count, "active_units": active if model.has_bound else None}


def evaluate(
    model: VAE, data: Data, measure: Measure, *, seed: int
) -> tuple[dict[str, float | int | None], str | None]:
    """All metrics of a trained model on the test split, and how its KL was obtained.

    Returns:
        Metrics by name, None where a metric does not apply, and `"closed_form"`, `"monte_carlo"` or None.
    """
    test = scores(model, data.eval_batches("test", EVAL_BATCH), samples=measure.elbo_samples, seed=seed)
    metrics: dict[str, float | int | None] = {**test.means(), **point_metrics(model, data, "test")}
    if measure.nll_samples:
        nll = gap = bits = None
        if test.elbo is not None:
            estimates, bounds = importance_sampling(
                model, data, "test", samples=measure.nll_samples, points=measure.nll_points, seed=seed
            )
            gap = (estimates - bounds).mean().item()
            # On a part of the split only the difference from the ELBO is estimated: the ELBO, known on all of it, is a
            # control variate for log p(x), and the NLL speaks of the whole split.
            nll = -(estimates.mean().item() if len(estimates) == len(test.elbo) else test.elbo.mean().item() + gap)
            # On a continuous support log p(x) is a density, whose bits depend on the unit of x.
            if model.likelihood.support == "binary":
                bits = nll / (data.spec.dims * math.log(2))
        metrics |= {f"nll_is{measure.nll_samples}_nats": nll, "inference_gap_nats": gap, "bits_per_dim": bits}
    metrics["parameters"] = parameter_count(model)
    return metrics, test.kl_method


def parameter_count(model: VAE) -> int:
    """Number of trainable scalars."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _device(model: VAE) -> str:
    return next(model.parameters()).device.type
