"""The peers benchmark: real processes with small jobs, the arithmetic of ratios, and that all compute the same."""

import csv
import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from bench.cells import clock
from bench.errors import UsageError
from tests.helpers import ROOT
from tests.performance import Spread
from tests.performance.peers import common, driver, example, ours, page, plan, profiles
from tests.performance.peers.__main__ import main
from tests.performance.peers.plan import EXAMPLE, OURS, PYTHAE, SETTINGS, Contestant, Task
from tests.performance.peers.results import ROUNDS_FILE, Results, lines_of, rate, spread
from variants import DataSpec, build
from variants.core import VAE, elbo
from variants.parts import assemble

SPEC = DataSpec((1, 28, 28), "binary", 100)
PROVENANCE = {
    "commit": "c" * 40,
    "dirty": False,
    "versions": {"torch": "2.0", "pythae": "0.1.2"},
    "processor": "a processor",
    "cpu_count": 2,
    "started": "2026-01-02T03:04:05+00:00",
}
COMMITTED = ROOT / "results" / "reference" / "peers"
# Three rounds of a training to the ELBO.
THREE = [[{"units": 1, "seconds": seconds, "steps": 550, "elbo": -109.5}] for seconds in (1.0, 2.0, 4.0)]

# A contestant whose blocks take `seconds`, by its own clock, and which writes down when it works.
FAKE = """
import os
from pathlib import Path
from tests.performance.peers.plan import Job

def prepare(task, *, threads, log, name, seconds, dies_in=None, breaks=False):
    print("noise that is no answer")
    if breaks:
        raise ValueError("no such\\ntask")
    def block(number):
        if number == dies_in:
            os._exit(7)
        with Path(log).open("a") as file:
            file.write(f"{name}{number}t{threads}\\n")
        return {"units": 6, "seconds": seconds * (number + 1)}
    return Job(block, warm_up=lambda: None, profile=lambda: {"all": 1.0} if name == "A" else None)
"""


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "fake_contestant.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    return tmp_path / "log"


def fake(log: Path, name: str, seconds: float, processes: int = 1, **options: Any) -> Contestant:
    options |= {"log": str(log), "name": name, "seconds": seconds}
    return Contestant(name, "fake_contestant", options, processes)


def run(task: Task, out: Path, rounds: int, again: bool = False) -> tuple[Results, list[str]]:
    said: list[str] = []
    driver.run([task], out, rounds=rounds, again=again, threads=4, provenance=PROVENANCE, say=said.append)
    return Results(lines_of(out / ROUNDS_FILE)), said


def test_rounds_are_interleaved_and_paired(fakes: Path, tmp_path: Path) -> None:
    task = Task("sample", "", "images/s", (fake(fakes, "A", 1.0), fake(fakes, "B", 2.0, processes=2)))
    results, _ = run(task, tmp_path, rounds=2)
    # B has two processes with half of the threads each; the second round begins with B.
    assert fakes.read_text().split() == ["A0t4", "B0t2", "B0t2", "B1t2", "B1t2", "A1t4"]
    assert results.rates("sample", "A") == {0: 6.0, 1: 3.0}
    assert results.rates("sample", "B") == {0: 6.0, 1: 3.0}  # twice the units in twice the time
    assert results.profiles() == {("sample", "A"): {"all": 1.0}}
    with pytest.raises(UsageError, match="holds an earlier run: say --again"):
        run(task, tmp_path, rounds=1)
    with (tmp_path / ROUNDS_FILE).open("a") as file:
        file.write('{"kind": "rou')
    assert lines_of(tmp_path / ROUNDS_FILE) == results.lines  # a line that was cut off is dropped
    assert len(run(task, tmp_path, rounds=1, again=True)[0].rates("sample", "A")) == 1


def test_a_contestant_that_fails_leaves_and_the_others_go_on(
    fakes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "has_bf16", lambda: False)
    missing = "no_such_module"
    contestants = (
        *(fake(fakes, "A", 1.0), fake(fakes, "B", 2.0, dies_in=1), fake(fakes, "E", 1.0, breaks=True)),
        *(Contestant("C", missing), Contestant("D", missing, bf16=True)),
    )
    results, said = run(Task("nll", "", "images/s", contestants), tmp_path, rounds=3)
    assert {name: len(results.rates("nll", name)) for name in "ABCD"} == {"A": 3, "B": 1, "C": 0, "D": 0}
    assert {name: results.status("nll", name) for name in "ABCDE"} == {
        "A": "ok",
        "B": "failed: its process ended with code 7",
        "C": "failed: ModuleNotFoundError: No module named 'no_such_module'",
        "D": "not run: this processor has no bf16 arithmetic",
        "E": "failed: ValueError: no such task",
    }
    assert "nll: B failed: its process ended with code 7" in said
    # The pair is of the one round that both have.
    assert results.paired("nll", "A", "B") == spread([2.0])


