"""One rule for which of several records counts, wherever they are read, and whatever the order in which they come."""

import copy
import itertools
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bench.records import merge, names, record, settle, store
from bench.reproduce import verdict
from bench.stats import frame, groups, speeds
from tests import fake_records as fake

# The last three are one moment; what is no time is older than all.
STARTED = ("", "yesterday", "2026-01-01", "2026-01-02T00:30:00+02:00", "2026-01-01T22:30:00Z", "2026-01-01T22:30:00")
MACHINES = ("EPYC 7B12", "EPYC-7B12", "EPYC (7B12")


def made(base: record.Record, **changes: Any) -> record.Record:
    """A copy with another status, start, machine, number of threads or figure."""
    new = replace(copy.deepcopy(base), protocol=record.PROTOCOL, status=changes.get("status", "ok"))
    keys = {"started": "started", "machine": "device_name"}
    found = {name: changes[key] for key, name in keys.items() if key in changes}
    new.provenance = replace(new.provenance, **found)
    if "threads" in changes:
        new.cell["threads"], new.id = changes["threads"], f"{new.id}_t{changes['threads']}"
    if "figure" in changes and new.metrics:
        name = "elbo_nats" if new.kind == "quality" else "peak_memory_mb"
        new.metrics[name] = changes["figure"]
    return new


BASES = [fake.quality("vanilla", 0), fake.quality("vanilla", 1), fake.quality("iwae", 0), fake.throughput("vanilla")]
RECORDS = st.builds(
    made,
    st.sampled_from(BASES),
    status=st.sampled_from(record.STATUSES),
    started=st.sampled_from(STARTED),
    machine=st.sampled_from(MACHINES),
    threads=st.sampled_from((1, 2)),
    figure=st.sampled_from((-100.0, -101.0)),
)


@settings(deadline=None)
@given(st.lists(RECORDS, max_size=8), st.randoms(use_true_random=False))
def test_settling_depends_on_no_order_and_settles(records: list[record.Record], random: Any) -> None:
    files = [(f"{each.id}-{number}", each) for number, each in enumerate(records)]
    counted, lines = settle.settle(files)
    random.shuffle(files)
    again, other_lines = settle.settle(files)
    assert sorted(map(names.canonical, again)) == sorted(map(names.canonical, counted))
    assert sorted(other_lines) == sorted(lines)
    assert settle.settle((each.id, each) for each in counted) == (counted, [])


@settings(deadline=None, max_examples=40)
@given(st.lists(RECORDS, max_size=8), st.randoms(use_true_random=False))
def test_tables_speeds_and_verdicts_depend_on_no_order(records: list[record.Record], random: Any) -> None:
    def seen() -> tuple[Any, ...]:
        counted, _ = settle.settle((each.id, each) for each in records)
        lines = [*groups.not_shown(records), *speeds.not_shown(records), *verdict.not_shown(records)]
        tables = frame.csv(counted), frame.csv(records)
        return *tables, sorted(lines), verdict.by_configuration(records), speeds.throughput(records, "mnist-dynamic")

    before = seen()
    random.shuffle(records)
    assert seen() == before


def write(folder: Path, records: list[record.Record]) -> Path:
    """One file a record, pictures beside some; the second of one id is not named after it."""
    (folder / "runs").mkdir(parents=True)
    for number, each in enumerate(records):
        path = folder / "runs" / f"{each.id}.json"
        path = path.with_name(f"copy {number}.json") if path.exists() else path
        path.write_text(names.canonical(each))
        if each.status == "ok":
            path.with_suffix(".npz").write_text(names.canonical(each))
    return folder


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "runs").iterdir()}


