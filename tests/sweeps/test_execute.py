"""A suite end to end: where settings go, what is run, what is skipped, and what is run again."""

import copy
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import data
from bench.cells.events import failed
from bench.disk.files import write_bytes
from bench.engines import Job
from bench.engines.debug import Debug
from bench.engines.local import Local
from bench.errors import MachineError, UsageError
from bench.pages import page, report
from bench.records import record, schema, store
from bench.settings import Budget, parse_settings
from bench.suites import suite
from bench.sweeps import configure, execute, fitting
from tests import fake_records as fake
from tests.helpers import BUDGET, MEASURE, SIMULATED, sums_now

pytestmark = pytest.mark.usefixtures("misbehaving")


def make(*variants: Any, datasets: Any = (SIMULATED,), **table: Any) -> suite.Suite:
    return suite.parse(
        "mine",
        {
            "variants": list(variants),
            "datasets": list(datasets),
            "seeds": 1,
            "budget": BUDGET,
            "measure": MEASURE,
            "throughput": {"blocks": 0},
        }
        | table,
    )


# In this process, unless a cell ends its own.
run = partial(execute.execute, device="cpu", engine=Debug())


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("a=50", 50),
        ("a=1e-3", 1e-3),
        ("a=true", True),
        ("a=False", False),
        ("a=[400, 200]", [400, 200]),
        ("a=conv", "conv"),
        ('a="50"', "50"),
        (" a = 3 ", 3),
        ("a=ü x", "ü x"),
    ],
)
def test_settings_are_toml_or_text(word: str, value: object) -> None:
    assert parse_settings([word]) == {"a": value}
    assert type(parse_settings([word])["a"]) is type(value)


@pytest.mark.parametrize("word", ["a", "=3", "a=", "", " = 3"])
def test_settings_without_a_key_or_a_value(word: str) -> None:
    with pytest.raises(UsageError, match="settings have the form key=value"):
        parse_settings([word])


def overrides(made: suite.Suite) -> dict[str, dict[str, Any]]:
    return {variant.name: variant.overrides for variant in made.variants}


def test_a_keyword_goes_to_the_variants_that_take_it() -> None:
    made = make(
        "vanilla",
        {"name": "low_rank", "set": {"rank": 1}},
        "beta",
        "conv",
        "good",
        "raises_at_build",
        datasets=["digits"],
    )
    small = configure.configure(made, {"latent": 4, "rank": 3, "hidden": [8]})
    assert overrides(small) == {
        "vanilla": {"latent": 4, "hidden": [8]},
        "low_rank": {"rank": 3, "latent": 4, "hidden": [8]},
        "beta": {"latent": 4, "hidden": [8]},
        "conv": {"latent": 4},  # its network has no `hidden`
        "good": {"latent": 4},  # and this one takes nothing else
        "raises_at_build": {},
    }
    assert overrides(configure.configure(made, {"beta": 2.0})) == {
        **{name: {} for name in ("vanilla", "conv", "good", "raises_at_build")},
        "low_rank": {"rank": 1},
        "beta": {"beta": 2.0},
    }
    assert overrides(configure.configure(make("vanilla"), {"posterior": "full"})) == {"vanilla": {"posterior": "full"}}
    assert configure.configure(made, {}) == made


def test_a_key_of_the_budget_the_measurement_and_the_clock_goes_there() -> None:
    made = configure.configure(
        make("vanilla"), {"epochs": 7, "lr": 1, "nll_samples": 9, "batch_size": 33, "blocks": 4, "schedule": "constant"}
    )
    assert (made.budget.epochs, made.budget.lr, made.budget.schedule) == (7, 1.0, "constant")
    assert (made.measure.nll_samples, made.throughput.blocks) == (9, 4)
    assert made.budget.batch_size == made.throughput.batch_size == 33
    assert made.variants[0].overrides == {}


