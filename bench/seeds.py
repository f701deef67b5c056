"""One seed, several independent random streams: initialisation, data order, training noise and evaluation are paired
across variants, because each axis has a stream that no other axis can disturb."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Every model is judged with the same random numbers, whatever seed it was trained with, so no seed has luck with its
# draws. What one draw does to two models differs, though: the errors of two seeds correlate by 0.2 to 0.4, as measured,
# so the spread over seeds still holds part of the judge's own error, which has columns of its own.
JUDGE = 0


def derive(seed: int, axis: str) -> int:
    """A 63-bit seed for one axis (`"init"`, `"order"`, `"binarise"`, `"noise"`, `"evaluate"` ...) of a run."""
    return int.from_bytes(hashlib.sha256(f"{axis}:{seed}".encode()).digest()[:8], "big") >> 1


def generator(seed: int, axis: str, device: str = "cpu") -> torch.Generator:
    """A generator of its own for one axis, on `device`."""
    return torch.Generator(device).manual_seed(derive(seed, axis))


@contextmanager
def stream(seed: int, axis: str, device: str) -> Iterator[None]:
    """Draws inside come from the stream of that axis; the surrounding stream then goes on undisturbed."""
    kind = torch.device(device).type
    devices = [] if kind == "cpu" else [torch.accelerator.current_device_index()]
    with torch.random.fork_rng(devices=devices, device_type="cuda" if kind == "cpu" else kind):
        torch.manual_seed(derive(seed, axis))
        yield
