"""What documents and `--help` say of metrics, settings, variants and results: from `METRICS`, the settings' types, the
registry and committed records.

`python -m bench.pages.docs` (`make docs`) writes it into the documents, between two lines `<!-- generated: NAME -->`
and `<!-- end: NAME -->`. The rest of them is written by hand; the JSON Schema of a record is a file of its own.
"""

import inspect
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import FieldInfo, fields

from bench.disk.files import read_text, write_bytes
from bench.records.record import CELLS, Record
from bench.settings import SECTIONS
from bench.stats import metrics
from bench.stats.metrics import codes
from variants import registry

ROOT = Path(__file__).parents[2]
_BETTER = {"higher": "higher is better", "lower": "lower is better", None: "none"}


def metric_sections() -> str:
    """A section for each metric, under its theme."""
    blocks = []
    for theme in metrics.THEMES:
        rows = [row for row in metrics.METRICS.values() if row.theme == theme]
        if rows:
            blocks.append("## Main figures" if theme == metrics.MAIN else f"## {theme}")
            blocks += [metrics.ABOUT[theme]] if theme in metrics.ABOUT else []
            blocks += map(_section, rows)
    return "\n\n".join(blocks)


def metric_table() -> str:
    """One line for each metric."""
    lines = ["| metric | printed as | unit | better | what it is |", "| --- | --- | --- | --- | --- |"]
    for row in metrics.METRICS.values():
        says = row.says.replace("|", "&#124;")
        lines.append(f"| `{row.name}` | {row.label} | {row.unit or 'none'} | {row.better or 'neither'} | {says} |")
    return "\n".join(lines)


def _section(row: metrics.Metric) -> str:
    lines = {
        "Label": row.label,
        "Unit": row.unit or "none",
        "Direction": _BETTER[row.better],
        "Meaning": row.says,
        "Formula": row.formula,
        "Source": row.source,
        "Cost": row.cost,
        "Not to be compared": row.beware,
        "Asked for by": f"`{row.setting}`" if row.setting else "every run",
        "Measured by": f"`bench.{row.measured_by}`",
    }
    return f"### `{row.name}`\n\n" + "\n".join(f"- {key}: {value}" for key, value in lines.items())


def settings() -> dict[str, list[FieldInfo]]:
    """Table of a suite -> the keys that `--set` takes of it, each once: a key of two tables is the first one's."""
    seen: set[str] = set()
    tables: dict[str, list[FieldInfo]] = {}
    for name, kind in SECTIONS.items():
        tables[name] = [key for key in fields(kind) if key.name not in seen]
        seen |= {key.name for key in tables[name]}
    return tables


def setting_lines() -> str:
    """The keys of `--set` with their defaults: a list, and a table of what a measurement's key asks for."""
    keys = settings()
    lines = [
        f"- of the budget: {', '.join(map(_default, keys['budget']))};",
        f"- of the clock: {', '.join(map(_default, keys['throughput']))};",
        "- of the measurement:",
        "",
        "| key | what is measured only with it |",
        "| --- | --- |",
    ]
    for key in keys["measure"]:
        names = ", ".join(f"`{row.name}`" for row in metrics.asked_by(key.name))
        lines.append(f"| {_default(key)} | {names} |")
    return "\n".join(lines)


def _default(key: FieldInfo) -> str:
    """``"`ssim_points=0`"``; of a key that has no value by default the name alone."""
    return f"`{key.name}`" if key.default is None else f"`{key.name}={json.dumps(key.default)}`".replace('"', "")


def set_help() -> str:
    """What `--help` says of `--set`."""
    keys = {name: [key.name for key in fields] for name, fields in settings().items()}
    measure = []
    for name in keys["measure"]:
        names = [row.name for row in metrics.asked_by(name)]
        few = [*names[:3], f"{len(names) - 3} more"] if len(names) > 4 else names
        measure.append(f"{name} for {', '.join(few)}" if names else name)
    return (
        f"key=value ...: of the budget ({', '.join(keys['budget'])}), of the measurement ({'; '.join(measure)}), of "
        f"the clock ({', '.join(keys['throughput'])}), or a keyword of the variants (latent, posterior, network, "
        "hidden, beta ...); docs/running.md names all that is measured. For the oracle suite: its own (n, points, "
        "elbo_samples, importance_samples, chains, steps, gap_steps, epochs)."
    )


def example_row() -> str:
    """The row of one metric, as it stands in the code."""
    source = inspect.getsource(codes)
    row = re.search(r'^    Metric\(\n        "ssim",\n.*?^    \),\n', source, re.MULTILINE | re.DOTALL)
    assert row is not None, "the example of CONTRIBUTING.md is gone: choose another"
    return "```python\n" + inspect.cleandoc(row[0]) + "\n```"


def zoo() -> str:
    """The built-in variants, a table for each thing that is changed."""
    rows = [recipe.describe() for recipe in registry.recipes().values() if recipe.built_in]
    blocks = []
    for group, members in registry.grouped(rows).items():
        blocks += [f"## {group.capitalize()} ({len(members)})", _variants(members)]
    return "\n\n".join([f"{len(rows)} variants.", *blocks])


def _variants(rows: list[dict[str, Any]]) -> str:
    lines = ["| variant | changes | of | what it is | paper |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        base = f"`{row['base']}`" if row["base"] else ""
        cells = [f"`{row['name']}`", ", ".join(row["changes"]), base, row["summary"], row["paper"]]
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines)


def _of_results(name: str) -> str:
    """What `bench.pages.readme` says; it needs numpy, which `--help` does not wait for."""
    from bench.pages import readme

    made: str = getattr(readme, name)()
    return made


BLOCKS: dict[str, dict[str, Callable[[], str]]] = {
    "docs/zoo.md": {"variants": zoo},
    "docs/metrics.md": {"all metrics": metric_table, "metrics": metric_sections},
    "docs/running.md": {"settings": setting_lines},
    "CONTRIBUTING.md": {"a metric": example_row},
    "README.md": {
        "which variant": partial(_of_results, "which_variant"),
        "an example": partial(_of_results, "example"),
    },
}


def record_schema() -> str:
    """The JSON Schema of a record's file."""
    kinds = [Record, *CELLS.values()]
    (record, *_), parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema", **record, "$defs": parts}
    return json.dumps(content, indent=1) + "\n"


# These files are generated as a whole.
FILES = {"docs/record.schema.json": record_schema}


def rewritten(name: str, text: str) -> str:
    """A document with its generated parts as they should be. ValueError if it lacks one of their two lines."""
    for block, content in BLOCKS[name].items():
        before, after = f"<!-- generated: {block} -->\n", f"\n<!-- end: {block} -->"
        if text.count(before) != 1 or text.count(after) != 1:
            raise ValueError(f"{name} needs the lines {before.strip()} and {after.strip()}, once")
        head, _, rest = text.partition(before)
        text = head + before + content() + after + rest.partition(after)[2]
    return text


def main() -> None:
    """Write all of them anew."""
    for name in BLOCKS:
        text = read_text(ROOT / name)
        write_bytes(ROOT / name, rewritten(name, text).encode())
    for name, content in FILES.items():
        write_bytes(ROOT / name, content().encode())


if __name__ == "__main__":
    main()
