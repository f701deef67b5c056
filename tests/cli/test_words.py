"""What the words of a command choose and print, without a run."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import cli, data
from bench.cli import runs
from bench.cli.app import Changes, Effort, Where
from bench.errors import UsageError
from bench.pages.page import Report
from bench.sweeps.execute import Outcome
from tests import fake_records as fake
from tests.helpers import call, refused
from tests.reproduce import tiny

SUITE = """
seeds = 3
variants = [{ name = "vanilla", set = { latent = 2 } }, { name = "vanilla", set = { latent = 3 } },
            { name = "linear", seeds = 1 }]
datasets = [{ name = "linear_gaussian", options = { n = 900, d = 6 } }, "digits"]
budget = { batch_size = 100 }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "twice.toml").write_text(SUITE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What would be run: the suite, where, how much, on what, and whether it is trained; nothing is."""
    seen: list[tuple[Any, ...]] = []

    def execute(*words: Any, quality: bool = True) -> None:
        seen.append((*words, quality))
        raise UsageError("enough")

    monkeypatch.setattr(runs, "_execute", execute)
    return seen


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_cancelled_job_and_a_closed_terminal_are_as_ctrl_c(name: str) -> None:
    number = getattr(signal, name)

    def mine(*_: object) -> None:
        raise AssertionError("it was not heeded")

    before = signal.signal(number, mine)
    try:
        with pytest.raises(KeyboardInterrupt), cli._signals():
            signal.raise_signal(number)
        assert signal.getsignal(number) is mine
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(
    ("program", "words"), [("/my bin/vaebench", "'/my bin/vaebench'"), ("/x/bench/__main__.py", "python -m bench")]
)
def test_after_ctrl_c_the_same_command_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.cli.app.app", interrupted)
    monkeypatch.setattr(sys, "argv", [program])
    line = f"vaebench: interrupted; finished runs are kept. Resume with: {words} run 'a b'"
    assert call(capsys, "run", "a b") == (130, "", f"\n{line}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
@pytest.mark.parametrize(("code", "told"), [(0, 4), (1, 1)])
def test_output_that_cannot_be_written_hides_no_failed_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: int, told: int
) -> None:
    def command(*_: Any, **__: Any) -> int:
        print("figures")
        return code

    monkeypatch.setattr("bench.cli.app.app", command)
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        found, _, err = call(capsys, "run")
    assert (found, err) == (
        told,
        "vaebench: the output could not be written (No space left on device); all files are\n",
    )


def test_results_go_to_a_folder_of_the_suite_s_name_unless_another_is_named() -> None:
    assert Where().folder("quick") == Path("results") / "quick"
    assert Where(out=Path("mine")).folder("quick") == Path("mine")


def test_a_seed_that_is_named_twice_is_one() -> None:
    assert Effort(seeds=("7,7", "3,7")).chosen_seeds == (7, 3)
    assert Effort(seeds=("2",)).chosen_seeds == 2


def test_seeds_that_are_asked_for_are_those_of_every_variant() -> None:
    chosen = runs._suite("twice.toml", ["linear", "vanilla"], Changes(datasets=("digits",)), 2)
    cells = chosen.cells("cpu")
    assert [(cell["variant"], cell["seed"]) for cell in cells] == [
        (name, seed) for seed in (0, 1) for name in ("linear", "vanilla", "vanilla")
    ]
    own = runs._suite("twice.toml", ["linear"], Changes(datasets=("digits",)))
    assert [cell["seed"] for cell in own.cells("cpu")] == [0]


def test_a_row_with_settings_of_its_own_is_one_row_and_they_count_before_those_of_all() -> None:
    changes = Changes(datasets=("digits",), settings=("beta=2", "latent=5"))
    chosen = runs._suite("twice.toml", ["beta (beta=4)", "vanilla (latent=9)", "beta"], changes)
    assert [(variant.name, variant.overrides) for variant in chosen.variants] == [
        ("beta", {"beta": 4, "latent": 5}),
        ("vanilla", {"latent": 9}),
        ("beta", {"beta": 2, "latent": 5}),
    ]


def test_an_option_of_the_data_is_added_to_those_of_the_suite() -> None:
    chosen = runs._suite("twice.toml", ["linear"], Changes(data_options=("d=7",)))
    assert [(choice.name, choice.options) for choice in chosen.datasets] == [
        ("linear_gaussian", {"n": 900, "d": 7}),
        ("digits", {}),
    ]
    with pytest.raises(UsageError, match="--data-option d: none of the data sets takes it; choose from labelled"):
        runs._suite("twice.toml", ["linear"], Changes(datasets=("digits",), data_options=("d=7",)))


def test_binarisation_is_changed_of_every_data_set_that_is_asked_for() -> None:
    for datasets in ((), ("digits", "mnist")):
        with_it = Changes(datasets=datasets or ("digits",), binarise="threshold")
        chosen = runs._suite("twice.toml", ["vanilla"], with_it)
        assert {choice.binarise for choice in chosen.datasets} == {"threshold"}


def test_arithmetic_is_changed_of_the_whole_suite() -> None:
    plain = runs._suite("twice.toml", [], Changes())
    assert (plain.precision, plain.compile) == ("fp32", False)
    other = runs._suite("twice.toml", [], Changes(precision="bf16", compiled=True))
    assert (other.precision, other.compile) == ("bf16", True)


def test_a_comparison_times_nothing_and_its_first_row_is_the_baseline(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, asked: list[tuple[Any, ...]]
) -> None:
    baselines: list[str] = []
    monkeypatch.setattr("bench.sweeps.compare.check", lambda _, baseline: baselines.append(baseline))
    for names in (["beta (beta=4)", "beta"], ["vanilla", "linear"]):
        refused(capsys, 2, "compare", *names, "--suite", "twice.toml", "--set", "lr=0.1", "--seeds", "2")
    assert baselines == ["beta (beta=4)", "vanilla"]
    assert [chosen.throughput.blocks for chosen, *_ in asked] == [0, 0]
    assert [chosen.budget.lr for chosen, *_ in asked] == [0.1, 0.1]


def test_speed_is_measured_anew_with_the_keys_of_the_clock(
    capsys: pytest.CaptureFixture[str], asked: list[tuple[Any, ...]]
) -> None:
    for key in ("epochs=7", "nll_samples=7", "lr=0.1"):
        line = refused(capsys, 2, "throughput", "twice.toml", "--set", key)
        assert "throughput trains and judges no model: --set takes blocks, block_s, batch_size and keywords" in line
    assert not asked
    words = ("--set", "batch_size=7", "blocks=4", "latent=6", "--out", "here")
    assert refused(capsys, 2, "throughput", "twice.toml", *words) == "vaebench: enough\n"
    ((chosen, where, effort, choice, quality),) = asked
    assert (chosen.throughput.batch_size, chosen.throughput.blocks) == (7, 4)
    assert (where.out, effort.again, choice.engine, quality) == (Path("here"), True, "local", False)


@pytest.mark.parametrize(
    "words",
    [
        "--variants vanilla",
        "--seeds 3",
        "--datasets mnist",
        "--precision bf16",
        "--compile",
        "--binarise none",
        "--data-option n=3",
        "--engine ray",
    ],
)
def test_a_suite_that_checks_the_judge_takes_nothing_that_it_would_not_heed(
    capsys: pytest.CaptureFixture[str], asked: list[tuple[Any, ...]], words: str
) -> None:
    line = refused(capsys, 2, "run", "oracle", *words.split())
    option = words if "engine" in words else words.split()[0]
    assert line == f"vaebench: suite oracle.toml checks the judge on problems of its own: it takes no {option}\n"
    assert not asked
    for engine in ("local", "debug"):
        assert refused(capsys, 2, "run", "oracle", "--engine", engine) == "vaebench: enough\n"


def test_where_the_page_stands_the_answer_is_said_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_answer", lambda _: "the answer")
    for terminal, failed in (("", []), ("the tables", ["a run: it broke"])):
        report = Report(Path("out"), (), (), terminal)
        code = runs._finish(Outcome(Path("out"), 0, 3, [], failed, report), Where())
        out, err = capsys.readouterr()
        assert out == f"{terminal or 'the answer'}\nReport: {report.address}\n"
        assert (code, err) == (len(failed), "".join(f"vaebench: failed: {line}\n" for line in failed))


def test_commands_on_folders_say_what_they_did(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.pages.figures.drawn", lambda *_: [])
    for name in ("a", "b"):
        fake.write(folder / name, [fake.quality(seed=ord(name))], images=False)
    fake.write(folder / "a", [fake.quality(dataset="fashion_mnist")], images=False)
    (folder / "a" / "runs" / "torn.json").write_text("{")
    code, out, err = call(capsys, "merge", "a", "b", "--out", "all of it")
    assert (code, err) == (0, "")
    *notes, last = out.splitlines()
    assert [line for line in notes if "torn.json" in line]
    assert last == "3 records copied into all of it; their tables and plots: vaebench report 'all of it'"
    code, out, _ = call(capsys, "merge", "a", "b", "--out", "again", "--json")
    assert json.loads(out) == {"out": "again", "copied": 3, "notes": notes}

    code, out, err = call(capsys, "report", "all of it", "--json")
    told = json.loads(out)
    assert (code, told["out"]) == (0, "all of it")
    assert {"all of it/README.md", "all of it/report.html"} < set(told["files"])
    assert all((folder / name).is_file() for name in told["files"])

    words = ("table", "a", "--columns", "elbo,kl", "--format", "csv")
    tables = [call(capsys, *words, *one) for one in ((), ("--dataset", "mnist"))]
    assert [code for code, *_ in tables] == [0, 0]
    assert all(err.startswith("vaebench: torn.json is unreadable") and err.count("\n") == 1 for *_, err in tables)
    assert ["fashion" in out for _, out, _ in tables] == [True, False]
    assert all("vanilla" in out for _, out, _ in tables)
    line = refused(capsys, 2, "table", "nowhere")
    assert line == "vaebench: no records in nowhere; run `vaebench run --out nowhere` first\n"


def test_a_report_stands_beside_our_results_of_the_suite_that_its_folder_is_called_after(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def write(out: Path, reference: Path | None = None) -> Report:
        seen.append(reference)
        return Report(out, (), (), "")

    monkeypatch.setattr("bench.pages.report.write", write)
    for name in ("quick", "of_mine"):
        fake.write(folder / name, [fake.quality()], images=False)
        monkeypatch.chdir(folder / name)
        assert call(capsys, "report", ".")[0] == 0
    assert [each and each.name for each in seen] == ["quick", None]


def test_data_that_are_here_are_listed_and_verified(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{**row, "present": row["name"] != "moons"} for row in data.describe() if row["name"] in ("digits", "moons")]
    monkeypatch.setattr(data, "describe", lambda: rows)
    monkeypatch.setattr(data, "verify", lambda name: f"sum of {name}")
    monkeypatch.setattr(data, "fetch", lambda name: print(f"fetch {name}"))
    _, out, _ = call(capsys, "data", "list")
    first, second = out.splitlines()
    assert first.startswith(
        f"{'digits':22} here; 1x8x8; 1,297 / 250 / 250 train / valid / test; binarise dynamic; {rows[0]['source'][:9]}"
    )
    assert second.startswith(f"{'moons':22} not here; 2; 8,000 / 1,000 / 1,000 train / valid / test; binarise none; ")
    assert call(capsys, "data", "verify") == (0, f"{'digits':22} ok, sha256 sum of digits\n", "")
    assert call(capsys, "data", "verify", "moons") == (0, f"{'moons':22} ok, sha256 sum of moons\n", "")
    assert call(capsys, "data", "fetch", "moons") == (0, f"fetch moons\n{'moons':22} ok\n", "")
    assert refused(capsys, 2, "data", "fetch").startswith("vaebench: fetch needs names of data sets: mnist, ")


def test_what_goes_into_a_bug_report_is_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, "env", "--json")
    facts = json.loads(out)
    _, out, _ = call(capsys, "env")
    told = {line[:22].strip(): line[23:] for line in out.splitlines()}
    assert told.keys() == facts.keys()
    assert told["versions"] == ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    assert all(told[key] == str(facts[key]) for key in facts if key != "versions")
    assert facts["cores"] == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else facts["cores"] > 0


def test_a_listed_variant_names_its_base_unless_it_is_the_usual_one(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = call(capsys, "list", "*iwae*")
    lines = {line.split()[0]: line.split()[1] for line in out.splitlines() if line.startswith("  ") and line[2] != " "}
    assert lines["iwae_dreg"] == "[iwae]"
    assert not lines["iwae"].startswith("[")
    _, out, _ = call(capsys, "show", "iwae")
    assert "a training step 5 draws of z for each example" in " ".join(out.split())


def test_of_a_published_table_its_name_is_needed_and_ours_has_no_profile(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def run(*words: Any, **how: Any) -> None:
        given.append((*words, how))
        raise UsageError("enough")

    monkeypatch.setattr("bench.reproduce.committed.reproduce", run)
    monkeypatch.setattr("bench.reproduce.execute.reproduce", run)
    assert "reproduce needs the name of a table, " in refused(capsys, 2, "reproduce")
    line = refused(capsys, 2, "reproduce", "results", "--profile", "short")
    assert "--rows names suites, and there is no --profile" in line
    assert not given
    words = ("--seeds", "2", "--jobs", "3", "--again", "--device", "cpu")
    how = {"device": "cpu", "seeds": 2, "jobs": 3, "again": True}
    refused(capsys, 2, "reproduce", "results", *words)
    refused(capsys, 2, "reproduce", "results", "--rows", "evidence", "--out", "there", *words)
    assert given == [("quick", None, how), ("evidence", Path("there"), how)]
    path = tiny.write(folder)
    for out in ((), ("--out", "there")):
        refused(capsys, 2, "reproduce", str(path), "--rows", "plain", *out, *words)
    assert [(profile, [row.name for row in rows], out, how) for _, profile, rows, out, how in given[2:]] == [
        ("short", ["plain"], Path("results/reproduce/tiny-short"), how),
        ("short", ["plain"], Path("there"), how),
    ]
