"""A training that was stopped anywhere goes on and ends with the same bytes, or starts anew and says so."""

import copy
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from safetensors.torch import load, save
from torch import Tensor

from bench import data, seeds
from bench.cells import prepare, weights
from bench.cells.run import run_cell
from bench.data.batches import Data
from bench.engines.debug import Debug
from bench.errors import MachineError
from bench.pages import page, report
from bench.records import provenance, schema, sources
from bench.records.record import Record, plain
from bench.resume import checkpoint, sealed
from bench.resume.checkpoint import Checkpoint
from bench.settings import Budget
from bench.suites import suite
from bench.sweeps import execute
from bench.train.state import Training
from bench.train.steps import loss_function, stepper_for
from tests.helpers import BUDGET, MEASURE, ROOT, cell, fit, install, simulated, telling
from variants import registry
from variants.core import VAE

# Three passes of four steps, the last of them smaller.
THREE = Budget(epochs=3, batch_size=64, lr=0.01, train_size=200)
STEPS = 12
SOURCE = {"code": "abc", "data": "def"}
SMALL = {"latent": 2, "hidden": [8]}


class Stopped(BaseException):
    """The process ends here: nothing below may catch it."""


class StoppedAfter(Checkpoint):
    """Keeps the state of every step, and ends the process after so many of them."""

    def __init__(self, steps: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.left = steps

    def tick(self, training: Any) -> None:
        super().tick(training)
        self.left -= 1
        if self.left == 0:
            raise Stopped


class Copying(Checkpoint):
    """Leaves a copy of what is kept after every step, named by its number."""

    steps = 0

    def tick(self, training: Any) -> None:
        super().tick(training)
        self.steps += 1
        assert self.file
        shutil.copy(self.file, f"{self.file}{self.steps}")


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", math.inf)


@pytest.fixture(scope="module")
def digits() -> Data:
    return data.load("digits", train_size=200)


Outcome = tuple[list[dict[str, Any]], dict[str, Tensor]]


def training(
    loaded: Data,
    keep: Checkpoint | None,
    variant: str = "vanilla",
    precision: str = "fp32",
    *,
    budget: Budget = THREE,
    **options: Any,
) -> Outcome:
    """What training a fresh model gives: curve and weights."""
    model = registry.seeded(variant, loaded.spec, 0, **options)
    curve = fit(model, loaded, budget, seed=5, device="cpu", precision=precision, checkpoint=keep)
    return curve, model.state_dict()


def same(a: Outcome, b: Outcome) -> bool:
    return (
        json.dumps(a[0]) == json.dumps(b[0])
        and a[1].keys() == b[1].keys()
        and all(torch.equal(a[1][name], b[1][name]) for name in a[1])
    )


def stopped(file: Path, steps: int, loaded: Data, *args: Any, **options: Any) -> None:
    with pytest.raises(Stopped):
        training(loaded, StoppedAfter(steps, file, SOURCE), *args, **options)


# A bound of several samples, a warm-up, buffers that move, weights that lie otherwise in memory, a second estimator,
# and networks in bfloat16.
KINDS: list[tuple[str, str, dict[str, Any]]] = [
    ("iwae", "fp32", SMALL),
    ("beta", "fp32", SMALL | {"warmup_epochs": 2}),
    ("vanilla", "fp32", SMALL | {"likelihood": "gaussian", "sigma": "optimal"}),
    ("conv", "fp32", {"latent": 2, "channels": [4, 8]}),
    ("beta_tc", "fp32", SMALL),
    ("vanilla", "bf16", SMALL),
]


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize(("variant", "precision", "options"), KINDS)
def test_stopped_anywhere_it_ends_with_the_same_bytes(
    tmp_path: Path, digits: Data, variant: str, precision: str, options: dict[str, Any]
) -> None:
    whole = training(digits, None, variant, precision, **options)
    assert same(training(digits, Copying(tmp_path / "kept", SOURCE), variant, precision, **options), whole)
    for steps in (2, 4, 7, STEPS):  # in a pass, at the end of one, in the next, before the last look
        torch.rand(steps)
        keep = Checkpoint(tmp_path / f"kept{steps}", SOURCE)
        assert same(training(digits, keep, variant, precision, **options), whole), steps


@pytest.mark.usefixtures("every_step")
def test_stopped_again_and_again(tmp_path: Path, digits: Data) -> None:
    whole = training(digits, None, **SMALL)
    file = tmp_path / "kept"
    for _ in range(STEPS):
        stopped(file, 1, digits, **SMALL)
    assert same(training(digits, Checkpoint(file, SOURCE), **SMALL), whole)


@pytest.mark.usefixtures("every_step")
def test_the_best_epoch_so_far_is_kept_too(tmp_path: Path, digits: Data) -> None:
    how: dict[str, Any] = SMALL | {"warmup_epochs": 1}
    how["budget"] = replace(THREE, epochs=40, lr=0.3, schedule="constant", patience=2)
    whole = training(digits, Copying(tmp_path / "kept", SOURCE), **how)
    ended = len(whole[0])
    best = max(range(1, ended), key=lambda i: whole[0][i]["valid_elbo_nats"]) + 1
    assert best == ended - 2 < 38  # so that the last two epochs count for nothing but the end
    for steps in (2, 6, 4 * best + 2, 4 * ended):  # before one counts, before the best, and after it
        keep = Checkpoint(tmp_path / f"kept{steps}", SOURCE)
        assert same(training(digits, keep, **how), whole), steps
    file, notes = tmp_path / f"kept{4 * ended}", list[str]()
    for change in (
        lambda tensors, _: tensors.pop("best.posterior.loc.bias"),
        lambda tensors, _: [tensors.pop(name) for name in list(tensors) if name.startswith("best.")],
    ):
        before = file.read_bytes()
        forged(file, change)
        assert same(training(digits, Checkpoint(file, SOURCE, on_note=notes.append), **how), whole)
        file.write_bytes(before)
    assert notes == ["training starts anew, for its checkpoint is of another training"] * 2


class OnDisk:
    """Images that are no array, so that workers read them one by one."""

    def __init__(self, images: Any) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> Any:
        return self.images[place]


@pytest.mark.usefixtures("every_step")
def test_streamed_data_go_on_with_the_same_batches(tmp_path: Path, digits: Data) -> None:
    whole = training(digits, None, **SMALL)
    streamed = data.load("digits", train_size=200)
    streamed.raw.images.update({split: OnDisk(images) for split, images in streamed.raw.images.items()})
    stopped(tmp_path / "kept", 6, streamed, **SMALL)
    assert same(training(streamed, Checkpoint(tmp_path / "kept", SOURCE), **SMALL), whole)


@pytest.mark.usefixtures("every_step")
@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
def test_compiled_training_repeats_itself_goes_on_with_the_same_bytes_and_ends_near_the_other(
    tmp_path: Path, digits: Data
) -> None:
    # Batches of one size, and no phase that moves: each is one more compilation.
    how: dict[str, Any] = SMALL | {"budget": replace(THREE, batch_size=50)}
    whole = training(digits, Copying(tmp_path / "kept", SOURCE), precision="fp32+compile", **how)
    plain = training(digits, None, **how)
    assert not same(plain, whole)  # z is drawn from other random numbers
    assert whole[0][-1]["valid_elbo_nats"] == pytest.approx(plain[0][-1]["valid_elbo_nats"], rel=0.05)
    torch._dynamo.reset()  # another process has compiled nothing
    keep = Checkpoint(tmp_path / "kept6", SOURCE)
    assert same(training(digits, keep, precision="fp32+compile", **how), whole)


@pytest.mark.usefixtures("every_step")
def test_what_never_had_a_gradient_has_no_moments_and_goes_on(tmp_path: Path, digits: Data) -> None:
    def with_idle(keep: Checkpoint | None) -> Outcome:
        model = registry.seeded("vanilla", digits.spec, 0, **SMALL)
        model.objective.idle = torch.nn.Parameter(torch.ones(3))
        model.posterior.log_scale = model.posterior.loc  # and two parts that share their tensors
        curve = fit(model, digits, THREE, seed=5, device="cpu", checkpoint=keep)
        return curve, model.state_dict()

    whole = with_idle(None)
    with pytest.raises(Stopped):
        with_idle(StoppedAfter(5, tmp_path / "kept", SOURCE))
    moments = {name.split(".")[2] for name in load((tmp_path / "kept").read_bytes()) if name.startswith("stepper.")}
    assert len(moments) == len(list(registry.seeded("vanilla", digits.spec, 0, **SMALL).parameters())) - 2
    assert same(with_idle(Checkpoint(tmp_path / "kept", SOURCE)), whole)


# What is refused.


@pytest.fixture(scope="module")
def whole(digits: Data) -> Outcome:
    return training(digits, None, **SMALL)


@pytest.fixture(scope="module")
def five_steps(tmp_path_factory: pytest.TempPathFactory, digits: Data) -> bytes:
    """The content of a checkpoint after five steps."""
    file = tmp_path_factory.mktemp("checkpoint") / "kept"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "EVERY_S", 0.0)
        patch.setattr(checkpoint, "SHARE", math.inf)
        stopped(file, 5, digits, **SMALL)
    return file.read_bytes()


