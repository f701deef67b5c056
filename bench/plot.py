"""Records -> figures that can be read without their page.

Every function returns a matplotlib `Figure`, or None where the records hold nothing to show. Figures are made without
pyplot, and the style is set only while one is drawn, so importing or calling this module changes no global state.
`png` and `svg` turn a figure into bytes that are the same for the same records.
"""

import io
import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.disk.files import LARGEST
from bench.records.names import canonical, row_name
from bench.records.record import Record
from bench.stats import intervals
from bench.stats import metrics as known
from bench.stats.groups import BASELINE, Group, Row, groups
from bench.stats.speeds import Throughput
from bench.table import DASH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
# seaborn's "colorblind" palette, with black and a dark red in place of its yellow and pink, which are too pale for thin
# lines on white.
COLOURS = (
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#8c613c",
    "#56b4e9",
    "#6e6e6e",
    "#000000",
    "#8b0026",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK = "#333333"
QUIET = "#8a8a8a"
# Ellipses of more examples than this hide each other.
SHOWN = 250
# A latent unit whose posterior mean varies by no more than this over the data is inactive (Burda, Grosse and
# Salakhutdinov 2016, arXiv:1509.00519, section 5.2). The judge has the same number, in a module that needs torch.
ACTIVE_VARIANCE = 0.01
# A collapsed dimension's KL is anything down to exactly zero, which a logarithmic axis cannot show.
LEAST_KL = 1e-4
# Half of a 95 % interval of a normal error, in standard errors.
NORMAL = 1.96
# More names than this cannot stand beside their points without covering others: a legend takes their place.
MOST_LABELS = 10
# A figure of more rows than this is read by nobody; all rows stand in the tables.
MOST_ROWS = 30
LONGEST_LABEL = 60

Artefacts = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Style:
    """How one variant looks in every plot: the pair is distinct for the first 70 variants."""

    colour: str
    marker: str


def styles(records: Sequence[Record]) -> dict[str, Style]:
    """Row name -> style, by alphabet over all records, so that a variant looks the same on every data set."""
    names = sorted({row_name(record["cell"]["variant"], record["cell"].get("overrides") or {}) for record in records})
    return {
        name: Style(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]) for place, name in enumerate(names)
    }


def load_artefacts(folder: Path, records: Sequence[Record]) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """Read FOLDER/<id>.npz of every ok quality record that left one.

    Returns:
        id -> name -> array, and one line for every file that cannot be read.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    warnings = []
    for record in records:
        path = folder / f"{record['id']}.npz"
        if record["kind"] == "quality" and record["status"] == "ok" and path.exists():
            try:
                with path.open("rb") as file, zipfile.ZipFile(file) as members:
                    if (size := sum(member.file_size for member in members.infolist())) > LARGEST:
                        raise ValueError(f"it would unpack to {size:,} bytes")
                    file.seek(0)
                    with np.load(file, allow_pickle=False) as arrays:
                        found[record["id"]] = dict(arrays)
            except Exception as error:  # a damaged zip raises anything from zipfile, zlib or numpy
                warnings.append(f"cannot read {path.name} ({' '.join(str(error).split())}); its plots are left out")
    return found, warnings


def png(figure: "Figure") -> bytes:
    """The figure as PNG bytes, without a date or a software version."""
    return _save(figure, "png", {"Software": None})


def svg(figure: "Figure") -> bytes:
    """The figure as SVG bytes with text kept as text, without a date."""
    return _save(figure, "svg", {"Date": None})


def _save(figure: "Figure", form: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with _look():
        # The layout is worked out once, so that both formats show the same picture.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        figure.savefig(buffer, format=form, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def _look(grid: bool = True) -> Iterator[None]:
    """The style of every figure, for as long as the block lasts."""
    import matplotlib
    import seaborn

    own: dict[str, Any] = {
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.labelsize": 11,
        "axes.titlelocation": "left",
        "axes.edgecolor": "#bbbbbb",
        "grid.color": "#e6e6e6",
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "svg.hashsalt": "vaebench",
        "svg.fonttype": "none",
        # A dollar sign in a label is a dollar sign.
        "text.parse_math": False,
    }
    look: Any = {**seaborn.axes_style("whitegrid" if grid else "white"), **own}
    with matplotlib.rc_context(look):
        yield


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, wspace=0.03)  # type: ignore[union-attr, call-arg]
    FigureCanvasAgg(figure)
    return figure


def _title(figure: "Figure", title: str, note: str) -> None:
    """A bold line that says what is shown and a quiet one that says how to read it, both at the left edge."""
    import textwrap

    # A line must not begin with a percent sign.
    note = note.replace(" %", "\N{NO-BREAK SPACE}%")
    # About 14 characters of the note's size fit in one inch.
    lines = textwrap.wrap(note, max(30, int(figure.get_figwidth() * 13.5)))
    head = textwrap.wrap(title, max(24, int(figure.get_figwidth() * 9.5)))
    height = figure.get_figheight()
    extra = 0.22 * len(head) + 0.19 * len(lines) + 0.12
    figure.set_figheight(height + extra)
    top = height + extra - 0.06
    figure.text(0.012, top / (height + extra), "\n".join(head), ha="left", va="top", fontsize=13, fontweight="bold")
    figure.text(
        0.012,
        (top - 0.22 * len(head) - 0.03) / (height + extra),
        "\n".join(lines),
        ha="left",
        va="top",
        fontsize=10,
        color="#555555",
    )
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0.0, 0.0, 1.0, height / (height + extra)))  # type: ignore[call-arg]


def elbo_by_variant(group: Group, looks: Mapping[str, Style]) -> "Figure | None":
    """The test ELBO of every row: each seed a point, the mean a bar with its interval, the best row on top."""
    rows = [row for row in group.rows if row.values("elbo_nats")]
    if not rows:
        return None
    values = {row: list(row.values("elbo_nats").values()) for row in rows}
    summaries = {row: intervals.summarise(found) for row, found in values.items()}
    upper = [value for row in rows[: math.ceil(len(rows) / 2)] for value in values[row]]
    width = max(upper) - min(upper)
    # One far-off row would squeeze all others into a line: then the upper rows get a panel of their own.
    zoom = len(rows) > 3 and max(upper) - min(map(min, values.values())) > 4 * width
    near = [row for row in rows if summaries[row].mean >= min(upper) - width]
    edges = [
        value for row in near for value in (*values[row], summaries[row].low, summaries[row].high) if value is not None
    ]
    with _look():
        figure = _figure(9.5, 0.9 + 0.42 * len(rows))
        axes = figure.subplots(1, 2 if zoom else 1, sharey=True, squeeze=False)[0]
        for axis in axes:
            for place, row in enumerate(rows):
                if axis is axes[0] or row in near:
                    _elbo_row(axis, place, row, looks[row.name])
            axis.set_yticks(range(len(rows)), [_seeds_label(row) for row in rows])
            axis.set_ylim(len(rows) - 0.5, -0.5)
            axis.set_xlabel("test ELBO (nats per example), higher is better →")
            axis.grid(axis="y", visible=False)
            axis.locator_params(axis="x", nbins=6)
        if zoom:
            pad = 0.06 * (max(edges) - min(edges)) or 0.1
            axes[0].set_title("all rows")
            axes[1].set_title("the upper rows, enlarged")
            axes[1].set_xlim(min(edges) - pad, max(edges) + pad)
            for axis in axes:
                axis.set_xlabel("test ELBO (nats), higher is better →")
            for place, row in enumerate(rows):
                if row not in near:
                    axes[1].text(
                        0.015,
                        place,
                        f"← {summaries[row].mean:.2f}",
                        transform=axes[1].get_yaxis_transform(),
                        va="center",
                        fontsize=10,
                        color=QUIET,
                    )
        _title(
            figure,
            f"ELBO by variant: {_where(group)}",
            "Each point is one seed; the bar is the mean, the line its 95 % bootstrap interval (from 3 seeds on).",
        )
    return figure


def _elbo_row(axis: "Axes", place: int, row: Row, look: Style) -> None:
    values = row.values("elbo_nats")
    summary = intervals.summarise(list(values.values()))
    offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else [0.0]
    if summary.low is not None and summary.high is not None:
        axis.plot([summary.low, summary.high], [place, place], color=look.colour, linewidth=2, solid_capstyle="butt")
    axis.plot([summary.mean] * 2, [place - 0.28, place + 0.28], color=look.colour, linewidth=2.5)
    axis.scatter(
        list(values.values()),
        [place + offset for offset in offsets],
        s=24,
        marker=look.marker,
        facecolor="white",
        edgecolor=look.colour,
        linewidth=1.1,
        zorder=3,
    )


def _seeds_label(row: Row) -> str:
    """The row's label, with the count of runs where some failed."""
    return row.label + (f"\n{len(row.ok)}/{len(row.records)} ok" if row.failed else "")


