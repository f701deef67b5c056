"""Data of one's own: right ones are split, named and told, others are refused in one line that says what settles it."""

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import bench.data as data
from bench.data.batches import Data
from bench.data.given import memory, prepare, splits, store, tables
from bench.data.given.facts import Facts, Scaling
from bench.data.given.source import some
from bench.errors import DataError, MachineError, UsageError
from variants.data_spec import DataSpec

RNG = np.random.default_rng(0)
COUNTS = RNG.integers(0, 256, (50, 9, 7), dtype=np.uint8)
GREYS = RNG.random((50, 3, 8, 8)).astype(np.float32)
VECTORS = RNG.normal(size=(60, 5))
CELLS = RNG.poisson(0.7, (60, 8))


def save(folder: Path, **arrays: np.ndarray) -> str:
    path = folder / "mine.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return str(path)


def rows(loaded: Data, split: str) -> torch.Tensor:
    return torch.cat([x for x, _ in loaded.eval_batches(split, 16)])


def classes(loaded: Data, split: str) -> list[int]:
    return [int(y) for _, labels in loaded.eval_batches(split, 16) for y in labels]


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    return str(caught.value)


# --- splits


def test_a_file_sorted_by_class_is_split_class_by_class(tmp_path: Path) -> None:
    """Ten classes in a row: each split has all of them, and its own."""
    images = np.arange(500, dtype=np.float32).reshape(500, 1, 1).repeat(4, 1).repeat(4, 2) / 500
    loaded = data.load(save(tmp_path, train=images, train_labels=np.arange(500) // 50))
    assert loaded.splits == {"train": 400, "valid": 50, "test": 50}
    for split, each in (("train", 40), ("valid", 5), ("test", 5)):
        assert np.bincount(classes(loaded, split)).tolist() == [each] * 10
        assert torch.equal((rows(loaded, split)[:, 0, 0, 0] * 500).round() // 50, torch.tensor(classes(loaded, split)))
    held = {round(float(x[0, 0, 0]) * 500) for split in ("train", "valid", "test") for x in rows(loaded, split)}
    assert held == set(range(500))
    assert "in 10 classes; splits valid and test held out by a fixed permutation, class by class" in loaded.says[0]


@pytest.mark.parametrize("missing", [("test",), ("valid",), ("test", "valid")])
@pytest.mark.parametrize("n", [10, 19, 57, 230])
def test_what_is_held_out_is_disjoint_and_of_every_class_its_share(n: int, missing: tuple[str, ...]) -> None:
    labels = np.sort(RNG.integers(0, 4, n))
    parts = splits.hold_out(labels, missing, "mine")
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(n))
    for split in missing:
        assert len(parts[split]) == n // 10
        share = np.bincount(labels[parts[split]], minlength=4) - np.bincount(labels, minlength=4) / n * (n // 10)
        assert abs(share).max() < 1.5
    again = splits.hold_out(labels, missing, "mine")
    assert all((parts[split] == again[split]).all() for split in parts)


def test_who_is_held_out_is_the_same_for_everybody() -> None:
    """A change of these makes old results on own data incomparable."""
    parts = splits.hold_out(np.arange(40) % 2, ("test", "valid"), "mine")
    assert (parts["test"].tolist(), parts["valid"].tolist()) == ([4, 17, 18, 27], [3, 16, 35, 38])
    assert splits.hold_out(np.zeros(20, dtype=np.int64), ("test",), "mine")["test"].tolist() == [7, 9]


def test_every_example_that_stands_in_an_earlier_split_is_counted() -> None:
    """Also one that stands there twice."""
    train, valid, test = ([[0], [1], [1], [2]], [[1], [1], [3]], [[3], [3], [0], [9]])
    found = splits.duplicates({"train": np.array(train), "valid": np.array(valid), "test": np.array(test)})
    assert found == {"valid": 2, "test": 3}


def test_given_splits_are_kept(tmp_path: Path) -> None:
    loaded = data.load(save(tmp_path, train=GREYS, valid=GREYS[:4], test=GREYS[:3], test_labels=np.array([2, 1, 0])))
    assert loaded.splits == {"train": 50, "valid": 4, "test": 3}
    assert torch.equal(rows(loaded, "train"), torch.from_numpy(GREYS))
    assert classes(loaded, "test") == [2, 1, 0]
    assert classes(loaded, "valid") == [0] * 4
    assert "train, valid have no labels, and what needs them is not measured" in loaded.says
    assert "4 of 4 valid examples stand in an earlier split too" in loaded.says
    assert "3 of 3 test examples stand in an earlier split too" in loaded.says


def test_one_missing_split_is_held_out() -> None:
    loaded = data.own(COUNTS, test=COUNTS[:7])
    assert loaded.splits == {"train": 45, "valid": 5, "test": 7}
    assert "splits valid held out by a fixed permutation; kind" in loaded.says[0]


def test_splits_and_labels_are_given_each_by_its_name() -> None:
    parts = {"train": COUNTS[:30], "valid": COUNTS[30:40], "test": COUNTS[40:]}
    labels = {"train": np.arange(30) % 3, "valid": np.arange(10) % 2, "test": np.arange(10) // 5}
    given = {"valid": parts["valid"], "test": parts["test"], "labels": labels["train"]}
    given |= {"valid_labels": labels["valid"], "test_labels": labels["test"]}
    loaded = data.own(parts["train"], device="meta", **given)
    assert loaded.device.type == "meta"
    assert "in 3 classes; splits as given; " in loaded.says[0]
    for split, x in parts.items():
        assert np.array_equal(loaded.raw.images[split][:, 0], x)
        assert np.array_equal(loaded.raw.labels[split], labels[split])
    del given["valid_labels"]
    says = data.own(parts["train"], **given).says
    assert "valid has no labels, so those of train, test are not used" in says
    del given["test_labels"]
    loaded = data.own(parts["train"], **given)
    assert "valid, test have no labels, so those of train are not used" in loaded.says
    # A class that nobody gave is none that a probe could be judged by.
    assert not any(loaded.raw.labels[split].any() for split in parts)
    assert "has test already: leave test= out" in refusal(lambda: data.own(parts, test=COUNTS))
    assert "has splits of its own, and is given as test" in refusal(lambda: data.own(COUNTS, test=parts))
    assert "test_labels are of a split that is not given" in refusal(lambda: data.own(COUNTS, test_labels=[0]))


def test_whatever_a_model_may_see_makes_other_data() -> None:
    """Data of one checksum are one file in the store."""
    given = dict.fromkeys(("train", "valid", "test"), GREYS[:10])
    labels = {f"{split}_labels": np.zeros(10, dtype=int) for split in given}
    whole = dict.fromkeys(given, COUNTS[:10])
    readings = [
        data.own(given | labels),
        *(data.own(given | labels | {key: np.ones(10, dtype=int)}) for key in labels),
        *(data.own(given | labels | {split: GREYS[10:20]}) for split in given),
        data.own(given | labels, kind="real", scale="none"),
        data.own({split: x.reshape(10, 3, 4, 16) for split, x in given.items()}, layout="NCHW"),
        data.own({"train": GREYS[:9], "valid": GREYS[9:20], "test": GREYS[:10]}),
        data.own(whole, kind="unit"),
        data.own(whole, kind="levels"),
        data.own(whole, kind="counts"),
        data.own(whole, kind="real", scale="none"),
    ]
    assert len({each.checksum for each in readings}) == len(readings)
    for each in readings:
        name = data.store(each)
        kept = data.load(name)
        assert (kept.spec, kept.binarise, kept.says) == (each.spec, each.binarise, each.says)
        assert data.default_binarise(name) == each.binarise


def test_the_mean_that_a_spec_has_is_that_of_the_data(tmp_path: Path) -> None:
    name = save(tmp_path, train=COUNTS)
    for how in ("none", "threshold", "levels"):
        mean = data.spec(name, how).mean
        assert mean is not None
        assert (mean() == data.load(name, binarise=how).mean()).all()


def test_what_was_decided_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    loaded = data.dataset(VECTORS * 9)
    assert len(loaded.says) == 2
    assert capsys.readouterr().err.splitlines() == [f"vaebench: {line}" for line in loaded.says]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        *[(name, True) for name in ("gone.csv", "GONE.CSV", "a/gone", "here", "mine-0123abcd", "../mine-0123abcd")],
        *[(name, False) for name in ("digits", "gone", "mine-0123abc", "mine-0123ABCD", "", ".", "..", "\0", 3)],
    ],
)
def test_what_is_data_of_a_user_s_own(name: Any, own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for there in ("here", "digits"):
        (tmp_path / there).mkdir()
    assert data.is_user_file(name) == own


def test_own_data_that_were_sent_to_another_machine_are_read_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_kept", {})
    loaded = data.own(COUNTS, name="sent", binarise="fixed")
    file = data.file_of(data.store(loaded))
    sent = file.replace(tmp_path / "sent")
    data.keep(loaded.name, "fixed", str(sent))
    sent.unlink()
    kept = data.load(loaded.name, binarise="fixed")
    assert (kept.spec, kept.checksum, kept.says) == (loaded.spec, loaded.checksum, loaded.says)
    assert torch.equal(rows(kept, "test"), rows(loaded, "test"))


def test_every_split_is_looked_at() -> None:
    parts = {"train": GREYS[:30, 0, 0], "valid": GREYS[30:40, 0, 0], "test": GREYS[40:, 0, 0]}
    assert data.own(parts).spec.kind == "unit"
    for split in parts:
        wide = parts | {split: 3 * parts[split]}
        assert data.own(wide).spec.kind == "real"
        hollow = parts | {split: np.where(parts[split] == parts[split].max(), np.nan, parts[split])}
        assert f"{split} has 1 missing (NaN) of " in refusal(lambda hollow=hollow: data.own(hollow))


def test_data_are_kept_where_the_root_is(tmp_path: Path) -> None:
    name = data.store(data.own(VECTORS, name="at_home"))
    with pytest.raises(DataError, match=f"these data are not in {tmp_path}"):
        data.load(name, root=tmp_path)
    (tmp_path / "own").mkdir()
    store.path(name).replace(store.path(name, tmp_path))
    assert data.load(name, root=tmp_path).name == name


def test_a_size_above_what_there_is_takes_all() -> None:
    assert data.own(COUNTS, train_size=1000).splits["train"] == 40
    assert data.own(COUNTS, train_size=3).splits["train"] == 3
    with pytest.raises(UsageError, match="train_size must be a whole number"):
        data.own(COUNTS, train_size=0)


# --- kinds and scales

IMAGES = RNG.integers(0, 2, (40, 6, 6))
GUESSES: dict[str, tuple[np.ndarray, str, str]] = {
    "masks": (IMAGES.astype(np.uint8), "binary", "zeros and ones"),
    "bools": (IMAGES.astype(bool), "binary", "zeros and ones"),
    "floats of 0 and 1": (IMAGES.astype(np.float32), "binary", "zeros and ones"),
    "black and white": ((255 * IMAGES).astype(np.uint8), "binary", "0 and 255, read as zeros and ones"),
    "whole numbers of 0 and 1": (IMAGES.reshape(40, 36), "binary", "zeros and ones"),
    "grey": (COUNTS, "unit", "grey levels from 0 to 255, over 255"),
    "black": (np.zeros((40, 6, 6), dtype=np.uint8), "unit", "grey levels from 0 to 255, over 255"),
    "all of one grey": (np.full((40, 6, 6), 90, dtype=np.uint8), "unit", "grey levels from 0 to 255, over 255"),
    "grey as whole numbers": (COUNTS.astype(np.int64), "unit", "grey levels from 0 to 255, over 255"),
    "grey as floats": (COUNTS.astype(np.float64), "unit", "grey levels from 0 to 255, over 255"),
    "floats to 255": (GREYS * 255, "unit", "grey levels from 0 to 255, over 255"),
    "floats to 1": (GREYS, "unit", "numbers in [0, 1]"),
    "floats from -1": (GREYS * 2 - 1, "unit", "numbers in [-1, 1], read as (x + 1) / 2"),
    "standardised columns": (VECTORS, "real", "numbers from"),
    "z-scored [N, 1, D]": (VECTORS[:, None], "real", "numbers from"),
    "counts": (CELLS, "counts", "counts from 0 to"),
    "counts with a zero in one column of two": (
        np.stack([np.arange(40), np.arange(1, 41)], axis=1),
        "counts",
        "counts",
    ),
    "whole pictures from -1": (np.arange(40 * 108).reshape(40, 3, 6, 6) % 3 - 1, "real", "whole numbers from -1 to 1"),
    "counts as floats": (CELLS.astype(np.float32), "counts", "counts from 0 to"),
}


@pytest.mark.parametrize("name", GUESSES)
def test_the_kind_is_guessed_told_and_what_is_modelled_is_of_it(name: str) -> None:
    given, kind, words = GUESSES[name]
    loaded = data.own(given)
    assert loaded.spec.kind == kind
    assert f"kind {kind} ({words}" in loaded.says[0]
    assert loaded.says[0].endswith("scale none")
    x = torch.cat([rows(loaded, split) for split in ("train", "valid", "test")]).double()
    assert x.dtype == torch.float64
    if kind == "binary":
        assert set(x.unique().tolist()) == {0.0, 1.0}
    if kind == "unit":
        assert x.min() >= 0
        assert 0.95 < x.max() <= 1 or given.std() == 0
    # Undone, they are the given values again.
    back = loaded.scaling.undo(x).flatten(1).numpy()
    wanted = given.astype(np.float64).reshape(len(given), -1)
    assert np.allclose(np.sort(back, 0), np.sort(wanted, 0), atol=1e-4)


AMBIGUOUS: dict[str, tuple[np.ndarray, dict[str, object], dict[str, object]]] = {
    "pictures to 16": (RNG.integers(0, 17, (40, 8, 8)), {"kind": "unit", "levels": 17}, {"kind": "counts"}),
    "pictures to 4000": (RNG.integers(0, 4000, (40, 8, 8)), {"kind": "unit", "levels": 4096}, {"kind": "counts"}),
    "bytes in rows": (RNG.integers(0, 256, (40, 9), dtype=np.uint8), {"kind": "unit"}, {"kind": "counts"}),
    "whole numbers without a zero": (RNG.integers(1950, 2020, (40, 3)), {"kind": "counts"}, {"kind": "real"}),
    "a zero in one column of three": (
        np.stack([np.arange(40), np.arange(1, 41), np.arange(2, 42)], axis=1),
        {"kind": "counts"},
        {"kind": "real"},
    ),
    "pictures to 1.5": (GREYS * 1.5, {"kind": "real"}, {"scale": "unit"}),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_guess_that_could_be_wrong_is_refused_with_both_options(name: str) -> None:
    given, one, other = AMBIGUOUS[name]
    line = refusal(lambda: data.own(given))
    assert "may be read in two ways: say " in line
    for options in (one, other):
        key, value = next(iter(options.items()))
        assert f"{key}={value}" in line
    # What either says is taken as it stands.
    for said in line.split(": say ")[1].split(" or "):
        taken = {key: int(value) if key == "levels" else value for key, value in re.findall(r"(\w+)=(\w+)", said)}
        assert data.own(given, **taken).spec.kind == taken.get("kind", "unit")
    for options in (one, other):
        key, value = next(iter(options.items()))
        assert data.own(given, **options).spec.kind == {"unit": "unit"}.get(str(value), value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        (GREYS, {"kind": "binary"}, "kind=binary needs two values, 0 and another one; found numbers from"),
        (VECTORS, {"kind": "unit"}, "kind=unit needs numbers in [0, 1] or grey levels"),
        (VECTORS, {"kind": "counts"}, "kind=counts needs whole numbers"),
        (VECTORS, {"kind": "levels"}, "kind=unit needs"),
        (GREYS, {"kind": "levels"}, "kind=levels needs whole numbers"),
        (COUNTS, {"levels": 17}, "levels=17 are the whole numbers from 0 to 16; found whole numbers from 0 to"),
        (COUNTS, {"levels": COUNTS.max()}, "levels must be a whole number"),
        (COUNTS, {"levels": int(COUNTS.max())}, "levels=255 are the whole numbers from 0 to 254"),
        (GREYS, {"levels": 17}, "levels=17 are the whole numbers from 0 to 16; found numbers from"),
        (CELLS + 2**24, {"kind": "counts"}, "kind=counts needs whole numbers from 0 to 16,777,216"),
        (COUNTS, {"name": ""}, "name must be a text, got ''"),
        (COUNTS, {"scale": ["unit"]}, "scale must be a text, got ['unit']"),
        (COUNTS, {"kind": "grey"}, "kind must be one of binary, unit, real, levels, counts, got 'grey'"),
        (VECTORS, {"scale": "log"}, "scale must be one of none, unit, standard"),
        (GREYS, {"scale": "standard", "kind": "unit"}, "scale=standard makes values of kind=real"),
        (GREYS, {"levels": 1}, "levels must be a whole number from 2 to 65536, got 1"),
    ],
)
def test_what_values_cannot_be_is_refused(given: np.ndarray, options: dict[str, Any], says: str) -> None:
    assert says in refusal(lambda: data.own(given, **options))


def test_columns_are_standardised_by_the_training_split_and_that_is_undone() -> None:
    table = VECTORS * [1, 10, 1000, 1e-3, 1] + [0, 50, 1e6, 0, 3]
    loaded = data.own(table)
    train = rows(loaded, "train").double()
    assert torch.allclose(train.mean(0), torch.zeros(5, dtype=torch.float64), atol=1e-5)
    assert torch.allclose(train.std(0, correction=0), torch.ones(5, dtype=torch.float64), atol=1e-5)
    assert loaded.says[1] == "columns or channels are standardised, for they were not; scale=none leaves them"
    assert loaded.options == {"scale": "standard"}
    back = loaded.scaling.undo(rows(loaded, "test").double()).numpy()
    assert all(np.isclose(table, row, rtol=1e-4).all(1).any() for row in back)
    # log p of the given values is that of the modelled ones, less the volume: a Gaussian by hand.
    x = loaded.scaling.apply(torch.from_numpy(table))
    volume = loaded.scaling.log_volume((5,))
    normal, factor = torch.distributions.Normal(0, 1), torch.from_numpy(np.asarray(loaded.scaling.factor))
    mean = torch.from_numpy(np.asarray(loaded.scaling.shift))
    direct = torch.distributions.Normal(mean, factor).log_prob(torch.from_numpy(table)).sum(1)
    assert torch.allclose(normal.log_prob(x).sum(1) - volume, direct)
    units = loaded.raw.facts.units((5,))
    assert units == f"log densities of values standardised; minus {volume:,.2f} nats for the values as given"
    plain = data.own(table, scale="none")
    assert plain.scaling.plain
    assert plain.options == {}
    assert plain.raw.facts.units((5,)) == "log densities of the values as they are"


@pytest.mark.parametrize(("factor", "shift"), [(1, 0), (1, 3), (1, -3), (5, 0), (0.1, 0)])
def test_columns_are_left_alone_that_are_about_standardised(factor: float, shift: float) -> None:
    vectors = factor * (VECTORS - VECTORS.mean(0)) + shift
    loaded = data.own(vectors)
    assert loaded.options == ({} if (factor, shift) == (1, 0) else {"scale": "standard"})


@pytest.mark.parametrize("shift", [0, 10, -10])
def test_a_range_is_that_of_the_training_split_and_what_lies_beyond_is_told(shift: int) -> None:
    vectors = VECTORS + shift
    test = np.vstack([vectors[:3], vectors.max(0) + 1])
    loaded = data.own(vectors, test=test, scale="unit")
    assert loaded.spec.kind == "unit"
    assert rows(loaded, "train").min(0).values.tolist() == [0] * 5
    assert rows(loaded, "train").max(0).values.tolist() == [1] * 5
    assert rows(loaded, "test").min() >= 0
    assert rows(loaded, "test").max() == 1
    assert any(
        line.endswith("held-out values lie beyond the range of train and are set to its ends") for line in loaded.says
    )


def test_as_many_values_are_said_to_lie_beyond_as_do() -> None:
    train = np.array([[0.0, 0.0], [4.0, 2.0]])
    given = {"train": train, "valid": np.array([[-1.0, 1.0], [2.0, 3.0]]), "test": np.array([[4.0, 9.0]])}
    loaded = data.own(given, scale="unit")
    assert "3 held-out values lie beyond the range of train and are set to its ends" in loaded.says
    assert rows(loaded, "valid").tolist() == [[0.0, 0.5], [0.5, 1.0]]
    assert loaded.options == {"scale": "unit"}
    assert not any("beyond" in line for line in data.own(given | {"valid": train, "test": train}, scale="unit").says)


def test_pictures_have_one_range_for_all_pixels_and_channels() -> None:
    loaded = data.own(GREYS * [[[300.0]], [[20.0]], [[1.0]]], scale="unit", layout="NCHW")
    assert np.asarray(loaded.scaling.factor).shape == ()
    assert rows(loaded, "train").amax((0, 2, 3)).tolist() == pytest.approx([1.0, 20 / 300, 1 / 300], rel=0.05)


def test_masks_may_be_empty() -> None:
    loaded = data.own(np.zeros((40, 6, 6), dtype=np.uint8), kind="binary")
    assert rows(loaded, "test").unique().tolist() == [0.0]
    assert "zeros and ones" in loaded.says[0]


def test_images_are_standardised_channel_by_channel() -> None:
    loaded = data.own(GREYS * 300 - 70, kind="real")
    assert np.asarray(loaded.scaling.shift).shape == (3, 1, 1)
    assert torch.allclose(rows(loaded, "train").mean((0, 2, 3)), torch.zeros(3), atol=1e-4)


def test_levels_go_to_a_likelihood_of_their_own() -> None:
    raw = prepare(COUNTS, data_options(kind="levels"))
    assert (raw.facts.kind, raw.facts.binarise, raw.levels) == ("unit", "levels", 255)


@pytest.mark.parametrize(
    ("factor", "words"), [(10.0, "minus 6.91 nats"), (0.1, "plus 6.91 nats"), (1.0, "minus 0.00 nats")]
)
def test_what_turns_a_density_into_that_of_the_given_values_has_its_sign(factor: float, words: str) -> None:
    """log p(value) = log p(x) - log factor, for each of three values."""
    scaling = Scaling("standard", 2.0, factor)
    facts = Facts("mine", "real", scaling, (), "mine.csv")
    assert facts.units((3,)) == f"log densities of values standardised; {words} for the values as given"
    normal = torch.distributions.Normal(0.0, 1.0)
    value = torch.linspace(-1, 1, 3)
    given = torch.distributions.Normal(2.0, factor).log_prob(value).sum().item()
    assert normal.log_prob(scaling.apply(value)).sum().item() - scaling.log_volume((3,)) == pytest.approx(given)


@pytest.mark.parametrize("levels", [17, 4096])
def test_the_highest_of_so_many_levels_is_white(levels: int) -> None:
    given = RNG.integers(0, levels, (40, 8, 8))
    given[:, 0, 0], given[:, 1, 1] = levels - 1, 0
    loaded = data.own(given, kind="unit", levels=levels)
    x = torch.cat([rows(loaded, split) for split in ("train", "valid", "test")]).double()
    assert (x.min(), x.max()) == (0, 1)
    back = loaded.scaling.undo(x).flatten(1)
    torch.testing.assert_close(back, back.round(), rtol=0, atol=1e-3)
    assert np.array_equal(np.sort(back.round().numpy(), 0), np.sort(given.reshape(40, -1), 0))


def test_levels_are_as_many_as_are_said_and_else_256() -> None:
    given = RNG.integers(0, 17, (40, 8, 8), dtype=np.uint8)
    for levels, found in ((17, 17), (None, 256)):
        loaded = data.own(given, kind="levels", levels=levels)
        assert (loaded.spec.kind, loaded.spec.levels) == ("levels", found)
        assert (rows(loaded, "test") * (found - 1)).max() == pytest.approx(16)


def data_options(**given: Any) -> Any:
    from bench.data.given import Options

    return Options(**given)


@pytest.mark.parametrize("images", [COUNTS, GREYS])
def test_they_can_be_binarised(images: np.ndarray) -> None:
    given = {"train": images, "test": images, "valid": images}
    grey = rows(data.own(given), "test")
    assert torch.equal(rows(data.own(given, binarise="threshold"), "test"), (grey >= 0.5).float())
    dynamic = data.own(given, binarise="dynamic")
    assert dynamic.spec.kind == "binary"
    drawn = rows(dynamic, "test").double()
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert (drawn - grey).sum().abs() < 5 * (grey * (1 - grey)).sum().sqrt()
    generator = torch.Generator().manual_seed(0)
    mean = sum(next(dynamic.train_batches(50, order=generator, noise=generator)).sum() for _ in range(20)) / 20
    assert abs(mean - grey.sum()) < 5 * ((grey * (1 - grey)).sum() / 20).sqrt()


def test_what_is_no_grey_picture_is_not_binarised() -> None:
    for given, why in ((IMAGES, "is binary as it is"), (VECTORS, "is real-valued"), (CELLS, "has counts")):
        with pytest.raises(UsageError, match=why):
            data.own(given, binarise="threshold")


# --- axes


@pytest.mark.parametrize(
    ("shape", "options", "modelled"),
    [
        ((40, 9, 7), {}, (1, 9, 7)),
        ((40, 1, 9, 7), {}, (1, 9, 7)),
        ((40, 9, 7, 1), {}, (1, 9, 7)),
        ((40, 9, 7, 2), {}, (2, 9, 7)),
        ((40, 4, 9, 7), {}, (4, 9, 7)),
        ((40, 13, 20, 20), {}, (13, 20, 20)),
        ((40, 20, 20, 13), {}, (13, 20, 20)),
        ((40, 3, 9, 3), {"layout": "NCHW"}, (3, 9, 3)),
        ((40, 3, 9, 3), {"layout": "NHWC"}, (3, 3, 9)),
        ((40, 2, 50), {}, (2, 50)),
        ((40, 50, 2), {}, (2, 50)),
        ((40, 12, 50), {"layout": "NCT"}, (12, 50)),
        ((40, 12), {}, (12,)),
    ],
)
def test_axes_are_found(shape: tuple[int, ...], options: dict[str, Any], modelled: tuple[int, ...]) -> None:
    given = np.arange(math.prod(shape), dtype=np.float64).reshape(shape) / math.prod(shape)
    loaded = data.own({"train": given, "valid": given[:2], "test": given[-3:]}, **options)
    assert loaded.spec.shape == modelled
    x = rows(loaded, "test").double().numpy()
    last = options.get("layout", "") in ("NHWC", "NTC") or (not options and modelled[0] == shape[-1] and len(shape) > 2)
    wanted = np.moveaxis(given[-3:], -1, 1) if last else given[-3:].reshape(3, *modelled)
    assert np.allclose(x, wanted)


@pytest.mark.parametrize(
    ("given", "both"),
    [
        (RNG.random((40, 3, 9, 3)), ("layout=NCHW", "layout=NHWC")),
        (RNG.random((40, 4, 4, 4)), ("layout=NCHW", "layout=NHWC")),
        (RNG.random((40, 9, 9, 9)), ("layout=NCHW", "layout=NHWC")),
        (RNG.normal(size=(40, 12, 50)), ("layout=NHW", "layout=NCT")),
    ],
)
def test_axes_that_may_be_two_things_are_refused_with_both(given: np.ndarray, both: tuple[str, str]) -> None:
    line = refusal(lambda: data.own(given))
    assert all(option in line for option in both)
    assert str(list(given.shape)) in line


# --- what is wrong with a file


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"valid": COUNTS, "test": COUNTS}, "no array 'train'"),
        ({}, "no array 'train'"),
        ({"train": COUNTS, "tests": COUNTS}, "did you mean 'test'"),
        ({"train": COUNTS, "valid_labels": np.arange(5)}, "no array 'valid'"),
        (
            {"train": np.where(GREYS > 0.9, np.nan, GREYS)},
            r"train has [\d,]+ missing \(NaN\) of 9,600 values, the first at \[",
        ),
        ({"train": np.where(VECTORS > 2, np.inf, VECTORS)}, r"train has \d+ infinite of 300 values"),
        ({"train": COUNTS[:0]}, "give at least one example"),
        ({"train": COUNTS[:, 0, 0]}, r"has the axes \[50\]"),
        ({"train": COUNTS[:, None, None]}, r"has the axes \[50, 1, 1, 9, 7\]"),
        ({"train": COUNTS, "test": COUNTS[:, 1:]}, "test and train differ"),
        ({"train": COUNTS, "test": COUNTS / 255}, "test is of type float64, and train uint8"),
        ({"train": COUNTS, "train_labels": np.arange(49)}, "train has 50 examples but 49 labels"),
        ({"train": COUNTS, "train_labels": np.linspace(0, 1, 50)}, "labels must be classes"),
        ({"train": COUNTS, "train_labels": np.zeros((50, 2))}, "give one for each example"),
        ({"train": COUNTS[:9]}, "9 examples are too few to hold out test and valid; give test and valid too"),
        ({"train": COUNTS[:1]}, "1 example"),
        ({"train": COUNTS.astype(complex)}, "is of type complex128; give numbers"),
        ({"train": np.array(["a", "b"])}, "give numbers"),
        ({"train": np.array([COUNTS[0], None], dtype=object)}, "plain arrays"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], says: str) -> None:
    name = save(tmp_path, **arrays)
    with pytest.raises(DataError, match=says) as caught:
        data.load(name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("ending", ["npz", "npy", "csv", "tsv"])
def test_what_is_no_such_file_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine.{ending}"
    assert "no such file" in refusal(lambda: data.load(str(path)))
    for content in (b"", b"\xff\xfe\x00words", b"PK\x03\x04 and no more"):
        path.write_bytes(content)
        refusal(lambda: data.load(str(path)))


def test_other_files_and_objects_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.doc").write_text("words")
    assert "give .npz, .npy, .csv, .tsv, .parquet, .h5ad, or a folder" in refusal(
        lambda: data.own(tmp_path / "mine.doc")
    )
    for given in (3, None, object()):
        assert "is no data: give a path, an array" in refusal(lambda given=given: data.own(given))
    assert "unknown key 'trian', did you mean 'train'?" in refusal(lambda: data.own({"trian": VECTORS}))


def test_a_file_of_one_array_needs_no_name_for_it(tmp_path: Path) -> None:
    loaded = data.load(save(tmp_path, pictures=COUNTS))
    assert loaded.checksum == data.own(COUNTS).checksum
    assert "unknown array 'pictures'" in refusal(lambda: data.load(save(tmp_path, pictures=COUNTS, more=COUNTS)))


def test_the_first_value_that_is_missing_is_named() -> None:
    given = GREYS.copy()
    given[7, 2, 1, 3] = given[9, 0, 0, 0] = np.nan
    given[8, 0, 0, 0] = np.inf
    line = refusal(lambda: data.own(given))
    assert "train has 2 missing (NaN) and 1 infinite of 9,600 values, the first at [7, 2, 1, 3]: " in line


def test_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown option 'knd', did you mean 'kind'"):
        data.load(save(tmp_path, train=COUNTS), knd="unit")


def test_a_constant_column_is_told_and_gives_no_infinity() -> None:
    loaded = data.own(pd.DataFrame({"a": VECTORS[:, 0] * 9, "b": 7.5, "c": VECTORS[:, 1]}))
    assert "1 of 3 columns have one value in train (b): they say nothing" in loaded.says
    assert bool(torch.isfinite(rows(loaded, "train")).all())
    assert rows(loaded, "test")[:, 1].tolist() == [0.0] * 6


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_a_constant_column_does_not_tell_whether_the_others_are_standardised(value: float) -> None:
    others = VECTORS[:, :2] - VECTORS[:, :2].mean(0)
    for factor, options in ((1, {}), (9, {"scale": "standard"})):
        assert data.own(np.insert(factor * others, 1, value, axis=1)).options == options


# --- tables

TABLE = pd.DataFrame({"height": VECTORS[:, 0], "weight": VECTORS[:, 1], "city": ["Ulm", "Bonn", "Kiel"] * 20})


@pytest.mark.parametrize("form", ["csv", "semicolons", "tsv", "frame", "parquet"])
def test_a_table(tmp_path: Path, form: str) -> None:
    given: Any = tmp_path / f"mine.{'csv' if form == 'semicolons' else form}"
    if form == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet files need pyarrow")
        TABLE.to_parquet(given)
    elif form == "frame":
        given = TABLE
    else:
        TABLE.to_csv(given, index=False, sep={"csv": ",", "semicolons": ";", "tsv": "\t"}[form])
    line = refusal(lambda: data.own(given))
    assert "column 'city' holds 'Ulm', no number: say drop=city, or label=city if it is the class" in line
    loaded = data.own(given, label="city")
    assert (loaded.spec, loaded.raw.facts.classes) == (DataSpec((2,), "real", 48), ("Bonn", "Kiel", "Ulm"))
    assert loaded.raw.facts.columns == ("height", "weight")
    found = {
        tuple(np.round(x, 4)): y for x, y in zip(rows(loaded, "test").tolist(), classes(loaded, "test"), strict=True)
    }
    known = {tuple(np.round(x, 4)): y for x, y in zip(VECTORS[:, :2], [2, 0, 1] * 20, strict=True)}
    assert all(known[tuple(map(float, x))] == y for x, y in found.items())
    dropped = data.own(given, drop="city, weight")
    assert dropped.spec.shape == (1,)
    assert "drop=town is no column of it" in refusal(lambda: data.own(given, drop="city,town"))
    assert "label=town is no column of it" in refusal(lambda: data.own(given, label="town"))


def test_a_table_without_names_has_numbers_for_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    TABLE[["height", "weight"]].to_csv(path, index=False, header=False)
    assert data.own(path).raw.facts.columns == ("1", "2")
    for drop in ([2], 2, "2", {2}, np.array(["2"]), pd.Index([2]), np.int64(2)):
        assert data.own(path, drop=drop).raw.facts.columns == ("1",)
    assert "drop=0 is no column of it" in refusal(lambda: data.own(path, drop=0))
    assert data.own(path).splits == {"train": 48, "valid": 6, "test": 6}


@pytest.mark.parametrize(
    ("first", "second", "columns"),
    [
        ("height,weight", "1.5,2.5", ("height", "weight")),
        ("label,1x1", "3,2.5", ("label", "1x1")),
        ("label,0", "3,2.5", ("label", "0")),  # a picture's pixels are often called by their number
        ("1.5,", "1.5,2.5", ("1", "2")),  # a value that is missing is no name
        ("5.1,setosa", "4.9,setosa", ("1", "2")),
        ("5.1,NA", "4.9,3.0", ("1", "2")),
        ("name,city", "Ann,Ulm", ("name", "city")),
        ("0,1,2,label", "5.1,3.5,1.4,setosa", ("0", "1", "2", "label")),  # as pandas calls columns without names
        (",0,1,2", "0,5.1,3.5,1.4", ("Unnamed: 0", "0", "1", "2")),
    ],
)
def test_a_first_line_is_of_names_if_it_has_a_text_above_a_number_or_no_number(
    tmp_path: Path, first: str, second: str, columns: tuple[str, ...]
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([first, *[second] * 20]) + "\n")
    frame = tables.read_csv(path)
    assert (tuple(frame.columns), len(frame)) == (columns, 20 if columns != ("1", "2") else 21)


@pytest.mark.parametrize("header", [True, False])
def test_a_table_may_begin_with_a_byte_order_mark(tmp_path: Path, header: bool) -> None:
    path = tmp_path / "mine.csv"
    TABLE[["height", "weight"]].to_csv(path, index=False, header=header, encoding="utf-8-sig")
    loaded = data.own(path)
    assert sum(loaded.splits.values()) == 60
    assert loaded.raw.facts.columns == (("height", "weight") if header else ("1", "2"))


def test_several_columns_of_texts_are_named_and_dropped_as_is_said() -> None:
    table = TABLE.assign(town=TABLE.city, place=TABLE.city)
    line = refusal(lambda: data.own(table))
    assert "column 'city' holds 'Ulm', no number (so do town, place): say drop=city,town,place, or label=city" in line
    assert data.own(table, drop="city,town,place").spec.shape == (2,)


@pytest.mark.parametrize("names", [("height", "2020"), ("2020", "height")])
def test_a_first_line_that_is_not_all_numbers_is_one_of_names(tmp_path: Path, names: tuple[str, str]) -> None:
    path = tmp_path / "mine.csv"
    TABLE[["height", "weight"]].to_csv(path, index=False, header=names)
    assert data.own(path).raw.facts.columns == names


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            TABLE.assign(height=TABLE.height.mask(TABLE.index == 7)),
            "1 missing (NaN) of 120 values, the first in example 8, column 'height'",
        ),
        (
            TABLE.assign(weight=pd.array([*range(59), None], dtype="Int64")),
            "1 missing (NaN) of 120 values, the first in example 60, column 'weight'; columns with such: weight",
        ),
        (
            TABLE[["city"]].assign(weight=pd.array([None, *[True] * 59], dtype="boolean")),
            "1 missing (NaN) of 60 values, the first in example 1, column 'weight'",
        ),
        (TABLE.assign(city=TABLE.city.mask(TABLE.index == 7)), "1 labels (column 'city') are missing"),
        (TABLE[["city"]], "has no numeric column"),
        (TABLE[:0], "has no rows"),
        (pd.concat([TABLE, TABLE[["height"]]], axis=1), "has the column 'height' more than once"),
    ],
)
def test_bad_tables_are_refused(table: pd.DataFrame, says: str) -> None:
    assert says in refusal(lambda: data.own(table, label="city"))


