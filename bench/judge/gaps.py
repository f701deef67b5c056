"""Where the ELBO loses: the inference gap of each example, split into what the posterior's family costs (approximation)
and what the encoder costs (amortisation).

    log p(x) - L[q] = (log p(x) - L[q*]) + (L[q*] - L[q]),    q* = the best member of the family for this x alone.

Source: Cremer, Li and Duvenaud 2018, arXiv:1801.03558, section 3.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, LowRankMultivariateNormal, MultivariateNormal, Normal

from bench.judge.evidence import gap_variance, log_mean_exp, require_real, rows_at_once
from variants.core import VAE, Terms, draw

# Adam's step at the start; it falls to zero along a cosine, so that the last iterate needs no averaging. Means move in
# units of the start's standard deviations and scales by factors, so one step size serves every model: 250 steps go up
# to 12 standard deviations far. EPS is in nats per such unit: at an exact posterior the gradient is rounding alone,
# which Adam would otherwise blow up to full steps. BETAS: from a poor start the first gradients are thousands of times
# the last, and the second moment must forget them.
LR, EPS, BETAS = 0.1, 1e-3, (0.9, 0.99)
# CHOICE_DRAWS decide, example by example, between start and end; MOMENT_DRAWS give a non-Gaussian q(z|x) its moments.
CHOICE_DRAWS, MOMENT_DRAWS = 200, 512

Build = Callable[[list[Tensor]], Distribution]


def own_family(q: Distribution) -> Literal["diagonal", "low_rank", "full"] | None:
    """The Gaussian family of q, None if it is no Gaussian: no best member of its family can then be found here."""
    if isinstance(q, MultivariateNormal):
        return "full"
    if isinstance(q, LowRankMultivariateNormal):
        return "low_rank"
    if isinstance(q, Independent) and isinstance(q.base_dist, Normal) and q.reinterpreted_batch_ndims == 1:
        return "diagonal"
    return None


def scale_tril(q: Distribution) -> Tensor:
    """L of a Gaussian q = N(mu, L L^T), batch shape `[B]`, event shape `[D]`: `[B, D, D]`, lower triangular.

    Raises:
        ValueError: q is no Gaussian.
    """
    lower: Tensor
    if isinstance(q, MultivariateNormal):
        lower = q.scale_tril
        return lower
    if isinstance(q, LowRankMultivariateNormal):
        # The covariance is diag(sigma) (I + V V^T) diag(sigma); what is factorised has no eigenvalue below one.
        scale = q.cov_diag.sqrt().unsqueeze(-1)
        v = q.cov_factor / scale
        factor = torch.linalg.cholesky(_identity(q.mean) + v @ v.mT)
        lower = scale * factor
        return lower
    if own_family(q) == "diagonal":
        lower = q.stddev.diag_embed()
        return lower
    raise ValueError(f"{type(q).__name__} is no Gaussian")


def local_posterior(
    model: VAE, x: Tensor, family: Literal["diagonal", "full", "own"], *, steps: int = 250, samples: int = 8
) -> Distribution:
    """The q* of a Gaussian family that maximises each example's own ELBO, with the model held fixed.

    All examples are optimised at once and do not touch each other: Adam on the free parameters of each, from the
    encoder's q(z|x). The gradient is the path derivative of the log-weights, whose noise vanishes as q nears the true
    posterior. Where the optimised q is no better than the one it started from, the start is returned; draws of their
    own decide that, so a later estimate of the ELBO with fresh draws is not biased by the choice.

    Source: Cremer, Li and Duvenaud 2018, arXiv:1801.03558, section 3 (optimised local q); Roeder, Wu and Duvenaud 2017,
    arXiv:1703.09194 (path derivative).

    Args:
        model: left in evaluation mode; neither its parameters nor their gradients change.
        x: `[B, *shape]`.
        family: `"diagonal"`, `"full"`, or `"own"`: that of the model's posterior. A posterior that is no Gaussian gives
            the start of the first two by the mean and the variances of draws.
        steps: of Adam.
        samples: draws of z per step and example.

    Returns:
        Batch shape `[B]`, event shape `[D]`; without gradients.

    Raises:
        ValueError: the model has no bound, its posterior or prior does not live on R^D, or `"own"` is asked for and its
            posterior is no Gaussian.
    """
    model.eval()
    with torch.no_grad():
        if not model.has_bound:
            raise ValueError("a model without a bound has no gaps")
        amortised = model.infer(x)
        require_real(model.prior(), amortised)
        gaussian = own_family(amortised)
        if gaussian is None:
            if family == "own":
                raise ValueError(f"{type(amortised).__name__} is no Gaussian: its best member cannot be found")
            z = amortised.sample(torch.Size([MOMENT_DRAWS]))
            amortised = Independent(Normal(z.mean(0), z.std(0), validate_args=False), 1, validate_args=False)
        start, build = _FAMILIES[gaussian if gaussian is not None and family == "own" else family](amortised)
    end = _maximise(model, x, start, build, steps, samples)
    with torch.no_grad():
        bounds = [_bound(model, x, build(p), CHOICE_DRAWS) for p in (start, end)]
        better = bounds[1] > bounds[0]
        # An end that is not a number is not better, and the start stays.
        return build([torch.where(_like(better, a), b, a) for a, b in zip(start, end, strict=True)])


def gaps(
    model: VAE, x: Tensor, *, steps: int = 250, samples: int = 8, evidence_samples: int = 500
) -> dict[str, Tensor]:
    """What the gaps of each example are made of: log p(x), and the ELBO of q(z|x) and of the best Gaussians.

    approximation gap = log_px - elbo_own, amortisation gap = elbo_own - elbo; with elbo_diagonal or elbo_full in the
    place of elbo_own, what that family would lose at best on the same decoder. An ELBO is the mean of the log-weights:
    at an exact posterior they are constant, so the better q the less noise there is, unlike with a closed-form KL. None
    is estimated with draws that its q was optimised or chosen on. log p(x) is importance-sampled from the best full
    Gaussian, with the same draws as elbo_full, so elbo_full <= log_px holds exactly and the errors of the two are
    correlated; it is in expectation a lower bound, as with every proposal.

    Source: Cremer, Li and Duvenaud 2018, arXiv:1801.03558, section 3.

    Args:
        model: with a bound; left in evaluation mode, its parameters and their gradients as they were.
        x: `[B, *shape]`.
        steps: of Adam per family.
        samples: draws of z per step and example.
        evidence_samples: fresh draws per example for each estimate, at least 2.

    Returns:
        Columns `[B]` in nats, float64 on the CPU: `log_px`, `elbo`, `elbo_own`, `elbo_diagonal`, `elbo_full`, and the
        gaps `inference`, `approximation`, `amortisation`, `approximation_diagonal`, `approximation_full`; for each its
        Monte Carlo variance, `log_px_var` ... Without `elbo_own`, `approximation` and `amortisation` if the model's
        posterior is no Gaussian.

    Raises:
        ValueError: the model has no bound, or its posterior or prior does not live on R^D.
    """
    model.eval()
    weights = {
        f"elbo_{family}": _log_weights(
            model, x, local_posterior(model, x, family, steps=steps, samples=samples), evidence_samples
        )
        for family in ("diagonal", "full")
    }
    with torch.no_grad():
        amortised = model.infer(x)
    weights["elbo"] = _log_weights(model, x, amortised, evidence_samples)
    gaussian = own_family(amortised)
    if gaussian == "low_rank":
        best = local_posterior(model, x, "own", steps=steps, samples=samples)
        weights["elbo_own"] = _log_weights(model, x, best, evidence_samples)
    elif gaussian is not None:
        weights["elbo_own"] = weights[f"elbo_{gaussian}"]
    columns: dict[str, Tensor] = {}
    for name, log_w in weights.items():
        columns[name], columns[f"{name}_var"] = log_w.mean(0), log_w.var(0) / evidence_samples
    columns |= log_mean_exp(weights["elbo_full"])

    def gap(name: str, upper: str, lower: str) -> None:
        columns[name] = columns[upper] - columns[lower]
        columns[f"{name}_var"] = columns[f"{upper}_var"] + columns[f"{lower}_var"]

    gap("inference", "log_px", "elbo")
    gap("approximation_diagonal", "log_px", "elbo_diagonal")
    gap("approximation_full", "log_px", "elbo_full")
    columns["approximation_full_var"] = gap_variance(weights["elbo_full"], weights["elbo_full"])
    if gaussian is not None:
        gap("approximation", "log_px", "elbo_own")
        gap("amortisation", "elbo_own", "elbo")
        if gaussian == "full":
            columns["approximation_var"] = columns["approximation_full_var"]
    return columns


def _identity(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)


def _like(rows: Tensor, other: Tensor) -> Tensor:
    return rows.reshape(-1, *[1] * (other.dim() - 1))


def _diagonal(start: Distribution) -> tuple[list[Tensor], Build]:
    loc, scale = start.mean, start.stddev
    if isinstance(start, MultivariateNormal | LowRankMultivariateNormal):
        # The diagonal Gaussian with variances 1 / P_ii is the nearest, in KL, to a Gaussian of precision P: if the
        # encoder's q were exact, this would be q*. The marginal variances are larger.
        scale = start.precision_matrix.diagonal(dim1=-2, dim2=-1).rsqrt()

    def build(parameters: list[Tensor]) -> Distribution:
        shift, log_ratio = parameters
        normal = Normal(loc + scale * shift, scale * log_ratio.exp(), validate_args=False)
        return Independent(normal, 1, validate_args=False)

    return [torch.zeros_like(loc), torch.zeros_like(loc)], build


def _full(start: Distribution) -> tuple[list[Tensor], Build]:
    """L = diag(sigma) (I + N), as in `variants.parts.posteriors.Full`."""
    loc, lower = start.mean, scale_tril(start)
    scale, identity = lower.diagonal(dim1=-2, dim2=-1), _identity(loc)

    def build(parameters: list[Tensor]) -> Distribution:
        shift, log_ratio, n = parameters
        factor = (scale * log_ratio.exp()).unsqueeze(-1) * (identity + n.tril(-1))
        return MultivariateNormal(loc + scale * shift, scale_tril=factor, validate_args=False)

    return [torch.zeros_like(loc), torch.zeros_like(loc), (lower / scale.unsqueeze(-1)).tril(-1)], build


def _low_rank(start: Distribution) -> tuple[list[Tensor], Build]:
    """Covariance diag(sigma) (I + V V^T) diag(sigma), as in `variants.parts.posteriors.LowRank`."""
    assert isinstance(start, LowRankMultivariateNormal)
    loc, scale = start.mean, start.cov_diag.sqrt()

    def build(parameters: list[Tensor]) -> Distribution:
        shift, log_ratio, v = parameters
        new = scale * log_ratio.exp()
        return LowRankMultivariateNormal(loc + scale * shift, new.unsqueeze(-1) * v, new.square(), validate_args=False)

    return [torch.zeros_like(loc), torch.zeros_like(loc), start.cov_factor / scale.unsqueeze(-1)], build


_FAMILIES: dict[str, Callable[[Distribution], tuple[list[Tensor], Build]]] = {
    "diagonal": _diagonal,
    "full": _full,
    "low_rank": _low_rank,
}


def _terms(model: VAE, x: Tensor, q: Distribution, p: Distribution, samples: int) -> Terms:
    z = draw(q, [samples])
    return Terms(x=x, z=z, q=q, p=p, log_px_z=model.log_px(z, x))


def _maximise(model: VAE, x: Tensor, start: list[Tensor], build: Build, steps: int, samples: int) -> list[Tensor]:
    parameters = [tensor.clone().requires_grad_() for tensor in start]
    adam = torch.optim.Adam(parameters, lr=LR, betas=BETAS, eps=EPS)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(1, steps))
    with torch.no_grad():
        prior = model.prior()
    for _ in range(steps):
        with torch.enable_grad():
            terms = _terms(model, x, build(parameters), prior, samples)
            # log q at constant parameters: what is left out, the score of q, is zero on average and only adds noise.
            log_qz_x = build([p.detach() for p in parameters]).log_prob(terms.z)
            loss = (log_qz_x - terms.log_px_z - terms.log_pz).mean(0).sum()
            gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            # One example whose gradient overflows must not end the others'.
            parameter.grad = gradient.nan_to_num(0.0, 0.0, 0.0)
        adam.step()
        schedule.step()
    return [p.detach() for p in parameters]


def _in_turns(model: VAE, x: Tensor, q: Distribution, samples: int) -> Iterator[Terms]:
    """`samples` draws of q, so many at a time that memory is bounded."""
    prior = model.prior()
    turn = max(1, rows_at_once(lambda n: _terms(model, x[:1], model.infer(x[:1]), prior, n).log_weights) // len(x))
    return (_terms(model, x, q, prior, min(turn, samples - k)) for k in range(0, samples, turn))


def _bound(model: VAE, x: Tensor, q: Distribution, samples: int) -> Tensor:
    # The KL is in closed form where there is one: where a scale has shrunk until z cannot be told from the mean,
    # log q(z) is rounding, and log-weights would make the worst q look best.
    return torch.cat([terms.log_px_z - terms.kl for terms in _in_turns(model, x, q, samples)]).mean(0)


@torch.no_grad()
def _log_weights(model: VAE, x: Tensor, q: Distribution, samples: int) -> Tensor:
    """log p(x, z_k) - log q(z_k) of `samples` draws of q, `[K, B]` float64 on the CPU."""
    return torch.cat([terms.log_weights for terms in _in_turns(model, x, q, samples)]).cpu().double()