def _where(group: Group) -> str:
    apart = f", {group.apart}" if group.apart else ""
    return f"{group.dataset}, {group.settings['support']} likelihood{apart}{_selection([group])}"


def _selection(groups: Sequence[Group]) -> str:
    """`" (the best 30 of 1,000 rows)"`, empty where all are shown."""
    if not any(group.of for group in groups):
        return ""
    shown, of = sum(len(group.rows) for group in groups), sum(group.of or len(group.rows) for group in groups)
    return f" (the best {shown:,} of {of:,} rows)"


def shown(group: Group) -> Group:
    """What of a group a figure can show: its best rows and its baseline, by labels of a bearable length."""
    rows = group.rows
    if len(rows) > MOST_ROWS:
        bases = [row for row in rows if row.variant == BASELINE and group.baseline(row) is None]
        best = [row for row in rows if row not in bases][: MOST_ROWS - len(bases[:MOST_ROWS])]
        keep = {*bases[:MOST_ROWS], *best}
        rows = tuple(row for row in rows if row in keep)
    labels = [_label(row.label) for row in rows]
    repeated = {label for label, count in Counter(labels).items() if count > 1}
    clear = [f"{label} #{place + 1}" if label in repeated else label for place, label in enumerate(labels)]
    named = tuple(replace(row, label=label) for row, label in zip(rows, clear, strict=True))
    return replace(group, rows=named, of=len(group.rows) if len(named) < len(group.rows) else 0)


