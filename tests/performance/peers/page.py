"""Results -> tables, a plot and a page that explains them. Needs no torch."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.pages.blocks import Block, Heading, Items, Table, Text, markdown
from bench.pages.figures import style
from bench.pages.grids import Entry, Grid, grid
from bench.pages.page import Page, csv_text
from bench.text import DASH
from tests.performance import Spread
from tests.performance.peers.plan import EXAMPLE, GROUPS, PYTHAE, PYTHAE_KEEPS, SETTINGS, TASKS, Task
from tests.performance.peers.results import ROUNDS_FILE, Ratio, Results, lines_of, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMMAND = "make bench-peers"
# Each has a column of ratios to it.
PEERS = (PYTHAE, PYTHAE_KEEPS, EXAMPLE)
# They stand beside the figures they belong to, and not in the README of the repository.
NOTES = Path(__file__).with_name("notes.md")
RATIO = (
    "A ratio is how many times as fast this suite is; targets were set beforehand. Against the machine's limit it is "
    "the share of the rate of its matrix products."
)
EVERY = "Medians and quartiles over rounds; a column `x pythae` is the ratio within rounds."
PROFILED = (
    "One block under torch's profiler after the timed rounds, in percent of its wall time: each operation's own time, "
    "and the rest between operations. The profiler itself makes the rest larger, most of all where operations are many "
    "and small, as in a `DataLoader`."
)
AGAIN = (
    f"Again: `{COMMAND} AGAIN=1`. The page alone: `python -m tests.performance.peers --report DIR`. The figures: "
    "[`peers.csv`](peers.csv), [`targets.csv`](targets.csv), the tables alone: [`peers.md`](peers.md)."
)


def write(out: Path) -> str:
    """Read OUT/rounds.jsonl and write `peers.csv`, `targets.csv`, `peers.md`, `peers.png`, `peers.svg` and `README.md`.

    Returns:
        The comparisons as text, for a terminal.

    Raises:
        UsageError: there are no rounds.
        MachineError: a file cannot be written.
    """
    results = Results(lines_of(out / ROUNDS_FILE))
    ratios = results.ratios()
    compared, aimed = Table(ratio_grid(ratios)), summary(ratios)
    page = Page(out, "Beside its peers", by=COMMAND, source=f"the timed blocks in [`{ROUNDS_FILE}`]({ROUNDS_FILE})")
    page.add(Text(f"**{aimed}** {RATIO}"), compared)
    if any(ratio.spread for ratio in ratios):
        page.picture("peers", figure(results), "ratios of speed with their quartiles and targets")
    page.warn(results.failures())
    page.section("Every contestant", Text(EVERY))
    tables: list[Block] = [compared, Text(aimed)]
    for name in results.tasks:
        title, table = TASKS[name].title, Table(rate_grid(results, TASKS[name]))
        page.add(Heading(f"{title[0].upper()}{title[1:]}", 3), table, Text(_steps(results, name)))
        tables += [Text(f"**{title}**"), table]
    if results.profiles():
        page.section("Where the time goes", Text(PROFILED), Table(profile_grid(results)), Text(_bounds(results)))
    page.add(Text(NOTES.read_text(encoding="utf-8").rstrip().format(**asdict(SETTINGS))))
    page.section("Where the figures come from", Items(_provenance(results)), Text(AGAIN))
    for file, content in (("peers", rate_rows(results)), ("targets", [_target_row(ratio) for ratio in ratios])):
        page.attach(f"{file}.csv", csv_text(content))
    page.attach("peers.md", markdown(tables))
    page.screen = [Table(_narrow(ratios)), Text(aimed)]
    return page.write().terminal.rstrip()


def failures(out: Path) -> list[str]:
    """One line for every contestant that failed."""
    return Results(lines_of(out / ROUNDS_FILE)).failures()


def summary(ratios: Sequence[Ratio]) -> str:
    """`"7 of 9 targets met; missed: ..."`."""
    aimed = [ratio for ratio in ratios if ratio.comparison.target is not None]
    parts = [f"{sum(ratio.verdict == 'met' for ratio in aimed)} of {len(aimed)} targets met"]
    for verdict in ("missed", "not measured"):
        names = [f"{TASKS[r.comparison.task].title} ({r.comparison.words})" for r in aimed if r.verdict == verdict]
        parts += [f"{verdict}: {', '.join(names)}"] if names else []
    return "; ".join(parts) + "."


def ratio_grid(ratios: Iterable[Ratio]) -> Grid:
    """One line a comparison: who stood for each side, ratio, quartiles, target, verdict."""
    headers = ["task", "comparison", "ours", "theirs", "ratio", "quartiles", "rounds", "target", "verdict"]
    rows = []
    for ratio in ratios:
        c, s = ratio.comparison, ratio.spread
        texts = [
            *(TASKS[c.task].title, c.words, ratio.ours or DASH, ratio.theirs or DASH),
            *((f"{s.median:.2f}", f"{s.q1:.2f} to {s.q3:.2f}", str(s.n)) if s else (DASH, DASH, DASH)),
            f"at least {c.target:g}" if c.target is not None else DASH,
            ratio.verdict,
        ]
        rows.append([Entry(text, best=text == "missed") for text in texts])
    return headers, rows


def _narrow(ratios: Sequence[Ratio]) -> Grid:
    """The comparisons in as few columns as a terminal has room for."""
    headers, rows = ratio_grid(ratios)
    shown = [headers.index(name) for name in ("task", "comparison", "ratio", "target", "verdict")]
    return [headers[i] for i in shown], [[row[i] for i in shown] for row in rows]


def rate_rows(results: Results) -> list[dict[str, Any]]:
    """One row a task and contestant: its rate (or seconds), and its ratio to each peer where that is another."""
    rows = []
    for task in results.tasks:
        for contestant in TASKS[task].contestants:
            rates = list(results.rates(task, contestant.name).values())
            rate = spread([1 / value for value in rates] if TASKS[task].shows_seconds else rates)
            row: dict[str, Any] = {
                "task": task,
                "contestant": contestant.name,
                "status": results.status(task, contestant.name),
            }
            row |= {"unit": TASKS[task].unit, "rounds": len(rates)} | _columns("", rate)
            for peer in PEERS:
                row |= _columns(f"vs_{peer.replace(' ', '_')}_", results.paired(task, contestant.name, peer))
            rows.append(row)
    return rows


def _columns(prefix: str, spread: Spread | None) -> dict[str, Any]:
    values = asdict(spread) if spread else {}
    return {f"{prefix}{name}": values.get(name) for name in ("median", "q1", "q3")}


def _target_row(ratio: Ratio) -> dict[str, Any]:
    c = ratio.comparison
    row: dict[str, Any] = {"task": c.task, "comparison": c.words, "ours": ratio.ours, "theirs": ratio.theirs}
    row |= {"rounds": ratio.spread.n if ratio.spread else 0} | _columns("", ratio.spread)
    return row | {"target": c.target, "verdict": ratio.verdict}


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rate_grid(results: Results, task: Task) -> Grid:
    """One line a contestant: median, quartiles, and how many times as fast as each peer."""
    peers = [c.name for c in task.contestants if c.name in PEERS]
    headers = ["contestant", f"median ({task.unit})", "quartiles", "rounds", *(f"x {peer}" for peer in peers)]
    rows = []
    for row in rate_rows(results):
        if row["task"] != task.name:
            continue
        name, status, median = row["contestant"], row["status"], row["median"]
        if median is None:
            texts = [name, status, *[DASH] * (len(headers) - 2)]
        else:
            texts = [name + ("" if status == "ok" else f" ({status})"), _amount(median)]
            texts += [f"{_amount(row['q1'])} to {_amount(row['q3'])}", str(row["rounds"])]
            for peer in peers:
                ratio = None if peer == name else results.paired(task.name, name, peer)
                texts.append(f"{ratio.median:.2f} ({ratio.q1:.2f} to {ratio.q3:.2f})" if ratio else DASH)
        rows.append(texts)
    return grid(headers, rows)


def profile_grid(results: Results) -> Grid:
    """One line a profiled contestant, one column a group of operations, in percent of its wall time."""
    rows = []
    for (task, contestant), shares in results.profiles().items():
        figures = (f"{100 * shares[group]:.1f}" for group in GROUPS)
        rows.append([TASKS[task].title, contestant, *figures])
    return grid(["task", "contestant", *(f"{group} (%)" for group in GROUPS)], rows)


def _bounds(results: Results) -> str:
    """How fast anybody could be who makes the same products as a peer, empty without a profile of one."""
    bounds = [
        f"{TASKS[task].title} against {'the ' if peer == EXAMPLE else ''}{peer} "
        f"{(2 if task == 'nll' else 1) / shares[GROUPS[0]]:.2f}"
        for (task, peer), shares in results.profiles().items()
        if peer in PEERS
    ]
    if not bounds:
        return ""
    return (
        "These shares bound every ratio. Whoever makes a peer's matrix products in the same arithmetic, on the same "
        "threads, and does everything else in no time at all is as many times as fast as one over their share of the "
        f"peer's time. From the one block that was profiled, about: {'; '.join(bounds)}. (Twice its share for the NLL: "
        "half of pythae's products there encode the image again for each batch.) The slower a processor's products, "
        "the lower these bounds. So a target against a peer is to be no slower, and the others are shares of the "
        "machine's own limit."
    )


def _steps(results: Results, task: str) -> str:
    """What the blocks of the time to the ELBO say of their ends, empty for other tasks."""
    parts = []
    for contestant in TASKS[task].contestants:
        if blocks := [block for block in results.blocks(task, contestant.name) if "steps" in block]:
            ends = (f"{block['steps']} ({block['elbo']:.1f})" for block in blocks)
            parts.append(f"{contestant.name} {', '.join(ends)}")
    return f"Steps made, with the ELBO at the end in nats, by round: {'; '.join(parts)}." if parts else ""


def _provenance(results: Results) -> list[str]:
    runs = results.of("run")
    run, source = runs[0]["identity"], runs[0]["provenance"]
    versions = ", ".join(f"{name} {value}" for name, value in sorted(run["versions"].items()))
    days = sorted({run["provenance"]["started"][:10] for run in runs})
    return [
        f"commit: `{run['commit']}`" + (" with uncommitted changes" if run["dirty"] else ""),
        f"versions: {versions}",
        f"processor: {run['processor']}, {source['cpu_count']} logical cores, {run['threads']} threads",
        f"started {len(runs)} time{'s' if len(runs) > 1 else ''}: {', '.join(days)}",
    ]


def figure(results: Results) -> "Figure":
    """Every comparison's ratio with its quartiles on a logarithmic axis, its target as a mark; below, shares of the
    machine's limit."""
    ratios = [ratio for ratio in results.ratios() if ratio.spread]
    panels = [[r for r in ratios if (r.comparison.task == "limits") is limits] for limits in (False, True)]
    panels = [panel for panel in panels if panel]
    # Task names stand on lines of their own above their comparisons.
    heights = [len(panel) + len({ratio.comparison.task for ratio in panel}) for panel in panels]
    with style.house_style():
        picture = style.new_figure(11, 0.9 * len(panels) + 0.37 * sum(heights))
        axes = picture.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, panel in zip(axes, panels, strict=True):
            _panel(axis, panel)
            if panel[0].comparison.task == "limits":
                axis.set_xlabel("share of the rate of matrix products (%), higher is better →")
                axis.set_xlim(0, 1.12)
                axis.set_xticks([i / 5 for i in range(6)], [f"{20 * i}" for i in range(6)])
                continue
            axis.set_xscale("log")
            axis.set_xlabel("times as fast as the peer, logarithmic, higher is better →")
            low = 0.8 * min([1.0, *(r.spread.q1 for r in panel if r.spread)])
            ends = [(r.spread.q3 if r.spread else 1, r.comparison.target or 1) for r in panel]
            high = 1.8 * max([10.0, *map(max, ends)])
            axis.set_xlim(low, high)
            ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= t <= high]
            axis.set_xticks(ticks, [f"{t:g}x" for t in ticks])
            axis.minorticks_off()
            axis.axvline(1, color=style.INK, linewidth=1.2, zorder=1)
        style.add_title(
            picture,
            f"How fast beside its peers: {summary(ratios)[:-1].split(';')[0]}",
            "Point: median of the ratio within rounds; bar: quartiles. Upright mark: target, green where it was met, "
            "orange where it was missed; blue has no target. The black line at 1x is equal speed.",
        )
    return picture


