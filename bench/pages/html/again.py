"""A suite that runs the cells of records again, as TOML."""

import json
from collections.abc import Sequence
from typing import Any

from bench.records.names import canonical
from bench.records.record import Record

_BARE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"


def suites(records: Sequence[Record]) -> list[str]:
    """One suite for each budget, measurement and precision that the quality runs have; none of another kind."""
    settings: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == "quality":
            key = canonical([record.cell[key] for key in ("budget", "measure", "precision")])
            settings.setdefault(key, []).append(record)
    return [_suite([record.cell for record in members]) for _, members in sorted(settings.items())]


def _suite(cells: Sequence[dict[str, Any]]) -> str:
    first = cells[0]
    seeds: dict[str, tuple[dict[str, Any], int]] = {}
    for cell in cells:
        entry = {"name": cell["variant"]} | ({"set": cell["overrides"]} if cell["overrides"] else {})
        key = canonical(entry)
        seeds[key] = entry, max(cell["seed"] + 1, seeds.get(key, (entry, 0))[1])
    most = max(count for _, count in seeds.values())
    rows = [entry | ({} if count == most else {"seeds": count}) for entry, count in seeds.values()]
    data = {canonical(each): each for each in map(_data, cells)}
    precision, _, compiled = str(first["precision"]).partition("+")
    lines = [f"seeds = {most}"]
    lines += [f"precision = {_value(precision)}"] if precision != "fp32" else []
    lines += ["compile = true"] if compiled else []
    lines += ["variants = [", *(f"    {_value(row)}," for row in rows), "]"]
    lines += ["datasets = [", *(f"    {_value(each)}," for each in data.values()), "]"]
    for table in ("budget", "measure"):
        lines += ["", f"[{table}]"]
        lines += [f"{_key(key)} = {_value(value)}" for key, value in first[table].items() if value is not None]
    return "\n".join([*lines, "", "[throughput]", "blocks = 0"])


def _data(cell: dict[str, Any]) -> dict[str, Any]:
    entry = {"name": cell["dataset"], "binarise": cell["binarise"] or "none"}
    return entry | ({"options": cell["data_options"]} if cell["data_options"] else {})


def _key(text: str) -> str:
    return text if text and set(text) <= set(_BARE) else json.dumps(text)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(k)} = {_value(v)}' for k, v in value.items() if v is not None)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)
