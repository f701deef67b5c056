"""What others made (records, pictures, data, suites) runs no code, writes nowhere else, and steers no terminal."""

import ast
import csv
import io
import json
import os
import pickle
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from bench import data
from bench.cells import weights
from bench.data.given import arrays
from bench.disk import files
from bench.errors import BenchError, DataError, UsageError
from bench.pages import report
from bench.pages.figures import pictures
from bench.records import merge, record, store
from bench.reproduce import page, published
from bench.stats import frame
from bench.suites import suite
from tests import fake_records as fake
from tests.helpers import ROOT, cell
from tests.reproduce import tiny

# What would change a page, a terminal or a formula if it were taken for more than text.
EVIL = (
    "<script>alert(1)</script> | **x** [a](http://evil) \\input{/etc/passwd} $\\frac{$ ^_ ~ # \x1b[2J\x1b]0;owned\x07 "
    "\x00 \u202e \u061c \U000e0041 \n# heading\n\n```\r`x`"
)
STEERING = ("\x1b", "\x00", "\x07", "\u202e", "\u061c", "\U000e0041", "\r")
# Where the names of files are made from texts in a record.
OUTSIDE = (
    "../../../evil",
    "/evil",
    "..",
    ".",
    "a/../../b",
    "nul\x00.npz",
    "x" * 3000,
    "\N{SNOWMAN}" * 200,
    "..\\..\\evil",
)


