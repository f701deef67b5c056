"""Lines that say where a page's numbers come from."""

from collections.abc import Sequence

from bench.pages import doubts, grids
from bench.records import names
from bench.records.record import Provenance, Record
from bench.text import short


def origin_lines(provenances: Sequence[Provenance], machine: str) -> list[str]:
    """Lines for a page: the commits and versions of all these, what it says of the `machine`, and the days."""
    commits = {f"`{short(s.commit)}`" + (" with uncommitted changes" if s.dirty else "") for s in provenances}
    versions = {f"{name} {value}" for source in provenances for name, value in source.versions.items()}
    days = sorted({grids.markdown_text((source.started or "")[:10]) for source in provenances})
    return [
        f"commit: {', '.join(sorted(commits))}",
        f"versions: {grids.markdown_text(', '.join(sorted(versions)))}",
        grids.markdown_text(machine),
        f"run: {' to '.join(dict.fromkeys((days[0], days[-1])))}",
    ]


def provenance_lines(records: Sequence[Record]) -> list[str]:
    """Lines for a page: commits, versions, devices, seeds, checksums of the data, days."""
    sources = [record.provenance for record in records]
    commits = {
        f"`{commit}`" + (" with uncommitted changes" if dirty else "")
        for record in records
        for commit, dirty in doubts.code_states(record)
    }
    versions = {grids.markdown_text(f"{name} {value}") for source in sources for name, value in source.versions.items()}
    devices = {
        f"{record.cell['device']} ({source.device_name or 'unnamed'}, "
        f"threads {record.cell.get('threads')}, {record.cell.get('precision')})"
        for record, source in zip(records, sources, strict=True)
    }
    seeds = {record.cell["seed"] for record in records if "seed" in record.cell}
    days = sorted({grids.markdown_text(source.started[:10]) for source in sources if source.started})
    sums = {
        f"{names.dataset_slug(record.cell)} `{short(source.data_sha256)}`"
        for record, source in zip(records, sources, strict=True)
        if source.data_sha256
    }
    lines = [
        f"commit: {', '.join(sorted(commits))}",
        f"versions: {', '.join(sorted(versions)) or 'unknown'}",
        f"devices: {grids.markdown_text('; '.join(sorted(devices)))}",
        f"seeds: {grids.markdown_text(', '.join(map(str, sorted(seeds)))) or 'none'}",
        f"data (SHA-256): {', '.join(sorted(sums)) or 'unknown'}",
    ]
    return [*lines, f"run: {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else "")] if days else lines