def _label(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def rate_distortion(group: Group, looks: Mapping[str, Style]) -> "Figure | None":
    """Rate (KL) against distortion (negative reconstruction), with lines of equal ELBO; each seed a point.

    Rows that differ in their override of beta alone are joined in its order, through their means over seeds.

    Source: Alemi et al. 2018, arXiv:1711.00464.
    """
    points = {row: _columns(row, "recon_nats", "kl_nats") * [-1, 1] for row in group.rows}
    points = {row: place for row, place in points.items() if len(place)}
    if not points:
        return None
    sweeps = _sweeps(list(points))
    swept = {row: (name, beta) for name, members in sweeps.items() for beta, row in members}
    everything = np.concatenate(list(points.values()))
    low, high = everything.min(0), everything.max(0)
    pad = 0.12 * np.maximum(high - low, 1.0)
    with _look(grid=False):
        figure = _figure(8.5, max(5.6, 0.8 + 0.22 * len(points)))
        axis = figure.subplots()
        axis.set_xlim(low[0] - pad[0], high[0] + pad[0])
        axis.set_ylim(low[1] - pad[1], high[1] + pad[1])
        _iso_elbo(axis)
        obstacles = [everything]
        for members in sweeps.values():
            path = np.array([points[row].mean(0) for _, row in members])
            axis.plot(path[:, 0], path[:, 1], color=looks[members[0][1].name].colour, linewidth=1.5, zorder=2)
            # Names keep off the line as they do off the points.
            steps = np.linspace(0, len(path) - 1, 40 * len(path))
            obstacles.append(np.stack([np.interp(steps, range(len(path)), path[:, side]) for side in (0, 1)], axis=1))
        names, handles = [], {}
        crowded = len(points) - len(swept) > MOST_LABELS
        for row, place in points.items():
            name, beta = swept.get(row, (row.label, None))
            look = looks[sweeps[name][0][1].name if beta is not None else row.name]
            handles[name] = axis.scatter(
                place[:, 0],
                place[:, 1],
                s=30,
                marker=look.marker,
                color=look.colour,
                alpha=0.75,
                linewidth=0,
                zorder=3,
            )
            if beta is not None or not crowded:
                names.append((row.label if beta is None else f"β = {beta:g}", place.mean(0), look.colour))
        axis.set_xlabel("distortion: -log p(x|z) (nats per example), lower is better ←")
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
        _title(figure, f"Rate and distortion: {_where(group)}", note)
        if crowded or len(sweeps) > 1:
            shown = {name: handle for name, handle in handles.items() if crowded or name in sweeps}
            axis.legend(
                list(shown.values()),
                list(shown),
                loc="center left",
                bbox_to_anchor=(1.01, 0.5),
                frameon=False,
                title="best ELBO first" if crowded else None,
            )
        if names:
            _label_points(figure, axis, names, np.concatenate(obstacles))
    return figure


def _columns(row: Row, *metrics: str) -> np.ndarray:
    """`[seeds, metrics]`: the ok seeds that have every one of the metrics, in order."""
    values = [row.values(metric) for metric in metrics]
    seeds = sorted(set.intersection(*(set(found) for found in values)))
    return np.array([[found[seed] for found in values] for seed in seeds]).reshape(-1, len(metrics))


def _sweeps(rows: Sequence[Row]) -> dict[str, list[tuple[float, Row]]]:
    """Rows that differ in their override of beta alone: what they share -> (beta, row) by rising beta, two or more."""
    found: dict[str, list[tuple[float, Row]]] = {}
    for row in rows:
        overrides = json.loads(row.overrides)
        beta = overrides.pop("beta", None)
        if isinstance(beta, int | float):
            device = row.label.removeprefix(row.name) if row.label.startswith(row.name) else ""
            found.setdefault(row_name(row.variant, overrides) + device, []).append((float(beta), row))
    return {name: sorted(members, key=lambda m: m[0]) for name, members in found.items() if len(members) > 1}


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
        axis.annotate(
            f"{-level:g}",
            (start, level - start),
            xytext=(0, 3) if at_top else (4, -2),
            textcoords="offset points",
            ha="center" if at_top else "left",
            va="bottom" if at_top else "top",
            fontsize=9,
            color=QUIET,
            annotation_clip=False,
        )
    axis.annotate(
        "lines of equal ELBO (nats)",
        (1, 1),
        xycoords="axes fraction",
        xytext=(-4, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=9,
        color=QUIET,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        zorder=2,
    )


def _label_points(
    figure: "Figure", axis: "Axes", names: Sequence[tuple[str, np.ndarray, str]], points: np.ndarray
) -> None:
    """Name every cloud of points where its text covers no other text or line and the fewest points.

    Args:
        names: label, centre of its cloud, colour.
        points: `[n, 2]`, every point of the plot, and of its lines so many that no name fits between them.
    """
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    window = axis.get_window_extent(renderer)
    scale = figure.dpi / 72
    dots = axis.transData.transform(points)
    # Boxes are [left, bottom, right, top] in pixels; the names of the ELBO lines are there already.
    boxes = np.array([text.get_window_extent(renderer).extents for text in axis.texts]).reshape(-1, 4)
    leaders = np.zeros((0, 2))

    def inside(places: np.ndarray, frames: np.ndarray, margin: float) -> int:
        """How often a place `[n, 2]` lies in a box `[m, 4]`."""
        spots = places[:, None]
        return int(np.sum(np.all((spots > frames[:, :2] - margin) & (spots < frames[:, 2:] + margin), axis=-1)))

    for name, centre, colour in names:
        anchor = axis.transData.transform(centre)
        probe = axis.text(centre[0], centre[1], name, fontsize=10)
        size = np.array(probe.get_window_extent(renderer).size)
        probe.remove()
        best: tuple[float, np.ndarray, np.ndarray, bool] | None = None
        for radius in (16, 24, 36, 50, 66, 84, 104, 126, 150, 180):
            # A place costs at least its radius, so a free place close by ends the search.
            if best is not None and best[0] <= radius:
                break
            for angle in np.linspace(0, 2 * np.pi, 32, endpoint=False):
                end = anchor + radius * scale * np.array([np.cos(angle), np.sin(angle)])
                leftward = bool(np.cos(angle) < 0)
                corner = end - size * np.array([leftward, 0.5])
                box = np.concatenate([corner, corner + size])
                leader = np.linspace(anchor, end, 25)
                out = box[0] < window.x0 or box[1] < window.y0 or box[2] > window.x1 or box[3] > window.y1
                gap = 2 * scale
                hits = np.all((boxes[:, :2] - gap < box[2:]) & (boxes[:, 2:] + gap > box[:2]), axis=1)
                price = (
                    1000 * out
                    + 500 * int(hits.sum())
                    + 60 * min(inside(leaders, box[None], gap), 5)
                    + 60 * min(inside(leader, boxes, gap), 5)
                    + 80 * inside(dots, box[None], 4 * scale)
                    + radius
                )
                if best is None or price < best[0]:
                    best = (price, box, leader, leftward)
        assert best is not None
        _, box, leader, leftward = best
        boxes = np.concatenate([boxes, box[None]])
        leaders = np.concatenate([leaders, leader])
        axis.annotate(
            name,
            (centre[0], centre[1]),
            xytext=tuple((leader[-1] - anchor) / scale),
            textcoords="offset points",
            fontsize=10,
            color=INK,
            ha="right" if leftward else "left",
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.9,
                "shrinkA": 0,
                "shrinkB": 4,
                "relpos": (1 if leftward else 0, 0.5),
            },
            zorder=4,
        )


def inference_gaps(group: Group) -> "Figure | None":
    """What inference loses, split into approximation and amortisation, and what other Gaussians would lose.

    Drawn for every row that has both gaps of its own posterior family, with a Gaussian that can be optimised.

    Source: Cremer, Li and Duvenaud 2018, arXiv:1801.03558.
    """
    parts = {"approximation gap (posterior family)": COLOURS[0], "amortisation gap (encoder)": COLOURS[1]}
    families = {"the best diagonal Gaussian": "#9fc9e6", "the best full Gaussian": "#0b3c5d"}
    own = _measured(group, "approximation_gap_nats", "amortisation_gap_nats")
    if not own:
        return None
    best = {row: _columns(row, "approximation_gap_diagonal_nats", "approximation_gap_full_nats") for row in own}
    rows = list(own)
    with _look():
        panels = 2 if any(map(len, best.values())) else 1
        figure = _figure(6 + 4 * (panels - 1), 1.3 + 0.5 * len(rows))
        axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
        _stacked(axes[0], own, parts)
        axes[0].set_xlabel("inference gap (nats), lower is tighter ←")
        for axis in axes[1:]:
            _paired_bars(axis, best, families)
            axis.set_xlabel("approximation gap (nats), lower is tighter ←")
        _rows_axis(axes[0], rows)
        note = (
            f"{'Left: ' if panels == 2 else ''}log p(x) - ELBO, what inference loses per example. Bar: mean over "
            "seeds; point: the sum of one seed; black line: its 95 % bootstrap interval (from 3 seeds on)."
        )
        if panels == 2:
            note += (
                " Right: what the best Gaussian for each single example would lose; the distance from the light bar to "
                "the dark one is what a full covariance buys."
            )
        missing = _left_out(group, rows, "approximation_gap_nats", "posterior is no Gaussian")
        _title(figure, f"Inference gaps: {_where(group)}", note + missing)
    return figure


def elbo_surgery(group: Group) -> "Figure | None":
    """The KL of the ELBO as mutual information plus the KL of the aggregate posterior to the prior.

    Source: Hoffman and Johnson 2016, "ELBO surgery: yet another way to carve up the variational evidence lower bound".
    """
    parts = {
        "mutual information of x and z": COLOURS[2],
        "marginal KL(q(z) || p(z))": COLOURS[4],
    }
    rows = _measured(group, "mutual_information_nats", "marginal_kl_nats")
    if not rows:
        return None
    counts: set[Any] = {(record.get("latent") or {}).get("points") for row in rows for record in row.ok} - {None}
    with _look():
        figure = _figure(9.5, 1.3 + 0.5 * len(rows))
        axis = figure.subplots()
        _stacked(axis, rows, parts)
        note = (
            "The rate is how much a code tells of its example (mutual information) plus how far all codes together are "
            "from the prior (marginal KL). Bar: mean over seeds; point: the sum of one seed; black line: its 95 % "
            "bootstrap interval (from 3 seeds on)."
        )
        # Rows that were measured on different numbers of points have no bound in common.
        if len(counts) == 1:
            (points,) = counts
            axis.axvline(
                math.log(points),
                color=INK,
                linestyle="--",
                linewidth=1.2,
                label=f"log {points:,} = {math.log(points):.2f}",
            )
            axis.set_xlim(right=max(axis.get_xlim()[1], 1.05 * math.log(points)))
            _legend(axis, parts)
            note += f" Dashed: no more mutual information can be seen in {points:,} examples than their logarithm."
        axis.set_xlabel("KL(q(z|x) || p(z)) (nats per example), neither high nor low is better")
        _rows_axis(axis, list(rows))
        _title(figure, f"What the KL is made of: {_where(group)}", note + _left_out(group, list(rows)))
    return figure


def _measured(group: Group, *metrics: str) -> dict[Row, np.ndarray]:
    """Row -> `[seeds, metrics]`, of the rows with a seed that has every one of the metrics."""
    found = {row: _columns(row, *metrics) for row in group.rows}
    return {row: values for row, values in found.items() if len(values)}


def _left_out(group: Group, shown: Sequence[Row], metric: str = "", why: str = "") -> str:
    """A sentence that names the group's other rows and says why they are not shown; empty if there are none.

    Args:
        shown: the rows that are.
        metric: a row with a bound that reports it, if only as null, was measured,
        why: so this is what it lacks.
    """
    names = []
    for row in group.rows:
        if row not in shown:
            if not row.ok:
                reason = "no run finished"
            elif row.model.get("has_bound") is False:
                reason = "has no bound"
            elif any(metric in record["metrics"] for record in row.ok):
                reason = why
            else:
                reason = "not measured"
            names.append(f"{row.label} ({reason})")
    return f" Not shown: {', '.join(names)}." if names else ""


def _rows_axis(axis: "Axes", rows: Sequence[Row]) -> None:
    """The first row on top, each by its label."""
    axis.set_yticks(range(len(rows)), [_seeds_label(row) for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)


def _legend(axis: "Axes", parts: Mapping[str, str]) -> None:
    """Colours' labels, and those of lines, above the panel at its left edge."""
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, linewidth=0, label=label) for label, colour in parts.items()]
    handles = [*patches, *axis.get_legend_handles_labels()[0]]
    axis.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1.0), frameon=False, fontsize=10, borderaxespad=0.2
    )


