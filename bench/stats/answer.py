"""What the runs of a comparison group answer: which row to use for a goal, how sure that is, and what it costs."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.record import Record, Timed
from bench.stats import learning, metrics
from bench.stats.differences import sentence
from bench.stats.groups import Group, Row, after, by_dataset, groups
from bench.stats.intervals import MIN_SEEDS, Comparison, Marks
from bench.stats.speeds import Throughput, of_group, throughput

# What somebody may want of a variant, and the metrics that tell, the first that a group has. A name is a pattern.
GOALS = {
    "the best likelihood": ("nll_exact_nats", r"nll_is\d+_nats"),
    "the best ELBO": ("elbo_nats",),
    "the best codes": ("probe_accuracy", "knn_accuracy"),
    "the best reconstructions": ("mse_per_pixel", "ssim"),
    "the best disentanglement": ("mig", "dci_disentanglement"),
    "the best samples": ("kid",),  # of the model's own draws, not of codes fitted afterwards
}
SPEED = "the fastest training"
# A column of a page names no more rows than these.
MOST_NAMED = 4


@dataclass(frozen=True)
class Answer:
    """One goal of a reader.

    Attributes:
        goal: what for, in words.
        metric: that tells; empty where the group has none.
        take: labels of the rows to choose from, the best mean first; empty where there is no answer yet.
        learning: whether training has yet to say which of them it is.
        short: the figure of the first, or why there is no answer, in a few words.
        sure: how sure that is, in sentences.
        cost: what the first of them costs, or what the fastest loses; empty where nothing was timed.
    """

    goal: str
    metric: str
    take: tuple[str, ...]
    short: str
    sure: str
    cost: str = ""
    learning: bool = False


def answers(group: Group, timed: Throughput) -> list[Answer]:
    """One answer for each goal of which the group has a figure, then the fastest row.

    Args:
        group: a comparison group.
        timed: the speeds of its data set.
    """
    speeds = training_speeds(group, timed)
    made = []
    for goal, patterns in GOALS.items():
        if (metric := _first(group, patterns)) is not None:
            made.append(_quality(group, goal, metric, speeds))
    if len(speeds) > 1:
        made.append(_fastest(group, speeds))
    return made


def told(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """What runs answer, in plain words.

    Returns:
        Of each comparison group with two rows or more: what it is, and a line for each goal. Goals for which training
        has yet to say share one.
    """
    made = []
    for dataset, members in by_dataset(records).items():
        timed = throughput(members, dataset)
        for group in groups(members):
            if len(group.rows) < 2:
                continue
            lines, waiting = [], []
            for each in answers(group, timed):
                if not each.take and group.marks.get(each.metric, Marks()).learning:
                    waiting.append(each.goal)
                    continue
                take = " or ".join(each.take) if each.learning else listed(each.take)
                lines.append(f"{each.goal}: {take or 'no answer yet'}. {each.sure} {each.cost}".rstrip())
            if waiting:
                lines.append(f"still learning, no answer yet: {', '.join(waiting)}")
            if lines:
                about = f"{group.settings['support']} likelihoods, {after(group.settings)}"
                made.append((f"{group.dataset}, {about}:", lines))
    return made


def compared(group: Group, a: Row, b: Row, metric: str) -> tuple[Comparison, str]:
    """Row `a` against row `b` of one group: the comparison, and the sentence that says it."""
    comparison = learning.compare(a, b, metric)
    return comparison, sentence(comparison, a.label, b.label, f"{group.dataset} {after(group.settings)}", metric)


def _told(group: Group, a: Row, b: Row, metric: str) -> str:
    """The same sentence where the data and the budget have been said."""
    return compared(group, a, b, metric)[1].replace(f" on {group.dataset} {after(group.settings)}", "", 1)


def training_speeds(group: Group, timed: Throughput) -> dict[Row, Timed]:
    """Training examples per second of each row that `speeds.of_group` has a timing of."""
    found = {row: record.metrics.get("train_samples_per_s") for row, record in of_group(group, timed).items()}
    return {row: speed for row, speed in found.items() if isinstance(speed, Timed) and speed.median}


def _first(group: Group, patterns: Sequence[str]) -> str | None:
    """The ranked metric that the patterns name first; of several numbers of samples the highest."""
    for pattern in patterns:
        names = [name for name in group.metrics if re.fullmatch(pattern, name) and metrics.metric(name).ranked]
        names = [name for name in names if any(row.values(name) for row in group.rows)]
        if names:
            return names[-1]
    return None


def _by_mean(group: Group, metric: str) -> list[Row]:
    sign = metrics.metric(metric).sign
    rows = [row for row in group.rows if row.values(metric)]
    return sorted(rows, key=lambda row: (sign * statistics.fmean(row.values(metric).values()), row.label))


def _quality(group: Group, goal: str, metric: str, speeds: dict[Row, Timed]) -> Answer:
    rows = _by_mean(group, metric)
    marks = group.marks.get(metric, Marks())
    best = [row for row in rows if row.label in marks.best]
    if best:
        first = best[0]
        behind = next((row for row in rows if row not in best and len(row.values(metric)) >= MIN_SEEDS), None)
        take, reached = tuple(row.label for row in best), figure(first, metric)
        price, ratio = _price(group, first, speeds)
        sure = f"{reached}. " + (_told(group, first, behind, metric) if behind else "")
        return Answer(goal, metric, take, "; ".join(filter(None, (reached, ratio))), sure.strip(), price)
    learning = [row for row in rows if row.label in marks.learning]
    if 0 < len(learning) < min(len(rows), MOST_NAMED):
        take = tuple(row.label for row in learning)
        why, so_far = "still learning: longer training may reverse", figure(learning[0], metric, named=True)
        short = f"{why} their order. So far {so_far}"
        sure = f"Ahead of all others, but {why} the order of {listed(take)}. So far {so_far}."
        price, _ = _price(group, learning[0], speeds)
        return Answer(goal, metric, take, short, sure, price, learning=True)
    return Answer(goal, metric, (), *_no_answer(rows, marks, metric))


def _no_answer(rows: Sequence[Row], marks: Marks, metric: str) -> tuple[str, str]:
    """Why there is none, in a few words and in sentences."""
    judged = [row for row in rows if len(row.values(metric)) >= MIN_SEEDS]
    most = "lowest" if metrics.metric(metric).better == "lower" else "highest"
    ahead = f"The {most} mean so far: {figure(rows[0], metric, named=True)}"
    if marks.learning:
        names = listed([row.label for row in rows if row.label in marks.learning])
        why, more = "Still learning, no ranking", f": longer training may reverse the order of {names}"
    elif len(rows) == 1:
        why = f"Only {figure(rows[0], metric, named=True)} was measured"
        return why, f"{why}: nothing to compare it with."
    elif len(judged) < 2:
        why, more = "Too few seeds", f": a verdict needs {MIN_SEEDS} of two rows"
    else:
        why, more = "No row can be told from the best", ""
    return f"{why}. {ahead}", f"{why}{more}. {ahead}."


def figure(row: Row, metric: str, *, named: bool = False) -> str:
    """`"-86.21 ± 0.12 nats over 5 seeds"`, with the label before it if `named`."""
    entry, summary = metrics.metric(metric), row.summary(metric)
    if summary is None:
        return row.label
    digits, factor, unit = entry.digits, 1, f" {entry.unit}" if entry.unit else ""
    if entry.unit == "share":
        digits, factor, unit = entry.digits - 2, 100, " %"
    half = "" if summary.half_width is None else f" ± {summary.half_width * factor:,.{digits}f}"
    seeds = f"{summary.n} seed{'s' if summary.n > 1 else ''}"
    head = f"{row.label}, {entry.label}" if named else entry.label[:1].upper() + entry.label[1:]
    return f"{head} {summary.mean * factor:,.{digits}f}{half}{unit} over {seeds}"


def listed(labels: Sequence[str]) -> str:
    """`"a, b and c"`; of many the first, and how many more."""
    shown = list(labels[:MOST_NAMED])
    if (rest := len(labels) - len(shown)) > 0:
        shown.append(f"{rest} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else ""


def _price(group: Group, row: Row, speeds: dict[Row, Timed]) -> tuple[str, str]:
    """How fast a row trains, beside the fastest; and how much faster that is, where it is another."""
    if row not in speeds:
        return "", ""
    mine = speeds[row].median or 1.0
    fastest = _fast(group, speeds)
    text = f"Trains {mine:,.0f} examples/s"
    if row in fastest:
        return f"{text}, {'the' if len(fastest) == 1 else 'among the'} fastest.", ""
    ratio = f"{fastest[0].label} is {times(speeds[fastest[0]].median or 1.0, mine)} as fast"
    return f"{text}; {ratio}.", ratio


def times(fast: float, slow: float) -> str:
    """`"3.7 times"`."""
    return f"{fast / slow:.{1 if fast < 10 * slow else 0}f} times"


def _fast(group: Group, speeds: dict[Row, Timed]) -> list[Row]:
    """The rows whose quartiles overlap with those of the fastest, the best first."""
    low, _ = _quartiles(max(speeds.values(), key=lambda speed: speed.median or 0.0))
    near = [row for row in speeds if _quartiles(speeds[row])[1] >= low]
    ranked = [row for row in _by_mean(group, metric) if row in near] if (metric := _quality_of(group)) else []
    return [*ranked, *(row for row in near if row not in ranked)]


def _quality_of(group: Group) -> str | None:
    """The metric by which speed is bought."""
    return _first(group, GOALS["the best likelihood"]) or _first(group, GOALS["the best ELBO"])


def _fastest(group: Group, speeds: dict[Row, Timed]) -> Answer:
    take, metric = _fast(group, speeds), _quality_of(group)
    speed = speeds[take[0]]
    short = f"{speed.median:,.0f} examples/s, median of {len(speed.blocks)} timed blocks"
    sure = f"{short}."
    if len(take) > 1:
        sure += f" Quartiles overlap: {listed([row.label for row in take])}."
    cost = ""
    if metric and take[0].values(metric):
        best = _by_mean(group, metric)[0]
        if best is not take[0]:
            cost = _told(group, take[0], best, metric)
            if best in speeds:
                short = f"{times(speed.median or 1.0, speeds[best].median or 1.0)} as fast as {best.label}"
                cost = f"{short}. {cost}"
    return Answer(SPEED, "train_samples_per_s", tuple(row.label for row in take), short, sure, cost)


def _quartiles(speed: Timed) -> tuple[float, float]:
    median = float(speed.median or 0.0)
    return (median if speed.q1 is None else float(speed.q1), median if speed.q3 is None else float(speed.q3))
