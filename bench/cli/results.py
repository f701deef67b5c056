"""Commands on folders of results: report, table, merge."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bench import text
from bench.cli.app import OK, Json, Words, app, print_json, split_names
from bench.errors import UsageError
from bench.pages import Format


@app.command(name="report")
def report_(folder: Annotated[Path, Parameter(name="DIR")], /, *, as_json: Json = False) -> int:
    """Write tables and plots of a folder of results again, and print the tables. Needs no torch."""
    from bench.reproduce.rewrite import rewritten

    written = rewritten(folder)
    if as_json:
        print_json({"out": str(written.out), "files": [str(path) for path in written.files]})
    else:
        print(written.terminal)
        print(f"Report: {written.address}")
    return OK


@app.command
def table(
    folder: Annotated[Path, Parameter(name="DIR")],
    /,
    *,
    columns: Words = (),
    dataset: str | None = None,
    form: Annotated[Format, Parameter(name="--format")] = "markdown",
) -> int:
    """Print a table for a paper, one for each comparison group. Needs no torch.

    Example: vaebench table results/standard --columns elbo nll kl --format latex > table.tex

    Args:
        columns: Metrics, by name or by its beginning: elbo nll kl mse, unless you say which.
        dataset: Only this data set.
        form: latex, markdown, csv or typst; bibtex prints the sources that the LaTeX cites.
    """
    from bench.pages import paper
    from bench.records.store import read_all

    records, warnings = read_all(folder)
    if not records:
        raise UsageError(f"no records in {folder}; run `vaebench run --out {folder}` first")
    for line in warnings:
        print(f"vaebench: {text.printable(line)}", file=sys.stderr)
    print(paper.write(paper.made(records, split_names(columns), dataset), form), end="")
    return OK


@app.command
def merge(
    folders: Annotated[tuple[Path, ...], Parameter(name="DIR", negative="", consume_multiple=True)],
    /,
    *,
    out: Annotated[Path, Parameter(help="Results folder to merge into, new or not; what it holds is kept.")],
    as_json: Json = False,
) -> int:
    """Copy the records of results folders into one, and name what is there twice or differs. Needs no torch.

    Of records of one cell with different figures both are kept and one counts: a finished one, of these the one started
    last. Trained weights are not copied.
    """
    from bench.records.merge import merge

    done = merge(folders, out)
    if as_json:
        print_json({"out": str(out), "copied": done.copied, "notes": done.lines})
        return OK
    for line in done.lines:
        print(line)
    print(f"{done.copied} records copied into {out}; their tables and plots: vaebench report {shlex.quote(str(out))}")
    return OK
