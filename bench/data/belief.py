"""Simulated binary data with exact probabilities: a sigmoid belief network so small that its states can be counted."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.data.entry import tenths
from bench.data.readers import Raw, in_a_row

SEED = 20_012
# So many examples are held against all states at once: 2^21 float64 with the 256 states of eight bits.
ROWS = 8192


@dataclass(frozen=True)
class BeliefNetwork:
    """z_j ~ Bernoulli(sigmoid(prior_j)), x_i ~ Bernoulli(sigmoid((W z)_i + bias_i)) (Neal 1992).

    Attributes:
        W: `[d, bits]`, float64, on the CPU.
        bias: `[d]`, float64, on the CPU.
        prior: logits of the bits, `[bits]`, float64, on the CPU.
    """

    W: Tensor
    bias: Tensor
    prior: Tensor

    def states(self) -> Tensor:
        """Every z, `[2^bits, bits]`."""
        return torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(self.prior))), dtype=torch.float64)

    def joint(self, x: Tensor) -> Tensor:
        """log p(x, z) of every z, `[B, 2^bits]` in nats, for x `[B, d]`."""
        z, x = self.states(), x.detach().cpu().double()
        log_pz = functional.logsigmoid((2 * z - 1) * self.prior).sum(-1)
        logits = z @ self.W.T + self.bias
        # log sigmoid(+-h) = x h - softplus(h) for x in {0, 1}.
        return x @ logits.T - functional.softplus(logits).sum(-1) + log_pz

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p(x) in nats, a sum over all states.

        Args:
            x: `[B, d]`, zeros and ones, of any float type, on any device.

        Returns:
            `[B]`, float64, on the CPU.
        """
        return torch.cat([self.joint(part).logsumexp(1) for part in torch.split(x, ROWS)])

    def posterior(self, x: Tensor) -> Tensor:
        """Exact p(z|x) of every z, `[B, 2^bits]`."""
        return self.joint(x).softmax(1)


def make(d: int, bits: int, n: int) -> tuple[Raw, BeliefNetwork]:
    """Draw the network and `n` examples of it, from fixed seeds of their own: the network does not depend on `n`.

    Args:
        d: data dimensions.
        bits: latent dimensions.
        n: number of examples in all.

    Returns:
        The examples `[n, d]`, and the truth they were drawn from.
    """
    model = np.random.default_rng([SEED, 0])
    W, bias, prior = 3 * model.standard_normal((d, bits)), model.standard_normal(d), model.standard_normal(bits)
    examples = np.random.default_rng([SEED, 1])
    z = examples.random((n, bits)) < 1 / (1 + np.exp(-prior))
    x = examples.random((n, d)) < 1 / (1 + np.exp(-(z @ W.T + bias - W.sum(1) / 2)))
    raw = in_a_row(x.astype(np.uint8), np.zeros(n, dtype=np.int64), tenths(n), levels=1)
    return raw, BeliefNetwork(torch.from_numpy(W), torch.from_numpy(bias - W.sum(1) / 2), torch.from_numpy(prior))
