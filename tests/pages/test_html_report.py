"""The report of a folder of runs: what it says is what the program says, and a browser shows all of it."""

import base64
import csv
import io
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import pytest

from bench.data.sets import classes
from bench.pages import grids, tables
from bench.pages.figures import style
from bench.pages.figures.tradeoff import front_of
from bench.pages.html import again, document, facts, pictures, report
from bench.pages.html.document import LARGEST
from bench.records.record import Record
from bench.stats import frame, learning, metrics, speeds
from bench.stats.answer import Answer, answers
from bench.stats.differences import sentence
from bench.stats.groups import after, groups
from bench.stats.learning import compare
from bench.suites import suite
from tests import fake_records as fake
from tests.helpers import wait_for
from tests.stats.test_tuning import SEARCH, tuned

HOSTILE = '</script><img src=x onerror="alert(1)">\'"&=`**_[a](javascript:b)<!--'
Open = Callable[..., Any]


def thorough(variants: tuple[str, ...] = fake.NAMES, seeds: int = 3) -> list[Record]:
    records = [
        fake.thorough(variant, seed, dataset=dataset)
        for variant in variants
        for seed in range(seeds)
        for dataset in ("mnist", "fashion_mnist")
    ]
    for record in records:
        if record.metrics["elbo_nats"] is not None:
            draw = np.random.default_rng([record.cell["seed"], len(record.id)])
            record.latent = {"kl_per_dim": (25 * draw.dirichlet(np.ones(20) / 3)).tolist(), "points": 1000}
    return records + [fake.throughput(v, dataset=dataset) for v in variants for dataset in ("mnist", "fashion_mnist")]


def kept(records: list[Record], shape: tuple[int, ...] = (1, 28, 28)) -> dict[str, dict[str, np.ndarray]]:
    return {r.id: fake.artefact(r, shape) for r in records if r.kind == "quality" and r.status == "ok"}


def facts_of(page: bytes) -> Any:
    return json.loads(re.findall(r'<script type="application/json" id="facts">(.*?)</script>', page.decode())[0])


RECORDS = thorough()
ARTEFACTS = kept([record for record in RECORDS if record.cell.get("seed") == 0])


