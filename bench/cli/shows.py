"""Commands that show what is there: list, env, data."""

from typing import Any

from bench import data
from bench.cli.app import OK, Json, app, data_app, print_json, print_row
from bench.errors import UsageError


@app.command(name="list")
def list_(*, json: Json = False) -> int:
    """List all variants: built in and from installed plugins."""
    import variants
    from bench.engines.plugins import NoAnswer, ask

    recipes = [variants.get(name) for name in variants.names()]
    plugins = [recipe for recipe in recipes if not recipe.built_in]
    answers = dict(zip(plugins, ask(_describe, [(recipe.name,) for recipe in plugins]), strict=True))
    rows = []
    for recipe in recipes:
        answer = answers.get(recipe) or recipe.describe()
        rows.append(recipe.unavailable(answer.reason) if isinstance(answer, NoAnswer) else answer)
    if json:
        print_json(rows)
        return OK
    for row in rows:
        if not row["available"]:
            print_row(row["name"], f"unavailable: {row['reason']}")
            continue
        origin = "" if row["source"] == variants.registry.BUILT_IN else f" [{row['source']}]"
        change = f" ({row['base']} with another {', '.join(row['changes'])})" if row["base"] else ""
        print_row(row["name"], f"{row['summary']}{change}{origin}")
    return OK


def _describe(name: str) -> dict[str, Any]:
    import variants

    return variants.get(name).describe()


@data_app.command(name="list")
def data_list(*, json: Json = False) -> int:
    """List the data sets: shape, splits, binarisation, and whether they are here."""
    rows = data.describe()
    if json:
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
def env(*, json: Json = False) -> int:
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
    if json:
        print_json(facts)
        return OK
    for key, value in facts.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        print_row(key, str(text))
    return OK
