"""Groups and rows: what is compared, what is marked, what is never dropped, and the bytes of the files."""

import csv
import io
import json
import math
import random
import re

import pandas as pd
import pytest
from msgspec.structs import replace

from bench.pages import blocks, doubts, grids, paper, tables
from bench.pages.html.report import report as html_report
from bench.records import names
from bench.records.record import Origin, Timed
from bench.stats import frame, groups, intervals, metrics, speeds
from bench.text import DASH
from tests import fake_records as fake


def markdown(records: list[fake.Record], dataset: str = "mnist-dynamic") -> str:
    return blocks.markdown(tables.blocks(records, dataset))


def terminal(records: list[fake.Record]) -> str:
    return blocks.terminal(tables.screen(records))


def three(variant: str, levels: tuple[float, ...], **settings: object) -> list[fake.Record]:
    return [fake.quality(variant, seed, elbo=level, **settings) for seed, level in enumerate(levels)]  # type: ignore[arg-type]


def labels(records: list[fake.Record]) -> list[list[str]]:
    return [[row.label for row in group.rows] for group in groups.groups(records)]


def test_rows_are_sorted_by_elbo_and_rows_without_a_bound_come_last() -> None:
    records = (
        three("vanilla", (-100, -101, -102)) + three("linear", (-130, -131, -132)) + three("iwae", (-99, -98, -97))
    )
    records += [fake.quality("autoencoder", seed, support="binary") for seed in range(3)]
    assert labels(records) == [["iwae", "vanilla", "linear", "autoencoder"]]
    # Groups with a bound come first, whatever their supports are called.
    for support, other in (("binary", "real"), ("real", "binary")):
        apart = [fake.quality("vanilla", 0, support=support), fake.quality("autoencoder", 0, support=other)]
        assert labels(apart) == [["vanilla"], ["autoencoder"]]


@pytest.mark.parametrize(
    "other",
    [{"binarise": "none"}, {"epochs": 3}, {"support": "real"}, {"precision": "bf16"}, {"dataset": "fashion_mnist"}],
)
def test_nothing_is_ranked_across_groups(other: dict[str, object]) -> None:
    records = three("vanilla", (-100, -100.1, -100.2)) + three("linear", (-130, -130.2, -130.1), **other)
    assert sorted(labels(records)) == [["linear"], ["vanilla"]]
    assert not any(mark for group in groups.groups(records) for marks in group.marks.values() for mark in marks)
    assert "*" not in terminal(records)


def test_rows_are_of_one_variant_with_its_overrides_on_one_device() -> None:
    records = [fake.quality("vanilla", 0), fake.quality("vanilla", 0, device="cuda:0"), fake.quality("beta", 0)]
    records[2].cell["threads"] = 8
    assert sorted(*labels(records)) == ["beta [cpu]", "vanilla [cpu]", "vanilla [cuda]"]
    records = [fake.quality("vanilla", 0), fake.quality("vanilla", 0, overrides={"network": "conv", "latent": 50})]
    assert sorted(*labels(records)) == ["vanilla", "vanilla (latent=50, network=conv)"]


def test_marks_follow_the_paired_interval() -> None:
    records = three("conv", (-97, -97.3, -97.1)) + three("vanilla", (-100, -100.1, -99.9))
    (group,) = groups.groups(records)
    assert group.marks["elbo_nats"].best == {"conv"}
    assert group.marks["nll_is500_nats"].best == {"conv"}
    assert "kl_nats" not in group.marks
    assert "parameters" not in group.marks
    half = f"{intervals.summarise([-97, -97.3, -97.1]).half_width:.2f}"
    assert f"**-97.13 ± {half}**" in markdown(records)
    assert f"-97.13 ± {half}*" in terminal(records)


