"""What of a whole model its parts may use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.distributions import Distribution


@dataclass(frozen=True)
class Ways:
    """The ways through a model, handed to parts that are made of others. No part is registered twice: these are bound
    methods, which whatever wraps the networks in training (bf16, compilation) wraps too.

    Attributes:
        infer: x `[B, *shape]` -> q(z|x).
        decode: z `[..., D]` -> p(x|z).
        log_px: z `[K, B, D]`, x `[B, *shape]` -> log p(x|z) as in `Terms.log_px_z`, `[K, B]`.
        prior: () -> p(z), with whatever it owns that a posterior chooses from.
    """

    infer: Callable[[Tensor], Distribution]
    decode: Callable[[Tensor], Distribution]
    log_px: Callable[[Tensor, Tensor], Tensor]
    prior: Any = None
