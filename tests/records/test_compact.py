"""Records of a whole folder: kept in little memory, and equal to what was read."""

from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.compact import Curve, compact
from bench.records.names import canonical
from bench.records.record import plain
from bench.records.schema import read
from bench.records.store import read_all
from tests import fake_records as fake
from tests.helpers import ROOT

NUMBERS = st.one_of(st.none(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False))
ROWS = st.lists(st.dictionaries(st.sampled_from(["epoch", "train_loss", "valid_elbo_nats"]), NUMBERS), max_size=6)


@given(ROWS)
def test_a_curve_is_its_rows(rows: list[dict[str, Any]]) -> None:
    curve = Curve(rows)
    assert curve == rows == list(curve)
    assert len(curve) == len(rows)
    # 1 == 1.0, so the types are asked for as well.
    assert [[(key, type(row[key])) for key in sorted(row)] for row in curve] == [
        [(key, type(row[key])) for key in sorted(row)] for row in rows
    ]
    assert curve[1:] == rows[1:]
    assert curve[::-2] == rows[::-2]
    assert curve != [*rows, {}]
    assert bool(curve) == bool(rows)
    if rows:
        assert curve[-1] == rows[-1]
    with pytest.raises(IndexError):
        curve[len(rows)]


def test_every_committed_record_says_the_same() -> None:
    known: dict[Any, Any] = {}
    paths = sorted((ROOT / "results/reference").glob("*/runs/*.json"))[::5]
    assert paths
    for path in paths:
        whole, small = read(path), compact(read(path), known)
        assert plain(small) == plain(whole)
        assert canonical(small) == canonical(whole)
        # A whole number stays one in the text, too.
        assert list(small.curve) == whole.curve
        assert str(list(small.curve)[:1]) == str(whole.curve[:1])


def test_what_records_have_alike_is_kept_once() -> None:
    one, other = (fake.quality("vanilla", seed) for seed in (0, 1))
    other.provenance.commit = "".join(other.provenance.commit or "")
    known: dict[Any, Any] = {}
    for record in (one, other):
        record.latent = {"kl_per_dim": [0.5, 0.25], "points": 10}
        compact(record, known)
    assert one.cell["budget"] is other.cell["budget"]
    assert one.model is other.model
    assert one.provenance.versions is other.provenance.versions
    assert one.provenance.commit is other.provenance.commit
    assert (one.cell["seed"], other.cell["seed"]) == (0, 1)
    assert one.latent == {"kl_per_dim": array("d", [0.5, 0.25]), "points": 10}


def test_unlike_parts_of_equal_text_are_kept_apart() -> None:
    """A text of JSON is not what it stands for, and `{}` of two types are two."""
    one, other = fake.quality("vanilla", 0), fake.quality("vanilla", 1)
    one.cell |= {"overrides": {}, "data_options": {"side": 1}}
    other.cell |= {"overrides": '{"side":1}', "data_options": {"side": 1.0}}
    known: dict[Any, Any] = {}
    texts = [canonical(record) for record in (one, other)]
    assert [canonical(compact(record, known)) for record in (one, other)] == texts


def test_a_folder_is_read_so(tmp_path: Any) -> None:
    fake.write(tmp_path, [fake.quality("vanilla", seed) for seed in (0, 1)])
    records, warnings = read_all(tmp_path)
    assert not warnings
    assert all(isinstance(record.curve, Curve) for record in records)
    assert records[0].model is records[1].model