def test_failed_runs_stay_in_every_table() -> None:
    records = three("vanilla", (-100, -100.1, -99.9))
    records[1] = fake.quality("vanilla", 1, status="diverged", reason="loss is nan at step 7")
    records += [fake.quality("beta", seed, status="timeout", reason="3600 s") for seed in range(2)]
    records += [fake.quality("beta", 2, status="error", reason="KeyError: 'x | y'\n in b")]
    text = markdown(records)
    assert "2/3 ok (1 diverged)" in text
    assert "0/3 ok (1 error, 2 timeout)" in text
    assert "beta seed 2 on cpu: error: KeyError: 'x \\| y' in b" in text
    assert "0/3 ok" in terminal(records)
    assert "vanilla seed 1 on cpu: diverged: loss is nan at step 7" in terminal(records)
    lines = pd.read_csv(io.StringIO(frame.csv(records))).set_index("label")
    assert (lines.loc["beta", "ok"], lines.loc["beta", "total"]) == (0, 3)
    assert pd.isna(lines.loc["beta", "elbo_nats_mean"])
    assert lines.loc["vanilla", "elbo_nats_n"] == 2
    assert pd.isna(lines.loc["vanilla", "elbo_nats_low"])


def test_a_failed_run_joins_the_group_of_its_variant_and_takes_no_place_of_a_finished_one() -> None:
    records = [*three("vanilla", (-100, -100, -100)), fake.quality("vanilla", 3, status="error", reason="x")]
    (group,) = groups.groups(records)
    assert (group.rows[0].count, group.seeds) == ("3/4 ok (1 error)", [0, 1, 2, 3])
    first, never = groups.groups([*records, fake.quality("beta", 0, status="error", reason="x")])
    assert first.settings["support"] == "binary"
    assert "support unknown" in never.title
    old, new = fake.quality("vanilla", 0), fake.quality("vanilla", 0, status="error", reason="x")
    new.id += "_again"
    new.provenance.started = "2026-02-01T00:00:00Z"
    (group,) = groups.groups([new, old])
    assert group.rows[0].count == "1/1 ok"
    assert f"{new.id} is not shown: {old.id} has its place, which finished" in doubts.problems([new, old])