@pytest.fixture
def kept(tmp_path: Path, five_steps: bytes) -> Path:
    (tmp_path / "kept").write_bytes(five_steps)
    return tmp_path / "kept"


def goes_on(notes: list[str]) -> bool:
    return len(notes) == 1 and re.fullmatch(r"training goes on after \d+ s", notes[0]) is not None


def starts_anew(file: Path, loaded: Data, whole: Outcome, source: Any = None) -> str:
    """Train with this checkpoint, which is not to be used; what was said of it."""
    notes: list[str] = []
    keep = Checkpoint(file, SOURCE if source is None else source, on_note=notes.append)
    assert same(training(loaded, keep, **SMALL), whole)
    (note,) = notes
    before, words = note.split(", for its checkpoint ")
    assert before == "training starts anew"
    assert "\n" not in note
    return words


def test_one_that_is_good_is_used_and_said(kept: Path, digits: Data, whole: Outcome) -> None:
    before = kept.read_bytes()
    for change in (lambda _: None, lambda file: forged(file, lambda *_: None)):  # and forging itself is no reason
        kept.write_bytes(before)
        change(kept)
        notes: list[str] = []
        assert same(training(digits, Checkpoint(kept, SOURCE, on_note=notes.append), **SMALL), whole)
        assert goes_on(notes)


