"""The command line: a thin door. Results go to standard output; progress, warnings and errors to standard error."""

import contextlib
import dataclasses
import itertools
import json as jsonlib
import os
import shlex
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from bench import data, text
from bench.errors import BenchError, UsageError
from bench.reproduce import published
from bench.settings import check_seeds, typed
from bench.streams import Patient
from bench.suites import suite

if TYPE_CHECKING:
    from bench.engines.ray import Cluster
    from bench.sweeps.execute import Outcome

OK, FAILED_CELLS, USAGE, DATA, MACHINE, INTERRUPTED = 0, 1, 2, 3, 4, 130

HELP = """Compare variational autoencoders: one ELBO core, one judge, every part swappable.

Exit codes:
  0  all cells ok
  1  finished, with failed cells
  2  wrong usage
  3  data missing or wrong
  4  the machine lacks something: a device, a writable folder
130  interrupted; finished cells are kept
"""

app = App(
    name="vaebench",
    help=HELP,
    version=lambda: version("vaebench"),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # else Ctrl-C leaves without a word
)
data_app = App(name="data", help="Data sets: list, verify, fetch.", help_format="plaintext")
app.command(data_app)

Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="", show_default=False)]
Settings = Annotated[tuple[str, ...], Parameter(name="--set", consume_multiple=True, negative="", show_default=False)]
TABLES = f"{', '.join(published.names())}, results (our own committed tables), or a .toml file."
SUITES = f"{', '.join(suite.names())}, or a .toml file."
Json = Annotated[bool, Parameter(negative="", help="Print JSON, and nothing else, on standard output.")]
Device = Annotated[str, Parameter(help="auto, cpu, cuda, mps or xpu; a device that is not there is an error.")]
Out = Annotated[Path | None, Parameter(help="Results folder; by default results/SUITE.")]
Again = Annotated[
    bool, Parameter(negative="", help="Run finished cells again, for example after a change of the code.")
]
Precision = Annotated[
    str | None,
    Parameter(help="What the networks are trained in: fp32 (the default) or bf16. The judge measures in fp32."),
]
Compile = Annotated[
    bool | None, Parameter(help="Train with torch.compile; such runs are a comparison group of their own.")
]
Jobs = Annotated[int | None, Parameter(help="Cells side by side; by default one a CPU core.")]
Engine = Annotated[
    Literal["local", "ray"],
    Parameter(help="What cells run on: this machine, or a Ray cluster (pip install 'vaebench[ray]')."),
]
Address = Annotated[
    str | None, Parameter(help="Of the Ray cluster, HOST:PORT or auto; without it one is started on this machine.")
]
Gpus = Annotated[
    float | None,
    Parameter(
        help="Of a GPU, what each cell asks the Ray cluster for, for example 0.25; by default 1 on an accelerator."
    ),
]
Seeds = Annotated[int | None, Parameter(help="Seeds 0 to N-1 for every variant, instead of the suite's number.")]


@app.command(name="list")
def list_(*, json: Json = False) -> int:
    """List all variants: built in and from installed plugins."""
    import variants
    from bench.engines.plugins import Silent, each

    recipes = [variants.get(name) for name in variants.names()]
    plugins = [recipe for recipe in recipes if not recipe.built_in]
    answers = dict(zip(plugins, each(_describe, [(recipe.name,) for recipe in plugins]), strict=True))
    rows = []
    for recipe in recipes:
        answer = answers.get(recipe) or recipe.describe()
        rows.append(recipe.unavailable(answer.reason) if isinstance(answer, Silent) else answer)
    if json:
        _print_json(rows)
        return OK
    for row in rows:
        if not row["available"]:
            _print_row(row["name"], f"unavailable: {row['reason']}")
            continue
        origin = "" if row["source"] == variants.registry.BUILT_IN else f" [{row['source']}]"
        change = f" ({row['base']} with another {', '.join(row['changes'])})" if row["base"] else ""
        _print_row(row["name"], f"{row['summary']}{change}{origin}")
    return OK


def _describe(name: str) -> dict[str, Any]:
    import variants

    return variants.get(name).describe()


