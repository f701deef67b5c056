"""A stranger's data: compared with one command, and with five lines of Python, which are the same runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import bench as vb
from bench.suites import suite
from bench.sweeps import fitting
from tests.helpers import call, refused

RNG = np.random.default_rng(0)
SMALL = {"epochs": 2, "nll_samples": 5, "hidden": [8], "latent": 3}
ROWS = ["vanilla", "beta (beta=4)", "low_rank"]


def csv(folder: Path) -> Path:
    """A table of columns on several scales, sorted by class."""
    kinds = np.repeat(["a", "b", "c"], 30)
    centre = np.searchsorted(["a", "b", "c"], kinds)[:, None]
    table = (centre + 0.3 * RNG.normal(size=(90, 4))) * [1, 10, 100, 1000]
    pd.DataFrame(table, columns=list("wxyz")).assign(kind=kinds).to_csv(folder / "cells.csv", index=False)
    return folder / "cells.csv"


def pngs(folder: Path) -> Path:
    for name, level in (("dark", 60), ("light", 180)):
        (folder / "pictures" / name).mkdir(parents=True)
        for i in range(30):
            pixels = (level + RNG.integers(-50, 50, (6, 8, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{i}.png")
    return folder / "pictures"


def counts(folder: Path) -> Path:
    np.save(folder / "counts.npy", RNG.poisson(np.repeat([[0.5], [3.0]], 40, axis=0), (80, 6)))
    return folder / "counts.npy"


def nhwc(folder: Path) -> Path:
    np.save(folder / "photos.npy", RNG.uniform(0, 255, (60, 6, 8, 3)))
    return folder / "photos.npy"


@pytest.mark.parametrize(
    ("make", "options", "words", "support", "shape"),
    [
        (csv, {"label": "kind"}, "vectors of 4 (ND) in 3 classes", "real", (4,)),
        (pngs, {}, "images of 3 x 6 x 8 (NCHW) in 2 classes", "unit", (3, 6, 8)),
        (counts, {}, "vectors of 6 (ND)", "counts", (6,)),
        (nhwc, {}, "images of 3 x 6 x 8 (NHWC)", "unit", (3, 6, 8)),
    ],
    ids=["csv", "pngs", "counts", "nhwc"],
)
def test_three_variants_on_a_strangers_data(
    make: Callable[[Path], Path],
    options: dict[str, str],
    words: str,
    support: str,
    shape: tuple[int, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, out = make(tmp_path), tmp_path / "out"
    monkeypatch.setattr("bench.pages.figures.drawn", lambda *_: [])  # plots have tests of their own
    asked = [f"{key}={value}" for key, value in options.items()]
    settings = [f"{key}={value}" for key, value in SMALL.items()]
    words_given = ["compare", *ROWS, "--datasets", path, "--out", out, "--device", "cpu", "--engine", "debug"]
    words_given += ["--data-option", *asked] if asked else []
    code, said, err = call(capsys, *words_given, "--set", *settings)
    assert code == 0, err
    assert words in err
    assert said.count("over 3 paired seeds: ") >= 6, "two rows against the first, in three metrics or more"
    assert "beta (beta=4, hidden=[8], latent=3) against vanilla (hidden=[8], latent=3) on " in said

    plain = suite.load("quick")
    how = plain.budget.plain() | plain.measure.plain() | SMALL
    data = vb.data(path, **options)
    found = vb.compare(ROWS, data, out=out, seeds=3, device="cpu", **how)
    assert "9 of 9 runs are finished" in capsys.readouterr().err

    (group,) = found.groups
    assert (group.settings["support"], len(group.rows)) == (support, 3)
    assert set(found.runs["status"]) == {"ok"}
    assert np.isfinite(found.runs[["elbo_nats", "nll_is5_nats"]]).all(axis=None)
    assert (found.runs["nll_is5_nats"] <= -found.runs["elbo_nats"] + 1).all(), "log p(x) is above its bound"
    if "class" in words:
        assert found.runs["probe_accuracy"].notna().all()
    assert len(found.answer().split("\n")) > 2
    model = vb.load(out, "beta (beta=4, hidden=[8], latent=3)", seed=2, device="cpu")
    assert model.sample(2).shape == (2, *shape)
    given = data.scaling.undo(next(data.eval_batches("test", 5))[0])
    assert model.reconstruct(given).shape == given.shape
    if support == "unit":
        assert 20 < model.reconstruct(given).mean() < 235, "in the units of the pictures"


def test_variants_that_cannot_model_the_data_are_left_out_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.pages.figures.drawn", lambda *_: [])
    path, out = csv(tmp_path), tmp_path / "out"
    common = ["--datasets", path, "--data-option", "label=kind", "--out", out, "--device", "cpu", "--engine", "debug"]
    settings = ["--seeds", "1", "--set", "epochs=1", "nll_samples=0", "blocks=0"]
    code, _, err = call(capsys, "run", *common, *settings)
    assert code == 0, err
    assert "vaebench: conv, conv_full_covariance: left out on cells-" in err
    assert "for a conv network needs images (C, H, W), not data of shape (4,)" in err
    rows = vb.results(out).runs
    assert set(rows["status"]) == {"ok"}
    plain = {variant.name for variant in suite.load("quick").variants}
    assert set(rows["row"]) == plain - {"conv", "conv_full_covariance"}
    line = refused(capsys, 2, "run", *common, "--variants", "conv")
    assert "no variant is left to run: conv: left out on cells-" in line
    wrong = suite.parse("mine", {"datasets": ["digits"], "variants": [{"name": "vanilla", "set": {"latnt": 3}}]})
    assert fitting.unfit(wrong) == {}, "settings that are wrong are no matter of the data"
    line = refused(capsys, 2, "compare", "conv", "vanilla", *common)
    assert "conv cannot be the baseline on cells-" in line
    line = refused(capsys, 2, "compare", "vanilla", "conv", *common)
    assert "nothing to compare vanilla with on cells-" in line
    line = refused(capsys, 2, "compare", "vanilla (latnt=3)", "vanilla (latent=3)", *common)
    assert "vanilla: no chosen part takes the option 'latnt'" in line


def test_a_thousand_images_with_the_default_suite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every variant runs on all there is; what the suite measures needs no more."""
    monkeypatch.setattr("bench.pages.figures.drawn", lambda *_: [])
    np.savez(tmp_path / "mine.npz", train=RNG.integers(0, 256, (1000, 8, 8), dtype=np.uint8))
    common = ["--datasets", tmp_path / "mine.npz", "--out", tmp_path / "out", "--device", "cpu", "--engine", "debug"]
    small = ["--seeds", "1", "--set", "blocks=0", "nll_points=20", "nll_samples=2", "hidden=[8]", "channels=[4]"]
    code, _, err = call(capsys, "run", "quick", *common, *small)
    assert code == 0, err
    assert "has fewer than 25,000 training examples: all 800 are used" in err
    rows: Any = vb.results(tmp_path / "out").runs
    assert (len(rows), set(rows["status"])) == (len(suite.load("quick").variants), {"ok"})