def test_another_table_is_the_test_split(tmp_path: Path) -> None:
    TABLE[:40].to_csv(tmp_path / "a.csv", index=False)
    TABLE[40:].to_csv(tmp_path / "b.csv", index=False)
    loaded = data.load(str(tmp_path / "a.csv"), label="city", test=str(tmp_path / "b.csv"))
    assert loaded.splits == {"train": 36, "valid": 4, "test": 20}
    assert classes(loaded, "test") == ([2, 0, 1] * 20)[40:]
    TABLE[40:].drop(columns="height").to_csv(tmp_path / "b.csv", index=False)
    line = refusal(lambda: data.load(str(tmp_path / "a.csv"), label="city", test=str(tmp_path / "b.csv")))
    assert "has other columns than" in line
    assert "height" in line


# --- pictures


def draw(folder: Path, n: int, size: tuple[int, int] = (8, 6), mode: str = "RGB", ending: str = "png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        pixels = np.random.default_rng([*folder.name.encode(), i]).integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(folder / f"{i}.{ending}")


def test_a_folder_of_classes(tmp_path: Path) -> None:
    for name in ("cats", "dogs", "eels"):
        draw(tmp_path / "pets" / name, 20)
    (tmp_path / "pets" / "notes.txt").write_text("not a picture")
    draw(tmp_path / "pets" / ".hidden", 1)
    loaded = data.load(str(tmp_path / "pets"))
    assert (loaded.spec.shape, loaded.spec.kind) == ((3, 8, 6), "unit")
    assert loaded.raw.facts.classes == ("cats", "dogs", "eels")
    assert np.bincount(classes(loaded, "test")).tolist() == [2, 2, 2]
    assert "1 file of pets that are no pictures are left out" in loaded.says
    first = np.asarray(Image.open(tmp_path / "pets" / "cats" / "0.png")).transpose(2, 0, 1)
    everything = np.concatenate([rows(loaded, split).numpy() for split in ("train", "valid", "test")])
    assert (np.abs(everything * 255 - first).reshape(60, -1).max(1) < 1e-3).sum() == 1


def test_a_folder_of_splits(tmp_path: Path) -> None:
    for name, n in (("train", 9), ("val", 3), ("test", 2)):
        for label in ("a", "b"):
            draw(tmp_path / name / label, n, mode="L")
    loaded = data.own(tmp_path)
    assert loaded.splits == {"train": 18, "valid": 6, "test": 4}
    assert loaded.spec.shape == (1, 8, 6)
    assert classes(loaded, "test") == [0, 0, 1, 1]
    draw(tmp_path / "more", 1)
    assert "has more beside its splits" in refusal(lambda: data.own(tmp_path))


def test_pictures_are_in_the_order_of_their_paths_whatever_the_folders_are_written_like(tmp_path: Path) -> None:
    for name, n in (("Training", 11), ("VALIDATION", 3), ("Test", 2)):
        draw(tmp_path / name, n, mode="L")
    draw(tmp_path / "Training", 1, mode="L", ending="PNG")
    loaded = data.own(tmp_path, kind="unit")
    assert loaded.splits == {"train": 12, "valid": 3, "test": 2}
    wanted = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "Training").iterdir())]
    np.testing.assert_allclose(255 * rows(loaded, "train")[:, 0].numpy(), wanted, atol=1e-3)


