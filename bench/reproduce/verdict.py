"""Figures and runs -> findings: published beside ours, and what to say of the difference. Needs no torch."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.records.names import canonical
from bench.records.record import PROTOCOL, Cell, Record
from bench.records.settle import one_of_each, passed_over
from bench.reproduce.published import Figure, Plan, Row, Table, Tolerance
from bench.stats import intervals

Verdict = Literal["agrees", "differs", "not comparable", "unverified source", "failed", "not run"]
Effect = Literal["reproduced", "not reproduced", "undecided"]


@dataclass(frozen=True)
class Finding:
    """One published figure, or difference of two, beside ours. All values have the sign of the published one.

    Attributes:
        run: the configuration that was run, by `cell_key`; rows may share it.
        row: name of the row.
        title: of the row, for people.
        metric: what the source measures, in its own words.
        ours: name of our figure.
        published: the figure, and
        stderr: its standard error as published; None without.
        values: seed -> value, over the ok runs.
        runs: how many runs there should be.
        epochs: that each ok run was trained for, in the order of the seeds.
        tolerance: what counts as agreement; None where nothing does.
        verdict: what to say.
        reason: why, where the figures do not say it.
        source: where the figure was published, and
        read: how it was read.
        sign: -1 where the source publishes the negative of our figure.
    """

    run: str
    row: str
    title: str
    metric: str
    ours: str
    published: float
    stderr: float | None
    values: dict[int, float]
    runs: int
    epochs: tuple[int, ...]
    tolerance: Tolerance | None
    verdict: Verdict | Effect
    reason: str
    source: str
    read: str
    sign: int = 1

    @property
    def summary(self) -> intervals.Summary | None:
        """Mean and interval over the ok seeds; None without a value."""
        return intervals.summarise(list(self.values.values())) if self.values else None

    @property
    def difference(self) -> float | None:
        """Our mean minus the published figure; None without a value."""
        return None if self.summary is None else self.summary.mean - self.published


def short_source(finding: Finding) -> str:
    """`"Burda et al. 2016"` of `"Burda, Grosse and Salakhutdinov 2016, Table 1"`; else what stands before a comma."""
    authors = re.match(r"(\w[\w-]*)(,| and ).*? (\d{4})\b", finding.source)
    return f"{authors[1]} et al. {authors[3]}" if authors else finding.source.split(",")[0]


def judge(difference: float, tolerance: Tolerance) -> Verdict:
    """Whether a difference, ours minus published, is one of agreement."""
    return "agrees" if tolerance.holds(difference) else "differs"


def findings(table: Table, profile: str, rows: Sequence[Row], records: Iterable[Record]) -> list[Finding]:
    """Every figure of these rows beside what the records say of it, in the order of the table's CSV file.

    A run counts if it is of the row's configuration in this profile, by `protocol_of` the records: device and number of
    threads may be any.
    """
    records = list(records)
    by_cell = by_configuration(records, protocol_of(records))
    judged = []
    by_name = {row.name: row for row in rows}
    for figure in table.figures:
        if (row := by_name.get(figure.row)) is not None:
            run = cell_key(table.suite(profile, [row]).cells("cpu")[0])
            judged.append(_finding(figure, row, profile, run, by_cell.get(run, {})))
    return judged


def protocol_of(records: Iterable[Record]) -> str:
    """The protocol of this version if a run is of it, else the last one that a run is of."""
    known = {str(record.protocol) for record in records if record.kind == "quality"}
    if not known or PROTOCOL in known:
        return PROTOCOL
    return max(known, key=lambda protocol: [int(part) if part.isdecimal() else -1 for part in protocol.split(".")])


def by_configuration(records: Iterable[Record], protocol: str = PROTOCOL) -> dict[str, dict[int, Record]]:
    """`cell_key` -> seed -> its record. Of several, as of two devices, one counts by `settle.precedence`."""
    by_run: dict[str, dict[int, Record]] = {}
    for (run, seed), record in sorted(one_of_each((r for r in records if counts(r, protocol)), _run_and_seed).items()):
        by_run.setdefault(run, {})[seed] = record
    return by_run


def not_shown(records: Iterable[Record]) -> list[str]:
    """One line for each record that `by_configuration` leaves out for another one."""
    records = list(records)
    protocol = protocol_of(records)
    return passed_over((r for r in records if counts(r, protocol)), _run_and_seed)


def _run_and_seed(record: Record) -> tuple[str, int]:
    return cell_key(record.cell), record.cell["seed"]


def figure_of(record: Record, name: str) -> float | None:
    """A figure of a run; None without, or where it is no finite number."""
    value = record.metrics.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def epochs_of(record: Record) -> int:
    """How long a run was trained."""
    return len(record.curve)


def same_run(record: Record, cell: Cell) -> bool:
    """Whether a record is of this configuration: seed, device and number of threads may be any."""
    return counts(record) and cell_key(record.cell) == cell_key(cell)


def counts(record: Record, protocol: str = PROTOCOL) -> bool:
    """Whether a record is of a model's figures, by a protocol."""
    return record.kind == "quality" and record.protocol == protocol


def why_failed(record: Record) -> str:
    """`"diverged: the loss is not finite"`."""
    return f"{record.status}: {record.reason}"


def cell_key(cell: Cell) -> str:
    """A configuration as text, whatever its seed, device and number of threads."""
    return canonical({key: value for key, value in cell.items() if key not in ("seed", "device", "threads")})


def _finding(figure: Figure, row: Row, profile: str, run: str, records: dict[int, Record]) -> Finding:
    plan = row.plans[profile]
    ok = [record for record in records.values() if record.status == "ok"]
    values = {
        record.cell["seed"]: figure.sign * value
        for record in ok
        if (value := figure_of(record, figure.ours)) is not None
    }
    verdict, reason = _verdict(figure, plan, records, values)
    if verdict == "differs":
        reason = plan.explanation
    return Finding(
        run=run,
        row=row.name,
        title=row.title,
        metric=figure.metric,
        ours=figure.ours,
        published=figure.value,
        stderr=figure.stderr,
        values=values,
        runs=max(plan.seeds, len(records)),
        epochs=tuple(map(epochs_of, ok)),
        tolerance=plan.tolerance.get(figure.ours) if verdict in ("agrees", "differs") else None,
        verdict=verdict,
        reason=reason,
        source=figure.source,
        read=figure.read,
        sign=figure.sign,
    )


def _verdict(figure: Figure, plan: Plan, records: dict[int, Record], values: dict[int, float]) -> tuple[Verdict, str]:
    if not records:
        return "not run", ""
    reason, tolerance = plan.why_not(figure.ours), plan.tolerance.get(figure.ours)
    if not values and (bad := next((record for record in records.values() if record.status != "ok"), None)):
        return "failed", why_failed(bad)
    if not values and not reason:
        return "failed", f"the runs have no figure {figure.ours}"
    if not figure.verified:
        return "unverified source", "; ".join(part for part in (figure.read, reason) if part)
    if reason or tolerance is None:
        return "not comparable", reason
    mean = intervals.summarise(list(values.values())).mean
    return judge(mean - figure.value, tolerance), ""