@app.command
def run(
    suite_name: Annotated[str, Parameter(name="SUITE", help=SUITES)] = "quick",
    /,
    *,
    variants: Words = (),
    datasets: Words = (),
    seeds: Seeds = None,
    device: Device = "auto",
    settings: Settings = (),
    precision: Precision = None,
    compile: Compile = None,
    out: Out = None,
    jobs: Jobs = None,
    again: Again = False,
    engine: Engine = "local",
    address: Address = None,
    gpus: Gpus = None,
    json: Json = False,
) -> int:
    """Run what is missing of a suite, then write and print its tables and plots.

    Parameters
    ----------
    variants
        Only these variants, instead of the suite's.
    datasets
        Only these data sets, by name or as a path to an .npz file.
    settings
        key=value ...: budget keys (epochs, batch_size, lr, schedule, train_size ...), measurement keys (elbo_samples,
        nll_samples, nll_points, mi_points, gap_points, probe_points, ssim_points, ais_points ...) and keywords of the
        variants (latent, posterior, network, hidden, beta ...). For the oracle suite: its own (n, points,
        elbo_samples, importance_samples, chains, steps, gap_steps, epochs).
    """
    path, table = suite.read(suite_name)
    if "problem" in table:
        own = {"variants": variants, "datasets": datasets, "seeds": seeds, "precision": precision, "compile": compile}
        own["engine ray"] = engine == "ray"
        for word, given in own.items():
            if given:
                raise UsageError(f"suite {path.name} checks the judge on problems of its own: it takes no --{word}")
        return _oracle(path, table, settings, out, json, device=device, jobs=jobs, again=again)
    chosen = _suite(suite_name, variants, datasets, seeds, settings, precision, compile)
    with _cluster(engine, address, gpus) as cluster:
        outcome = _execute(chosen, out, device=device, jobs=jobs, again=again, cluster=cluster)
    return _finish(outcome, json)


@app.command
def compare(
    *names: str,
    suite_name: Annotated[str, Parameter(name="--suite", help=SUITES)] = "quick",
    datasets: Words = (),
    seeds: Seeds = None,
    device: Device = "auto",
    settings: Settings = (),
    precision: Precision = None,
    compile: Compile = None,
    out: Out = None,
    jobs: Jobs = None,
    again: Again = False,
    engine: Engine = "local",
    address: Address = None,
    gpus: Gpus = None,
    json: Json = False,
) -> int:
    """Compare variants with the first one named: run what is missing, then show paired differences over seeds.

    Variants whose likelihoods have different supports are refused before anything is run.

    Parameters
    ----------
    names
        Two or more variants.
    datasets
        Only these data sets, by name or as a path to an .npz file.
    settings
        key=value ..., as for `run`.
    """
    from bench.stats.differences import differences
    from bench.sweeps.compare import check

    names = _split(names)
    if len(dict.fromkeys(names)) < 2:
        raise UsageError("compare needs two or more variants: vaebench compare vanilla full_covariance")
    chosen = _suite(suite_name, names, datasets, seeds, settings, precision, compile)
    chosen = dataclasses.replace(chosen, throughput=dataclasses.replace(chosen.throughput, blocks=0))
    check(chosen, names[0])
    with _cluster(engine, address, gpus) as cluster:
        outcome = _execute(chosen, out, device=device, jobs=jobs, again=again, cluster=cluster)
    found = differences(outcome.records, names[0])
    if json:
        _print_json([dataclasses.asdict(difference) for difference in found])
    else:
        print("\n".join(difference.sentence for difference in found))
    _warn(outcome.failed)
    return FAILED_CELLS if outcome.failed else OK


@app.command
def throughput(
    suite_name: Annotated[str, Parameter(name="SUITE", help=SUITES)] = "quick",
    /,
    *,
    variants: Words = (),
    datasets: Words = (),
    device: Device = "auto",
    settings: Settings = (),
    precision: Precision = None,
    compile: Compile = None,
    out: Out = None,
    json: Json = False,
) -> int:
    """Measure training, evaluation and sampling speed again, each variant with the device to itself.

    Parameters
    ----------
    variants
        Only these variants, instead of the suite's.
    datasets
        Only these data sets, by name or as a path to an .npz file.
    settings
        key=value ...: blocks, block_s, batch_size, and keywords of the variants.
    """
    chosen = _suite(suite_name, variants, datasets, None, settings, precision, compile)
    plain = suite.load(suite_name)
    budget = dataclasses.replace(chosen.budget, batch_size=plain.budget.batch_size)  # which is a key of the clock too
    if (budget, chosen.measure) != (plain.budget, plain.measure):
        raise UsageError("throughput trains and judges no model: --set takes blocks, block_s, batch_size and keywords")
    outcome = _execute(chosen, out, device=device, quality=False, again=True)
    return _finish(outcome, json)


