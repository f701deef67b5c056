"""`vaebench reproduce` as its user meets it: real runs of a tiny table, its page, its exit codes."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from bench.cli import app
from bench.pages.figures import style
from bench.records import store
from bench.records.merge import merge
from bench.reproduce import page, published, rewrite
from bench.reproduce.execute import reproduce
from tests.helpers import call
from tests.reproduce.tiny import RECIPE, write

# Of a table: what no disk has.
NO_NAMES = ("x" * 5000 + ".toml", "a\0.toml", "\ud800", "\ud800.toml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the table, all of it run once."""
    folder = tmp_path_factory.mktemp("reproduce")
    path = write(folder)
    table = published.load(str(path))
    outcome, _ = reproduce(table, "short", table.rows, folder / "out", device="cpu")
    assert not outcome.failed
    assert outcome.ran == 4
    return folder


def test_a_disagreement_exits_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "reproduce", str(folder / "tiny.toml"), "--out", str(folder / "out"))
    assert code == app.FAILED_CELLS
    assert (
        "5 figures (1 of them repeats another row's run): 2 agree, 1 differs, 1 not comparable, 1 unverified source."
        in out
    )
    assert "differs: other nll: It was made up." in out
    lines = {tuple(line.split()[:2]): line for line in out.splitlines() if line.startswith(("plain", "twin", "other"))}
    assert lines["plain", "neg_elbo"].split()[-1] == "agrees"
    assert lines["other", "nll"].split()[-1].startswith("differs")


def test_rows_that_agree_exit_with_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["reproduce", str(folder / "tiny.toml"), "--rows", "plain,twin", "--out", str(folder / "out")]
    code, out, err = call(capsys, *words)
    assert code == app.OK
    assert "3 of 3 runs are finished" in err
    # What was run before of the other rows stays on the page, and does not fail this command.
    assert "1 differs" in out
    code, out, _ = call(capsys, *words, "--json")
    assert code == app.OK
    (found,) = json.loads(out)
    assert (found["ran"], found["skipped"]) == (0, 3)
    assert [(line["row"], line["verdict"]) for line in found["figures"]] == [("plain", "agrees"), ("twin", "agrees")]


def test_the_figures_are_those_of_the_records(folder: Path) -> None:
    records = store.read_all(folder / "out")[0]
    elbos = [found.metrics["elbo_nats"] for found in records if found.cell["variant"] == "linear"]
    with (folder / "out" / "tables" / "figures.csv").open(encoding="utf-8", newline="") as file:
        lines = {line["row"]: line for line in csv.DictReader(file)}
    mean = sum(elbos) / 3
    assert float(lines["plain"]["ours_mean"]) == pytest.approx(-mean)
    assert float(lines["plain"]["difference"]) == pytest.approx(-mean - 7.5)
    assert float(lines["twin"]["ours_mean"]) == pytest.approx(mean)
    assert float(lines["plain"]["ours_low"]) < -mean < float(lines["plain"]["ours_high"])
    assert (lines["plain"]["seeds"], lines["plain"]["epochs"]) == ("3", "2 2 2")
    assert (lines["plain"]["published"], lines["plain"]["published_stderr"]) == ("7.5", "0.1")


def test_the_page_says_what_was_done(folder: Path) -> None:
    page = (folder / "out" / "README.md").read_text(encoding="utf-8")
    for words in (
        "# A tiny table, short",
        "Published: Nobody 2026.",
        "Chosen beforehand.",
        "It is small.",
        "**twin** is no run of its own: its published figures stand beside those of the run of **plain**.",
        "**differs**",
        "unverified source: other recon: from memory, UNVERIFIED",
        "epochs 2, batch\\_size 100",
        "plots/figures.png",
    ):
        assert words in page.replace("batch_size", "batch\\_size"), words
    names = [*(f"tables/figures.{end}" for end in ("csv", "md", "tex")), "plots/figures.png", "plots/figures.svg"]
    assert all((folder / "out" / name).stat().st_size > 200 for name in names)
    tex = (folder / "out" / "tables" / "figures.tex").read_text(encoding="utf-8")
    assert r"\textbf{differs}" in tex
    assert r"neg\_elbo" in tex


def test_report_writes_the_same_page_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = folder / "out" / "README.md"
    before = page.read_bytes()
    page.unlink()
    code, out, _ = call(capsys, "report", folder / "out")
    assert code == app.OK
    assert "1 differs" in out
    assert page.read_bytes() == before


def test_report_of_a_table_that_is_gone_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, words in (('{"table": "gone", "profile": "short"}', "unknown table 'gone'"), ("[", "cannot be read")):
        (tmp_path / "reproduced.json").write_text(text, encoding="utf-8")
        code, _, err = call(capsys, "report", tmp_path)
        assert code == app.USAGE
        assert words in err
        assert err.count("\n") == 1
    code, _, err = call(capsys, "report", "x" * 5000)  # a name that no disk has
    assert (code, err.count("\n")) == (app.USAGE, 1)


