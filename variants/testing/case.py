"""One variant on one data spec, and what every check needs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from variants.core.batch import Batch
from variants.core.bounds import elbo, iwae
from variants.core.terms import Terms
from variants.core.vae import VAE
from variants.data_spec import DataSpec, Kind

STANDARD_ERRORS = 4.0

# An odd-sized grey image, a colour image and a vector: what a shape mistake trips over.
SPECS = (DataSpec((1, 5, 7), "binary", 40), DataSpec((3, 6, 6), "unit", 40), DataSpec((8,), "real", 40))
# For variants that are for none of these.
OTHER_SPECS = (
    DataSpec((3, 4, 5), "levels", 40, levels=5),
    DataSpec((7,), "counts", 40),
    DataSpec((1, 5, 4), "binary", 40, classes=3, pairs=True),
)
# Two dimensions: few enough to integrate a density over all of them.
TINY = {
    "binary": DataSpec((1, 1, 2), "binary", 40),
    "unit": DataSpec((1, 1, 2), "unit", 40),
    "real": DataSpec((2,), "real", 40),
    "levels": DataSpec((1, 1, 2), "levels", 40, levels=5),
    "counts": DataSpec((2,), "counts", 40),
}
# Data kinds on which a likelihood of each support is a density.
FITS: dict[Kind, tuple[Kind, ...]] = {
    "binary": ("binary",),
    "unit": ("binary", "unit"),
    "real": ("binary", "unit", "real"),
    "levels": ("levels",),
    "counts": ("counts",),
}

BATCH = 4
DRAWS = 1024
# The step is past the end of any warm-up, so that no term of a loss has weight zero.
LATE = 1e9


class ConformanceError(AssertionError):
    """A variant breaks a rule. One line: the variant, the data, the check, and the numbers."""


@dataclass(frozen=True)
class Case:
    """One variant on one data spec."""

    name: str
    recipe: Callable[..., VAE]
    data: DataSpec
    overrides: dict[str, Any] = field(default_factory=dict)

    def model(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> VAE:
        """A fresh model, in training mode."""
        with seeded(seed):
            model = self.recipe(self.data, **self.overrides)
        return model.to(dtype) if isinstance(model, VAE) else model

    def batch(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> Batch:
        """Random data of the right kind, with classes where these are of such."""
        x = self.examples(seed, dtype)
        c = None if self.data.classes is None else torch.arange(BATCH) % self.data.classes
        return Batch(x, c=c)

    def small(self) -> "Case":
        """The same on two data dimensions."""
        data = replace(TINY[self.data.kind], classes=self.data.classes, pairs=self.data.pairs)
        return replace(self, data=data)

    def examples(self, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Its x, `[B, *shape]`."""
        generator = torch.Generator().manual_seed(seed)
        shape = (BATCH, *self.data.shape)
        if self.data.kind == "real":
            return torch.randn(shape, generator=generator, dtype=dtype)
        x = torch.rand(shape, generator=generator, dtype=dtype)
        if self.data.kind == "counts":
            return (-3 * x.log()).floor()
        if self.data.levels is not None:
            return (x * self.data.levels).floor() / (self.data.levels - 1)
        return x.round() if self.data.kind == "binary" else x

    @cached_property
    def judged(self) -> Terms:
        """What the judge sees of a fresh model: evaluation mode, float64, many samples."""
        with torch.no_grad(), seeded(3):
            return self.model(dtype=torch.float64).eval().terms(self.batch(dtype=torch.float64), DRAWS)

    def run(self, check: "Callable[[Case], None]") -> None:
        """One check; whatever it raises becomes a one-line ConformanceError."""
        title = check.__name__.lstrip("_").replace("_", " ")
        try:
            check(self)
        except Broken as broken:
            raise self.error(title, str(broken)) from None
        except Exception as error:
            raise self.error(title, f"raised {one_line(error)}") from error

    def unchanged(self, before: dict[str, Any]) -> None:
        """ConformanceError if torch's global state is not what it was."""
        for what, now in global_state().items():
            if now != before[what]:
                raise self.error("global state", f"the {what} was {before[what]} and is now {now}")

    def error(self, check: str, message: str) -> ConformanceError:
        """The one line."""
        return ConformanceError(
            f"variant {self.name!r} on {self.data.kind} data {self.data.shape}, check {check!r}: {message}"
        )


class Broken(Exception):
    """A rule that does not hold; the case adds whose it is."""


def hold(condition: bool | Tensor, message: str) -> None:
    """The check fails with this message unless the condition is true."""
    if not condition:
        raise Broken(message)


def one_line(error: BaseException) -> str:
    """Type and message of an error, without line breaks."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def global_state() -> dict[str, Any]:
    """What of torch is global and must be left alone."""
    return {
        "default dtype": torch.get_default_dtype(),
        "number of threads": torch.get_num_threads(),
        "gradient mode": torch.is_grad_enabled(),
        "default device": str(torch.get_default_device()),
        "validation of distributions": Distribution._validate_args,
    }


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's CPU stream at this seed; as it was afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def numbers(model: VAE, x: Batch, seed: int = 7) -> dict[str, Tensor]:
    """Everything that a model yields for a batch, with one seed for the sampling."""
    with torch.no_grad(), seeded(seed):
        terms = model.terms(x, 3)
        numbers = {"z": terms.z, "log_px_z": terms.log_px_z}
        if model.has_bound:
            # What is relaxed in training may have a KL and no density.
            if getattr(terms.q, "has_density", True):
                numbers |= {"log_pz": terms.log_pz, "log_qz_x": terms.log_qz_x, "iwae": iwae(terms)}
            numbers |= {"kl": terms.kl, "elbo": elbo(terms)}
        numbers |= {"loss": model.loss(x, LATE), "reconstruct": model.reconstruct(x), "sample": model.sample(5)}
        return numbers
