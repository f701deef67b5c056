"""How variants are compared: data, training, honest measurement, records, tables and plots.

    import bench as vb

    data = vb.data("mnist")
    model = vb.fit("conv", data, epochs=5)
    print(vb.evaluate(model, data)["elbo_nats"])

Nothing is imported until it is used. `vb.data` is the room of the data sets; to call it is to call `vb.dataset`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api.model import Model
    from bench.api.results import Results, results
    from bench.api.sweep import compare
    from bench.api.training import Scores, assemble, build, evaluate, fit
    from bench.data import dataset

__all__ = [
    "Model",
    "Results",
    "Scores",
    "assemble",
    "build",
    "compare",
    "dataset",
    "evaluate",
    "fit",
    "results",
]

# Name -> the module of `bench` that has it.
_HOMES = {
    "Model": "api.model",
    "Results": "api.results",
    "Scores": "api.training",
    "assemble": "api.training",
    "build": "api.training",
    "compare": "api.sweep",
    "data": "data",
    "dataset": "data",
    "evaluate": "api.training",
    "fit": "api.training",
    "results": "api.results",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    module = import_module(f"bench.{_HOMES[name]}")
    return module if name == "data" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
