"""Lower bounds of log p(x) as pure functions of `Terms`, in nats per example. They know no beta and no annealing."""

import math

from torch import Tensor

from variants.core.terms import Terms


def elbo(terms: Terms) -> Tensor:
    """Evidence lower bound E_q log p(x|z) - KL(q(z|x) || p(z)).

    Source: Kingma and Welling 2014, arXiv:1312.6114, eq. 3.

    Returns:
        `[B]`, the expectation estimated with the K samples of `terms`.
    """
    return terms.log_px_z.mean(0) - terms.kl


def iwae(terms: Terms) -> Tensor:
    """Importance-weighted bound log 1/K sum_k w_k; tends to log p(x) as K grows.

    Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, eq. 8.

    Returns:
        `[B]`.
    """
    return terms.log_weights.logsumexp(0) - math.log(terms.log_weights.shape[0])
