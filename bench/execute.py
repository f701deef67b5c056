"""A suite, end to end: check it, run what is missing, time each variant alone on its device, write the report."""

import dataclasses
import inspect
import itertools
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import checkpoint, data, outside, supervise, weights
from bench import device as devices
from bench.device import cores, default_jobs
from bench.disk.lock import lock
from bench.errors import UsageError
from bench.pages import report
from bench.pages.page import Report, reference_of
from bench.progress import Progress
from bench.records import provenance, record, schema, sources, store
from bench.records.record import Cell, Record
from bench.settings import SECTIONS, typed
from bench.suite import DataChoice, Suite, Variant
from bench.text import hint
from variants import RegistryError, registry
from variants.parts import PARTS, OptionError, assemble, options_of

if TYPE_CHECKING:
    from bench.on_ray import Cluster


@dataclass(frozen=True)
class Outcome:
    """What running a suite did.

    Attributes:
        out: the results folder.
        ran: cells that were run now.
        skipped: cells that were finished before.
        records: the records of the suite's cells, in the order of its cells.
        failed: one line for every cell without figures, or whose figures are not what they should be.
        report: what was written, and the text for the terminal.
    """

    out: Path
    ran: int
    skipped: int
    records: list[Record]
    failed: list[str]
    report: Report


def parse_settings(words: Iterable[str]) -> dict[str, Any]:
    """`key=value` words as a dictionary; a value is read as TOML (`50`, `1e-3`, `true`, `[400, 200]`), else as text."""
    settings = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.strip() or not text.strip():
            raise UsageError(f"settings have the form key=value, got {word!r}")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            value = text
        settings[key.strip()] = value
    return settings


def configure(suite: Suite, settings: Mapping[str, Any]) -> Suite:
    """A suite with settings changed: keys of the budget, the measurement and the clock, and keywords of its variants.

    A variant's keyword goes to every variant of the suite that takes it. UsageError if none does, or for a wrong value.
    """
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    keywords: dict[str, Any] = {}
    for key, value in settings.items():
        homes = [name for name, kind in SECTIONS.items() if key in {f.name for f in dataclasses.fields(kind)}]
        for name in homes:
            sections[name][key] = typed(SECTIONS[name], key, value)
        if not homes:
            keywords[key] = value
    suite = dataclasses.replace(
        suite, **{name: dataclasses.replace(getattr(suite, name), **values) for name, values in sections.items()}
    )
    answers = _asked(suite, keywords)
    # A broken variant stays as it is: its cells will say what is wrong.
    configured = [v if isinstance(a, outside.Silent) else a for v, a in zip(suite.variants, answers, strict=True)]
    for key in keywords:
        if not any(key in variant.overrides for variant in configured):
            known = {f.name for kind in SECTIONS.values() for f in dataclasses.fields(kind)} | set(options_of(assemble))
            known |= {option for role in PARTS.values() for part in role.values() for option in options_of(part)}
            names = ", ".join(
                dict.fromkeys(
                    variant.name + (f" ({answer.reason})" if isinstance(answer, outside.Silent) else "")
                    for variant, answer in zip(suite.variants, answers, strict=True)
                )
            )
            raise UsageError(
                f"unknown setting {key!r}: no budget key, and none of {names} takes it; {hint(key, known)}"
            )
    return dataclasses.replace(suite, variants=tuple(configured))


def _asked(suite: Suite, keywords: Mapping[str, Any]) -> list[Variant | outside.Silent[Variant]]:
    """The variants with those keywords that they take; plugins are asked in a process of their own."""
    plugins = [bool(v.overrides or keywords) and not registry.get(v.name).built_in for v in suite.variants]
    questions = [(variant, keywords, suite.datasets) for variant in suite.variants]
    answers = iter(outside.each(_with_keywords, list(itertools.compress(questions, plugins))))
    return [
        next(answers) if plugin else _with_keywords(*question)
        for plugin, question in zip(plugins, questions, strict=True)
    ]


