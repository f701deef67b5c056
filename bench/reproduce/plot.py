"""The picture of a reproduction: every published figure beside ours, with the tolerance that was stated before."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.pages.figures import style
from bench.pages.figures.style import COLOURS, INK, QUIET
from bench.reproduce.verdict import Finding, short_source
from bench.stats import metrics
from bench.text import clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

COLOUR = {"agrees": COLOURS[0], "differs": COLOURS[3]}
BAND = "#e3e6ea"
# Inches per figure and line of its label, and for a panel's axis and title.
LINE, MORE, ROOM = 0.34, 0.16, 0.95
# Where published figures lie further apart than so many widths of what is drawn around one, differences are drawn.
FAR = 50
# Characters of a line of a row's title beside a panel, and so many lines of it; and in the width of the picture.
LONGEST, MOST_LINES = 36, 2
WIDEST = 100


def figure(findings: Sequence[Finding], title: str) -> "Figure | None":
    """One panel a quantity, one line a published figure; None where nothing was run."""
    shown = [finding for finding in findings if finding.summary is not None]
    if not shown:
        return None
    # Rows of one run and one published figure are drawn once.
    lines: dict[str, dict[object, Finding]] = {}
    for finding in shown:
        same = finding.run, finding.published, finding.source, finding.verdict
        lines.setdefault(quantity(finding), {}).setdefault(same, finding)
    panels = {name: list(once.values()) for name, once in lines.items()}
    left_out = len(shown) - sum(map(len, panels.values()))
    judged = any(finding.tolerance is not None for finding in shown)
    most = {name: max(_label(f, _many(panel)).count("\n") for f in panel) for name, panel in panels.items()}
    sizes = [(LINE + MORE * most[name]) * len(panel) + ROOM for name, panel in panels.items()]
    with style.panels(10.5, sum(sizes), down=len(panels), height_ratios=sizes) as (picture, axes):
        for axis, (name, panel) in zip(axes, panels.items(), strict=True):
            _panel(axis, name, panel)
        handles = _handles(shown)
        spot: Any = {"loc": "outside lower left", "ncols": len(handles), "handletextpad": 0.5}
        picture.legend(handles=handles, frameon=False, fontsize=10, **spot)
        style.add_title(
            picture,
            clip(title, WIDEST),
            "Grey diamonds are published"
            + (", grey bands the tolerance around them, stated before the runs" if judged else "")
            + ". Dots are our means with their 95 % intervals (from 3 seeds on), small rings single seeds."
            + (" Rows that are one run, and have one published figure, are drawn once." if left_out else ""),
        )
    return picture


def quantity(finding: Finding) -> str:
    """What a panel shows, in words: `"NLL (IS-5000)"`, of its negative `"log p(x) (IS-5000)"`."""
    label = metrics.metric(finding.ours).label
    if finding.sign < 0:
        label = f"log p(x){label[3:]}" if label.startswith("NLL") else f"negative {label}"
    return f"{label[:1].upper()}{label[1:]}" if not label.startswith("log p") else label


def _panel(axis: "Axes", name: str, panel: Sequence[Finding]) -> None:
    entry = metrics.metric(panel[0].ours)
    apart = _apart(panel)
    origins = [finding.published if apart else 0.0 for finding in panel]
    for index, (finding, origin) in enumerate(zip(panel, origins, strict=True)):
        _line(axis, index, finding, origin)
    labels = [_label(finding, _many(panel)) for finding in panel]
    if apart:
        labels = [f"{label}: {f.published:,.{entry.digits}f}" for label, f in zip(labels, panel, strict=True)]
    axis.set_yticks(range(len(panel)), labels)
    for label in axis.get_yticklabels():
        label.set_fontsize(9.5)
        label.set_linespacing(1.05)
    axis.set_ylim(len(panel) - 0.4, -0.6)
    ends = [end - origin for f, origin in zip(panel, origins, strict=True) for end in _ends(f)]
    middle, half = (min(ends) + max(ends)) / 2, 0.54 * (max(ends) - min(ends))
    # A difference in the last printed digit shall not look large.
    half = max(half, 50 * 10.0**-entry.digits)
    axis.set_xlim(middle - half, middle + half)
    axis.set_title(clip(name, WIDEST))
    unit = {"nats": "nats per example"}.get(entry.unit, entry.unit)
    axis.set_xlabel(", ".join(filter(None, (unit, "ours less the published figure at the left" if apart else ""))))
    axis.grid(axis="y", visible=False)
    axis.locator_params(axis="x", nbins=8)


def _apart(panel: Sequence[Finding]) -> bool:
    """Whether the panel's figures lie so far apart that nothing around one of them could be seen."""
    levels = [finding.published for finding in panel]
    widest = max(max(ends) - min(ends) for ends in map(_ends, panel))
    return max(levels) - min(levels) > FAR * widest


