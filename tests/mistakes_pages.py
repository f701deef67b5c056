"""Mistakes in what pages say of figures that are right; the numbers are those of `tests.mistakes`."""

from tests.mutants import made

# fmt: off
OF_PAGES = [
    *made("bench/stats/ranks.py", ("tests/stats/test_answer.py",), [
        (10, "mean_ranks_tied_beyond_the_critical_difference", "rows that differ are joined by a bar",
         "if means[b] - means[a] < self.critical", "if means[b] - means[a] <= 2 * self.critical"),
    ]),
    *made("bench/pages/readme.py", ("tests/pages/test_readme.py",), [
        (10, "answers_of_an_old_protocol", "the front page recommends by figures that no longer compare",
         "return max(groups(records), key=rank)", "return min(groups(records), key=rank)"),
        (10, "protocols_in_the_order_of_letters", "1.9 is taken for newer than 1.10",
         "numbers = [int(each) for each in", "numbers = [each for each in"),
        (18, "answers_of_short_trainings_before_those_of_long_ones", "standard speaks where converged is there",
         'SUITES = ("converged", "standard")', 'SUITES = ("standard", "converged")'),
    ]),
    *made("bench/reproduce/plot.py", ("tests/reproduce/test_plot.py",), [
        (14, "picture_that_ignores_the_sign", "a negative ELBO is drawn as an ELBO",
         "if finding.sign < 0:", "if finding.sign < -1:"),
        (14, "figures_of_two_sources_drawn_as_one", "a second published figure of the same run is not drawn",
         "same = finding.run, finding.published, finding.source, finding.verdict", "same = finding.run"),
    ]),
    *made("bench/pages/figures/elbo.py", ("tests/pages/test_figures.py",), [
        (20, "seconds_of_a_training_taken_for_those_of_an_epoch", "every epoch takes as long as the training",
         "return sum(seconds.values()) / epochs", "return sum(seconds.values()) / len(seconds)"),
        (20, "seconds_over_the_shared_epochs", "where a seed stopped early each epoch of the others takes longer",
         "sum(max(curve_of(record), default=0) for", "len(seconds) * min(max(curve_of(record), default=0) for"),
    ]),
]
# fmt: on