def test_one_coloured_picture_gives_all_three_channels(tmp_path: Path) -> None:
    for mode, folder in (("L", "a"), ("RGB", "b"), ("L", "c")):
        draw(tmp_path / folder, 4, mode=mode)
    loaded = data.own(tmp_path)
    assert loaded.spec.shape == (3, 8, 6)
    grey = (loaded.raw.images["train"].std(1) == 0).all((1, 2))
    assert (grey == (loaded.raw.labels["train"] != 1)).all()


def test_pictures_beside_folders_have_no_classes(tmp_path: Path) -> None:
    draw(tmp_path, 3)
    draw(tmp_path / "a", 9)
    loaded = data.own(tmp_path)
    assert (sum(loaded.splits.values()), loaded.raw.facts.classes) == (12, ())


def test_stripes_of_one_pixel_are_grey_when_they_are_made_smaller(tmp_path: Path) -> None:
    for i in range(10):
        Image.fromarray(np.tile(np.array([0, 255], dtype=np.uint8), (12, 6))).save(tmp_path / f"{i}.png")
    picture = rows(data.own(tmp_path, size=6, kind="unit"), "test")[0]
    assert 0.3 < picture.min() <= picture.max() < 0.7


def test_pictures_of_several_sizes(tmp_path: Path) -> None:
    draw(tmp_path / "a", 6)
    draw(tmp_path / "b", 6, (16, 16), ending="jpg")
    line = refusal(lambda: data.own(tmp_path))
    assert "pictures of 2 sizes (8 x 6 in 0.png, 16 x 16 in 0.jpg): say size=32, or size=HxW" in line
    assert data.own(tmp_path, size=4).spec.shape == (3, 4, 4)
    assert data.own(tmp_path, size="4x6").spec.shape == (3, 4, 6)
    for size in ("big", 0, "4x", 10**6):
        assert "size must be a number of pixels" in refusal(lambda size=size: data.own(tmp_path, size=size))


