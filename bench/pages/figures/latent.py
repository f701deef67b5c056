"""The latent space: KL per dimension, and the plane of two dimensions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.pages.figures.bars import left_out, where_of
from bench.pages.figures.pictures import Artefacts
from bench.pages.figures.style import COLOURS, INK, Style, add_title, house_style, new_figure
from bench.stats.groups import Group, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Ellipses of more examples than this hide each other.
SHOWN = 250
# A latent unit whose posterior mean varies by no more than this over the data is inactive (Burda, Grosse and
# Salakhutdinov 2016, arXiv:1509.00519, section 5.2). The judge has the same number, in a module that needs torch.
ACTIVE_VARIANCE = 0.01
# A collapsed dimension's KL is anything down to exactly zero, which a logarithmic axis cannot show.
LEAST_KL = 1e-4


def kl_per_dimension(group: Group, looks: Mapping[str, Style]) -> "Figure | None":
    """KL of every latent dimension, sorted falling, and the variance of its posterior mean, which makes it active."""
    from matplotlib.ticker import MaxNLocator

    panels = {
        "kl_per_dim": "KL of the dimension (nats)",
        "mean_variance": "variance of the posterior mean over the data",
    }
    found = {name: {row: values for row in group.rows if len(values := _spectra(row, name))} for name in panels}
    rows = [row for row in group.rows if row in found["kl_per_dim"]]
    if not rows:
        return None
    panels = {name: label for name, label in panels.items() if found[name]}
    with house_style():
        figure = new_figure(4.6 * len(panels) + 2.2, max(4.4, 0.8 + 0.22 * len(rows)))
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (name, label) in zip(axes, panels.items(), strict=True):
            for row, values in found[name].items():
                look = looks[row.name]
                ranks = np.arange(1, values.shape[1] + 1)
                values = np.maximum(values, LEAST_KL)
                axis.plot(
                    ranks,
                    values.mean(0),
                    color=look.colour,
                    marker=look.marker,
                    markersize=4.5,
                    linewidth=1.6,
                    label=row.label,
                )
                axis.fill_between(ranks, values.min(0), values.max(0), color=look.colour, alpha=0.18, linewidth=0)
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter("")
            # Two powers of ten at the least, so that the scale is seen to be logarithmic.
            bottom, top = axis.get_ylim()
            axis.set_ylim(min(bottom, 0.05), max(top, 2))
            axis.set_ylabel(label)
            axis.set_xlabel("latent dimension, the largest first")
            axis.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            axis.grid(axis="x", visible=False)
        if "mean_variance" in panels:
            axes[-1].axhline(ACTIVE_VARIANCE, color=INK, linestyle="--", linewidth=1.2)
            bottom, top = axes[-1].get_ylim()
            axes[-1].set_ylim(min(bottom, ACTIVE_VARIANCE / 5), max(top, ACTIVE_VARIANCE * 5))
            axes[-1].annotate(
                f"inactive: {ACTIVE_VARIANCE} or less",
                (0.015, ACTIVE_VARIANCE),
                xycoords=axes[-1].get_yaxis_transform(),
                xytext=(0, -4),
                textcoords="offset points",
                va="top",
                fontsize=9.5,
                color=INK,
            )
        axes[-1].legend(
            loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, title="best ELBO first", alignment="left"
        )
        note = (
            "KL(q(z_d|x) || p(z_d)) of each latent dimension, mean over test examples, sorted within each seed; near "
            "zero the dimension has collapsed onto the prior. Correlated posteriors count by their marginals."
        )
        if "mean_variance" in panels:
            note = f"Left: {note} Right: the same for the variance that decides whether a dimension is an active unit."
        note += " Line: mean over seeds; band: lowest to highest seed. Logarithmic y axes"
        note += f"; values below {LEAST_KL:g} are drawn at it." if _below(found, LEAST_KL) else "."
        missing = left_out(group, rows, "mutual_information_nats", "posterior or prior is no Gaussian")
        add_title(figure, f"KL per latent dimension: {where_of(group)}", note + missing)
    return figure


def _spectra(row: Row, name: str) -> np.ndarray:
    """`[seeds, D]`: `record.latent[name]` of every ok seed that has it, each sorted falling."""
    found = [record.latent.get(name) for record in row.ok]
    return np.array([sorted(values, reverse=True) for values in found if isinstance(values, list) and values])


def _below(found: Mapping[str, Mapping[Row, np.ndarray]], least: float) -> bool:
    return any(float(values.min()) < least for rows in found.values() for values in rows.values())


POSTERIORS = {
    "deterministic": "deterministic: points",
    "diagonal": "diagonal covariance",
    "full": "full covariance",
}


def latent_plane(rows: Sequence[Row], artefacts: Artefacts, where: str) -> "Figure | None":
    """Where the encoder puts test examples: points, and 2-sigma ellipses of q(z|x) where it has a covariance.

    One panel for each kind of posterior in `POSTERIORS` that the records hold, from the plainest row of that kind.
    """
    chosen: list[tuple[Row, Mapping[str, np.ndarray]]] = []
    for posterior in POSTERIORS:
        candidates = [
            (row, artefacts[record.id])
            for row in rows
            for record in row.ok[:1]
            if row.model.posterior == posterior and _has_plane(artefacts.get(record.id, {}))
        ]
        chosen += sorted(candidates, key=lambda pair: _plainness(pair[0]))[:1]
    if not chosen:
        return None
    labels = sorted({int(label) for _, arrays in chosen for label in arrays["labels"]})
    with house_style():
        figure = new_figure(max(4.1 * len(chosen) + (1.0 if 1 < len(labels) <= 10 else 0), 5.5), 4.5)
        for axis, (row, arrays) in zip(figure.subplots(1, len(chosen), squeeze=False)[0], chosen, strict=True):
            _latent_panel(axis, arrays, labels)
            axis.set_title(f"{row.label}\n{POSTERIORS[str(row.model.posterior)]}", fontsize=11)
            if row.model.prior == "standard_normal" and row.model.posterior != "deterministic":
                _ellipses(axis, np.zeros((1, 2)), np.eye(2)[None], [INK], dashed=True)
        if 1 < len(labels) <= 10:
            handles = [axis.plot([], [], "o", color=_label_colour(labels, label), markersize=6)[0] for label in labels]
            figure.legend(handles, list(map(str, labels)), loc="outside right center", frameon=False, title="class")
        add_title(
            figure,
            f"The latent plane: {where}",
            "Two latent axes, test examples coloured by class. Ellipses: two standard deviations of q(z|x). "
            "Dashed: the same for the prior N(0, I). First seed; scales differ between panels.",
        )
    return figure


def _has_plane(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether an artefact holds a latent plane: a model with a single latent axis has none."""
    needed = ("latent_mean", "latent_cov", "latent_axes", "labels")
    return all(name in arrays for name in needed) and arrays["latent_mean"].shape[1:] == (2,)


