"""Tuning end to end: trials are runs like others, no results, and blind for the test split."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec import structs

from bench import data, judge, seeds
from bench.cells import run as cells
from bench.data.batches import Data
from bench.engines.debug import Debug
from bench.engines.local import Local
from bench.errors import UsageError
from bench.judge import bounds
from bench.pages.html import again
from bench.records import record, store
from bench.records.names import canonical
from bench.records.record import TRIAL, record_id
from bench.settings import Measure
from bench.stats import tuning
from bench.suites import suite
from bench.suites.search import FIRST_SEED
from bench.sweeps import configure, execute, tune
from tests.helpers import BUDGET, MEASURE, SIMULATED, work_off
from variants import registry

BETA = {"name": "beta", "search": {"beta": {"log": [0.5, 8]}}}
SEARCH = {"trials": 2, "ranges": {"lr": {"log": [1e-4, 1e-1]}}}
run = partial(execute.execute, device="cpu", engine=Debug())


def make(*variants: Any, **table: Any) -> suite.Suite:
    common = {"datasets": [SIMULATED], "seeds": 2, "budget": BUDGET, "measure": MEASURE, "throughput": {"blocks": 0}}
    return suite.parse("mine", {"variants": list(variants), "search": SEARCH} | common | table)


def test_every_variant_has_the_same_trials_over_the_keys_that_it_takes() -> None:
    search = SEARCH | {"ranges": SEARCH["ranges"] | {"rank": {"linear": [1, 3]}}}  # type: ignore[operator]
    made = tune.trials(make("vanilla", BETA, "low_rank", search=search), "cpu")
    settings = [(each["variant"], *each["tuning"]["settings"]) for each in made[:3]]
    assert settings == [("vanilla", "lr"), ("beta", "lr", "beta"), ("low_rank", "lr", "rank")]
    assert [each["seed"] for each in made] == [FIRST_SEED] * 3 + [FIRST_SEED + 1] * 3
    for three in (made[:3], made[3:]):
        assert len({each["budget"]["lr"] for each in three}) == 1  # paired, as seeds are
    first = made[1]
    assert first["overrides"] == {"beta": first["tuning"]["settings"]["beta"]}
    assert first["budget"] == BUDGET | {"lr": first["tuning"]["settings"]["lr"]}
    assert (first["tuning"]["overrides"], first["tuning"]["budget"]) == ({}, BUDGET)
    # Of a trial no more is measured than what chooses.
    assert first["measure"] == Measure(elbo_samples=2, nll_samples=0).plain()
    assert len({record_id(TRIAL, each) for each in made}) == 6
    other = make("low_rank", BETA, search=search | {"trials": 5})
    again = [each for each in tune.trials(other, "cpu") if each["variant"] == "beta"]
    assert again[0]["tuning"]["settings"] == first["tuning"]["settings"]


@pytest.mark.parametrize(
    ("variants", "search", "words"),
    [
        (["vanilla"], {"ranges": {}}, "search: vanilla has no range to be tuned over"),
        (["vanilla"], {"ranges": {"lr": {"log": [1, 2]}, "bta": {"log": [1, 2]}}}, "search.ranges.bta: no budget key"),
        (["vanilla"], {"ranges": {"lr": {"linear": [-1.0, 1.0]}}}, "lr must be a number above 0, got -1.0"),
        (["vanilla"], {"ranges": {"schedule": {"choice": ["cosine", "cosin"]}}}, "schedule must be 'cosine' or"),
        ([{"name": "vanilla", "search": {"beta": {"log": [1, 2]}}}], {}, "search: vanilla takes no 'beta'"),
        (["vanilla"], {"ranges": {"latent": {"linear": [0, 3]}}}, "search: vanilla: latent must be a whole number"),
        (["vanilla"], {"metric": "elbo"}, "search.metric 'elbo' is no metric that ranks variants: did you mean"),
        (["vanilla"], {"metric": "kl_nats"}, "search.metric 'kl_nats' is no metric that ranks variants"),
        (["vanilla"], {"metric": "train_elbo_nats"}, "is no metric that ranks variants"),
        (["vanilla"], {"metric": "ssim"}, "search.metric ssim is measured only with ssim_points: set it in [measure]"),
        (["vanilla"], {"metric": "nll_is7_nats"}, "with this suite's nll_samples it is called nll_is5_nats"),
    ],
)
def test_a_search_that_cannot_be_made_is_one_line(variants: list[Any], search: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        tune.trials(make(*variants, search=SEARCH | search), "cpu")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tuned_runs_have_the_seeds_of_their_variant_and_the_settings_of_its_best_trial() -> None:
    made = make("vanilla", BETA | {"seeds": 1}, seeds=3)
    trials = tune.trials(made, "cpu")
    values = {"vanilla": (-9.0, -8.0), "beta": (-8.0, -9.0)}
    found = [
        structs.replace(
            record.new(TRIAL, cell, {}, status="ok"),
            metrics={"valid_elbo_nats": values[cell["variant"]][cell["tuning"]["trial"]]},
        )
        for cell in trials
    ]
    cells, lines = tune.tuned(made, "cpu", found)
    assert lines == []
    assert [(cell["variant"], cell["seed"], cell["tuning"]["trial"]) for cell in cells] == [
        ("vanilla", 0, 1),
        ("beta", 0, 0),
        ("vanilla", 1, 1),
        ("vanilla", 2, 1),
    ]
    of = {(cell["variant"], cell["tuning"]["trial"]): cell["budget"]["lr"] for cell in trials}
    assert all(cell["budget"]["lr"] == of[cell["variant"], cell["tuning"]["trial"]] for cell in cells)


def test_a_variant_is_tuned_on_each_data_set_by_its_trials_there() -> None:
    """Also where these differ in their options or their binarisation alone."""
    options = [{"n": 1000}, {"n": 900}]
    datasets: list[Any] = [SIMULATED | {"options": each} for each in options]
    datasets += ["moons", {"name": "digits", "binarise": "none"}, {"name": "digits", "binarise": "threshold"}]
    made = make("vanilla", datasets=datasets, seeds=1)
    trials = tune.trials(made, "cpu")
    place = {canonical([c.name, c.options, c.binarise]): i for i, c in enumerate(made.datasets)}

    def of(cell: dict[str, Any]) -> int:
        return place[canonical([cell["dataset"], cell["data_options"], cell["binarise"]])]

    found = []
    for cell in trials:
        # The best is one trial here and the other there, and better by far on some.
        here, trial = of(cell), cell["tuning"]["trial"]
        metrics = {"valid_elbo_nats": 100.0 * here + (trial == here % 2)}
        found.append(structs.replace(record.new(TRIAL, cell, {}, status="ok"), metrics=metrics))
    cells, lines = tune.tuned(made, "cpu", found)
    assert lines == []
    assert {of(cell): cell["tuning"]["trial"] for cell in cells} == {0: 0, 1: 1, 2: 0, 3: 1, 4: 0}


def test_a_seed_that_judges_is_no_trial_s() -> None:
    with pytest.raises(UsageError, match=f"seed {FIRST_SEED} is a trial's"):
        tune.trials(make("vanilla", seeds=[0, FIRST_SEED]), "cpu")


def test_what_a_metric_needs_is_measured_of_a_trial() -> None:
    made = make("vanilla", search=SEARCH | {"metric": "nll_is5_nats"})
    assert tune.trials(made, "cpu")[0]["measure"] == Measure(2, 5, 20).plain()


def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test split cannot be read."""
    read = Data._store

    def guarded(self: Data, split: str, how: str) -> Any:
        assert self._instead.get(split, split) != "test", "the test split was read"
        return read(self, split, how)

    monkeypatch.setattr(Data, "_store", guarded)


