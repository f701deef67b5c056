"""The judge and score-function gradients against a sigmoid belief network, whose few states can all be counted."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench import data, seeds
from bench.data.belief import BeliefNetwork
from bench.judge import bounds, counted, evidence
from bench.oracle.problem import CLOSED, Checks
from bench.records.record import Cell, Record
from bench.suites.oracle import Settings
from variants import DataSpec, registry
from variants.core import VAE, elbo, iwae
from variants.core.terms import Terms
from variants.parts.objectives import Vimco
from variants.testing.enumeration import expectation

# Pairs of draws are counted, 4^bits of them, for so many examples.
PAIRED = 5
# Float64 sums over 65,536 pairs, beside gradients of some nats.
GRADIENT = 1e-8
# An objective is asked for its loss at an epoch at which every schedule has ended.
LATE = 1e9


def mean_field(truth: BeliefNetwork) -> tuple[Tensor, Tensor]:
    """A crude q(z|x) of independent bits: logits V x + v, as `[bits, d]` and `[bits]`.

    A bit hears each pixel by a quarter of its weight, against the middle of what no bit and all bits would give. So
    q is wide enough for weights that have a variance.
    """
    V = truth.W.T / 4
    none, every = truth.bias.sigmoid(), (truth.bias + truth.W.sum(1)).sigmoid()
    return V, truth.prior - V @ (none + every) / 2


def at_truth(truth: BeliefNetwork, spec: DataSpec) -> VAE:
    """The network itself as a VAE of bits, float64, its posterior `mean_field`."""
    options = {"network": "linear", "centre": False, "latent": len(truth.prior)}
    model: Any = registry.build("bernoulli_vimco", spec, **options).double()
    V, v = mean_field(truth)
    with torch.no_grad():
        model.decoder.body.weight.copy_(truth.W)
        model.decoder.body.bias.copy_(truth.bias)
        model.prior.logits.copy_(truth.prior)
        model.posterior.logits.weight.copy_(V)
        model.posterior.logits.bias.copy_(v)
    built: VAE = model
    return built


def log_weights(truth: BeliefNetwork, x: Tensor) -> tuple[Tensor, Tensor]:
    """log q(z|x) and log p(x, z) - log q(z|x) of every z, each `[B, 2^bits]`, by the definition of `mean_field`."""
    V, v = mean_field(truth)
    logits = (x @ V.T + v).unsqueeze(1)
    log_q = functional.logsigmoid((2 * truth.states() - 1) * logits).sum(-1)
    return log_q, truth.joint(x) - log_q


def check(cell: Cell, result: Record, checks: Checks) -> None:
    """Check one network in this process; note the figures and what they come from."""
    settings, device = Settings(**cell["settings"]), cell["device"]
    loaded = data.load(cell["dataset"], device=device, **cell["data_options"])
    assert isinstance(loaded.truth, BeliefNetwork)
    truth = loaded.truth
    result.provenance.data_sha256 = loaded.checksum
    model = at_truth(truth, loaded.spec).to(device).eval()
    x = torch.cat([x.cpu().double() for x, _ in loaded.eval_batches("test", 1000, settings.points)])
    seed = seeds.derive(seeds.JUDGE, f"oracle {sorted(cell['data_options'].items())}")
    with torch.no_grad():
        _counted(truth, model, x, checks)
        _drawn(truth, model, x, settings, seed, checks)
    _gradients(truth, model, x[:PAIRED], checks)


def _counted(truth: BeliefNetwork, model: VAE, x: Tensor, checks: Checks) -> None:
    """What has no sampling error."""
    here = x.to(next(model.parameters()).device)
    log_q, log_w = log_weights(truth, x)
    checks.equal("log p(x), all states counted", truth.log_prob(x), counted.enumerated(model, here)["log_px"].cpu())
    rate = (log_q.exp() * (log_q - _log_prior(truth))).sum(1)
    checks.equal("KL, independent bits", rate, model.terms(here).kl.cpu())
    few, log_q, log_w = here[:PAIRED], log_q[:PAIRED], log_w[:PAIRED]
    one = (log_q.exp() * log_w).sum(1)
    checks.equal("ELBO, all states counted", one, _each(model, few, 1, elbo))
    checks.equal("IWAE-2, all pairs counted", _two(log_q, log_w), _each(model, few, 2, iwae))


def _drawn(truth: BeliefNetwork, model: VAE, x: Tensor, settings: Settings, seed: int, checks: Checks) -> None:
    """Monte Carlo over draws of the independent bits."""
    device = str(next(model.parameters()).device)
    here, log_px = x.to(device), truth.log_prob(x)
    log_q, log_w = log_weights(truth, x)
    exact = (log_q.exp() * log_w).sum(1)
    batches = [(part, torch.zeros(len(part))) for part in torch.split(here, bounds.EVAL_BATCH)]
    scores = bounds.scores(model, batches, samples=settings.elbo_samples, seed=seeds.derive(seed, "bits"))
    assert scores.elbo is not None
    assert scores.elbo_var is not None
    checks.estimate("ELBO, independent bits", exact, scores.elbo)
    checks.stated("ELBO, independent bits", scores.elbo_var, scores.elbo - exact)
    with seeds.stream(seed, "pairs", device):
        two = iwae(model.terms(here, 2)).cpu().double()
    checks.estimate("IWAE-2, independent bits", _two(log_q, log_w), two)
    with seeds.stream(seed, "importance", device):
        columns = evidence.importance_weights(model, here, settings.importance_samples)
    label = "importance sampling, independent bits"
    checks.estimate(f"{label}, {settings.importance_samples} draws", log_px, columns["log_px"], sides="at most")
    checks.estimate(f"estimated p(x) / p(x), {label}", 1.0, (columns["log_px"] - log_px).exp())


def _gradients(truth: BeliefNetwork, model: VAE, x: Tensor, checks: Checks) -> None:
    """VIMCO's loss and its gradient, every pair of draws weighed by its probability, beside IWAE-2 by formula."""
    objective = Vimco(samples=2)
    here = x.to(next(model.parameters()).device)
    log_q, log_w = log_weights(truth, x)
    with torch.no_grad():
        value = _each(model, here, 2, lambda terms: objective(terms, LATE))
    checks.equal("VIMCO-2, all pairs counted: minus IWAE-2", -_two(log_q, log_w), value)
    parameters = [*model.posterior.parameters(), *model.decoder.parameters(), *model.prior.parameters()]
    off = 0.0
    for one in torch.split(here, 1):
        exact = torch.autograd.grad(expectation(model, one, 2, lambda terms: -iwae(terms)), parameters)
        mean = torch.autograd.grad(
            expectation(model, one, 2, lambda terms: objective(terms, LATE), fixed=True), parameters
        )
        off = max(off, *((a - b).abs().max().item() for a, b in zip(exact, mean, strict=True)))
    checks.add(
        CLOSED,
        "VIMCO-2, largest error of its mean gradient, all pairs counted",
        0.0,
        off,
        low=None,
        high=GRADIENT,
        rule=f"{GRADIENT:g}",
    )


def _log_prior(truth: BeliefNetwork) -> Tensor:
    return functional.logsigmoid((2 * truth.states() - 1) * truth.prior).sum(-1)


def _two(log_q: Tensor, log_w: Tensor) -> Tensor:
    """E log (w_1 + w_2) / 2 over all pairs, `[B]`."""
    pairs = torch.logaddexp(log_w.unsqueeze(2), log_w.unsqueeze(1)) - math.log(2)
    return ((log_q.unsqueeze(2) + log_q.unsqueeze(1)).exp() * pairs).sum((1, 2))


def _each(model: VAE, x: Tensor, samples: int, value: Callable[[Terms], Tensor]) -> Tensor:
    """E[value] of each example, `[B]`, by counting."""
    return torch.stack([expectation(model, one, samples, value) for one in torch.split(x, 1)]).cpu()
