"""Networks that somebody else has written: any pair of modules."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from variants.core.vae import part_name
from variants.data_spec import DataSpec
from variants.parts.networks import Decoder, Encoder, outputs


def own(encoder: nn.Module, decoder: nn.Module) -> Callable[..., tuple[Encoder, Decoder]]:
    """A network of two modules. Their weights stay as they are; one dry run finds the width of the features.

    Args:
        encoder: x `[B, *shape]` -> features `[B, H]`.
        decoder: z `[B, D]` -> `[B, *shape]`, or as many numbers in another shape, such as `[B, d]`; where the
            likelihood takes several numbers for each value, that many times more.
    """

    def network(data: DataSpec, latent: int, *, numbers: int = 1) -> tuple[Encoder, Decoder]:
        features = _tried("encoder", encoder, torch.zeros(2, *data.shape))
        if features.ndim != 2 or len(features) != 2:
            raise ValueError(
                f"the encoder gives {tuple(features.shape)} for examples {(2, *data.shape)}, should be (2, H): flatten "
                "what it gives"
            )
        shape = outputs(data, numbers)
        decoded = _tried("decoder", decoder, torch.zeros(2, latent))
        if decoded.shape[:1] != (2,) or decoded[0].numel() != torch.Size(shape).numel():
            raise ValueError(
                f"the decoder gives {tuple(decoded.shape)} for latents {(2, latent)}, should be {(2, *shape)}"
            )
        return Encoder(part_name(encoder), encoder, features.shape[1]), Decoder(decoder, shape)

    return network


@torch.no_grad()
def _tried(name: str, module: nn.Module, given: Tensor) -> Tensor:
    """What a module gives in evaluation mode; ValueError in one line if it fails."""
    training = module.training
    try:
        result = module.eval()(given)
    except Exception as error:
        words = " ".join(str(error).split())
        raise ValueError(f"the {name} cannot take {tuple(given.shape)}: {type(error).__name__}: {words}") from error
    finally:
        module.train(training)
    if not isinstance(result, Tensor):
        raise ValueError(f"the {name} gives a {type(result).__name__}, should be a tensor")
    return result
