"""Grids -> LaTeX tables of one size of type, as wide as a page at the most. Needs booktabs, threeparttable, UTF-8."""

import math
import re
from collections.abc import Sequence

from bench.pages.grids import Grid
from bench.text import DASH

# \linewidth of article at 10 pt, and what stands between two columns (2 \tabcolsep).
PAGE_PT, BETWEEN_PT = 345.0, 6.0
# A text column that is wider is broken into lines.
WIDEST_PT = 120.0
NEEDS = r"% Needs \usepackage{booktabs,threeparttable}."


def latex_table(grid: Grid, caption: str, notes: Sequence[str] = (), label: str = "") -> str:
    """A floating table in `\\footnotesize`, marked cells in bold, notes below it.

    Columns that do not fit on a page are continued in further tables, each with the first column.

    Args:
        grid: headers and cells. Long headers are broken into lines.
        caption: plain.
        notes: plain, or LaTeX where a line begins with `latex:`.
        label: for `\\ref`; a further table has `-2` and so on.
    """
    parts = _fitted(grid)
    made = []
    for place, part in enumerate(parts, start=1):
        more = f" (part {place} of {len(parts)})" if len(parts) > 1 else ""
        name = label + (f"-{place}" if place > 1 else "")
        made.append(_table(part, caption + more, notes if place == len(parts) else (), name))
    return "\n\n".join(made)


def _table(grid: Grid, caption: str, notes: Sequence[str], label: str) -> str:
    columns = _columns(grid)
    kinds = [_kind(place, width) for place, (_, width) in enumerate(columns)]
    heads = [head for head, _ in columns]
    most = max(map(len, heads))
    heads = [[""] * (most - len(head)) + head for head in heads]
    body = [
        " & ".join(rf"\textbf{{{latex_text(c.text)}}}" if c.best else latex_text(c.text) for c in line) + r" \\"
        for line in grid[1]
    ]
    below = [
        r"\begin{tablenotes}[flushleft]\footnotesize",
        *(rf"\item {note.removeprefix('latex:') if note.startswith('latex:') else latex_text(note)}" for note in notes),
        r"\end{tablenotes}",
    ]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            r"\begin{threeparttable}",
            rf"\caption{{{latex_text(caption)}}}",
            *([rf"\label{{{re.sub(r'[^A-Za-z0-9:.-]', '-', label)}}}"] if label else []),
            rf"\begin{{tabular}}{{@{{}}{''.join(kinds)}@{{}}}}",
            r"\toprule",
            *(" & ".join(map(latex_text, line)) + r" \\" for line in zip(*heads, strict=True)),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *(below if notes else []),
            r"\end{threeparttable}",
            r"\end{table}",
        ]
    )


def _fitted(grid: Grid) -> Sequence[Grid]:
    """The grid, or where it is too wide its first column with as many others as fit, again and again."""
    headers, lines = grid
    widths = [min(WIDEST_PT, width) for _, width in _columns(grid)]
    parts: list[list[int]] = []
    used = math.inf
    for place, width in enumerate(widths[1:], start=1):
        if used + BETWEEN_PT + width > PAGE_PT:
            parts.append([0])
            used = widths[0]
        parts[-1].append(place)
        used += BETWEEN_PT + width
    parts = parts or [[0]]
    return [([headers[i] for i in part], [[line[i] for i in part] for line in lines]) for part in parts]


def _kind(place: int, width: float) -> str:
    if width > WIDEST_PT:
        return rf"p{{{WIDEST_PT:g}pt}}"
    return "r" if place else "l"


def _columns(grid: Grid) -> list[tuple[list[str], float]]:
    """Of each column its header in lines, and its width."""
    columns = []
    for place, header in enumerate(grid[0]):
        cells = [line[place] for line in grid[1]]
        body = max((width_pt(cell.text) * (1.17 if cell.best else 1.0) for cell in cells), default=0.0)
        head = _header_lines(header, body)
        columns.append((head, max(body, *map(width_pt, head))))
    return columns


def _header_lines(header: str, body: float) -> list[str]:
    """A header in lines that are no wider than what stands below it, `body`, or than its longest word."""
    words = header.split() or [""]
    room = max(min(WIDEST_PT, body), *map(width_pt, words))
    lines = [words[0]]
    for word in words[1:]:
        if width_pt(f"{lines[-1]} {word}") <= room or word in "↑↓":
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


# Of Computer Modern at 8 points, in points, rounded up; others are 4.75, capitals 6.7.
_SIZES = {
    **dict.fromkeys("il.,:;!'j", 2.6),
    **dict.fromkeys(" -I", 3.1),
    **dict.fromkeys("()[]tfrs", 3.4),
    **dict.fromkeys("cez", 3.8),
    **dict.fromkeys("0123456789ago/↑↓†", 4.3),
    **dict.fromkeys("±\N{MINUS SIGN}+=<>~", 6.7),
    **dict.fromkeys("mwMW%^→|", 8.8),
}


def width_pt(text: str) -> float:
    """How wide a text is in `\\footnotesize`, or a little less."""
    text = re.sub(r"(?<![\w.-])-(?=\d)", "\N{MINUS SIGN}", text)
    return sum(_SIZES.get(letter, 6.7 if letter.isupper() else 5.2) for letter in text)


_LATEX = {
    "\\": r"\textbackslash{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"$^\dagger$",
    "β": r"$\beta$",
    "δ": r"$\delta$",
    "\N{GREEK SMALL LETTER SIGMA}": r"$\sigma$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    DASH: "--",
}


def latex_text(text: str) -> str:
    """Escape what LaTeX would read as markup, and set a leading minus as a minus."""
    escaped = "".join(_LATEX.get(letter, letter) for letter in text)
    return re.sub(r"(?<![\w.-])-(?=\d)", r"$-$", escaped)
