"""A user's own data: from a file, a folder or an object to splits of one kind, with a line on what was decided.

| given | what is read |
| --- | --- |
| `.npz` | arrays `train`, and if you like `valid`, `test`, `train_labels`, `valid_labels`, `test_labels` |
| `.npy`, an array, a tensor, a mapping of arrays | one of the `layout.LAYOUTS` |
| `.csv`, `.tsv`, `.parquet`, a data frame | its numeric columns; `label` is the classes, `drop` what is left out |
| `.h5ad`, an AnnData | the matrix X, or a `layer`; `label` is a column of `obs` (needs anndata) |
| a folder of pictures | sub-folders are classes; `train`, `valid`, `test` are splits; `size` resizes |
| what Hugging Face's `datasets` saved, or its object | its images, or its numeric columns (needs datasets) |
| a `torch.utils.data.Dataset` | its examples, x or (x, label) |
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import SPLITS
from bench.data.files import at_home, one_line
from bench.data.given import arrays, kinds, layout, pictures, saved, splits, tables
from bench.data.given.facts import Facts, Scaling
from bench.data.given.memory import HELD, rows, take
from bench.data.given.saved import HUB
from bench.data.given.source import Source, coded, some, stem
from bench.errors import DataError

if TYPE_CHECKING:
    from bench.data.readers import Raw

# How many values of large data are looked at, evenly spaced.
LOOKED_AT = 1 << 28


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What may be said of a user's own data. None has it found, or is refused where it could be wrong.

    Attributes:
        test, valid: data like the first, instead of a tenth that is held out.
        labels, test_labels, valid_labels: a class for each example, where the data have none: `[N]`.
        kind: `"binary"`, `"unit"` (in [0, 1]), `"real"`, `"levels"` or `"counts"`.
        levels: L of the whole numbers from 0 to L - 1, for kind unit or levels.
        scale: `"none"`; `"unit"` brings the range of the training split to [0, 1]; `"standard"` takes off its mean and
            divides by its standard deviation. Both are by column or channel, but that all pixels have one range.
        layout: of an array: ND, NHW, NCHW, NHWC, NCT or NTC.
        size: of pictures: the side, or HxW.
        label: of a table: the column of classes.
        drop: of a table: columns that are left out.
        layer: of an AnnData, instead of X.
        image: of a Hugging Face data set, the column of images.
        name: what the data are called in tables, instead of the name of the file.
    """

    test: Any = None
    valid: Any = None
    labels: Any = None
    test_labels: Any = None
    valid_labels: Any = None
    kind: Any = None
    levels: Any = None
    scale: Any = None
    layout: Any = None
    size: Any = None
    label: Any = None
    drop: Any = ()
    layer: Any = None
    image: Any = None
    name: Any = None

    def __post_init__(self) -> None:
        drop = () if self.drop is None else self.drop
        if isinstance(drop, str | Real):
            drop = str(drop).split(",")
        object.__setattr__(self, "drop", tuple(str(each).strip() for each in drop))
        if self.levels is not None and (type(self.levels) is not int or not 2 <= self.levels <= 65_536):
            raise DataError(f"levels must be a whole number from 2 to 65536, got {self.levels!r}")
        for key in ("kind", "scale", "layout", "layer", "image", "name", "label"):
            value = getattr(self, key)
            if (value is not None and not isinstance(value, str | int)) or value == "":
                raise DataError(f"{key} must be a text, got {value!r}")


