"""Commands that show what is there: list, show, env, data."""

import textwrap
from typing import Any

from bench import data, text
from bench.cli.app import OK, Json, app, data_app, print_json, print_row
from bench.errors import UsageError

# A terminal has WIDTH columns, of which NAMES are for names.
WIDTH, NAMES = 80, 27


@app.command(name="list")
def list_(pattern: str = "*", /, *, as_json: Json = False) -> int:
    """List variants by what they change: built in and from installed plugins.

    Args:
        pattern: Of names, as in a shell: "*flow*".
    """
    import variants
    from bench.engines.plugins import NoAnswer, ask
    from variants import registry

    try:
        recipes = [variants.get(name) for name in registry.matching(pattern)]
    except variants.RegistryError as error:
        raise UsageError(str(error)) from None
    plugins = [recipe for recipe in recipes if not recipe.built_in]
    answers = dict(zip(plugins, ask(_describe, [(recipe.name,) for recipe in plugins]), strict=True))
    rows = []
    for recipe in recipes:
        answer = answers.get(recipe) or recipe.describe()
        rows.append(recipe.unavailable(answer.reason) if isinstance(answer, NoAnswer) else answer)
    if as_json:
        print_json(rows)
        return OK
    for group, members in registry.grouped(rows).items():
        print(group)
        for row in members:
            print(*_lines(row), sep="\n")
        print()
    print("vaebench show VARIANT says all of one.")
    return OK


def _describe(name: str) -> dict[str, Any]:
    import variants

    return variants.get(name).describe()


def _lines(row: dict[str, Any]) -> list[str]:
    """A variant in two lines of 80 columns; where a plugin brings it, or why it cannot be used, below."""
    base = f"[{row['base']}] " if row["base"] not in (None, "vanilla") else ""
    lines = _columns(row["name"], f"{base}{row['summary']}", max_lines=2, placeholder=" ...")
    if not row["available"]:
        lines += _below(row["reason"])
    elif row["source"] != "vaebench":
        lines += _below(f"from {row['source']}")
    return lines


def _below(words: str) -> list[str]:
    return textwrap.wrap(text.printable(words), WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 4)


@app.command
def show(variant: str, /, *, as_json: Json = False) -> int:
    """Show all of one variant: formula, paper, parts, keywords, what may be measured, cost, when to use it."""
    import variants
    from bench.cells.anatomy import anatomy
    from bench.engines.plugins import NoAnswer, ask

    try:
        row = anatomy(variant) if variants.get(variant).built_in else ask(anatomy, [(variant,)])[0]
    except (variants.RegistryError, ValueError) as error:
        raise UsageError(str(error)) from None
    if isinstance(row, NoAnswer):
        raise UsageError(f"variant {variant!r} cannot be shown: {row.reason}")
    if as_json:
        print_json(row)
        return OK
    print(f"{variant}\n")
    for paragraph in row["text"].split("\n\n"):
        print(*textwrap.wrap(" ".join(paragraph.split()), WIDTH), "", sep="\n")
    if row["base"]:
        _fact("base", f"{row['base']}, with another {' and '.join(row['changes'])}")
    _fact("paper", row["paper"] or "none given")
    _fact("source", row["source"])
    print("\nparts")
    for role, (name, says) in row["parts"].items():
        _fact(role, f"{name}: {says}" if says else name)
    print("\nkeywords")
    for role, keywords in row["keywords"].items():
        if keywords:
            _fact(role, ", ".join(f"{name}={value}".replace(" ", "") for name, value in keywords.items()))
    print("\nevidence")
    for name, answer in row["evidence"].items():
        _fact(name, answer)
    print(f"\ncost on {row['data']} data")
    counts = {role: count for role, count in row["parameters"].items() if count}
    # As the metric has it: a critic is no part of the model.
    critic = counts.pop("objective", 0)
    beside = f"; and {critic:,} of the objective's critic" if critic else ""
    _fact("parameters", f"{sum(counts.values()):,}: {', '.join(f'{role} {n:,}' for role, n in counts.items())}{beside}")
    _fact("a training step", f"{row['samples']} {'draw' if row['samples'] == 1 else 'draws'} of z for each example")
    return OK


def _fact(name: str, words: str) -> None:
    print(*_columns(name, words), sep="\n")


def _columns(name: str, words: str, **how: Any) -> list[str]:
    """A name, and beside it words on as many lines as they take, or as `how` allows."""
    first, others = f"  {name:{NAMES}} ", " " * (NAMES + 3)
    return textwrap.wrap(text.printable(words), WIDTH, initial_indent=first, subsequent_indent=others, **how) or [first]


@data_app.command(name="list")
def data_list(*, as_json: Json = False) -> int:
    """List the data sets: shape, splits, binarisation, and whether they are here."""
    rows = data.describe()
    if as_json:
        print_json(rows)
        return OK
    for row in rows:
        shape, splits = "x".join(map(str, row["shape"])), " / ".join(f"{n:,}" for n in row["splits"].values())
        here = "here" if row["present"] else "not here"
        print_row(
            row["name"], f"{here}; {shape}; {splits} train / valid / test; binarise {row['binarise']}; {row['source']}"
        )
    return OK


@data_app.command(name="verify")
def data_verify(*names: str) -> int:
    """Read data sets and check their bytes; by default all that are here."""
    for name in names or [row["name"] for row in data.describe() if row["present"]]:
        print_row(name, f"ok, sha256 {data.verify(name)}")
    return OK


@data_app.command(name="fetch")
def data_fetch(*names: str) -> int:
    """Download data sets that are not here, and check them."""
    if not names:
        raise UsageError(f"fetch needs names of data sets: {', '.join(data.names())}")
    for name in names:
        data.fetch(name)
        print_row(name, "ok")
    return OK


@app.command
def env(*, as_json: Json = False) -> int:
    """Show versions, devices and folders: what to paste into a bug report."""
    from bench import device
    from bench.data.files import data_root
    from bench.records import provenance, record

    facts = provenance.provenance() | {
        "processor": device.describe("cpu"),
        "cores": device.cores(),
        "accelerator": device.accelerator(),
        "data_root": str(data_root()),
        "protocol": record.PROTOCOL,
    }
    if as_json:
        print_json(facts)
        return OK
    for key, value in facts.items():
        words = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        print_row(key, str(words))
    return OK