def _stacked(axis: "Axes", rows: Mapping[Row, np.ndarray], parts: Mapping[str, str]) -> None:
    """One bar per row of the parts' means over seeds, the sum of every seed as a point, and the sum's interval.

    Args:
        rows: row -> `[seeds, parts]`.
        parts: label -> colour.
    """
    widest = max(float(values.mean(0).clip(0).sum()) for values in rows.values())
    ends = [0.0]
    for place, values in enumerate(rows.values()):
        totals = values.sum(1)
        first, last = _seed_points(axis, place, totals)
        # A part below zero, as noise makes it, goes to the left of zero and takes nothing off the others.
        right = left = 0.0
        for part, colour in zip(values.mean(0), parts.values(), strict=True):
            start = right if part >= 0 else left
            axis.barh(place, part, left=start, height=0.62, color=colour, linewidth=0)
            # The number keeps clear of the points.
            room = min(start + part, first) - start
            if room > 0.09 * widest:
                axis.text(start + room / 2, place, f"{part:.2f}", ha="center", va="center", fontsize=9.5, color="white")
            right, left = right + max(part, 0.0), left + min(part, 0.0)
        ends.append(max(last, right))
        _value(axis, place, ends[-1], f"{totals.mean():.2f}")
    _zero_based(axis, ends)
    _legend(axis, parts)


def _seed_points(axis: "Axes", place: float, values: np.ndarray) -> tuple[float, float]:
    """Every seed's value as a point with their interval behind; the leftmost and the rightmost place of them."""
    summary = intervals.summarise(values.tolist())
    if summary.low is not None and summary.high is not None:
        for width, colour in ((3.6, "white"), (1.6, INK)):
            axis.plot(
                [summary.low, summary.high],
                [place, place],
                color=colour,
                linewidth=width,
                solid_capstyle="butt",
                zorder=3,
            )
    offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1)
    axis.scatter(values, place + offsets, s=16, facecolor="white", edgecolor=INK, linewidth=1.0, zorder=4)
    ends = [*values.tolist(), *(end for end in (summary.low, summary.high) if end is not None)]
    return min(ends), max(ends)


def _value(axis: "Axes", place: float, end: float, text: str) -> None:
    """A number to the right of what it belongs to."""
    axis.annotate(
        text,
        (end, place),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        fontsize=9.5,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        zorder=2.5,
    )


def _zero_based(axis: "Axes", ends: Sequence[float], room: float = 1.16) -> None:
    """From zero, or from where noise goes below it, with room for numbers at the right end."""
    low = min(0.0, axis.dataLim.x0)
    axis.set_xlim(low * 1.15, room * max(ends) or 1)
    axis.axvline(0, color="#bbbbbb", linewidth=1, zorder=1)
    axis.grid(axis="y", visible=False)
    axis.locator_params(axis="x", nbins=6)


def _paired_bars(axis: "Axes", rows: Mapping[Row, np.ndarray], parts: Mapping[str, str]) -> None:
    """For every row a thin bar per part, one below the other: the mean over seeds, with every seed as a point.

    Args:
        rows: row -> `[seeds, parts]`; without seeds it gets a dash.
        parts: label -> colour.
    """
    ends = [0.0]
    for place, values in enumerate(rows.values()):
        if not len(values):
            axis.text(0.01, place, DASH, transform=axis.get_yaxis_transform(), va="center", color=QUIET)
        for index, (column, colour) in enumerate(zip(values.T, parts.values(), strict=True)):
            if len(column):
                height = 0.72 / len(parts)
                middle = place + (index - (len(parts) - 1) / 2) * height
                axis.barh(middle, column.mean(), height=0.92 * height, color=colour, linewidth=0)
                axis.scatter(
                    column, [middle] * len(column), s=12, facecolor="white", edgecolor=INK, linewidth=0.8, zorder=4
                )
                ends.append(float(column.max()))
                _value(axis, middle, ends[-1], f"{column.mean():.2f}")
    _zero_based(axis, ends)
    _legend(axis, parts)


