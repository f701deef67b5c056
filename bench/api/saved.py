"""Reading what `bench.api.written` and the runs of a suite have written."""

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from torch import Tensor

from bench import data
from bench import device as devices
from bench.api.about import About
from bench.api.building import LABELS, assemble, build, facts_of, scaling_of
from bench.api.model import Model
from bench.api.written import CARD, CONFIG, FORMAT, WEIGHTS, Config, answers_of, hub
from bench.cells import weights
from bench.data.given.facts import Scaling
from bench.disk.files import read_bytes, read_text
from bench.errors import DataError, UsageError
from bench.records.names import row_of
from bench.records.record import Record
from bench.records.store import read_all
from bench.resume import sealed
from bench.settings import convert
from bench.text import said
from variants.data_spec import DataSpec
from variants.parts import part_names

HUB = "hf://"
# Answers on another processor differ by rounding, which grows through a network.
TOLERANCE = 1e-3


def load(
    source: str | Path,
    variant: str | None = None,
    seed: int = 0,
    *,
    dataset: str | None = None,
    device: str = "auto",
    **given: Any,
) -> Model:
    """A trained model.

    Args:
        source: a folder of `Model.save`, `"hf://me/my-vae"`, or a results folder.
        variant: of a results folder, which: a name, a row as its tables call it, or the id of a record.
        seed: of a results folder, which run.
        dataset: of a results folder with several data sets, which.
        device: `auto`, or a device type.
        given: `encoder=` and `decoder=` of a model that was assembled of somebody's own networks.

    Raises:
        UsageError: there is no such model, or this code makes another one of it: in one line.
        DataError: its files are damaged.
    """
    if str(source).startswith(HUB):
        return from_pretrained(str(source).removeprefix(HUB), device=device, **given)
    folder = Path(source)
    if (folder / CONFIG).is_file():
        if variant is not None:
            raise UsageError(f"{folder} holds one model: leave the variant out")
        return _read(folder, device, given)
    if (folder / "runs").is_dir():
        return _of_run(folder, variant, seed, dataset, device)
    raise UsageError(f"{folder} holds no model: it has neither {CONFIG} nor runs/")


def from_pretrained(name: str | Path, *, device: str = "auto", **given: Any) -> Model:
    """`load` of a folder, or of a repository of huggingface.co; what was had from there before needs no network.

    Raises:
        As `load`.
        DataError: the repository cannot be had.
        MachineError: `huggingface_hub` is not installed.
    """
    if Path(name).is_dir():
        return load(name, device=device, **given)
    download = hub().snapshot_download
    try:
        folder = download(str(name), allow_patterns=[CONFIG, WEIGHTS, CARD])
    # It raises what it and its HTTP library like.
    except Exception as error:
        line = f"{name} is no folder here, and cannot be had from huggingface.co: {said(error)}"
        raise DataError(line) from error
    return load(folder, device=device, **given)


def finished(folder: Path, asked: dict[str, Any], device: str) -> Model | None:
    """The model of a training that was finished before; UsageError if the folder holds another one."""
    if not (folder / CONFIG).is_file():
        return None
    config = _config(folder)
    if config.about.training.get("asked") != json.loads(json.dumps(asked, default=repr)):
        raise UsageError(f"{folder} holds a model of other settings or data: choose another folder, or remove it")
    return _read(folder, device, {})


def _config(folder: Path) -> Config:
    try:
        plain = json.loads(read_text(folder / CONFIG))
        if isinstance(plain, dict) and plain.get("format") != FORMAT:
            raise UsageError(f"{folder / CONFIG} has the format {plain.get('format')!r}, and this code knows {FORMAT}")
        return convert(Config, plain, CONFIG)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / CONFIG} cannot be read: {error}") from error


