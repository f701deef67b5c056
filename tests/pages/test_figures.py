"""Figures exist, show what they should, survive thin records, and give the same bytes for the same records."""

import io
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from bench.data.sets import SETS, classes
from bench.pages import figures, report
from bench.pages.figures import bars as bars_of
from bench.pages.figures import elbo, gaps, latent, pictures, rate_distortion, speed, style, tradeoff
from bench.pages.figures.plot import Artefacts, Plot, View
from bench.pages.html import facts
from bench.pages.html import pictures as contact
from bench.pages.page import REFERENCE
from bench.records.names import canonical
from bench.records.record import Model, Timed
from bench.records.store import read_all
from bench.stats import answer, groups, intervals, learning, speeds
from bench.text import DASH, clip
from tests import fake_records as fake
from variants import registry


def view(records: list[fake.Record], artefacts: Artefacts | None = None) -> View:
    """What plots may show of these records of one data set."""
    timed = speeds.throughput(records, "mnist-dynamic")
    return View("mnist-dynamic", tuple(groups.groups(records)), artefacts or {}, timed)


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


def test_a_png_has_few_colours_where_nobody_sees_it() -> None:
    """A chart is off by no more than is said and takes half the bytes; a picture of all colours keeps them."""

    def colours(figure: Any) -> tuple[Any, Any]:
        from PIL import Image

        both = style.png(figure), style._save(figure, "png", {})
        few, all_of_them = (np.asarray(Image.open(io.BytesIO(each)).convert("RGB")).astype(int) for each in both)
        assert few.shape == all_of_them.shape
        assert abs(few - all_of_them).mean((0, 1)).max() < style.MOST_OFF
        return few, len(both[0]) / len(both[1])

    records = [fake.quality(name, s) for name in ("vanilla", "conv") for s in (0, 1)]
    chart, share = colours(elbo.elbo_by_variant(view(records)))
    found = {tuple(colour) for colour in np.unique(chart.reshape(-1, 3), axis=0).tolist()}
    assert len(found) <= 256
    # A row's own colour is exact, however few pixels have it.
    for name in ("vanilla", "conv"):
        colour = style.look(name, "{}").colour.lstrip("#")
        assert tuple(bytes.fromhex(colour)) in found
    # So is that of points which are seen through: of thirty rows with few pixels each.
    many = [fake.quality("vanilla", 0, elbo=-100.0 - k, overrides={"latent": 2 + k}) for k in range(30)]
    many += [fake.quality(name, 0) for name in ("beta", "iwae", "conv", "low_rank")]
    (shown, _), whole = (
        colours(rate_distortion.rate_distortion(view(many))),
        style._save(rate_distortion.rate_distortion(view(many)), "png", {}),
    )
    from PIL import Image

    drawn = np.asarray(Image.open(io.BytesIO(whole)).convert("RGB")).astype(int)
    _, places, counts = np.unique(drawn.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    off = np.square(shown.reshape(-1, 3) - drawn.reshape(-1, 3)).sum(1)
    assert off[counts[places.ravel()] >= 60].max() <= 20**2
    assert share < 0.6
    with style.panels(6, 3, grid=False) as (figure, (axis,)):
        axis.imshow(np.random.default_rng(0).random((64, 128, 3)))
    rich, _ = colours(figure)
    assert len(np.unique(rich.reshape(-1, 3), axis=0)) > 1000


DRAWS = (elbo.elbo_by_variant, rate_distortion.rate_distortion, elbo.learning_curves)


@pytest.mark.parametrize("draw", DRAWS)
def test_one_variant_and_fifteen_with_a_far_off_row(draw: Any) -> None:
    figure = draw(view([fake.quality("vanilla", 0)]))
    drawn(figure)
    assert "vanilla" in texts(figure)
    assert "nats" in texts(figure)
    names = [f"variant_number_{place}" for place in range(14)]
    records = [fake.quality(name, s, elbo=-100 - p / 3 + s / 10) for p, name in enumerate(names) for s in range(3)]
    figure = draw(view([*records, *(fake.quality("linear", seed) for seed in range(3))]))
    drawn(figure)
    assert all(name in texts(figure) for name in names)
    assert ("beyond this axis" in texts(figure)) == (draw is elbo.elbo_by_variant)
    assert draw(view([fake.quality("autoencoder", 0)])) is None


def test_every_built_in_variant_has_a_look_of_its_own_and_other_rows_leave_it_alone() -> None:
    looks = {name: style.look(name) for name, recipe in registry.recipes().items() if recipe.built_in}
    assert len(set(looks.values())) == len(looks) >= 20
    # The first nine stand together on most pages: there a colour alone tells them apart.
    assert len({looks[name].colour for name in fake.NAMES}) == len(fake.NAMES)
    # What was published once stays: these lines only ever grow.
    assert looks["vanilla"] == style.Style("#0173b2", "o")
    assert looks["full_covariance"] == style.Style("#c77f05", "s")
    assert looks["hierarchical_top_down"] == style.Style("#8b0026", "v")
    first = style.MARKERS[: style.FIRST]
    assert {looks[name].marker for name in style.FIXED} == set(first)
    assert {style.look(f"plugin_{place}").marker for place in range(50)} == set(style.MARKERS) - set(first)
    assert style.look("plugin_1") != style.look("plugin_2")


def test_overrides_are_shades_of_their_variant_in_their_order() -> None:
    def light(number: float | str, variant: str = "beta") -> int:
        return int(style.look(variant, canonical({"beta": number})).colour[1:3], 16)

    shades = [light(number) for number in (0.1, 0.25, 0.5, 1, 2, 4, 8)]
    assert shades == sorted(set(shades), reverse=True)
    one, other = (style.look(variant, canonical({"latent": 2})) for variant in ("vanilla", "full_covariance"))
    assert one.marker == other.marker not in style.MARKERS[: style.FIRST]
    assert one.colour != other.colour
    # Not numbers, and what is no number at all.
    for value in ("elu", [500, 500], True, -1, float("nan"), float("inf"), 10**400, None):
        assert re.fullmatch("#[0-9a-f]{6}", style.look("vanilla", canonical({"a": value})).colour)


def test_every_mark_is_seen_and_every_text_is_read() -> None:
    names = [*registry.recipes(), *(f"plugin_{place}" for place in range(50))]
    changed = [
        {},
        *({"beta": 10.0**power} for power in range(-9, 10)),
        *({"network": str(place)} for place in range(50)),
    ]
    colours = {style.look(name, canonical(overrides)).colour for name in names for overrides in changed}
    assert len(colours) > 100
    assert min(style.contrast(colour, "#ffffff") for colour in colours) >= style.SEEN == 3
    assert min(style.contrast(each, ground) for each in style.CLASSES for ground in ("#ffffff", facts.DARK)) >= 3
    assert not set(style.CLASSES) & set(style.COLOURS)
    texts = [style.INK, style.QUIET, *map(style.readable, (*style.COLOURS, "#ffffff"))]
    assert min(style.contrast(colour, "#ffffff") for colour in texts) >= 4.5
    assert style.readable("#000000") == "#000000"
    for colour in (*style.COLOURS, *style.CLASSES):
        assert style.contrast({"white": "#ffffff", "black": "#000000"}[style.ink_on(colour)], colour) >= 4.5


@pytest.mark.parametrize("suite", ["arithmetic", "covariance", "evidence", "quick", "rate_distortion", "standard"])
def test_rows_of_a_committed_page_look_different(suite: str) -> None:
    records, _ = read_all(REFERENCE / suite)
    rows = {(r.cell["variant"], canonical(r.cell.get("overrides") or {})) for r in records}
    assert len({style.look(*row) for row in rows}) == len(rows)


def test_a_file_in_the_folder_is_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "my_own.py").write_text(
        "from bench.pages.figures.plot import Plot\n"
        "from bench.pages.figures.style import panels\n"
        "def draw(view):\n"
        "    with panels(6, 3) as (figure, (axis,)):\n"
        "        axis.bar([row.label for row in view.rows], [len(row.ok) for row in view.rows])\n"
        "    return figure\n"
        "PLOTS = [Plot('runs_by_variant', 'group', draw)]\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path / "code")])
    made = report.write(fake.write(tmp_path / "out", [fake.quality("vanilla", 0)], images=False))
    monkeypatch.delitem(sys.modules, "bench.pages.figures.my_own")
    name = "plots/mnist-dynamic-binary_runs_by_variant.png"
    assert tmp_path / "out" / name in made.files
    assert f"![mnist-dynamic: binary runs by variant]({name})" in (tmp_path / "out" / "README.md").read_text()


def test_every_seed_is_a_point() -> None:
    seen = view([fake.quality("vanilla", seed) for seed in range(4)])
    figure: Any = rate_distortion.rate_distortion(seen)
    (cloud,) = figure.axes[0].collections
    (row,) = seen.rows
    wanted = [[-row.values("recon_nats")[seed], row.values("kl_nats")[seed]] for seed in range(4)]
    np.testing.assert_allclose(cloud.get_offsets(), wanted)
    # Grey lines are of one ELBO each, minus rate and distortion together, and are named by it.
    lines = [line for line in figure.axes[0].lines if line.get_color() == "#d5d5d5"]
    levels = [np.add(*line.get_data()) for line in lines]
    assert all(level == pytest.approx(level[0]) for level in levels)
    names = [f"{-level[0]:g}".replace("-", "\N{MINUS SIGN}") for level in levels]
    assert [text.get_text() for text in figure.axes[0].texts][: len(names)] == names


def test_a_row_has_its_mean_its_interval_and_its_seeds() -> None:
    """In ELBO, and in the difference from the baseline."""
    records = [fake.quality(name, seed) for name in ("vanilla", "conv") for seed in range(4)]
    seen = view(records)
    conv, vanilla = seen.rows
    figure: Any = elbo.elbo_by_variant(seen)
    lines = [list(line.get_xdata()) for line in figure.axes[0].lines]
    for row, drawn_lines, points in zip(seen.rows, (lines[:2], lines[2:]), figure.axes[0].collections, strict=True):
        summary: Any = row.summary("elbo_nats")
        assert drawn_lines == [[summary.low, summary.high], [summary.mean] * 2]
        assert list(points.get_offsets()[:, 0]) == list(row.values("elbo_nats").values())
    figure = elbo.paired_differences(seen)
    found: Any = learning.compare(conv, vanilla, "elbo_nats")
    assert [list(line.get_xdata()) for line in figure.axes[0].lines] == [[0, 0], [found.low, found.high]]


def test_learning_curves_keep_failed_runs_and_survive_nulls() -> None:
    records = [fake.quality("vanilla", seed) for seed in range(2)]
    records[0].curve[3]["valid_elbo_nats"] = None
    records.append(fake.quality("vanilla", 2, status="diverged", reason="nan"))
    records[2].curve[-1]["valid_elbo_nats"] = float("nan")
    figure: Any = elbo.learning_curves(view(records))
    assert figure is not None
    assert "runs that failed" in texts(figure)
    assert "2/3 ok" in texts(elbo.elbo_by_variant(view(records)))
    solid, dotted = figure.axes[0].lines
    assert list(solid.get_xdata()) == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert list(dotted.get_xdata()) == [1, 2]
    drawn(figure)


def test_throughput_has_a_line_of_panels_per_device() -> None:
    records = [fake.throughput(name, device=device) for name in ("vanilla", "conv") for device in ("cpu", "cuda:0")]
    del records[0].metrics["sample_samples_per_s"]
    records.append(replace(fake.throughput("beta"), status="error", metrics={}))
    figure: Any = speed.throughput(view(records))
    assert len(figure.axes) == 6
    assert "training on cuda" in texts(figure)
    drawn(figure)
    assert speed.throughput(view([])) is None


def kept(records: list[fake.Record], shape: tuple[int, ...] = (1, 28, 28)) -> dict[str, Any]:
    return {record.id: fake.artefact(record, shape) for record in records}


def labels(figure: Any) -> list[str]:
    """Of the lines of pictures, without their scores."""
    return [axis.get_ylabel().split("\n")[0] for axis in figure.axes]


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 28, 28), ""),
        ((3, 8, 8), ""),
        ((2, 8, 8), "Shown: the first of 2 channels."),
        ((4, 8, 8), "Shown: the first three of 4 channels."),
    ],
)
def test_pictures_of_one_and_three_channels(shape: tuple[int, ...], words: str) -> None:
    records = [fake.quality(variant, 0) for variant in ("vanilla", "autoencoder")]
    seen = view(records, kept(records, shape))
    for show in (pictures.reconstructions, pictures.samples):
        drawn(show(seen))
    assert labels(pictures.reconstructions(seen)) == ["input", "vanilla", "autoencoder"]
    for show in (pictures.reconstructions, pictures.samples):
        told = " ".join(texts(show(seen)).split())
        assert words in told
        assert ("Shown:" in told) == bool(words)
    first = next(iter(seen.artefacts.values()))["inputs"]
    across = min(shape[0], 3) if shape[0] != 2 else 1
    assert (pictures.visible(first)[0] == first[:, :across]).all()
    (sheet, *_) = contact.sheets(seen.rows, seen.artefacts)  # type: ignore[arg-type]
    assert sheet.kind == "data"
    assert ("channels" in sheet.alt) == bool(words)
    assert "ELBO \N{MINUS SIGN}100" in texts(pictures.reconstructions(seen))
    assert "data" in texts(pictures.samples(seen)).split("\n")
    # There is no prior to draw from.
    assert "autoencoder" not in texts(pictures.samples(seen))
    # Inputs are shown again where a row saw others.
    other = seen.artefacts[records[1].id] | {"inputs": 255 - seen.artefacts[records[1].id]["inputs"]}  # type: ignore[operator]
    figure: Any = pictures.reconstructions(view(records, {**seen.artefacts, records[1].id: other}))
    assert labels(figure) == ["input", "vanilla", "input", "autoencoder"]


