"""The pretend accelerator of `pretend.cpp` as torch's Python knows a device. `import torch` calls `load`, named by an
entry point in the group `torch.backends`; the rest is what torch asks of a device's module."""

import os
import sys

import torch


def load() -> None:
    torch.ops.load_library(os.environ["PRETEND_LIBRARY"])
    torch.utils.rename_privateuse1_backend("pretend")
    torch._register_device_module("pretend", sys.modules[__name__])
    torch.utils.generate_methods_for_privateuse1_backend(for_storage=True)


def is_available() -> bool:
    return True


def is_initialized() -> bool:
    return True


def device_count() -> int:
    return 1


def current_device() -> int:
    return 0


def _is_in_bad_fork() -> bool:
    return False


def manual_seed_all(seed: int) -> None:
    torch.ops.pretend.seed(seed)


def get_rng_state(_device: object = None) -> torch.Tensor:
    return torch.ops.pretend.get_state()


def set_rng_state(state: torch.Tensor, _device: object = None) -> None:
    torch.ops.pretend.set_state(state)