def kl_per_dimension(group: Group, looks: Mapping[str, Style]) -> "Figure | None":
    """KL of every latent dimension, sorted falling, and the variance of its posterior mean, which makes it active."""
    from matplotlib.ticker import MaxNLocator

    panels = {
        "kl_per_dim": "KL of the dimension (nats)",
        "mean_variance": "variance of the posterior mean over the data",
    }
    found = {name: {row: values for row in group.rows if len(values := _spectra(row, name))} for name in panels}
    rows = [row for row in group.rows if row in found["kl_per_dim"]]
    if not rows:
        return None
    panels = {name: label for name, label in panels.items() if found[name]}
    with _look():
        figure = _figure(4.6 * len(panels) + 2.2, max(4.4, 0.8 + 0.22 * len(rows)))
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (name, label) in zip(axes, panels.items(), strict=True):
            for row, values in found[name].items():
                look = looks[row.name]
                ranks = np.arange(1, values.shape[1] + 1)
                values = np.maximum(values, LEAST_KL)
                axis.plot(
                    ranks,
                    values.mean(0),
                    color=look.colour,
                    marker=look.marker,
                    markersize=4.5,
                    linewidth=1.6,
                    label=row.label,
                )
                axis.fill_between(ranks, values.min(0), values.max(0), color=look.colour, alpha=0.18, linewidth=0)
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter("")
            # Two powers of ten at the least, so that the scale is seen to be logarithmic.
            bottom, top = axis.get_ylim()
            axis.set_ylim(min(bottom, 0.05), max(top, 2))
            axis.set_ylabel(label)
            axis.set_xlabel("latent dimension, the largest first")
            axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            axis.grid(axis="x", visible=False)
        if "mean_variance" in panels:
            axes[-1].axhline(ACTIVE_VARIANCE, color=INK, linestyle="--", linewidth=1.2)
            bottom, top = axes[-1].get_ylim()
            axes[-1].set_ylim(min(bottom, ACTIVE_VARIANCE / 5), max(top, ACTIVE_VARIANCE * 5))
            axes[-1].annotate(
                f"inactive: {ACTIVE_VARIANCE} or less",
                (0.015, ACTIVE_VARIANCE),
                xycoords=axes[-1].get_yaxis_transform(),
                xytext=(0, -4),
                textcoords="offset points",
                va="top",
                fontsize=9.5,
                color=INK,
            )
        axes[-1].legend(
            loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, title="best ELBO first", alignment="left"
        )
        note = (
            "KL(q(z_d|x) || p(z_d)) of each latent dimension, mean over test examples, sorted within each seed; near "
            "zero the dimension has collapsed onto the prior. Correlated posteriors count by their marginals."
        )
        if "mean_variance" in panels:
            note = f"Left: {note} Right: the same for the variance that decides whether a dimension is an active unit."
        note += " Line: mean over seeds; band: lowest to highest seed. Logarithmic y axes"
        note += f"; values below {LEAST_KL:g} are drawn at it." if _below(found, LEAST_KL) else "."
        missing = _left_out(group, rows, "mutual_information_nats", "posterior or prior is no Gaussian")
        _title(figure, f"KL per latent dimension: {_where(group)}", note + missing)
    return figure


def _spectra(row: Row, name: str) -> np.ndarray:
    """`[seeds, D]`: `record["latent"][name]` of every ok seed that has it, each sorted falling."""
    found = [(record.get("latent") or {}).get(name) for record in row.ok]
    return np.array([sorted(values, reverse=True) for values in found if values])


def _below(found: Mapping[str, Mapping[Row, np.ndarray]], least: float) -> bool:
    return any(float(values.min()) < least for rows in found.values() for values in rows.values())


_BOUNDS = ("bdmc_lower_nats", "bdmc_upper_nats")


def evidence(group: Group) -> "Figure | None":
    """How well log p(x) is known: between two bounds on simulated data, and by two estimators on test examples.

    Source: Grosse, Ghahramani and Adams 2015, arXiv:1511.02543; Wu et al. 2017, arXiv:1611.04273.
    """
    sandwich = _measured(group, *_BOUNDS)
    # The most importance samples make the tightest estimate.
    weighted = [name for name in group.metrics if re.fullmatch(r"nll_is\d+_nats", name)][-1:]
    estimates = _measured(group, *weighted, "nll_ais_nats") if weighted else {}
    rows = [row for row in group.rows if row in sandwich or row in estimates]
    if not rows:
        return None
    panels = [found for found in (sandwich, estimates) if found]
    note = ""
    with _look():
        figure = _figure(1.6 + 4.6 * len(panels), 1.3 + 0.5 * len(rows))
        axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axis, found in zip(axes, panels, strict=True):
            for place, row in enumerate(rows):
                if row not in found:
                    axis.text(0.01, place, DASH, transform=axis.get_yaxis_transform(), va="center", color=QUIET)
        if sandwich:
            _sandwich(axes[0], rows, sandwich)
            note += (
                "Simulated data, drawn from each model itself, so only the widths compare: log p(x) lies between a "
                "lower and an upper bound in expectation; bar: mean width over seeds; point: one seed; line: 95 % "
                "Monte Carlo interval. "
            )
        if estimates:
            _estimates(axes[-1], rows, estimates, (*weighted, "nll_ais_nats"))
            note += (
                "Test data: both estimates are at most log p(x) in expectation; mark: mean over seeds; point: one "
                "seed; line: 95 % Monte Carlo interval of one run. The error of the choice of test examples is not "
                "drawn, and they need not be the same for both."
            )
        _rows_axis(axes[0], rows)
        _title(figure, f"How well log p(x) is known: {_where(group)}", note.strip() + _left_out(group, rows))
    return figure


def _sandwich(axis: "Axes", rows: Sequence[Row], found: Mapping[Row, np.ndarray]) -> None:
    """The width between the bounds `[seeds, 2]` of every row as a bar, with both bounds beside it."""
    ends = [0.0]
    for place, row in enumerate(rows):
        if row in found:
            lower, upper = found[row].T
            width = upper - lower
            seeds = set.intersection(*(set(row.values(metric)) for metric in _BOUNDS))
            reach = NORMAL * np.array([_width_error(record) for record in row.ok if record["cell"]["seed"] in seeds])
            axis.barh(place, width.mean(), height=0.62, color="#9fc9e6", linewidth=0)
            heights = place + (np.linspace(-0.2, 0.2, len(width)) if len(width) > 1 else np.zeros(1))
            axis.hlines(heights, width - reach, width + reach, color=INK, linewidth=1.2, zorder=3)
            axis.scatter(width, heights, s=16, facecolor="white", edgecolor=INK, linewidth=1.0, zorder=4)
            ends.append(max(0.0, float((width + reach).max())))
            _value(axis, place, ends[-1], f"{lower.mean():.2f} to {upper.mean():.2f}")
    axis.set_title("simulated data: lower to upper bound", fontsize=11)
    axis.set_xlabel("upper - lower bound (nats), narrower is surer ←")
    _zero_based(axis, ends, room=1.6)


