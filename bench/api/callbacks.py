"""Callbacks that send each epoch to where people watch their trainings. Each needs a package of its own, and says so.

A callback of your own is any function of the number of finished epochs, the row of the learning curve and the model."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import MachineError
from bench.pages.figures.pictures import visible

if TYPE_CHECKING:
    from bench.api.model import Model


def _needs(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MachineError(f"{extra} is not installed here; this needs it: pip install 'vaebench[{extra}]'") from error


def _figures(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items() if name != "epoch" and value is not None}


def _about(model: "Model") -> dict[str, Any]:
    return {
        "variant": model.about.variant or "own parts",
        **model.about.overrides,
        "data": model.about.data.get("name"),
    }


def _shown(model: "Model", images: NDArray[Any]) -> NDArray[Any]:
    """Images in the data's own units -> their first one or three channels in [0, 1]: those of real numbers or counts by
    their own range."""
    images, _ = visible(images)
    if model.spec.kind not in ("binary", "unit", "levels"):
        low, high = images.min(), images.max()
        return np.asarray((images - low) / (high - low if high > low else 1.0))
    return np.asarray(images if model.scaling is None else model.scaling.apply(images)).clip(0, 1)


class TensorBoard:
    """Curves, and a picture of samples where the data are images, for `tensorboard --logdir FOLDER`.

    Args:
        folder: where its files go.
        samples: so many examples from the model after each epoch; 0 draws none.

    Raises:
        MachineError: tensorboard is not installed.
    """

    def __init__(self, folder: str | Path, samples: int = 16) -> None:
        self.samples = samples
        self.writer = _needs("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(folder))

    def __call__(self, epoch: int, row: Mapping[str, Any], model: "Model") -> None:
        """After an epoch."""
        for name, value in _figures(row).items():
            self.writer.add_scalar(name, value, epoch)
        if self.samples and len(model.spec.shape) == 3:
            self.writer.add_images("samples", _shown(model, model.sample(self.samples)), epoch)
        self.writer.flush()


class MLflow:
    """Metrics of the active MLflow run, or of one that is begun.

    Args:
        experiment: its name; None takes the active one.
        uri: of the tracking store, such as a folder; None takes MLflow's own.

    Raises:
        MachineError: mlflow is not installed.
    """

    def __init__(self, experiment: str | None = None, uri: str | Path | None = None) -> None:
        self.mlflow = _needs("mlflow", "mlflow")
        if uri is not None:
            self.mlflow.set_tracking_uri(str(uri))
        if experiment is not None:
            self.mlflow.set_experiment(experiment)
        self.begun = False

    def __call__(self, epoch: int, row: Mapping[str, Any], model: "Model") -> None:
        """After an epoch."""
        if not self.begun:
            self.begun = True
            if self.mlflow.active_run() is None:
                self.mlflow.start_run()
            self.mlflow.log_params(_about(model))
        self.mlflow.log_metrics(_figures(row), step=epoch)


class WandB:
    """Metrics of a run of Weights & Biases. Offline unless another mode is asked for: nothing leaves this machine.

    Args:
        project: its name.
        mode: `"offline"`, `"online"` or `"disabled"`.
        options: of `wandb.init`.

    Raises:
        MachineError: wandb is not installed.
    """

    def __init__(self, project: str = "vaebench", mode: str = "offline", **options: Any) -> None:
        self.run = _needs("wandb", "wandb").init(project=project, mode=mode, **options)
        self.begun = False

    def __call__(self, epoch: int, row: Mapping[str, Any], model: "Model") -> None:
        """After an epoch."""
        if not self.begun:
            self.begun = True
            self.run.config.update(_about(model))
        self.run.log(_figures(row), step=epoch)