def _plainness(row: Row) -> tuple[int, bool, bool, bool, str]:
    """Sorts the row first that differs least from a plain multilayer perceptron trained on its ELBO."""
    model = row.model
    return (
        len(row.overrides),
        model.network != "mlp",
        model.prior != "standard_normal",
        model.objective != "elbo",
        row.label,
    )


def _latent_panel(axis: "Axes", arrays: Mapping[str, np.ndarray], labels: list[int]) -> None:
    mean, covariance = arrays["latent_mean"][:SHOWN], arrays["latent_cov"][:SHOWN]
    colours = [_label_colour(labels, int(label)) for label in arrays["labels"][:SHOWN]]
    spread = bool(np.any(covariance))
    axis.scatter(mean[:, 0], mean[:, 1], s=5 if spread else 14, c=colours, linewidth=0, alpha=0.9, zorder=2)
    if spread:
        _ellipses(axis, mean, covariance, colours)
    first, second = (int(place) for place in arrays["latent_axes"])
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
    axis.add_collection(
        EllipseCollection(
            sizes[:, 0],
            sizes[:, 1],
            angles,
            units="xy",
            offsets=mean,
            offset_transform=axis.transData,
            facecolors="none" if dashed else list(colours),
            edgecolors=list(colours),
            alpha=1 if dashed else 0.25,
            linewidths=1.3 if dashed else 0.8,
            linestyles="dashed" if dashed else "solid",
            zorder=3 if dashed else 1,
        )
    )
