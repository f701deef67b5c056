"""Labels that an objective is shown, and pairs that have all but a few factors in common."""

from typing import Any

import numpy as np
import pytest
import torch

import bench.data as data
from bench.errors import UsageError
from variants.core import Batch


def batches(loaded: Any, size: int, **how: Any) -> list[Any]:
    return list(loaded.train_batches(size, order=torch.Generator(), noise=torch.Generator(), **how))


def test_so_many_labels_are_shown_as_many_of_each_class_as_can_be() -> None:
    loaded = data.load("digits", labelled=43)
    assert (loaded.spec.classes, loaded.spec.labelled, loaded.options) == (10, 43, {"labelled": 43})
    seen = batches(loaded, 100, labels=True)
    assert all(isinstance(batch, Batch) for batch in seen)
    y, c = (torch.cat([getattr(batch, name) for batch in seen]) for name in "yc")
    assert torch.equal(y[y >= 0], c[y >= 0])
    assert sorted(torch.bincount(y[y >= 0], minlength=10).tolist()) == [4] * 7 + [5] * 3
    assert (y < 0).sum() == loaded.splits["train"] - 43
    # Images and their order are those of a pass without labels, and labels are those of their images.
    assert torch.equal(torch.cat([batch.x for batch in seen]), torch.cat(batches(loaded, 100)))
    fixed = data.load("digits", binarise="fixed")
    place = {
        (x.numpy().tobytes(), int(label))
        for xs, ys in fixed.eval_batches("train", 500)
        for x, label in zip(xs, ys, strict=True)
    }
    for batch in batches(fixed, 500, labels=True):
        assert all((x.numpy().tobytes(), int(label)) in place for x, label in zip(batch.x, batch.c, strict=True))
        assert (batch.y == -1).all()


def test_the_same_examples_are_labelled_in_every_pass_and_more_of_them_with_more() -> None:
    loaded = {n: data.load("digits", labelled=n) for n in (20, 50)}
    few, more = (each._shown() for each in loaded.values())
    assert ((few < 0) | (few == more)).all()
    assert ((more >= 0).sum(), (few >= 0).sum()) == (50, 20)
    # Of each class the first.
    labels = torch.from_numpy(loaded[50].raw.labels["train"][: len(more)])
    for value in range(10):
        seen = more[labels == value] >= 0
        assert seen[: seen.sum()].all()


def test_options_that_are_off_are_left_out() -> None:
    assert data.load("digits", labelled=0).options == {}
    assert data.load("sprites", n=100, pairs=0).options == {"n": 100}
    assert "labelled" in data.takes("mnist")
    assert "labelled" not in data.takes("linear_gaussian")


@pytest.mark.parametrize("pairs", [1, 2, 5])
def test_two_of_a_pair_differ_in_so_many_factors(pairs: int) -> None:
    loaded, plain = data.load("sprites", n=2000, pairs=pairs), data.load("sprites", n=2000)
    assert loaded.factors is not None
    assert plain.factors is not None
    rows = loaded.factors.values["train"]
    assert ((rows[::2] != rows[1::2]).sum(1) == pairs).all()
    assert ((rows >= 0) & (rows < [factor.size for factor in loaded.factors.table])).all()
    assert (rows[::2] == plain.factors.values["train"][::2]).all()
    held = np.concatenate([plain.factors.values[split] for split in ("valid", "test")])
    assert not {tuple(row) for row in rows} & {tuple(row) for row in held}
    # Any factor may change, and to any other value.
    changed = (rows[::2] != rows[1::2]).mean(0)
    assert (changed > 0.7 * pairs / 5).all()
    assert len(set((rows[1::2] - rows[::2])[:, 2].tolist())) > 25
    for split in ("valid", "test"):
        assert (loaded.factors.values[split] == plain.factors.values[split]).all()


def test_pairs_stay_side_by_side_in_every_batch() -> None:
    loaded = data.load("sprites", n=200, pairs=1)
    assert loaded.spec.pairs
    held = torch.cat([x for x, _ in loaded.eval_batches("train", 200)])
    partner = {held[i].numpy().tobytes(): held[i + 1].numpy().tobytes() for i in range(0, len(held), 2)}
    seen = batches(loaded, 6)
    assert sum(map(len, seen)) == 160
    order = torch.cat(seen)
    assert all(partner[order[i].numpy().tobytes()] == order[i + 1].numpy().tobytes() for i in range(0, 160, 2))
    assert not torch.equal(order, held)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("digits", {"labelled": 2000}, "fewer than labelled=2000"),
        ("digits", {"labelled": -1}, "at least 0"),
        ("digits", {"labelled": True}, "type int"),
        ("sprites", {"n": 100, "pairs": 1, "labelled": 200}, "fewer than labelled=200"),
        ("sprites", {"n": 100, "pairs": 1, "train_size": 7}, "even number"),
        ("sprites", {"n": 15, "pairs": 1}, "even number"),
        ("sprites", {"n": 100, "pairs": 6}, "at most 5"),
        ("digits", {"pairs": 1}, "unknown option 'pairs'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        data.load(name, **options)
    assert "\n" not in str(caught.value)


def test_an_odd_batch_would_part_a_pair() -> None:
    with pytest.raises(UsageError, match="batch_size=8"):
        batches(data.load("sprites", n=100, pairs=1), 7)