def test_one_that_is_damaged(kept: Path, digits: Data, whole: Outcome) -> None:
    """All ways of damage are those of kept weights, in `tests/cells/test_weights.py`."""
    content = kept.read_bytes()
    kept.write_bytes(content[: len(content) // 2])
    assert starts_anew(kept, digits, whole) == "cannot be read"
    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert starts_anew(kept, digits, whole) == "is damaged"


def test_one_of_other_code_or_data(kept: Path, digits: Data, whole: Outcome) -> None:
    assert starts_anew(kept, digits, whole, SOURCE | {"code": "xyz"}) == "was written with other code"
    assert starts_anew(kept, digits, whole, {"code": 1, "data": 2}) == "was written with other code, data"


Change = Callable[[dict[str, Tensor], dict[str, Any]], None]


def forged(file: Path, change: Change) -> None:
    """Change a checkpoint as somebody would who knows how it is sealed."""
    content = file.read_bytes()
    about = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    tensors, facts = load(content), json.loads(about["kept"])
    change(tensors, facts)
    text = json.dumps(facts)
    seal = sealed.digest(tensors, text)
    file.write_bytes(save(tensors, metadata={"kept": text, "sha256": seal}))


def put(name: str, value: Callable[[Tensor], Tensor]) -> Change:
    def change(tensors: dict[str, Tensor], _: dict[str, Any]) -> None:
        tensors[name] = value(tensors[name]).contiguous()

    return change


def curve(value: Callable[[Any], Any]) -> Change:
    def change(_: dict[str, Tensor], facts: dict[str, Any]) -> None:
        facts["state"]["curve"] = value(facts["state"]["curve"])

    return change


ANOTHER, LACKS = "is of another training", "does not say what it should"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("model.posterior.loc.bias", lambda t: t[:1]), ANOTHER),
        (lambda tensors, _: tensors.pop("model.posterior.loc.bias"), ANOTHER),
        (lambda tensors, _: tensors.update({"model.more": torch.zeros(1)}), ANOTHER),
        (put("stepper.adam.0.exp_avg", lambda t: t[:1]), ANOTHER),
        (lambda tensors, _: tensors.pop("stepper.adam.1.exp_avg_sq"), ANOTHER),
        (lambda tensors, _: tensors.update({"stepper.adam.99.step": torch.zeros(())}), ANOTHER),
        (lambda tensors, _: tensors.update({"stepper.critic.0.step": torch.zeros(())}), ANOTHER),
        (put("losses", lambda t: t.new_zeros(5)), ANOTHER),
        (lambda tensors, _: tensors.pop("losses"), ANOTHER),
        (put("random.order", lambda t: t[1:]), ANOTHER),
        (lambda tensors, _: tensors.pop("random.binarise"), ANOTHER),
        (put("random.noise", torch.zeros_like), "holds no state of a random generator"),
        (curve(lambda rows: rows * 2), LACKS),
        (curve(lambda rows: [*rows, *({"epoch": i} for i in (2, 3, 4))]), ANOTHER),
        (curve(lambda rows: [rows[0] | {"train_loss": "1"}]), LACKS),
        (curve(lambda _: None), LACKS),
        (lambda _, facts: facts.update(train_s=-1.0), LACKS),
        (lambda _, facts: facts.update(train_s=math.inf), "cannot be read"),
        (lambda _, facts: facts.pop("state"), LACKS),
        (lambda _, facts: facts["provenance"].update(resumed="often"), LACKS),
        (lambda _, facts: facts.update(source=[]), LACKS),
    ],
)
def test_one_that_does_not_fit_changes_nothing(
    kept: Path, digits: Data, whole: Outcome, change: Change, words: str
) -> None:
    forged(kept, change)
    assert starts_anew(kept, digits, whole).startswith(words)


