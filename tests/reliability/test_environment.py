"""What a process has around it: its folder, its temporary files, settings of libraries, its processor's kernels."""

import json
import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import device as devices
from bench.cells import prepare
from bench.cells.run import run_cell
from bench.engines import Job, plugins
from bench.engines.local import Local
from bench.errors import MachineError, UsageError
from bench.pages import report
from bench.records import store
from bench.records.record import plain
from bench.suites import suite
from tests import fake_records as fake
from tests.helpers import ROOT, call, simulated, telling
from tests.reliability.faults import PROGRAM, environment


def test_a_working_folder_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = f'rmdir "$PWD"; exec {PROGRAM[0]} -m bench list'
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path / "gone", env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.splitlines()[-1] == (
        "vaebench: the working folder cannot be used (No such file or directory): cd to another"
    )


def test_a_process_that_cannot_be_started_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a TMPDIR too long for a socket, say, or without processes or files."""

    def start(_: object) -> None:
        raise OSError("AF_UNIX path too long")

    monkeypatch.setattr("multiprocessing.context.ForkServerProcess.start", start)
    job = Job("quality", [simulated("vanilla")], tmp_path, {"commit": "abc"})
    with pytest.raises(MachineError, match=r"no process can be started \(AF_UNIX path too long\): look at TMPDIR"):
        next(Local().events(job))


@pytest.mark.skipif(sys.platform != "linux", reason="a process's open files are counted in /proc")
@pytest.mark.parametrize("left", [0, 1, 2])
def test_too_few_files_for_another_process_are_one_line(tmp_path: Path, left: int) -> None:
    job = Job("quality", [simulated("vanilla")], tmp_path, {"commit": "abc"})
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    free = [number for number in range(len(taken) + 8) if number not in taken]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[left], before[1]))
    try:
        with pytest.raises(MachineError, match=r"no process can be started \(.*Too many open files\): look at TMPDIR"):
            next(Local().events(job))
        with pytest.raises(MachineError, match="no process can be started"):
            plugins.ask(len, [("a",)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# As Python is on Windows: without the modules that only POSIX has.
WINDOWS = """
import sys
sys.platform = "win32"
sys.modules |= dict.fromkeys(("fcntl", "resource", "termios", "pwd"))
import bench
try:
    bench.fit
except bench.errors.MachineError as error:
    print(error)
from bench.__main__ import main
main()
"""


def test_windows_is_told_what_is_supported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    line = "Windows itself is not supported: run vaebench in the Windows Subsystem for Linux (WSL)\n"
    assert (done.returncode, done.stdout, done.stderr) == (4, line, f"vaebench: {line}")
    assert "(WSL)" in (ROOT / "docs" / "start.md").read_text(encoding="utf-8")


def test_a_users_matplotlib_changes_no_picture(tmp_path: Path) -> None:
    folders = [fake.write(tmp_path / name, [fake.quality()]) for name in ("plain", "odd")]
    report.write(folders[0])
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 33\nfigure.dpi: 33\nlines.linewidth: 9\n")
    found = os.environ | {"MPLBACKEND": "nonsense", "MATPLOTLIBRC": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "report", folders[1]], env=found, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    for path in (folders[0] / "plots").iterdir():
        assert path.read_bytes() == (folders[1] / "plots" / path.name).read_bytes()


def test_kernels_stand_in_the_record_and_kept_weights_must_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, notes = simulated("vanilla"), list[str]()
    first, _ = run_cell("quality", made, {"commit": "abc"}, out=tmp_path)
    assert first.provenance.cpu_kernels == torch.backends.cpu.get_cpu_capability()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "OTHER")
    other, _ = run_cell("quality", made, {"commit": "abc"}, telling(note=notes.append), tmp_path)
    assert other.provenance.cpu_kernels == "OTHER"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    third, _ = run_cell("quality", made, {"commit": "abc"}, telling(note=notes.append), tmp_path)
    assert third.provenance.cpu_kernels == "OTHER, ONEDNN_MAX_CPU_ISA=AVX2"
    assert notes == ["training starts anew, for the file of its kept weights was written with other kernels"] * 2


def test_cells_keep_the_memory_that_they_free_and_say_so() -> None:
    made, _ = run_cell("quality", simulated("vanilla"), {"commit": "abc"})
    if platform.libc_ver()[0] != "glibc":
        assert made.provenance.allocator is None
        pytest.skip("another C library")
    assert re.fullmatch(r"glibc [\d.]+, keeps freed memory", made.provenance.allocator or "")
    # Of sixteen temporaries of 8 MiB: what of them is still resident once they are freed.
    code = """
