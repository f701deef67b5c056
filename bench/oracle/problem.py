"""A linear Gaussian model with its data, and the list that checks of it are noted in."""

import math
from typing import Any

import torch
from torch import Tensor

from bench import data, seeds
from bench.data.batches import Data
from bench.data.gaussian import LinearGaussian
from bench.judge import bounds
from bench.oracle import truth as exact
from bench.records.record import Cell, Check
from bench.suites.oracle import Settings
from variants.core import VAE

# Closed forms against each other in float64, and how many standard errors an estimate may be off.
CLOSED_FORM, STANDARD_ERRORS = 1e-9, 4.0
# The judge's own standard error, over the spread of its errors across examples.
STATED_LOW, STATED_HIGH = 0.65, 1.5
CLOSED, ESTIMATES = "closed form", "estimate"


class Checks:
    """The list of checks of one problem, each a row of the table.

    A check passes if `low <= error <= high`, the error being the estimate minus the truth; a None is no limit. An
    estimate that is not finite does not pass, and stands as None.
    """

    def __init__(self) -> None:
        self.rows: list[Check] = []

    def add(
        self,
        part: str,
        quantity: str,
        truth: float,
        estimate: float,
        *,
        low: float | None,
        high: float | None,
        rule: str,
        standard_error: float | None = None,
    ) -> None:
        """Note one figure, its truth, and what is allowed between them; `rule` is that in words."""
        error = estimate - truth
        passed = (low is None or error >= low) and (high is None or error <= high)
        numbers = {
            "truth": truth,
            "estimate": estimate,
            "error": error,
            "standard_error": standard_error,
            "low": low,
            "high": high,
        }
        # JSON has no NaN and no infinity.
        finite = {key: value if value is None or math.isfinite(value) else None for key, value in numbers.items()}
        passed = passed and math.isfinite(error)
        self.rows.append(Check(part=part, quantity=quantity, **finite, rule=rule, passed=passed))

    def equal(self, quantity: str, truth: Tensor | float, estimate: Tensor | float) -> None:
        """Two closed forms, of one figure or of each of n examples, `[n]`: then the error is the largest."""
        off = torch.as_tensor(estimate, dtype=torch.float64) - torch.as_tensor(truth, dtype=torch.float64)
        exact = torch.as_tensor(truth, dtype=torch.float64).mean().item()
        error = off.flatten()[off.abs().argmax()].item()
        self.add(CLOSED, quantity, exact, exact + error, low=-CLOSED_FORM, high=CLOSED_FORM, rule="1e-9")

    def estimate(
        self,
        quantity: str,
        truth: Tensor | float,
        estimate: Tensor,
        *,
        sides: str = "both",
        slack: tuple[float, float] = (0.0, 0.0),
        part: str = ESTIMATES,
    ) -> None:
        """Estimates `[n]` of n examples beside the truth of each.

        The errors of different examples are independent, so their spread gives the standard error of the mean.

        Args:
            quantity: name.
            truth: `[n]`, or the same for all.
            estimate: `[n]`.
            sides: `"both"`; `"at most"` for what is a lower bound on average, `"at least"` for an upper one.
            slack: nats that the estimate may be lower, and higher, on top of the standard errors.
            part: of the table.
        """
        errors = estimate - truth
        standard_error = (errors.std() / math.sqrt(len(errors))).item()
        # Where all weights agree there is no sampling error, and rounding is what is left.
        room = STANDARD_ERRORS * standard_error + CLOSED_FORM
        words = {"both": "4 SE", "at most": "at most truth + 4 SE", "at least": "at least truth - 4 SE"}[sides]
        self.add(
            part,
            quantity,
            truth.mean().item() if isinstance(truth, Tensor) else truth,
            estimate.mean().item(),
            low=None if sides == "at most" else -room - slack[0],
            high=None if sides == "at least" else room + slack[1],
            rule=words + "".join(f", {s:g} {w}" for s, w in zip(slack, ("below", "above"), strict=True) if s),
            standard_error=standard_error,
        )

    def stated(self, quantity: str, variance: Tensor, errors: Tensor) -> None:
        """The judge's standard error of a mean, from its variances `[n]`, beside the spread of its errors `[n]`."""
        ratio = (variance.sum().sqrt() / len(errors) / (errors.std() / math.sqrt(len(errors)))).item()
        self.add(
            ESTIMATES,
            f"stated standard error / spread of errors, {quantity}",
            1.0,
            ratio,
            low=STATED_LOW - 1,
            high=STATED_HIGH - 1,
            rule=f"between {STATED_LOW} and {STATED_HIGH}",
        )


class Problem:
    """A linear Gaussian model with its data: x in float64 on the device, and formulas on the CPU."""

    def __init__(self, cell: Cell) -> None:
        self.settings = Settings(**cell["settings"])
        self.device: str = cell["device"]
        self.data: Data = data.load(cell["dataset"], device=self.device, **cell["data_options"])
        assert isinstance(self.data.truth, LinearGaussian)
        self.truth: LinearGaussian = self.data.truth
        self.d, self.k = self.truth.W.shape
        self.train = self.split("train")
        self.test = self.split("test")
        self.points = self.split("test", self.settings.points)
        self.seed = seeds.derive(seeds.JUDGE, f"oracle {sorted(cell['data_options'].items())}")

    def split(self, name: str, limit: int | None = None) -> Tensor:
        """Examples `[N, d]`, float64, on the CPU."""
        return torch.cat([x.cpu().double() for x, _ in self.data.eval_batches(name, 1000, limit)])

    def here(self, x: Tensor) -> Tensor:
        """On the device."""
        return x.to(self.device)

    def draws(self, name: str) -> Any:
        """Random draws for one measurement of this problem alone."""
        return seeds.stream(self.seed, name, self.device)

    def model(self, posterior: Any, **options: Any) -> VAE:
        """The linear VAE at the truth, on the device; see `truth.at_truth`."""
        return exact.at_truth(self.truth, posterior, **options).to(self.device)

    def scores(self, model: VAE, name: str) -> bounds.Scores:
        """What the judge says of the points."""
        points = self.here(self.points)
        batches = [(x, torch.zeros(len(x))) for x in torch.split(points, bounds.EVAL_BATCH)]
        return bounds.scores(model, batches, samples=self.settings.elbo_samples, seed=seeds.derive(self.seed, name))