def test_code_maps_have_a_colour_an_index_at_its_place() -> None:
    maps = np.array([[[0, 1, 1], [2, 0, 5]]], dtype=np.uint16)
    images = pictures.as_colours(maps, 4, 9)
    assert images.shape == (1, 3, 4, 9)
    blocks = images[0].reshape(3, 2, 2, 3, 3).transpose(1, 3, 0, 2, 4)
    assert (blocks == blocks[..., :1, :1]).all()
    colour = {index: tuple(blocks[y, x, :, 0, 0]) for (y, x), index in np.ndenumerate(maps[0])}
    assert all(tuple(blocks[y, x, :, 0, 0]) == colour[index] for (y, x), index in np.ndenumerate(maps[0]))
    assert len(set(colour.values())) == 4
    # A colour is its index's, whatever others there are.
    assert tuple(pictures.as_colours(maps[:, 1:, 2:], 1, 1)[0, :, 0, 0]) == colour[5]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 8)])
def test_maps_of_codes_stand_under_their_inputs(shape: tuple[int, ...]) -> None:
    records = [fake.quality(variant, 0) for variant in ("vanilla", "conv")]
    arrays = kept(records, shape)
    arrays[records[1].id]["code_maps"] = np.arange(8 * 4).reshape(8, 2, 2).astype(np.uint16)
    seen = view(records, arrays)
    figure: Any = pictures.code_maps(seen)
    assert labels(figure) == ["input", "conv"]
    drawn(figure)
    assert pictures.code_maps(view(records, kept(records, shape))) is None
    sheets = [sheet for sheet in contact.sheets(seen.rows, arrays) if sheet.kind == "code_maps"]
    assert [(sheet.label, sheet.size) for sheet in sheets] == [("conv", (8 * (shape[2] + 1) - 1, 2 * shape[1] + 1))]
    assert contact.KINDS["code_maps"][1].format(n=8) in sheets[0].alt


