"""Proof that the tests notice: each mistake in `tests.mistakes` is made in a copy of the code, and a test must fail.

`make mutants` runs all of them, and after it was stopped those that are left; `python -m tests.mutants clamp nanmean`
those whose names hold one of the words; `--part 3/10` the third tenth. The code of the working tree is never changed;
which test noticed is written to `tests/noticed_by.json`, and that test is tried first the next time.
"""

import argparse
import ast
import atexit
import compileall
import contextlib
import hashlib
import json
import os
import py_compile
import queue
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# What the tests read. Results are linked to: they are large, and no mistake is made in them.
COPIED = ("bench", "variants", "tests", "examples", "docs", "pyproject.toml", "README.md", "Makefile")
LEFT_OUT = ("__pycache__", ".*", "*.egg-info", "noticed_by.json")
# Which mistakes were noticed, and in which state of the code.
KEPT = "build/mutants.jsonl"
# Which test noticed each mistake when it was last made.
NOTICED_BY = "tests/noticed_by.json"

CANARY = """
import importlib, pathlib, subprocess, sys
import pytest

@pytest.mark.parametrize("name", {packages!r})
def test_the_copy_is_what_is_tested(name, tmp_path):
    here = pathlib.Path(__file__).resolve().parents[1]
    assert here in pathlib.Path(importlib.import_module(name).__file__).resolve().parents
    code = f"import {{name}}; print({{name}}.__file__)"
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert here in pathlib.Path(told.strip()).resolve().parents
"""


@dataclass(frozen=True)
class Mistake:
    """A small change to the code that makes it wrong.

    Attributes:
        name: short and distinct.
        item: number in the list of mistakes at the top of `tests.mistakes`.
        why: what is wrong with it, in one line.
        file: relative to the repository.
        old: text that occurs in the file exactly once.
        new: what takes its place.
        tests: the test files most likely to notice, run first.
    """

    name: str
    item: int
    why: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def made(file: str, tests: tuple[str, ...], rows: Iterable[tuple[int, str, str, str, str]]) -> list[Mistake]:
    """Mistakes in one file that the same tests are to notice, by item, name, why, old and new text."""
    return [Mistake(name, item, why, file, old, new, tests) for item, name, why, old, new in rows]


@dataclass(frozen=True)
class Outcome:
    """How the tests ended on a mutated copy.

    Attributes:
        verdict: `"killed"` (a test failed), `"survived"` (all passed), `"broken"` (no test could judge: a syntax error,
            say) or `"timeout"`. Only the first is a proof: what hangs, or cannot be imported, no check has found wrong.
        by: first failing test, or the last line of the output where there is none.
        seconds: wall time.
    """

    verdict: str
    by: str
    seconds: float


def problems(mistakes: Iterable[Mistake], root: Path) -> list[str]:
    """One line for each mistake that cannot be made in the code as it stands."""
    found = []
    seen: set[str] = set()
    unchanged = cache(_parsed)
    for mistake in mistakes:
        if mistake.name in seen:
            found.append(f"{mistake.name}: the name stands twice")
        seen.add(mistake.name)
        file = root / mistake.file
        source = file.read_text(encoding="utf-8") if file.exists() else ""
        count = source.count(mistake.old)
        if count != 1:
            found.append(f"{mistake.name}: its text occurs {count} times in {mistake.file}, should be once")
        elif (changed := _parsed(source.replace(mistake.old, mistake.new))) is None:
            found.append(f"{mistake.name}: is no Python")
        elif changed == unchanged(source):
            found.append(f"{mistake.name}: changes nothing")
        found += [f"{mistake.name}: there is no {test}" for test in mistake.tests if not (root / test).exists()]
    return found


def _parsed(source: str) -> str | None:
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return None


def copy(root: Path, to: Path) -> Path:
    """The part of a tree that the tests need, at `to`."""
    to.mkdir()
    for name in COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
        elif source.exists():
            shutil.copy2(source, to / name)
    (to / "results").symlink_to((root / "results").resolve())
    return to


