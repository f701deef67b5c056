"""The latent space: KL per dimension, and the plane of two dimensions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.pages.figures.bars import WHITE, band, left_out, legend_beside
from bench.pages.figures.plot import Plot, View
from bench.pages.figures.style import COLOURS, INK, add_title, panels
from bench.stats.groups import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# More points than this hide each other, and more ellipses.
SHOWN, ELLIPSES = 250, 80
# A latent unit whose posterior mean varies by no more than this over the data is inactive (Burda, Grosse and
# Salakhutdinov 2016, arXiv:1509.00519, section 5.2). The judge has the same number, in a module that needs torch.
ACTIVE_VARIANCE = 0.01
# A collapsed dimension's KL is anything down to exactly zero, which a logarithmic axis cannot show.
LEAST_KL = 1e-4


def kl_per_dimension(view: View) -> "Figure | None":
    """KL of every latent dimension, sorted falling, and the variance of its posterior mean, which makes it active."""
    from matplotlib.ticker import MaxNLocator

    labels = {
        "kl_per_dim": "KL of the dimension (nats)",
        "mean_variance": "variance of the posterior mean over the data",
    }
    by_quantity = {name: {row: v for row in view.group.rows if len(v := _spectra(row, name))} for name in labels}
    rows = list(by_quantity["kl_per_dim"])
    if not rows:
        return None
    by_quantity = {name: spectra for name, spectra in by_quantity.items() if spectra}
    height = max(4.4, 0.8 + 0.22 * len(rows))
    with panels(4.6 * len(by_quantity) + 2.2, height, across=len(by_quantity)) as (figure, axes):
        for axis, (name, spectra) in zip(axes, by_quantity.items(), strict=True):
            for row, values in spectra.items():
                ranks = range(1, values.shape[1] + 1)
                band(axis, ranks, np.maximum(values, LEAST_KL), row, markersize=4.5, linewidth=1.6)
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter("")
            # The axis spans two powers of ten at the least, so that the scale is seen to be logarithmic.
            bottom, top = axis.get_ylim()
            axis.set_ylim(min(bottom, 0.05), max(top, 2))
            axis.set_ylabel(labels[name])
            axis.set_xlabel("latent dimension, the largest first")
            axis.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
            axis.grid(axis="x", visible=False)
        legend_beside(axes[-1], title="best ELBO first")
        note = (
            "KL(q(z_d|x) || p(z_d)) of each latent dimension, mean over test examples, sorted within each seed; near "
            "zero the dimension has collapsed onto the prior. Correlated posteriors count by their marginals."
        )
        if "mean_variance" in by_quantity:
            _inactive(axes[-1])
            note = f"Left: {note} Right: the same for the variance that decides whether a dimension is an active unit."
        below = any(float(values.min()) < LEAST_KL for spectra in by_quantity.values() for values in spectra.values())
        note += " Line: mean over seeds; band: lowest to highest seed. Logarithmic y axes"
        note += f"; values below {LEAST_KL:g} are drawn at it." if below else "."
        missing = left_out(view.group, rows, "mutual_information_nats", "posterior or prior is no Gaussian")
        add_title(figure, f"KL per latent dimension: {view.where}", note + missing)
    return figure


def _inactive(axis: "Axes") -> None:
    """The line at and below which a dimension is inactive."""
    axis.axhline(ACTIVE_VARIANCE, color=INK, linestyle="--", linewidth=1.2)
    bottom, top = axis.get_ylim()
    axis.set_ylim(min(bottom, ACTIVE_VARIANCE / 5), max(top, ACTIVE_VARIANCE * 5))
    text: Any = {"xycoords": axis.get_yaxis_transform(), "xytext": (0, -4), "textcoords": "offset points", "va": "top"}
    text |= {"fontsize": 9.5, "color": INK, "bbox": WHITE, "zorder": 4}
    axis.annotate(f"inactive: {ACTIVE_VARIANCE} or less", (0.015, ACTIVE_VARIANCE), **text)


def _spectra(row: Row, name: str) -> np.ndarray:
    """`[seeds, D]`: `record.latent[name]` of every ok seed that has it, each sorted falling."""
    spectra = [record.latent.get(name) for record in row.ok]
    return np.array([sorted(values, reverse=True) for values in spectra if isinstance(values, list) and values])


POSTERIORS = {"deterministic": "deterministic: points", "diagonal": "diagonal covariance", "full": "full covariance"}


def latent_plane(view: View) -> "Figure | None":
    """Where the encoder puts test examples: points, and 2-sigma ellipses of q(z|x) where it has a covariance.

    One panel for each kind of posterior in `POSTERIORS` that the records hold, from the plainest row of that kind.
    """
    chosen: list[tuple[Row, Mapping[str, np.ndarray]]] = []
    for posterior in POSTERIORS:
        candidates = [
            (row, view.artefacts[record.id])
            for row in view.rows
            for record in row.ok[:1]
            if row.model.posterior == posterior and _has_plane(view.artefacts.get(record.id, {}))
        ]
        chosen += sorted(candidates, key=lambda pair: _plainness(pair[0]))[:1]
    if not chosen:
        return None
    labels = sorted({int(label) for _, arrays in chosen for label in arrays["labels"]})
    few = 1 < len(labels) <= 10
    with panels(max(4.1 * len(chosen) + few, 5.5), 4.5, across=len(chosen)) as (figure, axes):
        for axis, (row, arrays) in zip(axes, chosen, strict=True):
            _latent_panel(axis, arrays, labels)
            axis.set_title(f"{row.label}\n{POSTERIORS[str(row.model.posterior)]}", fontsize=11)
            if row.model.prior == "standard_normal" and row.model.posterior != "deterministic":
                _ellipses(axis, np.zeros((1, 2)), np.eye(2)[None], [INK], dashed=True)
        if few:
            handles = [axis.plot([], [], "o", color=_label_colour(labels, label), markersize=6)[0] for label in labels]
            figure.legend(handles, list(map(str, labels)), loc="outside right center", frameon=False, title="class")
        add_title(
            figure,
            f"The latent plane: {view.where}",
            "Two latent axes, test examples coloured by class. Ellipses: two standard deviations of q(z|x). "
            "Dashed: the same for the prior N(0, I). First seed; scales differ between panels.",
        )
    return figure


def _has_plane(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether an artefact holds a latent plane: a model with a single latent axis has none."""
    needed = ("latent_mean", "latent_cov", "latent_axes", "labels")
    return all(name in arrays for name in needed) and arrays["latent_mean"].shape[1:] == (2,)


