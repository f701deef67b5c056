"""Results of several machines in one folder: nothing lost, nothing counted twice, everything named; without torch."""

import contextlib
import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.disk.lock import lock
from bench.errors import MachineError, UsageError
from bench.pages import blocks, doubts, origins
from bench.pages.tables import blocks as blocks_of
from bench.records import merge, record, schema, store
from bench.stats import frame, groups, speeds
from tests import fake_records as fake
from tests.helpers import ROOT, Killed, killed_after

NOON, LATER = "2026-01-02T12:00:00Z", "2026-01-03T12:00:00Z"
# None in sys.modules makes every import of a module fail, as if it were not installed.
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "safetensors", "sklearn", "skimage", "tqdm"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from bench.cli import main
main()
"""


def of(machine: str, started: str, *records: record.Record, elbo: float = 0.0) -> list[record.Record]:
    """The records as another machine would have made them."""
    made = copy.deepcopy(list(records))
    for each in made:
        each.provenance = replace(each.provenance, device_name=machine, started=started)
        if each.kind == "quality" and elbo:
            each.metrics["elbo_nats"] += elbo
        if each.kind == "throughput":
            each.metrics["train_samples_per_s"].median *= 1 + len(machine)
    return made


def tables(out: Path) -> str:
    records, _ = store.read_all(out)
    return frame.csv(records) + blocks.markdown(blocks_of(records, "mnist-dynamic"))


def names(out: Path) -> set[str]:
    return {path.name for path in (out / "runs").iterdir()}


def without_torch(*words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


RUNS = [fake.quality(variant, seed) for variant in ("vanilla", "iwae") for seed in range(3)]
TIMED = [fake.throughput(variant) for variant in ("vanilla", "iwae")]


def test_the_halves_of_a_suite_merge_by_a_plain_copy(tmp_path: Path) -> None:
    whole = fake.write(tmp_path / "whole", RUNS)
    for number, half in enumerate((RUNS[::2], RUNS[1::2])):
        shutil.copytree(fake.write(tmp_path / str(number), half) / "runs", tmp_path / "c" / "runs", dirs_exist_ok=True)
    assert names(tmp_path / "c") == names(whole)
    assert tables(tmp_path / "c") == tables(whole)
    assert store.read_all(tmp_path / "c")[1] == []


def test_of_runs_with_other_figures_the_latest_counts_and_both_are_named(tmp_path: Path) -> None:
    old, new = of("A", NOON, RUNS[0], elbo=1.0)[0], of("BB", LATER, RUNS[0])[0]
    a, b = fake.write(tmp_path / "a", [old]), fake.write(tmp_path / "b", [new])
    for order in ((a, b), (b, a)):
        out = tmp_path / "".join(path.name for path in order)
        done = merge.merge(order, out)
        (line,) = done.lines
        assert f"{old.metrics['elbo_nats']} and {new.metrics['elbo_nats']}, on A and on BB" in line
        assert "the second counts, started last" in line
        (kept,), warnings = store.read_all(out)
        assert kept == new
        assert warnings == [line]
        # What counts has the name by which `vaebench run` finds it, and its own pictures.
        assert schema.read(out / "runs" / f"{new.id}.json") == new
        assert (out / "runs" / f"{new.id}.npz").read_bytes() == (b / "runs" / f"{new.id}.npz").read_bytes()
        (aside,) = [name for name in names(out) if name.endswith(".npz") and name != f"{new.id}.npz"]
        assert (out / "runs" / aside).read_bytes() == (a / "runs" / f"{new.id}.npz").read_bytes()


def test_pictures_of_one_run_do_not_stand_beside_another(tmp_path: Path) -> None:
    """Also where the run that comes to count has none."""
    old, new = of("A", NOON, RUNS[0], elbo=1.0)[0], of("BB", LATER, RUNS[0])[0]
    a, b = fake.write(tmp_path / "a", [old]), fake.write(tmp_path / "b", [new], images=False)
    for order in ((a, b), (b, a)):
        out = tmp_path / "".join(path.name for path in order)
        merge.merge(order, out)
        assert schema.read(out / "runs" / f"{new.id}.json") == new
        (pictures,) = (out / "runs").glob("*.npz")
        assert schema.read(pictures.with_suffix(".json")) == old


@pytest.mark.parametrize("second", [True, False])
def test_killed_at_any_moment_no_run_has_the_pictures_of_another_and_merging_again_mends_it(
    tmp_path: Path, second: bool
) -> None:
    """Also where the folder that held the older run is gone by then."""
    old, new = of("A", NOON, RUNS[0], elbo=1.0)[0], of("BB", LATER, RUNS[0])[0]
    a, b = fake.write(tmp_path / "a", [old]), fake.write(tmp_path / "b", [new], images=second)
    for folder, machine in ((a, "A"), (b, "BB"))[: 1 + second]:
        (folder / "runs" / f"{old.id}.npz").write_text(machine)
    merge.merge([a, b], tmp_path / "whole")

    def content(out: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (out / "runs").iterdir()}

    for first, then in (([], [a, b]), ([a], [b]), ([b], [a])):
        for steps in range(20):
            out = tmp_path / f"out{len(first)}{[*first, *then][0].name}{steps}"
            if first:
                merge.merge(first, out)
            ended = False
            with contextlib.suppress(Killed), killed_after(steps):
                merge.merge(then, out)
                ended = True
            for pictures in (out / "runs").glob("*.npz"):
                if pictures.with_suffix(".json").exists():
                    assert record.machine(schema.read(pictures.with_suffix(".json"))) == pictures.read_text()
            merge.merge(then, out)
            assert content(out) == content(tmp_path / "whole")
            if ended:
                break
        assert ended
        assert steps >= 2 + (first != [b])


def test_the_same_run_under_two_names_is_counted_once(tmp_path: Path) -> None:
    out = fake.write(tmp_path, RUNS)
    before = tables(out)
    name = RUNS[0].id
    shutil.copy(out / "runs" / f"{name}.json", out / "runs" / "copy of it.json")
    # The same figures, measured at another time.
    again = of("Example CPU", LATER, RUNS[1])[0]
    (out / "runs" / "again.json").write_text(json.dumps(record.plain(again)))
    records, warnings = store.read_all(out)
    assert len(records) == len(RUNS)
    assert sorted(warnings) == sorted(
        [
            f"{RUNS[1].id}.json holds the same run as again.json; it is counted once",
            f"copy of it.json holds the same run as {name}.json; it is counted once",
        ]
    )
    assert tables(out) == before


def test_a_file_that_is_not_named_after_its_run_is_named(tmp_path: Path) -> None:
    out = fake.write(tmp_path, RUNS[:1])
    (out / "runs" / f"{RUNS[0].id}.json").rename(out / "runs" / "mine.json")
    records, warnings = store.read_all(out)
    assert len(records) == 1
    assert warnings == [f"mine.json is not named after its run {RUNS[0].id}, so `vaebench run` overlooks it"]


def test_protocols_are_named_and_never_share_a_table() -> None:
    newer = copy.deepcopy(RUNS)
    for each in newer:
        each.protocol = "1.1"
        each.id = each.id + "_11"
    lines = doubts.problems([*RUNS, *newer])
    assert "the records are of 2 protocols: 1.0, 1.1; no table holds two of them" in lines
    assert len(groups.groups([*RUNS, *newer])) == 2


def test_a_run_behind_another_with_another_id_is_named() -> None:
    old, new = of("A", NOON, RUNS[0])[0], of("A", LATER, RUNS[0])[0]
    new.cell["threads"] = 8
    new.id += "_t8"
    lines = [line for line in doubts.problems([new, old]) if "not shown" in line]
    assert lines == [f"{old.id} is not shown: {new.id} has its place, started last"]
    old, new = of("A", NOON, TIMED[0])[0], of("A", LATER, TIMED[0])[0]
    new.cell["block_s"] = 9
    new.id += "_9"
    assert any("not shown" in line for line in doubts.problems([new, old]))
    assert not any("not shown" in line for line in doubts.problems([*RUNS, *TIMED]))


def test_speeds_of_two_machines_stand_in_columns_of_their_own(tmp_path: Path) -> None:
    a, b = fake.write(tmp_path / "a", of("A", NOON, *TIMED)), fake.write(tmp_path / "b", of("BB", LATER, *TIMED))
    done = merge.merge([a, b], tmp_path / "c")
    assert (done.copied, done.lines) == (4, ())
    records, warnings = store.read_all(tmp_path / "c")
    assert (len(records), warnings) == (4, [])
    columns = speeds.throughput(records, "mnist-dynamic").columns
    assert list(columns) == ["cpu, A", "cpu, BB"]
    for label, column in columns.items():
        assert set(map(record.machine, column.values())) == {label.removeprefix("cpu, ")}
        assert set(column) == {"vanilla", "iwae"}
    assert "cpu, A" in blocks.markdown(blocks_of(records, "mnist-dynamic"))
    # One machine needs no name, and two batch sizes or protocols are kept apart as well.
    assert list(speeds.throughput(of("A", NOON, *TIMED), "mnist-dynamic").columns) == ["cpu"]
    other = replace(copy.deepcopy(TIMED[0]), protocol="0.9")
    assert list(speeds.throughput([*TIMED, other], "mnist-dynamic").columns) == [
        "cpu, protocol 0.9",
        "cpu, protocol 1.0",
    ]


def test_no_mean_is_formed_over_the_times_of_two_machines() -> None:
    (group,) = groups.groups(RUNS)
    assert all(row.summary("train_s") for row in group.rows)
    (group,) = groups.groups([*of("A", NOON, *RUNS[::2]), *of("BB", NOON, *RUNS[1::2])])
    assert [row.summary("train_s") for row in group.rows] == [None, None]
    assert all(row.summary("elbo_nats").n == 3 for row in group.rows)  # type: ignore[union-attr]


def test_the_page_names_all_machines_and_commits() -> None:
    other = copy.deepcopy(RUNS[3:])
    for each in other:
        each.provenance = replace(each.provenance, device_name="BB", commit="f" * 40)
    page = "\n".join(origins.provenance_lines([*of("A", NOON, *RUNS[:3]), *other]))
    for part in ("cpu (A, threads 1, fp32); cpu (BB, threads 1, fp32)", "`0123456789ab`, `ffffffffffff`"):
        assert part in page


def test_what_is_no_record_is_named_and_no_folder_is_refused(tmp_path: Path) -> None:
    a = fake.write(tmp_path / "a", RUNS)
    (a / "runs" / "half.json").write_text("{")
    (line,) = merge.merge([a], tmp_path / "c").lines
    assert "half.json is unreadable" in line
    assert line.endswith("it is not copied")
    assert len(store.read_all(tmp_path / "c")[0]) == len(RUNS)
    with pytest.raises(UsageError, match="no records in"):
        merge.merge([a, tmp_path / "none"], tmp_path / "d")
    assert not (tmp_path / "d").exists()


def pictures(folder: Path) -> set[str]:
    return {path.name for path in (folder / "plots").glob("*.png")}


@pytest.mark.parametrize("suite", ["quick", "oracle"])
def test_reports_and_merging_need_no_torch(tmp_path: Path, suite: str) -> None:
    """Of committed records: the tables are those that the same code writes with torch at hand."""
    source = ROOT / "results" / "reference" / suite
    done = without_torch("merge", source, "--out", tmp_path / suite)
    assert (done.returncode, done.stderr) == (0, "")
    done = without_torch("report", tmp_path / suite)
    assert (done.returncode, done.stderr) == (0, "")
    written = {path.name: path.read_bytes() for path in (tmp_path / suite / "tables").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (source / "tables").iterdir()}
    assert pictures(tmp_path / suite) == pictures(source)


def test_what_needs_torch_says_so_in_one_line() -> None:
    done = without_torch("run", "quick", "--set", "epochs=1")
    assert done.returncode == 4
    assert done.stderr == "vaebench: torch is not installed here; this needs it: pip install torch\n"
    assert done.stdout == ""


def noted(folder: Path, note: str | None, *records: record.Record) -> Path:
    fake.write(folder, list(records))
    if note is not None:
        (folder / "reproduced.json").write_text(note)
    return folder


def test_what_was_reproduced_stays_known_if_it_is_the_same_of_all(tmp_path: Path) -> None:
    out, note = tmp_path / "c", '{"table": "ppca", "profile": "short"}'
    sources = [noted(tmp_path / str(number), note, each) for number, each in enumerate(RUNS[:2])]
    for _ in range(2):
        done = merge.merge(sources, out)
        assert (out / "reproduced.json").read_text() == note
        assert not [line for line in done.lines if "ordinary results" in line]


def test_a_table_of_ones_own_is_the_same_wherever_its_file_lay(tmp_path: Path) -> None:
    notes = [json.dumps({"table": "mine.toml", "sha256": "ab", "path": f"/home/{n}/mine.toml"}) for n in "xy"]
    other = json.dumps({"table": "mine.toml", "sha256": "cd", "path": "/home/x/mine.toml"})
    a, b, c = (noted(tmp_path / n, note, each) for n, note, each in zip("abc", [*notes, other], RUNS, strict=False))
    for order in ((a, b), (b, a)):
        out = tmp_path / f"out{order[0].name}"
        for _ in range(2):
            assert not [line for line in merge.merge(order, out).lines if "ordinary results" in line]
            assert (out / "reproduced.json").read_text() == (order[0] / "reproduced.json").read_text()
    assert [line for line in merge.merge([c], out).lines if "ordinary results" in line]


@pytest.mark.parametrize("other", ['{"table": "ppca", "profile": "full"}', None])
def test_of_unlike_notes_none_is_kept_in_any_order_and_a_line_says_so(tmp_path: Path, other: str | None) -> None:
    a = noted(tmp_path / "a", '{"table": "ppca", "profile": "short"}', RUNS[0])
    b = noted(tmp_path / "b", other, RUNS[1])
    for number, (first, then) in enumerate((([a, b], []), ([b, a], []), ([a], [b]), ([b], [a]))):
        out = tmp_path / f"out{number}"
        lines = merge.merge(first, out).lines + (merge.merge(then, out).lines if then else ())
        assert len([line for line in lines if f"{out} is taken for ordinary results" in line]) == 1
        merge.merge([a], out)
        assert not (out / "reproduced.json").exists()


def test_a_folder_is_not_merged_into_itself(tmp_path: Path) -> None:
    a, b = (fake.write(tmp_path / name, [run]) for name, run in zip("ab", RUNS, strict=False))
    done = merge.merge([a, b, b / ".." / "a"], a)
    assert (done.copied, done.lines) == (1, ())


def test_a_folder_in_which_somebody_writes_is_not_merged_into(tmp_path: Path) -> None:
    a, out = fake.write(tmp_path / "a", RUNS[:1]), tmp_path / "out"
    with lock(out), pytest.raises(MachineError, match="is in use by"):
        merge.merge([a], out)
    assert not (out / "runs").exists()


def test_what_is_there_already_is_named_on_one_line_that_steers_nothing(tmp_path: Path) -> None:
    a, b = (fake.write(tmp_path / name, RUNS[:1]) for name in ("a", "b\x1b[2J"))
    name = f"{RUNS[0].id}.json"
    (b / "runs" / name).rename(b / "runs" / "copy.json")
    (line,) = merge.merge([a, b], tmp_path / "out").lines
    assert line == f"{tmp_path}/b\N{REPLACEMENT CHARACTER}[2J: copy.json is there already as {name}"


def test_pictures_that_lie_there_stay_unless_they_are_of_no_record(tmp_path: Path) -> None:
    (run,) = RUNS[:1]
    a, b, bare = (fake.write(tmp_path / name, [run], images=name != "bare") for name in ("a", "b", "bare"))
    for folder in (a, b):
        (folder / "runs" / f"{run.id}.npz").write_text(folder.name)
    merge.merge([a, b], tmp_path / "out")
    merge.merge([b], tmp_path / "out")
    assert (tmp_path / "out" / "runs" / f"{run.id}.npz").read_text() == "a"
    # Those that a killed run left are nobody's.
    left = tmp_path / "other" / "runs" / f"{run.id}.npz"
    left.parent.mkdir(parents=True)
    left.write_text("left")
    merge.merge([bare], tmp_path / "other")
    assert not left.exists()
