"""log p(x) without an estimate, where latents can be counted."""

import math

import torch
from torch import Tensor

from bench.judge.evidence import Columns, judged, precise, rows_at_once
from variants.core import VAE
from variants.core.support import state_count, states

# The judge sums over at most so many points of a latent space.
MOST_STATES = 2**14


@torch.no_grad()
def enumerated(model: VAE, x: Tensor) -> Columns:
    """Exact log p(x) = log sum_z p(z) p(x|z) over every z that the prior can draw; q(z|x) plays no part.

    Args:
        model: its prior has at most `MOST_STATES` points.
        x: `[B, *shape]`, on the model's device.

    Returns:
        Column `log_px`, without an error.

    Raises:
        ValueError: the prior's points cannot be listed, or are too many.
    """
    with judged(model):
        prior = model.prior()
        count = state_count(prior)
        if count is None or count > MOST_STATES:
            raise ValueError(f"a sum over the latents needs at most {MOST_STATES} points, and here are {count or 'no'}")
        z = states(prior)
        log_pz = prior.log_prob(z)
        rows = rows_at_once(lambda n: model.log_px(z[:1].expand(n, 1, -1), x[:1]))
        examples = max(1, min(len(x), rows // 64))
        log_px: list[Tensor] = []
        for part in torch.split(x, examples):
            total = torch.full((len(part),), -math.inf, dtype=torch.float64)
            size = max(1, rows // len(part))
            for points, log_p in zip(torch.split(z, size), torch.split(log_pz, size), strict=True):
                h = model.decoder(points.unsqueeze(1))
                log_px_z = model.likelihood.log_prob(h.expand(-1, len(part), *h.shape[2:]), part)
                joint = precise(log_px_z + log_p.unsqueeze(1)).logsumexp(0)
                total = torch.logaddexp(total, joint)
            log_px.append(total)
    return {"log_px": torch.cat(log_px)}
