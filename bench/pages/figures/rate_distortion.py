"""Rate against distortion, with lines of equal ELBO."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.pages.figures.bars import WHITE, columns, legend_beside
from bench.pages.figures.plot import Plot, View
from bench.pages.figures.style import INK, QUIET, Style, add_title, look, panels
from bench.records.names import canonical, row_name
from bench.stats.groups import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# More names than this cannot stand beside their points without covering others: a legend takes their place.
MOST_LABELS = 10
# The panel is so many times as wide as it is high.
SHAPE = 1.5


def rate_distortion(view: View) -> "Figure | None":
    """Rate (KL) against distortion (negative reconstruction), with lines of equal ELBO; each seed a point.

    Rows that differ in their override of beta alone are joined in its order, through their means over seeds.

    Source: Alemi et al. 2018, arXiv:1711.00464.
    """
    points = {row: columns(row, "recon_nats", "kl_nats") * [-1, 1] for row in view.group.rows}
    points = {row: seeds for row, seeds in points.items() if len(seeds)}
    if not points:
        return None
    sweeps = _sweeps(list(points))
    swept = {row: (name, beta) for name, members in sweeps.items() for beta, row in members}
    everything = np.concatenate(list(points.values()))
    low, high = everything.min(0), everything.max(0)
    pad = 0.12 * np.maximum(high - low, 1.0)
    crowded = len(points) - len(swept) > MOST_LABELS
    # What a legend takes beside the panel is added to the figure: the panel's shape is fixed, and it would shrink.
    beside = [*sweeps, *(row.label for row in points if row not in swept)] if crowded else [*sweeps] * (len(sweeps) > 1)
    width = 8.5 + (0.8 + 0.1 * max(map(len, beside)) if beside else 0)
    with panels(width, max(5.6, 0.8 + 0.22 * len(points)), grid=False) as (figure, (axis,)):
        # A nat is as long on both axes, so that lines of equal ELBO stand at 45 degrees.
        middle, half = (low + high) / 2, (high - low) / 2 + pad
        half = np.maximum(half, half[::-1] * [SHAPE, 1 / SHAPE])
        middle[1] = max(middle[1], half[1])  # no rate is below zero
        axis.set_xlim(middle[0] - half[0], middle[0] + half[0])
        axis.set_ylim(middle[1] - half[1], middle[1] + half[1])
        axis.set_aspect("equal", adjustable="box")
        _iso_elbo(axis)
        obstacles = [everything]
        for members in sweeps.values():
            path = np.array([points[row].mean(0) for _, row in members])
            axis.plot(path[:, 0], path[:, 1], color=_look(members[0][1]).colour, linewidth=1.5, zorder=2)
            # Names keep off the line as they do off the points.
            steps = np.linspace(0, len(path) - 1, 40 * len(path))
            obstacles.append(np.stack([np.interp(steps, range(len(path)), path[:, side]) for side in (0, 1)], axis=1))
        names, handles = [], {}
        for row, seeds in points.items():
            name, beta = swept.get(row, (row.label, None))
            style = look(row.variant, row.overrides) if beta is None else _look(row)
            cloud: Any = {"marker": style.marker, "color": style.colour, "alpha": 0.75, "linewidth": 0}
            handles[name] = axis.scatter(seeds[:, 0], seeds[:, 1], s=30, zorder=3, **cloud)
            if beta is not None or not crowded:
                names.append((row.label if beta is None else f"β = {beta:g}", seeds.mean(0), style.colour))
        axis.locator_params(axis="x", nbins=7)
        axis.set_xlabel("distortion: \N{MINUS SIGN}log p(x|z) (nats per example), lower is better ←")
        axis.set_ylabel("rate: KL(q(z|x) || p(z)) (nats per example)")
        note = (
            "Each point is one seed on the test split. Grey lines join equal ELBO = -(rate + distortion); a line "
            "further to the lower left is better, and along one line a model only trades rate for distortion."
        )
        if sweeps:
            note += (
                f" The coloured line{'s join' if len(sweeps) > 1 else ' joins'} the runs of {' and of '.join(sweeps)} "
                "by the weight β of the KL in training, through the means over seeds."
            )
        add_title(figure, f"Rate and distortion: {view.where}", f"{view.budget} {note}")
        if beside:
            shown = {name: handle for name, handle in handles.items() if name in beside}
            title = "best ELBO first" if crowded else None
            legend_beside(axis, list(shown.values()), list(shown), title=title)
        if names:
            _label_points(figure, axis, names, np.concatenate(obstacles))
    return figure


def _look(row: Row) -> Style:
    """Of a row in a sweep, whatever its beta."""
    return look(row.variant, canonical({key: v for key, v in json.loads(row.overrides).items() if key != "beta"}))


def _sweeps(rows: Sequence[Row]) -> dict[str, list[tuple[float, Row]]]:
    """Rows that differ in their override of beta alone: what they share -> (beta, row) by rising beta, two or more."""
    sweeps: dict[str, list[tuple[float, Row]]] = {}
    for row in rows:
        overrides = json.loads(row.overrides)
        beta = overrides.pop("beta", None)
        if isinstance(beta, int | float):
            device = row.label.removeprefix(row.name) if row.label.startswith(row.name) else ""
            sweeps.setdefault(row_name(row.variant, overrides) + device, []).append((float(beta), row))
    return {name: sorted(members, key=lambda m: m[0]) for name, members in sweeps.items() if len(members) > 1}


def _iso_elbo(axis: "Axes") -> None:
    """Straight lines rate + distortion = constant, each named where it leaves the plot."""
    from matplotlib.ticker import MaxNLocator

    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    for level in MaxNLocator(8).tick_values(left + bottom, right + top):
        # The line enters at the top or the left edge and leaves at the bottom or the right edge.
        start = max(left, level - top)
        end = min(right, level - bottom)
        if end - start < 0.04 * (right - left):
            continue
        axis.plot([start, end], [level - start, level - end], color="#d5d5d5", linewidth=1, zorder=1)
        at_top = level - start >= top - 1e-9
        where: Any = {"ha": "center", "va": "bottom"} if at_top else {"ha": "left", "va": "top"}
        where |= {"xytext": (0, 3) if at_top else (4, -2), "textcoords": "offset points", "annotation_clip": False}
        axis.annotate(f"{0.0 - level:g}".replace("-", "\N{MINUS SIGN}"), (start, level - start), **where, **_FAINT)
    where = {"xycoords": "axes fraction", "xytext": (-4, -4), "textcoords": "offset points", "ha": "right", "va": "top"}
    axis.annotate("lines of equal ELBO (nats)", (1, 1), bbox=WHITE, zorder=2, **where, **_FAINT)


_FAINT: Any = {"fontsize": 9, "color": QUIET}


def _label_points(
    figure: "Figure", axis: "Axes", names: Sequence[tuple[str, np.ndarray, str]], obstacles: np.ndarray
) -> None:
    """Name every cloud of points where its text covers no other text, no line and no points.

    Args:
        names: label, centre of its cloud, colour.
        obstacles: `[n, 2]`, every point of the plot, and of its lines so many that no name fits between them.
    """
    import textalloc

    figure.draw_without_rendering()
    # The names of the ELBO lines are there already.
    boxes = [axis.transData.inverted().transform(text.get_window_extent().corners()) for text in axis.texts]
    x, y = np.concatenate([obstacles, *boxes]).T
    labels, centres, colours = zip(*names, strict=True)
    across, up = np.array(centres).T
    avoided: Any = {"avoid_label_lines_overlap": True, "avoid_crossing_label_lines": True}
    lines: Any = {"linecolor": list(colours), "linewidth": 0.9, "textcolor": INK}
    textalloc.allocate(axis, across, up, list(labels), x_scatter=x, y_scatter=y, **lines, **avoided)


PLOTS = [Plot("rate_distortion", "group", rate_distortion, order=4, compares=("kl_nats",))]
