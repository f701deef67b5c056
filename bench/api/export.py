"""A model's encoder and decoder for programs that know nothing of this one."""

import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.api.about import Described
from bench.errors import MachineError, UsageError
from bench.text import said

FORMS = {"torch": ".pt2", "onnx": ".onnx"}


class _Encoder(nn.Module):
    """x `[B, *shape]` in the data's units -> the mean of q(z|x), `[B, D]`."""

    def __init__(self, model: Described) -> None:
        super().__init__()
        self.vae, self.scaling = copy.deepcopy(model.vae).cpu().eval(), model.scaling

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = self.vae.infer(x if self.scaling is None else self.scaling.apply(x)).mean
        return mean


class _Decoder(_Encoder):
    """z `[B, D]` -> the mean of p(x|z) in the data's units, `[B, *shape]`."""

    def forward(self, z: Tensor) -> Tensor:
        mean: Tensor = self.vae.decode(z).mean
        return mean if self.scaling is None else self.scaling.undo(mean)


def export(model: Described, folder: Path, form: str) -> tuple[Path, Path]:
    """See `Model.export`."""
    if form not in FORMS:
        raise UsageError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
    missing = [name for name in ("onnx", "onnxscript") if form == "onnx" and find_spec(name) is None]
    if missing:
        raise MachineError(f"{missing[0]} is not installed here; this needs it: pip install 'vaebench[onnx]'")
    if model.vae.conditional:
        raise UsageError("a model of p(x|c) cannot be exported: its encoder needs the class as well")
    # Two examples: of one, an axis of one might be taken for a constant.
    x = torch.zeros(2, *model.spec.shape)
    encoder, decoder = _Encoder(model), _Decoder(model)
    with torch.no_grad():
        z = encoder(x)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, module, example in (("encoder", encoder, x), ("decoder", decoder, z)):
        path = folder / f"{name}{FORMS[form]}"
        try:
            _write(module, example, path, form)
        except Exception as error:
            raise UsageError(f"the {name} cannot be exported: {said(error)}") from error
        paths.append(path)
    return paths[0], paths[1]


def _write(module: nn.Module, example: Tensor, path: Path, form: str) -> None:
    dynamic: Any = ({0: torch.export.Dim("examples")},)
    # A distribution checks its arguments by their values, which nobody knows when a graph is drawn.
    checks = torch.distributions.Distribution._validate_args
    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        with torch.no_grad():
            program = torch.export.export(module, (example,), dynamic_shapes=dynamic)
            if form == "torch":
                torch.export.save(program, path)
            else:
                torch.onnx.export(program, (), str(path), dynamo=True, external_data=False, verbose=False)
    finally:
        torch.distributions.Distribution.set_default_validate_args(checks)
