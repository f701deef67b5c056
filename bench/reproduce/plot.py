"""The picture of a reproduction: every published figure beside ours, with the tolerance that was stated before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench import plot, stats
from bench.plot import COLOURS, INK, QUIET
from bench.reproduce.verdict import Finding

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

COLOUR = {"agrees": COLOURS[0], "differs": COLOURS[3]}
BAND = "#e3e6ea"
# Inches per figure, and for a panel's axis and title.
LINE, ROOM = 0.34, 0.95


def figure(found: Sequence[Finding], title: str) -> "Figure | None":
    """One panel a quantity, one line a published figure; None where nothing was run."""
    shown = [finding for finding in found if finding.summary is not None]
    if not shown:
        return None
    panels: dict[str, list[Finding]] = {}
    for finding in shown:
        panels.setdefault(finding.metric, []).append(finding)
    sizes = [LINE * len(panel) + ROOM for panel in panels.values()]
    many = len({finding.source for finding in shown}) > 1
    with plot._look():
        picture = plot._figure(10.5, sum(sizes))
        axes = picture.subplots(len(panels), 1, squeeze=False, height_ratios=sizes)[:, 0]
        for axis, (metric, panel) in zip(axes, panels.items(), strict=True):
            _panel(axis, metric, panel, many)
        handles = _handles()
        picture.legend(
            handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=10, handletextpad=0.5
        )
        plot._title(
            picture,
            title,
            "Grey diamonds are published, grey bands the tolerance around them, stated before the runs. Dots are our "
            "means with their 95 % intervals (from 3 seeds on), small rings single seeds.",
        )
    return picture


def _panel(axis: "Axes", metric: str, panel: Sequence[Finding], many: bool) -> None:
    unit = stats.metric(panel[0].ours).unit
    for place, finding in enumerate(panel):
        _line(axis, place, finding)
    labels = [f"{f.row}\n{_short(f.source)}" if many else f.row for f in panel]
    axis.set_yticks(range(len(panel)), labels)
    for label in axis.get_yticklabels():
        label.set_fontsize(10 if not many else 9)
        label.set_linespacing(1.05)
    axis.set_ylim(len(panel) - 0.4, -0.6)
    axis.margins(x=0.04)
    axis.set_title(metric)
    axis.set_xlabel(f"{stats.metric(panel[0].ours).label}{f' ({unit})' if unit else ''}")
    axis.grid(axis="y", visible=False)
    axis.locator_params(axis="x", nbins=8)


def _short(source: str) -> str:
    """The start of a source, up to its first comma or bracket."""
    return source.split(",")[0].split("(")[0].strip()[:34]


def _line(axis: "Axes", place: int, finding: Finding) -> None:
    summary, colour = finding.summary, COLOUR.get(finding.verdict, QUIET)
    assert summary is not None
    assert finding.difference is not None
    published = finding.published
    if finding.tolerance is not None:
        low, high = published - finding.tolerance.below, published + finding.tolerance.above
        axis.barh(place, high - low, left=low, height=0.62, color=BAND, linewidth=0, zorder=1)
    if finding.stderr is not None:
        axis.plot([published - finding.stderr, published + finding.stderr], [place] * 2, color=INK, lw=1, zorder=3)
    axis.plot([published, summary.mean], [place] * 2, color=colour, lw=1, alpha=0.5, zorder=2)
    axis.scatter(published, place, s=42, marker="D", facecolor="#9a9a9a", edgecolor=INK, linewidth=0.9, zorder=4)
    if summary.low is not None and summary.high is not None:
        axis.plot([summary.low, summary.high], [place] * 2, color=colour, lw=2.2, solid_capstyle="butt", zorder=5)
    if summary.n > 1:
        axis.scatter(
            list(finding.values.values()), [place] * summary.n, s=16, facecolor="white", edgecolor=colour, zorder=6
        )
    axis.scatter(summary.mean, place, s=46, color=colour, zorder=7, linewidth=0)
    digits = stats.metric(finding.ours).digits
    axis.text(
        1.012,
        place,
        f"{finding.difference:+,.{digits}f}  {finding.verdict}",
        transform=axis.get_yaxis_transform(),
        va="center",
        fontsize=10,
        color=colour if finding.verdict in COLOUR else "#6a6a6a",
        fontweight="bold" if finding.verdict == "differs" else "normal",
    )


def _handles() -> "list[Line2D | Patch]":
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    dot: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 7, "markeredgewidth": 0}
    return [
        Line2D([], [], marker="D", linestyle="none", color="#9a9a9a", markeredgecolor=INK, label="published"),
        Patch(color=BAND, label="tolerance"),
        Line2D([], [], color=COLOUR["agrees"], label="ours, agrees", **dot),
        Line2D([], [], color=COLOUR["differs"], label="ours, differs", **dot),
        Line2D([], [], color=QUIET, label="ours, not judged", **dot),
    ]
