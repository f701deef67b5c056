"""Results -> tables, a plot and a page that explains them. Needs no torch."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.disk.files import write_bytes
from bench.pages.grids import Cell, Grid, markdown_grid, text_grid
from bench.text import DASH
from tests.performance.peers.plan import EXAMPLE, GROUPS, PYTHAE, SETTINGS, TASKS, Task
from tests.performance.peers.results import JOURNAL, Ratio, Results, Spread, lines_of, spread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMMAND = "make bench-peers"
_S = SETTINGS

# Kept here and not in the README of the repository, so that they stand beside the figures they belong to.
COMPARED = (
    f"The MLP: 784 - {_S.hidden} - (mean {_S.latent}, spread {_S.latent}) and {_S.latent} - {_S.hidden} - 784, ReLU, "
    "Bernoulli likelihood, standard normal prior, the ELBO with one draw. A test copies the weights of each into "
    "ours and finds the same reconstruction term and the same KL; `make bench-peers` runs it before it measures.",
    "The conv net: pythae's own for MNIST, 17 million weights, strided convolutions and batch normalisation, latent "
    f"{_S.conv_latent}; ours has the same layers.",
    "The data: MNIST cut at one half to zeros and ones, the first 50,000 training images to train on, the last 10,000 "
    "to validate, 10,000 to test. Every contestant gets exactly these pixels: pythae as a tensor data set, the example "
    "script as torchvision's MNIST through a `DataLoader` with `shuffle=True`. Both load in the main process "
    "(`num_workers=0`, the default).",
    f"Adam with step size {_S.lr:g}, fp32 (but for rows that say bf16), the same torch, the same threads: "
    "all cores for one process, or shared by two.",
    f"A block is {_S.block:,} images of training ({_S.conv_block} of the conv net), the test split in batches of "
    f"{_S.eval_batch} for evaluation, {_S.nll_images} test images with {_S.nll_samples:,} importance samples each for "
    f"the NLL, {_S.samples:,} samples in batches of {_S.sample_batch}.",
    "Settings: *compiled* is `torch.compile` of the loss; *bf16* computes the networks in bfloat16, on processors that "
    "have it; *two processes* train two models side by side, each with half of the threads, and their images are added "
    "up over the time of the slower. The best setting of one process is the one with the highest median, chosen after "
    "the fact.",
    f"Time to the same validation ELBO: from a fresh start until the ELBO is {_S.elbo:g} nats, a figure that was "
    f"written down before anything was timed. Every {_S.elbo_every} steps the clock stops, the weights are copied into "
    f"our model, and our judge scores {_S.elbo_images:,} validation images with the same random numbers for all. The "
    "clock runs for training alone. Each round has another seed.",
    "The machine's limit: the best rate of fp32 products of two square matrices, measured in the same rounds. Work is "
    "counted by torch's own counter over a real block: matrix products and convolutions, forward and backward, and "
    "nothing else, so what is spent elsewhere counts against us.",
)
HOW = (
    "Every contestant runs in a fresh process of the same environment. All stay alive, one works at a time, and they "
    "take turns block by block, A B C, B C A, so that a machine that drifts does so for all. What each does before the "
    "first round, a block or some steps of training, is thrown away; compilation falls into it.",
    "A ratio is taken within each round. Shown are the median over rounds and the quartiles.",
    "Networks are as initialised at the start of the timing; their speed does not depend on their weights.",
)
NOT_COMPARED = (
    "GPUs, other data sets, other models and other libraries. These are figures of one processor.",
    "Quality of results: here everybody computes the same function. Whether a library's defaults give good models is "
    "another question.",
    "Start-up, import, loading of data, compilation, logging, checkpoints and progress bars.",
    "Random numbers: each draws its own, so losses agree in distribution and not digit by digit.",
    "Initial weights: our head gives log sigma, the others' log sigma^2, so the same default initialisation is another "
    "function; this touches the time to the ELBO and nothing else.",
    "Memory.",
)
KIND = (
    "Kind to pythae: its progress bar and console output are off; its NLL runs without a gradient graph, where its "
    "documentation keeps one; its trainer's validation, checkpoints and copies of the best model are left out.",
    "Kind to the example script: it makes no pictures and prints nothing.",
    "Unkind to both: they keep what they do by default. Images come one by one through a `DataLoader`, the loss is "
    "read back after every step, and Adam is torch's default implementation, where ours is fused. Somebody who writes "
    "these loops anew gets a part of the difference; that part is what is measured.",
    "Unkind to both: neither is compiled or run in bf16, in which neither is by default; where a setting of ours is "
    "held against them, the row names it, and the fp32 row is the comparison of like with like.",
    "Unkind to pythae: its NLL encodes the image anew for each batch of 100 samples, as the method is written, and its "
    "sampler keeps a gradient graph until it lets go of it.",
    "By chance: in sampling both sides make the same products. The rest is mostly memory that the C library gives back "
    "and takes again, and that differs between two processes of the same contestant by more than between contestants.",
    "Kind to nobody: a training block is a pass over a part of the images, which touches less memory than all of them, "
    "for every contestant alike.",
)


def write(out: Path) -> str:
    """Read OUT/rounds.jsonl and write `peers.csv`, `targets.csv`, `peers.md`, `peers.png`, `peers.svg` and `README.md`.

    Returns:
        The comparisons as text, for a terminal.

    Raises:
        UsageError: there are no rounds.
        MachineError: a file cannot be written.
    """
    from bench.pages.figures import style

    results = Results(lines_of(out / JOURNAL))
    ratios = results.ratios()
    write_bytes(out / "peers.csv", _csv(rate_rows(results)).encode())
    write_bytes(out / "targets.csv", _csv([_target_row(ratio) for ratio in ratios]).encode())
    write_bytes(out / "peers.md", (_tables(results) + "\n").encode())
    drawn = any(ratio.spread for ratio in ratios)
    if drawn:
        picture = figure(results)
        write_bytes(out / "peers.png", style.png(picture))
        write_bytes(out / "peers.svg", style.svg(picture))
    write_bytes(out / "README.md", _page(results, drawn).encode())
    warnings = [f"warning: {line}" for line in results.failures()]
    return "\n".join([terminal(ratios), summary(ratios), *warnings])


def failures(out: Path) -> list[str]:
    """One line for every contestant that failed."""
    return Results(lines_of(out / JOURNAL)).failures()


def summary(ratios: Sequence[Ratio]) -> str:
    """`"7 of 9 targets met; missed: ..."`."""
    aimed = [ratio for ratio in ratios if ratio.comparison.target is not None]
    by = {
        verdict: [_name(r) for r in aimed if r.verdict == verdict] for verdict in ("met", "missed", "not measured")
    }  # fmt: skip
    rest = [f"{verdict}: {', '.join(by[verdict])}" for verdict in ("missed", "not measured") if by[verdict]]
    return "; ".join([f"{len(by['met'])} of {len(aimed)} targets met", *rest]) + "."


def _name(ratio: Ratio) -> str:
    return f"{TASKS[ratio.comparison.task].title} ({ratio.comparison.words})"


def ratio_grid(ratios: Iterable[Ratio]) -> Grid:
    """One line a comparison: who stood for each side, ratio, quartiles, target, verdict."""
    headers = ["task", "comparison", "ours", "theirs", "ratio", "quartiles", "rounds", "target", "verdict"]
    lines = []
    for ratio in ratios:
        c, s = ratio.comparison, ratio.spread
        line = [
            TASKS[c.task].title,
            c.words,
            ratio.ours or DASH,
            ratio.theirs or DASH,
            f"{s.median:.2f}" if s else DASH,
            f"{s.q1:.2f} to {s.q3:.2f}" if s else DASH,
            str(s.n) if s else DASH,
            f"at least {c.target:g}" if c.target is not None else DASH,
            ratio.verdict,
        ]
        lines.append([Cell(text, best=text == "missed") for text in line])
    return headers, lines


def terminal(ratios: Sequence[Ratio]) -> str:
    """The comparisons in as few columns as a terminal has room for."""
    headers, lines = ratio_grid(ratios)
    shown = [headers.index(name) for name in ("task", "comparison", "ratio", "target", "verdict")]
    return text_grid(([headers[i] for i in shown], [[line[i] for i in shown] for line in lines]))


def rate_rows(results: Results) -> list[dict[str, Any]]:
    """One row a task and contestant: its rate (or seconds), and its ratio to each peer where that is another."""
    rows = []
    for task in results.tasks:
        for contestant in TASKS[task].contestants:
            rates = list(results.rates(task, contestant.name).values())
            found = spread([1 / value for value in rates] if TASKS[task].shows_seconds else rates)
            row: dict[str, Any] = {"task": task, "contestant": contestant.name}
            row |= {"status": results.status(task, contestant.name), "unit": TASKS[task].unit}
            row |= _columns("", found)
            for peer in (PYTHAE, EXAMPLE):
                row |= _columns(f"vs_{peer.replace(' ', '_')}_", results.paired(task, contestant.name, peer))
            rows.append(row)
    return rows


def _columns(prefix: str, found: Spread | None) -> dict[str, Any]:
    values = (found.median, found.q1, found.q3) if found else (None, None, None)
    rounds = {} if prefix else {"rounds": found.n if found else 0}
    return rounds | {f"{prefix}{name}": value for name, value in zip(("median", "q1", "q3"), values, strict=True)}


def _target_row(ratio: Ratio) -> dict[str, Any]:
    c = ratio.comparison
    row: dict[str, Any] = {"task": c.task, "comparison": c.words, "ours": ratio.ours, "theirs": ratio.theirs}
    return row | _columns("", ratio.spread) | {"target": c.target, "verdict": ratio.verdict}


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    buffer = io.StringIO()
    if rows:
        writer = csv.DictWriter(buffer, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return buffer.getvalue()


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rate_grid(results: Results, task: Task) -> Grid:
    """One line a contestant: median, quartiles, and how many times as fast as each peer."""
    peers = [c.name for c in task.contestants if c.name in (PYTHAE, EXAMPLE)]
    headers = ["contestant", f"median ({task.unit})", "quartiles", "rounds", *(f"x {peer}" for peer in peers)]
    lines = []
    for row in rate_rows(results):
        if row["task"] != task.name:
            continue
        name, median = row["contestant"], row["median"]
        if median is None:
            line = [name, row["status"], *[DASH] * (len(headers) - 2)]
        else:
            line = [name, _amount(median), f"{_amount(row['q1'])} to {_amount(row['q3'])}", str(row["rounds"])]
            for peer in peers:
                found = results.paired(task.name, name, peer)
                shown = found is not None and name != peer
                line.append(f"{found.median:.2f} ({found.q1:.2f} to {found.q3:.2f})" if found and shown else DASH)
            if row["status"] != "ok":
                line[0] += f" ({row['status']})"
        lines.append([Cell(text) for text in line])
    return headers, lines


def profile_grid(results: Results) -> Grid:
    """One line a profiled contestant, one column a group of operations, in percent of its wall time."""
    lines = []
    for (task, contestant), shares in results.profiles().items():
        figures = (f"{100 * shares[group]:.1f}" for group in GROUPS)
        lines.append([Cell(text) for text in (TASKS[task].title, contestant, *figures)])
    return ["task", "contestant", *(f"{group} (%)" for group in GROUPS)], lines


def _bounds(results: Results) -> str:
    """How fast anybody could be who makes the same products as a peer, empty without a profile of one."""
    bounds = [
        f"{TASKS[task].title} against {'the ' if peer == EXAMPLE else ''}{peer} "
        f"{(2 if task == 'nll' else 1) / shares[GROUPS[0]]:.2f}"
        for (task, peer), shares in results.profiles().items()
        if peer in (PYTHAE, EXAMPLE)
    ]
    if not bounds:
        return ""
    return (
        "These shares bound every ratio. Whoever makes a peer's matrix products in the same arithmetic, on the same "
        "threads, and does everything else in no time at all is as many times as fast as one over their share of the "
        f"peer's time. From the one block that was profiled, about: {'; '.join(bounds)}. (Twice its share for the NLL: "
        "half of pythae's products there encode the image again for each batch.) The slower a processor's products, "
        "the lower these bounds. The targets were set on one that makes products at about 330 GFLOP/s; this one's rate "
        "stands above. A target above its bound, or near it, is out of reach here."
    )


def _tables(results: Results) -> str:
    blocks = [markdown_grid(ratio_grid(results.ratios())), summary(results.ratios())]
    for name in results.tasks:
        blocks += [f"**{TASKS[name].title}**", markdown_grid(rate_grid(results, TASKS[name]))]
    return "\n\n".join(blocks)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _page(results: Results, drawn: bool) -> str:
    ratios = results.ratios()
    blocks = [
        "# Beside its peers",
        f"Written by `{COMMAND}` from [`{JOURNAL}`]({JOURNAL}), which holds every timed block. Do not edit.",
        f"**{summary(ratios)}** A ratio is how many times as fast this suite is; targets were set beforehand. Against "
        "the machine's limit it is the share of the rate of its matrix products.",
        markdown_grid(ratio_grid(ratios)),
        "![ratios of speed with their quartiles and targets](peers.png)" if drawn else "",
        _list(f"FAILED: {line}" for line in results.failures()),
        "## Every contestant",
        "Medians and quartiles over rounds; a column `x pythae` is the ratio within rounds.",
    ]
    for name in results.tasks:
        blocks += [f"### {TASKS[name].title[0].upper()}{TASKS[name].title[1:]}"]
        blocks += [markdown_grid(rate_grid(results, TASKS[name])), _steps(results, name)]
    if results.profiles():
        blocks += [
            "## Where the time goes",
            "One block under torch's profiler after the timed rounds, in percent of its wall time: each operation's "
            "own time, and the rest between operations. The profiler itself makes the rest larger, most of all where "
            "operations are many and small, as in a `DataLoader`.",
            markdown_grid(profile_grid(results)),
            _bounds(results),
        ]
    blocks += [
        *("## What is compared", _list(COMPARED)),
        *("## How it is measured", _list(HOW)),
        *("## What is not compared", _list(NOT_COMPARED)),
        *("## Where it is kind and unkind", _list(KIND)),
        *("## Where the figures come from", _list(_provenance(results))),
        f"Again: `{COMMAND}`. A run that was stopped goes on where it was. The page alone: "
        f"`python -m tests.performance.peers --report DIR`. The figures: [`peers.csv`](peers.csv), "
        "[`targets.csv`](targets.csv), the tables alone: [`peers.md`](peers.md).",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _steps(results: Results, task: str) -> str:
    """What the blocks of the time to the ELBO say of their ends, empty for other tasks."""
    parts = []
    for contestant in TASKS[task].contestants:
        if found := [block for block in results.blocks(task, contestant.name) if "steps" in block]:
            ends = (f"{block['steps']} ({block['elbo']:.1f})" for block in found)
            parts.append(f"{contestant.name} {', '.join(ends)}")
    return f"Steps made, with the ELBO at the end in nats, by round: {'; '.join(parts)}." if parts else ""


def _provenance(results: Results) -> list[str]:
    runs = results.runs
    if not runs:
        return ["nothing was run"]
    found, source = runs[0]["identity"], runs[0]["provenance"]
    versions = ", ".join(f"{name} {value}" for name, value in sorted(found["versions"].items()))
    days = sorted({run["provenance"]["started"][:10] for run in runs})
    return [
        f"commit: `{found['commit']}`" + (" with uncommitted changes" if found["dirty"] else ""),
        f"versions: {versions}",
        f"processor: {found['processor']}, {source['cpu_count']} logical cores, {found['threads']} threads",
        f"started {len(runs)} time{'s' if len(runs) > 1 else ''}: {', '.join(days)}",
    ]


def figure(results: Results) -> "Figure":
    """Every comparison's ratio with its quartiles on a logarithmic axis, its target as a mark; below, shares of the
    machine's limit."""
    from bench.pages.figures import style

    ratios = [ratio for ratio in results.ratios() if ratio.spread]
    speeds = [ratio for ratio in ratios if ratio.comparison.task != "limits"]
    shares = [ratio for ratio in ratios if ratio.comparison.task == "limits"]
    panels = [panel for panel in (speeds, shares) if panel]
    # Task names stand on lines of their own above their comparisons.
    rows = [len(panel) + len({ratio.comparison.task for ratio in panel}) for panel in panels]
    with style.house_style():
        picture = style.new_figure(11, 0.9 * len(panels) + 0.37 * sum(rows))
        axes = picture.subplots(len(panels), 1, squeeze=False, height_ratios=rows)[:, 0]
        for axis, panel in zip(axes, panels, strict=True):
            _panel(axis, panel)
            if panel is speeds:
                axis.set_xscale("log")
                axis.set_xlabel("times as fast as the peer, logarithmic, higher is better →")
                low = min([1.0, *(r.spread.q1 for r in panel if r.spread)])
                high = max(
                    [10.0, *(r.spread.q3 for r in panel if r.spread), *(r.comparison.target or 1 for r in panel)]
                )
                axis.set_xlim(0.8 * low, 1.8 * high)
                ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if 0.8 * low <= t <= 1.8 * high]
                axis.set_xticks(ticks, [f"{t:g}x" for t in ticks])
                axis.minorticks_off()
                axis.axvline(1, color=style.INK, linewidth=1.2, zorder=1)
            else:
                axis.set_xlabel("share of the rate of matrix products (%), higher is better →")
                axis.set_xlim(0, 1.12)
                axis.set_xticks([i / 5 for i in range(6)], [f"{20 * i}" for i in range(6)])
        style.add_title(
            picture,
            f"How fast beside its peers: {summary(ratios)[:-1].split(';')[0]}",
            "Point: median of the ratio within rounds; bar: quartiles. Upright mark: target, green where it was met, "
            "orange where it was missed; blue has no target. The black line at 1x is equal speed.",
        )
    return picture


