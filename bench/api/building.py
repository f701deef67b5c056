"""Models with their initial weights."""

from collections.abc import Callable
from typing import Any

import torch

from bench import device as devices
from bench import seeds
from bench.api.about import About
from bench.api.model import Model
from bench.data import dataset
from bench.data.batches import Data
from bench.data.given.facts import Scaling
from bench.errors import UsageError
from variants import registry
from variants.core import VAE
from variants.data_spec import DataSpec
from variants.parts import assemble as put_together


def build(
    variant: str | Callable[..., VAE], data: Any, *, seed: int = 0, device: str = "auto", **keywords: Any
) -> Model:
    """A model with its initial weights.

    Args:
        variant: a registered name, or a recipe function.
        data: what `bench.dataset` takes, or the `DataSpec` of one example.
        seed: of the initial weights; the same as of a run with this seed.
        device: `auto`, or a device type.
        keywords: of the variant and its parts, such as `latent`.

    Raises:
        UsageError: in one line, for what cannot be built.
    """
    spec = data if isinstance(data, DataSpec) else (data := checked(data)).spec
    try:
        name = registry.known(variant)
        vae = registry.seeded(name, spec, seeds.derive(seed, "init"), **keywords)
    except (registry.RegistryError, TypeError, ValueError) as error:
        raise UsageError(str(error)) from error
    return _model(vae, data, name, keywords, device)


def assemble(
    data: Any,
    *,
    seed: int = 0,
    device: str = "auto",
    **parts: Any,
) -> Model:
    """A model of parts that are named or given, for one use; a recipe of your own is what can be compared.

    Args:
        data: what `bench.dataset` takes, or the `DataSpec` of one example.
        seed: of the initial weights of parts that are named.
        device: `auto`, or a device type.
        parts: `latent`, `network` or `encoder` and `decoder`, `posterior`, `prior`, `likelihood`, `objective`, and
            their options, see `variants.parts.assemble`.

    Raises:
        UsageError: in one line, for what cannot be put together.
    """
    spec = data if isinstance(data, DataSpec) else (data := checked(data)).spec
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seeds.derive(seed, "init"))
        try:
            vae = put_together(spec, **parts)
        except (TypeError, ValueError) as error:
            raise UsageError(str(error)) from error
    plain = {key: value for key, value in parts.items() if isinstance(value, int | float | str | list | tuple)}
    return _model(vae, data, None, plain, device)


def checked(data: Any) -> Data:
    """`bench.dataset`, which says of a bare shape what is missing."""
    if isinstance(data, tuple):
        raise UsageError(
            "give the data, or DataSpec(shape, kind): a shape alone does not say what kind of values it has"
        )
    return dataset(data)


def _model(vae: VAE, data: DataSpec | Data, name: str | None, keywords: dict[str, Any], device: str) -> Model:
    spec = data if isinstance(data, DataSpec) else data.spec
    about = About(variant=name, overrides=dict(keywords), data=facts_of(data))
    return Model(vae.to(devices.resolve(device)).eval(), spec, about, scaling_of(data))


# Of a spec with labels or pairs.
LABELS = ("classes", "labelled", "pairs")


def facts_of(data: DataSpec | Data) -> dict[str, Any]:
    """What a model keeps of its data."""
    spec = data if isinstance(data, DataSpec) else data.spec
    facts = {"shape": list(spec.shape), "kind": spec.kind, "size": spec.size, "levels": spec.levels}
    facts |= {key: value for key in LABELS if (value := getattr(spec, key))}
    if isinstance(data, DataSpec):
        return facts
    return facts | {
        "name": data.name,
        "binarise": data.binarise,
        "options": dict(data.options),
        "sha256": data.checksum,
    }


def scaling_of(data: DataSpec | Data) -> Scaling | None:
    """What leads from a user's values to those that are modelled; None where nothing does."""
    return None if isinstance(data, DataSpec) or data.scaling.plain else data.scaling