@pytest.fixture(scope="module")
def page() -> bytes:
    return report.report(RECORDS, ARTEFACTS, ["look here"])


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a page in a context of its own; afterwards nothing was asked of the network, nor written to the console."""
    contexts, seen = [], []

    def show(content: bytes, address: str = "", **how: Any) -> Any:
        path = tmp_path / "report.html"
        path.write_bytes(content)
        permissions = ["clipboard-read", "clipboard-write"]
        contexts.append(browser.new_context(offline=True, reduced_motion="reduce", permissions=permissions, **how))
        made = contexts[-1].new_page()
        made.on("console", lambda message: seen.append(message.text))
        made.on("pageerror", lambda error: seen.append(str(error)))
        made.on("request", lambda r: None if r.url.startswith(("data:", "file:")) else seen.append(r.url))
        made.goto(path.as_uri() + address)
        return made

    yield show
    for context in contexts:
        context.close()
    assert seen == []


def headings(page: Any) -> list[str]:
    return page.locator("#scores tbody th").all_inner_texts()  # type: ignore[no-any-return]


def copied(page: Any, form: str) -> str:
    page.click(f'[data-copy="{form}"]')
    # `wait_for_function` has the page evaluate text, which its policy forbids.
    wait_for(lambda: page.evaluate("document.getElementById('copied').textContent !== ''"), 30)
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_loaded_and_nothing_is_inaccessible(
    opened: Open, page: bytes, scheme: str, violations: Callable[[Any], list[str]]
) -> None:
    shown = opened(page, color_scheme=scheme)
    assert shown.locator("#facts").count() == 1
    assert shown.locator("svg.chart").count() >= 6
    shown.evaluate("for (const drawer of document.querySelectorAll('details')) drawer.open = true")
    assert violations(shown) == []
    drawn = " ".join(shown.locator("svg").evaluate_all("all => all.map(each => each.outerHTML)"))
    assert not {"NaN", "undefined", "Infinity"} & set(re.findall(r"\w+", drawn))
    assert "undefined" not in shown.locator("main").inner_text()


def test_the_answer_is_seen_first(opened: Open, page: bytes) -> None:
    shown = opened(page, viewport={"width": 1280, "height": 800})
    box = shown.locator(".answer:not([hidden]) .answers tbody tr").first.bounding_box()
    assert box["y"] + box["height"] < 800
    assert "conv_full_covariance" in shown.locator(".answer:not([hidden]) .answers tbody tr").first.inner_text()


def test_a_page_opens_with_the_group_of_most_rows() -> None:
    few = [fake.quality("vanilla", seed, dataset="digits") for seed in range(3)]
    many = [fake.quality(name, seed) for name in ("vanilla", "conv", "iwae") for seed in range(3)]
    more = [fake.quality(name, seed, dataset="photographs32") for name in ("vanilla", "conv") for seed in range(3)]
    made = facts_of(report.report([*few, *many, *more], {}, []))["groups"]
    assert [len(group["rows"]) for group in made] == [3, 2, 1]


def test_the_order_is_that_of_pandas(opened: Open, page: bytes) -> None:
    shown = opened(page, "#t=All")
    (group, *_) = facts_of(page)["groups"]
    table = pandas.DataFrame(
        {
            column["key"]: [(row["cells"][place] or [None])[0] for row in group["rows"]]
            for place, column in enumerate(group["columns"])
        },
        index=[row["label"] for row in group["rows"]],
    )
    assert len(table.columns) > 20
    for key in ("elbo_nats", "probe_accuracy", "parameters", "train_samples_per_s@cpu"):
        button = f'[data-sort="{key}"]'
        for _ in range(2):
            shown.click(button)
            order = shown.locator(f"#scores th:has({button})").get_attribute("aria-sort")
            wanted = table[key].astype(float).sort_values(ascending=order == "ascending", kind="stable")
            assert headings(shown) == list(wanted.index), (key, order)


def test_every_sentence_is_that_of_the_program(page: bytes) -> None:
    count = 0
    for made, group in zip(facts_of(page)["groups"], report.in_order(groups(RECORDS)), strict=True):
        rows = {row.label: row for row in group.rows}
        for pair, told in made["pairs"].items():
            a, b = (rows[made["rows"][int(place)]["label"]] for place in pair.split(","))
            assert set(told) == {m for m in group.metrics if metrics.metric(m).ranked and a.values(m) and b.values(m)}
            for metric, (difference, low, high, verdict, ending) in told.items():
                comparison = compare(a, b, metric)
                where = f"{group.dataset} {after(group.settings)}"
                words = sentence(comparison, a.label, b.label, where, metric)
                assert f"{a.label} against {b.label} on {made['where']}: {ending}" == words
                assert verdict == comparison.verdict
                assert (difference, low, high) == pytest.approx(
                    (comparison.difference, comparison.low, comparison.high), rel=1e-5
                )
                count += 1
    assert count > 500


def test_two_are_compared(opened: Open, page: bytes) -> None:
    shown = opened(page)
    shown.select_option("#compare select >> nth=0", "iwae")
    shown.select_option("#compare select >> nth=1", "low_rank")
    head = shown.locator("#compare .head").inner_text().strip()
    endings = shown.locator("#compare li").all_inner_texts()
    group = next(g for g in groups(RECORDS) if g.id == facts_of(page)["groups"][0]["id"])
    rows = {row.label: row for row in group.rows}
    where = f"{group.dataset} {after(group.settings)}"
    wanted = [
        sentence(compare(rows["iwae"], rows["low_rank"], metric), "iwae", "low_rank", where, metric)
        for metric in group.metrics
        if metrics.metric(metric).ranked
    ]
    assert [f"{head} {ending}" for ending in endings] == wanted


def test_what_is_copied_is_what_the_program_writes(opened: Open, page: bytes, tmp_path: Path) -> None:
    shown = opened(page)
    group = next(g for g in groups(RECORDS) if g.id == facts_of(page)["groups"][0]["id"])
    assert copied(shown, "Markdown").rstrip() == grids.markdown_grid(tables.quality_grid(group))
    lines = list(csv.DictReader(io.StringIO(copied(shown, "CSV"))))
    whole = frame.frame(RECORDS)
    whole = whole[whole["group"] == group.id].set_index("label")
    assert [line["variant"] for line in lines] == list(whole.index)
    for line in lines:
        for metric in ("elbo_nats", "nll_is500_nats", "mse_per_pixel"):
            assert float(line[metric]) == whole.loc[line["variant"], f"{metric}_mean"]
    latex = copied(shown, "LaTeX")
    assert r"\textbf{" in latex
    assert latex.count(r" \\") == len(lines) + 1
    if shutil.which("pdflatex") is None:
        pytest.skip("the copied LaTeX is compiled where pdflatex is")
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}\tiny {latex}\end{{document}}"
    (tmp_path / "t.tex").write_text(document)
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_view_comes_back_from_its_address(opened: Open, page: bytes) -> None:
    shown = opened(page)
    shown.select_option("#group", index=1)
    shown.select_option("#metric", "mse_per_pixel")
    shown.select_option("#theme", "All")
    shown.fill("#rows", "conv vanilla")
    shown.click('[data-sort="mse_per_pixel"]')
    shown.select_option("#compare select >> nth=0", "conv")
    shown.select_option("#pictures select >> nth=0", "reconstructions")
    address = shown.evaluate("location.hash")
    again_shown = opened(page, address)

    def state(of: Any) -> Any:
        values = of.locator("select, #rows").evaluate_all("all => all.map(each => each.value)")
        return values, headings(of), of.locator("#pictures figcaption").all_inner_texts()

    assert state(again_shown) == state(shown)
    assert set(headings(shown)) == {"conv", "conv_full_covariance", "vanilla"}
    shown.click("nav a >> nth=3")
    assert shown.evaluate("location.hash") == address
    shown.click("#reset")
    assert len(headings(shown)) == len(facts_of(page)["groups"][1]["rows"])


def test_it_is_used_by_keyboard(opened: Open, page: bytes) -> None:
    shown = opened(page)
    shown.focus('[data-sort="kl_nats"]')
    shown.keyboard.press("Enter")
    assert shown.evaluate("document.activeElement.dataset.sort") == "kl_nats"
    assert shown.locator("th[aria-sort]").count() == 1
    dots = shown.locator("#seeds [data-tip]")
    assert dots.evaluate_all("all => all.filter(each => each.getAttribute('tabindex') === '0').length") == 1
    dots.first.focus()
    first = shown.locator("#tip").inner_text()
    shown.keyboard.press("ArrowRight")
    assert shown.locator("#tip").inner_text() not in ("", first)
    shown.keyboard.press("Enter")
    assert "seed 1" in shown.locator("#record-title").inner_text()
    shown.keyboard.press("Escape")
    assert not shown.locator("#record").is_visible()


def test_a_telephone_and_a_printer_show_it(opened: Open, page: bytes) -> None:
    shown = opened(page, viewport={"width": 390, "height": 844})
    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.locator("details[data-printed]:not([open])").count() == 0
    assert shown.pdf(format="A4").startswith(b"%PDF")
    # What an A4 page has between its margins, in pixels.
    paper = opened(page, viewport={"width": 703, "height": 900})
    paper.emulate_media(media="print")
    assert paper.evaluate("document.documentElement.scrollWidth") <= 703


@pytest.mark.parametrize("count", [1, 2, 300])
def test_few_and_many_rows(opened: Open, count: int) -> None:
    records = [
        fake.quality("beta", s, elbo=-100.0 - i, overrides={"beta": float(i + 1)}, epochs=4)
        for i in range(count)
        for s in range(3 if count < 9 else 1)
    ]
    made = report.report(records, {}, [])
    assert len(made) < LARGEST
    shown = opened(made)
    assert len(headings(shown)) == count
    assert shown.locator("#compare li").count() == (0 if count == 1 else 4)
    assert shown.locator("#seeds .name").count() == min(count, 30)


def test_a_mean_is_of_all_runs_where_the_first_alone_are_drawn(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "ROWS_AND_RUNS", ((9, 2),))
    records = [fake.quality("vanilla", seed, elbo=elbo) for seed, elbo in enumerate((-100.0, -100.0, -130.0))]
    shown = opened(report.report(records, {}, []))
    assert shown.locator("#seeds [data-tip]").count() == 2
    assert "\u2190 \u2212110.00" in shown.locator("#seeds").text_content()


@pytest.mark.parametrize(
    "curve",
    [(-120.0, -100.0, -105.0, -120.0), (-120.0, -104.0, -100.0, -99.0), (-160.0, -120.0, -110.0, -100.0)],
    ids=["turns down", "settles", "rises"],
)
def test_the_ends_of_curves_are_on_the_axis(opened: Open, curve: tuple[float, ...]) -> None:
    records = [fake.thorough(name, 0, epochs=4) for name in ("vanilla", "conv")]
    for lower, record in enumerate(records):
        for point, elbo in zip(record.curve, curve, strict=True):
            point["valid_elbo_nats"] = elbo - lower
    shown = opened(report.report(records, {}, []))
    bottom = float(
        shown.locator("#curves-clip rect").first.evaluate("at => at.y.baseVal.value + at.height.baseVal.value")
    )
    lines = shown.locator("#learning polyline.curve").evaluate_all(
        "all => all.map(each => each.getAttribute('points'))"
    )
    ends = [float(points.split()[-1].split(",")[1]) for points in lines]
    assert len(ends) == 2
    assert max(ends) <= bottom


def test_what_a_point_says_and_who_leads_are_the_figures_of_the_rows(opened: Open) -> None:
    curves = {"conv": (-10.0, -5.0, -4.0, -3.0), "vanilla": (-8.0, -6.0, -5.0, -4.5)}
    records = [fake.thorough(name, seed, epochs=4) for name in curves for seed in range(2)]
    for record in records:
        record.latent = {"kl_per_dim": [2.0, 0.005, 1.0]}
        for point, elbo in zip(record.curve, curves[record.cell["variant"]], strict=True):
            point["valid_elbo_nats"] = elbo
    shown = opened(report.report(records, {}, []))
    (group,) = groups(records)

    def told(value: float) -> str:
        return f"{value:,.2f}".replace("-", "\N{MINUS SIGN}")

    def mean(row: Any, metric: str) -> float:
        return float(row.summary(metric).mean)

    wanted = []
    for row in group.rows:
        recon, kl = mean(row, "recon_nats"), mean(row, "kl_nats")
        wanted.append(f"{row.label}: distortion {told(-recon)}, rate {told(kl)}, ELBO {told(recon - kl)} nats")
        wanted += [f"{row.label}, dimension {n} of 3 by KL: {kl} nats" for n, kl in ((1, 2), (2, 1), (3, 0.005))]
        for metric, words in (
            ("approximation_gap_nats", "approximation (posterior family)"),
            ("amortisation_gap_nats", "amortisation (encoder)"),
        ):
            text = grids.spread(row.summary(metric), metrics.metric(metric).digits)
            wanted.append(f"{row.label}, {words}: {text} nats")
    tips = shown.locator("#latent [data-tip]").evaluate_all("all => all.map(each => each.dataset.tip)")
    assert sorted(tips) == sorted(wanted)
    ends = shown.locator("#latent svg[aria-label='Inference gaps'] g, #latent svg[aria-label='Inference gaps'] text")
    for row in group.rows:
        sum_of_both = mean(row, "approximation_gap_nats") + mean(row, "amortisation_gap_nats")
        assert told(sum_of_both) in ends.all_text_contents()
    learning_text = shown.locator("#learning").inner_text()
    assert "Highest mean: vanilla in epoch 1, then conv in epochs 2 to 4." in learning_text
    most, least = (facts._gain(next(row for row in group.rows if row.label == label)) for label in ("conv", "vanilla"))
    assert most == 2
    assert f"training still gained 2.00 nats a doubling for conv, and {told(least or 0)} for vanilla." in learning_text
    # The front is that of the picture, whichever direction is better.
    draw = np.random.default_rng(0)
    for sign, better in ((1, "higher"), (-1, "lower")):
        for pace, cheaper in ((1, "higher"), (-1, "lower")):
            rows: Any = {str(n): (float(draw.normal()), *sorted(draw.normal(size=3).tolist())) for n in range(9)}
            points = [
                {
                    "name": name,
                    "y": sign * quality,
                    "xLow": min(pace * low, pace * high),
                    "xHigh": max(pace * low, pace * high),
                }
                for name, (quality, low, _, high) in rows.items()
            ]
            found = shown.evaluate("all => onFront(...all).map(point => point.name)", [points, better, cheaper])
            assert found == front_of(rows)


def test_failed_runs_are_counted_and_named(opened: Open) -> None:
    records = [fake.quality("vanilla", seed) for seed in range(3)]
    records += [
        fake.quality("conv", 0, status="diverged", reason="loss is nan <b>"),
        fake.quality("beta", 0, status="error", reason="no"),
    ]
    shown = opened(report.report(records, {}, []))
    assert shown.locator("header .banner").inner_text() == "2 runs failed"
    shown.click("header .banner a")
    assert "conv seed 0 on cpu: diverged: loss is nan <b>" in shown.locator("#failed").inner_text()
    nothing = opened(report.report([fake.quality("conv", 0, status="error", reason="no")], {}, []))
    assert "No run of this group gave a figure." in nothing.locator("main").inner_text()


def test_hostile_names_stay_text(opened: Open) -> None:
    records = [fake.quality(name, seed) for name in (HOSTILE, "vanilla") for seed in range(3)]
    records.append(fake.quality(HOSTILE, 3, status="error", reason=HOSTILE, commit="abc"))
    records.append(fake.throughput(HOSTILE))
    made = report.report(records, kept([records[0]]), [HOSTILE])
    shown = opened(made)
    assert set(headings(shown)) == {HOSTILE, "vanilla"}
    assert shown.locator("script").count() == 2
    assert shown.locator("img").count() == 2
    assert HOSTILE in shown.locator("#warnings").text_content()
    assert next(csv.DictReader(io.StringIO(copied(shown, "CSV"))))["variant"] in (HOSTILE, "vanilla")
    evil = opened(made, "#q=%3Cimg%20src=x%3E&m=__proto__&s=constructor&t=%22&x='&l=a&p=b&g=c")
    assert evil.locator("#scores thead").count() == 1


def test_pictures_are_those_that_the_runs_kept(opened: Open) -> None:
    records = [fake.quality(variant, 0) for variant in ("vanilla", "autoencoder")]
    artefacts = kept(records, (3, 16, 16))
    walk = np.random.default_rng(0).integers(0, 256, (5, 7, 3, 16, 16), dtype=np.uint8)
    both = {"interpolations_linear": walk[:3], "interpolations_great_circle": walk[:3]}
    ends = {f"{end}_{what}": walk[0] for end in ("worst", "best") for what in ("inputs", "reconstructions")}
    maps = np.arange(8 * 4).reshape(8, 2, 2).astype(np.uint16)
    artefacts[records[0].id] |= {"traversals": walk, "code_maps": maps, **both, **ends}
    made = report.report(records, artefacts, [])
    sheets = {group["rows"][0]["label"]: group["sheets"] for group in facts_of(made)["groups"]}
    assert [sheet["kind"] for sheet in sheets["vanilla"]] == ["data", *pictures.KINDS]
    assert [sheet["kind"] for sheet in sheets["autoencoder"]] == ["data", "reconstructions"]
    assert next(sheet["size"] for sheet in sheets["vanilla"] if sheet["kind"] == "traversals") == [
        7 * 17 - 1,
        5 * 17 - 1,
    ]
    shown = opened(made, "#p=traversals")
    assert shown.locator("#pictures img").evaluate_all("all => all.map(each => each.naturalWidth)") == [
        8 * 17 - 1,
        7 * 17 - 1,
    ]
    assert (
        shown.locator("#pictures img")
        .nth(1)
        .get_attribute("alt")
        .startswith("vanilla: each line moves one latent axis")
    )
    assert shown.locator("canvas").count() == 0
    vectors = {records[0].id: fake.artefact(records[0], (16,))}
    assert facts_of(report.report(records[:1], vectors, []))["groups"][0]["sheets"] == []


def test_two_pictures_of_the_same_inputs_have_a_difference(
    opened: Open, violations: Callable[[Any], list[str]]
) -> None:
    records = [fake.quality(variant, 0) for variant in ("vanilla", "conv")]
    artefacts = kept(records, (3, 16, 16))
    one, other = (np.full((8, 3, 16, 16), level, dtype=np.uint8) for level in (110, 80))
    other[1] = 150
    artefacts[records[0].id]["reconstructions"], artefacts[records[1].id]["reconstructions"] = one, other
    artefacts[records[1].id]["inputs"] = artefacts[records[0].id]["inputs"]
    made = report.report(records, artefacts, [])
    shown = opened(made, "#p=reconstructions&pa=vanilla&pb=conv")
    read = "([x, y]) => [...document.querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1).data]"
    wait_for(lambda: shown.evaluate(f"({read})([3, 20])[3] > 0"), 30)
    # Inputs above are equal; below the first is 30 brighter, and 40 darker in the second image.
    found = [shown.evaluate(read, place) for place in ([3, 3], [3, 20], [20, 20])]
    assert [pixel[3] for pixel in found] == [0, 60, 80]
    assert found[1][0] > found[1][2]
    assert found[2][0] < found[2][2]
    assert (
        shown.locator(".difference figcaption")
        .inner_text()
        .startswith("vanilla minus conv: orange where vanilla is br")
    )
    assert violations(shown) == []
    shown.select_option('#pictures label:has-text("Show") select', "samples")
    assert shown.locator("#pictures img").count() == 3
    assert shown.locator("canvas").count() == 0


def test_mean_ranks_are_drawn_with_what_makes_a_difference(opened: Open, page: bytes) -> None:
    found = facts_of(page)["ranks"]
    assert [each["title"] for each in found] == ["ELBO, binary likelihood", "NLL (IS-500), binary likelihood"]
    shown = opened(page)
    charts = shown.locator("#ranks .critical svg")
    assert charts.count() == len(found) == 2
    for place, each in enumerate(found):
        dots = charts.nth(place).locator("[data-tip]").evaluate_all("all => all.map(each => each.dataset.tip)")
        assert dots == [f"{row['label']}: mean rank {row['mean']:.2f}" for row in each["rows"]]
        assert charts.nth(place).locator(".clique").count() == 1 + len(each["tied"])
        assert f"critical difference {each['critical']:.2f}" in charts.nth(place).text_content()
    narrow = opened(page, viewport={"width": 390, "height": 844})
    assert narrow.locator("#ranks .critical svg").first.bounding_box()["width"] <= 390


def test_what_is_kept_of_codes_and_pixels_is_drawn(opened: Open, violations: Callable[[Any], list[str]]) -> None:
    records = [fake.quality(variant, 0, dataset="fashion_mnist") for variant in ("vanilla", "conv")]
    artefacts = kept(records)
    lengths, share = np.linspace(2, 6, 101), np.array([0.1, 0.5, np.nan, 0.9])
    artefacts[records[0].id] |= {"prior_norms": lengths, "aggregate_norms": 1.1 * lengths}
    artefacts[records[0].id] |= {"reliability_mean": share, "reliability_share": share}
    artefacts[records[0].id] |= {"class_labels": np.arange(3), "class_elbo": np.array([-90.0, -100.04, -110.0])}
    made = report.report(records, artefacts, [])
    row = next(row for row in facts_of(made)["groups"][0]["rows"] if row["label"] == "vanilla")
    assert len(row["norms"]) == 21
    assert row["norms"][-1] == [6, 6.6]
    assert row["reliability"] == [[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]
    shown = opened(made)
    titles = shown.locator("#latent h3").all_inner_texts()
    for title in ("Aggregated posterior and prior", "Are the pixels' probabilities right?", "ELBO by class"):
        assert title in titles
    assert shown.locator("#latent table td").all_inner_texts() == ["\u221290.0", "\u2212100.0", "\u2212110.0"]
    assert shown.locator("#latent thead th").all_inner_texts()[1:] == ["T-shirt", "trouser", "pullover"]
    assert shown.locator("#latent .classes").inner_text().split()[:3] == ["Class:", "T-shirt", "trouser"]
    assert violations(shown) == []


def test_the_same_records_give_the_same_bytes_and_too_many_pictures_are_left_out(
    page: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert report.report(thorough(), ARTEFACTS, ["look here"]) == page
    assert len(page) < LARGEST
    room = len(page) - 20_000
    monkeypatch.setattr(report, "LARGEST", room)
    small = report.report(RECORDS, ARTEFACTS, ["look here"])
    assert len(small) <= room
    assert facts_of(small)["left_out"] > 0
    monkeypatch.setattr(report, "LARGEST", 350_000)
    small = report.report(RECORDS, ARTEFACTS, ["look here"])
    assert len(small) <= 350_000
    assert 1 <= max(len(group["rows"]) for group in facts_of(small)["groups"]) < len(fake.NAMES)


def test_colours_are_seen_on_both_grounds() -> None:
    for colour in ("#000000", "#8b0026", "#0173b2", "#ffffff"):
        assert style.contrast(facts.on_dark(colour), facts.DARK) >= facts.LEAST_CONTRAST
    assert facts.on_dark("#56b4e9") == "#56b4e9"
    assert style.contrast("#000000", "#ffffff") == pytest.approx(21)
    written = (Path(str(document.__file__)).parent / "assets" / "page.css").read_text()
    in_css = [re.findall(rf"\.class-{place} {{ fill: (#\w+); stroke: (#\w+); }}", written) for place in range(10)]
    assert in_css == [[(colour, colour)] for colour in style.CLASSES]
    for colour in re.findall(r"\.part-\w+ {{ fill: (#\w+)".replace("{{", "{"), written):
        assert min(style.contrast(colour, ground) for ground in ("#ffffff", facts.DARK)) >= style.SEEN


def test_the_suite_that_runs_it_again_has_the_same_cells(tmp_path: Path) -> None:
    wanted = suite.load("quick")
    records = []
    for cell in wanted.cells("cpu"):
        made = fake.quality(cell["variant"], cell["seed"])
        made.cell = cell
        records.append(made)
    (text,) = again.suites(records)
    assert tomllib.loads(text)["throughput"] == {"blocks": 0}
    path = tmp_path / "again.toml"
    path.write_text(text)
    cells = {json.dumps(cell, sort_keys=True) for cell in suite.load(str(path)).cells("cpu")}
    assert cells == {json.dumps(cell, sort_keys=True) for cell in wanted.cells("cpu")}


def test_a_suite_that_runs_it_again_says_what_is_not_usual_alone() -> None:
    records = [fake.quality("vanilla", seed, precision="bf16+compile") for seed in range(3)]
    records.append(fake.quality("beta", 0, precision="bf16+compile", overrides={"beta": 2.0}))
    (text,) = again.suites(records)
    told = tomllib.loads(text)
    assert (told["seeds"], told["precision"], told["compile"]) == (3, "bf16", True)
    assert told["variants"] == [{"name": "vanilla"}, {"name": "beta", "set": {"beta": 2.0}, "seeds": 1}]
    assert told["datasets"] == [{"name": "mnist", "binarise": "dynamic"}]
    assert told["budget"] == {key: value for key, value in records[0].cell["budget"].items() if value is not None}
    assert told["measure"] == records[0].cell["measure"]
    plain = [tomllib.loads(each) for each in again.suites([fake.quality("vanilla", 4, epochs=e) for e in (2, 4)])]
    assert [each["budget"]["epochs"] for each in plain] == [2, 4]
    assert not any({"precision", "compile"} & each.keys() for each in plain)
    assert [each["seeds"] for each in plain] == [[4], [4]]
    (text,) = again.suites([fake.quality(name, seed) for name in ("vanilla", "beta") for seed in (7, 42)])
    assert tomllib.loads(text)["seeds"] == [7, 42]
    # Seven alone cannot be said of one row: it has the seeds of all, not 0 to 7.
    (text,) = again.suites([fake.quality(*each) for each in (("vanilla", 7), ("vanilla", 42), ("beta", 7))])
    assert tomllib.loads(text)["variants"] == [{"name": "vanilla"}, {"name": "beta"}]


# ---------------------------------------------------------------------------------------------------------------------
# What the page says without its script


def shown_texts(html: str) -> list[str]:
    return re.findall(r">([^<>]+)<", html)


def test_ranks_are_of_the_largest_group_of_each_data_set_and_their_table_says_them() -> None:
    levels = {
        "mnist": {"vanilla": -100.0, "conv": -90.0, "iwae": -95.0},
        "fashion_mnist": {"vanilla": -210.0, "conv": -200.0, "iwae": -190.0},
    }
    records = [fake.quality(v, 0, elbo=elbo, dataset=d) for d, rows in levels.items() for v, elbo in rows.items()]
    # A second budget on the same data, of fewer rows and in another order.
    records += [fake.quality(v, 0, elbo=elbo, epochs=20) for v, elbo in (("vanilla", -80.0), ("conv", -95.0))]
    found = report._ranks(report.in_order(groups(records)))
    assert [each.metric for each in found] == ["elbo_nats", "nll_is500_nats"]
    for each in found:
        places = {g.dataset: [each.ranks[v][i] for v in levels["mnist"]] for i, g in enumerate(each.groups)}
        assert places == {"mnist-dynamic": [3, 1, 2], "fashion_mnist-dynamic": [3, 2, 1]}
        html = report._rank_table(each, 0)
        told = shown_texts(html)
        assert told[told.index("variant") :] == [
            *("variant", *places, "mean rank \u2193", "rows beaten \u2191"),
            *("conv", *(f"{of[1]:g}" for of in places.values()), "1.50", "3"),
            *("iwae", *(f"{of[2]:g}" for of in places.values()), "1.50", "3"),
            *("vanilla", "3", "3", "3.00", "0"),
        ]
        assert f"if they are {each.critical:.2f} or more apart" in html
        assert "2 data sets are too few to generalise from: 6 is a start." in html
        assert "too few" not in report._rank_table(replace(each, groups=each.groups * 3), 0)


@pytest.mark.parametrize(
    ("take", "learning", "words"),
    [
        ((), False, ["no answer yet"]),
        (("a",), False, ["a"]),
        (("a", "b", "c"), False, ["a", "tied: b and c"]),
        (("a", "b"), True, ["a or b"]),
    ],
)
def test_what_to_take_is_the_best_with_those_tied_or_all_that_still_learn(
    take: tuple[str, ...], learning: bool, words: list[str]
) -> None:
    html = report._take(Answer("the best ELBO", "elbo_nats", take, "", "", learning=learning))
    assert shown_texts(html) == words
    assert ("<strong>" in html) == bool(take)


def test_the_head_counts_runs_rows_and_data_sets_and_a_group_its_seeds() -> None:
    records = [fake.quality("vanilla", seed) for seed in range(3)] + [fake.quality("conv", 0)]
    records += [fake.quality("vanilla", 0, dataset="fashion_mnist"), fake.throughput("vanilla")]
    page = report.report(records, {}, []).decode()
    assert "5 runs, 2 variants, 2 data sets, judged by one evaluator." in page
    assert {group.dataset: report._seeds(group) for group in groups(records)} == {
        "mnist-dynamic": "1 to 3 seeds",
        "fashion_mnist-dynamic": "1 seed",
    }


def test_cells_are_means_with_their_marks_and_speeds_medians_with_their_quartiles() -> None:
    levels = {"conv": -97.0, "vanilla": -100.0}
    records = [fake.quality(v, seed, elbo=at + seed / 10) for v, at in levels.items() for seed in range(3)]
    records.append(fake.throughput("vanilla"))
    (group,) = groups(records)
    (made,) = facts_of(report.report(records, {}, []))["groups"]
    place = {column["key"]: at for at, column in enumerate(made["columns"])}
    for row, of, mark in zip(made["rows"], group.rows, ("best", ""), strict=True):
        of_elbo: Any = of.summary("elbo_nats")
        assert row["cells"][place["elbo_nats"]] == [
            *(of_elbo.mean, grids.spread(of_elbo, 2), mark, of_elbo.half_width, 3)
        ]
        of_time: Any = of.summary("train_s")
        assert row["cells"][place["train_s"]][0] == of_time.mean == pytest.approx(62.2)
        assert "\u00b1" not in row["cells"][place["train_s"]][1]
        assert [run["values"]["elbo_nats"] for run in row["runs"]] == list(of.values("elbo_nats").values())
    speed: Any = records[-1].metrics["train_samples_per_s"]
    conv, vanilla = (row["cells"][place["train_samples_per_s@cpu"]] for row in made["rows"])
    assert conv is None
    assert vanilla == [speed.median, tables.block_text(speed, 0), "", None, 5, speed.q1, speed.q3]


def test_a_plane_has_points_with_classes_covariances_and_a_prior_where_there_is_one() -> None:
    records = [fake.quality("full_covariance", 0), fake.quality("autoencoder", 0, support="binary")]
    arrays = {record.id: fake.artefact(record, points=300) for record in records}
    (group,) = groups(records)
    full, point = (facts._plane(row, arrays) for row in group.rows)
    kept_arrays = arrays[records[0].id]
    assert full is not None
    assert point is not None
    assert full["axes"] == [3, 11]
    np.testing.assert_allclose(full["points"], kept_arrays["latent_mean"][:200], atol=0.0051)
    assert full["labels"] == kept_arrays["labels"][:200].tolist()
    first, between, second = (kept_arrays["latent_cov"][:24, a, b] for a, b in ((0, 0), (0, 1), (1, 1)))
    np.testing.assert_allclose(full["ellipses"], np.stack([first, between, second], 1), rtol=6e-3)
    assert (full["prior"], point["prior"]) == (True, False)


def test_a_sheet_has_every_image_at_its_place_and_of_large_ones_every_third_pixel() -> None:
    from PIL import Image

    images = np.arange(10, dtype=np.uint8)[:, None, None, None] * 20 + np.zeros((1, 1, 130, 100), np.uint8)
    images[:, :, ::3, ::3] += 5
    shown = pictures._grey_or_rgb(images)
    assert shown is not None
    sheet = pictures._sheet("samples", "", "", [*pictures._lines(shown)])
    assert sheet.size == (8 * (34 + 1) - 1, 2 * (44 + 1) - 1)
    canvas = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet.uri.partition(",")[2]))))
    for place in range(10):
        down, across = divmod(place, 8)
        part = canvas[down * 45 : down * 45 + 44, across * 35 : across * 35 + 34]
        assert (part == 20 * place + 5).all()
    assert (canvas[44] == pictures.BETWEEN).all()
    assert (canvas[45:, 70:] == pictures.BETWEEN).all()


def test_the_spectrum_is_the_mean_of_sorted_seeds() -> None:
    """Axes have no order that seeds share, so they are averaged by rank."""
    row: Any = SimpleNamespace(ok=[SimpleNamespace(latent={"kl_per_dim": each}) for each in ([3, 1, 2], [0, 1, 5])])
    assert facts._spectrum(row) == [4, 1.5, 0.5]


def test_the_page_answers_for_each_group_and_says_where_it_has_no_answer(page: bytes) -> None:
    html = page.decode()
    shown = report.in_order(groups(RECORDS))
    options = re.findall(r'<option value="(\w+)">([^<]*)</option>', html)
    assert options == [(group.id, facts.name(group)) for group in shown]
    assert html.count("These runs have no measure of samples.") == len(shown)
    answered = [answers(group, speeds.throughput(RECORDS, group.dataset)) for group in shown]
    priced = [any(answer.cost for answer in each) for each in answered]
    assert html.count('<th scope="col">what it costs</th>') == sum(priced)
    assert any(not answer.cost for each, of in zip(answered, priced, strict=True) for answer in each if of)
    for group in shown:
        for theme in tables.certainty_grids(group):
            assert f"<h3>{facts.name(group)}: Errors, {theme}</h3>" in html
    assert html.count(": Errors, Main</h3>") == 2
    assert re.findall(r"Save as <code>(\w+)\.toml</code>", html) == [
        f"again{n + 1}" for n in range(len(again.suites(RECORDS)))
    ]
    glossary = re.findall(r"<dt>([^<]*)</dt>", html)
    assert {metrics.metric(name).header for name in ("elbo_nats", "train_samples_per_s")} <= set(glossary)
    assert '<section id="ranks"' in html
    alone = report.report([fake.quality("vanilla", 0)], {}, []).decode()
    assert 'id="ranks"' not in alone
    assert 'href="#ranks"' not in alone


def test_the_overview_has_the_answers_of_each_group() -> None:
    levels = {"mnist": {"vanilla": -100.0, "conv": -90.0}, "fashion_mnist": {"vanilla": -200.0, "conv": -210.0}}
    records = [
        fake.quality(name, seed, elbo=at + seed / 10, dataset=dataset)
        for dataset, rows in levels.items()
        for name, at in rows.items()
        for seed in range(3)
    ]
    shown = report.in_order(groups(records))
    answered = {group.id: answers(group, speeds.Throughput({})) for group in shown}
    html = report._overview(shown, answered)
    heads = re.findall(r'<th scope="col">([^<]*)</th>', html)
    place = heads.index("the best ELBO")
    lines = [shown_texts(line) for line in re.findall(r"<tr>.*?</tr>", html)[1:]]
    assert {line[0]: line[place] for line in lines} == {
        "fashion_mnist-dynamic, binary likelihood": "vanilla",
        "mnist-dynamic, binary likelihood": "conv",
    }


def test_the_facts_of_a_group_are_those_of_its_rows_and_of_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "MOST_PAIRED", 2)
    names = ("conv", "vanilla", "linear", "beta")
    at = {"linear": -105.0}  # black, which is not seen on a dark page
    records = [fake.quality(n, seed, elbo=at.get(n), dataset="fashion_mnist") for n in names for seed in range(3)]
    records[4] = fake.quality("vanilla", 1, dataset="fashion_mnist", status="error", reason="no way")
    timed = fake.throughput("conv", dataset="fashion_mnist")
    (group,) = groups(records)
    told = facts.group_facts(group, speeds.throughput([timed], group.dataset), {}, 3, 2)
    assert (told["of"], len(told["rows"]), told["paired"], set(told["pairs"])) == (4, 3, 2, {"0,1", "1,0"})
    assert told["class_names"] == list(classes("fashion_mnist"))
    for row, of in zip(told["rows"], group.rows, strict=False):
        look = style.look(of.variant, of.overrides)
        assert (row["label"], row["ok"], row["total"], row["marker"]) == (of.label, len(of.ok), 3, look.marker)
        assert row["colour"] == [look.colour, facts.on_dark(look.colour)]
        assert [(run["id"], run["status"]) for run in row["runs"]] == [(r.id, r.status) for r in of.records[:2]]
    failed = told["rows"][1]["runs"][1]
    assert (failed["reason"], failed["device"], failed["values"]) == ("no way", "Example CPU", {"train_s": 62.2})
    cells = {column["key"]: cell for column, cell in zip(told["columns"], told["rows"][0]["cells"], strict=True)}
    assert cells["peak_memory_mb@cpu"] == [512.0, tables.block_text(512.0, 0), "", None, 1]
    # What no row has a value of is no metric to choose.
    (group,) = groups([fake.quality("autoencoder", seed) for seed in range(2)])
    told = facts.group_facts(group, speeds.Throughput({}), {}, 3, 2)
    assert "mse_per_pixel" in told["metrics"]
    assert "elbo_nats" not in told["metrics"]
    (row,) = group.rows
    gains = [learning.gain(record.curve, "recon_nats") for record in row.ok]
    assert facts._gain(row) == pytest.approx(np.mean([gain.nats for gain in gains if gain]), rel=1e-3)
    for name, of_metric in facts.metric_facts([group]).items():
        entry = metrics.metric(name)
        assert of_metric == {key: getattr(entry, key) for key in of_metric}


def test_rows_that_still_learn_have_their_mark_in_the_cell_and_none_is_the_best() -> None:
    records = [
        fake.quality(name, s, elbo=at + s / 10) for name, at in (("conv", -97.0), ("vanilla", -100.0)) for s in range(3)
    ]
    for record in records:
        record.curve[-1]["valid_elbo_nats"] = 500.0
    (group,) = groups(records)
    told = facts.group_facts(group, speeds.Throughput({}), {}, 9, 9)
    place = next(at for at, column in enumerate(told["columns"]) if column["key"] == "elbo_nats")
    cells = [row["cells"][place] for row in told["rows"]]
    assert [(cell[1], cell[2]) for cell in cells] == [
        (grids.spread(row.summary("elbo_nats"), 2), "learning") for row in group.rows
    ]


def test_mean_ranks_are_means_over_data_sets() -> None:
    (group,) = groups([fake.quality("vanilla", 0), fake.quality("conv", 0)])
    found: Any = SimpleNamespace(
        groups=[group] * 3, ranks={"conv": [1, 1, 4], "vanilla": [2, 3, 1]}, critical=2.5, tied=[(0, 1)]
    )
    told = facts.rank_facts(found)
    assert [(row["label"], row["mean"], row["marker"]) for row in told["rows"]] == [
        ("conv", 2, style.look("conv").marker),
        ("vanilla", 2, style.look("vanilla").marker),
    ]
    assert (told["critical"], told["tied"]) == (2.5, [(0, 1)])


def test_a_sheet_of_two_lines_has_its_inputs_above_and_says_how_many_images_it_has() -> None:
    from PIL import Image

    def pixels(sheet: pictures.Sheet) -> Any:
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet.uri.partition(",")[2]))))

    record = fake.quality("vanilla", 0)
    (group,) = groups([record])
    ends = [f"{end}{what}" for end in ("", "worst_", "best_") for what in ("inputs", "reconstructions")]
    arrays = {name: np.full((5, 1, 4, 4), 20 + 20 * place, np.uint8) for place, name in enumerate(ends)}
    arrays["samples"] = np.arange(100, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 3, 4, 4), np.uint8)
    arrays["samples"][:, 1:] += np.array([[[50]], [[100]]], np.uint8)
    sheets = {sheet.kind: sheet for sheet in pictures.sheets(group.rows, {record.id: arrays})}
    above_and_below = {kind: pixels(sheets[kind])[[0, -1], 0].tolist() for kind in ("reconstructions", "worst", "best")}
    assert above_and_below == {"reconstructions": [20, 40], "worst": [60, 80], "best": [100, 120]}
    told = {kind: int(re.findall(r"\d+", sheet.alt)[0]) for kind, sheet in sheets.items()}
    assert told == {"data": 5, "samples": 64, "reconstructions": 5, "worst": 5, "best": 5}
    # Red, green and blue of the first and of the last of them.
    assert pixels(sheets["samples"])[[0, -1], [0, -1]].tolist() == [[0, 50, 100], [63, 113, 163]]
    assert sheets["samples"].size == (39, 39)


def test_a_suite_that_tunes_again_has_its_search_and_what_stood_there_before_a_trial_chose() -> None:
    chosen = [tuned(fake.quality("vanilla", seed), 1, 0.01) for seed in range(2)]
    for record in chosen:
        record.cell["overrides"] = {"latent": 50}
        record.cell["tuning"]["own"] = {"beta": {"log": [1, 9]}}
    plain = [fake.quality("vanilla", seed) for seed in range(3)] + [fake.quality("iwae", 0, overrides={"a b": [1, 2]})]
    for record in (*chosen, *plain):
        record.cell["binarise"], record.cell["data_options"] = None, {"k": 2}
    (text,) = again.suites([*plain, *chosen])
    told = tomllib.loads(text)
    assert told["search"] == SEARCH
    assert told["budget"] == {key: value for key, value in plain[0].cell["budget"].items() if value is not None}
    assert told["seeds"] == 3
    assert told["variants"] == [
        {"name": "vanilla", "search": {"beta": {"log": [1, 9]}}},
        {"name": "iwae", "set": {"a b": [1, 2]}, "seeds": 1},
    ]
    assert told["datasets"] == [{"name": "mnist", "binarise": "none", "options": {"k": 2}}]