# A Python that has imported what most tests import, which takes longer than most tests: for each line that it reads it
# becomes pytest in a copy of the code, as a process of its own, of which it writes the number and then the exit code.
STARTED = """
import contextlib, importlib, importlib.metadata, json, os, sys, traceback
import pytest
for plugin in importlib.metadata.entry_points(group="pytest11"):
    plugin.load()
for name in {packages!r}:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if not pid:
        os.setsid()
        os.chdir(job["tree"])
        os.environ.clear()
        os.environ.update(job["environment"])
        sys.path.insert(0, job["tree"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream in (1, 2):
            os.dup2(os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        code = 70
        try:
            code = int(pytest.main(job["arguments"]))
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
PACKAGES = (
    "torch",
    "pandas",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.ensemble",
    "matplotlib.pyplot",
    "hypothesis",
    "msgspec",
    "cyclopts",
    "safetensors.torch",
    "PIL.Image",
)
_idle: "queue.SimpleQueue[subprocess.Popen[bytes]]" = queue.SimpleQueue()
_opened = contextlib.ExitStack()
atexit.register(_opened.close)


def _started() -> "subprocess.Popen[bytes]":
    """One that nobody uses."""
    try:
        return _idle.get_nowait()
    except queue.Empty:
        # One thread: OpenMP must not have any when a process is forked.
        alone = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", STARTED.format(packages=PACKAGES)]
        pipes: Any = {"bufsize": 0, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return _opened.enter_context(subprocess.Popen(command, env=alone, **pipes))


def run_tests(tree: Path, tests: Sequence[str], timeout_s: float) -> Outcome:
    """The outcome of pytest in `tree` up to the first failure; no tests named means all."""
    # The tree before everything else, an editable installation included, also in processes that tests start.
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    # What was imported early is no test, and loses nothing by not being rewritten.
    early = "ignore::pytest.PytestAssertRewriteWarning"
    arguments = ["-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", "-W", early, *tests]
    python, started = _started(), time.monotonic()
    assert python.stdin is not None
    assert python.stdout is not None
    with tempfile.NamedTemporaryFile(prefix="mutant-", suffix=".txt") as file:
        job = {"tree": str(tree), "environment": environment, "arguments": arguments, "output": file.name}
        python.stdin.write(json.dumps(job).encode() + b"\n")
        session = int(python.stdout.readline())
        in_time = bool(select.select([python.stdout], [], [], timeout_s)[0])
        # A session of its own, so that what tests leave running ends with them.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)
        code = int(python.stdout.readline())
        output = Path(file.name).read_text(encoding="utf-8", errors="replace")
    _idle.put(python)
    seconds = time.monotonic() - started
    if not in_time:
        return Outcome("timeout", f"not finished after {timeout_s:g} s", seconds)
    if code == 0:
        return Outcome("survived", "", seconds)
    # A file that cannot be imported is listed too, but without a test's name.
    failed = re.search(r"^(?:FAILED|ERROR) (\S+?::.+?)(?: - .*)?$", output, re.MULTILINE)
    if code == 1 and failed:
        return Outcome("killed", failed[1], seconds)
    return Outcome("broken", (output.strip().splitlines() or ["no output"])[-1], seconds)


def judge(mistake: Mistake, first: str | None, *, snapshot: Path, timeout_s: float, named_only: bool) -> Outcome:
    """Make a mistake in a copy of `snapshot` and run there the test to try `first`, then those that it names, then all
    tests, until one notices."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        # Files that are not changed are not copied either: that took a second of six.
        tree = shutil.copytree(snapshot, Path(folder) / "tree", symlinks=True, copy_function=os.link)
        file = tree / mistake.file
        mutated = file.read_text(encoding="utf-8").replace(mistake.old, mistake.new)
        file.unlink()
        file.write_text(mutated, encoding="utf-8")
        seconds = 0.0
        for tests in ([(first,)] if first else []) + [mistake.tests] + ([] if named_only else [()]):
            outcome = run_tests(tree, tests, timeout_s)
            seconds += outcome.seconds
            # A test to try first may have another name by now: others judge then.
            if outcome.verdict == "killed" or (outcome.verdict != "survived" and tests != (first,)):
                break
        return replace(outcome, seconds=seconds)


def check_unmutated(mistakes: Sequence[Mistake], snapshot: Path, timeout_s: float, *, tested: bool = False) -> Outcome:
    """Run the named tests, unless they were just `tested`, on an unchanged copy, and one that proves that the copy's
    packages are imported."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = shutil.copytree(snapshot, Path(folder) / "tree", symlinks=True)
        packages = sorted({mistake.file.split("/")[0] for mistake in mistakes})
        (tree / "tests" / "test_canary.py").write_text(CANARY.format(packages=packages), encoding="utf-8")
        named = [] if tested else sorted({test for mistake in mistakes for test in mistake.tests})
        return run_tests(tree, ["tests/test_canary.py", *named], timeout_s)


def part(mistakes: Sequence[Mistake], which: str) -> list[Mistake]:
    """A fixed share of the mistakes, spread over the files; `"3/10"` is the third of ten.

    Raises:
        ValueError: if `which` is no such part.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", which)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"a part is written as 3/10, got {which!r}")
    shuffled = sorted(mistakes, key=lambda mistake: hashlib.sha256(mistake.name.encode()).digest())
    return shuffled[int(match[1]) - 1 :: int(match[2])]


