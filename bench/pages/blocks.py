"""Blocks, of which a page is a list, and their renderers: Markdown, LaTeX, the terminal.

Text in blocks is Markdown in a line: `**bold**`, `` `code` ``, `[link](file)`; what others have written goes through
`grids.markdown_text` first. Cells and captions of tables and warnings are plain text, which each renderer escapes. One
more renderer is one more function from blocks to text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench.pages import grids
from bench.pages.latex import NEEDS, latex_table


@dataclass(frozen=True)
class Heading:
    """Opens a section."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list, one line each."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Warnings:
    """What a reader should doubt, a line each, plain."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        grid: headers and cells.
        caption: for LaTeX, where a table stands without the text around it.
        notes: for LaTeX, what stands below the table.
        label: for LaTeX, by which a text refers to it.
        keeps: headers of columns that a terminal shows, however narrow it is.
    """

    grid: grids.Grid
    caption: str = ""
    notes: Sequence[str] = ()
    label: str = ""
    keeps: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """A picture that the page has as a file: its path from the page without an ending, and what it shows."""

    name: str
    alt: str


Block = Heading | Text | Items | Warnings | Table | Picture


def plain(text: str) -> str:
    """Markdown of a line without its marks."""
    return _MARK.sub(lambda found: found[1] or plain(found[2] or ""), text)


# From left to right: an escaped letter (1), what makes words bold or code, a link by its words (2).
_MARK = re.compile(r"\\([\\|*_<>`\[\]])|\*\*|`|\[((?:\\.|[^\]\\])*)\]\([^)]*\)")


def shortened(blocks: Iterable[Block]) -> Iterator[Block]:
    """The same with the first lines of long tables and lists, each with how many more there are."""
    for block in blocks:
        lines = block.grid[1] if isinstance(block, Table) else block.lines if isinstance(block, Items) else ()
        rest = len(lines) - grids.MOST_LINES
        if rest <= 0:
            yield block
            continue
        first = lines[: grids.MOST_LINES]
        yield replace(block, grid=(block.grid[0], first)) if isinstance(block, Table) else Items(first)  # type: ignore[arg-type]
        yield Text(f"... and {rest:,} more")


def markdown(blocks: Iterable[Block]) -> str:
    """A document of Markdown."""
    return "\n\n".join(filter(None, map(_markdown, blocks))) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Text(text):
            return text
        case Items(lines):
            return "\n".join(f"- {line}" for line in lines)
        case Warnings(lines):
            return _markdown(Items([grids.markdown_text(line) for line in grids.shortened(lines)]))
        case Table(grid):
            return grids.markdown_grid(grid)
        case Picture(name, alt):
            return f"![{alt}]({name}.png)"


def latex(blocks: Iterable[Block]) -> str:
    """The tables of blocks, each with its caption, notes and label, for a document that has the packages `NEEDS`."""
    tables = [
        latex_table(block.grid, block.caption, block.notes, block.label) for block in blocks if isinstance(block, Table)
    ]
    return "\n\n".join([NEEDS, *tables]) + "\n"


def terminal(blocks: Iterable[Block], width: int | None = None) -> str:
    """Text for a terminal of so many columns, by default this one's: paragraphs wrapped, lists and warnings one line
    each, tables without the columns that do not fit, no pictures.
    """
    width = width or grids.terminal_width()
    return "\n\n".join(filter(None, (_terminal(block, width) for block in blocks))) + "\n"


def _terminal(block: Block, width: int) -> str:
    match block:
        case Heading(text) | Text(text):
            return grids.wrap(plain(text), width)
        case Items(lines):
            return "\n".join(f"  {plain(line)}" for line in lines)
        case Warnings(lines):
            return "\n".join(f"warning: {line}" for line in grids.shortened(lines))
        case Table(grid):
            return grids.text_grid(grid, width, block.keeps)
        case Picture():
            return ""
