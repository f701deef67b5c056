"""What was decided about a user's own data: which values are modelled, and how these become the user's again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from variants.data_spec import Kind

Scale = Literal["none", "unit", "standard"]
SCALES: tuple[Scale, ...] = ("none", "unit", "standard")
Values = TypeVar("Values")  # a tensor, or an array


@dataclass(frozen=True, eq=False)
class Scaling:
    """From the values of a user's file to those that are modelled: x = (value - shift) / factor.

    Args:
        how: `"none"` where values are taken as they are, or grey levels over white; `"unit"` and `"standard"` were
            fitted on the training split.
        shift: a number, or an array that broadcasts with one example.
        factor: likewise, above 0.
    """

    how: Scale = "none"
    shift: NDArray[np.float64] | float = 0.0
    factor: NDArray[np.float64] | float = 1.0

    def apply(self, values: Values) -> Values:
        """What is modelled: `[B, *shape]` of the user's values -> `[B, *shape]`, an array or a tensor as given."""
        return (values - _like(self.shift, values)) / _like(self.factor, values)  # type: ignore[operator,no-any-return]

    def undo(self, x: Values) -> Values:
        """The user's values: `[..., *shape]` as modelled -> `[..., *shape]`, an array or a tensor as given."""
        return x * _like(self.factor, x) + _like(self.shift, x)  # type: ignore[operator,no-any-return]

    def log_volume(self, shape: tuple[int, ...]) -> float:
        """Sum of log factor over one example, in nats: log p(values) = log p(x) - this."""
        return float(np.log(np.broadcast_to(np.asarray(self.factor, dtype=np.float64), shape)).sum())

    @property
    def plain(self) -> bool:
        """Whether values are modelled as they are."""
        return bool(np.all(np.asarray(self.shift) == 0) and np.all(np.asarray(self.factor) == 1))


def _like(constant: NDArray[np.float64] | float, values: Any) -> Any:
    """A constant that combines with `values` without changing their type."""
    if hasattr(values, "new_tensor"):
        return values.new_tensor(np.asarray(constant))
    return np.asarray(constant, dtype=values.dtype if values.dtype.kind == "f" else np.float64)


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a user's own data.

    Attributes:
        name: what it is called: the stem of its file, or what the user said.
        kind: of its values as modelled, without a binarisation.
        scaling: from the user's values to those.
        says: a line on splits, kind and scaling, and one for whatever else was decided or found.
        source: where it came from, in words.
        classes: names of the labels 0, 1, ..., where they had names.
        columns: of a table, the names of its columns.
        binarise: how it is used unless something else is asked for.
    """

    name: str
    kind: Kind
    scaling: Scaling
    says: tuple[str, ...]
    source: str
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    binarise: str = "none"

    @property
    def options(self) -> dict[str, Any]:
        """What tables of results say of the data beside their name."""
        return {} if self.scaling.how == "none" else {"scale": self.scaling.how}

    def units(self, shape: tuple[int, ...]) -> str:
        """In which units log densities are, in words."""
        if self.scaling.plain:
            return "log densities of the values as they are"
        per = {"none": "over white", "unit": "scaled to [0, 1]", "standard": "standardised"}[self.scaling.how]
        nats = self.scaling.log_volume(shape)
        sign = "minus" if nats >= 0 else "plus"
        return f"log densities of values {per}; {sign} {abs(nats):,.2f} nats for the values as given"

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        shift, factor = (np.asarray(part, dtype=np.float64) for part in (self.scaling.shift, self.scaling.factor))
        scaling = {"how": self.scaling.how, "shift": shift.tolist(), "factor": factor.tolist()}
        return {key: getattr(self, key) for key in self.__dataclass_fields__} | {"scaling": scaling}


def facts_of(plain: Mapping[str, Any]) -> Facts:
    """The same, read back."""
    scaling = plain["scaling"]
    read = Scaling(scaling["how"], np.asarray(scaling["shift"]), np.asarray(scaling["factor"]))
    lists = {key: tuple(plain[key]) for key in ("says", "classes", "columns")}
    return Facts(**{**plain, **lists, "scaling": read})
