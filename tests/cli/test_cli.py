"""The program as its user meets it: what goes to which stream, exit codes, one line for every error."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench import device
from bench.cli import runs
from bench.cli.app import Changes, Effort
from bench.errors import UsageError
from bench.records import store
from tests.helpers import ROOT, call, finish, forget_plugins, install, install_misbehaving, start, wait_for
from variants.registry import ZOO

BUILT_IN = sorted(path.stem for path in ZOO.glob("*.py") if not path.stem.startswith("_"))
SUITE = """
seeds = 3
variants = ["vanilla", { name = "autoencoder", seeds = 1 }, "prints"]
datasets = ["digits"]

[budget]
epochs = 1
batch_size = 100
train_size = 200

[measure]
elbo_samples = 1
nll_samples = 5
nll_points = 20

[throughput]
blocks = 3
block_s = 0.001
batch_size = 50
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space and other letters in its name, two plugins, and a tiny suite."""
    folder = tmp_path_factory.mktemp("My Übungs-Ordner ñ")
    install_misbehaving(folder / "plugins")
    install(folder / "plugins", "vae-broken", "import no_such_package", {"broken": "vae_broken:broken"})
    (folder / "tiny.toml").write_text(SUITE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module", autouse=True)
def plugins(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "plugins"))
        forget_plugins(folder)
        yield
    forget_plugins(folder)


@pytest.fixture(scope="module")
def first_run(folder: Path) -> tuple[int, str, str]:
    return finish(
        start(folder, "-m", "bench", "run", "tiny.toml", "--json", "--device", "cpu", "--out", "ein Ergebnis")
    )


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots have tests of their own, and drawing is slow."""
    monkeypatch.setattr("bench.pages.figures.drawn", lambda *_: [])


def test_a_run_with_json_prints_json_alone(folder: Path, first_run: tuple[int, str, str]) -> None:
    code, out, err = first_run
    assert code == 0, err
    result = json.loads(out)  # and nothing of what the variant `prints` says
    assert "a variant's own words" in err
    assert {"out": "ein Ergebnis", "ran": 10, "skipped": 0, "failed": []}.items() <= result.items()
    rows = {row["label"]: row for row in result["rows"]}
    assert set(rows) == {"vanilla", "autoencoder", "prints"}
    assert rows["prints"]["ok"] == rows["prints"]["total"] == 3
    assert rows["autoencoder"]["elbo_nats_mean"] is None
    assert len([line for line in err.splitlines() if re.match(r"\[ *\d+/10\] digits ", line)]) == 10
    assert "Traceback" not in err
    written = {path.relative_to(folder / "ein Ergebnis").parts[0] for path in (folder / "ein Ergebnis").rglob("*")}
    assert written == {"runs", "tables", "plots", "weights", "README.md", "report.html"}


@pytest.mark.usefixtures("first_run", "no_plots")
def test_a_second_run_runs_nothing_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    words = ("run", "tiny.toml", "--device", "cpu", "--out", "ein Ergebnis")
    code, out, err = call(capsys, *words)
    assert code == 0
    assert err == "nothing to do: 10 of 10 runs are finished in ein Ergebnis; --again does them anew\n"
    address = f"Report: {(folder / 'ein Ergebnis' / 'report.html').as_uri()}"
    assert out.splitlines()[-1] == address
    # The page stands, unless a record is newer.
    assert len(out.splitlines()) < 10
    os.utime(next(Path("ein Ergebnis/runs").glob("*.json")))
    code, out, _ = call(capsys, *words)
    assert "vanilla" in out
    assert "prints" in out
    assert out.splitlines()[-1] == address
    code, out, _ = call(capsys, *words, "--json", "--variants", "vanilla,prints", "--seeds", "2")
    assert {"ran": 0, "skipped": 6}.items() <= json.loads(out).items()


