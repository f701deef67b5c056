"""What is compared: a registry of variational autoencoders over one common ELBO core."""

from variants.data_spec import DataSpec
from variants.registry import Recipe, RegistryError, build, get, names, register

__all__ = ["DataSpec", "Recipe", "RegistryError", "build", "get", "names", "register"]
