"""Named data sets: fixed splits, checked bytes, stated binarisation.

| name | shape | train | valid | test | splits made of | binarise |
| --- | --- | --- | --- | --- | --- | --- |
| mnist | 1 x 28 x 28 | 50,000 | 10,000 | 10,000 | train file in a row; test file | dynamic |
| fashion_mnist | 1 x 28 x 28 | 50,000 | 10,000 | 10,000 | as mnist | dynamic |
| kmnist | 1 x 28 x 28 | 50,000 | 10,000 | 10,000 | as mnist | dynamic |
| omniglot | 1 x 28 x 28 | 22,722 | 1,623 | 8,115 | drawers 1-14, 15 and 16-20 of each character | dynamic |
| digits | 1 x 8 x 8 | 1,297 | 250 | 250 | in a row | dynamic |
| photographs32 | 3 x 32 x 32 | 1,200 | 200 | 200 | crops of two photographs, which overlap | none |
| photographs64 | 3 x 64 x 64 | 1,200 | 200 | 200 | as photographs32 | none |
| photographs128 | 3 x 128 x 128 | 1,200 | 200 | 200 | as photographs32 | none |
| breast_cancer | 30 | 455 | 57 | 57 | in a row | none |
| cifar10 | 3 x 32 x 32 | 45,000 | 5,000 | 10,000 | training batches in a row; test batch | none |
| svhn | 3 x 32 x 32 | 65,257 | 8,000 | 26,032 | train file in a row; test file; no extra | none |
| celeba | 3 x 64 x 64 | 162,770 | 19,867 | 19,962 | the authors' partition | none |
| linear_gaussian | 16 | 8,000 | 1,000 | 1,000 | in a row | none |
| flow_data | 16 | 8,000 | 1,000 | 1,000 | in a row | none |
| tiny_sbn | 16 | 8,000 | 1,000 | 1,000 | in a row | none |
| teacher | 16 | 8,000 | 1,000 | 1,000 | in a row | none |
| gaussian_mixture | 16 | 8,000 | 1,000 | 1,000 | in a row | none |
| moons | 2 | 8,000 | 1,000 | 1,000 | in a row | none |
| rings | 2 | 8,000 | 1,000 | 1,000 | in a row | none |
| pinwheel | 2 | 8,000 | 1,000 | 1,000 | in a row | none |
| eight_gaussians | 2 | 8,000 | 1,000 | 1,000 | in a row | none |
| spiral | 2 | 8,000 | 1,000 | 1,000 | in a row | none |
| sprites | 1 x 32 x 32 | 16,000 | 2,000 | 2,000 | different combinations of factors | none |
| xy_squares | 3 x 64 x 64 | 16,000 | 2,000 | 2,000 | different combinations of factors | none |
| solids | 3 x 64 x 64 | 16,000 | 2,000 | 2,000 | different combinations of factors | none |
| affine_digits | 1 x 40 x 40 | 16,000 | 2,000 | 2,000 | of MNIST's splits, different maps | none |
| counts | 16 | 8,000 | 1,000 | 1,000 | in a row | none |

Omniglot is not the 28 x 28 matrix of Burda et al. (2016), and its numbers do not compare with theirs:
pages are shrunk by area average and ink is white. CelebA's aligned faces are cropped to the middle 148 x
148 and resized to 64 x 64; it is streamed from its archive, everything else lies on the device.
The crops of the two photographs overlap: they show what training stands, and rank no variants.
The columns of `breast_cancer` are standardised. `linear_gaussian` takes the options d, k, noise (a variance),
orthogonal and n, `flow_data` d, k, noise and n, `tiny_sbn`, which is binary, d, bits and n, `teacher` d, noise and n,
`gaussian_mixture` d, classes and n, the sets of the plane n, `counts`, which are whole numbers, d, clusters, dispersion
and n; they come with their exact density (`Data.truth`).

`sprites`, which is binary, `xy_squares`, `solids` and `affine_digits` come with the factors that each image was made
from (`Data.factors`); they take the option n. No two examples have the same combination, so that the test combinations
are new to a model. With `pairs=1` training examples of the first three come in pairs that differ in one factor, with 2
in two, and stay side by side in every batch; then one combination may come twice in training, and none of the test.

Sets with classes for labels take `labelled=n`: so many training examples, as many of each class as can be, show their
label to an objective that uses labels. Both options make another comparison group; at 0, their default, they change
nothing.

Binarisations: "dynamic" draws every training batch afresh, P(pixel = 1) = grey value, and evaluates on
the images of "fixed"; "fixed" draws all splits once, the same for everybody; "threshold" is 1 from a grey
value of one half; "none" keeps grey values in [0, 1].

What grey values are taken for: "none" for numbers in [0, 1]; "levels" for the L values k / (L - 1), of which p(x|z) has
probabilities, in bits per dimension as in the literature; "dequantise" for (k + u) / L with uniform noise u, afresh for
every training batch and once for evaluation, of which p(x|z) is a density. L is 256, and 17 of digits.

Your own data: the path of a file or a folder instead of a name, or an object given to `own`; what is read, and
what may be said of it, stands in `bench.data.given`. They stay as they are unless a binarisation is asked
for. In records they are called NAME-DIGEST, after their file and what they hold, so that two files of one
name are two data sets, and one file by two paths is one. Without `test` a tenth of `train` is held out for it
by a fixed permutation, class by class, and without `valid` as many again.

Files lie under the data root in a folder of the data set's name: $VAEBENCH_DATA, else `vaebench` in the
XDG cache folder. What is missing is downloaded there. Files are checked when they are read, by the sha256
of the unpacked bytes where it is known, else by the md5 of the archive that torchvision states.
`Data.checksum` is the sha256 over images then labels (int64) of train, valid and test; for celeba over
the sha256 digests of its two files; for your own data over their kind and scaling too.
"""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bench.data.entry import tenths
from bench.data.files import fetch as _fetch
from bench.data.files import folder_of, missing
from bench.data.sets import SETS, check_binarise, check_options, find
from bench.data.users import OPTIONS, STORED, Chosen, choose, file_of, is_user_file, own, store
from bench.data.users import loaded as _loaded
from bench.data.users import read as _own
from bench.data.users import spec as _own_spec
from bench.errors import DataError
from bench.text import printable
from variants.data_spec import DataSpec, Kind

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from bench.data.batches import Data, Truth
    from bench.data.readers import Raw

