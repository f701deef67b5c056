"""Lines that say where a page's numbers come from."""

from collections.abc import Sequence

from bench.pages import doubts, grids
from bench.records import names
from bench.records.record import Provenance, Record
from bench.text import short


def origin_lines(provenances: Sequence[Provenance], *facts: str) -> list[str]:
    """Lines for a page: the commits and versions of all these, what else there is to say (Markdown), and the days."""
    commits = {
        f"`{commit}`" + (" with uncommitted changes" if dirty else "")
        for source in provenances
        for commit, dirty in doubts.code_states(source)
    }
    versions = {f"{name} {value}" for source in provenances for name, value in source.versions.items()}
    days = sorted({grids.markdown_text(s.started[:10]) for s in provenances if s.started})
    return [
        f"commit: {', '.join(sorted(commits))}",
        f"versions: {grids.markdown_text(', '.join(sorted(versions))) or 'unknown'}",
        *facts,
        *([f"run: {' to '.join(dict.fromkeys((days[0], days[-1])))}"] if days else []),
    ]


def provenance_lines(records: Sequence[Record]) -> list[str]:
    """Lines for a page: commits, versions, devices, seeds, checksums of the data, days."""
    sources = [record.provenance for record in records]
    devices = {
        f"{record.cell['device']} ({source.device_name or 'unnamed'}, "
        f"threads {record.cell.get('threads')}, {record.cell.get('precision')})"
        for record, source in zip(records, sources, strict=True)
    }
    seeds = {record.cell["seed"] for record in records if "seed" in record.cell}
    sums = {
        f"{names.dataset_slug(record.cell)} `{short(source.data_sha256)}`"
        for record, source in zip(records, sources, strict=True)
        if source.data_sha256
    }
    return origin_lines(
        sources,
        f"devices: {grids.markdown_text('; '.join(sorted(devices)))}",
        f"seeds: {grids.markdown_text(', '.join(map(str, sorted(seeds)))) or 'none'}",
        f"data (SHA-256): {', '.join(sorted(sums)) or 'unknown'}",
    )
