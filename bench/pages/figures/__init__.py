"""Records -> figures that can be read without their page.

Every function that draws returns a matplotlib `Figure`, or None where the records hold nothing to show. Figures are
made without pyplot, and the style is set only while one is drawn, so importing or calling these modules changes no
global state. `style.png` and `style.svg` turn a figure into bytes that are the same for the same records.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.pages.figures import bars, elbo, gaps, latent, pictures, rate_distortion, speed, style
from bench.pages.figures.pictures import Artefacts
from bench.records.names import canonical, digest, slug
from bench.records.record import Record
from bench.stats import speeds
from bench.stats.groups import Group, apart, by_dataset, groups

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def all_figures(records: Sequence[Record], artefacts: Artefacts) -> Iterator[tuple[str, str, "Figure"]]:
    """Every figure that the records allow: (data set, file name without an ending, figure).

    ELBO plots are drawn per comparison group and named `<data set>-<support>_<plot>`; throughput, images and the latent
    plane rank nothing, so they show all groups of a data set together, one figure for each budget. The group's
    hexadecimal name is added where a data set holds several that differ in more than their support.
    """
    looks = style.styles(records)
    for dataset, found in by_dataset(records).items():
        own = [bars.shown(group) for group in groups(found)]
        supports = Counter(group.settings["support"] for group in own)
        words = {
            name: text
            for support in supports
            for name, text in apart([group for group in own if group.settings["support"] == support]).items()
        }
        own = [replace(group, apart=words[group.id]) for group in own]
        for group in own:
            name = f"{dataset}-{slug(str(group.settings['support']))}"
            if supports[group.settings["support"]] > 1:
                name += f"-{group.id}"
            for kind, figure in (
                ("elbo_by_variant", elbo.elbo_by_variant(group, looks)),
                ("rate_distortion", rate_distortion.rate_distortion(group, looks)),
                ("inference_gaps", gaps.inference_gaps(group)),
                ("elbo_surgery", gaps.elbo_surgery(group)),
                ("kl_per_dimension", latent.kl_per_dimension(group, looks)),
                ("evidence", gaps.evidence(group)),
                ("learning_curves", elbo.learning_curves(group, looks)),
            ):
                if figure is not None:
                    yield dataset, f"{name}_{kind}", figure
        if (figure := speed.throughput(speeds.throughput(found, dataset), looks, dataset)) is not None:
            yield dataset, f"{dataset}_throughput", figure
        together: dict[str, list[Group]] = {}
        for group in own:
            together.setdefault(canonical({**group.settings, "support": None}), []).append(group)
        for setting, members in together.items():
            rows = sorted((row for group in members for row in group.rows), key=lambda row: row.label)
            words_of = next((f", {group.apart}" for group in members if group.apart), "")
            where = f"{dataset}{words_of}{bars.selection(members)}"
            name = f"{dataset}-{digest(setting)}" if len(together) > 1 else dataset
            for kind, show in (
                ("reconstructions", pictures.reconstructions),
                ("samples", pictures.samples),
                ("latent_plane", latent.latent_plane),
            ):
                if (figure := show(rows, artefacts, where)) is not None:
                    yield dataset, f"{name}_{kind}", figure