@pytest.mark.parametrize("lying", [True, False])
def test_a_picture_is_cut_in_the_middle_and_made_smaller(tmp_path: Path, lying: bool) -> None:
    """Halves of black and white, with bands at both ends that are cut off."""
    pixels = np.full((8, 16), 99, dtype=np.uint8)
    pixels[:, 4:8], pixels[:, 8:12] = 0, 255
    for i in range(10):
        Image.fromarray(pixels if lying else pixels.T).save(tmp_path / f"{i}.png")
    loaded = data.own(tmp_path, size=2, kind="unit")
    picture = rows(loaded, "test")[0, 0]
    first, second = picture.T if lying else picture
    assert first.max() < 0.3
    assert second.min() > 0.7


@pytest.mark.parametrize(("height", "width"), [(2, 4), (4, 2)])
def test_a_picture_is_cut_to_the_proportions_that_are_asked_for(tmp_path: Path, height: int, width: int) -> None:
    """Of a square the longest middle band; what lies beyond it is white."""
    pixels = np.full((8, 8), 255, dtype=np.uint8)
    pixels[(8 - 2 * height) // 2 : (8 + 2 * height) // 2, (8 - 2 * width) // 2 : (8 + 2 * width) // 2] = 0
    for i in range(10):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    assert rows(data.own(tmp_path, size=f"{height}x{width}", kind="unit"), "test").max() < 0.3


@pytest.mark.parametrize("held", range(1, 9))
@pytest.mark.parametrize("size", [None, 8])
def test_a_picture_is_turned_as_the_camera_was_held(tmp_path: Path, held: int, size: int | None) -> None:
    """EXIF's orientation says where row 0 and column 0 of what is kept are seen: from 5 on it lies on its side."""
    upright = np.repeat(np.repeat(np.array([[0, 60, 120], [180, 240, 30]], dtype=np.uint8), 4, 0), 4, 1)
    kept = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[held]
    exif = Image.Exif()
    exif[0x0112] = held
    for i in range(12):
        Image.fromarray(np.ascontiguousarray(kept)).save(tmp_path / f"{i}.png", exif=exif)
    loaded = data.own(tmp_path, size=size, kind="unit")
    wanted = upright[:, 2:10] if size else upright
    assert loaded.spec.shape == (1, *wanted.shape)
    np.testing.assert_allclose(rows(loaded, "test")[0, 0].numpy() * 255, wanted, atol=1e-3)


def test_what_is_transparent_is_shown_as_it_was_painted(tmp_path: Path) -> None:
    for i in range(12):
        pixels = np.stack([np.full((6, 6), 20 * i + 10), np.arange(36).reshape(6, 6)], axis=2).astype(np.uint8)
        Image.fromarray(pixels, "LA").save(tmp_path / f"{i:02}.png")
    loaded = data.own(tmp_path, kind="unit")
    assert loaded.spec.shape == (1, 6, 6)
    everything = torch.cat([rows(loaded, split) for split in ("train", "valid", "test")]) * 255
    assert sorted(everything.mean((1, 2, 3)).round().int().tolist()) == list(range(10, 240, 20))
    assert (everything.std((1, 2, 3)) < 1e-3).all()


def test_masks_in_a_folder_are_binary(tmp_path: Path) -> None:
    draw(tmp_path, 12, mode="1")
    loaded = data.own(tmp_path)
    assert loaded.spec == DataSpec((1, 8, 6), "binary", 10)


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    assert "holds no pictures" in refusal(lambda: data.own(tmp_path))
    (tmp_path / "0.png").write_bytes(b"no picture")
    assert "0.png: cannot read it as a picture" in refusal(lambda: data.own(tmp_path))
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(tmp_path / "0.png")
    assert "more than 8 bits a channel" in refusal(lambda: data.own(tmp_path))
    (tmp_path / "0.png").unlink()
    draw(tmp_path / "test", 3)
    assert "has test but no folder train" in refusal(lambda: data.own(tmp_path))


def test_what_is_larger_than_it_may_be_in_memory_lies_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "a", 30)
    small = data.own(tmp_path / "a")
    monkeypatch.setattr(memory, "HELD", 1000)
    monkeypatch.setattr(store, "HELD", 1000)
    monkeypatch.setattr(memory, "PIECE", 300)
    large = data.own(tmp_path / "a")
    assert isinstance(large.raw.images["train"], np.memmap)
    assert large.checksum == small.checksum
    stored = store.read(store.path(data.store(large)))
    assert isinstance(stored.images["train"], np.memmap)
    for split in ("train", "valid", "test"):
        assert torch.equal(rows(large, split), rows(small, split))
        assert (stored.images[split] == small.raw.images[split]).all()
    assert (large.mean() == small.mean()).all()


