"""The suite's own committed tables as a published one: run a suite again, and say whether its figures have drifted."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from bench.disk.files import read_text
from bench.errors import UsageError
from bench.pages import grids
from bench.pages import page as builder
from bench.pages.blocks import Block, Heading, Text
from bench.records import names
from bench.records.notes import origin_of
from bench.records.record import Cell, Record
from bench.records.store import read_all
from bench.reproduce import page
from bench.reproduce.published import HOME, Tolerance
from bench.reproduce.verdict import (
    Finding,
    by_configuration,
    cell_key,
    epochs_of,
    figure_of,
    judge,
    why_failed,
)
from bench.stats import groups, intervals, metrics
from bench.suites import suite
from bench.suites.suite import Suite
from bench.text import hint, printable

if TYPE_CHECKING:
    from bench.sweeps.execute import Outcome

# Of these a suite has what it measures. The two bounds of which `bdmc_gap_nats` is the difference are left out: their
# standard errors, of a few simulated examples, are nats wide.
FIGURES = (
    *("elbo_nats", "recon_nats", "kl_nats", "mse_per_pixel"),
    *("nll_optimised_nats", "inference_gap_optimised_nats", "approximation_gap_nats", "amortisation_gap_nats"),
    *("nll_ais_nats", "bdmc_gap_nats"),
)
# Of the spread of the committed seeds, and of the standard error of a lone one; see `REASON`.
SHARE, ERRORS = 0.5, 3
REASON = (
    "A figure agrees if the mean over the seeds that both have moved by no more than half the standard deviation of "
    "the committed seeds, or one unit of the last printed digit. On one machine and commit the same seed gives the "
    "same bits. Another processor rounds differently, and a training run amplifies that: between the two processors "
    "of results/reference/rerun_of_quick.csv single runs moved by up to half a standard deviation, means over three "
    "seeds by up to 0.17 of it. So the tolerance is three times what rounding was seen to do. One committed seed "
    "tells no spread. There a figure agrees if it moved by no more than three times the standard error that the "
    "committed record states of it, over draws and test examples together, or one unit of the last printed digit: "
    "between those two processors the ELBO and the NLL of single runs moved by up to three quarters of that error. Of "
    "a figure without such an error nothing is said: it is shown beside ours, and called not comparable."
)


def reproduce(
    name: str, out: Path | None, *, seeds: int | None = None, reference: Path = builder.REFERENCE, **how: Any
) -> "tuple[Outcome, list[Finding]]":
    """Run what is missing of a suite, and hold it against its committed records.

    Args:
        name: of a suite with committed results, or the path of its file.
        out: results folder, in which the suite has one of its own; by default results/reproduce/results.
        seeds: 0 to seeds - 1 for every variant, instead of the suite's number.
        reference: where results are committed, a folder for each suite.
        how: as for `bench.sweeps.execute.execute`.

    Returns:
        What running did, with a line among its failures if no figure was judged; and the findings.

    Raises:
        UsageError: there are no committed results of these runs.
        As `bench.sweeps.execute.execute`.
    """
    from bench.sweeps import execute

    chosen = suite.load(name)
    theirs = _committed(chosen, reference)
    chosen = structs.replace(chosen, throughput=structs.replace(chosen.throughput, blocks=0))
    if seeds is not None:
        even = tuple(dataclasses.replace(variant, seeds=None) for variant in chosen.variants)
        chosen = structs.replace(chosen, seeds=seeds, variants=even)
    known = by_configuration(theirs)
    if not any(cell_key(cell) in known for cell in chosen.cells("cpu")):
        raise UsageError(
            f"the committed results of suite {chosen.name} hold none of its runs: the suite or the protocol is another"
        )
    where = (out or HOME / "results") / chosen.name
    write = partial(_write, origin=_origin(name), chosen=chosen, theirs=theirs)
    outcome = execute.execute(chosen, where, page=write, **how)
    judged = findings(chosen.cells("cpu"), outcome.records, theirs)
    if not any(finding.verdict in ("agrees", "differs", "failed") for finding in judged):
        line = f"suite {chosen.name}: nothing was checked ({page.tally(judged)}); its page says why"
        outcome = dataclasses.replace(outcome, failed=[*outcome.failed, line])
    return outcome, judged


def _origin(name: str) -> dict[str, str]:
    path, _ = suite.read(name)
    return origin_of("suite", path, suite.SHIPPED, [read_text(path)])


def rewrite(out: Path, name: str) -> builder.Report:
    """Write the page of a folder of `reproduce` anew. Needs no torch.

    Raises:
        UsageError: the suite, or its committed results, are no longer there.
        MachineError: a file cannot be written.
    """
    chosen = suite.load(name)
    return _write(out, _origin(name), chosen, _committed(chosen, builder.REFERENCE))


def suites(reference: Path = builder.REFERENCE) -> list[str]:
    """The suites with committed results that can be run again and compared: not the one that checks the judge."""
    return [
        name for name in suite.names() if (reference / name / "runs").is_dir() and "problem" not in suite.read(name)[1]
    ]


def _committed(chosen: Suite, reference: Path) -> list[Record]:
    theirs, _ = read_all(reference / chosen.name)
    if not theirs:
        known = suites(reference) or ["none"]
        raise UsageError(f"no results of suite {chosen.name} are committed: {hint(chosen.name, known)}")
    return theirs


def _write(out: Path, origin: Mapping[str, str], chosen: Suite, theirs: Sequence[Record]) -> builder.Report:
    records, warnings = read_all(out)
    cells = chosen.cells("cpu")
    judged = findings(cells, records, theirs)
    known = by_configuration(theirs)
    left = dict.fromkeys(_row(cell, cells) for cell in cells if cell_key(cell) not in known)
    warnings += [f"no committed run of {name}" for name in left]
    name = printable(chosen.name)
    title = grids.markdown_text(name)
    head = [Text(f"The suite {title}, run again, beside its committed results.")]
    tail: list[Block] = [Heading("What counts as agreement"), Text(grids.markdown_text(REASON))]
    return page.save(out, origin, f"Drift of {name}", judged, records, head, tail, warnings)


def findings(cells: Sequence[Cell], ours: Sequence[Record], theirs: Sequence[Record]) -> list[Finding]:
    """One finding for every figure of `FIGURES`, and the NLL, of every configuration that has committed runs."""
    mine, committed = by_configuration(ours), by_configuration(theirs)
    judged = []
    for key, cell in {cell_key(cell): cell for cell in cells}.items():
        reference, again = committed.get(key, {}), mine.get(key, {})
        nll = f"nll_is{cell['measure']['nll_samples']}_nats"
        for name in (*FIGURES[:1], nll, *FIGURES[1:]):
            finding = _finding(key, _row(cell, cells), name, reference, again)
            if finding is not None:
                judged.append(finding)
    return judged


def _row(cell: Cell, cells: Sequence[Cell]) -> str:
    name = printable(names.row_of(cell))
    many = len({names.dataset_slug(each) for each in cells}) > 1
    return f"{name}, {names.dataset_slug(cell)}" if many else name


def _values(records: dict[int, Record], name: str) -> dict[int, float]:
    values = {seed: figure_of(record, name) for seed, record in records.items() if record.status == "ok"}
    return {seed: value for seed, value in values.items() if value is not None}


def _tolerance(name: str, reference: dict[int, Record], old: dict[int, float]) -> Tolerance | None:
    """What counts as agreement, see `REASON`; None for one committed seed without a standard error."""
    std = intervals.summarise(list(old.values())).std
    room = ERRORS * _standard_error(reference[min(old)], name) if std is None else SHARE * std
    return Tolerance(*[max(room, 10.0 ** -metrics.metric(name).digits)] * 2) if math.isfinite(room) else None


def _standard_error(record: Record, name: str) -> float:
    """Over draws and test examples together; NaN where the record does not state both."""
    stated = record.errors.get(name) or {}
    parts = [math.nan if (part := stated.get(kind)) is None else part for kind in groups.ERRORS]
    return math.hypot(*parts)


def _finding(run: str, row: str, name: str, reference: dict[int, Record], again: dict[int, Record]) -> Finding | None:
    old, new = _values(reference, name), _values(again, name)
    common = [seed for seed in new if seed in old] or list(old)
    if not old:
        return None
    published = intervals.summarise([old[seed] for seed in common])
    tolerance = _tolerance(name, reference, old)
    values = {seed: value for seed, value in new.items() if seed in old}
    reason = ""
    if not again:
        verdict = "not run"
    elif not values:
        bad = next((r for r in again.values() if r.status != "ok"), None)
        missing = f"the runs have no figure {name}" if set(again) & set(old) else "no seed in common"
        verdict, reason = "failed", why_failed(bad) if bad else missing
    elif tolerance is None:
        verdict, reason = "not comparable", "one committed seed, whose record states no standard error of it"
    else:
        mean = intervals.summarise(list(values.values())).mean
        verdict = judge(mean - published.mean, tolerance)
    return Finding(
        run=run,
        row=row,
        title=row,
        metric=metrics.metric(name).label,
        ours=name,
        published=published.mean,
        stderr=None,
        values=values,
        runs=len(again) or len(common),
        epochs=tuple(epochs_of(again[seed]) for seed in values),
        tolerance=tolerance if verdict in ("agrees", "differs") else None,
        verdict=verdict,  # type: ignore[arg-type]
        reason=reason,
        source="results/reference",
        read="the committed records",
    )