@app.command
def reproduce(
    table_name: Annotated[str | None, Parameter(name="NAME", help=TABLES)] = None,
    /,
    *,
    list_: Annotated[bool, Parameter(name="--list", negative="", help="Tables, rows, time they take here.")] = False,
    profile: Annotated[str | None, Parameter(help="short, medium or full; by default the cheapest.")] = None,
    rows: Words = (),
    seeds: Seeds = None,
    device: Device = "auto",
    out: Out = None,
    jobs: Jobs = None,
    again: Again = False,
    json: Json = False,
) -> int:
    """Train the rows of a published table that are missing, and say figure by figure whether we agree.

    Exits with 1 if a figure differs or a run failed; of results also if no figure could be judged.

    Parameters
    ----------
    rows
        Only these rows of the table.
    """
    from bench.reproduce import execute, page, published

    if list_:
        if table_name == "results":
            raise UsageError(
                "results are the suites' own tables: the last line of `vaebench reproduce --list` names them"
            )
        return _list_tables([table_name] if table_name else published.names(), device, json)
    if table_name is None:
        raise UsageError(f"reproduce needs the name of a table, {TABLES[:-1]}; --list shows them")
    _check_seeds(seeds)
    _check_jobs(jobs)
    how: dict[str, Any] = {"seeds": seeds, "device": device, "jobs": jobs, "again": again}
    if table_name == "results":
        from bench.reproduce import committed

        if profile is not None:
            raise UsageError("results are the suites' own tables: --rows names suites, and there is no --profile")
        done = [committed.reproduce(name, out, **how) for name in _split(rows) or ("quick",)]
    else:
        table = published.load(table_name)
        chosen_profile = table.profile(profile)
        chosen = table.chosen(_split(rows))
        where = out or published.folder(table, chosen_profile)
        done = [execute.reproduce(table, chosen_profile, chosen, where, **how)]
    if json:
        keys = ("out", "ran", "skipped", "failed")
        lines = [{key: getattr(outcome, key) for key in keys} | {"figures": page.rows(f)} for outcome, f in done]
        _print_json([line | {"out": str(line["out"])} for line in lines])
    for outcome, _ in done:
        if not json:
            print(outcome.report.terminal)
            print(f"Table, plot and a page that explains them: {outcome.out / 'README.md'}")
        _warn(outcome.failed)
    bad = any(outcome.failed or any(f.verdict in ("differs", "failed") for f in found) for outcome, found in done)
    return FAILED_CELLS if bad else OK


@app.command(name="report")
def report_(folder: Annotated[Path, Parameter(name="DIR")], /, *, json: Json = False) -> int:
    """Write tables and plots of a folder of results again, and print the tables. Needs no torch."""
    from bench.pages import oracle, report
    from bench.pages.page import reference_of
    from bench.reproduce.rewrite import rewrite

    if (reproduced := rewrite(folder)) is not None:
        written = reproduced
    elif oracle.holds_only_oracle(folder):
        written = oracle.write(folder)
    else:
        written = report.write(folder, reference=reference_of(folder, folder.resolve().name))
    if json:
        _print_json({"out": str(written.out), "files": [str(path) for path in written.files]})
    else:
        print(written.terminal)
    return OK


@app.command
def merge(
    folders: Annotated[tuple[Path, ...], Parameter(name="DIR", negative="", consume_multiple=True)],
    /,
    *,
    out: Annotated[Path, Parameter(help="Results folder to merge into, new or not; what it holds is kept.")],
    json: Json = False,
) -> int:
    """Copy the records of results folders into one, and name what is there twice or differs. Needs no torch.

    Of records of one cell with different figures both are kept and one counts: a finished one, of these the one started
    last. Trained weights are not copied.
    """
    from bench.records.merge import merge

    done = merge(folders, out)
    if json:
        _print_json({"out": str(out), "copied": done.copied, "notes": done.lines})
        return OK
    for line in done.lines:
        print(line)
    print(f"{done.copied} records copied into {out}; their tables and plots: vaebench report {shlex.quote(str(out))}")
    return OK