@pytest.mark.parametrize(
    ("variants", "settings", "words"),
    [
        (
            ["vanilla"],
            {"epoch": 3},
            "unknown setting 'epoch': no budget key, and none of vanilla takes it; did you mean",
        ),
        (["good"], {"hidden": [3]}, "unknown setting 'hidden'"),
        (["vanilla"], {"epochs": "many"}, "epochs must be a whole number of at least 1, got 'many'"),
        (["vanilla"], {"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        (["vanilla"], {"blocks": 1}, "throughput.blocks must be 0, or at least 3"),
        (["vanilla"], {"latent": 0}, "vanilla: latent must be a whole number of at least 1, got 0"),
        (["vanilla", "beta"], {"beta": float("nan")}, "beta: beta must be a number of at least 0, got nan"),
        ([{"name": "vanilla", "set": {"rank": 2}}], {}, "vanilla: no chosen part takes the option 'rank'"),
        ([{"name": "good", "set": {"rank": 2}}], {}, "good: good() got an unexpected keyword argument 'rank'"),
        ([{"name": "low_rank", "set": {"rank": 9}}], {"latent": 4}, "low_rank: rank must be at most the latent size 4"),
    ],
)
def test_a_wrong_setting_is_one_line(variants: list[Any], settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        configure.configure(make(*variants), settings)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("variant", ["raises_at_build", "exits"])
def test_a_variant_that_cannot_be_built_is_left_to_its_cells(variant: str) -> None:
    made = configure.configure(make("vanilla", variant), {"latent": 3})
    assert overrides(made)["vanilla"] == {"latent": 3}


def test_a_network_that_does_not_fit_one_data_set_is_left_to_its_cells() -> None:
    made = make("vanilla", "conv", datasets=("digits", "linear_gaussian"))
    assert overrides(configure.configure(made, {"latent": 3})) == {"vanilla": {"latent": 3}, "conv": {"latent": 3}}


@pytest.fixture
def no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "write", lambda out, reference: page.Report(out, (), (), "a table"))  # noqa: ARG005


@pytest.mark.usefixtures("no_pages")
def test_finished_cells_are_skipped_and_failed_ones_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(data, "fetch", fetched.append)
    made = configure.configure(make("good", "nan_in_training", "dies"), {"blocks": 3, "block_s": 0.001})
    first = run(made, tmp_path, engine=Local(), jobs=2)
    assert (first.ran, first.skipped, fetched) == (6, 0, ["linear_gaussian"])
    assert [(r.kind, r.cell["variant"], r.status) for r in first.records] == [
        ("quality", "good", "ok"),
        ("quality", "nan_in_training", "diverged"),
        ("quality", "dies", "error"),
        ("throughput", "good", "ok"),
        ("throughput", "nan_in_training", "ok"),
        ("throughput", "dies", "error"),
    ]
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("[")]) == 6
    assert any("linear_gaussian good seed 0: ELBO -" in line for line in lines)
    assert any("linear_gaussian dies seed 0: ERROR, the cell's process exited with code 7" in line for line in lines)
    assert len(first.failed) == 3

    second = run(made, tmp_path, engine=Local(), jobs=2)
    assert (second.ran, second.skipped) == (2, 4)  # both cells that died; what diverged would diverge again
    assert f"4 of 6 runs are finished in {tmp_path} and not run again" in capsys.readouterr().err
    assert second.records[0] == first.records[0]
    assert second.failed == first.failed

    # Other settings are other cells, and the old ones stay.
    more = run(make("good", budget=BUDGET | {"epochs": 2}), tmp_path)
    assert (more.ran, more.skipped, len(store.read_all(tmp_path)[0])) == (1, 0, 7)