def test_maps_of_codes_that_a_run_has_kept_are_read(tmp_path: Path) -> None:
    record = fake.quality("conv", 0)
    arrays = kept([record])[record.id] | {"code_maps": np.arange(8).reshape(2, 2, 2).astype(np.uint16)}
    np.savez(tmp_path / f"{record.id}.npz", allow_pickle=False, **arrays)
    found, warnings = pictures.load_artefacts(tmp_path, [record])
    assert warnings == []
    assert found[record.id]["code_maps"].tolist() == arrays["code_maps"].tolist()


def test_the_latent_plane_takes_the_plainest_row_of_each_posterior() -> None:
    records = [fake.quality(variant, 0) for variant in fake.NAMES]
    figure: Any = latent.latent_plane(view(records, kept(records)))
    titles = [axis.get_title(loc="left").split("\n")[0] for axis in figure.axes]
    assert titles == ["autoencoder", "vanilla", "full_covariance"]
    assert latent.latent_plane(view(records)) is None
    # One setting, however long its name, is plainer than two.
    set_otherwise = [{"network": "a_very_long_name"}, {"a": 1, "b": 2}]
    changed = [fake.quality("vanilla", 0, overrides=overrides) for overrides in set_otherwise]
    figure = latent.latent_plane(view(changed, kept(changed)))
    assert "a_very_long_name" in figure.axes[0].get_title(loc="left")
    # Vectors have no pictures but a latent plane.
    artefacts = kept(records[1:2], (20,))
    artefacts[records[1].id]["labels"] = np.zeros(400, dtype=int)
    seen = view(records[1:2], artefacts)
    assert pictures.reconstructions(seen) is pictures.samples(seen) is None
    drawn(latent.latent_plane(seen))


def test_classes_have_their_names_where_the_data_set_has_any() -> None:
    for dataset, wanted in (("fashion_mnist", set(classes("fashion_mnist"))), ("mnist", set(map(str, range(10))))):
        records = [fake.quality("vanilla", 0, dataset=dataset)]
        figure: Any = latent.latent_plane(view(records, kept(records)))
        assert {text.get_text() for text in figure.legends[0].get_texts()} == wanted
    assert classes("fashion_mnist")[9] == "ankle boot"
    assert classes("of_mine.npz") == ()
    for name, entry in SETS.items():
        assert len(set(classes(name))) == len(entry.classes)


def test_the_curves_against_seconds_take_an_equal_share_for_each_epoch() -> None:
    records = [fake.quality(name, seed, epochs=4) for name in ("vanilla", "conv") for seed in range(3)]
    for record in records:
        record.timing = {**record.timing, "train_s": 40.0 if record.cell["variant"] == "conv" else 10.0}
    figure: Any = elbo.elbo_against_seconds(view(records))
    found = {line.get_label(): list(line.get_xdata()) for line in figure.axes[0].lines}
    assert found == {"conv": [10, 20, 30, 40], "vanilla": [2.5, 5, 7.5, 10]}
    by_epoch: Any = elbo.learning_curves(view(records))
    assert list(by_epoch.axes[0].lines[0].get_xdata()) == [1, 2, 3, 4]
    # One that ended after two of its epochs took as long for each.
    records[3].curve, records[3].timing["train_s"] = records[3].curve[:2], 20.0
    stopped: Any = elbo.elbo_against_seconds(view(records))
    assert [list(line.get_xdata())[:2] for line in stopped.axes[0].lines if line.get_label() == "conv"] == [[10, 20]]
    for record in records:
        record.timing = {}
    assert elbo.elbo_against_seconds(view(records)) is None


def test_a_curve_is_the_mean_over_seeds_between_the_lowest_and_the_highest() -> None:
    """In the picture and in what the page draws from, also where a seed stopped before the others."""
    records = [fake.quality(name, seed, epochs=4) for name in ("vanilla", "conv") for seed in range(3)]
    records[1].curve, records[1].timing = records[1].curve[:2], {"train_s": 7.0}
    for record in records[3:]:
        record.curve[0]["valid_elbo_nats"] = -500.0 - record.cell["seed"]
    seen = view(records)
    figure: Any = elbo.elbo_against_seconds(seen)
    (axis,) = figure.axes
    # The best at the end first, however it began.
    assert [line.get_label() for line in axis.lines] == ["conv", "vanilla"]
    for row, line, area in zip(seen.rows, axis.lines, axis.collections, strict=True):
        epochs = min(len(record.curve) for record in row.records)
        values = np.array([[point["valid_elbo_nats"] for point in record.curve[:epochs]] for record in row.records])
        wanted = [values.mean(0), values.min(0), values.max(0)]
        np.testing.assert_allclose(line.get_ydata(), wanted[0])
        outline = area.get_paths()[0].vertices
        for x, low, high in zip(line.get_xdata(), *wanted[1:], strict=True):
            heights = outline[outline[:, 0] == x, 1]
            np.testing.assert_allclose([heights.min(), heights.max()], [low, high])
        told: Any = facts._curve(row)
        np.testing.assert_allclose([told["mean"], told["low"], told["high"]], wanted, rtol=1e-6)
        np.testing.assert_allclose(told["seconds"], line.get_xdata(), rtol=1e-4)
        gains = [learning.gain(record.curve, "elbo_nats") for record in row.records]
        assert facts._gain(row) == pytest.approx(np.mean([gain.nats for gain in gains if gain]), rel=1e-3)


def test_an_ellipse_has_the_axes_of_its_covariance() -> None:
    record = fake.quality("full_covariance", 0)
    arrays = fake.artefact(record, points=1)
    turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    arrays["latent_cov"] = (turn @ np.diag([0.04, 0.25]) @ turn.T)[None]
    figure: Any = latent.latent_plane(view([record], {record.id: arrays}))
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


def test_the_same_records_give_the_same_bytes_and_leave_matplotlib_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    seen = view([fake.quality(name, seed) for name in ("vanilla", "conv") for seed in range(3)])
    first, second = (elbo.elbo_by_variant(seen) for _ in range(2))
    assert first is not None
    assert second is not None
    assert style.png(first) == style.png(second)
    content = style.svg(first)
    assert content == style.svg(second)
    assert b"<text" in content
    assert b"dc:date" not in content
    assert dict(matplotlib.rcParams) == before


