"""The ELBO, its two terms, and what needs no sampling."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench import seeds
from bench.data.batches import Data, Truth
from bench.judge.codes import usage
from variants.core import VAE, Batch, Terms, elbo, is_discrete, is_real

# Examples per evaluation batch.
EVAL_BATCH = 250
# Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, section 5.2: a unit is active if its posterior mean varies
# over the data by more than this.
ACTIVE_VARIANCE = 0.01

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Scores:
    """Per-example estimates, each `[N]` float64 on the CPU. `elbo` and `kl` are None for a model without a bound.

    Attributes:
        recon: E_q log p(x|z).
        kl: KL(q(z|x) || p(z)).
        elbo: their difference, with beta = 1.
        elbo_var: Monte Carlo variance of each `elbo`; None without a bound, or where one draw tells nothing of it.
        kl_layers: the KL by layers of latents, `[N, L]`; None of a model with one layer.
        kl_method: `"closed_form"`, `"monte_carlo"`, or None without a bound.
    """

    recon: Tensor
    kl: Tensor | None
    elbo: Tensor | None
    elbo_var: Tensor | None
    kl_layers: Tensor | None
    kl_method: str | None

    def means(self) -> dict[str, float | None]:
        """Means over the N examples: `elbo_nats`, `recon_nats`, `kl_nats`."""
        return {
            "elbo_nats": _mean(self.elbo),
            "recon_nats": _mean(self.recon),
            "kl_nats": _mean(self.kl),
        }

    def layers(self) -> dict[str, float]:
        """Mean KL of each layer, `kl_layer1_nats` that of the lowest; empty of a model with one layer."""
        means = [] if self.kl_layers is None else self.kl_layers.mean(0).tolist()
        return {f"kl_layer{i + 1}_nats": mean for i, mean in enumerate(means)}


def _mean(values: Tensor | None) -> float | None:
    return None if values is None else values.mean().item()


def _collect(parts: list[Tensor]) -> Tensor | None:
    return torch.cat(parts).cpu().double() if parts else None


def elbo_draws(terms: Terms) -> Tensor:
    """What `elbo(terms)` averages over its K draws, `[K, B]`, less a KL in closed form, which has no error."""
    return terms.log_px_z if terms.kl_method == "closed_form" else terms.log_weights


def elbo_variance(terms: Terms) -> Tensor:
    """Monte Carlo variance of `elbo(terms)`, `[B]`: that of its draws over K."""
    draws = elbo_draws(terms)
    return draws.var(0) / len(draws)


def given(model: VAE, x: Tensor, y: Tensor) -> Tensor | Batch:
    """x `[B, *shape]`, for a model of p(x|c) with its labels `[B]` as c: what the model's methods take."""
    return Batch(x, c=y) if model.conditional else x


def copies(x: Tensor | Batch, n: int) -> Tensor | Batch:
    """The first example, `n` times."""
    if isinstance(x, Batch):
        return Batch(x.x[:1].expand(n, *x.x.shape[1:]), c=None if x.c is None else x.c[:1].expand(n))
    return x[:1].expand(n, *x.shape[1:])


@torch.no_grad()
def scores(model: VAE, batches: Batches, *, samples: int, seed: int) -> Scores:
    """ELBO (beta = 1), reconstruction E_q log p(x|z) and KL of every example.

    Args:
        model: left in evaluation mode.
        batches: pairs of x `[B, *shape]` and labels.
        samples: posterior draws per example.
        seed: draws come from its evaluation stream.
    """
    model.eval()
    recon: list[Tensor] = []
    kl: list[Tensor] = []
    bound: list[Tensor] = []
    variance: list[Tensor] = []
    layers: list[Tensor] = []
    method = None
    prior = model.prior()
    with seeds.stream(seed, "evaluate", next(model.parameters()).device.type):
        for x, y in batches:
            terms = model.terms(given(model, x, y), samples, prior)
            recon.append(terms.log_px_z.mean(0))
            if model.has_bound:
                kl.append(terms.kl)
                bound.append(elbo(terms))
                method = terms.kl_method
                if hasattr(terms.q, "layers") and terms.kl_parts is not None:
                    layers.append(terms.kl_parts)
                if samples > 1:
                    variance.append(elbo_variance(terms))
    return Scores(
        recon=torch.cat(recon).cpu().double(),
        kl=_collect(kl),
        elbo=_collect(bound),
        elbo_var=_collect(variance),
        kl_layers=_collect(layers),
        kl_method=method,
    )