def test_one_that_tells_nothing(kept: Path, digits: Data, whole: Outcome) -> None:
    tensors = load(kept.read_bytes())
    for text in ("[]", "{}"):
        kept.write_bytes(save(tensors, metadata={"kept": text, "sha256": sealed.digest(tensors, text)}))
        assert starts_anew(kept, digits, whole).startswith(("cannot be read", LACKS))


# When it is written.


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Counter:
    """A state that takes its time, and how often it was asked for."""

    def __init__(self, clock: Clock, takes: float) -> None:
        self.clock, self.takes, self.asked = clock, takes, 0

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        self.asked += 1
        self.clock.now += self.takes
        return {"x": torch.zeros(1)}, {"curve": []}

    def restore(self, *_: Any) -> None: ...


@pytest.mark.parametrize(("takes", "between"), [(0.0, 30), (0.2, 30), (2.0, 200)])
def test_it_is_written_twice_a_minute_and_takes_a_hundredth_of_the_time_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: float, between: int
) -> None:
    clock = Clock()
    monkeypatch.setattr(checkpoint, "time", clock)
    keep, counter = Checkpoint(tmp_path / "kept", SOURCE), Counter(clock, takes)
    for expected, seconds in ((0, 29), (1, 1), (1, between - 1), (2, 1), (2, between - 1), (3, 1)):
        clock.now += seconds
        keep.tick(counter)
        assert counter.asked == expected
    assert keep.train_s == pytest.approx(clock.now - 100)
    clock.now += 500
    again = Checkpoint(tmp_path / "kept", SOURCE)
    assert again.resume(counter)
    assert again.train_s == pytest.approx(30 + 2 * between + 3 * takes)  # to when the third was taken
    clock.now += 7
    assert again.train_s == pytest.approx(37 + 2 * between + 3 * takes)


