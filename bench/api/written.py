"""Models on the disk: a folder that says what the model is, and refuses code that would make another of it.

| file | what it holds |
| --- | --- |
| `config.json` | variant, keywords, data, scaling, training, versions, scores, the weights' sum, and a few answers |
| `model.safetensors` | the weights |
| `README.md` | the model card |

The answers are what the model gives for a made-up batch. Who loads it computes them again: code that is equal where it
matters may differ elsewhere, and code that looks alike may give other numbers.
"""

import hashlib
import json
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import torch
from safetensors.torch import save as write_tensors

from bench.api.about import About, Described, judged
from bench.data.sets import SETS
from bench.disk.files import write_bytes
from bench.errors import DataError, MachineError
from bench.judge.bounds import given
from bench.records import provenance
from bench.records.names import row_name
from bench.text import said
from variants import registry
from variants.parts import part_names

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = 1
LICENCE = (
    "The code is under the MIT licence; of the weights, what the licence of their training data says of works made "
    "from them holds too."
)


class Config(msgspec.Struct, kw_only=True):
    """What `config.json` holds."""

    format: int
    about: About
    parts: dict[str, str]
    scaling: dict[str, Any] | None
    versions: dict[str, str | None]
    licence: str
    sha256: str
    answers: list[float]


def save(model: Described, folder: Path) -> Path:
    """See `Model.save`."""
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.vae.state_dict().items()}
    content = write_tensors(state, metadata={"format": "pt"})
    scaling = None if model.scaling is None else _plain_scaling(model.scaling)
    config = Config(
        format=FORMAT,
        about=model.about,
        parts=part_names(model.vae),
        scaling=scaling,
        versions=provenance.provenance()["versions"],
        licence=_licence(model),
        sha256=hashlib.sha256(content).hexdigest(),
        answers=answers_of(model),
    )
    text = json.dumps(msgspec.to_builtins(config), indent=1, default=repr) + "\n"
    # The config comes last: without it, what a kill leaves is no model.
    write_bytes(folder / WEIGHTS, content)
    write_bytes(folder / CARD, _card(model, config).encode())
    write_bytes(folder / CONFIG, text.encode())
    return folder


def push(model: Described, repository: str, **options: Any) -> str:
    """See `Model.push_to_hub`."""
    api = hub().HfApi()
    with TemporaryDirectory() as folder:
        save(model, Path(folder))
        try:
            api.create_repo(repository, exist_ok=True, **options)
            return str(api.upload_folder(repo_id=repository, folder_path=folder))
        # It raises what it and its HTTP library like.
        except Exception as error:
            raise DataError(f"{repository}: cannot be uploaded to huggingface.co: {said(error)}") from error


def hub() -> Any:
    """The package `huggingface_hub`. MachineError where it is not installed."""
    try:
        return import_module("huggingface_hub")
    except ImportError as error:
        line = "huggingface_hub is not installed here; this needs it: pip install 'vaebench[hub]'"
        raise MachineError(line) from error


def answers_of(model: Described) -> list[float]:
    """A few numbers that a model gives for a made-up batch: all of its networks have their part in them."""
    before = next(model.vae.parameters()).device
    model.vae.cpu()
    place = torch.arange(2 * model.spec.dims, dtype=torch.float32)
    x = (0.5 + 0.5 * torch.sin(place * 12.9898)).reshape(2, *model.spec.shape)
    x = x.round() if model.spec.kind in ("binary", "levels") else (3 * x).round() if model.spec.kind == "counts" else x
    try:
        with judged(model.vae):
            mean = model.vae.infer(given(model.vae, x, torch.arange(2))).mean
            decoded = model.vae.decode(mean).mean
        values = [mean.mean(), mean.square().mean(), decoded.mean(), decoded.square().mean()]
        return [float(value) for value in values]
    finally:
        model.vae.to(before)


def _plain_scaling(scaling: Any) -> dict[str, Any]:
    shift, factor = (torch.as_tensor(part, dtype=torch.float64).tolist() for part in (scaling.shift, scaling.factor))
    return {"how": scaling.how, "shift": shift, "factor": factor}


def _licence(model: Described) -> str:
    name = model.about.data.get("name")
    known = f" Training data: {name}, {SETS[name].licence}." if name in SETS else ""
    return f"{LICENCE}{known}"


def _card(model: Described, config: Config) -> str:
    """The model card: what it is, what it was trained on, how good it is, how to load it."""
    about, name = model.about, model.about.variant or "own parts"
    row = registry.get(name).describe() if name in registry.recipes() else {}
    data = about.data
    lines = ["---", "library_name: vaebench", "tags: [variational-autoencoder, vaebench]", "---", ""]
    lines += [f"# {row_name(name, about.overrides)}", "", str(row.get("summary") or "A variational autoencoder."), ""]
    use = f"z = model.embed({'x, c' if model.vae.conditional else 'x'})"
    lines += ["```python", "import bench as vb", "", 'model = vb.load("this/folder")', use, "```", ""]
    shape = " x ".join(map(str, data["shape"]))
    facts = {
        "data": f"{data.get('name', 'not said')}, {data['kind']} values of shape {shape}",
        "binarisation": data.get("binarise"),
        "scaling": None if config.scaling is None else f"{config.scaling['how']}, fitted on the training split",
        "parts": ", ".join(f"{role} {part}" for role, part in config.parts.items()),
        "paper": row.get("paper"),
        "budget": ", ".join(f"{key} {value}" for key, value in about.training.get("budget", {}).items()),
        "seed": about.training.get("seed"),
        "made with": ", ".join(f"{key} {value}" for key, value in config.versions.items()),
        "licence": config.licence,
    }
    lines += ["| | |", "| --- | --- |"]
    lines += [f"| {key} | {value} |" for key, value in facts.items() if value not in (None, "")]
    scores = {key: value for key, value in about.scores.items() if isinstance(value, int | float)}
    lines += ["", "## Scores on the test split", ""]
    if not scores:
        return "\n".join([*lines, "Not measured: `bench.evaluate` has not been asked.", ""])
    lines += ["| metric | value | error of the draws | error of the choice of test examples |"]
    lines += ["| --- | --- | --- | --- |"]
    for key, value in scores.items():
        errors = [about.errors.get(key, {}).get(kind) for kind in ("mc", "test")]
        shown = ["" if error is None else f"{error:.2g}" for error in errors]
        lines.append(f"| {key} | {value:.6g} | {shown[0]} | {shown[1]} |")
    return "\n".join([*lines, "", "docs/metrics.md of vaebench defines each.", ""])