def test_what_is_null_or_not_finite_is_left_out_and_a_short_row_has_no_interval() -> None:
    text = markdown([fake.quality("autoencoder", 0), fake.quality("autoencoder", 1)])
    row = next(line for line in text.splitlines() if line.startswith("| autoencoder"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2] == DASH
    assert cells[4].endswith(f"± {DASH}")
    records = three("vanilla", (-100, -101, math.nan))
    (group,) = groups.groups(records)
    assert group.rows[0].values("elbo_nats") == {0: -100, 1: -101}
    assert any("elbo_nats is nan" in line for line in doubts.problems(records))
    assert f"-100.50 ± {DASH} (n=2)" in markdown(records)


def test_csv_keeps_full_precision() -> None:
    levels = (-100.123456789012, -100.2, -100.3)
    (line,) = csv.DictReader(io.StringIO(frame.csv(three("vanilla", levels))))
    assert float(line["elbo_nats_mean"]) == math.fsum(levels) / 3
    assert {f"elbo_nats_{part}" for part in ("seed_std", "low", "high", "n", "best")} <= line.keys()
    assert json.loads(line["budget"])["epochs"] == 10
    # A time is no quality: it has no interval that a reader would take for one.
    assert (line["train_s_low"], line["train_s_high"], float(line["train_s_mean"])) == ("", "", pytest.approx(62.2))


def test_throughput_is_joined_by_device_and_never_lost() -> None:
    records = [*three("vanilla", (-100, -101, -102)), fake.throughput("vanilla"), fake.throughput("conv")]
    records += [fake.throughput("vanilla", device="cuda:0"), fake.throughput("vanilla", dataset="fashion_mnist")]
    found = speeds.throughput(records, "mnist-dynamic")
    assert {label: set(column) for label, column in found.columns.items()} == {
        "cpu": {"vanilla", "conv"},
        "cuda": {"vanilla"},
    }
    lines = frame.frame(records).set_index(["dataset", "label"])
    median = records[3].metrics["train_samples_per_s"].median
    assert lines.loc[("mnist", "vanilla"), "train_samples_per_s_cpu_median"] == median
    assert lines.loc[("mnist", "conv"), "count"] == "only timed"
    assert lines.loc[("mnist", "conv"), ["binarise", "variant", "ok"]].tolist() == ["dynamic", "conv", 0]
    timed = records[3].metrics["train_samples_per_s"]
    ends = [lines.loc[("mnist", "vanilla"), f"train_samples_per_s_cpu_{end}"] for end in ("q1", "q3")]
    assert ends == [timed.q1, timed.q3]
    assert "parameters_cpu" not in lines.columns
    assert lines.loc[("fashion_mnist", "vanilla"), "count"] == "only timed"
    assert "conv on mnist-dynamic, cpu: training" in terminal(records)


def test_throughput_columns_name_what_differs_and_what_failed() -> None:
    first, second, third = (fake.throughput("vanilla") for _ in range(3))
    second.cell["batch_size"] = 512
    assert list(speeds.throughput([first, second], "mnist-dynamic").columns) == ["cpu, batch 128", "cpu, batch 512"]
    # An unusual precision is named even where no other is beside it.
    third.cell["precision"] = "bf16+compile"
    assert list(speeds.throughput([third], "mnist-dynamic").columns) == ["cpu, bf16+compile"]
    assert "train_samples_per_s_cpu_bf16_compile_median" in frame.frame([fake.quality(), third]).columns
    text = markdown([replace(first, status="error", reason="out of memory", metrics={})])
    assert "| error |" in text
    assert "vanilla throughput on cpu: error: out of memory" in text


def test_the_size_of_a_variant_is_that_of_the_run_that_counts() -> None:
    sizes = {"2026-01-02": 700, "2026-03-02": 500, "2026-02-02": 900}
    records = [fake.quality("vanilla", seed) for seed, _ in enumerate(sizes)]
    for record, (day, size) in zip(records, sizes.items(), strict=True):
        record.provenance.started, record.metrics = day, {**record.metrics, "parameters": size}
    grid = tables.cost_grid(records, "mnist-dynamic")
    assert grid is not None
    assert [cell.text for cell in grid[1][0]] == ["vanilla", "500"]


def test_a_speed_stands_with_its_quartiles_and_a_slow_one_with_decimals() -> None:
    assert tables.block_text(Timed(9120.4, 9001.0, 9300.0), 0) == "9,120 [9,001, 9,300]"
    assert tables.block_text(Timed(9.5, 9.0, 10.0), 0) == "9.50 [9.00, 10.00]"
    assert tables.block_text(Timed(10.4, 9.0, 12.0), 0) == "10 [9, 12]"


def test_the_first_line_of_a_group_says_what_it_is() -> None:
    from bench import judge

    records = three("vanilla", (-100, -101, -102))
    text = markdown(records).splitlines()[0]
    for part in (
        *("mnist", "test split", "binarisation dynamic", "support binary", "10 epochs", "batch 128", "fp32"),
        *("the whole training split", "protocol 1.0", "learning rate 0.002 (cosine)", "K = 500"),
        *("1,000 test examples", "seeds 0 to 2"),
    ):
        assert part in text
    lines, (group,) = frame.frame(records), groups.groups(records)
    assert {"group", *group.settings} <= set(lines.columns)
    assert (lines.loc[0, "group"], lines.loc[0, "split"], lines.loc[0, "protocol"]) == (group.id, judge.SPLIT, "1.0")


def test_every_setting_of_what_was_measured_is_in_the_title_and_no_other() -> None:
    record = fake.thorough("vanilla", 0)
    record.cell["budget"]["patience"] = 7
    record.cell["measure"]["chains"] = 3
    (group,) = groups.groups([record])
    for part in ("patience 7", "chains 3", "mi points 1,000", "gap points 100, gap steps 250"):
        assert part in group.title
    assert "ais" not in group.title
    assert groups.after(group.settings) == "after at most 10 epochs of the whole training split"
    # Without a number of points all are measured.
    assert groups.measured({"nll_samples": 5, "nll_points": None, "gap_points": 0, "gap_steps": 9}) == {
        "nll_samples": 5
    }
    record.cell["measure"]["ais_points"] = 20
    (group,) = groups.groups([record])
    assert "ais points 20, ais steps 500" in group.title


def test_comparisons_are_against_the_plain_baseline_of_the_same_device() -> None:
    records = three("vanilla", (-100, -101, -102)) + three("conv", (-97, -98.1, -98.9))
    records += three("vanilla", (-99, -99, -103), overrides={"latent": 50})
    (group,) = groups.groups(records)
    grid = tables.comparison_grid(group)
    assert grid is not None
    headers, (first, second) = grid
    assert headers[:3] == ["variant", "seeds", "ELBO difference (nats)"]
    assert [cell.text for cell in first[:3]] == ["conv", "3", "+3.00"]
    assert [cell.text for cell in first[4:]] == ["1.00", "better"]
    assert [cell.text for cell in second[:3]] == ["vanilla (latent=50)", "3", "+0.67"]
    assert [cell.text for cell in second[4:]] == [DASH, "not distinguishable"]
    lines = pd.read_csv(io.StringIO(frame.csv(records))).set_index("label")
    assert lines.loc["conv", "baseline"] == "vanilla"
    assert lines.loc["conv", "elbo_nats_difference"] == pytest.approx(3)
    assert 0 < lines.loc["conv", "elbo_nats_difference_low"] < 3 < lines.loc["conv", "elbo_nats_difference_high"]
    # Of the nine pairs of runs six are won.
    assert lines.loc["vanilla (latent=50)", "elbo_nats_p_better"] == pytest.approx(6 / 9)
    assert pd.isna(lines.loc["vanilla", "elbo_nats_p_better"])


def test_a_change_common_to_all_rows_leaves_the_comparisons() -> None:
    wide: dict[str, object] = {"latent": 50}
    records = three("vanilla", (-100, -101, -102), overrides=wide) + three("conv", (-97, -98.1, -98.9), overrides=wide)
    text = markdown(records)
    assert "Against vanilla (latent=50), after 10 epochs of the whole training split:" in text
    (group,) = groups.groups(records)
    assert [line[0].text for line in tables.comparison_grid(group)[1]] == ["conv (latent=50)"]  # type: ignore[index]
    lines = pd.read_csv(io.StringIO(frame.csv(records))).set_index("label")
    assert lines.loc["conv (latent=50)", "baseline"] == "vanilla (latent=50)"
    assert lines.loc["conv (latent=50)", "elbo_nats_difference"] == pytest.approx(3)
    assert "P(better)" not in markdown(three("conv", (-97, -98, -99)))


def test_the_baseline_has_the_fewest_overrides_whatever_their_length() -> None:
    longest: dict[str, object] = {"a_rather_long_name": "and_a_long_value"}
    records = three("vanilla", (-100, -101, -102), overrides=longest)
    records += three("vanilla", (-100, -101, -102), overrides={"b": 1, "c": 2})
    records += three("conv", (-97, -98, -99)) + three("conv", (-97, -98, -99), device="cuda")
    (group,) = groups.groups(records)
    bases = {row.label: base.overrides if (base := group.baseline(row)) else None for row in group.rows}
    assert bases.pop("vanilla (a_rather_long_name=and_a_long_value) [cpu]") is None
    assert bases.pop("conv [cuda]") is None
    assert set(bases.values()) == {names.canonical(longest)}
    assert len(bases) == 2
    records += three("vanilla", (-100, -101, -102), overrides={"a": 1})
    (group,) = groups.groups(records)
    found = groups.baseline_row(group.rows, "vanilla", "cpu")
    assert found is not None
    assert found.overrides == names.canonical({"a": 1})


def test_metrics_stand_in_the_table_of_their_theme() -> None:
    records = [fake.thorough(variant, seed) for variant in ("vanilla", "conv", "autoencoder") for seed in range(3)]
    for record in records:
        if record.cell["variant"] == "autoencoder":
            record.model.support = "binary"
        record.metrics = {k: v for k, v in record.metrics.items() if "ais" not in k and "bdmc" not in k}
    (group,) = groups.groups(records)
    grids = tables.theme_grids(group)
    assert list(grids) == ["Inference gaps", "Latent code", "Representation and reconstruction"]
    headers, lines = grids["Representation and reconstruction"]
    assert headers == ["variant", "runs", "probe accuracy ↑ (share)", "5-NN accuracy ↑ (share)", "SSIM ↑"]
    assert [line[0].text for line in lines] == [row.label for row in group.rows]
    main, _ = tables.quality_grid(group)
    wanted = ["ELBO", "NLL", "recon", "KL", "gap", "active", "MSE", "bits/dim"]
    assert [header.split(" ")[0] for header in main[2:]] == wanted
    text = markdown(records)
    assert text.index("Inference gaps:") < text.index("Latent code:") < text.index("How certain:")
    assert "Evidence sandwich" not in text
    # The file for machines holds them all.
    assert {"ssim_mean", "marginal_kl_nats_mean"} <= set(frame.frame(records).columns)


def test_seed_spread_and_estimator_error_stand_in_columns_of_their_own() -> None:
    records = [fake.thorough("vanilla", seed, elbo=-100 - seed) for seed in range(3)]
    for record, mc in zip(records, (0.03, 0.04, 0.0), strict=True):
        record.errors["elbo_nats"] = {"mc": mc, "test": 0.5}
        record.errors["nll_is500_nats"] = {"mc": None, "test": 0.25}
    (group,) = groups.groups(records)
    headers, (line,) = tables.certainty_grids(group)["Main"]
    found = dict(zip(headers, (cell.text for cell in line), strict=True))
    assert found["ELBO: seed sd (nats)"] == "1.000"
    assert found["ELBO: test SE (nats)"] == "0.500"
    # Root mean square over seeds: sqrt((9 + 16 + 0) 1e-4 / 3).
    assert found["ELBO: MC SE (nats)"] == "0.029"
    assert found["NLL (IS-500): test SE (nats)"] == "0.250"
    # What no record states has no column.
    assert "NLL (IS-500): MC SE (nats)" not in found
    (row,) = csv.DictReader(io.StringIO(frame.csv(records)))
    assert float(row["elbo_nats_seed_std"]) == pytest.approx(1)
    assert float(row["elbo_nats_mc_se"]) == pytest.approx(math.sqrt(25e-4 / 3))
    assert float(row["elbo_nats_test_se"]) == 0.5
    assert row["nll_is500_nats_mc_se"] == ""
    # The interval over seeds knows nothing of them, nor has a record from before they were stated columns of them.
    assert not [name for name in frame.frame(three("vanilla", (-100, -101, -102))).columns if name.endswith("_se")]
    plain = [fake.quality("vanilla", seed, elbo=-100 - seed) for seed in range(3)]
    assert f"-101.00 ± {grids.number(group.rows[0].summary('elbo_nats').half_width, 2)}" in markdown(  # type: ignore[union-attr]
        plain, "mnist-dynamic"
    )


def test_the_bytes_do_not_depend_on_the_order_of_the_records() -> None:
    records = fake.suite(seeds=3, devices=("cpu", "cuda"))
    shuffled = random.Random(0).sample(records, len(records))
    for form in (frame.csv, frame.runs_csv, terminal, lambda records: paper.write(paper.made(records), "latex")):
        assert form(records) == form(shuffled)
    assert markdown(records) == markdown(shuffled)


def test_the_terminal_table_fits() -> None:
    records = fake.suite(devices=("cpu", "cuda"))
    records += three("vanilla", (-1, -2, -3), overrides={"a_rather_long_name": "and_a_long_value", "latent": 50})
    text = terminal(records)
    assert max(map(len, text.splitlines())) <= 120
    assert "ELBO ↑ nats" in text
    assert "NLL (IS-500) ↓ nats" in text


def test_the_tidy_table_has_a_line_for_every_run() -> None:
    records = [*three("vanilla", (-100, -101, -102)), fake.quality("beta", 0, status="diverged", reason="loss is nan")]
    records += [fake.throughput("vanilla")]
    lines = pd.read_csv(io.StringIO(frame.runs_csv(records)))
    assert list(lines.id) == sorted(record.id for record in records)
    by_id = lines.set_index("id")
    assert [by_id.elbo_nats[record.id] for record in records[:3]] == [-100, -101, -102]
    failed, timed = by_id.loc[records[3].id], by_id.loc[records[4].id]
    assert (failed.status, failed.reason, timed.kind) == ("diverged", "loss is nan", "throughput")
    assert pd.isna(failed.elbo_nats)
    assert timed.train_samples_per_s == records[4].metrics["train_samples_per_s"].median  # type: ignore[union-attr]
    group_of = {record.id: group.id for group in groups.groups(records) for row in group.rows for record in row.records}
    assert {record.id: by_id.group[record.id] for record in records[:4]} == group_of


def test_mixed_commits_and_mixed_data_are_named() -> None:
    records = [fake.quality("vanilla", 0), fake.quality("vanilla", 1, commit="fedcba9876543210")]
    records[1].provenance.data_sha256 = "cd" * 32
    records[1].provenance.dirty = True
    first, second, third = doubts.problems(records)
    assert "2 commits: 0123456789ab, fedcba987654" in first
    assert "1 of 2 records were made with uncommitted changes" in second
    assert "2 different versions of the data" in third
    # The commit that trained kept weights counts.
    records = [fake.quality("vanilla", seed) for seed in range(3)]
    records[0].provenance.trained = Origin(commit="0123456789abcdef", dirty=False)
    records[1].provenance.trained = Origin(commit="fedcba9876543210", dirty=True)
    first, second = doubts.problems(records)
    assert "2 commits: 0123456789ab, fedcba987654" in first
    assert "1 of 3 records were made with uncommitted changes" in second
    assert doubts.problems([records[0], records[2]]) == []


def test_speeds_of_a_busy_processor_are_doubted() -> None:
    records = [fake.throughput("vanilla"), fake.throughput("beta"), fake.throughput("conv")]
    for made, share in zip(records[:2], (0.97, 0.414), strict=True):
        made.provenance.processor_share = share
    # Neither a training nor another, idle measurement of the variant excuses it.
    records += [fake.quality("beta"), fake.throughput("beta", dataset="fashion_mnist")]
    records += [fake.throughput("beta", dataset="digits")]
    records[-2].provenance.processor_share, records[-1].provenance.processor_share = 0.99, 0.7
    (line,) = doubts.problems(records)
    assert "while the processor had other work (share of a core: beta 41%)" in line


@pytest.mark.parametrize(("share", "doubted"), [(0.79, 1), (0.8, 0)])
def test_a_processor_is_busy_below_four_fifths(share: float, doubted: int) -> None:
    record = fake.throughput("vanilla")
    record.provenance.processor_share = share
    assert len(doubts.problems([record])) == doubted


def test_a_data_set_file_is_named_without_its_path() -> None:
    record = fake.quality("vanilla", 0, dataset="/somewhere/deep/mine.npz")
    record.cell["data_options"] = {"k": 2}
    (name,) = groups.by_dataset([record])
    assert re.fullmatch("mine-dynamic-k=2-[0-9a-f]{8}", name)
    assert "somewhere" not in markdown([record], name)


def test_the_terminal_ends_with_what_the_runs_answer() -> None:
    records = three("conv", (-97, -97.3, -97.1)) + three("vanilla", (-100, -100.1, -99.9))
    text = blocks.terminal(tables.answer([*records, fake.throughput("vanilla"), fake.throughput("conv")]))
    assert text.startswith("mnist-dynamic, binary likelihoods, after 10 epochs of the whole training split:\n")
    assert "  the best ELBO: conv. ELBO -97.13 " in text
    assert "  the fastest training: " in text
    assert tables.answer(three("conv", (-97, -97.3, -97.1))) == []


def test_the_units_of_densities_are_said_with_the_group() -> None:
    records = three("conv", (-97, -97.3, -97.1)) + three("vanilla", (-100, -100.1, -99.9))
    words = "log densities of values standardised; minus 12.50 nats for the values as given"
    plain = markdown(records, "mnist-dynamic")
    for record in records:
        record.model.units = words
    assert f"; ELBO and NLL: {words}.**" in markdown(records, "mnist-dynamic")
    assert "ELBO and NLL:" not in plain
    assert f"ELBO and NLL: {words}." in html_report(records, {}, ()).decode()


def test_a_terminal_says_how_many_rows_it_leaves_out_and_how_fast_a_row_trains() -> None:
    timed = fake.throughput("vanilla")
    text = blocks.terminal(tables.screen([*three("vanilla", (-100, -101, -102)), fake.quality("conv"), timed]), 300)
    median = timed.metrics["train_samples_per_s"].median  # type: ignore[union-attr]
    vanilla, conv = (next(line for line in text.splitlines() if line.startswith(v)) for v in ("vanilla", "conv"))
    assert "3/3 ok" in vanilla
    assert vanilla.endswith(f" {median:,.0f}")
    assert conv.endswith(DASH)
    many = [fake.quality("beta", 0, elbo=-100.0 - i, overrides={"beta": float(i)}) for i in range(52)]
    text = terminal(many)
    assert sum(line.startswith("beta (") for line in text.splitlines()) == 50
    assert "... and 2 more rows, in the files" in text
    assert "beta (beta=50" not in text
    assert "more rows" not in terminal(many[:50])


def test_mixed_protocols_and_feature_spaces_are_named() -> None:
    records = [fake.quality("vanilla", seed) for seed in range(2)]
    records[1].protocol = "1.1"
    for record, letters in zip(records, ("ab", "cd"), strict=True):
        record.provenance.features_sha256 = 32 * letters
    lines = doubts.problems(records)
    assert "the records are of 2 protocols: 1.0, 1.1; no table holds two of them" in lines
    assert "mnist-dynamic: generated examples were compared in 2 different feature spaces; do not compare them" in lines
    records[1].protocol, records[1].provenance.features_sha256 = "1.0", 32 * "ab"
    assert doubts.problems(records) == []


def test_failures_are_in_the_order_of_their_names_whatever_order_they_come_in() -> None:
    records = [fake.quality(name, 0, status="error", reason="x") for name in ("vanilla", "beta", "conv")]
    for order in (records, records[::-1]):
        assert [line.split()[1] for line in doubts.failures(order)] == ["beta", "conv", "vanilla"]


def test_a_cost_stands_under_the_header_of_its_metric_and_its_device() -> None:
    records = [fake.throughput(name, device=device) for name in ("vanilla", "conv") for device in ("cpu", "cuda:0")]
    of = {(record.cell["variant"], record.cell["device"][:4]): record for record in records}
    headers, lines = tables.cost_grid(records, "mnist-dynamic") or ([], [])
    names = {metrics.metric(name).header: name for name in tables.TIMED}
    assert len(headers) == 2 + 2 * len(names)
    for line in lines:
        for header, cell in zip(headers[2:], line[2:], strict=True):
            words, _, device = header.rpartition(", ")
            figure = of[line[0].text, device[:4]].metrics[names[words]]
            assert cell.text == tables.block_text(figure, metrics.metric(names[words]).digits) != DASH
    assert tables.block_text(Timed(9120.4), 0) == "9,120"
    assert tables.block_text(None, 0) == tables.block_text(Timed(None), 0) == DASH


def test_a_difference_has_the_lower_end_of_its_interval_first() -> None:
    (group,) = groups.groups(three("vanilla", (-100, -101, -102)) + three("conv", (-97, -98.1, -98.9)))
    _, (line,) = tables.comparison_grid(group) or ([], [])
    found = group.difference(group.rows[0], "elbo_nats")
    assert found is not None
    assert line[3].text == f"[{found.low:+.2f}, {found.high:+.2f}]"
    assert line[3].text[1:].startswith("+")


def test_a_terminal_says_of_rows_without_scores_alone_that_they_were_only_timed() -> None:
    records = [*three("vanilla", (-100, -101, -102)), *map(fake.throughput, ("vanilla", "conv", "beta"))]
    told = " ".join(terminal(records).partition("Only timed: ")[2].split())
    assert re.findall(r"(\w+) on mnist-dynamic, cpu: training", told) == ["beta", "conv"]


def test_a_terminal_has_no_column_that_no_row_has_a_value_of() -> None:
    records = [fake.quality("autoencoder", seed) for seed in range(2)]
    (_, table) = tables.screen(records)
    assert isinstance(table, blocks.Table)
    assert table.grid[0] == [
        "variant",
        "runs",
        metrics.metric("mse_per_pixel").header.replace("(per pixel)", "per pixel"),
    ]


def test_what_is_infinite_passed_over_or_without_a_reason_is_named() -> None:
    records = three("vanilla", (-100, -101, -102))
    records[2].metrics["elbo_nats"] = -math.inf
    timed, again = fake.throughput("vanilla"), fake.throughput("vanilla")
    again.id, again.provenance.started = f"{timed.id}_again", "2026-03-01T00:00:00Z"
    first, second = doubts.problems([*records, timed, again])
    assert "elbo_nats is -inf in a run that says ok; left out of the mean" in first
    assert second.startswith(timed.id)
    failed = fake.quality("vanilla", 0, status="error")
    assert doubts.failures([failed]) == ["mnist-dynamic: vanilla seed 0 on cpu: error: no reason recorded"]