@pytest.mark.usefixtures("every_step")
def test_one_that_cannot_be_written_is_said_once_and_costs_nothing_else(
    tmp_path: Path, digits: Data, whole: Outcome
) -> None:
    (tmp_path / "file").write_text("in the way")
    notes: list[str] = []
    keep = Checkpoint(tmp_path / "file" / "kept", SOURCE, on_note=notes.append)
    assert same(training(digits, keep, **SMALL), whole)
    (note,) = notes
    assert note.startswith("training goes on without a checkpoint: MachineError: cannot write")


# In a cell.

PROVENANCE: dict[str, Any] = {"commit": "abc", "versions": {}}
LONGER = simulated("vanilla", overrides=SMALL, budget={"epochs": 3})


def figures(result: Record) -> str:
    assert result.status == "ok", result.reason
    return json.dumps([plain(result)[key] for key in ("metrics", "errors", "latent", "curve", "model")])


def stopping_after(epochs: int) -> Callable[[int], None]:
    def on_epoch(epoch: int) -> None:
        if epoch == epochs:
            raise Stopped

    return on_epoch


def stop(*_: Any) -> None:
    raise Stopped


def place(out: Path, made: dict[str, Any]) -> Path:
    return checkpoint.path(weights.path(out, made))


@pytest.mark.usefixtures("every_step")
def test_a_cell_goes_on_and_its_record_says_so(tmp_path: Path) -> None:
    alone, pictures = run_cell("quality", LONGER, PROVENANCE)
    assert alone.provenance.trained.resumed == 0
    for epochs in (1, 2):
        with pytest.raises(Stopped):
            run_cell("quality", LONGER, PROVENANCE, tell=telling(epochs=stopping_after(epochs)), out=tmp_path)
        assert place(tmp_path, LONGER).exists()
    told: list[int] = []
    notes: list[str] = []
    result, same_pictures = run_cell(
        "quality", LONGER, PROVENANCE, tell=telling(epochs=told.append, note=notes.append), out=tmp_path
    )
    assert figures(result) == figures(alone)
    assert pictures == same_pictures
    assert told == [1, 2, 3]
    assert goes_on(notes)
    assert result.provenance.trained.resumed == 2
    assert result.timing["train_s"] > 0
    assert not place(tmp_path, LONGER).exists()
    assert weights.path(tmp_path, LONGER).exists()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "train", None)
        again, _ = run_cell("quality", LONGER, PROVENANCE, out=tmp_path)
    assert again.provenance.trained == result.provenance.trained
    assert again.timing["train_s"] == result.timing["train_s"]


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize(
    ("provenance", "words"),
    [({"training_sha256": "1"}, "code"), ({"versions": {"torch": "1.0"}}, "libraries")],
)
def test_a_cell_of_changed_code_or_libraries_is_trained_anew(
    tmp_path: Path, provenance: dict[str, Any], words: str
) -> None:
    with pytest.raises(Stopped):
        run_cell("quality", LONGER, PROVENANCE, tell=telling(epochs=stopping_after(2)), out=tmp_path)
    notes: list[str] = []
    told: list[int] = []
    changed = PROVENANCE | provenance
    result, _ = run_cell("quality", LONGER, changed, tell=telling(epochs=told.append, note=notes.append), out=tmp_path)
    assert notes == [f"training starts anew, for its checkpoint was written with other {words}"]
    assert told == [1, 2, 3]
    assert result.provenance.trained.resumed == 0


