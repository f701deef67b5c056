"""What the best of so many trials is expected to reach."""

from typing import TYPE_CHECKING

from bench.pages.figures.bars import legend_beside
from bench.pages.figures.plot import Plot, View
from bench.pages.figures.style import add_title, look, panels
from bench.stats import metrics
from bench.stats.tuning import tuned

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def expected_best(view: View) -> "Figure | None":
    """A panel for each search: the expected best figure on the validation split against the number of trials.

    Source: Dodge et al. 2019, arXiv:1909.03004.
    """
    found = [each for each in tuned(view.groups, view.trials) if any(tried.expected for tried in each.tried)]
    if not found:
        return None
    with panels(9.5, 4.6 * len(found), len(found)) as (figure, axes):
        for axis, each in zip(axes, found, strict=True):
            entry = metrics.metric(each.metric)
            shown = [tried for tried in each.tried if tried.expected]
            # The best first, as everywhere.
            for tried in sorted(shown, key=lambda t: t.expected[-1], reverse=entry.better == "higher"):
                style = look(tried.variant, tried.overrides)
                numbers = range(1, len(tried.expected) + 1)
                axis.plot(numbers, tried.expected, color=style.colour, marker=style.marker, label=tried.name)
            axis.set_xlabel("number of trials")
            unit = f" ({entry.unit})" if entry.unit else ""
            better = f"{entry.better} is better {'→' if entry.better == 'higher' else '←'}"
            axis.set_ylabel(f"expected best validation {entry.label}{unit}, {better}")
            axis.locator_params(axis="x", integer=True)
            if len(found) > 1:
                axis.set_title(f"{each.tuned.settings['support']} likelihood")
            legend_beside(axis, title="best first")
        note = (
            "Of so many trials, each drawn anew from those that were made; a trial that failed counts as the worst. A "
            "line that still rises (falls, where lower is better) says that more trials would pay."
        )
        add_title(figure, f"What trials are worth: {view.dataset}", f"{view.budget} {note}")
    return figure


PLOTS = [Plot("tuning", "dataset", expected_best, order=45)]