# --- objects


class Examples(torch.utils.data.Dataset[Any]):
    """Like those of torchvision: pictures, or tensors, with labels."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


@pytest.mark.parametrize(
    "given",
    [
        COUNTS,
        torch.from_numpy(COUNTS),
        torch.from_numpy(COUNTS.copy()).requires_grad_(False),
        {"train": COUNTS},
        Examples([(torch.from_numpy(x), i % 5) for i, x in enumerate(COUNTS)]),
        Examples([(Image.fromarray(x), i % 5) for i, x in enumerate(COUNTS)]),
        Examples([(x,) for x in COUNTS]),
        Examples(list(COUNTS)),
        torch.utils.data.TensorDataset(torch.from_numpy(COUNTS), torch.arange(50) % 5),
    ],
)
def test_objects_give_what_a_file_gives(given: Any) -> None:
    labelled = isinstance(given, torch.utils.data.Dataset) and isinstance(given[0], tuple) and len(given[0]) == 2
    loaded = data.own(given, **({} if labelled else {"labels": np.arange(50) % 5}))
    wanted = data.own(COUNTS, labels=np.arange(50) % 5)
    assert loaded.checksum == wanted.checksum
    assert loaded.name == wanted.name


def test_tensors_of_half_precision_and_on_a_graph() -> None:
    grey = torch.from_numpy(GREYS)
    assert data.own(grey.bfloat16()).spec.kind == "unit"
    assert data.own(grey.clone().requires_grad_()).checksum == data.own(GREYS).checksum


def test_bad_data_sets_are_refused() -> None:
    assert "holds no example" in refusal(lambda: data.own(Examples([])))
    assert "example 1 is uint8 [9, 6]" in refusal(lambda: data.own(Examples([COUNTS[0], COUNTS[0][:, 1:]])))
    assert "x or (x, label), got 3 parts" in refusal(lambda: data.own(Examples([(COUNTS[0], 1, 2)])))


def test_a_data_set_of_the_hub_is_asked_for_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    part = SimpleNamespace(column_names=["height"], features={"height": None}, to_pandas=lambda: TABLE[["height"]])

    def load_dataset(name: str) -> Any:
        asked.append(name)
        return {"train": part, "val": part}

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))  # type: ignore[arg-type]
    loaded = data.own("hf://me/mine")
    assert asked == ["me/mine"]
    assert loaded.name.startswith("mine-")
    assert loaded.splits == {"train": 54, "valid": 60, "test": 6}


def test_of_many_names_the_first_are_shown() -> None:
    assert some("abcde") == "a, b, c, d, e"
    assert some("abcdefg") == "a, b, c, d, e and 2 more"


def test_labels_may_be_texts_the_same_in_all_splits() -> None:
    loaded = data.own(VECTORS, test=VECTORS[:2], labels=["b", "a"] * 30, test_labels=["b", "c"])
    assert loaded.raw.facts.classes == ("a", "b", "c")
    assert classes(loaded, "test") == [1, 2]


def test_a_count_matrix_of_anndata(tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata", reason=".h5ad files need anndata")
    from scipy.sparse import csr_matrix

    def names(n: int) -> Any:  # this anndata cannot write the strings of this pandas
        return pd.Index(np.array([str(i) for i in range(n)], dtype=object), dtype=object)

    obs = pd.DataFrame({"type": pd.Series(["T", "B"] * 30, dtype=object, index=names(60))})
    cells = anndata.AnnData(
        csr_matrix(CELLS.astype(np.float32)), obs=obs, var=pd.DataFrame(index=names(8)), layers={"twice": CELLS * 2}
    )
    cells.write_h5ad(tmp_path / "cells.h5ad")
    for given in (cells, tmp_path / "cells.h5ad"):
        loaded = data.own(given, label="type")
        assert (loaded.spec.kind, loaded.spec.shape, loaded.raw.facts.classes) == ("counts", (8,), ("B", "T"))
        assert data.own(given, layer="twice").mean().sum() > 1.5 * loaded.mean().sum()
        assert "has no layer 'raw'; it has twice" in refusal(lambda given=given: data.own(given, layer="raw"))


def test_a_data_set_of_hugging_face(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="data sets of Hugging Face need datasets")
    made = datasets.Dataset.from_pandas(TABLE)
    made.save_to_disk(str(tmp_path / "saved"))
    for given in (made, tmp_path / "saved"):
        assert data.own(given, label="city").checksum == data.own(TABLE, label="city").checksum


def test_images_of_hugging_face_with_splits(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="data sets of Hugging Face need datasets")
    features = datasets.Features(
        {"picture": datasets.Image(), "mask": datasets.Image(), "class": datasets.ClassLabel(names=["a", "b"])}
    )

    def part(images: np.ndarray) -> Any:
        pictures = [Image.fromarray(x) for x in images]
        made = {"picture": pictures, "mask": pictures, "class": [i % 2 for i in range(len(images))]}
        return datasets.Dataset.from_dict(made, features=features)

    made = datasets.DatasetDict(
        {"train": part(COUNTS[:30]), "validation": part(COUNTS[30:40]), "test": part(COUNTS[40:])}
    )
    made.save_to_disk(str(tmp_path / "saved"))
    for given in (made, tmp_path / "saved"):
        line = refusal(lambda given=given: data.own(given))
        assert "has several columns of images: say image=picture or image=mask" in line
        loaded = data.own(given, image="picture", label="class")
        assert (loaded.splits, loaded.spec.shape) == ({"train": 30, "valid": 10, "test": 10}, (1, 9, 7))
        assert torch.equal((rows(loaded, "test")[:, 0] * 255).round().byte(), torch.from_numpy(COUNTS[40:]))
        assert classes(loaded, "test") == [0, 1] * 5
        assert "image=photo is no column of it" in refusal(lambda given=given: data.own(given, image="photo"))
    (tmp_path / "saved" / "train" / "state.json").write_text("{")
    assert "cannot read it as a data set of datasets" in refusal(lambda: data.own(tmp_path / "saved"))


@pytest.mark.parametrize(("ending", "package"), [("parquet", "pyarrow"), ("h5ad", "anndata")])
def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, package: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    (tmp_path / f"mine.{ending}").write_bytes(b"x")
    with pytest.raises(MachineError, match=f"pip install {package}"):
        data.load(str(tmp_path / f"mine.{ending}"))


# --- names


def test_two_files_of_one_name_are_two_and_one_file_by_two_paths_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, images in (("a", COUNTS), ("c", COUNTS[:, 1:])):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "train.npz", train=images)
    (tmp_path / "link.npz").symlink_to(tmp_path / "a" / "train.npz")
    monkeypatch.chdir(tmp_path)
    names = [data.load(path).name for path in ("a/train.npz", "c/train.npz", str(tmp_path / "a/train.npz"), "link.npz")]
    assert names[0] == names[2] == names[3] != names[1]
    assert all(name.startswith("train-") for name in names)


def test_what_is_kept_is_what_was_loaded() -> None:
    table = VECTORS * [1, 10, 1000, 1e-3, 1]
    loaded = data.own(table, labels=["b", "a"] * 30, name="ärzte & co")
    name = data.store(loaded)
    assert name == loaded.name == f"ärzte_co-{loaded.checksum[:8]}"
    kept = data.load(name)
    assert (kept.checksum, kept.spec, kept.says, kept.options) == (
        loaded.checksum,
        loaded.spec,
        loaded.says,
        loaded.options,
    )
    assert kept.raw.facts.classes == ("a", "b")
    assert data.verify(name) == loaded.checksum
    assert data.spec(name) == loaded.spec
    for split in ("train", "valid", "test"):
        assert torch.equal(rows(kept, split), rows(loaded, split))
        assert classes(kept, split) == classes(loaded, split)
    assert (kept.scaling.undo(np.ones((2, 5))) == loaded.scaling.undo(np.ones((2, 5)))).all()
    # By another reading they are other data.
    assert data.store(data.own(table, scale="none", name="ärzte & co")) != name
    with pytest.raises(UsageError, match="was made without scale=unit"):
        data.load(name, scale="unit")
    with pytest.raises(DataError, match=r"these data are not in .*; name them by their path again"):
        data.load("elsewhere-01234567")


def test_what_is_kept_and_damaged_is_refused() -> None:
    loaded = data.own(RNG.normal(size=(40, 3)))
    file = store.path(data.store(loaded))
    content = bytearray(file.read_bytes())
    content[300] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        data.load(loaded.name)
    file.write_bytes(content[:200])
    assert "cannot read it" in refusal(lambda: store.read(file))
    file.unlink()


def test_what_cannot_be_kept_as_a_whole_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = data.own(VECTORS, name="half")
    add = store._add

    def full(archive: Any, member: str, array: Any) -> None:
        assert not store.path(loaded.name).exists(), "what is not yet whole has another name"
        if member == "test.npy":
            raise OSError("the disk is full")
        add(archive, member, array)

    monkeypatch.setattr(store, "_add", full)
    with pytest.raises(MachineError, match=r"cannot write in .* \(the disk is full\); set VAEBENCH_DATA"):
        data.store(loaded)
    assert not [path for path in store.path("x").parent.iterdir() if "half" in path.name]


def test_a_data_root_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAEBENCH_DATA", "/dev/null/nowhere")
    with pytest.raises(MachineError, match="set VAEBENCH_DATA"):
        data.store(data.own(VECTORS))
