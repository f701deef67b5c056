"""The latent space: KL per dimension, and the plane of two dimensions."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.data.sets import classes
from bench.pages.figures.bars import left_out, rows_axis
from bench.pages.figures.plot import Plot, View
from bench.pages.figures.style import CLASSES, COLOURS, INK, add_title, panels
from bench.stats.groups import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# More points than this hide each other, and more ellipses.
SHOWN, ELLIPSES = 250, 20
# A latent unit whose posterior mean varies by no more than this over the data is inactive (Burda, Grosse and
# Salakhutdinov 2016, arXiv:1509.00519, section 5.2). The judge has the same number, in a module that needs torch.
ACTIVE_VARIANCE = 0.01
# A collapsed dimension's KL is anything down to exactly zero, which a logarithmic axis cannot show.
LEAST_KL = 1e-3


def kl_per_dimension(view: View) -> "Figure | None":
    """Where posteriors collapse: the KL of every latent dimension of every row, sorted falling, as a heat map."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import MaxNLocator

    spectra = {row: v.mean(0) for row in view.group.rows if len(v := _spectra(row, "kl_per_dim"))}
    rows = list(spectra)
    if not rows:
        return None
    most = max(map(len, spectra.values()))
    grid = np.full((len(rows), most), np.nan)
    for y, values in enumerate(spectra.values()):
        grid[y, : len(values)] = np.maximum(values, LEAST_KL)
    with panels(9.5, 1.3 + 0.42 * len(rows), grid=False) as (figure, (axis,)):
        top = max(float(np.nanmax(grid)), 1.0)
        shade: Any = {"norm": LogNorm(LEAST_KL, top), "cmap": "viridis", "edgecolors": "white", "linewidth": 0.6}
        mesh = axis.pcolormesh(np.arange(most + 1) + 0.5, np.arange(len(rows) + 1) - 0.5, grid, **shade)
        rows_axis(axis, rows)
        axis.xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
        axis.set_xlabel("latent dimension, the largest KL first")
        bar = figure.colorbar(mesh, ax=axis, pad=0.11, format="{x:g}")
        bar.set_label("KL (nats)")
        style: Any = {"va": "center", "fontsize": 9.5, "color": INK, "annotation_clip": False}
        for y, row in enumerate(rows):
            if values := _spectra(row, "mean_variance").tolist():
                active = np.mean([sum(value > ACTIVE_VARIANCE for value in seed) for seed in values])
                axis.annotate(f"{active:.3g} active", (1.01, y), xycoords=axis.get_yaxis_transform(), **style)
        note = (
            "KL(q(z_d|x) || p(z_d)) of each latent dimension: mean over test examples, sorted within each seed, then "
            f"mean over seeds; {LEAST_KL:g} nats and less look alike. A dark dimension has collapsed onto the prior. "
            "Correlated posteriors count by their marginals. Active: the posterior mean varies by more than "
            f"{ACTIVE_VARIANCE} over the data."
        )
        missing = left_out(view.group, rows, "mutual_information_nats", "posterior or prior is no Gaussian")
        add_title(figure, f"KL per latent dimension: {view.where}", note + missing)
    return figure


def _spectra(row: Row, name: str) -> np.ndarray:
    """`[seeds, D]`: `record.latent[name]` of every ok seed that has it, each sorted falling."""
    spectra = [record.latent.get(name) for record in row.ok]
    return np.array([sorted(values, reverse=True) for values in spectra if isinstance(values, Sequence) and values])


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
            words = dict(enumerate(classes(view.groups[0].settings["dataset"])))
            names = [words.get(label, str(label)) for label in labels]
            figure.legend(handles, names, loc="outside right center", frameon=False, title="class")
        add_title(
            figure,
            f"The latent plane: {view.where}",
            "The two latent axes along which the posterior mean varies most; test examples coloured by class. "
            f"Ellipses: two standard deviations of q(z|x), of the first {ELLIPSES} examples. "
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
    return len(json.loads(row.overrides)), [getattr(row.model, key) != value for key, value in plain.items()], row.label


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
    palette = CLASSES if len(labels) <= len(CLASSES) else color_palette("viridis", len(labels))
    return str(to_hex(palette[labels.index(label)]))


def _ellipses(
    axis: "Axes", mean: np.ndarray, covariance: np.ndarray, colours: Sequence[str], *, dashed: bool = False
) -> None:
    """Outlines at two standard deviations: mean `[P, 2]`, covariance `[P, 2, 2]`."""
    from matplotlib.collections import EllipseCollection
    from matplotlib.colors import to_rgba_array

    variances, vectors = np.linalg.eigh(covariance)
    # An ellipse's width is its whole axis: twice two standard deviations.
    sizes = 4 * np.sqrt(np.maximum(variances, 0))
    angles = np.degrees(np.arctan2(vectors[:, 1, 0], vectors[:, 0, 0]))
    # Outlines, so that wide ones hide neither the points nor each other.
    style: Any = {"facecolors": to_rgba_array(list(colours), 0.06), "linewidths": 0.9, "zorder": 1}
    if dashed:
        style = {"facecolors": "none", "linestyles": "dashed", "linewidths": 1.3, "zorder": 3}
    offsets: Any = {"units": "xy", "offsets": mean, "offset_transform": axis.transData}
    axis.add_collection(
        EllipseCollection(sizes[:, 0], sizes[:, 1], angles, edgecolors=list(colours), **offsets, **style)
    )


PLOTS = [
    Plot("kl_per_dimension", "group", kl_per_dimension, order=7, compares=("kl_nats",)),
    Plot("latent_plane", "setting", latent_plane, order=12),
]