@data_app.command(name="list")
def data_list(*, json: Json = False) -> int:
    """List the data sets: shape, splits, binarisation, and whether they are here."""
    rows = data.describe()
    if json:
        _print_json(rows)
        return OK
    for row in rows:
        shape, splits = "x".join(map(str, row["shape"])), " / ".join(f"{n:,}" for n in row["splits"].values())
        here = "here" if row["present"] else "not here"
        _print_row(
            row["name"], f"{here}; {shape}; {splits} train / valid / test; binarise {row['binarise']}; {row['source']}"
        )
    return OK


@data_app.command(name="verify")
def data_verify(*names: str) -> int:
    """Read data sets and check their bytes; by default all that are here."""
    for name in names or [row["name"] for row in data.describe() if row["present"]]:
        _print_row(name, f"ok, sha256 {data.verify(name)}")
    return OK


@data_app.command(name="fetch")
def data_fetch(*names: str) -> int:
    """Download data sets that are not here, and check them."""
    if not names:
        raise UsageError(f"fetch needs names of data sets: {', '.join(data.names())}")
    for name in names:
        data.fetch(name)
        _print_row(name, "ok")
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
        _print_json(facts)
        return OK
    for key, value in facts.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        _print_row(key, str(text))
    return OK


def _suite(
    name: str,
    variants: Sequence[str],
    datasets: Sequence[str],
    seeds: int | None,
    settings: Sequence[str],
    precision: str | None = None,
    compile: bool | None = None,
) -> suite.Suite:
    from bench.sweeps.configure import configure, parse_settings

    chosen = suite.load(name)
    # A suite may have a variant more than once, with other keywords, and a data set with other options.
    if wanted := dict.fromkeys(_split(variants)):
        own = [
            [v for v in chosen.variants if v.name == name] or [suite.Variant(suite.check_variant_name(name))]
            for name in wanted
        ]
        chosen = dataclasses.replace(chosen, variants=tuple(itertools.chain(*own)))
    if wanted := dict.fromkeys(_split(datasets)):
        given = [[d for d in chosen.datasets if d.name == name] or [suite.dataset(name)] for name in wanted]
        chosen = dataclasses.replace(chosen, datasets=tuple(itertools.chain(*given)))
    _check_seeds(seeds)
    if seeds is not None:
        evenly = tuple(dataclasses.replace(variant, seeds=None) for variant in chosen.variants)
        chosen = dataclasses.replace(chosen, seeds=seeds, variants=evenly)
    for key, value in (("precision", precision), ("compile", compile)):
        if value is not None:
            chosen = dataclasses.replace(chosen, **{key: typed(suite.Suite, key, value)})
    return configure(chosen, parse_settings(settings))


@contextlib.contextmanager
def _cluster(engine: str, address: str | None, gpus: float | None) -> "Iterator[Cluster | None]":
    if engine == "local":
        for word, given in (("address", address), ("gpus", gpus)):
            if given is not None:
                raise UsageError(f"--{word} goes with --engine ray")
        yield None
        return
    from bench.engines import ray

    with ray.connect(address, gpus) as cluster:
        yield cluster


def _execute(chosen: suite.Suite, out: Path | None, *, jobs: int | None = None, **how: Any) -> "Outcome":
    from bench.sweeps.execute import execute

    _check_jobs(jobs)
    return execute(chosen, out or Path("results") / chosen.name, jobs=jobs, **how)


def _oracle(
    path: Path,
    table: dict[str, Any],
    settings: Sequence[str],
    out: Path | None,
    json: bool,
    *,
    jobs: int | None,
    **how: Any,
) -> int:
    from bench.pages import oracle as pages
    from bench.suites import oracle
    from bench.sweeps.configure import parse_settings
    from bench.sweeps.execute import execute_oracle

    try:
        chosen = oracle.configure(oracle.parse(path.stem, table), parse_settings(settings))
    except UsageError as error:
        raise UsageError(f"suite {path.name}: {error}") from error
    _check_jobs(jobs)
    outcome = execute_oracle(chosen, out or Path("results") / chosen.name, jobs=jobs, **how)
    if json:
        checks = [{"problem": pages.name(r), **check} for r in outcome.records for check in r.get("checks", [])]
        done = {"out": str(outcome.out), "ran": outcome.ran, "skipped": outcome.skipped, "failed": outcome.failed}
        _print_json(done | {"checks": checks})
    else:
        print(outcome.report.terminal)
        print(f"All checks, the plot and a page that explains them: {outcome.out / 'README.md'}")
    _warn(outcome.failed)
    return FAILED_CELLS if outcome.failed else OK