def test_a_trial_is_judged_on_the_validation_split_and_reads_no_test_example(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = tune.trials(make("vanilla", search=SEARCH | {"metric": "nll_is5_nats"}), "cpu")[0]
    blind(monkeypatch)
    made, artefacts = cells.run_cell(TRIAL, cell, {"commit": "abc"})
    assert (made.status, made.reason, artefacts) == ("ok", None, None)
    assert all(name.startswith("valid_") for name in made.metrics)
    assert {"valid_elbo_nats", "valid_nll_is5_nats"} <= set(made.metrics)
    # The last look of training is of the same split.
    assert made.metrics["valid_elbo_nats"] == pytest.approx(made.curve[-1]["valid_elbo_nats"], abs=1.0)
    judged, _ = cells.run_cell("quality", cell, {"commit": "abc"})
    assert "the test split was read" in str(judged.reason)


def test_data_without_a_test_split_are_the_same_but_for_it() -> None:
    loaded = data.load("sprites", train_size=100)
    without = loaded.without_test()
    x, y = next(without.eval_batches("test", 10, limit=10))
    expected, labels = next(loaded.eval_batches("valid", 10, limit=10))
    assert torch.equal(x, expected)
    assert torch.equal(y, labels)
    assert without.splits["test"] == loaded.splits["valid"]
    assert without.factors is not None
    assert loaded.factors is not None
    assert (without.factors.values["test"] == loaded.factors.values["valid"]).all()
    assert not torch.equal(next(loaded.eval_batches("test", 10, limit=10))[0], x)
    model = registry.seeded("vanilla", loaded.spec, 0)
    mine = judge.evaluate(model, without, Measure(2, 0)).metrics["elbo_nats"]
    valid = bounds.scores(model, loaded.eval_batches("valid", judge.EVAL_BATCH), samples=2, seed=seeds.JUDGE)
    assert mine == valid.means()["elbo_nats"]


def test_a_search_end_to_end_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make("vanilla", BETA)
    # Stopped after the first trials, it goes on with the rest.
    work_off(Debug(), tune.trials(made, "cpu")[:3], tmp_path, kind=TRIAL)
    first = run(made, tmp_path)
    assert (first.ran, first.skipped, first.failed) == (1 + 4 + 4, 3, [])
    trials, _ = store.read_all(tmp_path, (TRIAL,))
    assert len(trials) == 4
    (found,) = tuning.searches(trials).values()
    chosen = {each.variant: tuning.choose(each.trials).cell["tuning"] for each in found}  # type: ignore[union-attr]
    # Trials are no results.
    assert {each.kind for each in first.records} == {"quality"}
    assert {each.kind for each in store.read_all(tmp_path)[0]} == {"quality"}
    of = {True: [], False: []}  # type: dict[bool, list[dict[str, Any]]]
    for each in first.records:
        of["tuning" in each.cell].append(each.cell)
    assert [(c["variant"], c["seed"]) for c in of[True]] == [(v, s) for s in range(2) for v in ("vanilla", "beta")]
    for cell in of[True]:
        best = chosen[cell["variant"]]
        assert cell["tuning"] == best
        assert cell["budget"] == BUDGET | {"lr": best["settings"]["lr"]}
        assert cell["overrides"] == {key: value for key, value in best["settings"].items() if key != "lr"}
        assert cell["measure"] == made.measure.plain()
    assert [cell["budget"] for cell in of[False]] == [BUDGET] * 4
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "**Tuned alike.**" in page
    assert "trial" not in (tmp_path / "tables" / "runs.csv").read_text(encoding="utf-8")
    assert (tmp_path / "tables" / "trials.csv").read_text(encoding="utf-8").count("\n") == 5
    capsys.readouterr()
    second = run(made, tmp_path)
    assert (second.ran, second.skipped, second.records) == (0, 12, first.records)
    # More trials begin with the same ones, and then all that is needed is made.
    more = make("vanilla", BETA, search=SEARCH | {"trials": 3})
    assert [each["tuning"]["settings"] for each in tune.trials(more, "cpu")[:4]] == [
        each["tuning"]["settings"] for each in tune.trials(made, "cpu")
    ]


def test_trials_are_the_same_on_another_engine_and_in_another_order(tmp_path: Path) -> None:
    trials = tune.trials(make("vanilla", BETA), "cpu")
    here = work_off(Debug(), trials, tmp_path / "here", kind=TRIAL)
    there = work_off(Local(), trials[::-1], tmp_path / "there", kind=TRIAL)
    by_id = {each.id: each for each in there}
    assert len(by_id) == 4
    assert all(by_id[each.id].metrics == each.metrics for each in here)
    assert all(by_id[each.id].cell == each.cell for each in here)


@pytest.mark.usefixtures("misbehaving")
def test_a_variant_whose_trials_all_fail_is_a_line_and_keeps_its_defaults(tmp_path: Path) -> None:
    made = make("vanilla", "nan_in_training", seeds=1)
    outcome = run(made, tmp_path)
    tuned = [each.cell["variant"] for each in outcome.records if "tuning" in each.cell]
    assert tuned == ["vanilla"]
    (line,) = [line for line in outcome.failed if "not tuned" in line]
    assert line.startswith("nan_in_training on linear_gaussian is not tuned, for none of its 2 trials counts: training")
    # That a trial diverges is no failure; that the default does is one.
    assert [line for line in outcome.failed if "trial" in line] == [line]
    assert len(outcome.failed) == 2


def test_a_variant_that_cannot_model_the_data_has_no_trials(tmp_path: Path) -> None:
    outcome = run(make("vanilla", {"name": "pixel_decoder", "search": {"latent": {"choice": [1, 2]}}}), tmp_path)
    assert {each.cell["variant"] for each in outcome.records} == {"vanilla"}
    assert outcome.failed == []


def test_settings_of_a_user_change_the_defaults_and_not_the_ranges() -> None:
    made = configure.configure(make("vanilla", BETA), {"lr": 0.5, "epochs": 3, "latent": 2})
    (first, *_) = tune.trials(made, "cpu")
    plain = tune.trials(make("vanilla", BETA), "cpu")[0]
    assert first["tuning"]["settings"] == plain["tuning"]["settings"]
    assert (first["tuning"]["budget"]["lr"], first["budget"]["epochs"]) == (0.5, 3)
    assert first["overrides"] == {"latent": 2}


def test_the_suite_that_a_page_gives_to_run_it_again_makes_the_same_trials(tmp_path: Path) -> None:
    made = make("vanilla", BETA, {"name": "beta", "set": {"beta": 2}, "seeds": 1})
    cells = tune.trials(made, "cpu")
    judged = made.measure.plain()
    results = [
        record.new("quality", {**each, "seed": seed, "measure": judged}, {})
        for each, variant in zip(cells[:3], made.variants, strict=True)
        for seed in made.its_seeds(variant)
    ]
    results += [record.new("quality", each, {}) for each in made.cells("cpu")]
    (text,) = again.suites(results)
    path = tmp_path / "again.toml"
    path.write_text(text, encoding="utf-8")
    same = suite.load(str(path))
    assert canonical(tune.trials(same, "cpu")) == canonical(cells)
    assert canonical(same.cells("cpu")) == canonical(made.cells("cpu"))