def _many(panel: Sequence[Finding]) -> bool:
    """Whether a panel has several sources."""
    return len({finding.source for finding in panel}) > 1


def _label(finding: Finding, many: bool) -> str:
    """The row's title in a few lines; and the source, where the panel has several."""
    lines = textwrap.wrap(finding.title, LONGEST) or [finding.row]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES - 1 :] = [clip(" ".join(lines[MOST_LINES - 1 :]), LONGEST)]
    return "\n".join([clip(line, LONGEST) for line in lines] + ([clip(short_source(finding), LONGEST)] if many else []))


def _ends(finding: Finding) -> list[float]:
    """Everything that a figure's line must have room for."""
    summary, tolerance = finding.summary, finding.tolerance
    ends = [finding.published, *finding.values.values()]
    ends += [end for end in (summary.low, summary.high) if end is not None] if summary else []
    if finding.stderr is not None:
        ends += [finding.published - finding.stderr, finding.published + finding.stderr]
    if tolerance is not None:
        ends += [finding.published - tolerance.below, finding.published + tolerance.above]
    return ends


def _line(axis: "Axes", index: int, finding: Finding, origin: float) -> None:
    """One figure, of which `origin` is taken away."""
    summary, colour = finding.summary, COLOUR.get(finding.verdict, QUIET)
    assert summary is not None
    assert finding.difference is not None
    published, mean = finding.published - origin, summary.mean - origin
    if finding.tolerance is not None:
        low, high = published - finding.tolerance.below, published + finding.tolerance.above
        axis.barh(index, high - low, left=low, height=0.62, color=BAND, linewidth=0, zorder=1)
    if finding.stderr is not None:
        axis.plot([published - finding.stderr, published + finding.stderr], [index] * 2, color=INK, lw=1, zorder=3)
    axis.plot([published, mean], [index] * 2, color=colour, lw=1, alpha=0.5, zorder=2)
    axis.scatter(published, index, s=42, marker="D", facecolor="#9a9a9a", edgecolor=INK, linewidth=0.9, zorder=4)
    if summary.low is not None and summary.high is not None:
        axis.plot(
            [summary.low - origin, summary.high - origin],
            [index] * 2,
            color=colour,
            lw=2.2,
            solid_capstyle="butt",
            zorder=5,
        )
    if summary.n > 1:
        seeds = [value - origin for value in finding.values.values()]
        axis.scatter(seeds, [index] * len(seeds), s=16, facecolor="white", edgecolor=colour, zorder=6)
    axis.scatter(mean, index, s=46, color=colour, zorder=7, linewidth=0)
    digits = metrics.metric(finding.ours).digits
    look: Any = {"color": style.readable(colour), "va": "center", "fontsize": 10}
    look |= {"fontweight": "bold"} if finding.verdict == "differs" else {}
    words = f"{finding.difference:+,.{digits}f}  {finding.verdict}"
    axis.text(1.012, index, words, transform=axis.get_yaxis_transform(), **look)


def _handles(shown: Sequence[Finding]) -> "list[Line2D | Patch]":
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    dot: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": 7, "markeredgewidth": 0}
    verdicts = {finding.verdict if finding.verdict in COLOUR else "not judged" for finding in shown}
    return [
        Line2D([], [], marker="D", linestyle="none", color="#9a9a9a", markeredgecolor=INK, label="published"),
        *([Patch(color=BAND, label="tolerance")] if verdicts & set(COLOUR) else []),
        *(
            Line2D([], [], color=colour, label=f"ours, {verdict}", **dot)
            for verdict, colour in {**COLOUR, "not judged": QUIET}.items()
            if verdict in verdicts
        ),
    ]