def _read(folder: Path, device: str, given: dict[str, Any]) -> Model:
    config = _config(folder)
    try:
        content = read_bytes(folder / WEIGHTS, math.inf, follow=True)
        tensors = read_tensors(content)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{folder / WEIGHTS} cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != config.sha256:
        raise DataError(f"{folder / WEIGHTS} is not the file that {CONFIG} speaks of: it is damaged, or another's")
    facts = config.about.data
    spec = DataSpec(tuple(facts["shape"]), facts["kind"], facts["size"], levels=facts.get("levels"))
    spec = replace(spec, **{key: facts[key] for key in LABELS if key in facts})
    model = _filled(folder, config.about, spec, tensors, given)
    model.scaling = _scaling(config.scaling)
    if part_names(model.vae) != config.parts:
        differs = [role for role, name in part_names(model.vae).items() if config.parts.get(role) != name]
        raise UsageError(f"{folder}: this code builds another {', '.join(differs)}: use vaebench {_made_by(config)}")
    answers = answers_of(model)
    same = len(answers) == len(config.answers) and all(
        math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE) for a, b in zip(answers, config.answers, strict=True)
    )
    if not same:
        raise UsageError(f"{folder}: with this code the model gives other numbers: use vaebench {_made_by(config)}")
    return model.to(devices.resolve(device))


def _made_by(config: Config) -> str:
    return f"{config.versions.get('vaebench')} and torch {config.versions.get('torch')}"


def _filled(folder: Path, about: About, spec: DataSpec, tensors: dict[str, Tensor], given: dict[str, Any]) -> Model:
    """A model built anew and given its weights, on the CPU."""
    try:
        if about.variant is None:
            model = assemble(spec, device="cpu", **about.overrides, **given)
        else:
            model = build(about.variant, spec, device="cpu", **about.overrides, **given)
    except UsageError as error:
        raise UsageError(f"{folder} cannot be built here: {error}") from error
    state = model.vae.state_dict()
    wrong = sorted(state.keys() ^ tensors.keys()) or [k for k, t in state.items() if t.shape != tensors[k].shape]
    if wrong:
        own = "" if about.variant else "; give its own networks as encoder= and decoder="
        raise UsageError(f"{folder}: the weights are those of another model, they differ in {wrong[0]}{own}")
    model.vae.load_state_dict(tensors)
    model.about = about
    model.vae.eval()
    return model


def _of_run(folder: Path, variant: str | None, seed: int, dataset: str | None, device: str) -> Model:
    records = [record for record in read_all(folder)[0] if record.kind == "quality"]
    names = sorted({row_of(record.cell) for record in records})
    if variant is None:
        raise UsageError(f"{folder} holds runs: name the variant, one of {', '.join(names)}")
    if named := [r for r in records if variant == r.id]:
        return _model_of(folder, named[0], device)
    exact = [r for r in records if variant == row_of(r.cell)]
    fits = exact or [r for r in records if variant == r.cell["variant"]]
    fits = [r for r in fits if r.cell["seed"] == seed and dataset in (None, r.cell["dataset"])]
    if not fits:
        raise UsageError(f"no run of {variant!r} with seed {seed} in {folder}: there are {', '.join(names)}")
    if len(fits) > 1:
        about = ", ".join(r.id for r in fits)
        raise UsageError(f"{len(fits)} runs of {variant!r} with seed {seed} in {folder}: name one of {about}")
    return _model_of(folder, fits[0], device)


def _model_of(folder: Path, record: Record, device: str) -> Model:
    cell = record.cell
    file = folder / "weights" / record.weights if record.weights else weights.path(folder, cell)
    if not file.is_file():
        raise UsageError(f"{record.id} has no weights here ({file.name} is not in {file.parent}): run it again")
    try:
        tensors, training = sealed.read(file, sealed.Trained)
    except ValueError as error:
        raise DataError(f"{file} {error}") from error
    loaded = data.load(cell["dataset"], binarise=cell["binarise"], **cell["data_options"])
    if record.provenance.data_sha256 not in (None, loaded.checksum):
        raise UsageError(f"{record.id} was trained on other data than {cell['dataset']} holds now")
    about = About(
        variant=cell["variant"],
        overrides=cell["overrides"],
        data=facts_of(loaded),
        training={key: cell[key] for key in ("budget", "seed", "device", "precision")} | training["provenance"],
        curve=list(record.curve),
        scores={name: value for name, value in record.metrics.items() if not isinstance(value, msgspec.Struct)},
        errors=record.errors,
    )
    model = _filled(file, about, loaded.spec, tensors, {})
    model.scaling = scaling_of(loaded)
    return model.to(devices.resolve(device))


def _scaling(plain: dict[str, Any] | None) -> Scaling | None:
    if plain is None:
        return None
    return Scaling(plain["how"], np.asarray(plain["shift"]), np.asarray(plain["factor"]))
