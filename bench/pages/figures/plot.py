"""What a file of this folder declares: `PLOTS = [Plot(name, needs, draw)]`. Files are found by themselves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.records.record import Record
from bench.stats.groups import Group, Row, after
from bench.stats.speeds import Throughput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A run has kept these: id of its record -> name -> array.
Artefacts = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class View:
    """What a plot may show.

    Attributes:
        dataset: `"mnist-dynamic"`.
        groups: with the rows that a picture has room for; one of them, or all of a data set with equal settings.
        artefacts: images and codes that runs have kept.
        timed: speeds of the whole data set.
        trials: runs by which settings were chosen, of the whole data set.
    """

    dataset: str
    groups: tuple[Group, ...] = ()
    artefacts: Artefacts = field(default_factory=dict)
    timed: Throughput = field(default_factory=lambda: Throughput({}))
    trials: tuple[Record, ...] = ()

    @property
    def group(self) -> Group:
        """The only one."""
        (group,) = self.groups
        return group

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Of each group the best ELBO first."""
        return tuple(row for group in self.groups for row in group.rows)

    @property
    def budget(self) -> str:
        """`"After 10 epochs of the whole training split."`, for the line below a title."""
        words = after(self.groups[0].settings)
        return f"{words[:1].upper()}{words[1:]}."

    @property
    def where(self) -> str:
        """Data, and of one group its likelihood, for a title."""
        support = f", {self.group.settings['support']} likelihood" if len(self.groups) == 1 else ""
        distinction = next((f", {group.distinction}" for group in self.groups if group.distinction), "")
        rows = ""
        if any(group.of for group in self.groups):
            of = sum(group.of or len(group.rows) for group in self.groups)
            rows = f" (the best {len(self.rows):,} of {of:,} rows)"
        return f"{self.dataset}{support}{distinction}{rows}"


@dataclass(frozen=True)
class Plot:
    """One kind of picture.

    Attributes:
        name: ends the names of its files, and is its title on the page.
        needs: `"group"`: it ranks rows, so each comparison group has one; `"setting"`: it ranks nothing, so all groups
            of a data set that differ in their likelihood alone share one; `"dataset"`: one for a data set.
        draw: makes it; None where there is nothing to show.
        order: a lower one stands further up on the page.
        compares: metrics; where fewer than two rows have one of them there is nothing to compare, and no picture.
    """

    name: str
    needs: Literal["group", "setting", "dataset"]
    draw: "Callable[[View], Figure | None]"
    order: int = 50
    compares: tuple[str, ...] = ()

    def applies(self, view: View) -> bool:
        """Whether the view has rows enough."""
        return not self.compares or sum(any(map(row.values, self.compares)) for row in view.rows) > 1
