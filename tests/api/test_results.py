"""A folder of runs as tidy tables: what the tables of a page say, cell by cell."""

from pathlib import Path

import bench as vb
from bench.stats.groups import ERRORS
from tests import fake_records as fake


def test_scores_have_the_marks_and_the_errors_of_a_page(tmp_path: Path) -> None:
    records = [fake.thorough(variant, seed) for variant in ("vanilla", "conv", "linear") for seed in range(3)]
    found = vb.results(fake.write(tmp_path, records, images=False))
    (group,) = found.groups
    lines = found.scores.set_index(["row", "metric"])
    assert set(lines["dataset"]) == {group.dataset}
    assert any(marks.best for marks in group.marks.values())
    apart = 0
    for row in group.rows:
        for name in group.metrics:
            summary, marks = row.summary(name), group.marks.get(name)
            if summary is None:
                assert (row.label, name) not in lines.index
                continue
            line = lines.loc[(row.label, name)]
            assert (line["mean"], line["low"], line["high"]) == (summary.mean, summary.low, summary.high)
            assert line["best"] == (marks is not None and row.label in marks.best)
            assert line["learning"] == (marks is not None and row.label in marks.learning)
            errors = {kind: row.error(name, kind) for kind in ERRORS}
            apart += None not in errors.values() and len(set(errors.values())) == len(ERRORS)
            for kind, error in errors.items():
                assert line[f"{kind}_se"] == error or error is None
    assert apart, "both errors are there, and are two"