def test_plots_of_two_budgets_do_not_overwrite_each_other() -> None:
    records = [fake.quality(name, 0, epochs=epochs) for epochs in (2, 4) for name in ("vanilla", "conv")]
    made = list(figures.drawn("mnist-dynamic", records, kept(records)))
    assert len({name for name, _ in made}) == len(made) == 16
    # Nor is it only a file's name that says which budget a plot is of.
    titles = [figure.texts[0].get_text().replace("\n", " ") for _, figure in made]
    assert [sum(f", {epochs} epochs" in title for title in titles) for epochs in (2, 4)] == [8, 8]


def measured(variant: str, seed: int, **fields: Any) -> fake.Record:
    """A record with every figure that the inference plots show; `fields` go into its metrics."""
    record = fake.quality(variant, seed)
    figures = record.metrics
    figures |= fake.thorough(variant, seed).metrics
    figures["marginal_kl_nats"] = figures["kl_nats"] - figures["mutual_information_nats"]
    figures["bdmc_upper_nats"] = figures["bdmc_lower_nats"] + 0.4
    figures |= fields
    record.errors = {"nll_is500_nats": {"mc": 0.03, "test": 0.2}, "nll_ais_nats": {"mc": 0.04, "test": 0.2}}
    # Each seed has its dimensions in another order.
    spectrum = [3.0, 2.0 + seed, 0.5, 0.0]
    record.latent = {
        "kl_per_dim": spectrum[seed:] + spectrum[:seed],
        "mean_variance": [0.9, 0.002, 0.8, 0.3],
        "points": 10_000,
    }
    return record


def bars(axis: Any) -> list[tuple[float, float]]:
    """Where every bar starts and ends, in the order of drawing."""
    return [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axis.patches]


def means(seen: View, name: str) -> list[float]:
    return [float(np.mean(list(row.values(name).values()))) for row in seen.rows if row.values(name)]


GAPS = tuple(f"{name}_nats" for name in ("approximation_gap", "amortisation_gap"))
GAPS += ("approximation_gap_diagonal_nats", "approximation_gap_full_nats")
INFERENCE_PLOTS = {"inference_gaps", "elbo_surgery", "kl_per_dimension", "evidence"}


def test_inference_plots_are_drawn_only_where_they_were_measured() -> None:
    def kinds(records: list[fake.Record]) -> set[str]:
        return {name.split("_", 1)[1] for name, _ in figures.drawn("mnist-dynamic", records, {})}

    both = [measured("vanilla", 0), measured("conv", 0)]
    assert not INFERENCE_PLOTS & kinds([fake.quality("vanilla", 0), fake.quality("conv", 0)])
    assert kinds(both) >= INFERENCE_PLOTS
    # One row is no comparison.
    assert kinds(both[:1]) == set()
    # A record says null where a metric does not apply.
    nothing: dict[str, None] = dict.fromkeys(measured("vanilla", 0).metrics)
    assert not INFERENCE_PLOTS & kinds([replace(each, metrics=nothing, latent={}) for each in both])


@pytest.mark.parametrize(
    ("variants", "seeds"), [(("vanilla", "full_covariance"), 1), (tuple(set(fake.NAMES) - {"autoencoder"}), 2)]
)
def test_inference_plots_name_every_row_and_unit(variants: tuple[str, ...], seeds: int) -> None:
    records = [measured(variant, seed) for variant in variants for seed in range(seeds)]
    seen = view(records)
    for draw in (gaps.inference_gaps, gaps.elbo_surgery, latent.kl_per_dimension, gaps.evidence):
        figure = draw(seen)
        drawn(figure)
        shown = texts(figure)
        assert all(variant in shown.split("\n") for variant in variants)
        assert "nats" in shown
        assert "Not shown" not in shown


def test_gap_bars_are_stacked_means() -> None:
    # Seeds that differ by nats, so that no figure of one is that of all.
    spread: dict[str, Any] = {"approximation_gap_nats": 1.0, "approximation_gap_diagonal_nats": 2.0}
    seen = view(
        [
            measured(variant, seed, **{name: least + seed**2 for name, least in spread.items()})
            for variant in ("vanilla", "beta")
            for seed in range(3)
        ]
    )
    figure: Any = gaps.inference_gaps(seen)
    own, encoder = means(seen, "approximation_gap_nats"), means(seen, "amortisation_gap_nats")
    left, right = figure.axes
    wanted = [pair for a, b in zip(own, encoder, strict=True) for pair in ((0, a), (a, a + b))]
    np.testing.assert_allclose(bars(left), wanted)
    diagonal, full = (
        means(seen, "approximation_gap_diagonal_nats"),
        means(seen, "approximation_gap_full_nats"),
    )
    wanted = [pair for a, b in zip(diagonal, full, strict=True) for pair in ((0, a), (0, b))]
    np.testing.assert_allclose(bars(right), wanted)
    # The points are the sums of single seeds.
    row = seen.rows[0]
    sums = [row.values("approximation_gap_nats")[s] + row.values("amortisation_gap_nats")[s] for s in range(3)]
    np.testing.assert_allclose(left.collections[0].get_offsets()[:, 0], sums)
    assert [label.get_text() for label in left.get_yticklabels()] == [row.label for row in seen.rows]
    # The numbers at their ends are those of the bars.
    sums_of_rows = [f"{a + b:.2f}" for a, b in zip(own, encoder, strict=True)]
    assert [text.get_text() for text in left.texts if text.get_text() in sums_of_rows] == sums_of_rows
    ends = [f"{end:.2f}" for pair in zip(diagonal, full, strict=True) for end in pair]
    assert [text.get_text() for text in right.texts] == ends
    # Text on a bar can be read, and a gap below zero takes nothing off the other.
    assert [style.ink_on(colour) for colour in (*style.COLOURS[:2], "#000000")] == ["white", "black", "white"]
    record = measured("vanilla", 0, approximation_gap_nats=-0.1, amortisation_gap_nats=2.0)
    figure = gaps.inference_gaps(view([record]))
    np.testing.assert_allclose(bars(figure.axes[0]), [(0, -0.1), (0, 2.0)])
    assert figure.axes[0].get_xlim()[0] < -0.1
    drawn(figure)


def test_rows_without_a_figure_are_named_with_the_reason() -> None:
    autoencoder = fake.quality("autoencoder", 0, support="binary")
    flow = measured("flow", 0, **dict.fromkeys(GAPS))
    flow.latent = {}
    broken = fake.quality("conv", 0, status="timeout")
    broken.model = Model(support="binary")
    seen = view([measured("vanilla", 0), autoencoder, flow, broken, fake.quality("iwae", 0)])
    figure = gaps.inference_gaps(seen)
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
    assert "flow (posterior or prior is no Gaussian)" in " ".join(texts(latent.kl_per_dimension(seen)).split())
    assert "flow (" not in texts(gaps.evidence(seen))