@pytest.mark.usefixtures("first_run", "no_plots")
def test_compare(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    words = ("--suite", "tiny.toml", "--device", "cpu", "--out", "ein Ergebnis")
    code, out, err = call(capsys, "compare", "vanilla", "prints", *words)
    assert code == 0, err
    assert re.search(
        r"^prints against vanilla on digits-dynamic after 1 epoch of 200 training examples: ELBO [+-]\d+\.\d+ nats "
        r"\[.*\](, P\(better\) \d\.\d\d,)? over 3 paired seeds: (better|worse|not dist\w+|still learning, .*)\.$",
        out,
        re.MULTILINE,
    )
    code, out, err = call(capsys, "compare", "autoencoder", "vanilla", *words)
    assert (code, out) == (2, "")
    assert err.startswith("vaebench: vanilla cannot be compared with autoencoder on digits: its likelihood (bernoulli)")
    assert err.endswith("--set likelihood=gaussian\n")


@pytest.mark.usefixtures("first_run", "no_plots")
def test_throughput_is_measured_again(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    runs = folder / "ein Ergebnis" / "runs"
    before = {path: path.read_bytes() for path in runs.glob("*vanilla_throughput*.json")}
    words = ("--variants", "vanilla", "--device", "cpu", "--out", "ein Ergebnis", "--json")
    code, out, err = call(capsys, "throughput", "tiny.toml", *words)
    assert code == 0, err
    assert {"ran": 1, "skipped": 0, "failed": []}.items() <= json.loads(out).items()
    assert len(before) == 1
    assert all(path.read_bytes() != content for path, content in before.items())


@pytest.mark.usefixtures("first_run")
def test_report_needs_no_torch(folder: Path) -> None:
    code = """
import sys
class NoTorch:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "torch":
            raise ImportError("no torch here")
sys.meta_path.insert(0, NoTorch())
from bench.cli import main
main(["report", "ein Ergebnis"])
"""
    status, out, err = finish(start(folder, "-c", code))
    assert status == 0, err
    assert "vanilla" in out


@pytest.mark.usefixtures("no_plots")
def test_failed_cells_are_exit_code_1_and_a_line_each(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    words = ("run", "tiny.toml", "--variants", "dies", "broken", "--seeds", "1", "--device", "cpu", "--out", "failed")
    code, out, err = call(capsys, *words, "--set", "blocks=0", "epochs=2", "--json")
    assert code == 1
    dies, broken = json.loads(out)["failed"]
    assert dies.endswith(": error, the cell's process exited with code 7 without a result")
    assert "variant 'broken' from vae-broken" in broken
    assert err.splitlines()[-2:] == [f"vaebench: failed: {line}" for line in (dies, broken)]
    assert "Traceback" not in err


def test_list_shows_plugins_and_why_one_is_unavailable(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "list")
    assert (code, err) == (0, "")
    assert set(BUILT_IN) < {line.split()[0] for line in out.splitlines() if line}
    words = " ".join(out.split())
    assert "good A plugin's variant. from vae-misbehaving (vae_misbehaving:good)" in words
    assert "broken variant 'broken' from vae-broken" in words
    assert "No module named 'no_such_package'" in words.partition("unavailable")[2]
    code, out, _ = call(capsys, "list", "--json")
    found = {row["name"]: row for row in json.loads(out)}
    assert found["good"]["available"]
    assert not found["broken"]["available"]


def test_list_and_help_import_no_torch(folder: Path) -> None:
    code = """
import sys
from variants import registry
registry.entry_points = lambda group: []  # a plugin may import what it likes
from bench.cli import main
for words in (["list"], ["--help"], ["run", "--help"], ["--version"], ["data", "list"]):
    try:
        main(words)
    except SystemExit as left:
        assert not left.code, (words, left.code)
heavy = {"torch", "pandas", "matplotlib", "sklearn", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""
    status, out, err = finish(start(folder, "-c", code))
    assert status == 0, err
    assert "full_covariance" in out
    assert "Exit codes" in out
    assert "--variants" in out
    assert "linear_gaussian" in out


def test_a_reader_that_leaves_early_is_no_error() -> None:
    # The pipe closes before the first line is written, which `| head -1` does only now and then.
    program = f"{shlex.quote(sys.executable)} -m bench list"
    process = subprocess.run(
        ["bash", "-c", f"({program}; echo $? >&2) | true"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (process.stdout, process.stderr) == ("", "0\n")


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(folder: Path) -> None:
    words = ["run", "tiny.toml", "--variants", "vanilla", "hangs_in_training", "--datasets", "linear_gaussian"]
    words += ["--seeds", "1", "--jobs", "2", "--device", "cpu", "--out", "unter brochen"]
    process = start(folder, "-m", "bench", *words)
    runs = folder / "unter brochen" / "runs"
    wait_for(lambda: list(runs.glob("*vanilla_s0*.json")) or process.poll() is not None, timeout_s=300)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    code, out, err = finish(process)
    assert (code, out) == (130, ""), err
    resume = f"Resume with: {shlex.join(['python', '-m', 'bench', *words])}"
    assert err.splitlines()[-1] == f"vaebench: interrupted; finished runs are kept. {resume}"
    assert err.count("vaebench: ") == 1
    assert "Traceback" not in err
    (kept,) = store.read_all(folder / "unter brochen")[0]
    assert (kept.cell["variant"], kept.status) == ("vanilla", "ok")


def absent_device() -> str:
    return next(name for name in ("cuda", "xpu", "mps") if name != device.accelerator())


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("run quik.toml", 2, "there is no suite file quik.toml"),
        ("reproduce results --list", 2, "results are the suites' own tables"),
        ("run quik", 2, "unknown suite 'quik', and no path of a .toml file: did you mean 'quick'?"),
        ("throughput quick --set epochs=7", 2, "throughput trains and judges no model"),
        ("run bad.toml", 2, "suite bad.toml: unknown key sed: did you mean 'seeds'?"),
        ("run torn.toml", 2, "suite torn.toml cannot be read"),
        ("run tiny.toml --variants vanila", 2, "unknown variant 'vanila': did you mean 'vanilla'?"),
        ("run tiny.toml --datasets mnst", 2, "mnst"),
        ("run tiny.toml --set epochs", 2, "settings have the form key=value, got 'epochs'"),
        ("run tiny.toml --seeds 0", 2, "--seeds must be a whole number from 1 to 10000, got 0"),
        ("run tiny.toml --seeds many", 2, "many"),
        ("run tiny.toml --seeds 3,x", 2, "--seeds[1] must be a whole number"),
        ("run tiny.toml --data-option lable=3", 2, "--data-option lable: none of the data sets takes it"),
        ("run tiny.toml --binarise grey", 2, "unknown binarisation 'grey'"),
        ("run tiny.toml --set binarise=threshold", 2, "--binarise threshold"),
        ("run tiny.toml --datasets none.csv --data-option label=y", 3, "none.csv: no such file"),
        ("reproduce ppca --seeds 3,4", 2, "reproduce takes a number of seeds"),
        ("run tiny.toml --jobs 0", 2, "--jobs must be at least 1, got 0"),
        ("run tiny.toml --device tpu", 2, "unknown device 'tpu': choose one of auto, cpu"),
        ("run tiny.toml --sets 3", 2, "--sets"),
        ("runn", 2, "runn"),
        ("compare vanilla", 2, "compare needs two or more variants"),
        ("report nowhere", 2, "no records in nowhere"),
        ("data fetch mnst", 2, "mnst"),
        ("run tiny.toml --datasets none.npz", 3, "none.npz: no such file"),
        ("run tiny.toml --datasets object.npz", 3, "object.npz: cannot read it as a .npz file"),
        ("run tiny.toml --device ABSENT", 4, "is not available here"),
        ("run tiny.toml --device cpu --out tiny.toml/below", 4, "choose another folder with --out"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    code: int,
    line: str,
) -> None:
    monkeypatch.chdir(folder)
    Path("bad.toml").write_text("sed = 3\n" + SUITE, encoding="utf-8")
    Path("torn.toml").write_text("seeds = [", encoding="utf-8")
    np.savez("object.npz", train=np.array([{}], dtype=object))
    status, out, err = call(capsys, *words.replace("ABSENT", absent_device()).split())
    assert (status, out) == (code, "")
    err = err.replace("a variant's own words\n", "")
    assert err.count("\n") == 1, err
    assert err.startswith("vaebench: ")
    assert line in err


def test_a_variant_that_a_suite_has_twice_is_chosen_with_both_settings(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    twice = '[{name = "vanilla", set = {latent = 2}}, {name = "vanilla", set = {latent = 3}}, "beta"]'
    sets = '["digits", {name = "digits", binarise = "none"}, "mnist"]'
    text = re.sub(r"variants = .*", f"variants = {twice}", SUITE)
    Path("twice.toml").write_text(re.sub(r"datasets = .*", f"datasets = {sets}", text), encoding="utf-8")
    chosen = runs._suite("twice.toml", ["vanilla"], Changes(datasets=("digits",)))
    assert [variant.overrides for variant in chosen.variants] == [{"latent": 2}, {"latent": 3}]
    assert [choice.binarise for choice in chosen.datasets] == ["dynamic", "none"]
    other = runs._suite("twice.toml", ["linear", "beta"], Changes(datasets=("linear_gaussian",)), 2)
    assert [variant.name for variant in other.variants] == ["linear", "beta"]
    assert [choice.name for choice in other.datasets] == ["linear_gaussian"]
    assert len(other.cells("cpu")) == 4


def test_rows_are_compared_and_not_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    text = re.sub(
        r"variants = .*",
        'variants = [{name = "linear", set = {latent = 2}}, {name = "linear", set = {latent = 3}}]',
        SUITE,
    )
    Path("two.toml").write_text(text, encoding="utf-8")
    words = "compare linear --suite two.toml --engine debug --seeds 3,5,9 --datasets linear_gaussian --out rows"
    status, out, err = call(capsys, *words.split())
    assert status == 0, err
    assert "linear (latent=3) against linear (latent=2) on linear_gaussian-none" in out
    assert "over 3 paired seeds" in out


def test_a_keyword_that_one_variant_refuses_is_for_that_one_to_say(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    both = runs._suite("tiny.toml", ["vanilla", "low_rank"], Changes(settings=("latent=1",)))
    assert [variant.overrides for variant in both.variants] == [{"latent": 1}] * 2
    low = Changes(settings=("posterior=low_rank", "rank=3", "latent=2"))
    with pytest.raises(UsageError, match="vanilla: rank must be at most the latent size 2, got 3"):
        runs._suite("tiny.toml", ["vanilla", "beta"], low)
    # A flow of couplings needs two latents, and is alone in that.
    (plain, flow) = runs._suite("tiny.toml", ["vanilla", "flow_prior"], Changes(settings=("latent=1",))).variants
    assert (plain.overrides, flow.overrides) == ({"latent": 1}, {"latent": 1})
    with pytest.raises(UsageError, match=r"flow_prior: .* at least 2, got 1"):
        runs._suite("tiny.toml", ["flow_prior"], Changes(settings=("latent=1",)))


def test_data_of_one_s_own_take_options_and_seeds_are_one_s_choice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    rng = np.random.default_rng(0)
    np.savez("grey.npz", train=rng.random((30, 4, 4)))
    lines = ["a,b,who"] + [f"{x},{y},{'uv'[i % 2]}" for i, (x, y) in enumerate(rng.normal(size=(30, 2)))]
    Path("table.csv").write_text("\n".join(lines), encoding="utf-8")
    changes = Changes(datasets=("grey.npz", "table.csv"), data_options=("label=who", "kind=real"))
    chosen = runs._suite("tiny.toml", ["vanilla"], changes, Effort(seeds=("7,42",)).chosen_seeds)
    assert [choice.name[:-8] for choice in chosen.datasets] == ["grey-", "table-"]
    assert [cell["seed"] for cell in chosen.cells("cpu")] == [7, 7, 42, 42]
    (grey,) = runs._suite("tiny.toml", ["vanilla"], Changes(datasets=("grey.npz",), binarise="threshold")).datasets
    assert grey.binarise == "threshold"
    text = re.sub(r"datasets = .*", 'datasets = [{name = "table.csv", options = {label = "who"}}]', SUITE)
    Path("own.toml").write_text(text.replace("seeds = 3", "seeds = [5, 2]", 1), encoding="utf-8")
    whole = runs._suite("own.toml", ["linear"], Changes(datasets=("table.csv",)))
    assert [cell["seed"] for cell in whole.cells("cpu")] == [2, 5]
    (other,) = runs._suite("own.toml", ["linear"], Changes(data_options=("scale=unit",))).datasets
    assert (other.options, other.says[0].count("in 2 classes")) == ({"scale": "unit"}, 1)
    assert [Effort(seeds=words).chosen_seeds for words in ((), ("3",), ("42,",), ("1", "2"))] == [
        None,
        3,
        (42,),
        (1, 2),
    ]


def test_data_and_env(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "data", "verify", "digits")[:2] == (0, f"{'digits':22} ok, sha256 {digest()}\n")
    code, out, _ = call(capsys, "data", "list", "--json")
    assert code == 0
    assert {"mnist", "digits"} < {row["name"] for row in json.loads(out)}
    code, out, _ = call(capsys, "env", "--json")
    assert {"commit", "versions", "cores", "accelerator", "data_root", "protocol"} < set(json.loads(out))


def digest() -> str:
    from bench import data

    return data.load("digits").checksum
