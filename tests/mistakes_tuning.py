"""Mistakes in tuning; the numbers are those of `tests.mistakes`."""

from tests.mutants import made

IN_STATS = ("tests/stats/test_tuning.py",)
IN_TUNE = ("tests/sweeps/test_tune.py",)
IN_SEARCH = ("tests/suites/test_search.py",)

# fmt: off
OF_TUNING = [
    *made("bench/cells/run.py", IN_TUNE, [
        (12, "trials_judged_on_test", "settings are chosen by what shall judge them",
         "judged = loaded.without_test() if result.kind == record.TRIAL else loaded", "judged = loaded"),
    ]),
    *made("bench/data/batches.py", IN_TUNE, [
        (12, "test_split_behind_another_name", "it is called the validation split, and is the test split",
         "split = self._instead.get(split, split)", "split = split + ''"),
        (12, "factors_of_the_test_split", "codes of validation examples beside the factors of test examples",
         '"test": self.factors.values["valid"]', '"test": self.factors.values["test"]'),
    ]),
    *made("bench/records/store.py", IN_TUNE, [
        (12, "trials_shown_as_results", "runs that chose settings stand among those that judge them",
         '= ("quality", "throughput")', '= ("quality", "throughput", "trial")'),
    ]),
    *made("bench/sweeps/tune.py", IN_TUNE, [
        (12, "chosen_by_seeds_that_judge", "the luck of a trial's seed is counted again as its settings' merit",
         "FIRST_SEED + n, device, n", "n, device, n"),
        (2, "trial_without_its_step_size", "what was drawn for the budget stays in the name alone",
         'structs.replace(Budget(**plain["budget"]), **budget).plain()', 'plain["budget"]'),
    ]),
    *made("bench/suites/search.py", IN_SEARCH, [
        (12, "log_range_drawn_linearly", "nine trials in ten have the highest step sizes",
         "low * (top / low) ** share if self.log else", "low + share * (top - low) if self.log else"),
        (12, "draws_by_one_key", "a step size is always as far in its range as beta is",
         'f"{self.stream}:{key}:{trial}"', 'f"{self.stream}:{trial}"'),
        (12, "whole_numbers_without_the_last", "the highest value of a range is never tried",
         "top = high + 1 if whole else high", "top = high"),
    ]),
    *made("bench/stats/tuning.py", IN_STATS, [
        (12, "worst_trial_chosen", "the direction of the metric turned round",
         "return metrics.metric(metric_of(trial)).sign", "return 1"),
        (12, "last_of_equal_trials", "what is chosen depends on more than figures and numbers",
         "(_sign(pair[1]) * pair[0], _number(pair[1]))", "(_sign(pair[1]) * pair[0], -_number(pair[1]))"),
        (9, "failed_trials_that_count", "a trial that diverged is chosen by the figure it had before",
         'known = trial.status == "ok" and ', "known = "),
        (9, "failed_trials_left_out", "a search half of which fails is worth as much as one that never does",
         "values + [worst] * (len(self.trials) - len(values))", "values"),
        (12, "expected_best_of_worst_first", "the best of more trials gets worse",
         "ordered = sorted(values, reverse=not higher)", "ordered = sorted(values, reverse=higher)"),
        (12, "expected_best_off_by_one", "the best of one trial is no longer their mean",
         "((i + 1) / of) ** n - (i / of) ** n", "((i + 1) / of) ** (n + 1) - (i / of) ** (n + 1)"),
        (11, "swaps_that_no_interval_carries", "an order that noise turned round is called sure",
         "return all(c.low is not None", "return any(c.low is None or c.low is not None"),
    ]),
    *made("bench/pages/tuning.py", ("tests/pages/test_tuning.py",), [
        (12, "edge_of_what_was_tried_unsaid", "the best of a range that is too narrow passes for the best there is",
         "value in (min(drawn), max(drawn))", "value == max(drawn)"),
    ]),
    *made("bench/stats/groups.py", IN_STATS, [
        (2, "tuned_beside_untuned", "what had eight trials is ranked among what had none",
         '**({"tuned": tuning["search"]} if tuning else {}),', ""),
        (10, "tuned_apart_by_their_choice", "each step size makes a group of its own, and nothing is compared",
         '"budget": (tuning or cell)["budget"],', '"budget": cell["budget"],'),
    ]),
]
# fmt: on
