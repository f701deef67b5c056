"""Random settings, suites, published tables, records, data, kept files and environments: an expected error of one
line, or a result; never a traceback.

The examples are the same every time. VAEBENCH_FUZZ=20 draws others, and twenty times as many.
"""

import contextlib
import copy
import csv
import gzip
import io
import json
import os
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import bench.data as data
from bench.cells import weights
from bench.data import readers
from bench.data.given import prepare
from bench.device import require_compiler
from bench.errors import BenchError, DataError, UsageError
from bench.pages import oracle as oracle_page
from bench.pages import page, report
from bench.pages.figures import latent, pictures
from bench.pages.figures.plot import View
from bench.pages.grids import terminal_width as width
from bench.pages.html import report as html_report
from bench.records import record, store
from bench.records.notes import NOTE
from bench.reproduce import cost, published, rewrite
from bench.reproduce import page as reproduced
from bench.reproduce import plot as reproduced_plot
from bench.resume import sealed
from bench.resume.checkpoint import Checkpoint
from bench.resume.notebook import Notebook
from bench.settings import Budget, parse_settings
from bench.stats import groups, speeds
from bench.suites import oracle, suite
from bench.sweeps import configure
from bench.train.state import Training
from bench.train.steps import stepper_for
from tests import fake_records as fake
from tests.cells.test_weights import SOURCE, SPEC, TRAINING, model_of
from tests.data.test_files import idx, idx_contents, put, python2_pickle
from tests.helpers import ROOT
from tests.reproduce import tiny
from variants import registry

MORE = int(os.environ.get("VAEBENCH_FUZZ", 0))

# Where nothing waits for a disk.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def fuzz(examples: int) -> Callable[..., Any]:
    return settings(
        max_examples=examples * (MORE or 1),
        derandomize=not MORE,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


# Sizes between these would be built, and take gigabytes.
numbers = st.one_of(
    st.integers(-3, 40),
    st.integers(2**62, 2**70),
    st.sampled_from([0.0, -0.0, 1e-300, 1e300, 1e308, 0.5, 1e-3, float("nan"), float("inf"), -float("inf")]),
    st.sampled_from([0, 1, -1, 10**30, -(10**30), 10**400]),
)
words = st.one_of(
    st.sampled_from(["", "vanilla", "linear", "conv", "full", "gaussian", "bernoulli", "cosine", "digits", "nan"]),
    st.sampled_from(["../x", "mnist", "a.npz", "~no such user/a.npz", "a\0b.npz", "x" * 300 + ".npz", "ü ñ", "none"]),
    st.text(max_size=8),
    # Lone surrogates, control and format characters, and what has no end.
    st.sampled_from(
        ["\ud800", "a\udfffb", "\x1b[2J", "\r\n\t\x7f\x9b", "\u202e\u061c\ufeff", "\U000e0041", "9" * 5000]
    ),
)
scalars = st.one_of(numbers, st.booleans(), words, st.dates(), st.datetimes(), st.times())


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    inner = leaves | st.lists(leaves, max_size=3) | st.dictionaries(words, leaves, max_size=2)
    return inner | st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=2)


def deep(levels: int, table: bool) -> Any:
    made: Any = 0
    for _ in range(levels):
        made = {"a": made} if table else [made]
    return made


# Empty, deep, and long.
ends = st.one_of(
    st.sampled_from([[], {}, "", [0] * 1000, {str(i): i for i in range(100)}]).map(copy.deepcopy),
    st.builds(deep, st.sampled_from([20, 21, 200]), st.booleans()),
)
values = nested(scalars) | ends
json_values = nested(st.none() | st.booleans() | numbers | words) | ends


def refused(error: BaseException) -> None:
    """An expected error is one line that says something."""
    said = str(error)
    assert said.strip()
    assert "\n" not in said or " ".join(said.split())  # the command line puts it on one line
    assert "Traceback" not in said


def check_cells(chosen: suite.Suite) -> None:
    """Every cell of an accepted suite has a record that can be written, inside its folder."""
    for cell in chosen.cells("cpu")[:4] + chosen.throughput_cells(["cpu"], 1)[:4]:
        text = json.dumps(record.plain(record.new("quality", cell, {})), allow_nan=False)
        assert json.loads(text)["cell"] == cell
        name = record.record_id("quality", cell)
        assert Path("runs", name).parent == Path("runs")
        if "budget" in cell:
            assert weights.path(Path("out"), cell).parent == Path("out", "weights")


# --- settings