def _with_keywords(variant: Variant, keywords: Mapping[str, Any], datasets: Iterable[DataChoice]) -> Variant:
    """The variant with those keywords that it takes. UsageError if the suite's or the user's are wrong for it."""
    overrides = {**variant.overrides, **keywords}
    if not overrides:
        return variant
    try:
        recipe = registry.get(variant.name).load()
    except RegistryError:
        return variant  # its cells will say so
    parameters = inspect.signature(recipe).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        overrides = {key: value for key, value in overrides.items() if key in parameters or key in variant.overrides}
    for choice in datasets:
        spec = data.spec(choice.name, choice.binarise, **choice.options)
        while True:
            try:
                recipe(spec, **overrides)
            except OptionError as error:
                if error.option not in keywords:
                    raise UsageError(f"{variant.name}: {error}") from error
                del overrides[error.option]
                continue
            except (TypeError, ValueError) as error:
                if _builds(recipe, spec):
                    raise UsageError(f"{variant.name}: {error}") from error
            except (Exception, SystemExit):
                pass  # a broken variant: its cells will say so
            break
    return dataclasses.replace(variant, overrides=overrides)


def _builds(recipe: Any, spec: Any) -> bool:
    try:
        recipe(spec)
    except (Exception, SystemExit):
        return False
    return True


def execute(
    suite: Suite,
    out: Path,
    *,
    device: str = "auto",
    jobs: int | None = None,
    quality: bool = True,
    again: bool = False,
    page: Callable[[Path], Report] | None = None,
    cluster: "Cluster | None" = None,
) -> Outcome:
    """Run what is missing of a suite and write its report.

    Args:
        suite: a configured suite.
        out: results folder; finished cells in it are kept and not run again.
        device: `auto` or a device type. Cells run there; throughput is measured there and on the CPU.
        jobs: cells side by side; by default one a core on the CPU, and one at a time on an accelerator.
        quality: train and measure; False measures throughput alone.
        again: run what is finished as well.
        page: writes the report, instead of the usual one.
        cluster: where cells run, instead of this machine; throughput is then not measured.

    Raises:
        UsageError, DataError, MachineError: before any cell is run.
        KeyboardInterrupt: what finished stays.
    """
    device = cluster.resolve(device) if cluster else devices.resolve(device)
    where = ["cpu"] if device == "cpu" else ["cpu", device]
    trained = suite.cells(device) if quality else []
    timed = suite.throughput_cells(where, threads=cores())
    if cluster and timed:
        timed = []
        print(
            "vaebench: throughput is left out, for on a cluster no cell has a machine to itself; "
            "`vaebench throughput` measures it here",
            file=sys.stderr,
        )
    if not quality and not timed:
        raise UsageError(f"suite {suite.name} measures no throughput: set throughput.blocks to at least 3")
    _check_train_size(suite)
    for each in {device, *(cell["device"] for cell in timed)} if not cluster else ():
        if suite.compile:
            devices.require_compiler(each)
        if suite.precision == "bf16":
            devices.require_bf16(each)
    page = page or partial(report.write, reference=reference_of(out, suite.name))
    with lock(out):
        side = jobs if cluster else jobs or default_jobs(device)
        run_cells = partial(cluster.run_cells, again=again) if cluster else supervise.run_cells
        return _run(suite, out, trained, timed, side=side, again=again, page=page, run_cells=run_cells)


def _run(
    suite: Suite,
    out: Path,
    trained: list[Cell],
    timed: list[Cell],
    *,
    side: int | None,
    again: bool,
    page: Callable[[Path], Report],
    run_cells: Callable[..., None],
) -> Outcome:
    found = unfinished(out, {"quality": trained, "throughput": timed}, again=again)
    missing, untimed = found.cells["quality"], found.cells["throughput"]
    skipped = len(trained) + len(timed) - len(missing) - len(untimed)
    if missing or untimed:
        for choice in suite.datasets:
            data.fetch(choice.name)
    if again:
        for cell in missing:
            kept = weights.path(out, cell)
            kept.unlink(missing_ok=True)
            checkpoint.path(kept).unlink(missing_ok=True)
            for notes in (out / "weights").glob(f"{record.record_id('quality', cell)}_*.notes.json"):
                notes.unlink()
    progress = Progress(len(missing) + len(untimed), sum(cell["budget"]["epochs"] for cell in missing))
    if skipped:
        progress.say(
            f"{skipped} of {len(trained) + len(timed)} cells are finished in {out} and not run again; --again does it"
        )
    for line in found.lines:
        progress.say(line)
    started = time.perf_counter()
    pure: list[float | None] = []

    def on_record(found: Record, seconds: float) -> None:
        progress.record(found, seconds)
        if found["kind"] == "quality":
            pure.append(_pure_seconds(found))
            if len(pure) == len(missing) and (line := _overhead(pure, time.perf_counter() - started, side)):
                progress.say(line)

    try:
        for kind, cells, side_by_side in (
            ("quality", missing, side),
            ("throughput", untimed, 1),
        ):
            run_cells(
                kind,
                cells,
                out,
                jobs=side_by_side,
                timeout_s=60 * suite.timeout_min,
                provenance=provenance.provenance(),
                on_epoch=progress.epochs,
                on_measured=progress.measured,
                on_note=progress.note,
                on_record=on_record,
            )
    finally:
        progress.close()
    written = page(out)  # before the records are held here: of 100,000, twice would be gigabytes
    identifiers = [record.record_id("quality", c) for c in trained] + [record.record_id("throughput", c) for c in timed]
    records = [schema.read(out / "runs" / f"{identifier}.json") for identifier in identifiers]
    return Outcome(
        out=out,
        ran=len(missing) + len(untimed),
        skipped=skipped,
        records=records,
        failed=[f"{r['id']}: {r['status']}, {r['reason']}" for r in records if r["status"] != "ok"],
        report=written,
    )