def test_surgery_adds_up_to_the_kl_under_the_bound_of_the_data() -> None:
    records = [measured(variant, seed) for variant in ("vanilla", "iwae") for seed in range(2)]
    seen = view(records)
    figure: Any = gaps.elbo_surgery(seen)
    found = bars(figure.axes[0])
    np.testing.assert_allclose([end for _, end in found[::2]], means(seen, "mutual_information_nats"))
    np.testing.assert_allclose([end for _, end in found[1::2]], means(seen, "kl_nats"))
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [pytest.approx(np.log(10_000))]
    assert "log 10,000 = 9.21" in texts(figure)
    # Those alone are hatched whose mutual information is at the ceiling.
    assert "Hatched" not in texts(gaps.elbo_surgery(view([measured("iwae", 0, mutual_information_nats=5.0)])))
    for record in records:
        if record.cell["variant"] == "iwae":
            record.metrics |= {"mutual_information_nats": 5.0, "marginal_kl_nats": 22.0}
    hatched: Any = gaps.elbo_surgery(view(records))
    assert "Hatched" in texts(hatched)
    assert [bool(bar.get_hatch()) for bar in hatched.axes[0].patches[:4]] == [True, False, False, False]
    for record in records:
        del record.latent["points"]
    assert "log 10,000" not in texts(gaps.elbo_surgery(view(records)))


def test_dimensions_are_sorted_within_each_seed_and_tell_inactive_units() -> None:
    from bench.judge import bounds

    assert latent.ACTIVE_VARIANCE == bounds.ACTIVE_VARIANCE
    figure: Any = latent.kl_per_dimension(view([measured("vanilla", seed) for seed in range(3)]))
    (mesh,) = figure.axes[0].collections
    # Seeds hold 3, 2 + seed, 0.5 and 0: sorted first and averaged after.
    np.testing.assert_allclose(mesh.get_array()[0], [(3 + 3 + 4) / 3, (2 + 3 + 3) / 3, 0.5, latent.LEAST_KL])
    assert "3 active" in texts(figure)
    drawn(figure)
    # What the page draws from is the same.
    (row,) = view([measured("vanilla", seed) for seed in range(3)]).rows
    assert facts._spectrum(row) == pytest.approx([(3 + 3 + 4) / 3, (2 + 3 + 3) / 3, 0.5, 0.0], rel=1e-3)


def test_a_far_off_row_is_named_and_ties_are_marked() -> None:
    levels = {"conv": -97.0, "iwae": -100.0, "vanilla": -100.4, "low_rank": -101.0, "beta": -160.0}
    records = [fake.quality(name, s, elbo=at + s / 10) for name, at in levels.items() for s in range(3)]
    figure: Any = elbo.elbo_by_variant(view(records))
    (axis,) = figure.axes
    assert axis.get_xlim()[0] > -105
    assert "← \N{MINUS SIGN}159.9, beyond this axis" in texts(figure)
    assert axis.get_yticklabels()[0].get_text() == "conv ★"
    assert "After 10 epochs" in texts(figure)


def test_differences_are_paired_and_hollow_without_a_verdict() -> None:
    levels = {"vanilla": (-100.0, 1), "conv": (-97.0, 1), "iwae": (-100.0, -1)}
    records = [fake.quality(n, s, elbo=at + s * step) for n, (at, step) in levels.items() for s in range(4)]
    figure: Any = elbo.paired_differences(view(records))
    (axis,) = figure.axes
    points = {label.get_text(): cloud for label, cloud in zip(axis.get_yticklabels(), axis.collections, strict=True)}
    assert set(points) == {"conv", "iwae"}
    # The seeds' own movement is common to both.
    assert points["conv"].get_offsets()[0][0] == pytest.approx(3.0)
    assert points["conv"].get_facecolor()[0].tolist() == points["conv"].get_edgecolor()[0].tolist()
    assert points["iwae"].get_facecolor()[0].tolist() == [1, 1, 1, 1]
    assert "Difference from vanilla" in texts(figure)
    assert elbo.paired_differences(view(records[:4])) is None


def test_a_difference_far_beyond_the_others_is_named_at_the_edge() -> None:
    """Four times the middle one is still drawn."""
    levels = {"vanilla": 0, "beta": -1, "iwae": -2, "low_rank": 3, "flow": 2.5, "conv": 11.9, "full_covariance": 12.1}
    records = [fake.quality(name, seed, elbo=at - 100) for name, at in levels.items() for seed in range(3)]
    records += [fake.quality("linear", seed, elbo=-113.0) for seed in range(3)]
    figure: Any = elbo.paired_differences(view(records))
    shown = {round(float(cloud.get_offsets()[0][0]), 1) for cloud in figure.axes[0].collections}
    assert shown == {-1.0, -2.0, 2.5, 3.0, 11.9}
    assert {"+12.1 →", "← \N{MINUS SIGN}13.0"} <= set(texts(figure).split("\n"))


def test_of_many_rows_the_best_are_drawn_and_the_baseline() -> None:
    count = bars_of.MOST_ROWS + 5
    records = [fake.quality("beta", 0, elbo=-100.0 - i, overrides={"beta": i, "latent": i % 2}) for i in range(count)]
    records += [fake.quality("vanilla", 0, elbo=-500.0), fake.throughput("vanilla")]
    (group,) = groups.groups(records)
    drawn_rows = bars_of.shown(group)
    assert len(drawn_rows.rows) == bars_of.MOST_ROWS
    assert drawn_rows.of == count + 1
    elbos = sorted((row.summary("elbo_nats").mean for row in drawn_rows.rows), reverse=True)  # type: ignore[union-attr]
    assert elbos == [*(-100.0 - i for i in range(bars_of.MOST_ROWS - 1)), -500.0]


def test_speeds_are_drawn_by_training_speed_and_written_with_three_digits() -> None:
    wide = Timed(12_345.0, 6_000.0, 12_345.0 * 1.01, [1.0])
    speeds_of = {"vanilla": Timed(950.0), "conv": Timed(1_600_000.0), "beta": wide, "iwae": Timed(1_000.0)}
    records = [fake.throughput(name) for name in speeds_of]
    for record, speed_of in zip(records, speeds_of.values(), strict=True):
        record.metrics = {**record.metrics, "train_samples_per_s": speed_of}
    figure: Any = speed.throughput(view(records))
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["conv", "beta", "iwae", "vanilla"]
    # Quartiles that are half of the median apart speak of other work.
    assert [text.get_text() for text in axis.texts] == ["1.60M", "12.3k ?", "1.00k", "950"]
    assert [6_000.0, 12_345.0 * 1.01] in [list(line.get_xdata()) for line in axis.lines]
    (*_, records[0].metrics["train_samples_per_s"]) = (wide, Timed(9e7))
    many = [fake.throughput(f"variant_{place}") for place in range(bars_of.MOST_ROWS)]
    cut: Any = speed.throughput(view([*many, records[0]]))
    assert cut.axes[0].get_yticklabels()[0].get_text() == "vanilla"
    assert len(cut.axes[0].get_yticks()) == bars_of.MOST_ROWS