KEYS = ["epochs", "lr", "batch_size", "schedule", "train_size", "nll_points", "elbo_samples", "blocks", "block_s"]
KEYS += ["latent", "hidden", "posterior", "likelihood", "network", "beta", "rank", "sigma", "warmup_epochs", "samples"]
SMALL = suite.parse("mine", {"variants": ["vanilla", "low_rank", "beta", "iwae"], "datasets": ["linear_gaussian"]})


def toml(value: object) -> str:
    """As a user would type it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


@fuzz(150)
@given(st.lists(st.tuples(st.sampled_from(KEYS) | words, values, st.booleans()), min_size=1, max_size=3))
def test_settings(chosen: list[tuple[str, object, bool]]) -> None:
    typed = [f"{key}={toml(value) if quoted else value}" for key, value, quoted in chosen]
    try:
        configured = configure.configure(SMALL, parse_settings(typed))
    except BenchError as error:
        refused(error)
    else:
        check_cells(configured)


# --- suites

BASE = tomllib.loads((suite.SHIPPED / "standard.toml").read_text(encoding="utf-8"))
ORACLE = tomllib.loads((suite.SHIPPED / "oracle.toml").read_text(encoding="utf-8"))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a nest of lists and dictionaries."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in items for found in places(inner, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn, base: Any, values: st.SearchStrategy[Any]) -> Any:
    """`base` with a few of its places replaced, removed, or given something more."""
    made = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, 3))):
        found = [path for path in places(made) if path]
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        home = made
        for key in way:
            home = home[key]
        how = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if how == "replace":
            home[last] = draw(values)
        elif how == "remove":
            del home[last]
        elif isinstance(home, dict):
            home[draw(words)] = draw(values)
        else:
            home.append(draw(values))
    return made


@fuzz(300)
@given(mutated(BASE, values) | mutated(ORACLE, values))
def test_suite_tables(source: dict[str, Any]) -> None:
    try:
        if "problem" not in source:
            check_cells(suite.parse("mine", source))
        else:
            for cell in oracle.parse("mine", source).cells("cpu"):
                json.dumps(record.plain(record.new("oracle", cell, {})), allow_nan=False)
    except BenchError as error:
        refused(error)


@st.composite
def spliced(draw: st.DrawFn, base: bytes, most: int = 4) -> bytes:
    """Bytes with a few places flipped, cut out, doubled, or overwritten; or cut off."""
    content = bytearray(base)
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.integers(1, 8))
        how = draw(st.sampled_from(["flip", "cut", "insert", "overwrite", "double", "end"]))
        if how == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del content[at : at + length]
        elif how == "insert":
            content[at:at] = draw(st.binary(max_size=8))
        elif how == "overwrite":
            content[at : at + length] = draw(st.sampled_from([b"\0" * length, b"\xff" * length, b"\x7f" * length]))
        elif how == "double":
            content[at:at] = content[at : at + 8 * length]
        elif draw(st.integers(0, 3)) == 0:
            del content[at:]
    return bytes(content)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "~no such user/a", "../" * 50, "", ".", "\ud800"])
@pytest.mark.parametrize("ending", ["", ".toml", ".npz"])
def test_names_that_are_none(name: str, ending: str) -> None:
    for ask in (suite.load, suite.dataset, suite.check_variant_name, published.load):
        with pytest.raises(BenchError) as caught:
            ask(name + ending)
        refused(caught.value)


# --- published tables, and the notes of which one a folder reproduces

TABLE = tomllib.loads(tiny.RECIPE)
TABLE["rows"]["twin"] = {"title": "The same model", "same_run_as": "plain"}
FIGURES = [dict(line) for line in csv.DictReader(tiny.FIGURES.splitlines())]
# Beyond what a double holds, too.
huge = st.sampled_from([10**400, -(10**400), 1e13, -1.0])
NOTE_OF_A_TABLE = {"table": "ppca", "profile": "short"}
NOTE_OF_A_FILE = {"table": "mine.toml", "sha256": "ab", "path": "/no/where/mine.toml", "profile": "short"}
NOTES = [json.dumps(note) for note in (NOTE_OF_A_TABLE, NOTE_OF_A_FILE, {"suite": "quick"})]


def check_table(chosen: published.Table, out: Path) -> None:
    """What is accepted has cells that can be written, and a page."""
    for profile in chosen.reasons:
        check_cells(chosen.suite(profile, chosen.rows))
    reproduced.write(out, chosen, chosen.profile(None), chosen.rows)


@fuzz(60)
@given(mutated(TABLE, values | huge), mutated(FIGURES, json_values))
def test_published_tables(recipe: dict[str, Any], lines: Any) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(
            [published.COLUMNS, *([str(v) for v in dict(line).values()] for line in lines if isinstance(line, dict))]
        )
        for figures in (tiny.FIGURES, text.getvalue()):
            try:
                check_table(
                    published.parse("mine", recipe, published.parse_figures(figures), {"table": "mine"}), Path(folder)
                )
            except BenchError as error:
                refused(error)


@fuzz(100)
@given(
    spliced(tiny.RECIPE.encode()) | st.binary(max_size=60) | st.just(tiny.RECIPE.encode()),
    spliced(tiny.FIGURES.encode()) | st.binary(max_size=60) | st.just(tiny.FIGURES.encode()),
)
def test_published_files(recipe: bytes, figures: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder, "mine.toml")
        path.write_bytes(recipe)
        path.with_suffix(".csv").write_bytes(figures)
        try:
            check_table(published.load(str(path)), Path(folder))
        except BenchError as error:
            refused(error)


@fuzz(100)
@given(
    (mutated(NOTE_OF_A_TABLE, json_values) | mutated(NOTE_OF_A_FILE, json_values)).map(json.dumps).map(str.encode)
    | st.sampled_from(NOTES).flatmap(lambda text: spliced(text.encode()))
    | st.binary(max_size=40)
)
def test_notes_of_what_is_reproduced(content: bytes) -> None:
    """The whole page, or a line and no file changed."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder, NOTE)
        path.write_bytes(content)
        try:
            made = rewrite.rewrite(Path(folder))
        except BenchError as error:
            refused(error)
            assert [each.read_bytes() for each in Path(folder).rglob("*")] == [content]
        else:
            assert made is not None
            assert made.files[-1] == Path(folder, "README.md")


