"""The picture of a reproduction says in words what it shows, and each thing once."""

from dataclasses import replace
from typing import Any

import pytest
from matplotlib.text import Text

from bench.pages.figures.style import COLOURS
from bench.reproduce import plot
from bench.reproduce.published import Tolerance
from bench.reproduce.verdict import Finding, short_source
from bench.text import clip

AGREES = Finding(
    run="vae",
    row="vae_k1",
    title="VAE, one layer, one sample",
    metric="nll_is5000",
    ours="nll_is5000_nats",
    published=86.0,
    stderr=None,
    values={0: 86.5, 1: 86.7, 2: 86.6},
    runs=3,
    epochs=(10, 10, 10),
    tolerance=Tolerance(0.5, 2.0),
    verdict="agrees",
    reason="",
    source="A. Author and B. Other 2016",
    read="Table 1",
)


def texts(findings: list[Finding]) -> list[str]:
    drawn: Any = plot.figure(findings, "A table")
    return [item.get_text() for item in drawn.findobj(Text)]


def test_titles_stand_in_place_of_ids() -> None:
    found = texts(
        [
            AGREES,
            replace(AGREES, title="A row whose title is longer than a line beside a panel has room for", run="other"),
            replace(AGREES, ours="elbo_nats", metric="neg_elbo", sign=-1),
            replace(AGREES, metric="ll", sign=-1),
        ]
    )
    assert {"NLL (IS-5000)", "log p(x) (IS-5000)", "Negative ELBO", "VAE, one layer, one sample"} <= set(found)
    assert "A row whose title is longer than a\nline beside a panel has room for" in found
    assert not {"vae_k1", "nll_is5000", "neg_elbo", "ll"} & set(found)
    assert "agrees" in " ".join(found)
    cut = texts([replace(AGREES, title=f"{'x' * 30} {'y' * 30} {'z' * 30}")])
    assert "x" * 30 + "\n" + clip(f"{'y' * 30} {'z' * 30}", plot.LONGEST) in cut


def test_the_band_is_the_tolerance_below_and_above_what_was_published() -> None:
    drawn: Any = plot.figure([AGREES], "A table")
    (band,) = drawn.axes[0].patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (85.5, 88.0)


def test_figures_that_lie_far_apart_are_drawn_as_differences() -> None:
    far = replace(AGREES, title="Two layers", published=286.0, values={0: 286.5, 1: 286.7, 2: 286.6})
    near: Any = plot.figure([AGREES, replace(far, published=90.0)], "A table")
    assert near.axes[0].get_xlabel() == "nats per example"
    drawn: Any = plot.figure([AGREES, far], "A table")
    (axis,) = drawn.axes
    assert axis.get_xlabel() == "nats per example, ours less the published figure at the left"
    assert [label.get_text() for label in axis.get_yticklabels()] == [f"{AGREES.title}: 86.00", "Two layers: 286.00"]
    bands = [(band.get_x(), band.get_x() + band.get_width()) for band in axis.patches]
    assert bands == 2 * [(-0.5, 2.0)]
    means = [offset[0] for dots in axis.collections for offset in dots.get_offsets()]
    assert means == pytest.approx(2 * [0.0, 0.5, 0.7, 0.6, 0.6])


@pytest.mark.parametrize(("change", "lines"), [({}, 1), ({"published": 85.0}, 2), ({"source": "Others 2020"}, 2)])
def test_one_run_beside_one_published_figure_is_drawn_once(change: dict[str, Any], lines: int) -> None:
    found = texts([AGREES, replace(AGREES, title="IWAE, k = 1", **change)])
    assert sum(words.endswith("  agrees") for words in found) == lines
    assert any("drawn once" in words for words in found) == (lines == 1)


