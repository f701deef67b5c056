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

from bench.pages import grids, tables
from bench.pages.figures import style
from bench.pages.html import again, document, facts, pictures, report
from bench.pages.html.document import LARGEST
from bench.records.record import Record
from bench.stats import frame, metrics
from bench.stats.answer import Answer
from bench.stats.differences import sentence
from bench.stats.groups import after, groups
from bench.stats.learning import compare
from bench.suites import suite
from tests import fake_records as fake
from tests.helpers import wait_for

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
    assert [each["seeds"] for each in plain] == [5, 5]


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