def _list_tables(names: Sequence[str], device: str, json: bool) -> int:
    from bench import device as devices
    from bench.reproduce import listing

    device = devices.resolve(device)
    for name in names:
        published.load(name)  # all are read before any is timed
    print("Timing a few steps of every row that was not run here ...", file=sys.stderr)
    if json:
        _print_json([entry for name in names for entry in listing.entries(name, device)])
        return OK
    for name in names:
        print(listing.text(name, device), flush=True)
    if len(names) > 1:
        print(listing.results())
    return OK


def _check_seeds(seeds: int | None) -> None:
    if seeds is not None:
        check_seeds("--seeds", seeds)


def _check_jobs(jobs: int | None) -> None:
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, got {jobs}")


def _finish(outcome: "Outcome", json: bool) -> int:
    if json:
        from bench.stats import frame

        rows = jsonlib.loads(frame.frame(outcome.records).to_json(orient="records"))
        _print_json(
            {
                "out": str(outcome.out),
                "ran": outcome.ran,
                "skipped": outcome.skipped,
                "failed": outcome.failed,
                "rows": rows,
            }
        )
    else:
        print(outcome.report.terminal)
        print(f"Tables, plots and a page that explains them: {outcome.out / 'README.md'}")
    _warn(outcome.failed)
    return FAILED_CELLS if outcome.failed else OK


def _warn(failed: Iterable[str]) -> None:
    for line in failed:
        print(f"vaebench: failed: {text.printable(line)}", file=sys.stderr)


def _split(words: Iterable[str]) -> tuple[str, ...]:
    """Names separated by commas or spaces; the path of an .npz file is one word, whatever is in it."""
    return tuple(
        name for word in words for name in ([word] if word.endswith(".npz") else word.replace(",", " ").split())
    )


def _print_row(name: str, text: str) -> None:
    print(f"{name:22} {text}")


def _print_json(value: object) -> None:
    print(jsonlib.dumps(value, indent=1, default=list))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with a documented exit code. An expected error is one line."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    out, err = Patient(sys.stdout), Patient(sys.stderr)
    with _signals(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):  # type: ignore[type-var]
        try:
            code = app(words, exit_on_error=False, print_error=False, result_action="return_value") or OK
            sys.stdout.flush()
        except (BenchError, CycloptsError) as error:
            line = " ".join(str(error).split())
            print(f"vaebench: {text.printable(line)}", file=sys.stderr)
            code = error.exit_code if isinstance(error, BenchError) else USAGE
        except ModuleNotFoundError as error:
            package = str(error.name).partition(".")[0]
            if package in ("bench", "variants"):
                raise
            print(f"vaebench: {package} is not installed here; this needs it: pip install {package}", file=sys.stderr)
            code = MACHINE
        except KeyboardInterrupt:
            program = [sys.argv[0]] if Path(sys.argv[0]).name == "vaebench" else ["python", "-m", "bench"]
            resume = shlex.join([*program, *words])
            print(f"\nvaebench: interrupted; finished cells are kept. Resume with: {resume}", file=sys.stderr)
            code = INTERRUPTED
    sys.exit(code)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """A cancelled job or a closed terminal is as Ctrl-C: the first ends what runs tidily, the second leaves at once."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in names)}
    # What whoever started us wants ignored (nohup, a script's background) stays ignored.
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def leave(*_: object) -> None:
        os.write(2, b"\nvaebench: interrupted twice: left at once; finished cells are kept\n")
        os._exit(INTERRUPTED)  # the cells notice, and end

    def interrupt(*_: object) -> None:
        for number in heeded:
            signal.signal(number, leave)
        raise KeyboardInterrupt

    for number in heeded:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