@pytest.mark.usefixtures("every_step")
def test_half_a_training_goes_on_where_it_was_begun_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other hardware would come to other bytes, and says so."""
    with pytest.raises(Stopped):
        run_cell("quality", LONGER, PROVENANCE, tell=telling(epochs=stopping_after(2)), out=tmp_path)
    monkeypatch.setattr(prepare.devices, "describe", lambda _: "another")
    notes: list[str] = []
    result, _ = run_cell("quality", LONGER, PROVENANCE, tell=telling(note=notes.append), out=tmp_path)
    assert notes == ["training starts anew, for its checkpoint was written with other hardware"]
    assert result.provenance.trained.device_name == "another"


@pytest.mark.usefixtures("every_step")
def test_a_checkpoint_of_data_that_were_replaced_is_refused(tmp_path: Path) -> None:
    file, notes = tmp_path / "mine.npz", list[str]()
    made = cell("linear", dataset=str(file), binarise="none", overrides={"latent": 2}, budget={"train_size": None})
    generator = np.random.default_rng(0)
    np.savez(file, train=generator.random((120, 3, 2), dtype=np.float32))
    with pytest.raises(Stopped):
        run_cell("quality", made, PROVENANCE, tell=telling(epochs=stopping_after(1)), out=tmp_path)
    np.savez(file, train=generator.random((120, 3, 2), dtype=np.float32))
    result, _ = run_cell("quality", made, PROVENANCE, tell=telling(note=notes.append), out=tmp_path)
    assert result.status == "ok"
    assert notes == ["training starts anew, for its checkpoint was written with other data"]


@pytest.mark.usefixtures("every_step", "misbehaving")
def test_a_training_that_diverged_leaves_no_checkpoint(tmp_path: Path) -> None:
    made = simulated("nan_in_training", budget={"epochs": 2})
    result, _ = run_cell("quality", made, PROVENANCE, out=tmp_path)
    assert result.status == "diverged"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("every_step")
def test_weights_that_cannot_be_kept_leave_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise MachineError("no space left")

    monkeypatch.setattr(weights, "write", full)
    result, _ = run_cell("quality", LONGER, PROVENANCE, out=tmp_path)
    assert result.no_weights == "MachineError: no space left"
    assert place(tmp_path, LONGER).exists()


@pytest.mark.usefixtures("every_step")
def test_a_kill_between_weights_and_the_end_of_the_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "close", stop)
        with pytest.raises(Stopped):
            run_cell("quality", LONGER, PROVENANCE, out=tmp_path)
    assert place(tmp_path, LONGER).exists()
    assert weights.path(tmp_path, LONGER).exists()
    result, _ = run_cell("quality", LONGER, PROVENANCE, out=tmp_path)
    assert result.status == "ok"
    assert not place(tmp_path, LONGER).exists()


@pytest.mark.usefixtures("every_step")
def test_again_forgets_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "write", lambda out, reference: page.Report(out, (), (), ""))  # noqa: ARG005
    source = {
        "variants": [{"name": "vanilla", "set": SMALL}],
        "datasets": [{"name": "linear_gaussian", "options": {"n": 1000}}],
        "seeds": 1,
        "budget": BUDGET | {"epochs": 3},
        "measure": MEASURE,
        "throughput": {"blocks": 0},
    }
    made = suite.parse("mine", source)
    (only,) = made.cells("cpu")
    for again in (False, True):
        # As this code in this process would leave it, were it killed.
        with pytest.raises(Stopped):
            run_cell(
                "quality",
                only,
                provenance.provenance() | sources.sums("vanilla"),
                tell=telling(epochs=stopping_after(2)),
                out=tmp_path,
            )
        (found,) = execute.execute(made, tmp_path, engine=Debug(), device="cpu", again=again).records
        assert found.status == "ok"
        assert found.provenance.trained is not None
        assert bool(found.provenance.trained.resumed) is not again
        weights.path(tmp_path, only).unlink()
        (tmp_path / "runs" / f"{found.id}.json").unlink()


SLOW = """
import os, time
from bench.resume import checkpoint
from variants.parts import assemble

checkpoint.EVERY_S, checkpoint.SHARE = 0.0, float("inf")