@pytest.mark.usefixtures("no_pages")
def test_what_other_code_made_is_kept_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make("good", "vanilla")
    first = run(made, tmp_path).records
    keys = {"code_sha256", "training_sha256"}
    one, other = (each.provenance for each in first)
    assert all(None is not getattr(one, key) != getattr(other, key) is not None for key in keys)
    plugin = next(Path(place, "vae_misbehaving.py") for place in sys.path if Path(place, "vae_misbehaving.py").exists())
    plugin.write_text(plugin.read_text(encoding="utf-8") + "changed = True\n", encoding="utf-8")
    sums_now("vanilla")  # as by another process
    capsys.readouterr()
    second = run(made, tmp_path)
    assert (second.ran, second.skipped, second.records) == (0, 2, first)
    commit = str(first[0].provenance.commit)[:12]
    line = f"1 of 2 finished runs were made by other code (commit {commit}): kept; --again runs them anew"
    assert capsys.readouterr().err.splitlines()[-1] == line
    # A record of before this was noted says nothing.
    (path,) = (tmp_path / "runs").glob("*good*.json")
    unknown = schema.read(path)
    unknown.provenance.code_sha256 = None
    store.write(tmp_path, unknown)
    run(made, tmp_path)
    assert "other code" not in capsys.readouterr().err


@pytest.mark.usefixtures("no_pages")
def test_what_diverged_under_other_code_is_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make("good", "nan_in_training")
    first = run(made, tmp_path).records
    assert [r.status for r in first] == ["ok", "diverged"]
    same = run(made, tmp_path)
    assert (same.ran, same.records) == (0, first)
    for code in ("of other code", None):
        for each in first:
            other = copy.deepcopy(each)
            other.provenance.code_sha256 = code
            store.write(tmp_path, other)
        capsys.readouterr()
        again = run(made, tmp_path)
        assert (again.ran, again.skipped) == (1, 1)
        assert "1 of 2 finished runs diverged under other code: run again" in capsys.readouterr().err.splitlines()
        assert again.records[1].provenance.code_sha256 == first[1].provenance.code_sha256


@pytest.mark.usefixtures("no_pages")
def test_data_of_one_s_own_are_known_by_what_they_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two paths one row; changed, or under the same name elsewhere, another."""
    monkeypatch.chdir(tmp_path)
    path, other = tmp_path / "my images.npz", tmp_path / "other" / "my images.npz"
    other.parent.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4)).astype(np.uint8)
    np.savez(path, train=images)
    np.savez(other, train=images[:, ::-1])
    budget = BUDGET | {"train_size": 500}
    again = [SIMULATED, str(path)]

    def go(*datasets: object) -> execute.Outcome:
        return run(make("good", datasets=list(datasets), budget=budget), tmp_path / "out")

    first = go(*again)
    (said, all_used) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vaebench: my")]
    assert said.startswith("vaebench: my images: 48 train, 6 valid, 6 test images of 1 x 4 x 4 (NHW); splits valid and")
    assert re.fullmatch(r"vaebench: my_images-\w{8} has fewer than 500 training examples: all 48 are used", all_used)
    assert [r.cell["budget"]["train_size"] for r in first.records] == [500, None]
    np.savez_compressed(path, train=images)  # other bytes, the same images
    assert [go(SIMULATED, same).ran for same in ("my images.npz", str(path))] == [0, 0]
    elsewhere = go(str(other))
    assert elsewhere.ran == 1
    np.savez(path, train=255 - images)
    changed = go(*again)
    assert (changed.ran, changed.skipped) == (1, 1)
    names = [outcome.records[-1].cell["dataset"] for outcome in (first, elsewhere, changed)]
    assert len(set(names)) == 3
    assert {name[:-8] for name in names} == {"my_images-"}


@pytest.mark.usefixtures("no_pages")
def test_the_overhead_of_a_sweep_is_its_wall_time_over_what_each_job_had_to_do() -> None:
    assert (
        execute._overhead([10.0] * 8, 50.0, 2)
        == "8 runs in 50 s, 1.25 x their training and measuring over 2 side by side"
    )
    # Of a few runs, or where some were made before, it says nothing.
    assert execute._overhead([10.0] * 7, 50.0, 2) is None
    assert execute._overhead([10.0] * 8 + [None], 50.0, 2) is None
    assert execute._overhead([10.0] * 8, 50.0, None) is None


def test_throughput_alone_and_again(tmp_path: Path) -> None:
    made = make("good", throughput={"blocks": 3, "block_s": 0.001})
    for _ in range(2):
        outcome = run(made, tmp_path, quality=False, again=True)
        assert (outcome.ran, outcome.skipped, len(outcome.records)) == (1, 0, 1)
    with pytest.raises(UsageError, match="mine measures no throughput"):
        run(make("good"), tmp_path, quality=False)


def test_nothing_is_run_where_something_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown device 'tpu'"):
        run(make("good"), tmp_path / "out", device="tpu")
    assert not (tmp_path / "out").exists()


def test_compiling_without_a_compiler_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", "ccache clang++")
    with pytest.raises(MachineError, match="--compile needs the C\\+\\+ compiler ccache, which is not here"):
        run(make("good", compile=True), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_tells_what_it_cost_beside_training_and_measuring(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(make("good", "vanilla", seeds=4), tmp_path, jobs=2)
    assert re.search(
        r"^8 runs in \d+ s, \d+\.\d\d x their training and measuring over 2 side by side$",
        capfd.readouterr().err,
        re.MULTILINE,
    )
    # A run whose weights were kept was not trained now.
    run(make("good", "vanilla", seeds=4, measure=MEASURE | {"elbo_samples": 3}), tmp_path)
    assert "their training and measuring" not in capfd.readouterr().err


class Told(Local):
    """An engine that runs nothing, and remembers what it was told."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def events(self, job: Job) -> Any:
        self.jobs.append(job)
        for cell in job.cells:
            yield failed(job.kind, cell, job.provenance, "not today")