def _estimates(axis: "Axes", rows: Sequence[Row], found: Mapping[Row, np.ndarray], metrics: tuple[str, ...]) -> None:
    """For every row one line per metric, which estimates -log p(x): `[seeds, metrics]`."""
    labels = [known.metric(metrics[0]).label.removeprefix("NLL (").removesuffix(")"), "AIS"]
    for index, (label, colour, marker) in enumerate(zip(labels, (COLOURS[0], COLOURS[1]), "os", strict=True)):
        middle, height, reach = [], [], []
        for place, row in enumerate(rows):
            if row in found:
                values = -found[row][:, index]
                middle.append(values.mean())
                height.append(place + 0.3 * (index - 0.5))
                # All seeds are measured with the same random numbers, so their errors do not simply average out.
                reach.append(NORMAL * (row.error(metrics[index], "mc") or 0.0))
                axis.scatter(values, [height[-1]] * len(values), s=9, color=colour, alpha=0.5, linewidth=0, zorder=3)
        axis.hlines(height, np.subtract(middle, reach), np.add(middle, reach), color=colour, linewidth=1.6, zorder=2)
        axis.scatter(
            middle,
            height,
            s=34,
            marker=marker,
            facecolor="white",
            edgecolor=colour,
            linewidth=1.5,
            zorder=4,
            label=label,
        )
    axis.set_title("test data", fontsize=11)
    axis.legend(loc="lower right", bbox_to_anchor=(1.01, 1.0), ncols=2, frameon=False, fontsize=10, borderaxespad=0.1)
    axis.set_xlabel("log p(x) (nats per example), higher is better →")
    axis.grid(axis="y", visible=False)
    axis.locator_params(axis="x", nbins=6)


def _width_error(record: Record) -> float:
    """Monte Carlo standard error of the width between the bounds; what is not known counts as 0."""
    width, *ends = (
        ((record.get("errors") or {}).get(metric) or {}).get("mc") for metric in ("bdmc_gap_nats", *_BOUNDS)
    )
    return math.hypot(*(end or 0.0 for end in ends)) if width is None else float(width)