class Harmful:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def tree(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def put(out: Path, *records: record.Record) -> Path:
    """Records as somebody sends them: the name of the file is not their id."""
    (out / "runs").mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(records):
        (out / "runs" / f"{number}.json").write_text(json.dumps(record.plain(each)))
    return out


def evil_records() -> list[record.Record]:
    """Every text of a record that a page shows, at its worst."""
    records = [fake.quality(variant, seed) for variant in ("vanilla", "iwae") for seed in range(3)]
    records += [fake.quality("beta", 0, status="error", reason=EVIL), fake.throughput("vanilla")]
    for each in records:
        each.cell |= {"overrides": {EVIL: EVIL}, "variant": each.cell["variant"] + EVIL, "precision": EVIL}
        each.cell["data_options"] = {EVIL: EVIL}
        each.protocol = EVIL
        each.provenance = replace(each.provenance, device_name=EVIL, commit=EVIL, data_sha256=EVIL, started=EVIL)
        each.provenance.versions = {EVIL: EVIL}
        each.metrics[EVIL] = 1.0
        for key in ("posterior", "network", "prior"):
            setattr(each.model, key, EVIL)
    return records


def test_no_module_calls_what_runs_text_or_pickles() -> None:
    """Of the standard ways; the one unpickler that there is takes arrays only, and tests/data holds it to that."""
    for path in [*(ROOT / "bench").rglob("*.py"), *(ROOT / "variants").rglob("*.py")]:
        source = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(source):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            keywords = {each.arg: ast.unparse(each.value) for each in node.keywords}
            assert name not in {"eval", "exec", "compile", "os.system", "os.popen", "pickle.load", "pickle.loads"}, path
            assert keywords.get("shell") in (None, "False"), path
            assert keywords.get("allow_pickle") in (None, "False"), path
            if name in ("np.load", "numpy.load"):
                assert keywords.get("allow_pickle") == "False", path
            if name == "torch.load":
                assert keywords.get("weights_only") == "True", path
            assert "yaml" not in name, path


def test_a_pickle_in_pictures_is_a_warning_and_does_not_run(tmp_path: Path) -> None:
    made, mark = fake.quality("vanilla", 0), tmp_path / "mark"
    objects = np.empty(1, dtype=object)
    objects[0] = Harmful(mark)
    bare = pickle.dumps(Harmful(mark))
    arrays = io.BytesIO()
    np.savez(arrays, inputs=objects)
    for content in (arrays.getvalue(), bare):
        (tmp_path / f"{made.id}.npz").write_bytes(content)
        found, (line,) = pictures.load_artefacts(tmp_path, [made])
        assert found == {}
        assert line.startswith(f"cannot read {made.id}.npz (")
    assert not mark.exists()
    pickle.loads(bare)  # the trap is one
    assert mark.exists()


def test_a_pickle_in_data_does_not_run(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "mine.npz"
    objects = np.empty(4, dtype=object)
    objects[:] = [Harmful(mark)] * 4
    np.savez(path, train=objects)
    with pytest.raises(DataError, match="cannot read it as"):
        arrays.read_npz(path)
    path.write_bytes(pickle.dumps(Harmful(mark)))
    with pytest.raises(DataError, match="cannot read it as"):
        arrays.read_npz(path)
    assert not mark.exists()


def npz_of_zeros(path: Path, name: str, megabytes: int) -> None:
    """A small file that unpacks to much: zeros, well packed."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (megabytes << 20,)})
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w") as member,
    ):
        member.write(header.getvalue())
        for _ in range(megabytes):
            member.write(bytes(1 << 20))


def test_a_file_that_unpacks_to_more_than_there_is_room_for_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.npz"
    npz_of_zeros(path, "train.npy", 128)
    assert path.stat().st_size < 1 << 20
    monkeypatch.setattr(arrays, "memory", lambda: 100.0 * 2**20)
    with pytest.raises(DataError, match="it unpacks to 128 MiB, more than this machine's memory"):
        arrays.read_npz(path)
    made = fake.quality("vanilla", 0)
    path.rename(tmp_path / f"{made.id}.npz")
    assert "would unpack to 134,217," in pictures.load_artefacts(tmp_path, [made])[1][0]


def test_an_absurd_header_is_one_line(tmp_path: Path) -> None:
    """An array that says it is of 2 ** 60 numbers, and brings a few."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 60,)})
    path = tmp_path / "mine.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train.npy", header.getvalue() + bytes(80))
    with pytest.raises(DataError) as caught:
        arrays.read_npz(path)
    assert "\n" not in str(caught.value)
    deep = tmp_path / "runs" / "deep.json"
    for content in (
        "[" * 200_000,
        '{"schema":' * 100_000,
        '{"schema": 1' + "0" * 5000 + "}",
        " " * (files.LARGEST + 1),
    ):
        files.write_bytes(deep, content.encode())
        found, (line,) = store.read_all(tmp_path)
        assert found == []
        assert line.startswith("deep.json")
        assert len(line) < 300


def test_no_text_in_a_record_leads_a_report_to_another_folder(tmp_path: Path) -> None:
    records = []
    for place, text in enumerate(OUTSIDE):
        made = fake.quality("vanilla", 0)
        made.id += f"_{place}"
        made.cell |= {"dataset": text, "binarise": text, "data_options": {"a": text}}
        made.model.support = text
        # One figure a group is enough.
        records.append(replace(made, metrics={"elbo_nats": -100.0}, curve=[]))
    records += [replace(fake.quality("iwae", 0), id=text) for text in OUTSIDE]
    out = put(tmp_path / "deep" / "er" / "out", *records)
    before = tree(tmp_path)
    written = report.write(out)
    assert tree(tmp_path) - before == set(written.files)
    assert {path.parent for path in written.files} <= {out, out / "tables", out / "plots"}
    assert len([path for path in written.files if path.suffix == ".csv"]) == len(OUTSIDE) + 2  # and runs.csv
    assert sum(": id must be a text" in line for line in written.warnings) == len(OUTSIDE) - 1  # all but the NUL


@pytest.mark.parametrize("text", OUTSIDE, ids=range(len(OUTSIDE)))
def test_no_text_in_a_record_leads_merging_to_another_folder(tmp_path: Path, text: str) -> None:
    source = put(tmp_path / "deep" / "source", replace(fake.quality("iwae", 0), id=text), fake.quality("vanilla", 0))
    before = tree(tmp_path)
    merge.merge([source], tmp_path / "deep" / "out")
    assert {path.parent for path in tree(tmp_path) - before} == {tmp_path / "deep" / "out" / "runs"}


@pytest.mark.parametrize("text", OUTSIDE, ids=range(len(OUTSIDE)))
def test_no_text_in_a_cell_leads_a_run_to_another_folder(tmp_path: Path, text: str) -> None:
    made = cell(dataset=text) | {"variant": text}
    for path in (tmp_path / "runs" / f"{record.record_id('quality', made)}.json", weights.path(tmp_path, made)):
        assert path.resolve().parent in (tmp_path / "runs", tmp_path / "weights")
        if len(text) < 1000:
            files.write_bytes(path, b"")
    assert len({record.record_id("quality", cell(dataset=each)) for each in OUTSIDE}) == len(OUTSIDE)


def test_a_suite_cannot_name_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'variants = ["vanilla"]\ndatasets = ["mnist"]\n'
    for name in ("...toml", "..toml"):
        Path(name).write_text(text)
        with pytest.raises(UsageError, match="no name of its own"):
            suite.load(name)
    # Whatever a suite says, it is no path: variants are registered names, and a data set is one of ours or a file.
    for entry in OUTSIDE:
        for key, own in (("variants", "datasets"), ("datasets", "variants")):
            lists = {own: ["vanilla" if own == "variants" else "mnist"], key: [entry]}
            with pytest.raises(BenchError):
                suite.parse("mine", lists)
    assert data.names()
    assert tree(tmp_path) == {tmp_path / "...toml", tmp_path / "..toml"}


def is_only_text(path: Path, text: str) -> None:
    """Nothing of `EVIL` is more than text in a page's file."""
    assert not any(mark in text for mark in STEERING), path
    if path.suffix == ".md":
        assert "<script" not in text.replace("\\<", "")
        assert "](http://evil" not in text.replace("\\]", "")
        assert "\n# heading" not in text
        assert "\n```" not in text
        assert not [line for line in text.splitlines() if "alert(" in line and "\\<script\\>" not in line]
    if path.suffix == ".tex":
        assert "\\input" not in text
        assert "\\frac" not in text
    if path.suffix == ".svg":
        names = {element.tag.rpartition("}")[2] for element in ET.fromstring(text).iter()}
        assert "script" not in names
        assert "text" in names
    if path.suffix == ".html":
        assert "<script>alert" not in text
        assert "http://evil" not in re.findall('="([^"]*)', text)


def test_what_a_record_says_is_text_on_every_page(tmp_path: Path) -> None:
    out = put(tmp_path, *evil_records())
    made = report.write(out)
    for path in made.files:
        if path.suffix == ".png":
            continue
        is_only_text(path, path.read_text(encoding="utf-8"))
    assert not any(mark in made.terminal for mark in STEERING)


def test_a_record_does_not_steer_the_terminal(tmp_path: Path) -> None:
    out = put(tmp_path, *evil_records())
    (out / "runs" / "odd\x1b[2J.json").write_text("{")
    for words in (["merge", out, "--out", tmp_path / "new"], ["report", tmp_path / "new"]):
        command = [sys.executable, "-m", "bench", *map(str, words)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        assert "\x07" not in done.stdout + done.stderr
    done = subprocess.run([*command[:3], "run", "\x1b[2J"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_no_text_is_a_formula_to_a_spreadsheet() -> None:
    records = [fake.quality("=1+1", seed) for seed in range(3)] + [fake.quality("vanilla", seed) for seed in range(3)]
    text = frame.csv(records)
    assert ",'=1+1," in text
    assert ",=1+1" not in text
    # Numbers are numbers, below zero too.
    assert ",-101." in text or ",-100." in text
    # What a column is called is a text too.
    records[0].metrics["@sum"] = 1.0
    for text in (frame.csv(records), frame.runs_csv(records)):
        header = text.splitlines()[0]
        assert ",'@sum" in header
        assert ",@sum" not in header


def test_what_a_published_table_says_is_text_on_every_page(tmp_path: Path) -> None:
    formula, recipe = "=cmd|'/C calc'!A0", tiny.RECIPE
    evil = json.dumps(EVIL, ensure_ascii=False)
    for text in (
        "A tiny table",
        "Nobody 2026",
        "It is small.",
        "A linear model",
        "It was made up.",
        "it is another KL",
    ):
        recipe = recipe.replace(f'"{text}"', evil)
    recipe = recipe.replace("Chosen beforehand.", "# heading").replace("[8] }", f"[8], act = {evil} }}")
    buffer = io.StringIO()
    lines = csv.DictReader(tiny.FIGURES.splitlines())
    writer = csv.DictWriter(buffer, lines.fieldnames or ())
    writer.writeheader()
    for line in lines:
        metric = formula if line["row"] == "plain" else EVIL
        writer.writerow(line | {"metric": metric, "source": EVIL, "read": line["read"] + EVIL})
    table = published.load(str(tiny.write(tmp_path, recipe, buffer.getvalue())))
    for row in table.rows:
        made = record.new("quality", table.suite("short", [row]).cells("cpu")[0], {})
        figures = {"elbo_nats": -7.0, "nll_is5_nats": 9.0, "kl_nats": 1.0}
        store.write(tmp_path / "out", replace(made, status="ok", metrics=figures))
    report_made = page.write(tmp_path / "out", table, "short", table.rows)
    assert {path.suffix for path in report_made.files} == {".json", ".csv", ".md", ".tex", ".png", ".svg", ".html"}
    for path in report_made.files:
        if path.suffix != ".png":
            # The settings of a row stand in a span of code, which a backtick would end.
            is_only_text(path, re.sub("`[^`\n]*`", "", path.read_text(encoding="utf-8")))
    assert not any(mark in report_made.terminal for mark in STEERING)
    with (tmp_path / "out" / "tables" / "figures.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["metric"] == f"'{formula}"