def prepare(given: Any, options: Options = Options()) -> "Raw":
    """Read data, decide what is to be decided, split and scale them.

    Returns:
        Splits with their `own` facts.

    Raises:
        DataError: they cannot be read, are no numbers, or could be read in two ways. One line: the file, column or
            axis, what was found, what is accepted, and the option that settles it.
        MachineError: a package is needed that is not installed.
    """
    from bench.data.readers import Raw

    source = _read(given, options)
    where = source.where
    arrays.check(source.arrays, where)
    kinds.check_finite(source.arrays, where, source.columns)
    seen = kinds.look(_sample(source.arrays))
    grey = (seen.low >= 0 and seen.high <= 1) or (seen.whole and seen.low >= 0 and seen.high <= kinds.WHITE)
    order = layout.settle(source.arrays["train"].shape, options.layout or source.layout, grey, f"{where}: train")
    held = {split: layout.arrange(array, order) for split, array in source.arrays.items()}
    if "C" in order:
        seen = kinds.look(_sample(held))  # by channel
    read = kinds.settle(seen, order, kind=options.kind, levels=options.levels, scale=options.scale, where=where)
    labels, classes = coded(source.labels, where)
    for split, array in held.items():
        if split in labels and len(labels[split]) != len(array):
            raise DataError(f"{where}: {split} has {len(array)} examples but {len(labels[split])} labels")
        labels.setdefault(split, np.zeros(len(array), dtype=np.int64))
    missing = tuple(split for split in ("test", "valid") if split not in held)
    if missing:
        whole, classes_of = held["train"], labels["train"]
        parts = splits.hold_out(classes_of, missing, where)
        held |= {split: take(whole, indices) for split, indices in parts.items()}
        labels |= {split: classes_of[indices] for split, indices in parts.items()}
    says = [*source.says]
    scaling = read.scaling
    if read.kind == "real" or options.scale == "unit":
        scaling = kinds.fit(held["train"], options.scale)
        says += _on_scale(held, scaling, options, source.columns)
        read = dataclasses.replace(read, scaling=scaling)
    kept = {split: _in_a_row(read.kept(held[split])) for split in SPLITS}
    if options.scale == "unit":
        kept, lines = _clipped(kept)
        says += lines
    twice = splits.duplicates(kept)
    says += [
        f"{n:,} of {len(kept[split]):,} {split} examples stand in an earlier split too" for split, n in twice.items()
    ]
    name = str(options.name or source.name)
    says.insert(0, _line(name, kept, order, read, missing, labels, classes))
    facts = Facts(name, read.kind, scaling, tuple(says), where, classes, source.columns, read.binarise)
    ordered = {split: labels[split] for split in SPLITS}
    return Raw(kept, ordered, read.white, checksum(kept, ordered, read.white, facts), given=facts)


def checksum(
    images: Mapping[str, NDArray[Any]], labels: Mapping[str, NDArray[np.int64]], white: int, facts: Facts
) -> str:
    """sha256 over what a model may see: kind and scaling, then images and labels of train, valid and test."""
    scaling = facts.plain()["scaling"]
    known = [facts.kind, facts.binarise, white, scaling, [[split, images[split].shape] for split in SPLITS]]
    digest = hashlib.sha256(json.dumps([*known, str(images["train"].dtype)]).encode())
    for split in SPLITS:
        step = rows(images[split])
        for i in range(0, len(images[split]), step):
            digest.update(np.ascontiguousarray(images[split][i : i + step]).tobytes())
        digest.update(labels[split].tobytes())
    return digest.hexdigest()


def _read(given: Any, options: Options) -> Source:
    source = _read_one(given, options)
    for split in ("valid", "test"):
        if (other := getattr(options, split)) is None:
            continue
        if split in source.arrays:
            raise DataError(f"{source.where}: has {split} already: leave {split}= out")
        more = _read_one(other, options)
        if set(more.arrays) != {"train"}:
            raise DataError(f"{more.where}: has splits of its own, and is given as {split}: give one array or table")
        if more.columns != source.columns:
            other_names = sorted(set(more.columns) ^ set(source.columns)) or ["their order"]
            raise DataError(f"{more.where}: has other columns than {source.where}: {some(other_names)}")
        source.arrays[split] = more.arrays["train"]
        if "train" in more.labels:
            source.labels[split] = more.labels["train"]
    for split, key in (("train", "labels"), ("valid", "valid_labels"), ("test", "test_labels")):
        if (given_labels := getattr(options, key)) is not None:
            if split not in source.arrays:
                raise DataError(f"{source.where}: {key} are of a split that is not given")
            source.labels[split] = arrays.as_array(given_labels)
    if source.labels and set(source.labels) != set(source.arrays):
        # A probe learns from one split and is judged on another, and p(x|c) needs c in each.
        lacking, labelled = (
            some(split for split in source.arrays if (split in source.labels) == there) for there in (False, True)
        )
        have = "has" if "," not in lacking else "have"
        if "train" in source.labels:
            source.says.append(f"{lacking} {have} no labels, so those of {labelled} are not used")
            source.labels.clear()
        else:
            source.says.append(f"{lacking} {have} no labels, and what needs them is not measured")
    return source