def learning_curves(group: Group, looks: Mapping[str, Style]) -> "Figure | None":
    """Validation ELBO against epoch: mean over seeds, a band from lowest to highest; None for a single epoch."""
    from matplotlib.ticker import MaxNLocator

    curves = {row: [curve for record in row.ok if (curve := _curve(record))] for row in group.rows}
    curves = {row: found for row, found in curves.items() if found}
    broken = {row: [curve for record in row.failed if (curve := _curve(record))] for row in group.rows}
    if not any(len(curve) > 1 for found in [*curves.values(), *broken.values()] for curve in found):
        return None  # one epoch is no curve
    with _look():
        # A legend that is higher than its figure leaves no room for the curves.
        figure = _figure(9.5, max(5.2, 0.8 + 0.22 * len(curves)))
        axis = figure.subplots()
        devices = sorted({row.device for row in group.rows})
        last: dict[Row, float] = {}
        floors = []
        for row, found in curves.items():
            look = looks[row.name]
            epochs = sorted(set.intersection(*(set(curve) for curve in found)))
            if not epochs:
                continue
            values = np.array([[curve[epoch] for epoch in epochs] for curve in found])
            mean = values.mean(0)
            axis.plot(
                epochs,
                mean,
                color=look.colour,
                linestyle=("-", "--", ":")[devices.index(row.device) % 3],
                marker=look.marker,
                markevery=max(1, len(epochs) // 10),
                markersize=5,
                linewidth=1.8,
                label=row.label,
            )
            axis.fill_between(epochs, values.min(0), values.max(0), color=look.colour, alpha=0.18, linewidth=0)
            last[row] = float(mean[-1])
            # The first epochs are far below: the axis starts where a fifth of the training is done.
            floors.append(float(values[:, len(epochs) // 5 :].min()))
        for row, lines in broken.items():
            for curve in lines:
                axis.plot(
                    list(curve),
                    list(curve.values()),
                    color=looks[row.name].colour,
                    linestyle=":",
                    linewidth=1.2,
                )
        if not last:
            return None
        top = max(last.values())
        room = max(top - min(floors), 1.0)
        axis.set_ylim(min(floors) - 0.04 * room, top + 0.06 * room)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(9, integer=True))
        axis.set_ylabel("validation ELBO (nats per example), higher is better →")
        handles = {row.label: handle for row, handle in zip(last, axis.get_legend_handles_labels()[0], strict=True)}
        order = [row.label for row in sorted(last, key=lambda row: -last[row])]
        axis.legend(
            [handles[label] for label in order],
            order,
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            frameon=False,
            title="best at the end first",
            alignment="left",
        )
        note = "Line: mean over the ok seeds; band: lowest to highest seed."
        if any(broken.values()):
            note += " Thin dotted lines: runs that failed."
        if any(min(map(min, (c.values() for c in found))) < min(floors) - 0.04 * room for found in curves.values()):
            note += " The earliest epochs lie below the axis."
        _title(figure, f"Learning curves: {_where(group)}", note)
    return figure


def _curve(record: Record) -> dict[int, float]:
    """Epoch -> validation ELBO, without nulls and non-finite values."""
    return {
        point["epoch"]: point["valid_elbo_nats"]
        for point in record.get("curve") or []
        if isinstance(point.get("valid_elbo_nats"), int | float) and math.isfinite(point["valid_elbo_nats"])
    }


def throughput(timed: Throughput, looks: Mapping[str, Style], dataset: str) -> "Figure | None":
    """Training, evaluation and sampling speed: one line of panels per device, medians with quartile whiskers."""
    metrics = ("train_samples_per_s", "eval_samples_per_s", "sample_samples_per_s")
    columns = {
        label: {name: record for name, record in column.items() if record["status"] == "ok"}
        for label, column in timed.columns.items()
    }
    columns = {label: column for label, column in columns.items() if column}
    if not columns:
        return None
    names = sorted({name for column in columns.values() for name in column})
    if len(names) > MOST_ROWS:

        def fastest(name: str) -> float:
            found = [column[name]["metrics"].get(metrics[0]) for column in columns.values() if name in column]
            return -max((each["median"] or 0.0 for each in found if isinstance(each, dict)), default=0.0)

        dataset += f" (the fastest {MOST_ROWS} of {len(names):,} in training)"
        names = sorted(sorted(names, key=fastest)[:MOST_ROWS])
    with _look():
        figure = _figure(11, len(columns) * (0.9 + 0.34 * len(names)))
        panels = figure.subplots(len(columns), len(metrics), sharey=True, squeeze=False)
        for line, (label, column) in zip(panels, columns.items(), strict=True):
            for axis, metric in zip(line, metrics, strict=True):
                _bars(axis, names, column, metric, looks)
                axis.set_title(f"{known.metric(metric).label} on {_label(label)}")
                axis.set_xlabel("samples/s, higher is better →")
            line[0].set_yticks(range(len(names)), [_label(name) for name in names])
            line[0].set_ylim(len(names) - 0.5, -0.5)
        _title(
            figure,
            f"Throughput by variant: {dataset}",
            "Bar: median over timed blocks; whisker: first to third quartile. Axes differ between panels.",
        )
    return figure


def _bars(
    axis: "Axes", names: Sequence[str], column: Mapping[str, Record], metric: str, looks: Mapping[str, Style]
) -> None:
    ends = [0.0]
    for place, name in enumerate(names):
        found = column[name]["metrics"].get(metric) if name in column else None
        if not isinstance(found, dict) or found.get("median") is None:
            axis.text(0.01, place, DASH, transform=axis.get_yaxis_transform(), va="center", color=QUIET)
            continue
        median = found["median"]
        low, high = (median if found.get(key) is None else found[key] for key in ("q1", "q3"))
        axis.barh(place, median, height=0.68, color=looks[name].colour, alpha=0.85, linewidth=0)
        # A white edge keeps the whisker visible on the darkest bars.
        for width, colour in ((3.6, "white"), (1.6, INK)):
            axis.plot([low, high], [place, place], color=colour, linewidth=width, solid_capstyle="butt")
        axis.annotate(
            _short(median),
            (max(high, median), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=INK,
        )
        ends.append(max(high, median))
    axis.set_xlim(0, 1.24 * max(ends) or 1)
    axis.grid(axis="y", visible=False)
    axis.locator_params(axis="x", nbins=4)
    axis.xaxis.set_major_formatter(_tick)


def _short(value: float) -> str:
    """Three significant digits: `"950"`, `"12.3k"`, `"1.60M"`."""
    size, letter = next(((size, letter) for size, letter in ((1e6, "M"), (1e3, "k")) if abs(value) >= size), (1, ""))
    value /= size
    return f"{value:.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}{letter}"


def _tick(value: float, _: float = 0) -> str:
    """`"0"`, `"12k"`, `"1.5M"`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _pictures(rows: Sequence[Row], artefacts: Artefacts, name: str) -> list[tuple[Row, np.ndarray]]:
    """Rows with images to show: the array `name`, `[N, H, W, 3]` uint8, of the first seed that left an artefact."""
    found = []
    for row in rows:
        arrays = next((artefacts[record["id"]] for record in row.ok if record["id"] in artefacts), None)
        if arrays is not None and name in arrays and (images := _as_rgb(arrays[name])) is not None:
            found.append((row, images))
    return found


def _as_rgb(images: np.ndarray) -> np.ndarray | None:
    """`[N, C, H, W]` with one or three channels -> `[N, H, W, 3]`; None for anything else, vectors for one."""
    if images.ndim != 4 or not len(images) or images.shape[1] not in (1, 3):
        return None
    return np.repeat(images, 3 // images.shape[1], axis=1).transpose(0, 2, 3, 1)


def _mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """`[N, H, W, 3]` -> one picture, `columns` wide, with thin white lines between the images."""
    count, height, width, _ = images.shape
    gap = max(1, height // 16)
    lines = math.ceil(count / columns)
    sheet = np.full((lines * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def reconstructions(rows: Sequence[Row], artefacts: Artefacts, where: str) -> "Figure | None":
    """Inputs above the mean reconstruction of every row; inputs are repeated where a row saw others."""
    count = 10
    lines: list[tuple[str, np.ndarray]] = []
    shown: bytes | None = None
    for row, images in _pictures(rows, artefacts, "reconstructions"):
        inputs = _as_rgb(next(artefacts[r["id"]] for r in row.ok if r["id"] in artefacts)["inputs"])
        if inputs is not None and inputs[:count].tobytes() != shown:
            shown = inputs[:count].tobytes()
            lines.append(("input", inputs[:count]))
        lines.append((row.label, images[:count]))
    if not lines:
        return None
    with _look(grid=False):
        figure = _figure(9.5, 0.1 + 0.8 * len(lines))
        panels = figure.subplots(len(lines), 1, squeeze=False)[:, 0]
        for axis, (label, images) in zip(panels, lines, strict=True):
            axis.imshow(_mosaic(images, count), interpolation="nearest")
            axis.set_anchor("W")
            _bare(axis)
            weight = "bold" if label == "input" else "normal"
            axis.set_ylabel(label, rotation=0, ha="right", va="center", fontweight=weight, labelpad=8)
        _title(
            figure,
            f"Reconstructions: {where}",
            "Top: test inputs as the model sees them. Below: the decoder's mean for the same inputs, first seed.",
        )
    return figure


def samples(rows: Sequence[Row], artefacts: Artefacts, where: str) -> "Figure | None":
    """Decoded draws from the prior, a sheet per row."""
    found = _pictures(rows, artefacts, "samples")
    if not found:
        return None
    across = min(3, len(found))
    down = math.ceil(len(found) / across)
    with _look(grid=False):
        figure = _figure(max(3.4 * across, 5.0), 2.1 * down)
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axis, (row, images) in zip(panels, found, strict=False):
            axis.imshow(_mosaic(images[:32], 8), interpolation="nearest")
            axis.set_title(row.label, fontsize=11)
            _bare(axis)
        for axis in panels[len(found) :]:
            axis.set_visible(False)
        _title(
            figure,
            f"Samples from the prior: {where}",
            "The decoder's mean for draws from p(z), first seed, not picked by eye.",
        )
    return figure


def _bare(axis: "Axes") -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for edge in axis.spines.values():
        edge.set_visible(False)


POSTERIORS = {
    "deterministic": "deterministic: points",
    "diagonal": "diagonal covariance",
    "full": "full covariance",
}


def latent_plane(rows: Sequence[Row], artefacts: Artefacts, where: str) -> "Figure | None":
    """Where the encoder puts test examples: points, and 2-sigma ellipses of q(z|x) where it has a covariance.

    One panel for each kind of posterior in `POSTERIORS` that the records hold, from the plainest row of that kind.
    """
    chosen: list[tuple[Row, Mapping[str, np.ndarray]]] = []
    for posterior in POSTERIORS:
        candidates = [
            (row, artefacts[record["id"]])
            for row in rows
            for record in row.ok[:1]
            if row.model.get("posterior") == posterior and _has_plane(artefacts.get(record["id"], {}))
        ]
        chosen += sorted(candidates, key=lambda pair: _plainness(pair[0]))[:1]
    if not chosen:
        return None
    labels = sorted({int(label) for _, arrays in chosen for label in arrays["labels"]})
    with _look():
        figure = _figure(max(4.1 * len(chosen) + (1.0 if 1 < len(labels) <= 10 else 0), 5.5), 4.5)
        for axis, (row, arrays) in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
            _latent_panel(axis, arrays, labels)
            axis.set_title(f"{row.label}\n{POSTERIORS[row.model['posterior']]}", fontsize=11)
            if row.model.get("prior") == "standard_normal" and row.model["posterior"] != "deterministic":
                _ellipses(axis, np.zeros((1, 2)), np.eye(2)[None], [INK], dashed=True)
        if 1 < len(labels) <= 10:
            handles = [axis.plot([], [], "o", color=_label_colour(labels, label), markersize=6)[0] for label in labels]
            figure.legend(handles, list(map(str, labels)), loc="outside right center", frameon=False, title="class")
        _title(
            figure,
            f"The latent plane: {where}",
            "Two latent axes, test examples coloured by class. Ellipses: two standard deviations of q(z|x). "
            "Dashed: the same for the prior N(0, I). First seed; scales differ between panels.",
        )
    return figure


def _has_plane(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether an artefact holds a latent plane: a model with a single latent axis has none."""
    needed = ("latent_mean", "latent_cov", "latent_axes", "labels")
    return all(name in arrays for name in needed) and arrays["latent_mean"].shape[1:] == (2,)


def _plainness(row: Row) -> tuple[int, bool, bool, bool, str]:
    """Sorts the row first that differs least from a plain multilayer perceptron trained on its ELBO."""
    model = row.model
    return (
        len(row.overrides),
        model.get("network") != "mlp",
        model.get("prior") != "standard_normal",
        model.get("objective") != "elbo",
        row.label,
    )


def _latent_panel(axis: "Axes", arrays: Mapping[str, np.ndarray], labels: list[int]) -> None:
    mean, covariance = arrays["latent_mean"][:SHOWN], arrays["latent_cov"][:SHOWN]
    colours = [_label_colour(labels, int(label)) for label in arrays["labels"][:SHOWN]]
    spread = bool(np.any(covariance))
    axis.scatter(mean[:, 0], mean[:, 1], s=5 if spread else 14, c=colours, linewidth=0, alpha=0.9, zorder=2)
    if spread:
        _ellipses(axis, mean, covariance, colours)
    first, second = (int(place) for place in arrays["latent_axes"])
    axis.set_xlabel(f"latent axis {first}")
    axis.set_ylabel(f"latent axis {second}")
    axis.set_aspect("equal", adjustable="datalim")
    axis.locator_params(nbins=6)
    axis.margins(0.08)


def _label_colour(labels: list[int], label: int) -> str:
    from matplotlib.colors import to_hex
    from seaborn import color_palette

    if len(labels) == 1:
        return COLOURS[0]
    palette = color_palette("colorblind", 10) if len(labels) <= 10 else color_palette("viridis", len(labels))
    return str(to_hex(palette[labels.index(label)]))


def _ellipses(
    axis: "Axes", mean: np.ndarray, covariance: np.ndarray, colours: Sequence[str], *, dashed: bool = False
) -> None:
    """Outlines at two standard deviations: mean `[P, 2]`, covariance `[P, 2, 2]`."""
    from matplotlib.collections import EllipseCollection

    variances, vectors = np.linalg.eigh(covariance)
    # An ellipse's width is its whole axis: twice two standard deviations.
    sizes = 4 * np.sqrt(np.maximum(variances, 0))
    angles = np.degrees(np.arctan2(vectors[:, 1, 0], vectors[:, 0, 0]))
    axis.add_collection(
        EllipseCollection(
            sizes[:, 0],
            sizes[:, 1],
            angles,
            units="xy",
            offsets=mean,
            offset_transform=axis.transData,
            facecolors="none" if dashed else list(colours),
            edgecolors=list(colours),
            alpha=1 if dashed else 0.25,
            linewidths=1.3 if dashed else 0.8,
            linestyles="dashed" if dashed else "solid",
            zorder=3 if dashed else 1,
        )
    )


def all_figures(records: Sequence[Record], artefacts: Artefacts) -> Iterator[tuple[str, str, "Figure"]]:
    """Every figure that the records allow: (data set, file name without an ending, figure).

    ELBO plots are drawn per comparison group and named `<data set>-<support>_<plot>`; throughput, images and the latent
    plane rank nothing, so they show all groups of a data set together, one figure for each budget. The group's
    hexadecimal name is added where a data set holds several that differ in more than their support.
    """
    from bench.records.names import digest, slug
    from bench.stats.groups import apart, by_dataset
    from bench.stats.speeds import throughput as timings

    looks = styles(records)
    for dataset, found in by_dataset(records).items():
        own = [shown(group) for group in groups(found)]
        supports = Counter(group.settings["support"] for group in own)
        words = {
            name: text
            for support in supports
            for name, text in apart([group for group in own if group.settings["support"] == support]).items()
        }
        own = [replace(group, apart=words[group.id]) for group in own]
        for group in own:
            name = f"{dataset}-{slug(str(group.settings['support']))}"
            if supports[group.settings["support"]] > 1:
                name += f"-{group.id}"
            for kind, figure in (
                ("elbo_by_variant", elbo_by_variant(group, looks)),
                ("rate_distortion", rate_distortion(group, looks)),
                ("inference_gaps", inference_gaps(group)),
                ("elbo_surgery", elbo_surgery(group)),
                ("kl_per_dimension", kl_per_dimension(group, looks)),
                ("evidence", evidence(group)),
                ("learning_curves", learning_curves(group, looks)),
            ):
                if figure is not None:
                    yield dataset, f"{name}_{kind}", figure
        if (figure := throughput(timings(found, dataset), looks, dataset)) is not None:
            yield dataset, f"{dataset}_throughput", figure
        together: dict[str, list[Group]] = {}
        for group in own:
            together.setdefault(canonical({**group.settings, "support": None}), []).append(group)
        for setting, members in together.items():
            rows = sorted((row for group in members for row in group.rows), key=lambda row: row.label)
            words_of = next((f", {group.apart}" for group in members if group.apart), "")
            where = f"{dataset}{words_of}{_selection(members)}"
            name = f"{dataset}-{digest(setting)}" if len(together) > 1 else dataset
            for kind, show in (
                ("reconstructions", reconstructions),
                ("samples", samples),
                ("latent_plane", latent_plane),
            ):
                if (figure := show(rows, artefacts, where)) is not None:
                    yield dataset, f"{name}_{kind}", figure
