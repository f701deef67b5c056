"""What several test files need: tiny cells, data held in memory, and a plugin whose variants misbehave."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from bench import cli
from bench.cells.events import Done, Event
from bench.engines import Engine, Job
from bench.judge.bounds import look
from bench.records import sources, store
from bench.settings import Budget
from bench.train.loop import train
from variants import DataSpec
from variants.core import VAE
from variants.registry import GROUP, recipes

ROOT = Path(__file__).parents[1]

BUDGET = {"epochs": 1, "batch_size": 100, "lr": 3e-3, "schedule": "cosine", "train_size": 200}
# Simulated: unlike digits it needs no scikit-learn, which every process would import anew.
SIMULATED = {"name": "linear_gaussian", "options": {"n": 1000}}
MEASURE = {"elbo_samples": 2, "nll_samples": 5, "nll_points": 20}

# One recipe for each way in which a variant can go wrong, and one that is right.
MISBEHAVING = '''
import os
import signal
import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader

from variants import register
from variants.parts import assemble
from variants.parts.objectives import Elbo


class Broken(nn.Module):
    """An encoder, decoder or objective with something added to what it does."""

    def __init__(self, inner, act):
        super().__init__()
        self.inner, self.act = inner, act
        self.features = getattr(inner, "features", None)
        self.samples = getattr(inner, "samples", None)

    def forward(self, *args):
        return self.act(self, self.inner(*args))


def nan(h):
    return h * float("nan")


def with_encoder(data, act):
    model = assemble(data, latent=2, hidden=[8])
    model.encoder = Broken(model.encoder, act)
    return model


def with_objective(data, act):
    model = assemble(data, latent=2, hidden=[8])
    model.objective = Broken(model.objective, act)
    return model


def raise_error(words):
    raise RuntimeError(words)


def good(data, *, latent=2):
    """A plugin's variant."""
    return assemble(data, latent=latent, hidden=[8])


def raises_at_build(data):
    raise RuntimeError("no way\\nto build this")


def raises_at_forward(data):
    return with_encoder(data, lambda module, h: raise_error("no way forward"))


def raises_in_training(data):
    return with_encoder(data, lambda module, h: raise_error("training broke") if module.training else h)


def exits(data):
    sys.exit("I quit")


def wrong_shape(data):
    return with_objective(data, lambda module, loss: loss.mean())


def no_vae(data):
    return nn.Linear(2, 2)


def nan_in_training(data):
    return with_objective(data, lambda module, loss: nan(loss) if module.training else loss)


def nan_in_evaluation(data):
    return with_encoder(data, lambda module, h: h if module.training else nan(h))


def nan_on_the_test_split(data):
    # After a pass the judge scores the validation split, here one batch, and then at the end the test split.
    evaluated = []

    def act(module, h):
        evaluated.clear() if module.training else evaluated.append(len(h))
        return nan(h) if evaluated.count(250) > 1 else h

    return with_encoder(data, act)


def dies(data):
    os._exit(7)


def dies_without_a_code(data):
    os._exit(0)


def killed(data):
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(data):
    time.sleep(600)


def hogs(data):
    # In C and without letting go of the interpreter: no thread and no signal handler of Python runs.
    sum(range(10**14))


def hangs_in_training(data):
    return with_objective(data, lambda module, loss: time.sleep(600) if module.training else loss)


def prints(data):
    print("a variant's own words")
    return good(data)


def loads_in_workers(data):
    list(DataLoader(torch.zeros(4), num_workers=1))
    return good(data)
