"""Records of the oracle suite -> a table, a plot and a page that explains them. Needs no torch."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from bench.errors import UsageError
from bench.pages.blocks import Block, Items, Table, Text, markdown
from bench.pages.figures import style
from bench.pages.grids import Entry, Grid, grid, markdown_text, number
from bench.pages.origins import origin_lines
from bench.pages.page import Page, Report, csv_text
from bench.records.record import ORACLE, Check, Record
from bench.records.store import read_all
from bench.text import DASH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OPTIONS = ("d", "k", "noise", "orthogonal", "bits")
COLUMNS = ("part", "quantity", "truth", "estimate", "error", "standard_error", "low", "high", "passed")
# Checks that the summary shows, by the start of their names: header -> name.
SUMMARY = {
    "ELBO full": "ELBO, full posterior",
    "ELBO diagonal": "ELBO, diagonal posterior",
    "IWAE-10": "IWAE-10, widened posterior",
    "IS": "importance sampling, widened posterior",
    "AIS": "AIS",
}


def holds_only_oracle(out: Path) -> bool:
    """Whether the records in a results folder are all of this suite."""
    return bool(read_all(out, kinds=(ORACLE,))[0]) and not read_all(out)[0]


def name(record: Record) -> str:
    """`"d 16, k 3, noise 0.1, orthogonal"`, or `"d 16, 8 bits"`."""
    o = record.cell["data_options"]
    if "bits" in o:
        return f"d {o['d']}, {o['bits']} bits"
    return f"d {o['d']}, k {o['k']}, noise {o['noise']:g}, {'' if o['orthogonal'] else 'not '}orthogonal"


def verdict(record: Record) -> str:
    """`"44 of 44 checks passed"`, or why there are none."""
    if record.status != "ok":
        return f"{record.status.upper()}, {record.reason}"
    passed = sum(check.passed for check in record.checks)
    return f"{passed} of {len(record.checks)} checks passed"


def failures(records: Sequence[Record]) -> list[str]:
    """One line for every check that did not pass, and for every problem that gave none."""
    lines = []
    for record in records:
        if record.status != "ok":
            lines.append(f"{name(record)}: {record.status}, {record.reason}")
        lines += [
            f"{name(record)}: {check.part}, {check.quantity}: error {_signed(check.error)}, "
            f"allowed {check.rule}" + (f", SE {check.standard_error:.2g}" if check.standard_error else "")
            for check in record.checks
            if not check.passed
        ]
    return lines


def write(out: Path) -> Report:
    """Read OUT/runs and write OUT/tables, OUT/plots and OUT/README.md: all is made before the first is written.

    Raises:
        UsageError: OUT holds no records of this suite.
        MachineError: a file cannot be written.
    """
    records, warnings = read_all(out, kinds=(ORACLE,))
    if not records:
        raise UsageError(f"no records of the oracle suite in {out}; run `vaebench run oracle --out {out}` first")
    records = sorted(records, key=lambda r: (sorted(r.cell["data_options"].items()), r.id))
    ok = [record for record in records if record.status == "ok"]
    conclusions = Items([markdown_text(line) for line in _conclusions(records)])
    page = Page(out, "The judge against the truth", by="vaebench run oracle")
    page.attach("tables/oracle.csv", csv_text(_rows(records), [*OPTIONS, "status", *COLUMNS]))
    page.attach("tables/oracle.md", markdown(_checks(records)))
    page.add(conclusions)
    page.warn(warnings)
    headers, lines = summary(records)
    page.add(Table((headers, lines)), Text(SUMMARY_TEXT))
    page.picture("plots/oracle", figure(ok) if ok else None, "errors of the estimates, and rate-distortion curves")
    page.section("How to read this", Items(READING))
    devices = {f"{r.cell['device']} ({r.provenance.device_name or 'unknown'}, float64)" for r in records}
    machine = markdown_text(f"devices: {', '.join(sorted(devices))}")
    origins = origin_lines([record.provenance for record in records], machine)
    page.section("Where the numbers come from", Items(origins))
    # The tables side by side are wider than a terminal.
    halves = [[0, *range(1, 6)], [0, *range(6, len(headers))]]
    page.screen += [Table(([headers[i] for i in half], [[line[i] for i in half] for line in lines])) for half in halves]
    page.screen.append(conclusions)
    return page.write()


def summary(records: Sequence[Record]) -> Grid:
    """One line a problem: log p(x) of its points, the error of each estimate of it, gaps, trained models, verdict."""
    headers = ["problem", "log p(x)", *SUMMARY, "gap exact", "measured", "PPCA", "trained", "checks passed"]
    lines = []
    for record in records:
        checks = record.checks

        def find(part: str, start: str, key: str = "estimate", checks: Any = checks) -> str:
            check = next((c for c in checks if c.part == part and c.quantity.startswith(start)), None)
            if check is None or getattr(check, key) is None:
                return DASH
            error = check.standard_error if key == "estimate" else None
            return f"{getattr(check, key):.3f}" + ("" if error is None else f" ± {error:.3f}")

        cells = [
            name(record),
            find("estimate", "AIS", "truth"),
            *(find("estimate", start) for start in SUMMARY.values()),
            find("estimate", "approximation gap, diagonal", "truth"),
            find("estimate", "approximation gap, diagonal"),
            find("trained", "ELBO, diagonal", "truth"),
            find("trained", "ELBO, diagonal"),
            f"{sum(c.passed for c in checks)}/{len(checks)}" if checks else record.status,
        ]
        lines.append(cells)
    return grid(headers, lines)


def _conclusions(records: Sequence[Record]) -> list[str]:
    """What the checks say, largest errors first."""
    checks = [check for record in records for check in record.checks]
    passed = sum(check.passed for check in checks)
    lines = [f"{passed} of {len(checks)} checks passed."]
    closed = [abs(c.error) for c in checks if c.part == "closed form" and c.error is not None]
    if closed:
        lines.append(f"Closed forms: the largest of {len(closed)} errors is {max(closed):.1e} nats (allowed 1e-9).")
    scores = [abs(score) for c in checks if c.rule == "4 SE" and (score := _score(c)) is not None]
    if scores:
        lines.append(f"Unbiased estimates: the largest of {len(scores)} errors is {max(scores):.1f} standard errors.")
    below = [c.error for c in checks if c.part == "trained" and c.quantity.startswith("ELBO") and c.error]
    if below:
        lines.append(f"Trained linear VAEs: at most {-min(below):.4f} nats below the PPCA optimum (allowed 0.05).")
    return lines + [f"FAILED: {line}" for line in failures(records)]


def _score(check: Check) -> float | None:
    """Error in standard errors; None where there is no sampling error."""
    if not check.standard_error or check.standard_error < 1e-6 or check.error is None:
        return None
    return float(check.error / check.standard_error)


def _side(check: Check) -> str | None:
    """An arrow to the side on which more than 4 standard errors are allowed; None for what is right on average."""
    if check.part != "estimate":
        return None
    words = {"at most": "←", "below": "←", "at least": "→", "above": "→"}
    return next((arrow for word, arrow in words.items() if word in check.rule), None)


def _signed(error: float | None) -> str:
    return "not finite" if error is None else f"{error:+.2g}"


def _rows(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """One dictionary a check, and one for a problem without any."""
    for record in records:
        problem = {key: record.cell["data_options"].get(key) for key in OPTIONS} | {"status": record.status}
        yield from (asdict(check) | problem for check in record.checks)
        if not record.checks:
            yield problem


def _checks(records: Sequence[Record]) -> Iterator[Block]:
    for record in records:
        yield Text(f"**{markdown_text(name(record))}**: {markdown_text(verdict(record))}.")
        if record.status == "ok":
            yield Table(_grid(record))


def _grid(record: Record) -> Grid:
    headers = ["", "quantity", "truth", "estimate", "error", "SE", "error / SE", "allowed", ""]
    lines, part = [], None
    for c in record.checks:
        score = _score(c)
        cells = ["" if c.part == part else c.part, c.quantity, number(c.truth, 4), number(c.estimate, 4)]
        cells += [_signed(c.error), DASH if c.standard_error is None else f"{c.standard_error:.2g}"]
        cells += [DASH if score is None else f"{score:+.1f}", c.rule, "ok" if c.passed else "FAILED"]
        part = c.part
        lines.append([Entry(cell, best=not c.passed) for cell in cells])
    return headers, lines


SUMMARY_TEXT = (
    "True mean log p(x) of the test points, and what the judge measured for it ± its standard error: the ELBO of "
    "the true and of the best diagonal posterior, IWAE and importance sampling (IS) from a posterior that is too "
    "wide, and annealed importance sampling (AIS); the diagonal posterior's gap, exact and measured; the PPCA "
    "optimum on the training data, and the ELBO of the linear VAE trained on them. "
    "[All checks with their errors](tables/oracle.md), also as [CSV at full precision](tables/oracle.csv)."
)
READING = (
    "The data are drawn from x = Wz + m + noise, z standard normal: d data dimensions, k latents, noise a variance. "
    "log p(x), the posterior, the best diagonal posterior and the rate-distortion curve are known in closed form, and "
    "so is the maximum of the likelihood (probabilistic PCA). All figures are nats per example.",
    "With **bits** the model is a sigmoid belief network, whose few states are all counted: log p(x), the ELBO, IWAE-2 "
    "of independent bits and the mean gradient of VIMCO have no sampling error.",
    "**closed form**: no sampling. The suite's own core and judge, evaluated at known parameters, against formulas "
    "that share no code with them; allowed 1e-9 in float64.",
    "**estimate**: Monte Carlo. SE is the standard error of the mean over examples: the spread of the errors, each "
    "example against its own truth, over the square root of their number. An estimate that is right on average is "
    "allowed 4 SE either way. The logarithm of an average of weights (importance sampling, AIS) lies below log p(x) on "
    "average, and the reverse bound (BDMC upper) above it, so they are held to one side; the average of the weights "
    "themselves is right on average for p(x), and the ratio to p(x) is held to both sides.",
    "The widened posterior is the true one with twice its covariance: the expectation of IWAE-K is then a known "
    "integral, so IWAE-K has a truth of its own below log p(x).",
    "Where the weights of the diagonal posterior have no variance, the ratio of its p(x) is not checked: no standard "
    "error describes it.",
    "**trained**: the variant `linear`, trained by the suite's own loop, evaluated without sampling on the training "
    "data, for which the optimum is a statement. It must not lie above the optimum.",
    "**rate-distortion**: the encoder alone is optimised for the beta objective under the true decoder, then measured "
    "by the judge: KL (rate) and minus the reconstruction (distortion).",
)


def figure(records: Sequence[Record]) -> "Figure":
    """Left: every estimate's error in standard errors. Right: exact rate-distortion curves and measured points."""
    checks = [check for record in records for check in record.checks]
    quantities = list(dict.fromkeys(c.quantity for c in checks if _score(c) is not None and c.part == "estimate"))
    height = 1.2 + 0.27 * len(quantities)
    with style.panels(13.5, height, across=2, width_ratios=[1.15, 1]) as (picture, (left, right)):
        styles = [style.Style(style.COLOURS[i % 10], style.MARKERS[i % 7]) for i in range(len(records))]
        _errors(left, records, quantities, styles)
        _curves(right, records, styles)
        right.legend(loc="upper right", title="problem", alignment="left", framealpha=1)
        failed = len(failures(records))
        style.add_title(
            picture,
            "The judge against the truth: " + (f"{failed} CHECKS FAILED" if failed else "all checks passed"),
            "Left: error of each estimate in its own standard errors, a point per problem; in the shaded band (4) it "
            "agrees with the truth. Hollow points may leave it to the side of the arrow: bounds by any amount, gaps "
            "by 0.02 nats, which a local optimum that is not quite reached may cost. "
            "Right: rate against distortion of the linear Gaussian model. Lines are exact; points are encoders "
            "optimised for beta = 0.1 (top) to 10 (bottom) and measured by the judge.",
        )
    return picture


