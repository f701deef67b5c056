"""Headers and cells -> Markdown and terminal tables, and texts that are safe in each of them."""

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.stats import intervals
from bench.text import DASH, clip


@dataclass(frozen=True)
class Entry:
    """One printed entry of a table; `best` if it is to be marked."""

    text: str
    best: bool = False


Grid = tuple[list[str], list[list[Entry]]]


def grid(headers: Iterable[str], lines: Iterable[Iterable[str | Entry]]) -> Grid:
    """A grid of texts, and of entries where one is marked."""
    return list(headers), [[cell if isinstance(cell, Entry) else Entry(cell) for cell in line] for line in lines]


def number(value: float | None, digits: int) -> str:
    """A number with thousands separators and fixed decimals; a dash for None."""
    return DASH if value is None else f"{value:,.{digits}f}"


def spread(summary: intervals.Summary | None, digits: int) -> str:
    """`"-101.20 ± 0.35"`; a dash for the half-width with fewer than 3 seeds, for all without a value."""
    if summary is None:
        return DASH
    return f"{number(summary.mean, digits)} ± {number(summary.half_width, digits)}"


def markdown_grid(grid: Grid) -> str:
    """A Markdown table, marked cells in bold."""
    headers, lines = grid
    rows = [list(map(markdown_text, headers)), ["---", *["---:"] * (len(headers) - 1)]]
    rows += [[f"**{markdown_text(c.text)}**" if c.best else markdown_text(c.text) for c in line] for line in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def markdown_text(text: str) -> str:
    """Escape what Markdown would read as markup."""
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", text)


# Where no terminal says how wide it is: a file, a pipe.
TERMINAL_WIDTH = 120
# A terminal, or a page of several tables, shows so many lines of one; the files that it names have all.
MOST_LINES = 50


def shortened(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    rest = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"... and {rest:,} more"] if rest > 0 else list(lines)


def terminal_width() -> int:
    """The columns of this terminal."""
    return max(40, shutil.get_terminal_size((TERMINAL_WIDTH, 24)).columns)


def text_grid(grid: Grid, width: int = TERMINAL_WIDTH, keeps: Sequence[str] = ()) -> str:
    """A plain-text table, marked cells with a star; columns that do not fit are left out.

    Args:
        grid: headers and cells.
        width: of the terminal.
        keeps: headers of columns that stay, beside the first three; of the others the last goes first.
    """
    headers, lines = grid
    cells = [[clip(cell.text, 40) + ("*" if cell.best else " ") for cell in line] for line in lines]
    sizes = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    shown = list(range(len(headers)))
    spare = [place for place in shown[3:] if headers[place] not in keeps]
    while spare and sum(sizes[place] + 2 for place in shown) - 2 > width:
        shown.remove(spare.pop())
    headers, sizes = [headers[place] for place in shown], [sizes[place] for place in shown]
    cells = [[line[place] for place in shown] for line in cells]
    rule = "-" * (sum(sizes) + 2 * (len(sizes) - 1))
    return "\n".join([_line(headers, sizes), rule, *(_line(line, sizes) for line in cells)])


def wrap(text: str, width: int) -> str:
    """`text` in lines of a width."""
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def _line(cells: Sequence[str], sizes: Sequence[int]) -> str:
    first = cells[0].ljust(sizes[0])
    rest = [cell.rjust(size) for cell, size in zip(cells[1:], sizes[1:], strict=False)]
    return "  ".join([first, *rest]).rstrip()