@settings(deadline=None, max_examples=12)
@given(st.lists(st.lists(RECORDS, min_size=1, max_size=3), min_size=3, max_size=3))
def test_merging_in_any_order_at_once_or_one_by_one_and_again_gives_the_same_files(parts: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        folders = [write(home / str(number), part) for number, part in enumerate(parts)]
        merge.merge(folders, home / "whole")
        whole = content(home / "whole")
        distinct = {names.canonical(each) for part in parts for each in part}
        assert {text.decode() for file, text in whole.items() if file.endswith(".json")} == distinct
        for order in itertools.permutations(folders):
            out = home / "".join(folder.name for folder in order)
            for folder in order:
                merge.merge([folder], out)
            assert content(out) == whole
            assert merge.merge([*order, home / "whole"], out).copied == 0
            assert content(out) == whole
        # Where others already lie, misnamed or not, and where all came at once.
        assert merge.merge(folders[1:], folders[0]).copied == len(distinct) - len({*map(names.canonical, parts[0])})
        for each in store.read_all(home / "whole")[0]:
            if each.kind == "quality":
                assert whole[f"{each.id}.json"] == names.canonical(each).encode()


def test_a_record_that_comes_to_count_again_counts() -> None:
    """-100 nats on the first and third day, -105 on the second: the third is no copy of the first."""
    days = [
        made(BASES[0], started=f"2026-01-0{day}", figure=figure)
        for day, figure in ((1, -100.0), (2, -105.0), (3, -100.0))
    ]
    for order in itertools.permutations(range(3)):
        with tempfile.TemporaryDirectory() as name:
            folders = [write(Path(name) / str(number), [days[number]]) for number in order]
            merge.merge(folders, Path(name) / "out")
            assert store.read_all(Path(name) / "out")[0] == [days[2]]


@pytest.mark.parametrize(
    ("counts", "other", "why"),
    [
        ({}, {"status": "error", "started": "2026-02-01"}, "which finished"),
        ({"status": "diverged"}, {"status": "timeout", "started": "2026-02-01"}, "which finished"),
        # A divergence is an outcome: an earlier run that did not diverge is not chosen instead.
        ({"status": "diverged", "started": "2026-02-01"}, {}, "started last"),
        # As text the second is the greater.
        ({"started": "2026-01-02T00:10:00-03:00"}, {"started": "2026-01-02T03:00:00Z"}, "started last"),
        ({"started": "2026-01-02T03:00:01"}, {"started": "2026-01-02T03:00:00+00:00"}, "started last"),
    ],
)
def test_one_rule_for_a_run_a_row_a_speed_and_a_verdict(
    counts: dict[str, Any], other: dict[str, Any], why: str
) -> None:
    for base in (BASES[0], BASES[3]):
        first, second = made(base, **{"threads": 1, **counts}), made(base, **{"threads": 1, **other})
        line = f"{second.id} is not shown: {first.id} has its place, {why}"
        for records in ([first, second], [second, first]):
            assert settle.settle(enumerate(records))[0] == [first]  # type: ignore[arg-type]
            if base.kind == "quality":
                (group,) = groups.groups(records)
                assert group.rows[0].records == (first,)
                assert list(verdict.by_configuration(records).values()) == [{0: first}]
                assert groups.not_shown(records) == verdict.not_shown(records) == [line]
            else:
                assert speeds.throughput(records, "mnist-dynamic").columns == {"cpu": {"vanilla": first}}
                assert speeds.not_shown(records) == [line]


def test_machines_of_which_a_slug_makes_one_keep_columns_of_their_own() -> None:
    records = [made(BASES[3], machine=name, figure=float(mb)) for mb, name in enumerate((*MACHINES, "Xeon"))]
    found = frame.frame(records)
    columns = [name for name in found.columns if name.startswith("peak_memory_mb_")]
    assert sorted(found[columns].iloc[0]) == [0, 1, 2, 3]
    assert sum(name.startswith("peak_memory_mb_cpu_EPYC_7B12_") for name in columns) == 3
    assert "peak_memory_mb_cpu_Xeon" in columns
    assert frame.csv(records) == frame.csv(records[::-1])


@pytest.mark.parametrize("part", ["metrics", "errors", "latent", "curve"])
def test_runs_that_differ_in_any_part_are_not_the_same(part: str) -> None:
    """The later one counts, and what they differ in is said where it is a figure."""
    first, second = (made(BASES[0], started=f"2026-01-0{day}") for day in (1, 2))
    ((_,), (line,)) = settle.settle([("a", first), ("b", second)])
    assert line == "a.json holds the same run as b.json; it is counted once"
    changed: dict[str, Any] = {"errors": {"elbo_nats": {"mc": 1.0}}, "latent": {"points": 3}, "curve": second.curve[:2]}
    changed["metrics"] = {**second.metrics, "elbo_nats": -1.0}
    second = replace(second, **{part: changed[part]})
    words = f"elbo_nats {first.metrics['elbo_nats']} and -1.0)" if part == "metrics" else "not in the metrics)"
    ((_,), (line,)) = settle.settle([("a", first), ("b", second)])
    assert line.startswith(f"a.json and b.json are of one cell and differ ({words}")
    assert line.endswith("; the second counts, started last")


def test_what_two_runs_differ_in_is_said_with_their_machines_where_these_are_two() -> None:
    ok = made(BASES[0], machine="A")
    assert settle.difference(made(BASES[0], machine="A", status="diverged"), ok) == "diverged and ok"
    assert settle.difference(made(BASES[0], machine="B", status="diverged"), ok) == "diverged and ok, on B and on A"
    one, other = (made(BASES[0], machine="A", figure=figure) for figure in (-100.0, -101.0))
    assert settle.difference(one, other) == "elbo_nats -100.0 and -101.0"
