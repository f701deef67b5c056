"""What a reader should doubt about records: one line each."""

import math
from collections.abc import Iterable, Sequence

from bench.records.names import dataset_slug, row_of
from bench.records.record import BUSY, Provenance, Record, disturbed
from bench.stats import groups, speeds
from bench.text import short


def failures(records: Iterable[Record]) -> list[str]:
    """One line for every run that is not ok, quality and throughput alike: what, which seed, status and reason."""
    lines = []
    for record in sorted(records, key=lambda record: str(record.id)):
        if record.status != "ok":
            cell = record.cell
            name = row_of(cell)
            seed = f" seed {cell['seed']}" if "seed" in cell else " throughput"
            reason = " ".join(str(record.reason or "no reason recorded").split())
            lines.append(f"{dataset_slug(cell)}: {name}{seed} on {cell['device']}: {record.status}: {reason}")
    return lines


def problems(records: Sequence[Record]) -> list[str]:
    """What a reader should doubt: mixed commits, protocols or data, runs that stand behind others, non-finite values.
    One line each."""
    lines = []
    for group in groups.groups(records):
        for row in group.rows:
            for record in row.ok:
                for name in record.metrics:
                    value = groups.value_of(record, name)
                    if value is not None and not math.isfinite(value):
                        lines.append(f"{record.id}: {name} is {value} in a run that says ok; left out of the mean")
    lines += [*groups.not_shown(records), *speeds.not_shown(records)]
    protocols = sorted({str(record.protocol) for record in records})
    if len(protocols) > 1:
        lines.append(
            f"the records are of {len(protocols)} protocols: {', '.join(protocols)}; no table holds two of them"
        )
    states = [code_states(record.provenance) for record in records]
    commits = {commit for state in states for commit, _ in state}
    if len(commits) > 1:
        lines.append(f"the records come from {len(commits)} commits: {', '.join(sorted(commits))}")
    if dirty := sum(any(dirty for _, dirty in state) for state in states):
        lines.append(f"{dirty} of {len(records)} records were made with uncommitted changes in the code")
    busy: dict[str, float] = {}
    for record in records:
        share, variant = record.provenance.processor_share, record.cell["variant"]
        if share is not None and share < BUSY:
            busy[variant] = min(share, busy.get(variant, share))
    if busy:
        names = ", ".join(f"{name} {share:.0%}" for name, share in busy.items())
        lines.append(
            f"speeds measured while the processor had other work (share of a core: {names}): "
            "`vaebench throughput` measures again"
        )
    lines += [
        f"{row_of(record.cell)} on {dataset_slug(record.cell)} has no {', '.join(apart)}, for blocks did not agree: "
        "`vaebench throughput` measures again"
        for record in records
        if (apart := disturbed(record))
    ]
    sums: dict[str, set[str]] = {}
    for record in records:
        if sha256 := record.provenance.data_sha256:
            sums.setdefault(dataset_slug(record.cell), set()).add(sha256)
    lines += [
        f"{name}: the runs saw {len(versions)} different versions of the data; do not compare them"
        for name, versions in sorted(sums.items())
        if len(versions) > 1
    ]
    spaces: dict[str, set[str]] = {}
    for record in records:
        if sha256 := record.provenance.features_sha256:
            spaces.setdefault(dataset_slug(record.cell), set()).add(sha256)
    lines += [
        f"{name}: generated examples were compared in {len(versions)} different feature spaces; do not compare them"
        for name, versions in sorted(spaces.items())
        if len(versions) > 1
    ]
    return lines


def code_states(source: Provenance) -> set[tuple[str, bool]]:
    """Commit, short, and whether there were uncommitted changes: of the code that a provenance names, and, where it
    says so, of that which trained the weights, for kept weights may be measured again by later code."""
    sources = [source, source.trained] if source.trained else [source]
    return {(short(each.commit or groups.UNKNOWN), bool(each.dirty)) for each in sources}