def _digest(tree: Path) -> str:
    """What all files of a tree come to."""
    total = hashlib.sha256()
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(tree)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return total.hexdigest()


def _noticed(kept: Path, digest: str) -> set[str]:
    """Names of the mistakes that were noticed in this state of the code."""
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    return {row["name"] for row in map(json.loads, lines) if row["code"] == digest}


def _noticed_by(root: Path) -> dict[str, str]:
    file = root / NOTICED_BY
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def prove(
    mistakes: Sequence[Mistake],
    root: Path,
    *,
    jobs: int = 1,
    timeout_s: float = 900,
    named_only: bool = False,
    tested: bool = False,
) -> int:
    """Judge all mistakes and print the table. Exit code: 0 if all were killed, 1 if not, 2 if none could be judged.

    What was killed before in the same state of the code is not run again.
    """
    if wrong := problems(mistakes, root):
        print("\n".join(wrong), file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        # One snapshot for all, whatever is edited meanwhile.
        snapshot = copy(root, Path(folder) / "snapshot")
        digest, kept = _digest(snapshot), root / KEPT
        # Once for all: what is compiled counts by its source's content, so that a mistake is compiled again.
        compileall.compile_dir(snapshot, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        done = _noticed(kept, digest)
        if before := sum(mistake.name in done for mistake in mistakes):
            print(f"{before} of {len(mistakes)} were killed before, by these tests in this code")
            mistakes = [mistake for mistake in mistakes if mistake.name not in done]
            if not mistakes:
                return 0
        unmutated = check_unmutated(mistakes, snapshot, timeout_s, tested=tested)
        if unmutated.verdict != "survived":
            print(f"the tests must pass before anything is changed; {unmutated.verdict}: {unmutated.by}")
            return 2
        width = max(len(mistake.name) for mistake in mistakes)
        print(f"{'mistake':{width}}  {'item':>4}  {'verdict':8}  {'seconds':>7}  first failing test")
        killed = 0
        by = _noticed_by(root)
        first = [by.get(mistake.name) for mistake in mistakes]
        try:
            with ThreadPoolExecutor(jobs) as pool:
                each = partial(judge, snapshot=snapshot, timeout_s=timeout_s, named_only=named_only)
                for mistake, outcome in zip(mistakes, pool.map(each, mistakes, first), strict=True):
                    if outcome.verdict == "killed":
                        killed += 1
                        by[mistake.name] = outcome.by
                        kept.parent.mkdir(exist_ok=True)
                        with kept.open("a", encoding="utf-8") as file:
                            file.write(json.dumps({"name": mistake.name, "code": digest}) + "\n")
                    print(
                        f"{mistake.name:{width}}  {mistake.item:>4}  {outcome.verdict:8}  {outcome.seconds:>7.1f}  "
                        f"{outcome.by}",
                        flush=True,
                    )
        finally:
            (root / NOTICED_BY).write_text(json.dumps(by, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{killed} of {len(mistakes)} killed")
    return int(killed < len(mistakes))


def main() -> int:
    """The command line."""
    from tests.mistakes import MISTAKES

    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mistakes whose name holds one of these")
    parser.add_argument("--part", default="1/1", help="a fixed share of the mistakes, such as 3/10")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="mistakes side by side")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one run of pytest")
    parser.add_argument("--named-only", action="store_true", help="do not run all tests where the named ones pass")
    parser.add_argument("--tested", action="store_true", help="the tests have just passed: do not run them first")
    words = parser.parse_args()
    try:
        share = part(MISTAKES, words.part)
    except ValueError as error:
        parser.error(str(error))
    chosen = [m for m in share if not words.words or any(word in m.name for word in words.words)]
    if not chosen:
        parser.error("no mistake has such a name")
    how = {"jobs": words.jobs, "timeout_s": words.timeout, "named_only": words.named_only, "tested": words.tested}
    return prove(chosen, ROOT, **how)


if __name__ == "__main__":
    sys.exit(main())