def test_the_front_is_of_rows_that_no_better_one_is_as_fast_as() -> None:
    rows: Any = {"best": (3, 9, 10, 11), "fast": (1, 90, 100, 110), "tied": (0.5, 91, 101, 111), "slow": (2, 4, 5, 6)}
    assert tradeoff.front_of(rows) == ["best", "fast"]
    # As fast: the better row's third quartile reaches the other's first, though its median does not.
    near: Any = {"better": (3, 8, 9, 12), "worse": (2, 11, 13, 14)}
    assert tradeoff.front_of(near) == ["better"]
    names = ("vanilla", "conv", "iwae")
    records = [fake.quality(name, s) for name in names for s in range(3)]
    figure: Any = tradeoff.quality_and_speed(view([*records, *map(fake.throughput, names)]))
    assert set(names) <= set(texts(figure).split("\n"))
    drawn(figure)
    # A lower NLL stands further up, and the best is of the front however slow it is.
    axis = figure.axes[0]
    assert axis.yaxis_inverted()
    assert axis.get_ylabel().startswith("NLL")
    full = [cloud.get_facecolor().tolist() == cloud.get_edgecolor().tolist() for cloud in axis.collections]
    places = [cloud.get_offsets()[0] for cloud in axis.collections]
    best = min(range(len(places)), key=lambda place: places[place][1])
    assert full[best]
    fastest = max(places, key=lambda place: place[0])
    worst = max(range(len(places)), key=lambda place: places[place][1])
    assert not full[worst] or tuple(places[worst]) == tuple(fastest)
    assert tradeoff.quality_and_speed(view(records)) is None


def test_a_swept_parameter_has_its_order() -> None:
    levels = {4: -103.0, 0.5: -100.5, 1: -100.0, 2: -101.0}
    records = [fake.quality("beta", s, elbo=at, overrides={"beta": b}) for b, at in levels.items() for s in range(2)]
    (group,) = map(bars_of.shown, groups.groups(records))
    assert [row.label for row in group.rows] == [f"beta (beta={b})" for b in (0.5, 1, 2, 4)]
    assert bars_of.parameter(group.rows) == "beta"
    mixed = groups.groups([*records, fake.quality("vanilla", 0)])[0].rows
    assert bars_of.parameter(mixed) == ""
    assert bars_of.in_order(mixed) == mixed


def test_evidence_shows_widths_and_estimates_with_their_errors() -> None:
    records = [measured("vanilla", seed) for seed in range(2)]
    records[0].errors |= {"bdmc_lower_nats": {"mc": 0.03}, "bdmc_upper_nats": {"mc": 0.04}}
    seen = view(records)
    figure: Any = gaps.evidence(seen)
    simulated, test = figure.axes
    lower, upper = means(seen, "bdmc_lower_nats")[0], means(seen, "bdmc_upper_nats")[0]
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
    figure = gaps.evidence(view(records))
    np.testing.assert_allclose(lines(figure.axes[0]), [2 * 1.96 * mc for mc in (0.05, 0.02)])
    marks = {item.get_label(): item.get_offsets()[0, 0] for item in test.collections if item.get_label() in LABELS}
    wanted = {"IS-500": -means(seen, "nll_is500_nats")[0], "AIS": -means(seen, "nll_ais_nats")[0]}
    assert marks == pytest.approx(wanted)


LABELS = ("IS-500", "AIS")


def test_evidence_has_a_panel_only_for_what_was_measured() -> None:
    gone = {"bdmc_lower_nats": None, "bdmc_upper_nats": None}
    records = [measured("vanilla", 0, **gone), measured("iwae", 0, nll_is50_nats=200.0, nll_ais_nats=None, **gone)]
    figure: Any = gaps.evidence(view(records))
    (axis,) = figure.axes
    # The largest K counts.
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["IS-500", "AIS"]
    assert "iwae (not measured)" in texts(figure)
    records[1].metrics |= {"bdmc_lower_nats": -98.0, "bdmc_upper_nats": -97.5}
    figure = gaps.evidence(view(records))
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
    seen = view([*records, fake.quality("vanilla", 0)])
    figure: Any = rate_distortion.rate_distortion(seen)
    (line,) = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 4]
    np.testing.assert_allclose(line.get_ydata(), [50.5, 25.5, 13.0, 3.0])
    np.testing.assert_allclose(line.get_xdata(), [74, 78, 86, 150])
    shown = texts(figure).split("\n")
    assert {"β = 0.5", "β = 1", "β = 2", "β = 10", "vanilla"} <= set(shown)
    assert "beta (beta=2.0)" not in shown
    drawn(figure)


def test_two_sweeps_are_two_lines_and_one_beta_is_none() -> None:
    records = [*sweep((1.0, 4.0)), *sweep((1.0, 4.0), posterior="full"), *sweep((2.0,), network="conv")]
    figure: Any = rate_distortion.rate_distortion(view(records))
    colours = {line.get_color() for line in figure.axes[0].lines if line.get_linewidth() == 1.5}
    assert len(colours) == 2
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert sorted(legend) == ["beta", "beta (posterior=full)"]
    shown = texts(figure).split("\n")
    assert shown.count("β = 4") == 2
    assert "beta (beta=2.0, network=conv)" in shown
    drawn(figure)


def test_speeds_name_the_conditions_that_all_share_and_begin_with_the_fastest_on_any_device() -> None:
    medians = {"cpu": {"vanilla": 100.0, "conv": 2_000.0}, "cuda:0": {"vanilla": 50_000.0, "conv": 3_000.0}}
    records = [fake.throughput(name, device=device) for device, each in medians.items() for name in each]
    for record in records:
        median = medians[record.cell["device"]][record.cell["variant"]]
        record.metrics = {**record.metrics, "train_samples_per_s": Timed(median)}
    figure: Any = speed.throughput(view(records))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["vanilla", "conv"]
    assert bars(figure.axes[0]) == [(0, 100), (0, 2_000)]
    columns = view(records).timed.columns
    assert speed._conditions(columns) == "batch 128, 1 thread."
    assert speed._conditions({"cpu": columns["cpu"]}) == "batch 128, 1 thread, Example CPU."
    records[0].cell["threads"] = 8
    assert speed._conditions({"cpu": columns["cpu"]}) == "batch 128, Example CPU."
    ticks = {0: "0", 950: "950", 1_000: "1k", 12_000: "12k", 1_500_000: "1.5M"}
    assert [speed._tick(value) for value in ticks] == list(ticks.values())


def test_a_row_stands_at_the_speed_of_its_own_device_and_at_the_nll_of_most_samples() -> None:
    names = ("vanilla", "conv")
    records = [fake.quality(name, seed, device="cuda:0") for name in names for seed in range(3)]
    for record in records:
        record.metrics["nll_is50_nats"] = 200.0
    timed = {name: fake.throughput(name, device="cuda:0") for name in names}
    seen = view([*records, *timed.values(), *map(fake.throughput, names)])
    figure: Any = tradeoff.quality_and_speed(seen)
    found = [tuple(cloud.get_offsets()[0]) for cloud in figure.axes[0].collections]
    of_speed = [timed[row.variant].metrics["train_samples_per_s"].median for row in seen.rows]  # type: ignore[union-attr]
    np.testing.assert_allclose(found, list(zip(of_speed, means(seen, "nll_is500_nats"), strict=True)))


def test_without_a_baseline_all_are_held_against_the_best() -> None:
    records = [fake.quality(v, s, elbo=at) for v, at in (("conv", -97.0), ("iwae", -100.0)) for s in range(3)]
    figure: Any = elbo.paired_differences(view(records))
    assert "Difference from conv" in texts(figure)
    assert [cloud.get_offsets()[0][0] for cloud in figure.axes[0].collections] == [pytest.approx(-3)]


