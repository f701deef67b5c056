"""How variants are compared: data, training, honest measurement, records, tables and plots.

    import bench as vb

    data = vb.data("mnist")
    model = vb.fit("conv", data, epochs=5)
    print(vb.evaluate(model, data)["elbo_nats"])

Nothing is imported until it is used. `vb.data` is the room of the data sets; to call it is to call `vb.dataset`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bench.errors import check_platform

if TYPE_CHECKING:
    from bench.api.building import assemble, build
    from bench.api.callbacks import MLflow, TensorBoard, WandB
    from bench.api.estimator import VAETransformer
    from bench.api.model import Model
    from bench.api.results import Results, results
    from bench.api.saved import from_pretrained, load
    from bench.api.sweep import compare
    from bench.api.training import Scores, evaluate, fit, udr
    from bench.data import dataset
    from variants import DataSpec, register

__all__ = [
    "DataSpec",
    "MLflow",
    "Model",
    "Results",
    "Scores",
    "TensorBoard",
    "VAETransformer",
    "WandB",
    "assemble",
    "build",
    "compare",
    "dataset",
    "evaluate",
    "fit",
    "from_pretrained",
    "load",
    "register",
    "results",
    "udr",
]

# Name -> the module that has it.
_HOMES = {
    "DataSpec": "variants",
    "MLflow": "bench.api.callbacks",
    "Model": "bench.api.model",
    "Results": "bench.api.results",
    "Scores": "bench.api.training",
    "TensorBoard": "bench.api.callbacks",
    "VAETransformer": "bench.api.estimator",
    "WandB": "bench.api.callbacks",
    "assemble": "bench.api.building",
    "build": "bench.api.building",
    "compare": "bench.api.sweep",
    "data": "bench.data",
    "dataset": "bench.data",
    "evaluate": "bench.api.training",
    "fit": "bench.api.training",
    "from_pretrained": "bench.api.saved",
    "load": "bench.api.saved",
    "register": "variants",
    "results": "bench.api.results",
    "udr": "bench.api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    check_platform()
    module = import_module(_HOMES[name])
    return module if name == "data" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
