"""What is said of one data set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from variants.data_spec import Kind

SPLITS = ("train", "valid", "test")

Options = Mapping[str, bool | int | float]


@dataclass(frozen=True)
class File:
    """One file of a data set, as it lies on disk.

    Args:
        name: file name inside the data set's folder.
        sha256: checksum of the unpacked bytes, where we have seen the true file.
        md5: checksum of the published archive, as torchvision states it. Where it stands alone we have not
            seen the true file, and a sha256 would be invented; `Data.checksum` reports it after loading.
        url: where it is published; None where it cannot be fetched (it comes with a package).
    """

    name: str
    sha256: str | None = None
    md5: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class DataSet:
    """One named data set.

    Args:
        name: what the user types.
        shape: shape of one example.
        splits: number of examples in train, valid and test.
        rule: which examples the splits are made of.
        binarise: the default binarisation.
        source: where it comes from.
        licence: its licence, or what is known of it.
        files: the files it is read from.
        folders: searched before the data root, in this order.
        package: the Python module that carries the data, if one does.
        options: the options it takes, with their defaults.
        added: more options with their defaults, left out while they have these, so that results without them keep their
            names.
        class_count: number of classes that the labels are of; None where they are no classes.
        least: of some options, the lowest value.
        check: of its name and its options; UsageError for a value that the others rule out.
        kind: of its examples without a binarisation.
        levels: L, of the kind `"unit"`: the values k / (L - 1) that a grey value takes.
        maker: module of `bench.data` and its function that generates it from the options: `"flow:make"`; None for data
            that are read. With an option `d` its examples are vectors of so many values.
    """

    name: str
    shape: tuple[int, ...]
    splits: Mapping[str, int]
    rule: str
    binarise: str
    source: str
    licence: str
    files: tuple[File, ...] = ()
    folders: tuple[Path, ...] = ()
    package: str | None = None
    options: Options = field(default_factory=dict)
    added: Options = field(default_factory=dict)
    class_count: int | None = None
    least: Options = field(default_factory=dict)
    check: Callable[[str, Options], None] = lambda *_: None
    kind: Kind = "unit"
    levels: int = 256
    maker: str | None = None
    classes: tuple[str, ...] = ()

    @property
    def takes(self) -> Options:
        """All options with their defaults; one with labels says how many of these an objective is shown."""
        return {**self.options, **self.left_out}

    @property
    def left_out(self) -> Options:
        """Those that are left out while they have their default."""
        return {**self.added, **({} if self.class_count is None else {"labelled": 0})}


def tenths(n: int) -> dict[str, int]:
    """Sizes of the splits of `n` examples in a row: the last tenth is test, the tenth before it valid."""
    return {"train": n - 2 * (n // 10), "valid": n // 10, "test": n // 10}