__all__ = [
    "OPTIONS",
    "Chosen",
    "choose",
    "default_binarise",
    "describe",
    "fetch",
    "file_of",
    "is_user_file",
    "keep",
    "load",
    "names",
    "own",
    "spec",
    "store",
    "takes",
    "unread",
    "verify",
]

# Data sets that `keep` has read, by name.
_kept: "dict[str, Raw]" = {}


def names() -> list[str]:
    """The names of the data sets."""
    return list(SETS)


def default_binarise(name: str) -> str:
    """The binarisation that a data set has unless another is asked for.

    Raises:
        UsageError: if there is no such data set.
    """
    return _own(name, {}).facts.binarise if is_user_file(name) else find(name).binarise


def takes(name: str) -> tuple[str, ...]:
    """The options that a data set takes, by name; those of a user's own data by their path.

    Raises:
        UsageError: if there is no such data set.
    """
    return OPTIONS if is_user_file(name) else tuple(find(name).takes)


def spec(name: str, binarise: str | None = None, **options: object) -> DataSpec:
    """Shape and kind of one example, number of training examples; reads a file, but a named data set only for its mean.

    Raises:
        UsageError: on an unknown name, binarisation or option.
        DataError: if a user's file cannot be read.
    """
    if is_user_file(name):
        return _own_spec(_own(name, options), binarise)
    how, resolved = _resolve(name, binarise, options)
    if find(name).maker:
        shape = (int(resolved["d"]),) if "d" in resolved else find(name).shape
        result = _spec(name, how, shape, tenths(int(resolved["n"]))["train"], resolved)
    else:
        result = _spec(name, how, find(name).shape, find(name).splits["train"], resolved)
    return replace(result, mean=partial(_mean, name, how, tuple(resolved.items())))


def unread(spec: DataSpec) -> DataSpec:
    """A spec with zeros for its mean, which cost no reading: for a model that is built but not trained."""
    return replace(spec, mean=partial(_zeros, spec.shape))


def _zeros(shape: tuple[int, ...]) -> "NDArray[np.float64]":
    import numpy as np

    return np.zeros(shape)


@cache
def _mean(name: str, how: str, options: tuple[tuple[str, bool | int | float], ...]) -> "NDArray[np.float64]":
    """Mean of the training examples: read once, for a suite builds its models once before they are run."""
    return load(name, binarise=how, **dict(options)).mean()  # type: ignore[arg-type]


def load(
    name: str,
    *,
    binarise: str | None = None,
    train_size: int | None = None,
    device: "str | torch.device" = "cpu",
    root: str | Path | None = None,
    **options: object,
) -> "Data":
    """Load a data set, fetching it if it is not here.

    Args:
        name: one of `names()`, the path of data of your own, or what these are called in records.
        binarise: "dynamic", "fixed", "threshold" or "none"; by default the data set's own.
        train_size: use only the first so many examples of the training split; of your own data all, where they have
            fewer.
        device: where batches are to be.
        root: the data root, instead of $VAEBENCH_DATA or the cache folder.
        options: options of the data set.

    Raises:
        UsageError: on an unknown name, binarisation or option, or a `train_size` out of range.
        DataError: if the data cannot be had, or is not what it should be.
        MachineError: if a package is missing or the data root cannot be written.
    """
    from bench.data.batches import Data

    if is_user_file(name):
        return _loaded(_kept[name] if name in _kept else _own(name, options, root), binarise, train_size, device)
    how, resolved = _resolve(name, binarise, options)
    raw, truth = (_kept[name], None) if root is None and name in _kept else _read(name, resolved, root)
    images = raw.images["train"]
    whole = _spec(name, how, images[0].shape, len(images), resolved)
    return Data(name, how, resolved, whole, raw, train_size, device, truth)