def _errors(axis: "Axes", records: Sequence[Record], quantities: Sequence[str], styles: Sequence[style.Style]) -> None:
    reach = 6.0
    axis.axvspan(-4, 4, color="#eef3f7", zorder=0)
    axis.axvline(0, color="#888888", linewidth=1, zorder=1)
    for i, (record, look) in enumerate(zip(records, styles, strict=True)):
        offset = 0.3 * ((i + 0.5) / len(records) * 2 - 1)
        for check in record.checks:
            score = _score(check)
            if check.part != "estimate" or score is None:
                continue
            marker = look.marker if abs(score) < reach else ("<" if score < 0 else ">")
            fill = "white" if _side(check) is not None else look.colour
            shown = math.copysign(min(abs(score), reach - 0.2), score)
            y = quantities.index(check.quantity) + offset
            axis.plot(shown, y, marker, markersize=5.5, color=look.colour, markerfacecolor=fill, zorder=3)
    sides = {c.quantity: _side(c) for record in records for c in record.checks}
    labels = [" ".join(filter(None, (q, sides[q]))) for q in quantities]
    axis.set_yticks(range(len(quantities)), labels, fontsize=9)
    axis.set_ylim(len(quantities) - 0.4, -0.6)
    axis.set_xlim(-reach, reach)
    axis.set_xlabel("error / standard error")
    axis.set_title("estimates")


def _curves(axis: "Axes", records: Sequence[Record], styles: Sequence[style.Style]) -> None:
    curves = [(record, look) for record, look in zip(records, styles, strict=True) if record.rate_distortion]
    for record, look in curves:
        (_, x, y), (_, points, rates) = (
            zip(*record.rate_distortion[key], strict=True) for key in ("exact", "measured")
        )
        axis.plot(x, y, color=look.colour, linewidth=1.5)
        axis.plot(points, rates, look.marker, color=look.colour, markersize=7, label=name(record))
    axis.set_ylim(top=1.45 * max((p[2] for record, _ in curves for p in record.rate_distortion["exact"]), default=1))
    axis.set_xlabel("distortion: -log p(x|z) (nats per example)")
    axis.set_ylabel("rate: KL(q(z|x) || p(z)) (nats per example)")
    axis.set_title("rate and distortion")