def _plainness(row: Row) -> tuple[int, list[bool], str]:
    """Sorts the row first that differs least from a plain multilayer perceptron trained on its ELBO."""
    plain = {"network": "mlp", "prior": "standard_normal", "objective": "elbo"}
    return len(row.overrides), [getattr(row.model, key) != value for key, value in plain.items()], row.label


def _latent_panel(axis: "Axes", arrays: Mapping[str, np.ndarray], labels: list[int]) -> None:
    mean, covariance = arrays["latent_mean"][:SHOWN], arrays["latent_cov"][:SHOWN]
    colours = [_label_colour(labels, int(label)) for label in arrays["labels"][:SHOWN]]
    spread = bool(np.any(covariance))
    axis.scatter(mean[:, 0], mean[:, 1], s=5 if spread else 14, c=colours, linewidth=0, alpha=0.9, zorder=2)
    if spread:
        _ellipses(axis, mean[:ELLIPSES], covariance[:ELLIPSES], colours[:ELLIPSES])
    first, second = (int(index) for index in arrays["latent_axes"])
    axis.set_xlabel(f"latent axis {first}")
    axis.set_ylabel(f"latent axis {second}")
    axis.set_aspect("equal", adjustable="datalim")
    axis.locator_params(nbins=6)
    axis.margins(0.08)


def _label_colour(labels: list[int], label: int) -> str:
    from matplotlib.colors import to_hex
    from seaborn import color_palette

    if len(labels) == 1:
        return COLOURS[0]
    palette = color_palette("colorblind", 10) if len(labels) <= 10 else color_palette("viridis", len(labels))
    return str(to_hex(palette[labels.index(label)]))


def _ellipses(
    axis: "Axes", mean: np.ndarray, covariance: np.ndarray, colours: Sequence[str], *, dashed: bool = False
) -> None:
    """Outlines at two standard deviations: mean `[P, 2]`, covariance `[P, 2, 2]`."""
    from matplotlib.collections import EllipseCollection

    variances, vectors = np.linalg.eigh(covariance)
    # An ellipse's width is its whole axis: twice two standard deviations.
    sizes = 4 * np.sqrt(np.maximum(variances, 0))
    angles = np.degrees(np.arctan2(vectors[:, 1, 0], vectors[:, 0, 0]))
    style: Any = {"facecolors": list(colours), "alpha": 0.25, "linewidths": 0.8, "zorder": 1}
    if dashed:
        style = {"facecolors": "none", "linestyles": "dashed", "linewidths": 1.3, "zorder": 3}
    offsets: Any = {"units": "xy", "offsets": mean, "offset_transform": axis.transData}
    axis.add_collection(
        EllipseCollection(sizes[:, 0], sizes[:, 1], angles, edgecolors=list(colours), **offsets, **style)
    )


PLOTS = [
    Plot("kl_per_dimension", "group", kl_per_dimension, order=5),
    Plot("latent_plane", "setting", latent_plane, order=10),
]