import resource, torch
from bench.device import keep_memory
keep_memory()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
before = resident()
temporaries = [torch.ones(2**21) for _ in range(16)]
del temporaries
print(resident() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) > 120


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    assert devices.keep_memory() is None


def test_a_recipe_cannot_change_the_precision_of_products(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded = prepare.registry.seeded

    def careless(*words: Any, **how: Any) -> Any:
        torch.set_float32_matmul_precision("medium")
        torch.backends.cudnn.allow_tf32 = True
        return seeded(*words, **how)

    monkeypatch.setattr(prepare.registry, "seeded", careless)
    made, _ = run_cell("quality", simulated("vanilla"), {"commit": "abc"})
    assert made.provenance.matmul_precision == torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("batch_size=" + "1" * 24, "batch_size must be a whole number from 1 to 9.0072e+15, got 1"),
        ("latent=" + "[" * 30 + "]" * 30, "setting latent: it has more than 20 levels"),
        ("latent=" + "[" * 3000 + "]" * 3000, "latent must be"),
    ],
    ids=["digits", "levels", "more levels"],
)
def test_numbers_and_levels_without_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, words: str
) -> None:
    code, out, err = call(capsys, "run", "quick", "--device", "cpu", "--set", setting, "--out", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_a_suite_of_keys_without_end_is_one_line(tmp_path: Path) -> None:
    keys = ".".join(["a"] * 3000)
    for text in (
        f"{keys} = 1",
        f"budget.{keys} = 1",
        f"[[{keys}]]",
        f'variants = [{{ name = "beta", set.{keys} = 1 }}]',
    ):
        path = tmp_path / "deep.toml"
        path.write_text(f'datasets = ["mnist"]\n{text}\n')
        with pytest.raises(UsageError) as caught:
            suite.load(str(path))
        assert len(str(caught.value)) < 500


def _deep(levels: int) -> Any:
    return {"a": _deep(levels - 1)} if levels else {}


HOSTILE: list[tuple[dict[str, Any], str]] = [
    ({"errors": {"elbo_nats": {"mc": 1e200}}}, "errors.elbo_nats.mc must be a number from -1e+100 to 1e+100, got"),
    (
        {"metrics": {"elbo_nats": -1e308, "kl_nats": 1e308}},
        "metrics.elbo_nats must be a number or a table",
    ),
    ({"latent": {"kl_per_dim": [1e308]}}, "latent.kl_per_dim[0] must be"),
    ({"cell": {"overrides": _deep(200)}}, "it has more than 20 levels"),
    ({"cell": {"budget": {"batch_size": 10**23}}}, "cell.budget.batch_size must be"),
    # These are records.
    ({"latent": {"points": 100, "kl_per_dim": None}}, ""),
    ({"latent": {"points": 100, "kl_per_dim": 3.0}}, ""),
    ({"latent": {"points": 100, "kl_per_dim": [1e100, -1e100, 0.0], "mean_variance": [1.0]}}, ""),
    ({"metrics": {"elbo_nats": -1e100, "kl_nats": 1e100, "recon_nats": 1e100}}, ""),
    ({"errors": {"elbo_nats": {"mc": 1e100, "test": 0.0}}}, ""),
    ({"cell": {"seed": 300_000_000}}, ""),
    ({"reason": "a\u061cb\U000e0041c"}, ""),
]


def test_hostile_records_are_a_line_or_a_page(tmp_path: Path) -> None:
    for i, (changes, words) in enumerate(HOSTILE):
        out = tmp_path / str(i)
        records = [fake.quality(variant, seed) for variant in ("vanilla", "beta") for seed in range(3)]
        fake.write(out, records, images=False)
        content = plain(records[2])
        for key, value in changes.items():
            content[key] = content[key] | value if isinstance(value, dict) and key != "latent" else value
        (out / "runs" / f"{records[2].id}.json").write_text(json.dumps(content))
        found, warnings = store.read_all(out)
        if words:
            assert len(found) == 5
            assert len(warnings) == 1
            assert words in warnings[0]
        else:
            assert (len(found), warnings) == (6, [])
            text = report.write(out).terminal
            assert not {"\u061c", "\U000e0041"} & set(text)
