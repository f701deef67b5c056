"""What the bounds are made of: the KL, Jensen's inequality, one likelihood, each example by itself."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from variants.core.bounds import iwae
from variants.core.support import draw
from variants.testing.case import BATCH, DRAWS, STANDARD_ERRORS, Case, hold, seeded


def kl(case: Case) -> None:
    """The KL is non-negative, and a closed form agrees with draws."""
    if not case.model().has_bound:
        return
    terms = case.judged
    ratio = terms.log_qz_x - terms.log_pz
    estimate, error = ratio.mean(0), ratio.std(0) / math.sqrt(DRAWS)
    for kl, mc, se in zip(terms.kl.tolist(), estimate.tolist(), error.tolist(), strict=True):
        if terms.kl_method == "closed_form":
            hold(kl >= -1e-6, f"the closed-form KL is {kl:.6g}, should be at least 0")
            off = abs(kl - mc)
            hold(
                off <= STANDARD_ERRORS * se + 1e-6,
                f"the closed-form KL is {kl:.6g} and E_q[log q - log p] is {mc:.6g} +- {se:.2g}",
            )
        else:
            hold(kl >= -STANDARD_ERRORS * se - 1e-6, f"the Monte Carlo KL is {kl:.6g} +- {se:.2g}, should be >= 0")
    parts = terms.kl_parts
    if parts is None:
        return
    hold(parts.dim() == 2 and len(parts) == BATCH, f"kl_parts has shape {tuple(parts.shape)}, should be ({BATCH}, G)")
    off = (parts.sum(1) - terms.kl).abs()
    room = 1e-6 if terms.kl_method == "closed_form" else STANDARD_ERRORS * error + 1e-6
    hold((off <= room).all(), f"the parts of the KL add up to {off.max().item():.4g} nats more or less than it")


def bounds(case: Case) -> None:
    """ELBO <= IWAE-8 <= IWAE-64 <= ..., of the same log-weights."""
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
        hold(gap <= 1e-8, f"{low_name} exceeds {high_name} of the same log-weights by {gap:.4g} nats")
    # The ELBO with its KL as the variant gives it: equal samples, so that only the KL's own noise is left.
    values = terms.log_px_z.reshape(-1, 8, BATCH).mean(1) - terms.kl - groups(8)
    for gap, se in zip(values.mean(0).tolist(), (values.std(0) / math.sqrt(len(values))).tolist(), strict=True):
        hold(gap <= STANDARD_ERRORS * se + 1e-6, f"the ELBO exceeds IWAE-8 by {gap:.4g} +- {se:.2g} nats")


def one_likelihood(case: Case) -> None:
    """`log_px_z` is the log density of `decode(z)`."""
    model, batch = case.model(dtype=torch.float64).eval(), case.batch(dtype=torch.float64)
    x = batch.x
    with torch.no_grad(), seeded(5):
        terms = model.terms(batch, 3)
        off = (model.decode(terms.z).log_prob(x) - terms.log_px_z).abs().max().item()
    hold(off < 1e-6, f"log_px_z and the log density of decode(z) differ by up to {off:.4g} nats")


def batch_mates(case: Case) -> None:
    """In evaluation mode an example does not depend on the others in its batch."""
    model, batch = case.model(dtype=torch.float64).eval(), case.batch(dtype=torch.float64)
    x = batch.x
    with torch.no_grad(), seeded(13):
        together, alone = model.infer(batch), model.infer(batch[:1])
        z = draw(together, [3])
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
        hold(off < 1e-8, f"in evaluation mode {name} of an example changes by {off:.4g} with its batch mates")