def _panel(axis: Any, ratios: Sequence[Ratio]) -> None:
    labels: list[str] = []
    tasks: set[str] = set()
    white = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    head: dict[str, Any] = {"fontweight": "bold", "fontsize": 10, "color": style.INK, "zorder": 4, "bbox": white}
    note: dict[str, Any] = {"va": "center", "fontsize": 10, "color": style.INK, "bbox": white}
    colours = {"met": style.COLOURS[2], "missed": style.COLOURS[3], "no target": style.COLOURS[0]}
    for ratio in ratios:
        c, s = ratio.comparison, ratio.spread
        assert s is not None
        if c.task not in tasks:
            tasks.add(c.task)
            at = {"transform": axis.get_yaxis_transform(), "va": "center"}
            axis.text(0.006, len(labels), TASKS[c.task].title, **at, **head)
            labels.append("")
        y, colour = len(labels), colours[ratio.verdict]
        labels.append(c.words + (f"\n({ratio.ours})" if len(c.ours) > 1 else ""))
        axis.plot([s.q1, s.q3], [y, y], color=colour, linewidth=4, alpha=0.5, solid_capstyle="butt")
        axis.plot(s.median, y, marker="o", markersize=7, color=colour, linestyle="none", zorder=3)
        end = max(s.q3, s.median)
        if c.target is not None:
            axis.plot([c.target, c.target], [y - 0.38, y + 0.38], color=colour, linewidth=2.5, zorder=2)
            end = c.target if end < c.target < 1.3 * end else end
        text = f"{100 * s.median:.0f} %" if c.task == "limits" else f"{s.median:.2f}x"
        axis.annotate(text, (end, y), xytext=(9, 0), textcoords="offset points", **note)
    axis.set_yticks(range(len(labels)), labels, fontsize=9.5)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
