"""Figures exist, show what they should, survive thin records, and give the same bytes for the same records."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import plot, table
from tests import fake_records as fake


def only(records: list[fake.Record]) -> tuple[table.Group, dict[str, plot.Style]]:
    (group,) = table.groups(records)
    return group, plot.styles(records)


def drawn(figure: Any) -> bytes:
    """The PNG, after a check that it is one and is not blank."""
    content = plot.png(figure)
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
    for draw in (plot.elbo_by_variant, plot.rate_distortion, plot.learning_curves):
        figure = draw(group, looks)
        drawn(figure)
        assert all(name in texts(figure) for name in names)
    assert "enlarged" in texts(plot.elbo_by_variant(group, looks))


@pytest.mark.parametrize("draw", [plot.elbo_by_variant, plot.rate_distortion, plot.learning_curves])
def test_one_variant_and_one_seed(draw: Any) -> None:
    figure = draw(*only([fake.quality("vanilla", 0)]))
    drawn(figure)
    assert "vanilla" in texts(figure)
    assert "nats" in texts(figure)


def test_a_group_without_a_bound_has_no_bound_plots() -> None:
    group, looks = only([fake.quality("autoencoder", 0)])
    for draw in (plot.elbo_by_variant, plot.rate_distortion, plot.learning_curves):
        assert draw(group, looks) is None


def test_every_seed_is_a_point() -> None:
    group, looks = only([fake.quality("vanilla", seed) for seed in range(4)])
    figure: Any = plot.rate_distortion(group, looks)
    assert figure is not None
    (cloud,) = figure.axes[0].collections
    row = group.rows[0]
    wanted = [[-row.values("recon_nats")[seed], row.values("kl_nats")[seed]] for seed in range(4)]
    np.testing.assert_allclose(cloud.get_offsets(), wanted)


def test_learning_curves_keep_failed_runs_and_survive_nulls() -> None:
    records = [fake.quality("vanilla", seed) for seed in range(2)]
    records[0]["curve"][3]["valid_elbo_nats"] = None
    records.append(fake.quality("vanilla", 2, status="diverged", reason="nan"))
    records[2]["curve"][-1]["valid_elbo_nats"] = float("nan")
    figure: Any = plot.learning_curves(*only(records))
    assert figure is not None
    assert "runs that failed" in texts(figure)
    solid, dotted = figure.axes[0].lines
    assert list(solid.get_xdata()) == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert list(dotted.get_xdata()) == [1, 2]
    drawn(figure)


def test_failed_runs_are_counted_beside_the_row() -> None:
    records = [*(fake.quality("vanilla", seed) for seed in range(3)), fake.quality("vanilla", 3, status="timeout")]
    assert "3/4 ok" in texts(plot.elbo_by_variant(*only(records)))


def test_throughput_has_a_line_of_panels_per_device() -> None:
    records = [fake.throughput(name, device=device) for name in ("vanilla", "conv") for device in ("cpu", "cuda:0")]
    del records[0]["metrics"]["sample_samples_per_s"]
    records.append(fake.throughput("beta") | {"status": "error", "metrics": {}})
    figure = plot.throughput(table.throughput(records, "mnist-dynamic"), plot.styles(records), "mnist-dynamic")
    assert figure is not None
    assert len(figure.axes) == 6
    assert "training on cuda" in texts(figure)
    drawn(figure)
    assert plot.throughput(table.throughput([], "mnist-dynamic"), {}, "mnist-dynamic") is None


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 8)])
def test_pictures_of_one_and_three_channels(shape: tuple[int, ...]) -> None:
    records = [fake.quality(variant, 0) for variant in ("vanilla", "autoencoder")]
    rows = [row for group in table.groups(records) for row in group.rows]
    artefacts = {record["id"]: fake.artefact(record, shape) for record in records}
    for show in (plot.reconstructions, plot.samples):
        figure = show(rows, artefacts, "toy")
        drawn(figure)
        assert "autoencoder" in texts(figure)
    assert texts(plot.reconstructions(rows, artefacts, "toy")).count("input\n") == 1


def test_inputs_are_shown_again_where_a_row_saw_others() -> None:
    records = [fake.quality(variant, 0) for variant in ("vanilla", "beta")]
    artefacts = {record["id"]: fake.artefact(record) for record in records}
    artefacts[records[1]["id"]]["inputs"] = 255 - artefacts[records[1]["id"]]["inputs"]
    figure = plot.reconstructions(only(records)[0].rows, artefacts, "toy")
    assert figure is not None
    assert [axis.get_ylabel() for axis in figure.axes] == ["input", "vanilla", "input", "beta"]


def test_vectors_have_no_pictures_but_a_latent_plane() -> None:
    record = fake.quality("vanilla", 0)
    artefacts = {record["id"]: fake.artefact(record, (20,)) | {"labels": np.zeros(400, dtype=int)}}
    rows = only([record])[0].rows
    assert plot.reconstructions(rows, artefacts, "toy") is None
    assert plot.samples(rows, artefacts, "toy") is None
    drawn(plot.latent_plane(rows, artefacts, "toy"))


def test_the_latent_plane_takes_the_plainest_row_of_each_posterior() -> None:
    records = [fake.quality(variant, 0) for variant in fake.NAMES]
    rows = [row for group in table.groups(records) for row in group.rows]
    artefacts = {record["id"]: fake.artefact(record) for record in records}
    figure = plot.latent_plane(rows, artefacts, "toy")
    assert figure is not None
    titles = [axis.get_title(loc="left").split("\n")[0] for axis in figure.axes]
    assert titles == ["autoencoder", "vanilla", "full_covariance"]
    assert plot.latent_plane(rows, {}, "toy") is None


def test_an_ellipse_has_the_axes_of_its_covariance() -> None:
    record = fake.quality("full_covariance", 0)
    arrays = fake.artefact(record, points=1)
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    arrays["latent_cov"] = (turn @ np.diag([0.04, 0.25]) @ turn.T)[None]
    figure: Any = plot.latent_plane(only([record])[0].rows, {record["id"]: arrays}, "toy")
    assert figure is not None
    outline = next(item for item in figure.axes[0].collections if type(item).__name__ == "EllipseCollection")
    # Two standard deviations on either side: 4 x 0.2 along the first axis, 4 x 0.5 along the second.
    np.testing.assert_allclose([outline.get_widths()[0], outline.get_heights()[0]], [0.8, 2.0], rtol=1e-6)
    assert float(np.degrees(0.5) - outline.get_angles()[0]) % 180 == pytest.approx(0, abs=1e-4)


def test_a_damaged_artefact_is_a_warning(tmp_path: Path) -> None:
    record = fake.quality("vanilla", 0)
    (tmp_path / f"{record['id']}.npz").write_bytes(b"PK\x03\x04 not a zip")
    found, warnings = plot.load_artefacts(tmp_path, [record])
    assert found == {}
    assert len(warnings) == 1
    assert f"cannot read {record['id']}.npz" in warnings[0]


def test_colours_stay_with_their_variant() -> None:
    records = fake.suite(seeds=1)
    on_fashion = [fake.quality(name, 0, dataset="fashion_mnist") for name in fake.NAMES]
    assert plot.styles(records) == plot.styles(records + on_fashion)


def test_the_same_records_give_the_same_bytes_and_leave_matplotlib_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    group, looks = only([fake.quality(name, seed) for name in ("vanilla", "conv") for seed in range(3)])
    first, second = (plot.elbo_by_variant(group, looks) for _ in range(2))
    assert first is not None
    assert second is not None
    assert plot.png(first) == plot.png(second)
    content = plot.svg(first)
    assert content == plot.svg(second)
    assert b"<text" in content
    assert b"dc:date" not in content
    assert dict(matplotlib.rcParams) == before


def test_plots_of_two_budgets_do_not_overwrite_each_other() -> None:
    records = [fake.quality("vanilla", 0, epochs=epochs) for epochs in (2, 4)]
    artefacts = {record["id"]: fake.artefact(record) for record in records}
    names = [name for _, name, _ in plot.all_figures(records, artefacts)]
    assert len(names) == len(set(names)) == 12