def test_every_mark_stands_at_its_figure_and_rows_from_top_to_bottom() -> None:
    other = replace(AGREES, run="b", title="Second", published=90.0, values={0: 88.0}, stderr=0.5, tolerance=None)
    drawn: Any = plot.figure([AGREES, other], "A table")
    (axis,) = drawn.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["VAE, one layer, one sample", "Second"]
    bottom, top = axis.get_ylim()
    assert top < 0 < 1 < bottom
    points = {
        place: sorted(round(float(x), 6) for each in axis.collections for x, y in each.get_offsets() if y == place)
        for place in (0, 1)
    }
    # Published, the mean, and of several seeds each.
    assert points == {0: [86.0, 86.5, 86.6, 86.6, 86.7], 1: [88.0, 90.0]}
    summary = AGREES.summary
    assert summary is not None
    spans = {tuple(round(float(x), 6) for x in line.get_xdata()) for line in axis.lines}
    interval = (round(summary.low or 0, 6), round(summary.high or 0, 6))
    assert spans == {(86.0, 86.6), interval, (90.0, 88.0), (89.5, 90.5)}
    low, high = axis.get_xlim()
    assert low < 85.5
    assert high > 90.5


def test_a_difference_in_the_last_digit_does_not_look_large() -> None:
    drawn: Any = plot.figure([replace(AGREES, values={0: 86.01}, tolerance=None)], "A table")
    low, high = drawn.axes[0].get_xlim()
    assert (low + high) / 2 == pytest.approx(86.005)
    assert (high - low) / 2 == pytest.approx(0.5)  # fifty times the last printed digit


@pytest.mark.parametrize(
    ("source", "short"),
    [
        ("Burda, Grosse and Salakhutdinov 2016, Table 1", "Burda et al. 2016"),
        ("Kingma and Welling 2014, arXiv:1312.6114", "Kingma et al. 2014"),
        ("van-den-Oord, Vinyals and Kavukcuoglu 2017", "van-den-Oord et al. 2017"),
        ("Nobody 2026", "Nobody 2026"),
        ("the authors' code, run by us", "the authors' code"),
    ],
)
def test_a_source_is_called_by_its_first_author_and_its_year(source: str, short: str) -> None:
    assert short_source(replace(AGREES, source=source)) == short


def test_the_legend_names_what_is_drawn_each_in_its_colour() -> None:
    def legend(*findings: Finding) -> dict[str, Any]:
        return {
            handle.get_label(): handle.get_color()
            for handle in plot._handles(findings)
            if handle.get_label() != "tolerance"
        }

    unjudged = replace(AGREES, verdict="not comparable", tolerance=None)
    names = [handle.get_label() for handle in plot._handles([replace(AGREES, verdict="differs"), unjudged])]
    assert names == ["published", "tolerance", "ours, differs", "ours, not judged"]
    assert [handle.get_label() for handle in plot._handles([unjudged])] == ["published", "ours, not judged"]
    assert legend(AGREES)["ours, agrees"] == COLOURS[0]
    assert legend(replace(AGREES, verdict="differs"))["ours, differs"] == COLOURS[3]
    assert ["grey bands" in " ".join(texts([each])).replace("\n", " ") for each in (AGREES, unjudged)] == [True, False]


def test_nothing_that_was_run_makes_no_picture() -> None:
    assert plot.figure([replace(AGREES, values={}, epochs=(), verdict="not run", tolerance=None)], "A table") is None


def test_a_figure_that_two_sources_have_names_each_and_what_differs_is_bold() -> None:
    other = replace(AGREES, run="other", source="C. Third 2020", verdict="differs", published=80.0)
    drawn: Any = plot.figure([AGREES, other], "A table")
    (axis,) = drawn.axes
    title = "VAE, one layer, one sample"
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        f"{title}\n{short_source(each)}" for each in (AGREES, other)
    ]
    bold = {text.get_text(): text.get_fontweight() == "bold" for text in axis.texts}
    assert bold == {"+0.60  agrees": False, "+6.60  differs": True}


def test_an_interval_that_is_wider_than_all_else_has_room() -> None:
    wide = replace(AGREES, values={0: 86.0, 1: 87.0, 2: 86.2}, tolerance=None)
    low, high = (wide.summary.low, wide.summary.high) if wide.summary else (None, None)
    drawn: Any = plot.figure([wide], "A table")
    left, right = drawn.axes[0].get_xlim()
    assert left < (low or 0.0) < 86.0 < 87.0 < (high or 0.0) < right