def record_of_a_table() -> dict[str, Any]:
    table = published.parse("mine", TABLE, published.parse_figures(tiny.FIGURES), {"table": "mine"})
    made = record.new("quality", table.suite("short", table.rows[:1]).cells("cpu")[0], {"device_name": "A"}, "ok")
    return record.plain(made) | {"metrics": {"elbo_nats": -8.0}, "curve": [{"epoch": 1}]}


@fuzz(60)
@given(mutated(record_of_a_table(), json_values))
def test_records_of_a_published_table(made: dict[str, Any]) -> None:
    table = published.parse("mine", TABLE, published.parse_figures(tiny.FIGURES), {"table": "mine"})
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reproduced_plot, "figure", lambda *_: None)  # most of the time
        (Path(folder) / "runs").mkdir()
        for name, each in (("a", record_of_a_table()), ("b", made)):
            (Path(folder) / "runs" / f"{name}.json").write_text(json.dumps(each), encoding="utf-8")
        reproduced.write(Path(folder), table, "short", table.rows)
        cost.known(table.suite("short", table.rows).cells("cpu")[0], store.read_all(Path(folder))[0])


# --- data


@fuzz(200)
@given(spliced(idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))) | st.binary(max_size=40))
def test_idx_files(content: bytes) -> None:
    try:
        readers.parse_idx(content, Path("mine"))
    except DataError as error:
        refused(error)


def npz(save: Callable[..., None]) -> bytes:
    buffer = io.BytesIO()
    save(buffer, train=np.linspace(0, 1, 12 * 16).reshape(12, 4, 4), train_labels=np.arange(12))
    return buffer.getvalue()


@fuzz(300)
@given(st.sampled_from([npz(np.savez), npz(np.savez_compressed)]).flatmap(spliced) | st.binary(max_size=40))
def test_users_files(content: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder, "mine.npz")
        path.write_bytes(content)
        try:
            prepare(path)
        except DataError as error:
            refused(error)