def test_a_picture_says_of_how_many_rows_it_shows_the_best() -> None:
    count = bars_of.MOST_ROWS + 5
    records = [fake.quality("beta", 0, elbo=-100.0 - i, overrides={"beta": i}) for i in range(count)]
    (group,) = map(bars_of.shown, groups.groups(records))
    assert View("mnist-dynamic", (group,)).where == "mnist-dynamic, binary likelihood (the best 30 of 35 rows)"
    assert view(records[:3]).where == "mnist-dynamic, binary likelihood"


def test_pictures_stand_in_the_order_in_which_they_are_read() -> None:
    assert [plot.name for plot in figures.plots() if plot.order < 10] == [
        *("elbo_by_variant", "paired_differences", "quality_and_speed", "rate_distortion", "inference_gaps"),
        *("elbo_surgery", "kl_per_dimension", "learning_curves", "elbo_against_seconds", "evidence"),
    ]


def test_a_prior_is_drawn_where_codes_were_held_to_one() -> None:
    records = [fake.quality(variant, 0, support="binary") for variant in ("vanilla", "autoencoder", "full_covariance")]
    records[2].model.prior = "vamp"
    figure: Any = latent.latent_plane(view(records, kept(records)))
    dashed = {
        axis.get_title(loc="left").split("\n")[0]: sum(
            type(item).__name__ == "EllipseCollection" and item.get_linestyle()[0][1] is not None
            for item in axis.collections
        )
        for axis in figure.axes
    }
    assert dashed == {"autoencoder": 0, "vanilla": 1, "full_covariance": 0}


def test_groups_that_differ_in_their_likelihood_alone_share_what_ranks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Any = [Plot(needs, needs, lambda view: view) for needs in ("group", "dataset", "setting")]  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(figures, "plots", lambda: seen)
    records = [fake.quality(name, 0) for name in ("vanilla", "autoencoder")]
    made: Any = figures.drawn("mnist-dynamic", records, {})
    assert [(name, [group.settings["support"] for group in each.groups]) for name, each in made] == [
        ("mnist-dynamic-binary_group", ["binary"]),
        ("mnist-dynamic-real_group", ["real"]),
        ("mnist-dynamic_dataset", ["binary", "real"]),
        ("mnist-dynamic_setting", ["binary", "real"]),
    ]


def test_a_stack_has_the_interval_of_its_sums_and_each_part_its_figure() -> None:
    parts = {"amortisation_gap_nats": 3.0, "approximation_gap_full_nats": 1.0}
    own = ("approximation_gap_nats", "approximation_gap_diagonal_nats")
    records = [measured("vanilla", s, **parts, **dict.fromkeys(own, 2.0 + s / 10)) for s in range(3)]
    figure: Any = gaps.inference_gaps(view(records))
    left, right = figure.axes
    summary = intervals.summarise([5.0, 5.1, 5.2])
    (line,) = (line for line in left.lines if line.get_linewidth() == 1.6)
    assert list(line.get_xdata()) == pytest.approx([summary.low, summary.high])
    assert [text.get_text() for text in left.texts] == ["2.10", "3.00", "5.10"]
    found = [cloud.get_offsets()[:, 0] for cloud in right.collections]
    np.testing.assert_allclose(found, [[2.0, 2.1, 2.2], [1.0] * 3])


def test_labels_that_are_cut_to_the_same_are_numbered_and_switches_have_no_order() -> None:
    long = [{"network": "v" * 80 + end} for end in "xy"]
    (group,) = groups.groups([fake.quality("vanilla", 0, overrides=overrides) for overrides in long])
    labels = [row.label for row in bars_of.shown(group).rows]
    assert labels == [f"{clip(group.rows[0].label, style.LONGEST_LABEL)} #{place}" for place in (1, 2)]
    for values, wanted in (((1, 2, 3), "a"), ((1, 2), ""), ((True, False, 2), ""), (("x", 1, 2), "")):
        (group,) = groups.groups([fake.quality("vanilla", 0, overrides={"a": value}) for value in values])
        assert bars_of.parameter(group.rows) == wanted


def test_of_three_rows_none_is_far_and_a_worse_one_is_as_full_as_a_better_one() -> None:
    levels = {"conv": -97.0, "vanilla": -100.0, "beta": -160.0}
    records = [fake.quality(name, s, elbo=at + s / 10) for name, at in levels.items() for s in range(3)]
    figure: Any = elbo.elbo_by_variant(view(records))
    assert "beyond this axis" not in texts(figure)
    figure = elbo.paired_differences(view(records))
    assert [cloud.get_facecolor().tolist() for cloud in figure.axes[0].collections] == [
        cloud.get_edgecolor().tolist() for cloud in figure.axes[0].collections
    ]
    # While they learn, it is said why none is the best.
    for record in records:
        record.curve[-1]["valid_elbo_nats"] = 500.0
    assert "No row is called the best: longer training" in " ".join(texts(elbo.elbo_by_variant(view(records))).split())


def test_the_axis_of_curves_begins_where_a_fifth_of_the_training_is_done() -> None:
    records = [fake.quality(name, 0, device=device) for name in ("vanilla", "conv") for device in ("cpu", "cuda")]
    for record in records:
        for point in record.curve:
            point["valid_elbo_nats"] = -100.0 + point["epoch"]  # type: ignore[operator]
    figure: Any = elbo.learning_curves(view(records))
    (axis,) = figure.axes
    assert axis.get_ylim() == pytest.approx((-97 - 0.04 * 7, -90 + 0.06 * 7))
    early = "The earliest epochs lie below the axis."
    assert early in " ".join(texts(figure).split())
    assert {line.get_label()[-5:]: line.get_linestyle() for line in axis.lines} == {"[cpu]": "-", "cuda]": "--"}
    # A curve that turns down is seen whole.
    for record in records:
        record.curve[4]["valid_elbo_nats"] = -80.0  # type: ignore[index]
    turned: Any = elbo.learning_curves(view(records))
    assert turned.axes[0].get_ylim() == pytest.approx((-97 - 0.04 * 17, -80 + 0.06 * 17))
    for record in records:
        record.curve = [{**point, "valid_elbo_nats": -100.0} for point in record.curve]
    assert early not in " ".join(texts(elbo.learning_curves(view(records))).split())
    # One epoch is no curve.
    assert elbo.learning_curves(view([fake.quality(name, 0, epochs=1) for name in ("vanilla", "conv")])) is None


def test_curves_of_a_swept_parameter_stand_in_its_order() -> None:
    levels = {4: -103.0, 0.5: -100.5, 1: -100.0, 2: -101.0}
    records = [fake.quality("beta", 0, elbo=at, overrides={"beta": b}) for b, at in levels.items()]
    seen = View("mnist-dynamic", tuple(map(bars_of.shown, groups.groups(records))))
    figure: Any = elbo.learning_curves(seen)
    assert [line.get_label() for line in figure.axes[0].lines] == [f"beta (beta={b})" for b in sorted(levels)]
    assert figure.axes[0].get_legend().get_title().get_text() == "by beta"