def test_report_after_merge_writes_the_reproduced_page(folder: Path, tmp_path: Path) -> None:
    for name, part in (("a", slice(0, 2)), ("b", slice(2, None))):
        (tmp_path / name / "runs").mkdir(parents=True)
        for path in sorted((folder / "out" / "runs").glob("*.json"))[part]:
            shutil.copy(path, tmp_path / name / "runs")
        shutil.copy(folder / "out" / "reproduced.json", tmp_path / name)
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert rewrite.rewrite(tmp_path / "c") is not None
    assert (tmp_path / "c" / "README.md").read_bytes() == (folder / "out" / "README.md").read_bytes()


def test_a_folder_that_was_copied_elsewhere_is_reported_with_the_table_beside_its_runs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = json.loads((folder / "out" / "reproduced.json").read_text(encoding="utf-8"))
    assert (note["table"], note["path"]) == ("tiny.toml", str((folder / "tiny.toml").resolve()))
    shutil.copytree(folder / "out", tmp_path / "out")
    page = tmp_path / "out" / "README.md"
    before = page.read_bytes()
    # As notes were written before, too.
    for gone in (note | {"path": "/no/where/tiny.toml"}, {"table": "/no/where/tiny.toml", "profile": "short"}):
        (tmp_path / "out" / "reproduced.json").write_text(json.dumps(gone), encoding="utf-8")
        code, _, err = call(capsys, "report", tmp_path / "out")
        assert code == app.USAGE
        assert err == (
            f"vaebench: the runs in {tmp_path / 'out'} are of tiny.toml and tiny.csv, not found in /no/where: "
            f"put the same there, or into {tmp_path / 'out'}\n"
        )
        write(tmp_path / "out")
        page.unlink()
        assert call(capsys, "report", tmp_path / "out")[0] == app.OK
        assert page.read_bytes() == before
        assert json.loads((tmp_path / "out" / "reproduced.json").read_text(encoding="utf-8")) == note | {
            "path": str((tmp_path / "out" / "tiny.toml").resolve())
        }
        (tmp_path / "out" / "tiny.toml").unlink()


@pytest.mark.parametrize(
    ("text", "block"),
    [
        *((text, f"\\{text}") for text in ("# a", "- a", "~~~", "=")),
        *(("1. First", r"1\. First"), (" 23)", r"23\)"), ("* a", r"\* a")),
        *((text, text) for text in ("0.5 nats", "At 1. it")),
    ],
)
def test_a_paragraph_of_a_page_is_neither_heading_nor_list(text: str, block: str) -> None:
    assert page._paragraph(text) == block


@pytest.mark.parametrize(
    "content",
    [
        *(b"\xff", b"[" * 100_000, b"1" * 5000, b"null", b"{}", b'{"table": "burda2015"}', b'{"suite": "a\\u0000b"}'),
        *(b'{"table": %s, "profile": "short"}' % json.dumps(name).encode() for name in NO_NAMES),
    ],
)
def test_report_of_a_broken_note_is_one_line_and_writes_nothing(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reproduced.json").write_bytes(content)
    code, _, err = call(capsys, "report", tmp_path)
    assert (code, err.count("\n")) == (app.USAGE, 1)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [content]


def test_nothing_is_written_where_the_page_cannot_be_made(folder: Path, tmp_path: Path) -> None:
    table = published.load(str(folder / "tiny.toml"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "svg", lambda _: 1 / 0)
        shutil.copytree(folder / "out" / "runs", tmp_path / "runs")
        with pytest.raises(ZeroDivisionError):
            page.write(tmp_path, table, "short", table.rows)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_row_that_was_not_asked_for_is_named_as_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path)
    code, out, _ = call(capsys, "reproduce", str(path), "--rows", "twin", "--seeds", "1", "--out", str(tmp_path / "o"))
    assert code == app.OK
    assert "1 figure: 1 agrees." not in out  # the figure of `plain` is of the same run
    assert "2 figures (1 of them repeats another row's run): 2 agree." in out
    assert "Not run: other." in (tmp_path / "o" / "README.md").read_text(encoding="utf-8")


def test_a_failed_run_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = RECIPE.replace("epochs = 2,", "epochs = 2, lr = 1e30,")
    words = ["reproduce", str(write(tmp_path, broken)), "--rows", "plain", "--seeds", "1", "--out", str(tmp_path / "o")]
    code, out, err = call(capsys, *words)
    assert code == app.FAILED_CELLS
    assert "failed: plain neg_elbo, twin elbo: diverged" in out
    assert "vaebench: failed: " in err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["reproduce", "burda2105"], "did you mean 'burda2015'?"),
        (["reproduce", "burda2015", "--rows", "vae_3L"], "table burda2015 has no row 'vae_3L'"),
        (["reproduce", "burda2015", "--profile", "long"], "table burda2015 has no profile 'long'"),
        (["reproduce", "burda2015", "--seeds", "0"], "--seeds must be a whole number from 1 to 10000, got 0"),
        (["reproduce", "burda2015", "--jobs", "0"], "--jobs must be at least 1, got 0"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, *words)
    assert (code, out) == (app.USAGE, "")
    assert line in err
    assert err.count("\n") == 1
