"""Tables: CSV, Parquet, data frames, and the count matrices of AnnData."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.data.files import one_line, require
from bench.data.given.source import Source, some
from bench.errors import BenchError, DataError
from bench.text import hint

if TYPE_CHECKING:
    import pandas as pd


def read_csv(path: Path) -> "pd.DataFrame":
    """A text table with a first line of names; without one, columns are called 1, 2, ...

    The first line is one of names if it holds a text above a number, no number, or 0, 1, 2 and so on, as pandas calls
    columns without names.

    Raises:
        DataError: it cannot be read as one.
    """
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig") as stream:
            first, second = stream.readline(), stream.readline()
        separator = (
            "\t" if path.suffix == ".tsv" or "\t" in first else ";" if first.count(";") > first.count(",") else ","
        )
        cells, below = (line.strip("\r\n").split(separator) for line in (first, second))
        texts = [cell.strip().lower() not in _MISSING and not _is_number(cell) for cell in cells]
        above = any(text and _is_number(cell) for text, cell in zip(texts, below, strict=False))
        numbers = [cell for cell in cells if _is_number(cell)]
        counted = len(numbers) > 2 and numbers == list(map(str, range(len(numbers))))
        named = above or counted or not numbers
        frame = pd.read_csv(path, sep=separator, header=0 if named else None, encoding="utf-8-sig")
    # The parser raises what it likes, from UnicodeDecodeError to ParserError.
    except Exception as error:
        raise DataError(f"{path}: cannot read it as a table ({one_line(error)})") from error
    return frame if named else frame.set_axis([str(i + 1) for i in range(frame.shape[1])], axis=1)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# What stands for a value that is missing.
_MISSING = ("", "na", "n/a", "#n/a", "<na>", "null", "none")


def read_parquet(path: Path) -> "pd.DataFrame":
    """A Parquet table.

    Raises:
        DataError: it cannot be read as one.
        MachineError: pyarrow is not installed.
    """
    import pandas as pd

    require("pyarrow", "pyarrow", "to read Parquet files")
    try:
        return pd.read_parquet(path, engine="pyarrow")
    except Exception as error:
        raise DataError(f"{path}: cannot read it as a Parquet table ({one_line(error)})") from error


def of_frame(frame: "pd.DataFrame", where: str, name: str, *, label: str | None, drop: tuple[str, ...]) -> Source:
    """The numeric columns of a data frame, but for those of `drop`, with the column `label` as classes.

    Raises:
        DataError: a column that is asked for is not there, or one that is left is not numeric.
    """
    frame = frame.set_axis([str(column) for column in frame.columns], axis=1)
    names = list(frame.columns)
    if twice := sorted({column for column in names if names.count(column) > 1}):
        raise DataError(f"{where}: has the column {twice[0]!r} more than once: give each a name of its own")
    for option, column in [*(("label", each) for each in (label,) if each), *(("drop", each) for each in drop)]:
        if column not in names:
            raise DataError(f"{where}: {option}={column} is no column of it; {hint(column, names)}")
    values = frame.drop(columns=[*drop, *([label] if label else [])])
    if not len(frame):
        raise DataError(f"{where}: has no rows")
    other = [
        column for column in values.columns if values[column].dtype.kind not in "biuf" and not _numeric(values[column])
    ]
    if other:
        held = next((each for each in values[other[0]].tolist() if isinstance(each, str)), values[other[0]].iloc[0])
        one = f"column {other[0]!r} holds {str(held)[:40]!r}, no number"
        more = f" (so do {some(other[1:])})" if len(other) > 1 else ""
        raise DataError(f"{where}: {one}{more}: say drop={','.join(other)}, or label={other[0]} if it is the class")
    if not len(values.columns):
        raise DataError(f"{where}: has no numeric column")
    types = {values[column].dtype.kind for column in values.columns}
    whole = types <= set("biu") and not values.isna().any(axis=None)
    array = values.to_numpy(dtype=np.int64 if whole else np.float64, na_value=np.nan) if whole or types else None
    labels: dict[str, Any] = {}
    if label:
        classes = frame[label]
        if (missing := int(classes.isna().sum())) > 0:
            raise DataError(f"{where}: {missing:,} labels (column {label!r}) are missing: leave these rows out")
        labels["train"] = classes.to_numpy()
    assert array is not None
    return Source(where, name, {"train": array}, labels, tuple(map(str, values.columns)), "ND")


def _numeric(column: "pd.Series[Any]") -> bool:
    """Whether a column of a pandas type of its own, such as one with missing whole numbers, holds numbers."""
    from pandas.api import types

    return bool(types.is_numeric_dtype(column.dtype) or types.is_bool_dtype(column.dtype))


def read_anndata(given: Any, where: str, name: str, *, label: str | None, layer: str | None) -> Source:
    """The matrix X of an AnnData object or of its .h5ad file, or one of its layers: cells by genes. `label` is a column
    of `obs`.

    Raises:
        DataError: the file cannot be read, or has no such layer or column.
        MachineError: anndata is not installed.
    """
    if isinstance(given, Path):
        anndata = require("anndata", "anndata", "to read .h5ad files")
        try:
            given = anndata.read_h5ad(given)
        except BenchError:
            raise
        except Exception as error:
            raise DataError(f"{where}: cannot read it as an .h5ad file ({one_line(error)})") from error
    if layer is not None and layer not in given.layers:
        raise DataError(f"{where}: has no layer {layer!r}; it has {some(given.layers) or 'none'}")
    if label is not None and label not in given.obs:
        raise DataError(f"{where}: label={label} is no column of obs; {hint(label, list(map(str, given.obs.columns)))}")
    matrix = given.X if layer is None else given.layers[layer]
    matrix = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    labels = {"train": np.asarray(given.obs[label].astype(str))} if label else {}
    return Source(where, name, {"train": matrix}, labels, tuple(map(str, given.var_names)), "ND")


def frame_of(path: Path) -> "pd.DataFrame":
    """The table in a file, by its ending."""
    return read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else read_csv(path)
