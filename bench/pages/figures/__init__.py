"""Records -> figures that can be read without their page.

A file here with a list `PLOTS` adds its pictures to every report; nothing else names it. Figures are made without
pyplot, and the style is set only while one is drawn, so importing or calling these modules changes no global state.
`style.png` and `style.svg` turn a figure into bytes that are the same for the same records.
"""

import pkgutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from bench.pages.figures import bars
from bench.pages.figures.plot import Artefacts, Plot, View
from bench.records.names import canonical, digest, slug
from bench.records.record import Record
from bench.stats import speeds
from bench.stats.groups import Group, distinctions, groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plots() -> list[Plot]:
    """Every plot that a file of this folder declares, in the order of the page."""
    modules = [import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
    declared = [plot for module in modules for plot in getattr(module, "PLOTS", ())]
    return sorted(declared, key=lambda plot: (plot.order, plot.name))


def drawn(
    dataset: str, records: Sequence[Record], artefacts: Artefacts, trials: Sequence[Record] = ()
) -> "Iterator[tuple[str, Figure]]":
    """Every figure that the records of one data set, and its trials, allow: (file name without an ending, figure).

    The files of a comparison group are named `<data set>-<support>_<plot>`. The group's hexadecimal name is added where
    a data set holds several that differ in more than their support.
    """
    shown_groups = [bars.shown(group) for group in groups(records)]
    many = Counter(group.settings["support"] for group in shown_groups)
    words: dict[str, str] = {}
    for support in many:
        words |= distinctions([group for group in shown_groups if group.settings["support"] == support])
    shown_groups = [replace(group, distinction=words[group.id]) for group in shown_groups]
    settings: dict[str, list[Group]] = {}
    for group in shown_groups:
        settings.setdefault(canonical({**group.settings, "support": None}), []).append(group)
    whole = View(dataset, tuple(shown_groups), artefacts, speeds.throughput(records, dataset), tuple(trials))
    views: list[tuple[str, str, View]] = []
    for group in shown_groups:
        support = group.settings["support"]
        name = f"{dataset}-{slug(str(support))}" + (f"-{group.id}" if many[support] > 1 else "")
        views.append(("group", name, replace(whole, groups=(group,))))
    views.append(("dataset", dataset, whole))
    for setting, members in settings.items():
        name = f"{dataset}-{digest(setting)}" if len(settings) > 1 else dataset
        views.append(("setting", name, replace(whole, groups=tuple(members))))
    for needs, name, view in views:
        for plot in plots():
            if plot.needs == needs and plot.applies(view) and (figure := plot.draw(view)) is not None:
                yield f"{name}_{plot.name}", figure
