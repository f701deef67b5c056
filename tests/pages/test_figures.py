"""Figures exist, show what they should, survive thin records, and give the same bytes for the same records."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from bench.pages.figures import all_figures, elbo, gaps, latent, pictures, rate_distortion, speed, style
from bench.records.record import Model
from bench.stats import groups, speeds
from bench.text import DASH
from tests import fake_records as fake


def only(records: list[fake.Record]) -> tuple[groups.Group, dict[str, style.Style]]:
    (group,) = groups.groups(records)
    return group, style.styles(records)


def drawn(figure: Any) -> bytes:
    """The PNG, after a check that it is one and is not blank."""
    content = style.png(figure)
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert width > 600
    assert height > 200
    assert len(content) > 8_000
    return content


def texts(figure: Any) -> str:
    from matplotlib.text import Text

    return "\n".join(item.get_text() for item in figure.findobj(Text))


def test_fifteen_variants_and_a_far_off_row() -> None:
    names = [f"variant_number_{place}" for place in range(14)]
    records = [
        fake.quality(name, seed, elbo=-100 - place / 3 + seed / 10)
        for place, name in enumerate(names)
        for seed in range(3)
    ]
    records += [fake.quality("linear", seed) for seed in range(3)]
    group, looks = only(records)
    assert len({(look.colour, look.marker) for look in looks.values()}) == 15
    for draw in (elbo.elbo_by_variant, rate_distortion.rate_distortion, elbo.learning_curves):
        figure = draw(group, looks)
        drawn(figure)
        assert all(name in texts(figure) for name in names)
    assert "enlarged" in texts(elbo.elbo_by_variant(group, looks))


@pytest.mark.parametrize("draw", [elbo.elbo_by_variant, rate_distortion.rate_distortion, elbo.learning_curves])
def test_one_variant_and_one_seed(draw: Any) -> None:
    figure = draw(*only([fake.quality("vanilla", 0)]))
    drawn(figure)
    assert "vanilla" in texts(figure)
    assert "nats" in texts(figure)


def test_a_group_without_a_bound_has_no_bound_plots() -> None:
    group, looks = only([fake.quality("autoencoder", 0)])
    for draw in (elbo.elbo_by_variant, rate_distortion.rate_distortion, elbo.learning_curves):
        assert draw(group, looks) is None


def test_every_seed_is_a_point() -> None:
    group, looks = only([fake.quality("vanilla", seed) for seed in range(4)])
    figure: Any = rate_distortion.rate_distortion(group, looks)
    assert figure is not None
    (cloud,) = figure.axes[0].collections
    row = group.rows[0]
    wanted = [[-row.values("recon_nats")[seed], row.values("kl_nats")[seed]] for seed in range(4)]
    np.testing.assert_allclose(cloud.get_offsets(), wanted)


def test_learning_curves_keep_failed_runs_and_survive_nulls() -> None:
    records = [fake.quality("vanilla", seed) for seed in range(2)]
    records[0].curve[3]["valid_elbo_nats"] = None
    records.append(fake.quality("vanilla", 2, status="diverged", reason="nan"))
    records[2].curve[-1]["valid_elbo_nats"] = float("nan")
    figure: Any = elbo.learning_curves(*only(records))
    assert figure is not None
    assert "runs that failed" in texts(figure)
    solid, dotted = figure.axes[0].lines
    assert list(solid.get_xdata()) == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert list(dotted.get_xdata()) == [1, 2]
    drawn(figure)


def test_failed_runs_are_counted_beside_the_row() -> None:
    records = [*(fake.quality("vanilla", seed) for seed in range(3)), fake.quality("vanilla", 3, status="timeout")]
    assert "3/4 ok" in texts(elbo.elbo_by_variant(*only(records)))


def test_throughput_has_a_line_of_panels_per_device() -> None:
    records = [fake.throughput(name, device=device) for name in ("vanilla", "conv") for device in ("cpu", "cuda:0")]
    del records[0].metrics["sample_samples_per_s"]
    records.append(replace(fake.throughput("beta"), status="error", metrics={}))
    figure = speed.throughput(speeds.throughput(records, "mnist-dynamic"), style.styles(records), "mnist-dynamic")
    assert figure is not None
    assert len(figure.axes) == 6
    assert "training on cuda" in texts(figure)
    drawn(figure)
    assert speed.throughput(speeds.throughput([], "mnist-dynamic"), {}, "mnist-dynamic") is None


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 8)])
def test_pictures_of_one_and_three_channels(shape: tuple[int, ...]) -> None:
    records = [fake.quality(variant, 0) for variant in ("vanilla", "autoencoder")]
    rows = [row for group in groups.groups(records) for row in group.rows]
    artefacts = {record.id: fake.artefact(record, shape) for record in records}
    for show in (pictures.reconstructions, pictures.samples):
        figure = show(rows, artefacts, "toy")
        drawn(figure)
        assert "autoencoder" in texts(figure)
    assert texts(pictures.reconstructions(rows, artefacts, "toy")).count("input\n") == 1


def test_inputs_are_shown_again_where_a_row_saw_others() -> None:
    records = [fake.quality(variant, 0) for variant in ("vanilla", "beta")]
    artefacts = {record.id: fake.artefact(record) for record in records}
    artefacts[records[1].id]["inputs"] = 255 - artefacts[records[1].id]["inputs"]
    figure = pictures.reconstructions(only(records)[0].rows, artefacts, "toy")
    assert figure is not None
    assert [axis.get_ylabel() for axis in figure.axes] == ["input", "vanilla", "input", "beta"]


def test_vectors_have_no_pictures_but_a_latent_plane() -> None:
    record = fake.quality("vanilla", 0)
    artefacts = {record.id: fake.artefact(record, (20,)) | {"labels": np.zeros(400, dtype=int)}}
    rows = only([record])[0].rows
    assert pictures.reconstructions(rows, artefacts, "toy") is None
    assert pictures.samples(rows, artefacts, "toy") is None
    drawn(latent.latent_plane(rows, artefacts, "toy"))


def test_the_latent_plane_takes_the_plainest_row_of_each_posterior() -> None:
    records = [fake.quality(variant, 0) for variant in fake.NAMES]
    rows = [row for group in groups.groups(records) for row in group.rows]
    artefacts = {record.id: fake.artefact(record) for record in records}
    figure = latent.latent_plane(rows, artefacts, "toy")
    assert figure is not None
    titles = [axis.get_title(loc="left").split("\n")[0] for axis in figure.axes]
    assert titles == ["autoencoder", "vanilla", "full_covariance"]
    assert latent.latent_plane(rows, {}, "toy") is None


def test_an_ellipse_has_the_axes_of_its_covariance() -> None:
    record = fake.quality("full_covariance", 0)
    arrays = fake.artefact(record, points=1)
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    arrays["latent_cov"] = (turn @ np.diag([0.04, 0.25]) @ turn.T)[None]
    figure: Any = latent.latent_plane(only([record])[0].rows, {record.id: arrays}, "toy")
    assert figure is not None
    outline = next(item for item in figure.axes[0].collections if type(item).__name__ == "EllipseCollection")
    # Two standard deviations on either side: 4 x 0.2 along the first axis, 4 x 0.5 along the second.
    np.testing.assert_allclose([outline.get_widths()[0], outline.get_heights()[0]], [0.8, 2.0], rtol=1e-6)
    assert float(np.degrees(0.5) - outline.get_angles()[0]) % 180 == pytest.approx(0, abs=1e-4)


def test_a_damaged_artefact_is_a_warning(tmp_path: Path) -> None:
    record = fake.quality("vanilla", 0)
    (tmp_path / f"{record.id}.npz").write_bytes(b"PK\x03\x04 not a zip")
    found, warnings = pictures.load_artefacts(tmp_path, [record])
    assert found == {}
    assert len(warnings) == 1
    assert f"cannot read {record.id}.npz" in warnings[0]


def test_colours_stay_with_their_variant() -> None:
    records = fake.suite(seeds=1)
    on_fashion = [fake.quality(name, 0, dataset="fashion_mnist") for name in fake.NAMES]
    assert style.styles(records) == style.styles(records + on_fashion)


def test_the_same_records_give_the_same_bytes_and_leave_matplotlib_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    group, looks = only([fake.quality(name, seed) for name in ("vanilla", "conv") for seed in range(3)])
    first, second = (elbo.elbo_by_variant(group, looks) for _ in range(2))
    assert first is not None
    assert second is not None
    assert style.png(first) == style.png(second)
    content = style.svg(first)
    assert content == style.svg(second)
    assert b"<text" in content
    assert b"dc:date" not in content
    assert dict(matplotlib.rcParams) == before


def test_plots_of_two_budgets_do_not_overwrite_each_other() -> None:
    records = [fake.quality("vanilla", 0, epochs=epochs) for epochs in (2, 4)]
    artefacts = {record.id: fake.artefact(record) for record in records}
    figures = list(all_figures(records, artefacts))
    names = [name for _, name, _ in figures]
    assert len(names) == len(set(names)) == 12
    # Nor is it only a file's name that says which budget a plot is of.
    titles = [figure.texts[0].get_text().replace("\n", " ") for _, _, figure in figures]
    assert [sum(f", {epochs} epochs" in title for title in titles) for epochs in (2, 4)] == [6, 6]


def measured(variant: str, seed: int, **fields: Any) -> fake.Record:
    """A record with every figure that the inference plots show; `fields` go into its metrics."""
    record = fake.quality(variant, seed)
    draw = np.random.default_rng([seed, 7, *variant.encode()])
    own, encoder, diagonal, full, lower = draw.uniform([1, 2, 2, 0.5, -99], [2, 3, 3, 1, -98])
    information = 9.0 + 0.01 * seed
    record.metrics |= {
        "approximation_gap_nats": own,
        "amortisation_gap_nats": encoder,
        "approximation_gap_diagonal_nats": diagonal,
        "approximation_gap_full_nats": full,
        "mutual_information_nats": information,
        "marginal_kl_nats": (record.metrics["kl_nats"] or 0) - information,
        "bdmc_lower_nats": lower,
        "bdmc_upper_nats": lower + draw.uniform(0.3, 0.5),
        "nll_ais_nats": (record.metrics["nll_is500_nats"] or 0) - draw.uniform(0.1, 0.2),
        **fields,
    }
    record.errors = {
        "nll_is500_nats": {"mc": 0.03, "test": 0.2},
        "nll_ais_nats": {"mc": 0.04, "test": 0.2},
        "bdmc_lower_nats": {"mc": None, "test": 0.2},
    }
    record.latent = {
        "kl_per_dim": draw.permutation([3.0, 2.0 + seed, 0.5, 0.0]).tolist(),
        "mean_variance": [0.9, 0.002, 0.8, 0.3],
        "points": 10_000,
    }
    return record


def bars(axis: Any) -> list[tuple[float, float]]:
    """Where every bar starts and ends, in the order of drawing."""
    return [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axis.patches]


def means(group: groups.Group, name: str) -> list[float]:
    return [float(np.mean(list(row.values(name).values()))) for row in group.rows if row.values(name)]


GAPS = (
    "approximation_gap_nats",
    "amortisation_gap_nats",
    "approximation_gap_diagonal_nats",
    "approximation_gap_full_nats",
)
INFERENCE_PLOTS = {"inference_gaps", "elbo_surgery", "kl_per_dimension", "evidence"}


def test_inference_plots_are_drawn_only_where_they_were_measured() -> None:
    def kinds(records: list[fake.Record]) -> set[str]:
        return {name.split("_", 1)[1] for _, name, _ in all_figures(records, {})}

    assert not INFERENCE_PLOTS & kinds([fake.quality("vanilla", 0)])
    assert kinds([measured("vanilla", 0)]) >= INFERENCE_PLOTS
    # A record says null where a metric does not apply.
    nothing: dict[str, None] = dict.fromkeys(measured("vanilla", 0).metrics)
    assert not INFERENCE_PLOTS & kinds([replace(measured("vanilla", 0, **nothing), latent={})])


@pytest.mark.parametrize(
    ("variants", "seeds"), [(("vanilla", "full_covariance"), 1), (tuple(set(fake.NAMES) - {"autoencoder"}), 2)]
)
def test_inference_plots_name_every_row_and_unit(variants: tuple[str, ...], seeds: int) -> None:
    records = [measured(variant, seed) for variant in variants for seed in range(seeds)]
    group, looks = only(records)
    for figure in (
        gaps.inference_gaps(group),
        gaps.elbo_surgery(group),
        latent.kl_per_dimension(group, looks),
        gaps.evidence(group),
    ):
        drawn(figure)
        shown = texts(figure)
        assert all(variant in shown.split("\n") for variant in variants)
        assert "nats" in shown
        assert "Not shown" not in shown


def test_gap_bars_are_stacked_means() -> None:
    group, _ = only([measured(variant, seed) for variant in ("vanilla", "beta") for seed in range(3)])
    figure: Any = gaps.inference_gaps(group)
    own, encoder = means(group, "approximation_gap_nats"), means(group, "amortisation_gap_nats")
    left, right = figure.axes
    wanted = [pair for a, b in zip(own, encoder, strict=True) for pair in ((0, a), (a, a + b))]
    np.testing.assert_allclose(bars(left), wanted)
    diagonal, full = means(group, "approximation_gap_diagonal_nats"), means(group, "approximation_gap_full_nats")
    wanted = [pair for a, b in zip(diagonal, full, strict=True) for pair in ((0, a), (0, b))]
    np.testing.assert_allclose(bars(right), wanted)
    # The points are the sums of single seeds.
    row = group.rows[0]
    sums = [row.values("approximation_gap_nats")[s] + row.values("amortisation_gap_nats")[s] for s in range(3)]
    np.testing.assert_allclose(left.collections[0].get_offsets()[:, 0], sums)
    assert [label.get_text() for label in left.get_yticklabels()] == [row.label for row in group.rows]


def test_a_gap_below_zero_takes_nothing_off_the_other() -> None:
    record = measured("vanilla", 0, approximation_gap_nats=-0.1, amortisation_gap_nats=2.0)
    figure: Any = gaps.inference_gaps(only([record])[0])
    np.testing.assert_allclose(bars(figure.axes[0]), [(0, -0.1), (0, 2.0)])
    assert figure.axes[0].get_xlim()[0] < -0.1
    drawn(figure)


def test_rows_without_a_figure_are_named_with_the_reason() -> None:
    autoencoder = fake.quality("autoencoder", 0, support="binary")
    flow = measured("flow", 0, **dict.fromkeys(GAPS))
    flow.latent = {}
    broken = fake.quality("conv", 0, status="timeout")
    broken.model = Model(support="binary")
    group, looks = only([measured("vanilla", 0), autoencoder, flow, broken, fake.quality("iwae", 0)])
    figure = gaps.inference_gaps(group)
    shown = " ".join(texts(figure).split())
    for line in (
        "autoencoder (has no bound)",
        "flow (posterior is no Gaussian)",
        "conv (no run finished)",
        "iwae (not measured)",
    ):
        assert line in shown
    assert len(bars(figure.axes[0])) == 2  # type: ignore[union-attr]
    drawn(figure)
    assert "flow (posterior or prior is no Gaussian)" in " ".join(texts(latent.kl_per_dimension(group, looks)).split())
    assert "flow (" not in texts(gaps.evidence(group))


def test_surgery_adds_up_to_the_kl_under_the_bound_of_the_data() -> None:
    records = [measured(variant, seed) for variant in ("vanilla", "iwae") for seed in range(2)]
    group, _ = only(records)
    figure: Any = gaps.elbo_surgery(group)
    found = bars(figure.axes[0])
    np.testing.assert_allclose([end for _, end in found[::2]], means(group, "mutual_information_nats"))
    np.testing.assert_allclose([end for _, end in found[1::2]], means(group, "kl_nats"))
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [pytest.approx(np.log(10_000))]
    assert "log 10,000 = 9.21" in texts(figure)
    for record in records:
        del record.latent["points"]
    assert "log 10,000" not in texts(gaps.elbo_surgery(only(records)[0]))


def test_dimensions_are_sorted_within_each_seed_and_tell_inactive_units() -> None:
    from bench.judge import bounds

    assert latent.ACTIVE_VARIANCE == bounds.ACTIVE_VARIANCE
    figure: Any = latent.kl_per_dimension(*only([measured("vanilla", seed) for seed in range(3)]))
    left, right = figure.axes
    # Seeds hold 3, 2 + seed, 0.5 and 0: sorted first and averaged after.
    np.testing.assert_allclose(left.lines[0].get_ydata(), [(3 + 3 + 4) / 3, (2 + 3 + 3) / 3, 0.5, latent.LEAST_KL])
    np.testing.assert_allclose(left.lines[0].get_xdata(), [1, 2, 3, 4])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [0.9, 0.8, 0.3, 0.002])
    assert right.lines[1].get_ydata()[0] == latent.ACTIVE_VARIANCE
    assert "inactive: 0.01 or less" in texts(figure)
    assert "values below 0.0001" in texts(figure)


def test_evidence_shows_widths_and_estimates_with_their_errors() -> None:
    records = [measured("vanilla", seed) for seed in range(2)]
    records[0].errors |= {"bdmc_lower_nats": {"mc": 0.03}, "bdmc_upper_nats": {"mc": 0.04}}
    (group, _) = only(records)
    figure: Any = gaps.evidence(group)
    simulated, test = figure.axes
    lower, upper = means(group, "bdmc_lower_nats")[0], means(group, "bdmc_upper_nats")[0]
    np.testing.assert_allclose(bars(simulated), [(0, upper - lower)])
    assert f"{lower:.2f} to {upper:.2f}" in texts(figure)

    def lines(axis: Any) -> list[Any]:
        return [
            np.ptp(path[:, 0])
            for item in axis.collections
            if hasattr(item, "get_segments")
            for path in item.get_segments()
        ]

    # Errors of 0.03 and 0.04 make 0.05; those of the second seed are unknown, so it has a line of no length.
    np.testing.assert_allclose(lines(simulated), [2 * 1.96 * 0.05, 0], atol=1e-12)
    # The Monte Carlo error alone: that of the choice of examples is never added to it.
    np.testing.assert_allclose(lines(test), [2 * 1.96 * mc for mc in (0.03, 0.04)])
    # The width's own error, where it is stated, needs no putting together.
    records[1].errors["bdmc_gap_nats"] = {"mc": 0.02, "test": 0.2}
    figure = gaps.evidence(only(records)[0])
    np.testing.assert_allclose(lines(figure.axes[0]), [2 * 1.96 * mc for mc in (0.05, 0.02)])
    marks = {item.get_label(): item.get_offsets()[0, 0] for item in test.collections if item.get_label() in LABELS}
    wanted = {"IS-500": -means(group, "nll_is500_nats")[0], "AIS": -means(group, "nll_ais_nats")[0]}
    assert marks == pytest.approx(wanted)


LABELS = ("IS-500", "AIS")


def test_evidence_has_a_panel_only_for_what_was_measured() -> None:
    gone = {"bdmc_lower_nats": None, "bdmc_upper_nats": None}
    records = [measured("vanilla", 0, **gone), measured("iwae", 0, nll_is50_nats=200.0, nll_ais_nats=None, **gone)]
    figure: Any = gaps.evidence(only(records)[0])
    (axis,) = figure.axes
    # The largest K counts.
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["IS-500", "AIS"]
    assert "iwae (not measured)" in texts(figure)
    records[1].metrics |= {"bdmc_lower_nats": -98.0, "bdmc_upper_nats": -97.5}
    figure = gaps.evidence(only(records)[0])
    assert [sum(text.get_text() == DASH for text in axis.texts) for axis in figure.axes] == [1, 1]
    drawn(figure)


def sweep(betas: tuple[float, ...], seeds: int = 2, **overrides: Any) -> list[fake.Record]:
    """Runs of `beta` whose rate is 25 / beta."""
    records = []
    for beta in betas:
        for seed in range(seeds):
            record = fake.quality("beta", seed, overrides={"beta": beta, **overrides})
            record.metrics |= {"kl_nats": 25 / beta + seed, "recon_nats": -70 - 8 * beta}
            records.append(record)
    return records


def test_a_beta_sweep_is_a_line_ordered_by_beta() -> None:
    # Ten sorts before two as text.
    records = sweep((10.0, 2.0, 1.0, 0.5))
    group, looks = only([*records, fake.quality("vanilla", 0)])
    figure: Any = rate_distortion.rate_distortion(group, looks)
    (line,) = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 4]
    np.testing.assert_allclose(line.get_ydata(), [50.5, 25.5, 13.0, 3.0])
    np.testing.assert_allclose(line.get_xdata(), [74, 78, 86, 150])
    shown = texts(figure).split("\n")
    assert {"β = 0.5", "β = 1", "β = 2", "β = 10", "vanilla"} <= set(shown)
    assert "beta (beta=2.0)" not in shown
    drawn(figure)


def test_two_sweeps_are_two_lines_and_one_beta_is_none() -> None:
    records = [*sweep((1.0, 4.0)), *sweep((1.0, 4.0), posterior="full"), *sweep((2.0,), network="conv")]
    figure: Any = rate_distortion.rate_distortion(*only(records))
    colours = {line.get_color() for line in figure.axes[0].lines} & set(style.COLOURS)
    assert len(colours) == 2
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert sorted(legend) == ["beta", "beta (posterior=full)"]
    shown = texts(figure).split("\n")
    assert shown.count("β = 4") == 2
    assert "beta (beta=2.0, network=conv)" in shown
    drawn(figure)
