"""Blocks -> HTML."""

import base64
from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from typing import TYPE_CHECKING

from bench.pages import grids
from bench.pages.blocks import Block, Heading, Items, Picture, Table, Text, Warnings
from bench.pages.html.document import LARGEST, document

if TYPE_CHECKING:
    from markdown_it import MarkdownIt


def page(title: str, blocks: Iterable[Block], files: Mapping[str, bytes]) -> bytes:
    """A page of blocks, with its pictures inside.

    Args:
        title: plain text.
        blocks: of the page.
        files: path from the page -> content; the pictures among them are shown, as far as there is room.
    """
    return document(title, f'<main class="plain">\n{html(blocks, files)}\n</main>')


def html(blocks: Iterable[Block], files: Mapping[str, bytes] | None = None) -> str:
    """Blocks as HTML."""
    room = LARGEST // 2
    parts = []
    for block in blocks:
        if isinstance(block, Picture):
            image = (files or {}).get(f"{block.name}.png", b"")
            room -= len(image) * 4 // 3
            parts.append(_picture(block, image if room > 0 else b""))
        else:
            parts.append(_html(block))
    return "\n".join(filter(None, parts))


def inline(text: str) -> str:
    """A line of Markdown as HTML. Whatever is no Markdown is text, tags too."""
    return str(_markdown().renderInline(text))


@cache
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).disable(["image", "autolink", "entity"])


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{inline(text)}</h{level}>"
        case Text(text):
            return f"<p>{inline(text)}</p>"
        case Items(lines):
            return _list(map(inline, lines))
        case Warnings(lines):
            return _list(map(escape, grids.shortened(lines)), ' class="warnings"')
        case Table(grid):
            return table(grid)
        case Picture():
            return _picture(block, b"")


def _list(lines: Iterable[str], how: str = "") -> str:
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f"<ul{how}>{items}</ul>" if items else ""


def table(grid: grids.Grid, name: str = "table") -> str:
    """A table that is moved sideways by keyboard too where the page is narrow."""
    headers, lines = grid
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = "".join(f"<tr>{''.join(_cells(line))}</tr>" for line in lines)
    region = f'<div class="wide" role="region" tabindex="0" aria-label="{escape(name)}">'
    return f"{region}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cells(line: list[grids.Entry]) -> Iterable[str]:
    for place, cell in enumerate(line):
        text = f"<strong>{escape(cell.text)}</strong>" if cell.best else escape(cell.text)
        yield f"<td>{text}</td>" if place else f'<th scope="row">{text}</th>'


def _picture(block: Picture, image: bytes) -> str:
    caption = escape(block.alt)
    if not image:
        return f"<p>{caption}: see {escape(block.name)}.png beside this page.</p>"
    return f'<figure><img src="{data_uri(image)}" alt="{caption}"></figure>'


def data_uri(image: bytes) -> str:
    """A PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"