def slow(data):
    model = assemble(data, latent=2, hidden=[8])
    forward = model.objective.forward

    def slowly(*args):
        time.sleep(float(os.environ.get("SLOW_S", 0)) if model.training else 0)
        return forward(*args)

    model.objective.forward = slowly
    return model
"""


@pytest.mark.slow
def test_a_process_that_was_killed_in_training_goes_on(tmp_path: Path) -> None:
    install(tmp_path / "plugin", "vae-slow", SLOW, {"slow": "vae_slow:slow"})
    made = simulated("slow", budget={"epochs": 20})  # forty steps
    code = (
        "import json, sys; from pathlib import Path; from bench.cells.run import run_cell\n"
        "from bench.records.record import plain; from tests.helpers import telling\n"
        "cell, out = json.loads(sys.argv[1]), Path(sys.argv[2])\n"
        "result, _ = run_cell('quality', cell, {'commit': 'abc'}, tell=telling(note=print), out=out)\n"
        "print(json.dumps(plain(result)))"
    )
    paths = os.pathsep.join([str(ROOT), str(tmp_path / "plugin")])

    def process(out: str, slow_s: float) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": paths, "SLOW_S": str(slow_s), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", code, json.dumps(made), str(tmp_path / out)]
        return subprocess.Popen(command, env=environment, cwd=tmp_path, text=True, stdout=subprocess.PIPE)

    with process("out", 0.1) as killed:
        file = place(tmp_path / "out", made)
        deadline = time.monotonic() + 300
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)
        killed.send_signal(signal.SIGKILL)
        told, _ = killed.communicate()
        assert (told, killed.returncode) == ("", -signal.SIGKILL)
    done_s = sealed.read(file, checkpoint.Kept)[1]["train_s"]
    outcomes = []
    for out in ("out", "undisturbed"):
        with process(out, 0.0) as calm:
            *notes, last = calm.communicate()[0].splitlines()
            outcomes.append((figures(schema.of(json.loads(last))), notes, schema.of(json.loads(last))))
    (figures_after, notes, resumed), (expected, nothing, _) = outcomes
    assert figures_after == expected
    assert goes_on(notes)
    assert nothing == []
    assert resumed.timing["train_s"] > done_s > 0.1
    kept = [(tmp_path / out / "weights").glob("[!.]*") for out in ("out", "undisturbed")]
    (one,), (two,) = kept
    assert load(one.read_bytes()).keys() == load(two.read_bytes()).keys()
    assert all(torch.equal(load(one.read_bytes())[name], t) for name, t in load(two.read_bytes()).items())


def test_training_keeps_no_state_outside_of_what_is_kept(digits: Data) -> None:
    """The names in a checkpoint are those of the model, whatever the networks are wrapped in."""
    model: VAE = registry.seeded("vanilla", digits.spec, seeds.derive(0, "init"), **SMALL)
    before = list(model.state_dict())
    loss_function(model, precision="bf16+compile")
    assert list(model.state_dict()) == before


def test_a_training_goes_on_from_its_state_after_any_step_of_a_pass(digits: Data) -> None:
    """Also from that after the last, when the look at the validation split is yet to come."""

    def begun() -> Training:
        model = registry.seeded("vanilla", digits.spec, 0, **SMALL)
        return Training(stepper_for(model, THREE), steps=4, seed=5, device="cpu")

    now = begun()
    for _ in now.finish_pass(digits):
        state, again = copy.deepcopy(now.state()), begun()
        again.restore(*state)
        assert len(again.losses) == len(now.losses)
        found = again.state()[0]
        assert all(torch.equal(found[name], tensor) for name, tensor in state[0].items())
    assert len(now.losses) == 4


def test_what_is_sealed_is_known_by_its_names_too() -> None:
    one, other = torch.ones(2), torch.zeros(2)
    digests = {sealed.digest(tensors, "{}") for tensors in ({"a": one, "b": other}, {"a": one, "c": other}, {"a": one})}
    assert len(digests) == 3