@dataclass(frozen=True)
class Unfinished:
    """What is to be run: cells by kind, and lines that say what is odd about those that were finished before."""

    cells: dict[str, list[Cell]]
    lines: list[str]


def unfinished(out: Path, wanted: Mapping[str, list[Cell]], *, again: bool) -> Unfinished:
    """The cells that have no result in a folder, or one of data that have since changed; all of them if `again`.

    Results of other code are kept, and counted in a line; of a record that does not say which code made it, nothing is.
    """
    if again:
        return Unfinished(dict(wanted), [])
    missing: dict[str, list[Cell]] = {kind: [] for kind in wanted}
    commits: list[str] = []
    changed: list[str] = []
    finished = 0
    checksum = cache(data.verify)
    for kind, cell in ((kind, cell) for kind, cells in wanted.items() for cell in cells):
        found = store.finished(out, record.record_id(kind, cell))
        if found is None:
            missing[kind].append(cell)
            continue
        finished += 1
        made = found.get("provenance", {})
        if data.is_user_file(cell["dataset"]) and made.get("data_sha256") != checksum(cell["dataset"]):
            missing[kind].append(cell)
            changed.append(cell["dataset"])
        elif made.get("code_sha256") not in (None, sources.sums(cell["variant"])["code_sha256"]):
            commits.append(str(made.get("commit"))[:12])
    lines = []
    if changed:
        names = ", ".join(sorted(set(changed)))
        lines.append(f"{len(changed)} of {finished} finished cells were made of what {names} held before: run again")
    if commits:
        which = ", ".join(sorted(set(commits)))
        lines.append(
            f"{len(commits)} of {finished} finished cells were made by other code (commit {which}): kept; "
            "--again runs them anew"
        )
    return Unfinished(missing, lines)


def _pure_seconds(found: Record) -> float | None:
    """What a run spent on training and measuring alone; None if that was not all done now."""
    provenance = found["provenance"]
    now = found["status"] == "ok" and provenance["trained"]["started"] == provenance["started"]
    return sum(found["timing"].values()) if now else None


def _overhead(pure: list[float | None], wall: float, jobs: int | None) -> str | None:
    seconds = [each for each in pure if each is not None]
    # Of a few runs the last ones leave jobs idle, which is no overhead.
    if jobs is None or len(seconds) < len(pure) or len(seconds) < 4 * jobs:
        return None
    ratio = wall / (sum(seconds) / jobs)
    return f"{len(pure)} runs in {wall:.0f} s, {ratio:.2f} x their training and measuring over {jobs} side by side"


def _check_train_size(suite: Suite) -> None:
    sizes = {row["name"]: row["splits"]["train"] for row in data.describe()}
    for wanted in {(variant.budget or suite.budget).train_size for variant in suite.variants}:
        for choice in suite.datasets:
            size = sizes.get(choice.name)
            if wanted and size and wanted > size and not choice.options:
                raise UsageError(
                    f"train_size {wanted} is more than the {size} training examples of {choice.name}: "
                    f"--set train_size={size} or less"
                )
