"""log p(x) of single examples, three ways: importance sampling from q(z|x), annealed importance sampling from the
prior, and, for examples drawn from the model itself, reverse annealing, which bounds log p(x) from above.

All are pure functions of one batch. They draw from torch's global generators, leave the model as they found it, and
return columns `[B]` float64 on the CPU, in nats. A column `..._var` is the Monte Carlo variance of that example's
estimate; one draw says nothing about its own error, so with one draw these columns are absent.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.judge.bounds import copies, elbo_draws
from variants.core import VAE, Batch, elbo, is_real
from variants.core.support import where

# Numbers in the largest tensor of any operation, hidden layers included: 2^21 float32 are 8 MiB, which stays near the
# caches. Only a model that needs more for a single draw of a single example exceeds it.
TENSOR_NUMBERS = 2**21
# A probe of so many rows measures the numbers per row; tensors that do not grow with the rows count for little in it.
_PROBE_ROWS = 64

# Wu, Burda, Salakhutdinov and Grosse 2017, arXiv:1611.04273: the sigmoid schedule's half width, and the acceptance to
# aim at.
_SCHEDULE_WIDTH = 4.0
_ACCEPTANCE = 0.65
# The pilot run: chains per example, transitions before the path begins, the first step size, and by how much its
# logarithm moves for each unit of acceptance too much or too little.
_PILOT_CHAINS, _PILOT_WARMUP, _FIRST_STEP, _PILOT_RATE = 4, 20, 0.5, 0.5
# Steps vary by so much from one trajectory to the next, lest its length be a period of the target, which then never
# mixes (Neal 2011, arXiv:1206.1901, section 3.2).
_JITTER = 0.2

Columns = dict[str, Tensor]


def require_real(prior: Distribution, q: Distribution | None = None) -> None:
    """ValueError unless the prior, and q if given, live on all of R^D: elsewhere what a Gaussian or a gradient says of
    a point is finite, and about nothing."""
    for name, density in (("the prior", prior), ("q(z|x)", q)):
        if density is not None and not is_real(density):
            raise ValueError(f"{name} lives on {where(density)}, not on R^D, where alone this is measured")


@torch.no_grad()
def importance_weights(model: VAE, x: Tensor | Batch, samples: int) -> Columns:
    """log p(x) by importance sampling from q(z|x), log 1/K sum_k w_k, and the ELBO of the same draws.

    The estimate of log p(x) is a lower bound on average. Its variance is that of the delta method,
    var(w) / (K mean(w)^2), which sees only the weights that were drawn: where a few of them carry the sum it is itself
    uncertain and mostly too small. `elbo_var` leaves out a KL in closed form, which has no error.

    Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, section 5.

    Args:
        model: with a bound.
        x: `[B, *shape]`, on the model's device; of a model of p(x|c) with its c.
        samples: K, draws per example.

    Returns:
        Columns `log_px`, `elbo`, and with more than one draw `log_px_var`, `elbo_var`, and `gap_var`, the variance of
        their difference, which the common draws make smaller than the sum.

    Raises:
        NotImplementedError: the posterior has no density.
    """
    per_part: list[Columns] = []
    with judged(model):
        prior = model.prior()
        rows = rows_at_once(lambda n: model.terms(copies(x, n), 1, prior).log_weights)
        examples = max(1, rows // samples)
        turn = max(1, min(samples, rows // examples))
        for part in (x[start : start + examples] for start in range(0, len(x), examples)):
            log_weights, draws, lower = [], [], torch.zeros(len(part), dtype=torch.float64)
            for start in range(0, samples, turn):
                terms = model.terms(part, min(turn, samples - start), prior)
                log_weights.append(precise(terms.log_weights))
                draws.append(precise(elbo_draws(terms)))
                lower += precise(elbo(terms)) * len(terms.z)
                del terms  # a held `terms` would double the memory while the next is made
            weights, averaged = torch.cat(log_weights), torch.cat(draws)
            columns = log_mean_exp(weights) | {"elbo": lower / samples}
            if samples > 1:
                columns["elbo_var"] = averaged.var(0) / samples
                columns["gap_var"] = gap_variance(weights, averaged)
            per_part.append(columns)
    return _joined(per_part)


def annealed(model: VAE, x: Tensor, *, chains: int, steps: int, leapfrog: int = 10) -> Columns:
    """log p(x) by annealed importance sampling from the prior to the posterior: q(z|x) plays no part.

    The path is p(z) p(x|z)^beta with a sigmoid schedule of beta; transitions are Hamiltonian Monte Carlo with a
    Metropolis correction. Step sizes are tuned for every example and temperature in a pilot run with chains of its own
    and then held fixed. So the mean weight is an unbiased estimate of p(x), and its logarithm a lower bound on average;
    tuning during the path itself would only leave it so approximately.

    Source: Neal 2001, physics/9803008; Wu, Burda, Salakhutdinov and Grosse 2017, arXiv:1611.04273.

    Args:
        model: any with a prior that has a density and can be sampled; it needs no bound.
        x: `[B, *shape]`, on the model's device.
        chains: independent chains per example.
        steps: T, temperatures after beta = 0.
        leapfrog: gradients per transition.

    Returns:
        Columns `log_px`, `acceptance` (mean over the main run's transitions; 1 where `steps` = 1 leaves none), and
        with more than one chain `log_px_var` (delta method, see `importance_weights`).

    Raises:
        ValueError: the prior does not live on R^D, where alone its density has a gradient that leads somewhere.
    """
    return _anneal(model, x, None, chains, steps, leapfrog)


def reverse(model: VAE, x: Tensor, z: Tensor, *, chains: int, steps: int, leapfrog: int = 10) -> Columns:
    """An upper bound on log p(x), on average, for x drawn from the model: annealing from the posterior to the prior.

    Source: Grosse, Ghahramani and Adams 2015, arXiv:1511.02543 (bidirectional Monte Carlo).

    Args:
        model: as for `annealed`.
        x: `[B, *shape]` from `simulate`.
        z: `[B, D]`, the latents that each x was drawn with: exact samples of p(z|x).
        chains: chains per example. All start at its one z.
        steps: as for `annealed`.
        leapfrog: as for `annealed`.

    Returns:
        As for `annealed`. `log_px_var` is the variance given z; that which comes from z itself shows only in the spread
        over examples.
    """
    return _anneal(model, x, z, chains, steps, leapfrog)


@torch.no_grad()
def simulate(model: VAE, n: int) -> tuple[Tensor, Tensor]:
    """Examples drawn from the model, and the latents they were drawn with: exact samples of p(z|x).

    x follows the density that `model.likelihood.log_prob` states, on that density's support: a Gaussian's pixels leave
    [0, 1] even if the training data did not.

    Args:
        model: its likelihood and its prior can be sampled.
        n: number of examples.

    Returns:
        x `[n, *shape]` and z `[n, D]`, on the model's device.

    Raises:
        NotImplementedError: torch's, if the likelihood or the prior cannot be sampled.
    """
    x: list[Tensor] = []
    z: list[Tensor] = []
    with judged(model):
        prior = model.prior()
        rows = rows_at_once(lambda k: model.decode(prior.sample(torch.Size([k]))).sample())
        for start in range(0, n, rows):
            z.append(prior.sample(torch.Size([min(rows, n - start)])))
            x.append(model.decode(z[-1]).sample())
    return torch.cat(x), torch.cat(z)


@dataclass(frozen=True)
class State:
    """Chains at z `[C, B, D]`, with log p(z) and log p(x|z) `[C, B]` there and their gradients `[C, B, D]`."""

    z: Tensor
    log_prior: Tensor
    log_likelihood: Tensor
    prior_gradient: Tensor
    likelihood_gradient: Tensor

    @classmethod
    def at(cls, model: VAE, prior: Distribution, x: Tensor, z: Tensor) -> Self:
        """The state at z `[C, B, D]` for examples x `[B, *shape]`."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            log_prior = prior.log_prob(z)
            log_likelihood = model.likelihood.log_prob(model.decoder(z), x)
            # The two gradients stay apart: they serve every temperature, and a transition starts where the last ended.
            (prior_gradient,) = torch.autograd.grad(log_prior.sum(), z)
            (likelihood_gradient,) = torch.autograd.grad(log_likelihood.sum(), z)
        return cls(z.detach(), log_prior.detach(), log_likelihood.detach(), prior_gradient, likelihood_gradient)

    def log_density(self, beta: float) -> Tensor:
        """log p(z) + beta log p(x|z), `[C, B]`."""
        return self.log_prior + beta * self.log_likelihood

    def gradient(self, beta: float) -> Tensor:
        """Of `log_density` with respect to z, `[C, B, D]`."""
        return self.prior_gradient + beta * self.likelihood_gradient

    def moved(self, accept: Tensor, new: "State") -> "State":
        """`new` where `accept` `[C, B]`, else this."""
        row = accept.unsqueeze(-1)
        return State(
            torch.where(row, new.z, self.z),
            torch.where(accept, new.log_prior, self.log_prior),
            torch.where(accept, new.log_likelihood, self.log_likelihood),
            torch.where(row, new.prior_gradient, self.prior_gradient),
            torch.where(row, new.likelihood_gradient, self.likelihood_gradient),
        )


def hmc(at: Callable[[Tensor], State], state: State, beta: float, step: Tensor, leapfrog: int) -> tuple[State, Tensor]:
    """One transition of Hamiltonian Monte Carlo, reversible with respect to p(z) p(x|z)^beta.

    Source: Neal 2011, arXiv:1206.1901.

    Args:
        at: z -> state.
        state: where the chains are.
        beta: inverse temperature.
        step: mean step size of each example, `[B]`.
        leapfrog: leapfrog steps.

    Returns:
        The new state, and the probability with which each chain's move was accepted, `[C, B]`.
    """
    step = (step * (1 + _JITTER * (2 * torch.rand_like(state.log_prior) - 1))).unsqueeze(-1)
    start = torch.randn_like(state.z)
    new, momentum = state, start + 0.5 * step * state.gradient(beta)
    for _ in range(leapfrog):
        new = at(new.z + step * momentum)
        momentum = momentum + step * new.gradient(beta)
    momentum = momentum - 0.5 * step * new.gradient(beta)
    kinetic = 0.5 * (start.square() - momentum.square()).sum(-1)
    log_accept = new.log_density(beta) - state.log_density(beta) + kinetic
    # A trajectory that left the numbers has a NaN here, and no comparison with it holds: the chain stays.
    accept = torch.rand_like(log_accept).log() < log_accept
    return state.moved(accept, new), log_accept.clamp(max=0).exp().nan_to_num(nan=0.0)


def schedule(steps: int) -> list[float]:
    """Inverse temperatures 0 = beta_0 < ... < beta_T = 1, closest at both ends; T = `steps`.

    Source: Wu, Burda, Salakhutdinov and Grosse 2017, arXiv:1611.04273.
    """
    # A sigmoid is a shifted tanh, and rescaling it to [0, 1] takes the shift out.
    half = _SCHEDULE_WIDTH / 2
    inner = [0.5 + 0.5 * math.tanh(half * (2 * t / steps - 1)) / math.tanh(half) for t in range(1, steps)]
    return [0.0, *inner, 1.0]


@torch.no_grad()
def _anneal(model: VAE, x: Tensor, z: Tensor | None, chains: int, steps: int, leapfrog: int) -> Columns:
    """`annealed` where z is None, else `reverse`."""
    betas = schedule(steps)
    per_part: list[Columns] = []
    with judged(model):
        prior = model.prior()
        require_real(prior)
        first = x[:1]
        rows = rows_at_once(lambda n: State.at(model, prior, first, prior.sample(torch.Size([n, 1]))))
        for i, part in enumerate(torch.split(x, rows)):

            def at(z: Tensor, x: Tensor = part) -> State:
                return State.at(model, prior, x, z)

            turn = max(1, rows // len(part))
            sizes = _pilot(at, prior.sample(torch.Size([min(_PILOT_CHAINS, chains, turn), len(part)])), betas, leapfrog)
            log_weights: list[Tensor] = []
            accepted = torch.zeros(len(part), dtype=torch.float64)
            for begin in range(0, chains, turn):
                count = min(turn, chains - begin)
                if z is None:
                    start = prior.sample(torch.Size([count, len(part)]))
                    log_w, acceptance = _walk(at, start, betas, sizes, leapfrog)
                else:
                    start = z[i * rows : i * rows + len(part)].expand(count, -1, -1)
                    log_w, acceptance = _walk(at, start, betas[::-1], sizes[::-1], leapfrog)
                log_weights.append(log_w)
                accepted += acceptance * count
            columns = log_mean_exp(torch.cat(log_weights))
            if z is not None:
                # From p(z|x) to p(z) a weight w estimates the ratio of their normalisers, E[w] = 1 / p(x). This holds
                # for each chain by itself, since its start is an exact sample and its step sizes depend on x alone; so
                # it holds for the mean over chains, however they depend on each other through their common start.
                # Jensen: E[-log mean_c w_c] >= -log E[mean_c w_c] = log p(x).
                columns["log_px"] = -columns["log_px"]
            per_part.append(columns | {"acceptance": accepted / chains})
    return _joined(per_part)


def _walk(
    at: Callable[[Tensor], State], z: Tensor, betas: list[float], sizes: list[Tensor], leapfrog: int
) -> tuple[Tensor, Tensor]:
    """Anneal chains from the first of `betas` to the last, with step sizes `[B]` for each temperature between.

    Returns:
        log w `[C, B]`, E[w] being the last normaliser over the first, and the mean acceptance `[B]`; float64, CPU.
    """
    state = at(z)
    log_w = torch.zeros(z.shape[:2], dtype=torch.float64)
    accepted = torch.zeros(z.shape[1], dtype=torch.float64)
    for t in range(1, len(betas)):
        log_w += (betas[t] - betas[t - 1]) * precise(state.log_likelihood)
        # After the last weight nothing reads the state.
        if t < len(betas) - 1:
            state, acceptance = hmc(at, state, betas[t], sizes[t - 1], leapfrog)
            accepted += precise(acceptance).mean(0)
    return log_w, accepted / len(sizes) if sizes else torch.ones_like(accepted)


def _pilot(at: Callable[[Tensor], State], z: Tensor, betas: list[float], leapfrog: int) -> list[Tensor]:
    """Step sizes `[B]` for each temperature strictly between 0 and 1, tuned along a run from prior samples z."""
    state = at(z)
    log_step = torch.full_like(state.log_prior[0], math.log(_FIRST_STEP))
    inner = betas[1:-1]
    sizes: list[Tensor] = []
    for beta in inner[:1] * _PILOT_WARMUP + inner:
        state, acceptance = hmc(at, state, beta, log_step.exp(), leapfrog)
        log_step = log_step + _PILOT_RATE * (acceptance.mean(0) - _ACCEPTANCE)
        sizes.append(log_step.exp())
    return sizes[len(sizes) - len(inner) :]


def log_mean_exp(log_weights: Tensor) -> Columns:
    """The logarithm of the mean of K weights `[K, B]`, and for K > 1 its variance by the delta method."""
    k = len(log_weights)
    log_sum = log_weights.logsumexp(0)
    columns = {"log_px": log_sum - math.log(k)}
    if k > 1:
        # With weights relative to their mean, r = w / mean(w), this is var(r) / K.
        relative = (log_weights - columns["log_px"]).exp()
        columns["log_px_var"] = relative.var(0) / k
    return columns


def gap_variance(log_weights: Tensor, draws: Tensor) -> Tensor:
    """Variance of log_mean_exp(log_weights) - mean(draws) of K draws, `[K, B]` each -> `[B]`, by the delta method."""
    relative = (log_weights - log_mean_exp(log_weights)["log_px"]).exp()
    return (relative - draws).var(0) / len(draws)


def precise(values: Tensor) -> Tensor:
    """float64 on the CPU: not every device has it."""
    return values.detach().cpu().double()


def _joined(parts: list[Columns]) -> Columns:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@contextmanager
def judged(model: VAE) -> Iterator[None]:
    """Evaluation mode and no gradients for parameters; both as they were afterwards."""
    training = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in training:
            module.training = mode
        for parameter, grad in wanted:
            parameter.requires_grad_(grad)


class LargestTensor(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes, as `numbers`, the size of the largest tensor that any operation makes; views of its inputs cost nothing.

    Layers are not all that counts: a mixture prior's log-density has a number for each component and dimension.
    """

    numbers: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in given:
                self.numbers = max(self.numbers, tensor.numel())
        return result


def rows_at_once(run: Callable[[int], object], numbers: int | None = None) -> int:
    """How many rows (one draw for one example) may be computed at once, by trying `run` with a few.

    Args:
        run: computes so many rows.
        numbers: the most that a tensor may hold; by default `TENSOR_NUMBERS`.
    """
    largest = LargestTensor()  # type: ignore[no-untyped-call]
    with largest:
        run(_PROBE_ROWS)
    return max(1, (numbers or TENSOR_NUMBERS) * _PROBE_ROWS // largest.numbers)
