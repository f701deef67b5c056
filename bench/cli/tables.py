"""The command that reproduces a published table."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from bench.cli.app import FAILED_CELLS, OK, Effort, Where, Words, app, print_json, split_names, warn
from bench.errors import UsageError
from bench.reproduce import published

TABLES = f"{', '.join(published.names())}, results (our own committed tables), or a .toml file."


@app.command
def reproduce(
    table_name: Annotated[str | None, Parameter(name="NAME", help=TABLES)] = None,
    /,
    *,
    list_: Annotated[bool, Parameter(name="--list", negative="", help="Tables, rows, time they take here.")] = False,
    profile: Annotated[str | None, Parameter(help="short, medium or full; by default the cheapest.")] = None,
    rows: Annotated[Words, Parameter(help="Only these rows of the table.")] = (),
    effort: Effort = Effort(),
    where: Where = Where(),
) -> int:
    """Train the rows of a published table that are missing, and say figure by figure whether we agree.

    Exits with 1 if a figure differs or a run failed; of results also if no figure could be judged.
    """
    from bench.reproduce import execute, page, published

    if list_:
        if table_name == "results":
            raise UsageError(
                "results are the suites' own tables: the last line of `vaebench reproduce --list` names them"
            )
        return _list_tables([table_name] if table_name else published.names(), where)
    if table_name is None:
        raise UsageError(f"reproduce needs the name of a table, {TABLES[:-1]}; --list shows them")
    seeds = effort.chosen_seeds
    if isinstance(seeds, tuple):
        raise UsageError("reproduce takes a number of seeds: --seeds N")
    how: dict[str, Any] = {"device": where.device, "seeds": seeds, "jobs": effort.jobs, "again": effort.again}
    if table_name == "results":
        from bench.reproduce import committed

        if profile is not None:
            raise UsageError("results are the suites' own tables: --rows names suites, and there is no --profile")
        done = [committed.reproduce(name, where.out, **how) for name in split_names(rows) or ("quick",)]
    else:
        table = published.load(table_name)
        chosen_profile = table.profile(profile)
        chosen = table.chosen(split_names(rows))
        out = where.out or published.folder(table, chosen_profile)
        done = [execute.reproduce(table, chosen_profile, chosen, out, **how)]
    if where.as_json:
        keys = ("out", "ran", "skipped", "failed")
        lines = [{key: getattr(outcome, key) for key in keys} | {"figures": page.rows(f)} for outcome, f in done]
        print_json([line | {"out": str(line["out"])} for line in lines])
    for outcome, _ in done:
        if not where.as_json:
            print(outcome.report.terminal)
            print(f"Report: {outcome.report.address}")
        warn(outcome.failed)
    bad = any(outcome.failed or any(f.verdict in ("differs", "failed") for f in figures) for outcome, figures in done)
    return FAILED_CELLS if bad else OK


def _list_tables(names: Sequence[str], where: Where) -> int:
    from bench import device as devices
    from bench.reproduce import listing

    device = devices.resolve(where.device)
    for name in names:
        published.load(name)  # all tables are read before any is timed
    print("Timing a few steps of every row that was not run here ...", file=sys.stderr)
    if where.as_json:
        print_json([entry for name in names for entry in listing.entries(name, device)])
        return OK
    for name in names:
        print(listing.text(name, device), flush=True)
    if len(names) > 1:
        print(listing.results())
    return OK