def _read_one(given: Any, options: Options) -> Source:
    label = None if options.label is None else str(options.label)
    table = {"label": label, "drop": options.drop}
    if isinstance(given, str) and given.startswith(HUB):
        return saved.read(given, given, stem(Path(given)), image=options.image, label=label, drop=options.drop)
    if isinstance(given, str | Path):
        return _read_path(at_home(given), options)
    module, kind = type(given).__module__.partition(".")[0], type(given).__name__
    where = f"the given {kind}"
    if kind == "AnnData":
        return tables.read_anndata(given, where, "data", label=label, layer=options.layer)
    if module == "datasets":
        return saved.read(given, where, "data", image=options.image, **table)  # type: ignore[arg-type]
    if module == "pandas":
        return tables.of_frame(given, where, "data", **table)  # type: ignore[arg-type]
    if isinstance(given, Mapping | np.ndarray) or hasattr(given, "detach") or (isinstance(given, list)):
        return arrays.read_array(given, where)
    if hasattr(given, "__getitem__"):
        return arrays.read_dataset(given, where)
    raise DataError(
        f"{where} is no data: give a path, an array, a tensor, a data frame, a data set of examples, or an AnnData"
    )


def _read_path(path: Path, options: Options) -> Source:
    label = None if options.label is None else str(options.label)
    ending = path.suffix.lower()
    try:
        folder, there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # no file may have such a name
        raise DataError(f"{path}: no such file ({one_line(error)})") from error
    if folder:
        if saved.is_saved(path):
            return saved.read(path, str(path), stem(path), image=options.image, label=label, drop=options.drop)
        return pictures.read_folder(path, options.size)
    if not path.is_file():
        raise DataError(f"{path}: no such file" if not there else f"{path}: no file and no folder")
    if ending == ".npz":
        return arrays.read_npz(path)
    if ending == ".npy":
        return arrays.read_npy(path)
    if ending == ".h5ad":
        return tables.read_anndata(path, str(path), stem(path), label=label, layer=options.layer)
    if ending in (".csv", ".tsv", ".txt", ".parquet", ".pq"):
        return tables.of_frame(tables.frame_of(path), str(path), stem(path), label=label, drop=options.drop)
    raise DataError(
        f"{path}: what ends in {ending or 'nothing'} is not read; give .npz, .npy, .csv, .tsv, .parquet, .h5ad, or a "
        "folder of pictures"
    )


def _in_a_row(array: NDArray[Any]) -> NDArray[Any]:
    """An array as it is hashed and written; one that lies in a file as it should stays there."""
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _sample(held: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """All of what is held in memory, and of larger arrays some, evenly spaced."""
    step = {split: max(1, array.size // LOOKED_AT if array.nbytes > HELD else 1) for split, array in held.items()}
    return {split: array[:: step[split]] for split, array in held.items()}


def _on_scale(
    held: Mapping[str, NDArray[Any]], scaling: Scaling, options: Options, columns: tuple[str, ...]
) -> list[str]:
    lines = []
    if scaling.how == "standard" and options.scale is None:
        lines.append("columns or channels are standardised, for they were not; scale=none leaves them")
    if same := kinds.constant(held["train"]):
        names = some(columns[i] if columns else str(i) for i in same)
        lines.append(
            f"{len(same)} of {held['train'].shape[1]} columns have one value in train ({names}): they say nothing"
        )
    return lines


def _clipped(kept: dict[str, NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Held-out values beyond the range of the training split, which no density on [0, 1] knows, are brought to it."""
    beyond = sum(int(((x < 0) | (x > 1)).sum()) for x in kept.values())
    lines = [f"{beyond:,} held-out values lie beyond the range of train and are set to its ends"] if beyond else []
    return {split: np.clip(x, 0, 1) for split, x in kept.items()}, lines


def _line(
    name: str,
    kept: Mapping[str, NDArray[Any]],
    order: str,
    read: "kinds.Reading",
    missing: tuple[str, ...],
    labels: Mapping[str, NDArray[np.int64]],
    classes: tuple[str, ...],
) -> str:
    """Splits, kind and scaling, in one line."""
    shape = kept["train"].shape[1:]
    sizes = ", ".join(f"{len(kept[split]):,} {split}" for split in SPLITS)
    number = len(classes) or len(np.unique(labels["train"]))
    how = "as given"
    if missing:
        how = f"{' and '.join(reversed(missing))} held out by a fixed permutation" + (", class by class" * (number > 1))
    kind = "levels" if read.binarise == "levels" else read.kind
    what = f"{layout.WORDS[len(shape) + 1]} of {' x '.join(map(str, shape))} ({order})"
    in_classes = f" in {number} classes" if number > 1 else ""
    return f"{name}: {sizes} {what}{in_classes}; splits {how}; kind {kind} ({read.words}); scale {read.scaling.how}"
