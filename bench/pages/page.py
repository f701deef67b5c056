"""What pages have in common: what was written, the committed results to show beside it, lists."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.pages import grids

REFERENCE = Path(__file__).parents[2] / "results" / "reference"


@dataclass(frozen=True)
class Report:
    """What `write` made.

    Args:
        out: the results folder.
        files: every file written, in order.
        warnings: one line each: unreadable files, mixed commits, repeated cells, non-finite values.
        terminal: the tables as compact text, for printing.
    """

    out: Path
    files: tuple[Path, ...]
    warnings: tuple[str, ...]
    terminal: str


def reference_of(out: Path, suite: str) -> Path | None:
    """The committed results of a suite to show beside those in `out`, if there are any and they are not these."""
    folder = REFERENCE / suite
    return folder if folder.is_dir() and folder.resolve() != out.resolve() else None


def first_lines(tables: str) -> str:
    """Of each block, a table or a list, the first lines; the files that stand beside hold all."""
    blocks = []
    for block in tables.split("\n\n"):
        lines = block.split("\n")
        head = 2 if block.startswith("|") else 0
        rest = len(lines) - head - grids.MOST_LINES
        blocks.append("\n".join(lines[: head + grids.MOST_LINES]) + (f"\n\n... and {rest:,} more" if rest > 0 else ""))
    return "\n\n".join(blocks)


def bullets(lines: Iterable[str]) -> str:
    """Lines as a Markdown list."""
    return "\n".join(f"- {line}" for line in lines)