def omniglot() -> dict[str, bytes]:
    contents = {}
    for part in ("images_background", "images_evaluation"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for drawer in range(1, 21):
                png = io.BytesIO()
                Image.new("1", (105, 105), drawer % 2).save(png, "png")
                archive.writestr(f"{part}/Greek/character01/0001_{drawer:02d}.png", png.getvalue())
        contents[f"{part}.zip"] = buffer.getvalue()
    return contents


def cifar10() -> dict[str, bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
            batch = python2_pickle({"data": np.zeros((2, 3072), dtype=np.uint8), "labels": [0, 1]})
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(batch)
            tar.addfile(info, io.BytesIO(batch))
    return {"cifar-10-python.tar.gz": buffer.getvalue()}


def svhn() -> dict[str, bytes]:
    contents = {}
    for part, n in (("train", 8), ("test", 3)):
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, {"X": np.zeros((32, 32, 3, n), dtype=np.uint8), "y": np.ones((n, 1), dtype=np.uint8)})
        contents[f"{part}_32x32.mat"] = buffer.getvalue()
    return contents


ARCHIVES = {"kmnist": idx_contents(), "omniglot": omniglot(), "cifar10": cifar10(), "svhn": svhn()}
SIZES = {"omniglot": {"train": 28, "valid": 2, "test": 10}, "cifar10": {"train": 8, "valid": 2, "test": 2}}


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.filterwarnings("ignore")  # of scipy and zipfile, about the damage
def test_archives_whose_checksum_is_right(name: str) -> None:
    """As if an attacker had forged the MD5: inside the packing anything may be wrong, and no code runs from it."""
    contents = ARCHIVES[name]
    first = next(iter(contents))
    unpack = first.endswith(".gz")

    @fuzz(40)
    @given(spliced(gzip.decompress(contents[first]) if unpack else contents[first]))
    def check(content: bytes) -> None:
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder, pytest.MonkeyPatch.context() as patch:
            packed = {first: gzip.compress(content, 1) if unpack else content}
            sizes = {"splits": SIZES[name]} if name in SIZES else {}
            put(patch, name, Path(folder, name), contents | packed, **sizes)
            try:
                data.verify(name, folder)
            except DataError as error:
                refused(error)

    check()


# --- the environment

# What a shell can hand over: any bytes but a zero.
SAID = words.filter(lambda text: "\0" not in text and not any("\ud800" <= c < "\udc80" or c > "\udcff" for c in text))
FOUND = st.one_of(
    SAID,
    numbers.map(str),
    st.sampled_from(["", " ", '"', "\udc80\udcff", "-1", "a/" * 3000, "x" * 5000, "/dev/null", "~nobody/x", "1e308"]),
)
READ = ["VAEBENCH_DATA", "XDG_CACHE_HOME", "HOME", "CXX", "COLUMNS", "LINES", "LANG", "LC_ALL", "TMPDIR", "RAY_ADDRESS"]


@fuzz(40)
@given(st.dictionaries(st.sampled_from(READ), FOUND, min_size=1, max_size=3))
def test_environments(found: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.items():
            with contextlib.suppress(UnicodeEncodeError, ValueError):
                patch.setenv(name, value)
        for ask, of in ((data.verify, ["kmnist"]), (require_compiler, ["cpu"]), (data.describe, []), (width, [])):
            try:
                ask(*of)
            except BenchError as error:
                refused(error)


# --- what is kept

KEPT = fake.quality()
shapes = st.lists(st.sampled_from([0, 1, 2, 3, 20, 28]), max_size=4).map(tuple)
kinds = st.sampled_from(["u1", "u4", "i8", "f2", "f4", "f8", "c8", "U3", "?", "M8[s]"])
fills = st.sampled_from([0, 1, -1, 1e30, 1e38, 1e308, float("nan"), float("inf"), "\ud800", "a\x1b"])


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    shape, kind, fill = draw(shapes), draw(kinds), draw(fills)
    try:
        with np.errstate(all="ignore"):
            return np.full(shape, fill).astype(kind)
    except (ValueError, TypeError, OverflowError):
        return np.zeros(shape, kind)


NAMES = [*fake.artefact(KEPT, points=20), "traversals", "worst_inputs", "reliability_mean", "class_labels", "\x1b[2J"]


@fuzz(40)
@given(st.dictionaries(st.sampled_from(NAMES), arrays() | st.none(), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore:Warning. converting a masked element")
def test_artefacts(changed: dict[str, Any]) -> None:
    """Whatever the arrays are: the plots and the page that show them are made, and what is left out is said."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        made = {key: array for key, array in (fake.artefact(KEPT, points=20) | changed).items() if array is not None}
        np.savez(Path(folder, f"{KEPT.id}.npz"), **made)
        kept, lines = pictures.load_artefacts(Path(folder), [KEPT])
        assert len(lines) <= 1
        assert all(line.isprintable() for line in lines)
        assert list(kept) == [KEPT.id]
        view = View("mnist-dynamic", tuple(groups.groups([KEPT])), kept, speeds.throughput([KEPT], "mnist-dynamic"))
        for draw in (pictures.reconstructions, pictures.samples, latent.latent_plane):
            figure = draw(view)
            if figure is not None and MORE:
                figure.canvas.draw()
        html_report.report([KEPT], kept, lines)


def kept_weights() -> bytes:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        weights.write(Path(folder, "w"), model_of(), TRAINING)
        return Path(folder, "w").read_bytes()


@fuzz(150)
@given(spliced(kept_weights()) | st.binary(max_size=40))
def test_weights(content: bytes) -> None:
    model = registry.seeded("vanilla", SPEC, 1, latent=2, hidden=[4])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        Path(folder, "w").write_bytes(content)
        with contextlib.suppress(ValueError):
            assert weights.read(Path(folder, "w"), model, SOURCE) == TRAINING
            before = {name: tensor.clone() for name, tensor in model_of().state_dict().items()}
    state = model.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in before.items())


CHECKPOINT: dict[str, Any] = {
    "source": SOURCE,
    "provenance": {"commit": "abc", "resumed": 1},
    "train_s": 12.5,
    "state": {"curve": [{"epoch": 1, "train_loss": 80.0, "valid_elbo_nats": -75.0}]},
}


@fuzz(100)
@given(mutated(CHECKPOINT, json_values))
def test_facts_of_a_checkpoint(facts: dict[str, Any]) -> None:
    """Sealed by somebody who knows how: the training goes on from them, or starts anew and stays as it was."""
    stepper = stepper_for(model_of(), Budget(epochs=3, batch_size=8))
    now, notes = Training(stepper, steps=4, seed=0, device="cpu"), list[str]()
    before = {name: tensor.clone() for name, tensor in now.state()[0].items()}
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        try:
            sealed.write(Path(folder, "c"), before, facts)
        except ValueError:
            return  # no JSON, which nobody can have sealed
        checkpoint = Checkpoint(Path(folder, "c"), SOURCE, {}, notes.append)
        went_on = checkpoint.resume(now)
    assert len(notes) == 1
    if went_on:
        assert now.curve == facts["state"]["curve"]
        assert 0 <= checkpoint.train_s < 1e300
        assert checkpoint.provenance["resumed"] >= 1
    else:
        assert now.curve == []
    assert all(torch.equal(tensor, before[name]) for name, tensor in now.state()[0].items())


def notes() -> bytes:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        measured(Path(folder, "notes"))
        return Path(folder, "notes").read_bytes()


def measured(file: Path | None) -> dict[str, list[float]]:
    batches = [torch.tensor([0.0, 1.0]), torch.tensor([2.0])]
    columns = Notebook(file).each("elbo", batches, lambda x: {"a": x + torch.rand(len(x)), "b": x + 1}, 2)
    return {name: column.tolist() for name, column in columns.items()}


@fuzz(100)
@given(spliced(notes()))
def test_notes(content: bytes) -> None:
    """Whatever has become of them, the figures are those of an undisturbed measurement."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        Path(folder, "notes").write_bytes(content)
        assert measured(Path(folder, "notes")) == measured(None)


# --- records

SOUND, *RECORDS = [
    fake.thorough("vanilla", 3),
    fake.thorough("vanilla", 0),
    fake.quality("beta", 1, status="error", reason="it broke"),
    fake.throughput("vanilla"),
]


@fuzz(150)
@given(st.sampled_from(RECORDS).flatmap(lambda made: mutated(record.plain(made), json_values)))
def test_records(made: Any) -> None:
    """Tables and pages of a folder with a sound record and a changed one."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        out = Path(folder)
        (out / "runs").mkdir()
        store.write(out, SOUND)
        (out / "runs" / "changed.json").write_text(json.dumps(made), encoding="utf-8")
        records, _ = store.read_all(out)
        assert SOUND in records
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(report.figures, "drawn", lambda *_: ())
            made = report.write(out, reference=page.REFERENCE / "quick")
        assert all("\n" not in line for line in made.warnings)


PROBLEM = json.loads(min((ROOT / "results" / "reference" / "oracle" / "runs").glob("*.json")).read_text("utf-8"))
PROBLEM["checks"] = PROBLEM["checks"][:3]


@fuzz(100)
@given(mutated(PROBLEM, json_values))
def test_oracle_records(made: Any) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, pytest.MonkeyPatch.context() as patch:
        (Path(folder) / "runs").mkdir()
        (Path(folder) / "runs" / "changed.json").write_text(json.dumps(made), encoding="utf-8")
        patch.setattr(oracle_page, "figure", lambda _: None)
        if store.read_all(Path(folder), kinds=("oracle",))[0]:  # nothing is written else
            oracle_page.write(Path(folder))


@fuzz(300)
@given(spliced(json.dumps(record.plain(RECORDS[0])).encode(), most=2))
def test_files_that_were_records(content: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        out = Path(folder)
        (out / "runs").mkdir()
        (out / "runs" / "b.json").write_bytes(content)
        records, warnings = store.read_all(out)
        assert records or warnings
        with contextlib.suppress(UsageError):  # of a later version
            store.finished(out, "b")