def test_rates_and_spreads() -> None:
    assert rate([{"units": 10, "seconds": 2.0}, {"units": 10, "seconds": 4.0}]) == 5.0
    assert spread([]) is None
    assert spread([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(median=3.0, q1=2.0, q3=4.0, n=5)


def committed(out: Path) -> list[dict[str, Any]]:
    """The committed rounds, copied to `out`."""
    (out / ROUNDS_FILE).write_bytes((COMMITTED / ROUNDS_FILE).read_bytes())
    return lines_of(out / ROUNDS_FILE)


def test_the_committed_page_is_that_of_the_committed_rounds_and_needs_no_torch(tmp_path: Path) -> None:
    committed(tmp_path)
    code = """
import sys
class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("torch", "pythae"):
            raise ImportError(f"no {name} here")
sys.meta_path.insert(0, Missing())
from tests.performance.peers.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
    words = [sys.executable, "-c", code, "--report", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    verdicts = [line["verdict"] for line in csv.DictReader((COMMITTED / "targets.csv").read_text().splitlines())]
    assert f"{verdicts.count('met')} of {len(verdicts)} targets met" in done.stdout
    for name in ("peers.csv", "targets.csv", "peers.md", "README.md"):
        assert (tmp_path / name).read_bytes() == (COMMITTED / name).read_bytes(), name
    assert (tmp_path / "peers.png").stat().st_size > 10_000


def test_the_page_shows_failures_and_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "figure", lambda _: Figure())
    rounds = [
        line
        if OURS not in line.get("blocks", {})
        else line | {"blocks": {**line["blocks"], OURS: THREE[line["round"]]}}
        for line in committed(tmp_path)
        if line["kind"] != "round" or (line["task"] == "time_to_elbo" and line["round"] < 3)
    ]
    rounds.append({"kind": "failed", "task": "train_mlp", "contestant": plan.COMPILED, "reason": "no compiler"})
    (tmp_path / ROUNDS_FILE).write_text("".join(json.dumps(line) + "\n" for line in rounds))
    terminal = page.write(tmp_path)
    with (tmp_path / "peers.csv").open() as file:
        rows = {(row["task"], row["contestant"]): row for row in csv.DictReader(file)}
    # Seconds are shown where one block is one whole training, but the ratio stays one of speeds.
    ours = rows["time_to_elbo", OURS]
    assert (ours["q1"], ours["median"], ours["q3"]) == ("1.5", "2.0", "3.0")
    assert float(ours["vs_pythae_median"]) > 1
    assert rows["train_mlp", plan.COMPILED]["status"] == "failed: no compiler"
    assert "- train\\_mlp: vaebench compiled failed: no compiler" in (tmp_path / "README.md").read_text()
    assert "vaebench 550 (-109.5), 550 (-109.5), 550 (-109.5)" in (tmp_path / "README.md").read_text()
    assert "warning: train_mlp: vaebench compiled failed: no compiler" in terminal


def test_the_command_line_names_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for words, status, line in (
        (["--tasks", "nil"], 2, "bench-peers: unknown task 'nil': did you mean 'nll'?"),
        (["--rounds", "0"], 2, "bench-peers: --rounds must be at least 1, got 0"),
        ([], 4, "bench-peers: pythae is not installed here: run make bench-peers"),
        (
            ["--report", "none"],
            2,
            "bench-peers: cannot read none/rounds.jsonl: No such file or directory; measure first",
        ),
    ):
        assert main(words) == status
        assert capsys.readouterr().err.startswith(line)


def check_equal(model: VAE, x: Tensor, z: Tensor, q: tuple[Tensor, Tensor], decoded: Tensor, kl: Tensor) -> None:
    """Our model with a peer's weights has the peer's posterior, its -log p(x|z) `[B]` and its KL `[B]`."""
    mean, log_variance = q
    found = model.infer(x)
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.variance, log_variance.exp())
    recon = -functional.binary_cross_entropy(decoded.flatten(1), x.flatten(1), reduction="none").sum(1)
    torch.testing.assert_close(model.likelihood.log_prob(model.decoder(z[None]), x)[0], recon)
    torch.testing.assert_close(model.terms(x).kl, kl)


@torch.no_grad()
def test_the_example_script_computes_what_we_compute() -> None:
    theirs, model = example.Model(), common.mlp(SimpleNamespace(spec=SPEC))
    common.take_over(model, example.layers(theirs))
    x, z = (torch.rand(5, 1, 28, 28) < 0.3).float(), torch.randn(5, SETTINGS.latent)
    q = theirs.encode(x.flatten(1))
    kl = torch.stack([example.divergence(mean, log_variance) for mean, log_variance in zip(*q, strict=True)])
    check_equal(model, x, z, q, theirs.decode(z), kl)
    # The whole loss, over the noise of one seed.
    torch.manual_seed(3)
    total = example.test(theirs, [(x, torch.zeros(5))])
    torch.manual_seed(3)
    assert -elbo(model.terms(x)).sum().item() == pytest.approx(total, rel=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("pythae") is None, reason="pythae is installed by make bench-peers")
@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_pythae_computes_what_we_compute() -> None:
    from tests.performance.peers import with_pythae

    theirs, model = with_pythae.mlp(), common.mlp(SimpleNamespace(spec=SPEC))
    common.take_over(model, with_pythae.layers(theirs))
    x, z = (torch.rand(5, 1, 28, 28) < 0.3).float(), torch.randn(5, SETTINGS.latent)
    encoded = theirs.encoder(x)
    q = encoded.embedding, encoded.log_covariance
    decoded = theirs.decoder(z).reconstruction
    kl = torch.stack(
        [theirs.loss_function(decoded[i : i + 1], x[i : i + 1], *(t[i : i + 1] for t in q), z)[2] for i in range(5)]
    )
    check_equal(model, x, z, q, decoded, kl)
    torch.manual_seed(3)
    loss = theirs({"data": x}).loss.item()
    torch.manual_seed(3)
    assert -elbo(model.terms(x)).mean().item() == pytest.approx(loss, rel=1e-5)

    theirs = with_pythae.conv().eval()
    model = assemble(SPEC, network=ours.convnet, latent=SETTINGS.conv_latent, posterior=common.PlainHeads).eval()
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in theirs.parameters())
    for own, other in ((model.encoder, theirs.encoder.layers), (model.decoder, theirs.decoder.layers)):
        for a, b in zip(own.parameters(), other.parameters(), strict=True):
            a.copy_(b)
    z = z[:, : SETTINGS.conv_latent]
    torch.testing.assert_close(model.decoder(z).sigmoid(), theirs.decoder(z).reconstruction)
    torch.testing.assert_close(theirs.encoder.embedding(model.encoder(x)), theirs.encoder(x).embedding)


def test_flops_of_the_mlp_are_those_of_the_formula() -> None:
    model, b = common.mlp(SimpleNamespace(spec=SPEC)), 4
    x = torch.zeros(b, 1, 28, 28)
    h, d = SETTINGS.hidden, SETTINGS.latent
    first, others = 784 * h, 2 * h * d + d * h + h * 784
    assert clock.matrix_flops(lambda: model.loss(x)) == 2 * b * (first + others)
    # Backwards each weight and each input has a product of its own, but nobody asks for the gradient of the image.
    assert clock.matrix_flops(lambda: model.loss(x).mean().backward()) == 2 * b * (2 * first + 3 * others)
    assert ours.matmul(64, 3).block(0)["units"] == pytest.approx(3 * 2 * 64**3 / 1e9)


def test_a_profile_adds_up() -> None:
    model = build("vanilla", SPEC, hidden=[64], latent=4)
    found = profiles.shares(lambda: model.loss(torch.zeros(8, 1, 28, 28)).mean().backward())
    assert sum(found.values()) == pytest.approx(1)
    assert all(math.isfinite(share) and share >= 0 for share in found.values())
    assert found[profiles.MATRIX] > 0
    names = {
        profiles.MATRIX: ("aten::addmm", "aten::convolution_backward", "aten::mkldnn_convolution"),
        profiles.ELEMENTWISE: ("aten::native_batch_norm", "aten::threshold_backward", "aten::sum", "aten::sigmoid"),
        profiles.RANDOM: ("aten::normal_", "aten::randperm"),
        profiles.OPTIMISER: ("aten::_fused_adam_", "Optimizer.step#Adam.step"),
        profiles.COPIES: ("aten::copy_", "aten::empty", "aten::index", "aten::_to_copy"),
        profiles.REST: ("aten::t", "aten::view", "autograd::engine::evaluate_function: AddmmBackward0", "AddBackward0"),
    }
    assert {group: tuple(n for n in found if profiles.group_of(n) == group) for group, found in names.items()} == names


def test_torchvision_reads_the_same_pixels() -> None:
    x = (torch.rand(120, 1, 28, 28) < 0.3).float()
    source: Any = SimpleNamespace(eval_batches=lambda *_: [(x, torch.zeros(120))])
    train, test = example.mnist(source)
    assert len(train) == len(test) == 120
    assert torch.equal(torch.stack([image for image, _ in train]), x)


def test_the_clock_stops_while_the_judge_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(common.time, "perf_counter", lambda: now[0])
    elbos = iter([SETTINGS.elbo - 10, SETTINGS.elbo + 1])

    def judge() -> float:
        now[0] += 1000
        return next(elbos)

    watched = common.Watched([0] * 70, judge)

    def one_pass(_: int) -> None:
        for _ in watched:
            now[0] += 1

    every = SETTINGS.elbo_every
    assert watched.run(one_pass) == {"units": 1, "seconds": 2.0 * every, "steps": 2 * every, "elbo": SETTINGS.elbo + 1}
    with pytest.raises(RuntimeError, match="not reached"):
        common.Watched([0], lambda: -math.inf).run(lambda _: None)


def test_every_comparison_is_of_contestants_of_its_task() -> None:
    for comparison in plan.COMPARISONS:
        names = {contestant.name for contestant in plan.TASKS[comparison.task].contestants}
        assert {*comparison.ours, *comparison.theirs} <= names
    assert {PYTHAE, EXAMPLE} <= {c.name for c in plan.TASKS["train_mlp"].contestants}
    requirements = (Path(plan.__file__).parent / "requirements.txt").read_text()
    assert requirements == "pythae==0.1.2\n"