def look(model: VAE, data: Data) -> dict[str, float | None]:
    """What training is handed of the validation split after each pass: `valid_elbo_nats`, `valid_recon_nats` and
    `valid_kl_nats`, of one posterior sample per example. Its draws are the judge's own."""
    valid = scores(model, data.eval_batches("valid", EVAL_BATCH), samples=1, seed=seeds.JUDGE)
    return {f"valid_{name}": value for name, value in valid.means().items()}


@torch.no_grad()
def point_metrics(model: VAE, data: Data, split: str) -> dict[str, float | int | None]:
    """What needs no sampling: `mse_per_pixel` (decoder mean at the posterior mean) and `active_units`, of a model with
    several layers of latents also those of each, `active_units_layer1` being the lowest; of a model with codes how
    these are used."""
    model.eval()
    squared, count = 0.0, 0
    means: list[Tensor] = []
    indices: list[Tensor] = []
    layers: tuple[int, ...] = ()
    for x, y in data.eval_batches(split, EVAL_BATCH):
        q = model.infer(given(model, x, y))
        mean = q.mean
        squared += (x - model.decode(mean).mean).cpu().double().square().sum().item()
        count += x.numel()
        means.append(mean.cpu().double())
        layers = getattr(q, "layers", ())
        if hasattr(q, "indices"):
            indices.append(q.indices)
    z = torch.cat(means)
    # The threshold presumes a prior of unit scale, which a model without a density does not have; and one example has
    # no variance. A class that is given varies, and is no unit.
    known = model.has_bound and len(z) > 1 and not model.conditional
    active = z.var(0, correction=min(1, len(z) - 1)) > ACTIVE_VARIANCE
    active_counts = {"active_units": int(active.sum().item())}
    for i, layer in enumerate(torch.split(active, list(layers)) if layers else ()):
        active_counts[f"active_units_layer{i + 1}"] = int(layer.sum().item())
    units = {name: value if known else None for name, value in active_counts.items()}
    codes = usage(torch.cat(indices), q.codes, q.books) if indices else {}  # type: ignore[attr-defined]
    return {"mse_per_pixel": squared / count} | units | codes


def true_nll(data: Data, truth: Truth, split: str) -> float:
    """Mean of -log p(x) over a split, in nats, under what the data were drawn from."""
    return -torch.cat([truth.log_prob(x) for x, _ in data.eval_batches(split, EVAL_BATCH)]).mean().item()


@torch.no_grad()
def has_bits(model: VAE, data: Data, split: str) -> bool:
    """Whether p(x|z) gives probabilities: on a continuous support log p(x) is a density, whose bits depend on the unit
    of x."""
    x, y = next(data.eval_batches(split, 1, limit=1))
    return is_discrete(model.decode(model.infer(given(model, x, y)).mean))


@torch.no_grad()
def lives_on_r_d(model: VAE, data: Data, *, posterior: bool = True) -> bool:
    """Whether p(z), and unless it plays no part q(z|x), are densities on all of R^D."""
    x, _ = next(data.eval_batches("test", 1, limit=1))
    return is_real(model.prior()) and (not posterior or is_real(model.infer(x)))


def parameter_count(model: VAE) -> int:
    """Number of trainable scalars, but for those of the objective: a critic is no part of p(x, z) or of q(z|x)."""
    return sum(
        p.numel() for name, p in model.named_parameters() if p.requires_grad and not name.startswith("objective.")
    )