def test_rows_that_saw_other_numbers_of_points_have_no_bound_in_common() -> None:
    records = [measured(name, 0) for name in ("vanilla", "iwae")]
    records[0].latent["points"] = 100
    figure: Any = gaps.elbo_surgery(view(records))
    assert not [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert "Dashed" not in texts(figure)
    # A plot that compares by any of two figures needs one of them.
    (plot,) = (plot for plot in figures.plots() if plot.name == "evidence")
    for gone in ("nll_ais_nats", "bdmc_gap_nats"):
        assert plot.applies(view([measured(name, 0, **{gone: None}) for name in ("vanilla", "iwae")]))


def test_points_of_the_latent_plane_stand_at_their_means_in_the_colour_of_their_class() -> None:
    from matplotlib.colors import to_hex

    record = fake.quality("full_covariance", 0)
    arrays = fake.artefact(record, points=30)
    figure: Any = latent.latent_plane(view([record], {record.id: arrays}))
    (axis,) = figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("latent axis 3", "latent axis 11")
    cloud = axis.collections[0]
    np.testing.assert_allclose(cloud.get_offsets(), arrays["latent_mean"])
    assert [to_hex(colour) for colour in cloud.get_facecolor()] == [style.CLASSES[label] for label in arrays["labels"]]
    outlines = axis.collections[1]
    np.testing.assert_allclose(outlines.get_offsets(), arrays["latent_mean"][: latent.ELLIPSES])
    # A plane with a hole is none.
    arrays["latent_mean"][7, 1] = np.nan
    assert not set(pictures.PLANE) & pictures._fitting(arrays).keys()


def test_active_dimensions_are_a_mean_over_seeds() -> None:
    records = [measured("vanilla", seed) for seed in range(2)]
    records[1].latent["mean_variance"] = [0.9, 0.002, 0.003, 0.001]
    assert "2 active" in texts(latent.kl_per_dimension(view(records))).split("\n")


@pytest.mark.parametrize("shape", [(1, 32, 20), (3, 8, 8)])
def test_reconstructions_stand_below_their_inputs_each_image_at_its_place(shape: tuple[int, ...]) -> None:
    records = [fake.quality("vanilla", seed) for seed in range(2)]
    arrays = {record.id: fake.artefact(record, shape) for record in records}
    first, second = arrays.values()
    second |= {name: 255 - second[name] for name in ("inputs", "reconstructions")}
    figure: Any = pictures.reconstructions(view(records, arrays))
    height, width = shape[1:]
    gap = max(1, height // 16)
    for axis, name in zip(figure.axes, ("inputs", "reconstructions"), strict=True):
        sheet = np.asarray(axis.images[0].get_array())
        assert sheet.shape == (height, 10 * (width + gap) - gap, 3)
        for place, image in enumerate(first[name][:10]):
            left = place * (width + gap)
            assert (sheet[:, left : left + width] == image.transpose(1, 2, 0)).all()
    figure = pictures.samples(view(records, arrays))
    for axis, name in zip(figure.axes, ("inputs", "samples"), strict=False):
        sheet = np.asarray(axis.images[0].get_array())
        for place, image in enumerate(first[name]):
            top, left = place // 8 * (height + gap), place % 8 * (width + gap)
            assert (sheet[top : top + height, left : left + width] == image.transpose(1, 2, 0)).all()


def test_sweeps_on_two_devices_are_two_lines_and_many_rows_have_a_legend_in_place_of_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_distortion, "MOST_LABELS", 2)
    records = sweep((1.0, 4.0))
    for record in sweep((1.0, 4.0)):
        record.cell["device"], record.id = "cuda", f"{record.id}_cuda"
        records.append(record)
    figure: Any = rate_distortion.rate_distortion(view(records))
    assert [len(line.get_xdata()) for line in figure.axes[0].lines if line.get_linewidth() == 1.5] == [2, 2]
    legend = figure.axes[0].get_legend()
    assert sorted(text.get_text() for text in legend.get_texts()) == ["beta [cpu]", "beta [cuda]"]
    names = [f"variant_{place}" for place in range(rate_distortion.MOST_LABELS + 1)]
    figure = rate_distortion.rate_distortion(view([fake.quality(n, 0, elbo=-100.0 - p) for p, n in enumerate(names)]))
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == names
    assert legend.get_title().get_text() == "best ELBO first"
    assert not {text.get_text() for text in figure.axes[0].texts} & set(names)


def test_a_speed_is_doubted_where_its_quartiles_are_half_of_it_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "MOST_ROWS", 2)
    apart = {"conv": Timed(100.0, 75.0, 126.0), "beta": Timed(90.0, 70.0, 114.0)}
    records = [fake.throughput(name) for name in (*apart, "iwae")]
    for record in records:
        record.metrics = {"train_samples_per_s": apart.get(record.cell["variant"], Timed(50.0))}
    figure: Any = speed.throughput(view(records))
    assert [text.get_text() for text in figure.axes[0].texts] == ["100 ?", "90.0"]
    assert "(the fastest 2 of 3 in training)" in " ".join(texts(figure).split())
    assert "the fastest 2" not in texts(speed.throughput(view(records[:2])))
    shorts = {0.0: "0.00", 9.996: "10.0", 99.96: "100", 999.6: "1.00k", 99_960.0: "100k", 999_600.0: "1.00M"}
    assert [speed._short(value) for value in shorts] == list(shorts.values())


def test_a_figure_is_the_same_whatever_a_user_has_set_and_a_dollar_is_one() -> None:
    import matplotlib

    def made() -> bytes:
        with style.panels(3, 2) as (figure, (axis,)):
            axis.plot([0, 1], [0, 1], label="a")
            axis.legend(title="it costs $1$ or $2$")
        return style.svg(figure)

    plain = made()
    assert "it costs $1$ or $2$" in plain.decode()
    with matplotlib.rc_context({"lines.linewidth": 9, "legend.fontsize": 30, "axes.labelpad": 20}):
        assert made() == plain


def test_a_row_has_its_quartiles_its_interval_and_its_name_and_a_better_elbo_stands_further_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named: list[Any] = []
    monkeypatch.setattr(
        "textalloc.allocate", lambda _, x, y, labels, **__: named.extend(zip(x, y, labels, strict=True))
    )
    names = ("vanilla", "conv", "beta")
    records = [fake.quality(name, seed) for name in names for seed in range(3)]
    for record in records:
        del record.metrics["nll_is500_nats"]
    seen = view([*records, *map(fake.throughput, names)])
    figure: Any = tradeoff.quality_and_speed(seen)
    (axis,) = figure.axes
    assert axis.get_ylabel() == "ELBO (nats), better is up"
    assert not axis.yaxis_inverted()
    wanted, lines = [], [(list(line.get_xdata()), list(line.get_ydata())) for line in axis.lines[1:]]
    for row in seen.rows:
        speed_of: Any = seen.timed.columns["cpu"][row.name].metrics["train_samples_per_s"]
        of_elbo: Any = row.summary("elbo_nats")
        wanted.append(([speed_of.median] * 2, [of_elbo.low, of_elbo.high]))
        wanted.append(([speed_of.q1, speed_of.q3], [of_elbo.mean] * 2))
        assert (speed_of.median, of_elbo.mean, row.label) in named
    assert lines == wanted
    # conv is the best, and beta worse than vanilla: of those two the faster one counts.
    full = [cloud.get_facecolor().tolist() == cloud.get_edgecolor().tolist() for cloud in axis.collections]
    speeds_of = answer.training_speeds(seen.group, seen.timed)
    places = {row.label: (speeds_of.get(row), row.summary("elbo_nats")) for row in seen.rows}
    values: Any = {label: (s.mean, *tradeoff._quartiles(t)) for label, (t, s) in places.items() if t and s}
    assert full == [row.label in tradeoff.front_of(values) for row in seen.rows]
    assert full[0]
