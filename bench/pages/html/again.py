"""A suite that runs the cells of records again, as TOML."""

import json
from collections.abc import Sequence
from typing import Any

from bench.records.names import canonical
from bench.records.record import Cell, Record

_BARE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"


def suites(records: Sequence[Record]) -> list[str]:
    """One suite for each budget, measurement and precision that the quality runs have, and for each search by which
    they were tuned; none of another kind."""
    settings: dict[str, dict[str, list[Cell]]] = {}
    for record in records:
        if record.kind == "quality":
            cell, tuning = record.cell, record.cell.get("tuning")
            key = canonical([_untuned(cell)["budget"], cell["measure"], cell["precision"]])
            search = canonical(tuning["search"]) if tuning else ""
            settings.setdefault(key, {}).setdefault(search, []).append(cell)
    made = []
    for _, searches in sorted(settings.items()):
        plain = searches.pop("", [])  # what is tuned is run with its defaults as well
        made += [_suite([*cells, *plain]) for _, cells in sorted(searches.items())] or [_suite(plain)]
    return made


def _untuned(cell: Cell) -> dict[str, Any]:
    """Where a cell's budget and overrides stand as they are without tuning."""
    return cell.get("tuning") or cell


def _suite(cells: Sequence[Cell]) -> str:
    """Of cells whose first is tuned, if any is."""
    first = cells[0]
    seeds: dict[str, tuple[dict[str, Any], set[int]]] = {}
    for cell in cells:
        overrides, own = _untuned(cell)["overrides"], (cell.get("tuning") or {}).get("own")
        entry = {"name": cell["variant"]} | ({"set": overrides} if overrides else {})
        key = canonical(entry)
        before, found = seeds.get(key, (entry, set()))
        seeds[key] = before | ({"search": own} if own else {}), found | {cell["seed"]}
    # Of some rows there may be fewer, the first so many; of others seeds that no suite can say.
    most = max((found for _, found in seeds.values()), key=lambda found: (len(found), sorted(found)))
    rows = [
        entry | ({"seeds": len(found)} if found != most and found == set(range(len(found))) else {})
        for entry, found in seeds.values()
    ]
    data = {canonical(each): each for each in map(_data, cells)}
    precision, _, compiled = str(first["precision"]).partition("+")
    lines = [f"seeds = {len(most) if most == set(range(len(most))) else sorted(most)}"]
    lines += [f"precision = {_value(precision)}"] if precision != "fp32" else []
    lines += ["compile = true"] if compiled else []
    lines += ["variants = [", *(f"    {_value(row)}," for row in rows), "]"]
    lines += ["datasets = [", *(f"    {_value(each)}," for each in data.values()), "]"]
    for table in ("budget", "measure"):
        lines += ["", f"[{table}]"]
        values = _untuned(first)["budget"] if table == "budget" else first[table]
        lines += [f"{_key(key)} = {_value(value)}" for key, value in values.items() if value is not None]
    if tuning := first.get("tuning"):
        lines += ["", "[search]", *(f"{key} = {_value(value)}" for key, value in tuning["search"].items())]
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