def keep(name: str, binarise: str, file: str | None = None) -> None:
    """Read a data set once and prepare it as models are judged on it; `load` then takes it from here.

    For a process from which others are forked. They share its memory, and none of them unpacks and binarises again.
    A user's data, which are read in place, and data that are made are not kept; a copy of a user's data is (see
    `file_of`), where `file` says that there is one.

    Raises:
        As `load`.
    """
    if file is None and (is_user_file(name) or find(name).maker):
        return
    import numpy as np

    from bench.data.batches import DRAWN, prepare
    from bench.data.given import store as own_store

    how = DRAWN.get(binarise, binarise)
    raw = _kept[name] if name in _kept else own_store.read(Path(file)) if file else _read(name, {}, None)[0]
    for split, images in raw.images.items():
        if isinstance(images, np.ndarray):  # what is streamed is prepared one by one
            raw.prepared[split, how] = prepare(images, 0, levels=raw.levels, split=split, how=how)
    _kept[name] = raw


def describe(root: str | Path | None = None) -> list[dict[str, Any]]:
    """One row a data set, loading nothing.

    Returns:
        Dicts of name, shape, splits, rule (what these are made of), binarise (the default), source, present
        (whether it is here, not whether it is whole), licence and options.
    """
    return [
        {
            "name": dataset.name,
            "shape": dataset.shape,
            "splits": dict(dataset.splits),
            "rule": dataset.rule,
            "binarise": dataset.binarise,
            "source": dataset.source,
            "present": not missing(dataset, folder_of(dataset, root))
            and (dataset.package is None or importlib.util.find_spec(dataset.package) is not None),
            "licence": dataset.licence,
            "options": dict(dataset.takes),
        }
        for dataset in SETS.values()
    ]


def verify(name: str, root: str | Path | None = None) -> str:
    """Read and check a data set that is here, fetching nothing.

    Returns:
        Its checksum.

    Raises:
        UsageError: if there is no such data set.
        DataError: if it is not here, or is not what it should be.
        MachineError: if a package that its reader needs is not installed.
    """
    if is_user_file(name):
        return _own(name, {}, root).checksum
    return _read(name, check_options(name, {}), root, may_fetch=False)[0].checksum


def fetch(name: str, root: str | Path | None = None) -> None:
    """Download a data set if it is not here, and check it.

    Raises:
        UsageError: if there is no such data set.
        DataError: if it cannot be had, or is not what it should be.
        MachineError: if a package is missing or the data root cannot be written.
    """
    if is_user_file(name):
        _own(name, {}, root)
    else:
        _read(name, check_options(name, {}), root)


def _resolve(name: str, binarise: str | None, options: dict[str, object]) -> tuple[str, dict[str, bool | int | float]]:
    how = default_binarise(name) if binarise is None else binarise
    check_binarise(name, how)
    return how, check_options(name, options)


def _spec(name: str, binarise: str, shape: tuple[int, ...], size: int, options: Mapping[str, Any]) -> DataSpec:
    kind: Kind
    if binarise == "none":
        kind = find(name).kind
    elif binarise in ("levels", "dequantise"):
        kind = "levels" if binarise == "levels" else "unit"
    else:
        kind = "binary"
    return DataSpec(
        shape,
        kind,
        size,
        levels=find(name).levels if binarise in ("levels", "dequantise") else None,
        classes=options.get("classes", find(name).class_count),
        labelled=options.get("labelled", 0),
        pairs=bool(options.get("pairs", 0)),
    )


def _read(
    name: str, options: dict[str, Any], root: str | Path | None, may_fetch: bool = True
) -> "tuple[Raw, Truth | None]":
    if maker := find(name).maker:
        module, function = maker.split(":")
        made: tuple[Raw, Truth | None] = getattr(importlib.import_module(f"bench.data.{module}"), function)(
            **{key: value for key, value in options.items() if key != "labelled"}
        )
        return made
    from bench.data import readers

    folder = folder_of(find(name), root)
    if may_fetch:
        _fetch(find(name), folder)
    elif absent := missing(find(name), folder):
        raise DataError(f"{name}: {absent[0].name} is not in {folder}; fetch it, or put it there")
    return readers.read(name, folder), None


def dataset(source: Any, **options: Any) -> "Data":
    """Data with their splits, kind and binarisation; nothing is trained. `bench.data(...)` calls it.

    What was decided about a user's own data is said on standard error.

    Args:
        source: a name of `names()`, a path, an array or another object that `own` takes, or data loaded already.
        options: of `load` for a name, else of `own`.

    Raises:
        UsageError, DataError, MachineError: see `load` and `own`.
    """
    from bench.data.batches import Data

    if isinstance(source, Data) and not options:
        return source
    if isinstance(source, str) and (not is_user_file(source) or STORED.fullmatch(source)):
        return load(source, **options)
    result = own(source, **options)
    for line in result.says:
        print(f"vaebench: {printable(line)}", file=sys.stderr)
    return result


class _Room(ModuleType):
    """This module, which a user may call."""

    def __call__(self, source: Any, **options: Any) -> "Data":
        return dataset(source, **options)


sys.modules[__name__].__class__ = _Room
