"""A page as one HTML file: what others wrote stays text, and a browser finds all of it inside."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench.pages.blocks import Block, Heading, Items, Picture, Table, Text, Warnings
from bench.pages.grids import Entry, markdown_text
from bench.pages.html import render
from bench.pages.html.document import as_json, document

HOSTILE = '</script><img src=x onerror="alert(1)">\'"&`**_[a](javascript:b)<!--'
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6360000000020001489afa4b0000000049454e44ae426082"
)


class Reader(HTMLParser):
    """What a browser would make of a page: its elements and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_block_is_shown_and_hostile_text_stays_text() -> None:
    table = Table((["name", HOSTILE], [[Entry(HOSTILE), Entry("-1.5", best=True)]]))
    blocks: list[Block] = [
        Heading("Results", 1),
        Text("**Bold** and `code` and [link](tables/a.csv)"),
        Text(markdown_text(HOSTILE)),
        Items(["one", markdown_text(HOSTILE)]),
        Warnings([HOSTILE]),
        table,
        Picture("plots/a", HOSTILE),
        Picture("plots/gone", "not there"),
    ]
    page = Reader(render.page(HOSTILE, blocks, {"plots/a.png": PIXEL}).decode())
    assert page.text.count(HOSTILE) == 6
    names = [tag for tag, _ in page.tags]
    assert names.count("img") == 1
    assert not {"script"} & set(names)
    assert [attrs["href"] for tag, attrs in page.tags if tag == "a"] == ["tables/a.csv"]
    (image,) = (attrs for tag, attrs in page.tags if tag == "img")
    assert image["alt"] == HOSTILE
    assert str(image["src"]).startswith("data:image/png;base64,")
    for part in ("Bold", "code", "-1.5", "plots/gone.png beside this page"):
        assert part in page.text


def test_a_page_says_what_it_may_load() -> None:
    page = document("x", "<p>y</p>").decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    first, *rest = policy.split("; style-src ")
    assert first == "default-src 'none'; img-src data:"
    assert re.fullmatch(r"'sha256-[\w+/=]+'; script-src 'none'; base-uri 'none'; form-action 'none'", *rest)


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "\u2028", "\u2029", '"', "\\"])
def test_facts_cannot_leave_their_element(text: str) -> None:
    written = as_json({text: [text, 1.5, None]})
    assert json.loads(written) == {text: [text, 1.5, None]}
    assert not {"<", "\u2028", "\u2029"} & set(written)
    with pytest.raises(ValueError, match="JSON"):
        as_json({text: float("nan")})


def test_a_browser_shows_a_page_of_blocks(browser: Any, tmp_path: Path, violations: Callable[[Any], list[str]]) -> None:
    path = tmp_path / "report.html"
    table = Table((["name", "value"], [[Entry("a"), Entry("1", best=True)]]))
    blocks = [Heading("Results", 1), Text("See [a](b.csv)."), table, Warnings(["look"]), Picture("p", "a dot")]
    path.write_bytes(render.page("t", blocks, {"p.png": PIXEL}))
    context = browser.new_context(offline=True)
    page = context.new_page()
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    page.on("request", lambda request: seen.append(request.url) if request.url.startswith("http") else None)
    page.goto(path.as_uri())
    assert page.locator("img").evaluate("image => image.naturalWidth") == 1
    assert page.locator("body").evaluate("e => getComputedStyle(e).fontVariantNumeric") == "tabular-nums"
    assert violations(page) == []
    context.close()
    assert seen == []


def test_blocks_say_what_they_are_and_pictures_without_room_where_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    # Room for two of these pictures.
    monkeypatch.setattr(render, "LARGEST", 2 * 3 * (len(PIXEL) * 4 // 3))
    names = ("plots/a", "plots/b", "plots/c")
    blocks = [Heading("x", 1), Heading("y"), Heading("z", 3), Warnings(["look"]), Items(["a", "b"])]
    table = Table((["name", "x"], [[Entry("a"), Entry("1")], [Entry("b"), Entry("2")]]))
    page = Reader(
        render.html([*blocks, table, *(Picture(name, name) for name in names)], {f"{n}.png": PIXEL for n in names})
    )
    assert [tag for tag, _ in page.tags if re.fullmatch("h[0-9]", tag)] == ["h1", "h2", "h3"]
    assert [attrs for tag, attrs in page.tags if tag == "ul"] == [{"class": "warnings"}, {}]
    assert [attrs for tag, attrs in page.tags if tag == "th"] == [{"scope": "col"}] * 2 + [{"scope": "row"}] * 2
    assert [attrs["alt"] for tag, attrs in page.tags if tag == "img"] == ["plots/a", "plots/b"]
    assert "plots/c: see plots/c.png beside this page." in page.text
