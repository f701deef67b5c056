"""How the weights of layers start."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

INITIALISATIONS: dict[str, Callable[[Tensor], Tensor] | None] = {
    # As torch's layers start: weights and biases uniform within 1 / sqrt(fan-in).
    "torch": None,
    # Glorot and Bengio 2010, AISTATS, eq. 16; biases zero.
    "glorot": nn.init.xavier_uniform_,
    # He, Zhang, Ren and Sun 2015, arXiv:1502.01852, eq. 10, variance 2 / fan-in; biases zero.
    "he": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
}


@torch.no_grad()
def initialise(part: nn.Module, init: str) -> None:
    """Draw the weights of all layers of a part anew, in place, from torch's global generator.

    A layer whose weights the part started at zero is meant to start there, and is left alone. Any other start that a
    part gives its layers is lost: what it is for must not depend on it.

    Args:
        part: any module; its layers are the linear and the convolutional ones.
        init: one of `INITIALISATIONS`.

    Raises:
        ValueError: an unknown name.
    """
    if not isinstance(init, str) or init not in INITIALISATIONS:
        raise ValueError(f"init must be one of {', '.join(INITIALISATIONS)}, got {init!r}")
    draw = INITIALISATIONS[init]
    if draw is None:
        return
    for layer in part.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d) and layer.weight.any():
            # A transposed convolution has its inputs where others have their outputs.
            draw(layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight)
            if layer.bias is not None:
                layer.bias.zero_()