@pytest.mark.usefixtures("no_pages")
def test_an_engine_is_told_what_the_suite_and_the_user_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Speed is measured by one at a time, with all cores; runs go side by side, by default one a core."""
    monkeypatch.setattr(execute, "cores", lambda: 3)
    monkeypatch.setattr(execute, "default_jobs", lambda device: {"cpu": 3}[device])
    made = make("vanilla", seeds=2, timeout_min=5, throughput={"blocks": 3, "block_s": 0.001})
    for jobs, again in ((None, False), (2, True)):
        engine = Told()
        run(made, tmp_path, engine=engine, jobs=jobs, again=again)
        assert [
            (job.kind, job.side_by_side, job.timeout_s, job.again, len(job.cells), job.out) for job in engine.jobs
        ] == [("quality", jobs or 3, 300, again, 2, tmp_path), ("throughput", 1, 300, again, 1, tmp_path)]
        assert [cell["threads"] for job in engine.jobs for cell in job.cells] == [1, 1, 3]
        assert all(job.provenance["versions"] for job in engine.jobs)


def test_speed_is_measured_on_the_processor_too(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make("vanilla", search={"trials": 2, "ranges": {"lr": {"log": [1e-4, 1e-1]}}}, throughput={"blocks": 3})
    wanted = execute._wanted(made, Told(), "cuda", True)
    assert [(kind, {cell["device"] for cell in cells}) for kind, cells in wanted.items()] == [
        ("trial", {"cuda"}),
        ("quality", {"cuda"}),
        ("throughput", {"cpu", "cuda"}),
    ]
    alone = execute._wanted(made, Told(), "cpu", False)
    assert {kind: len(cells) for kind, cells in alone.items()} == {"quality": 0, "throughput": 1}
    # What one of the devices cannot do is refused, whichever it is.
    asked: list[str] = []
    monkeypatch.setattr(execute.devices, "require_bf16", asked.append)
    execute._wanted(make("vanilla", precision="bf16", throughput={"blocks": 3}), Told(), "cuda", True)
    assert sorted(asked) == ["cpu", "cuda"]


def test_a_page_of_another_s_is_written_also_where_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, pages = make("vanilla"), list[Path]()
    store.write(tmp_path, record.new("quality", made.cells("cpu")[0], {}, "ok"))
    monkeypatch.setattr(execute.plan, "up_to_date", lambda _: True)
    monkeypatch.setattr(report, "write", lambda *_, **__: 1 / 0)
    assert run(made, tmp_path).report.terminal == ""  # the usual page stands

    def write(out: Path) -> page.Report:
        pages.append(out)
        return page.Report(out, (), (), "a page")

    done = run(made, tmp_path, page=write)
    assert (done.ran, done.skipped, done.report.terminal, pages) == (0, 1, "a page", [tmp_path])


def test_as_many_training_examples_as_there_are_are_not_too_many() -> None:
    choice = suite.DataChoice("mine", "none", size=48, says=("48 rows",))
    for size, words in ((47, []), (48, []), (49, ["mine has fewer than 49 training examples: all 48 are used"])):
        made = suite.Suite(
            name="s", variants=(suite.Variant("vanilla"),), datasets=(choice,), budget=Budget(train_size=size)
        )
        assert execute._of_data(made) == ["48 rows", *words]


def test_times_are_known_from_this_folder_and_from_ours_unless_they_are_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, ours = (fake.write(tmp_path / name, [fake.quality(name)], images=False) for name in ("vanilla", "beta"))
    fake.write(mine, [fake.quality("conv")], images=False)

    def known(*folders: Path | None) -> list[str]:
        return sorted(record.cell["variant"] for record in execute._earlier(*folders))  # type: ignore[arg-type]

    assert known(mine, ours) == ["beta", "conv", "vanilla"]
    assert known(mine, None) == ["conv", "vanilla"]
    assert known(tmp_path / "new", ours) == ["beta"]
    monkeypatch.setattr(execute, "MOST_READ", 2)
    assert known(mine, ours) == ["beta"]


def test_what_is_half_done_goes_and_weights_wait_for_others_as_good(tmp_path: Path) -> None:
    first, second = make("vanilla", seeds=2).cells("cpu")
    folder = tmp_path / "weights"
    names = [record.record_id("quality", cell) for cell in (first, second)]
    kept, other = (execute.weights.path(tmp_path, cell) for cell in (first, second))
    for path in (kept, execute.checkpoint.path(kept), folder / f"{names[0]}_elbo.notes.json", other):
        write_bytes(path, b"old")
    write_bytes(folder / f"{names[1]}_elbo.notes.json", b"of the other seed")
    execute._set_aside(tmp_path, {"quality": [first]})
    aside = f"{execute.ASIDE}{kept.name}"
    assert {path.name for path in folder.iterdir()} == {aside, other.name, f"{names[1]}_elbo.notes.json"}
    execute._put_back(tmp_path)
    assert kept.read_bytes() == b"old"
    execute._set_aside(tmp_path, {"quality": [first]})
    write_bytes(kept, b"new")
    execute._put_back(tmp_path)
    assert (kept.read_bytes(), (folder / aside).exists()) == (b"new", False)


def test_a_setting_of_the_data_is_no_setting_of_a_model() -> None:
    for key, value, words in (("label", 3, "--data-option label=3"), ("binarise", "none", "--binarise none")):
        with pytest.raises(
            UsageError, match=f"^{key} is a matter of the data, and no setting of a model: say {words}$"
        ):
            configure.configure(make("vanilla"), {key: value})


def test_who_is_left_out_is_named_with_each_data_set_and_reason() -> None:
    made = make("vanilla", "conv", "conv_full_covariance", datasets=("linear_gaussian", "moons", "digits"))
    refused = fitting.unfit(made)
    reason = "a conv network needs images (C, H, W), not data of shape"
    assert fitting.lines(made, refused) == [
        f"conv, conv_full_covariance: left out on linear_gaussian, for {reason} (16,)",
        f"conv, conv_full_covariance: left out on moons, for {reason} (2,)",
    ]
    assert fitting.lines(made, {}) == []


def test_a_trial_may_diverge_and_may_not_fail() -> None:
    ends = [("quality", "diverged"), (record.TRIAL, "diverged"), (record.TRIAL, "error"), (record.TRIAL, "ok")]
    made = [fake.quality("vanilla", seed, status=status, reason="why") for seed, (_, status) in enumerate(ends)]  # type: ignore[arg-type]
    for each, (kind, _) in zip(made, ends, strict=True):
        each.kind = kind  # type: ignore[assignment]
    assert execute._failures(made) == [f"{made[0].id}: diverged, why", f"{made[2].id}: error, why"]