def _panel(axis: Any, ratios: Sequence[Ratio]) -> None:
    from bench.pages.figures import style

    labels: list[str] = []
    tasks: list[str] = []
    white = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    head: dict[str, Any] = {"fontweight": "bold", "fontsize": 10, "color": style.INK, "zorder": 4, "bbox": white}
    colours = {"met": style.COLOURS[2], "missed": style.COLOURS[3], "no target": style.COLOURS[0]}
    for ratio in ratios:
        found, task = ratio.spread, TASKS[ratio.comparison.task].title
        assert found is not None
        if task not in tasks:
            tasks.append(task)
            axis.text(0.006, len(labels), task, transform=axis.get_yaxis_transform(), va="center", **head)
            labels.append("")
        place, colour = len(labels), colours[ratio.verdict]
        words = ratio.comparison.words
        labels.append(words + (f"\n({ratio.ours})" if len(ratio.comparison.ours) > 1 else ""))
        axis.plot([found.q1, found.q3], [place, place], color=colour, linewidth=4, alpha=0.5, solid_capstyle="butt")
        axis.plot(found.median, place, marker="o", markersize=7, color=colour, linestyle="none", zorder=3)
        if (target := ratio.comparison.target) is not None:
            axis.plot([target, target], [place - 0.38, place + 0.38], color=colour, linewidth=2.5, zorder=2)
        text = f"{found.median:.2f}x" if ratio.comparison.task != "limits" else f"{100 * found.median:.0f} %"
        end = max(found.q3, found.median)
        axis.annotate(
            text,
            (target if target and end < target < 1.3 * end else end, place),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
            color=style.INK,
            bbox=white,
        )
    axis.set_yticks(range(len(labels)), labels, fontsize=9.5)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