'''


def misbehaving() -> list[str]:
    """Names of the recipes in `MISBEHAVING`."""
    return [
        line[4 : line.index("(")]
        for line in MISBEHAVING.splitlines()
        if line.startswith("def ") and line.partition("(")[2].startswith("data") and ", act" not in line
    ]


def install(folder: Path, package: str, source: str, targets: dict[str, str], group: str = GROUP) -> None:
    """A distribution with one module and entry points, as pip would leave it in `folder`.

    Args:
        folder: to be put on sys.path.
        package: distribution name.
        source: of its module, `package` with underscores.
        targets: variant name -> `module:function`.
        group: of the entry points.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{package.replace('-', '_')}.py").write_text(source, encoding="utf-8")
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
    lines = "".join(f"{name} = {target}\n" for name, target in targets.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}", encoding="utf-8")


def install_example(name: str, folder: Path) -> Path:
    """A folder with one of `examples/` installed in it. Offline: pip builds it with the setuptools at hand."""
    source = folder / "source"
    shutil.copytree(ROOT / "examples" / name, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pyc*"))
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(folder / "site"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def run_installed(site: Path, *arguments: str) -> str:
    """Standard output of a Python process that sees what is installed in `site`."""
    code, out, err = finish(start(site.parent, *arguments, paths=[site]))
    assert code == 0, out + err
    return out


def install_misbehaving(folder: Path) -> None:
    """The plugin `vae-misbehaving` with every recipe of `MISBEHAVING`."""
    targets = {name: f"vae_misbehaving:{name}" for name in misbehaving()}
    install(folder, "vae-misbehaving", MISBEHAVING, targets)


def forget_plugins(folder: Path) -> None:
    """Undo what this process has read from the plugins in `folder`."""
    recipes.cache_clear()
    for name, module in list(sys.modules.items()):
        if str(folder) in str(getattr(module, "__file__", None)):
            del sys.modules[name]


def sums_now(variant: str) -> dict[str, str]:
    """The sums of `bench.records.sources` as a new process would find them."""
    for seen in (sources._sums, sources._ours, sources._first_seen):
        seen.cache_clear()
    return sources.sums(variant)


def start(folder: Path, *words: str | Path, paths: Iterable[Path] = (), **how: Any) -> subprocess.Popen[str]:
    """A Python process in `folder`, a session of its own, that sees the plugins which this one sees."""
    # In the background of a shell script Ctrl-C is ignored, and what it starts would ignore it too.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    path = os.pathsep.join([str(ROOT), *map(str, paths), *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        preexec_fn=heed,
        **how,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def processes(session: int) -> dict[int, str]:
    """What runs in a session: process id -> command line. Linux."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, _, _, own = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(own) == session and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return found


def is_alive(process: int) -> bool:
    """Whether a process runs. One that has ended, and that nobody asks for its exit code, does not. Linux."""
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: Callable[[], Any], timeout_s: float = 120) -> Any:
    """What `condition` returns, once that is true; an error if it never is."""
    until = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)
    return found


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """The command line without a process: exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as left:
        cli.main([str(word) for word in words])
    return (left.value.code, *capsys.readouterr())  # type: ignore[return-value]


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str | Path) -> str:
    """The one line with which `vaebench` refuses these words, after a check that it is one, and of its exit code."""
    status, out, err = call(capsys, *words)
    # A run that was begun has said what it would do.
    said = [line for line in err.splitlines() if not line.startswith("Plan: ")]
    assert (status, out, len(said)) == (code, "", 1), err
    return said[0] + "\n"


def telling(**on: Callable[..., Any]) -> Callable[[Event], None]:
    """`tell` of a cell, that hands on what `epochs`, `measured` or `note` are to know of an event."""

    def tell(event: Event) -> None:
        act = on.get(type(event).__name__.lower(), lambda *_: None)
        act(*msgspec.structs.astuple(event)[1:])

    return tell


def work_off(
    engine: Engine,
    cells: list[Any],
    out: Path,
    *,
    kind: str = "quality",
    on_event: Callable[[Event], Any] = lambda _: None,
    provenance: dict[str, Any] | None = None,
    timeout_s: float = 600,
    side_by_side: int | None = 2,
) -> list[Any]:
    """Run cells as a sweep does, and return their records in the order in which they came."""
    job = Job(kind, cells, out, provenance or {"commit": "abc"}, side_by_side, timeout_s)
    made = []
    with contextlib.closing(engine.events(job)) as events:
        for event in events:
            if isinstance(event, Done):
                store.write(out, event.record, event.artefacts)
                made.append(event.record)
            on_event(event)
    return made


def fit(model: VAE, loaded: Any, budget: Budget, **how: Any) -> list[dict[str, Any]]:
    """Train as a cell does: with the judge's look at the validation split."""
    return train(model, loaded, budget, look=partial(look, data=loaded), **how)


def cell(variant: str = "vanilla", **changes: Any) -> dict[str, Any]:
    """A quality cell on digits that runs in a fraction of a second; `budget` and `measure` are merged into the tiny
    ones, other keys replace."""
    budget = BUDGET | changes.pop("budget", {})
    measure = MEASURE | changes.pop("measure", {})
    return {
        "variant": variant,
        "overrides": {},
        "dataset": "digits",
        "data_options": {},
        "binarise": "dynamic",
        "seed": 0,
        "budget": budget,
        "measure": measure,
        "device": "cpu",
        "threads": 1,
        "precision": "fp32",
    } | changes


def throughput_cell(variant: str = "vanilla", **changes: Any) -> dict[str, Any]:
    """A throughput cell on digits with the shortest blocks."""
    quality = cell(variant)
    for key in ("budget", "measure", "seed"):
        del quality[key]
    return quality | {"batch_size": 100, "blocks": 3, "block_s": 0.001} | changes


def simulated(variant: str, kind: str = "quality", **changes: Any) -> dict[str, Any]:
    """The same cells on `SIMULATED`."""
    make = cell if kind == "quality" else throughput_cell
    where = {"dataset": SIMULATED["name"], "data_options": SIMULATED["options"], "binarise": "none"}
    return make(variant, **where | changes)


class Held:
    """Data in memory, as `bench.data.batches.Data` hands it out; the training split is not to be touched.

    Args:
        x: `[N, *shape]`, both valid and test.
        y: `[N]`, by default zeros.
    """

    def __init__(self, x: Tensor, y: Tensor | None = None, kind: Any = "real") -> None:
        self.x = x
        self.y = torch.zeros(len(x), dtype=torch.int64) if y is None else y
        self.spec = DataSpec(tuple(x.shape[1:]), kind)
        self.splits = {"train": 1, "valid": len(x), "test": len(x)}
        self.truth = self.factors = None
        self.batch_sizes: list[int] = []

    def train_batches(self, *_: object, **__: object) -> Iterator[Tensor]:
        raise AssertionError("the judge asked for training data")

    def eval_batches(self, split: str, batch_size: int, limit: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        assert split in ("valid", "test"), f"the judge asked for the {split} split"
        n = len(self.x)
        count = n if limit is None else min(limit, n)
        for places in torch.split(torch.arange(count) * n // count, batch_size):
            self.batch_sizes.append(len(places))
            yield self.x[places], self.y[places]


class Killed(BaseException):
    """In place of a signal that no code sees."""


@contextlib.contextmanager
def killed_after(steps: int) -> Iterator[None]:
    """End with `Killed` what runs in it, once so many records and pictures were put in place, moved or removed."""
    left = [steps]

    def counted(do: Callable[..., Any]) -> Callable[..., Any]:
        def step(self: Path, *words: Any, **how: Any) -> Any:
            if any(path.suffix in (".json", ".npz") for path in (self, *words) if isinstance(path, Path)):
                if not left[0]:
                    raise Killed
                left[0] -= 1
            return do(self, *words, **how)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        yield


def fixed(noise: Any, *sizes: int) -> bool:
    """Whether cached noise is the same when it is drawn anew, and takes none from the global stream."""
    first = noise(*sizes)
    noise.cache_clear()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    return torch.equal(noise(*sizes), first) and torch.equal(torch.get_rng_state(), before)
