"""Mistakes that no test had noticed until a law was written for each; the numbers are those of `tests.mistakes`."""

from tests.mutants import made

MOMENTS = ("tests/variants/test_moments.py",)
TOGETHER = ("tests/judge/test_put_together.py",)

# fmt: off
OF_LAWS = [
    *made("variants/core/support.py", ("tests/variants/test_support.py",), [
        (25, "bits_counted_by_their_product", "D bits have 2^D points, not 2 D",
         "values ** d.event_shape.numel()", "values * d.event_shape.numel()"),
    ]),
    *made("variants/core/blocks.py", MOMENTS, [
        (25, "entropy_of_one_block", "that of independent blocks is a sum",
         "[block.entropy() for block in self.blocks]).sum(0)", "[block.entropy() for block in self.blocks]).mean(0)"),
    ]),
    *made("variants/parts/posteriors.py", MOMENTS, [
        (25, "columns_scaled_for_rows", "correlated noise does not shrink with the posterior",
         "scale_tril=scale.unsqueeze(-1) * unit", "scale_tril=scale.unsqueeze(-2) * unit"),
        (25, "sigma_for_its_square", "the covariance of a low rank is no longer scaled by sigma on both sides",
         "factor, scale.square(), validate_args", "factor, scale, validate_args"),
    ]),
    *made("variants/parts/likelihoods.py", ("tests/variants/test_likelihoods.py",), [
        (25, "floor_that_training_cannot_leave", "a maximum has no slope below it",
         "self.floor + functional.softplus(scale)", "functional.softplus(scale).clamp(min=self.floor)"),
    ]),
    *made("variants/parts/networks.py", ("tests/variants/test_heads.py",), [
        (25, "logarithm_less_a_plain_mean", "counts are centred by a number of another scale",
         "mean = mean.log1p() if self.counts else mean\n", "mean = mean\n"),
    ]),
    *made("variants/parts/flows.py", ("tests/variants/test_flows.py",), [
        (25, "shift_without_its_gate", "what is no mean of the point and its shift",
         "return gate, (1 - gate) * m, log_gate.sum(-1)", "return gate, m, log_gate.sum(-1)"),
    ]),
    *made("variants/parts/objectives/games.py", ("tests/variants/test_games.py",), [
        (19, "game_that_saturates", "the encoder learns nothing where the critic is sure",
         "functional.softplus(-frozen(self.critic)(terms.z)).mean(0)",
         "-functional.softplus(frozen(self.critic)(terms.z)).mean(0)"),
    ]),
    *made("bench/judge/evidence.py", ("tests/judge/test_evidence.py",), [
        (11, "common_draws_ignored", "the errors of a difference added as if its ends were independent",
         "return (relative - draws).var(0) / len(draws)", "return (relative.var(0) + draws.var(0)) / len(draws)"),
    ]),
    *made("bench/judge/__init__.py", TOGETHER, [
        (11, "error_of_examples_that_were_not_asked", "the error of a mutual information is that of its points",
         "math.sqrt(values.var().item() / points)", "math.sqrt(values.var().item() / whole)"),
        (11, "error_of_the_control_variate_left_out", "the ELBO of the same examples is an estimate too",
         'gap_var = columns["log_px_var"] + columns["elbo_var"] if', 'gap_var = columns["log_px_var"] if'),
        (11, "no_finite_population_correction", "what all examples have is not sampled a second time",
         "of_gap * (1 / n - 1 / whole)", "of_gap / n"),
        (21, "estimate_where_there_is_the_exact", "the excess over the truth is that of an estimate",
         'name if judgement.metrics.get("nll_exact_nats") is None else "nll_exact_nats"', "name"),
        (4, "simulated_from_below_alone", "both sides of a sandwich are of the same examples",
         "lower = evidence.annealed(model, simulated,", "lower = evidence.annealed(model, x,"),
    ]),
    *made("bench/judge/bounds.py", TOGETHER, [
        (11, "variance_of_one_draw", "that of a mean of K draws is a Kth",
         "return draws.var(0) / len(draws)", "return draws.var(0)"),
    ]),
    *made("bench/judge/gaps.py", ("tests/judge/test_gaps.py",), [
        (22, "search_in_units_of_its_start", "the factor of a low rank keeps the first scales",
         "new.unsqueeze(-1) * v, new.square()", "scale.unsqueeze(-1) * v, new.square()"),
    ]),
    *made("bench/judge/representation.py", ("tests/judge/test_representation.py",), [
        (12, "probe_learnt_where_it_is_judged", "its accuracy is that of its own examples",
         "probe.fit(train, classes).score(test, truth)", "probe.fit(test, truth).score(test, truth)"),
    ]),
    *made("bench/judge/samples.py", ("tests/judge/test_samples.py",), [
        (21, "floor_beside_itself", "training examples are held against the very same ones",
         "fake = train[1::2] if", "fake = train[::2] if"),
    ]),
    *made("bench/judge/codes.py", ("tests/judge/test_codes.py",), [
        (21, "rare_codes_dead", "a code that is used now and then is not dead",
         "(frequency == 0).double()", "(frequency < 1 / count).double()"),
    ]),
    *made("bench/judge/factors.py", ("tests/judge/test_factors.py",), [
        (21, "correlation_for_its_square", "R is no share of variance",
         "each[j, k] = np.corrcoef(axis, v)[0, 1] ** 2", "each[j, k] = abs(np.corrcoef(axis, v)[0, 1])"),
    ]),
    *made("bench/stats/shares.py", ("tests/stats/test_shares.py",), [
        (11, "seeds_taken_for_equally_many", "n0 of unequal numbers is not their mean",
         "(n - sum(len(row) ** 2 for row in kept) / n) / (a - 1)", "n / a"),
        (11, "degrees_of_freedom_exchanged_below", "the lower end lies too low",
         "stats.f.ppf(tail, a - 1, n - a)", "stats.f.ppf(tail, n - a, a - 1)"),
        (11, "degrees_of_freedom_exchanged_above", "the upper end lies too low",
         "stats.f.ppf(tail, n - a, a - 1)", "stats.f.ppf(tail, a - 1, n - a)"),
    ]),
    *made("bench/reproduce/effects.py", ("tests/reproduce/test_effects.py",), [
        (11, "published_errors_added", "two independent errors add in squares",
         "math.hypot(a.stderr, b.stderr)", "a.stderr + b.stderr"),
        (14, "runs_of_the_row_with_more", "an effect has as many runs as both rows have",
         "runs=min(a.runs, b.runs)", "runs=max(a.runs, b.runs)"),
    ]),
    *made("bench/reproduce/published.py", ("tests/reproduce/test_published.py",), [
        (14, "seeds_of_the_wider_place", "a row's own number of seeds is ignored",
         "for layer in reversed(layers) if layer.seeds", "for layer in layers if layer.seeds"),
    ]),
    *made("bench/reproduce/cost.py", ("tests/reproduce/test_listing.py",), [
        (1, "looks_cost_nothing", "the validation split is looked at after each pass",
         " + look * valid / EVAL_BATCH)", ")"),
        (1, "one_step_an_epoch", "an epoch has as many steps as batches",
         "per_step * train / budget.batch_size", "per_step"),
        (1, "gap_steps_counted_once", "a search takes all of its steps",
         "per_step * (measure.gap_steps - 1)", "per_step"),
        (1, "whole_split_costs_nothing", "a budget without a size trains on all examples",
         "budget.train_size or spec.size or 0", "budget.train_size or 0"),
        (1, "more_points_than_there_are", "a test split of 100 has 500 examples",
         "min(measure.nll_points or test, test)", "(measure.nll_points or test)"),
    ]),
    *made("bench/reproduce/verdict.py", ("tests/reproduce/test_verdict.py",), [
        (14, "figures_of_failed_runs", "what a run that failed has measured stands in a mean",
         'ok = [record for record in records.values() if record.status == "ok"]', "ok = list(records.values())"),
        (14, "runs_beyond_the_plan", "five of three runs are there",
         "runs=max(plan.seeds, len(records))", "runs=plan.seeds"),
    ]),
    *made("bench/reproduce/page.py", ("tests/reproduce/test_verdict.py",), [
        (14, "rows_with_all_seeds_named", "what is complete is said to lack seeds",
         "if 0 < len(f.values) < f.runs]", "if 0 < len(f.values) <= f.runs]"),
        (14, "ends_under_each_other_s_names", "the lower end stands in the column of the upper",
         "ours = (s.mean, s.low, s.high, s.std)", "ours = (s.mean, s.high, s.low, s.std)"),
        (14, "epochs_of_the_longest_alone", "a run that stopped early is said to be as long as the others",
         "low, high = min(finding.epochs, default=0),", "low, high = max(finding.epochs, default=0),"),
    ]),
    *made("bench/reproduce/committed.py", ("tests/reproduce/test_verdict.py",), [
        (14, "drift_of_a_whole_deviation", "twice the tolerance that the page states",
         "if std is None else SHARE * std", "if std is None else std"),
        (14, "drift_of_seeds_that_nobody_committed", "our mean is over other seeds than theirs",
         "for seed, value in new.items() if seed in old}", "for seed, value in new.items()}"),
    ]),
    *made("bench/stats/answer.py", ("tests/stats/test_answer.py",), [
        (14, "answer_of_the_fewest_samples", "log p(x) of five draws tells before that of five thousand",
         "        if names:\n            return names[-1]", "        if names:\n            return names[0]"),
        (14, "median_for_the_upper_quartile", "speeds whose quartiles overlap are told apart",
         "median if speed.q3 is None else float(speed.q3)", "median"),
        (14, "all_ahead_of_nobody", "rows of which none is behind are recommended",
         "0 < len(learning) < min(len(rows), MOST_NAMED)", "0 < len(learning) <= min(len(rows), MOST_NAMED)"),
        (14, "held_against_a_row_of_two_seeds", "a verdict of a row that is not judged stands behind the best",
         "row not in best and len(row.values(metric)) >= MIN_SEEDS", "row not in best"),
        (14, "highest_where_lower_is_better", "the least NLL is called the highest",
         'most = "lowest" if metrics.metric(metric).better == "lower" else "highest"', 'most = "highest"'),
        (14, "per_cent_with_the_digits_of_a_share", "an accuracy has two digits too many",
         'entry.digits - 2, 100, " %"', 'entry.digits, 100, " %"'),
        (14, "one_more_is_not_said", "the fifth of five names is lost",
         "(rest := len(labels) - len(shown)) > 0", "(rest := len(labels) - len(shown)) > 1"),
    ]),
    *made("bench/stats/ranks.py", ("tests/stats/test_answer.py",), [
        (14, "ranks_of_an_elbo_for_all", "of an NLL the worst has the first rank",
         "sign = metrics.metric(metric).sign", "sign = -1"),
    ]),
    *made("bench/train/steps.py", ("tests/train/test_steps.py",), [
        (1, "sum_over_the_batch", "Adam's epsilon is stated for the mean",
         "values.mean().backward()", "values.sum().backward()"),
    ]),
    *made("bench/train/state.py", ("tests/train/test_loop.py",), [
        (2, "equals_move_the_best_epoch", "patience is never at its end where nothing changes",
         "elbo <= self.elbo", "elbo < self.elbo"),
    ]),
    *made("bench/train/diverged.py", ("tests/train/test_diverged.py",), [
        (25, "size_of_a_batch_and_not_of_a_mean", "how large the loss was is said of an example",
         "abs(losses[broken - 1]) / now.budget.batch_size", "abs(losses[broken - 1])"),
    ]),
    *made("bench/data/binarise.py", ("tests/data/test_batches.py",), [
        (10, "noise_of_the_place_in_a_batch", "streamed examples have other zeros and ones than those that are held",
         ".random(image.shape)\n        binary[i]",
         ".random(image.shape) if first == 0 else np.random.default_rng(i).random(image.shape)\n        binary[i]"),
    ]),
    *made("bench/data/factors.py", ("tests/data/test_factors.py",), [
        (21, "factors_of_other_examples", "the last of a split beside its first images",
         "{split: self.values[split][:n] for", "{split: self.values[split][-n:] for"),
    ]),
    *made("bench/data/entry.py", ("tests/data/test_sets.py",), [
        (9, "rest_of_a_division_dropped", "up to nine examples are in no split",
         "n - 2 * (n // 10)", "n - 2 * (n // 10) - n % 10"),
    ]),
    *made("bench/cells/prepare.py", ("tests/cells/test_run.py",), [
        (13, "all_seeds_begin_alike", "the spread over seeds leaves out where weights begin",
         'seeds.derive(seed, "init")', 'seeds.derive(0, "init")'),
        (25, "whole_batches_refused", "a last batch of one is what batch normalisation cannot have",
         "if size % batch_size == 1 and", "if size % batch_size == 0 and"),
    ]),
    *made("bench/cells/run.py", ("tests/cells/test_run.py",), [
        (13, "measured_with_other_kernels", "half of a measurement is of one processor, half of another",
         "made.versions, made.cpu_kernels, made", "made.versions, made"),
        (1, "training_counted_as_measuring", "a run's training is counted twice",
         '"measure_s": time.perf_counter() - started',
         '"measure_s": time.perf_counter() - started + training["train_s"]'),
    ]),
    *made("bench/cells/clock.py", ("tests/cells/test_clock.py",), [
        (1, "work_of_a_batch", "a variant's work an example grows with the batch",
         "training_flops(model, x) / full / 1e6", "training_flops(model, x) / 1e6"),
    ]),
    *made("bench/cells/pictures.py", ("tests/cells/test_pictures.py",), [
        (25, "plane_of_the_dead_axes", "the latent plane is that of the axes that vary least",
         ".topk(min(2, mean.shape[-1])).indices", ".topk(min(2, mean.shape[-1]), largest=False).indices"),
        (25, "covariance_of_draws_over_their_number", "a covariance of K draws is divided by K - 1",
         "/ (MOMENT_DRAWS - 1)", "/ MOMENT_DRAWS"),
    ]),
    *made("bench/cells/weights.py", ("tests/cells/test_weights.py",), [
        (13, "weights_of_another_protocol", "a training of older code is taken for this one's",
         "json.dumps([PROTOCOL, *(cell", "json.dumps([*(cell"),
    ]),
    *made("variants/parts/pixel_decoder.py", ("tests/variants/test_pixel_decoder.py",), [
        (1, "noise_twice", "the images of a mean lean to one side, and so does it",
         "torch.cat([u, 1 - u])", "torch.cat([u, u])"),
    ]),
    *made("variants/parts/hamiltonian.py", ("tests/variants/test_refined.py",), [
        (22, "momenta_of_the_variance_t_squared", "they are cooled to another variance than the prior's",
         "heat = (0.5 * self.log_heat).exp()", "heat = self.log_heat.exp()"),
    ]),
    *made("variants/parts/conv_ladder.py", ("tests/variants/test_conv_ladder.py",), [
        (15, "blocks_that_vanish_in_a_deep_trunk", "independent additions grow with the root of their number",
         "len(sides) ** -0.5", "1 / len(sides)"),
    ]),
    *made("variants/parts/objectives/rates.py", ("tests/variants/test_rates.py",), [
        (2, "multiplier_of_the_last_batch", "lambda follows the noise of a batch",
         "(self.rate * self.average).exp()", "(self.rate * constraint).exp()"),
        (2, "average_that_forgets_at_once", "a moving average of one batch",
         "clamp(min=1 - self.momentum)", "clamp(min=self.momentum)"),
    ]),
    *made("bench/judge/samples.py", ("tests/judge/test_samples.py",), [
        (21, "radii_of_the_first_block", "the balls of other examples than those that are asked",
         "of_fake[start : start + len(distances), None]", "of_fake[: len(distances), None]"),
        (21, "cells_weigh_alike", "a cell of twenty examples counts as one of a thousand",
         "total += len(far) * _mann_whitney(near, far)\n            weight += len(far)",
         "total += _mann_whitney(near, far)\n            weight += 1"),
    ]),
    *made("bench/judge/factors.py", ("tests/judge/test_factors.py",), [
        (21, "robustness_of_axes_that_weigh_alike", "an axis that hardly moves counts as one that does",
         "(robust.max(1) * moves).sum() / moves.sum()", "robust.max(1).mean()"),
    ]),
    *made("bench/judge/latent.py", ("tests/judge/test_latent.py",), [
        (1, "median_of_a_class", "figures of classes do not add up to that of all",
         "values[labels == label].mean()", "values[labels == label].median()"),
    ]),
    *made("bench/judge/evidence.py", ("tests/judge/test_evidence.py",), [
        (4, "steps_of_the_warm_up", "temperatures have the steps of others",
         "sizes[len(sizes) - len(inner) :]", "sizes[: len(inner)]"),
        (4, "way_back_with_the_steps_of_the_way_there", "cold chains move by the steps of hot ones",
         "betas[::-1], sizes[::-1]", "betas[::-1], sizes"),
    ]),
    *made("bench/judge/bounds.py", ("tests/judge/test_judge.py",), [
        (11, "variance_of_means_over_n", "an axis is active or not by the number of examples",
         "correction=min(1, len(z) - 1)", "correction=0"),
    ]),
    *made("bench/cells/clock.py", ("tests/cells/test_clock.py",), [
        (11, "quartiles_beyond_the_blocks", "of few blocks the least and the largest are called quartiles",
         'method="inclusive"', 'method="exclusive"'),
    ]),
    *made("bench/data/given/splits.py", ("tests/data/test_given.py",), [
        (12, "duplicates_counted_once", "a test example that was trained on is told once however often it stands there",
         "sum(each in seen for each in here)", "len(seen & set(here))"),
    ]),
    *made("variants/parts/labelled.py", ("tests/variants/test_labels.py",), [
        (27, "classes_of_the_data_whatever_is_asked", "more classes than the labels have cannot be had",
         "joint_sizes(latent, classes or known)", "joint_sizes(latent, known or classes)"),
        (25, "draws_without_their_noise", "z varies with its class alone, and its density says otherwise",
         "self.within(y).sample(), y", "self.within(y).mean, y"),
        (27, "given_class_that_costs_a_nat", "log q(z|x, c) and log p(z) count what is told",
         "return torch.zeros_like(value[..., 0])", "return -torch.ones_like(value[..., 0])"),
    ]),
    *made("bench/records/names.py", ("tests/records/test_record.py",), [
        (10, "order_of_settings_counts", "runs of equal settings stand in two groups",
         "sort_keys=True, default=plain", "sort_keys=False, default=plain"),
    ]),
    *made("bench/stats/learning.py", ("tests/stats/test_learning.py",), [
        (18, "reach_in_nats_a_value", "what longer training may move is held against bits",
         "(a.model.data_dims or math.nan) * math.log(2)", "(a.model.data_dims or math.nan)"),
        (18, "seeds_without_a_curve_left_out", "a verdict rests on the curves of some of its seeds",
         "if not pairs or len(pairs) < len(shared):", "if not pairs:"),
        (18, "quiet_curves_say_nothing", "rows that are at rest and alike in ELBO are never judged in another metric",
         "return nats <= width or _outlasts(comparison, nats)", "return _outlasts(comparison, nats)"),
        (18, "moving_curves_always_hold_back", "a lead that nothing reverses is no verdict in another metric",
         "return nats <= width or _outlasts(comparison, nats)", "return nats <= width"),
        (18, "bound_of_one_row_alone", "beside a row without a bound there is never a verdict",
         "if a.values(BOUND) and b.values(BOUND) else", "if a.values(BOUND) or b.values(BOUND) else"),
    ]),
    *made("bench/stats/tuning.py", ("tests/stats/test_tuning.py",), [
        (12, "worst_trial_is_the_least", "where lower is better a failed trial counts as the best",
         "worst = min(values) if higher else max(values)", "worst = min(values)"),
        (14, "unsure_changes_first", "what noise turned round stands above what intervals carry",
         "key=lambda swap: not swap.sure", "key=lambda swap: swap.sure"),
        (12, "trials_of_two_protocols", "a search counts trials whose figures are others",
         'cell["precision"], record.protocol])', 'cell["precision"]])'),
    ]),
    *made("bench/judge/counted.py", ("tests/data/test_tiny_sbn.py",), [
        (6, "largest_part_of_the_states_alone", "states beyond what fits in memory at once are not added",
         'total = torch.logaddexp(total, joint)', 'total = torch.maximum(total, joint)'),
    ]),
    *made("bench/judge/features.py", ("tests/judge/test_samples.py",), [
        (10, "features_of_another_binarisation", "a kept classifier is taken for data that were prepared otherwise",
         'facts = [VERSION, data.checksum, data.binarise, ', 'facts = [VERSION, data.checksum, '),
    ]),
    *made("bench/judge/factors.py", ("tests/judge/test_factors.py",), [
        (21, "last_bin_for_what_is_beyond", "bins are one too few for their width",
         '(axis - low) / (high - low) * bins, 0, bins - 1', '(axis - low) / (high - low) * (bins - 1), 0, bins - 1'),
    ]),
    *made("bench/stats/intervals.py", ("tests/stats/test_intervals.py",), [
        (11, "resamples_hardly_smoothed", "noise of deviation 1 / n in the place of 1 / sqrt(n)",
         'np.hstack([noise, -noise]) / math.sqrt(n)', 'np.hstack([noise, -noise]) / n'),
    ]),
    *made("bench/stats/intervals.py", ("tests/stats/test_intervals.py",), [
        (11, "resample_variance_over_n", "the standard error of a resample is too small",
         'np.sqrt(resamples.sum(0) / (n - 1))', 'np.sqrt(resamples.sum(0) / n)'),
    ]),
    *made("bench/reproduce/listing.py", ("tests/reproduce/test_listing.py",), [
        (1, "finished_runs_counted_as_missing", "what is computed already is told as time to come",
         '(e["runs"] - e["here"])', 'e["runs"]'),
        (1, "runs_one_after_another", "those side by side take as long as in a line",
         "for e in missing) / jobs", "for e in missing)"),
        (1, "one_run_counted_for_each_of_its_rows", "a run of two rows is to come twice",
         '== profile and not e["same_run_as"]]', "== profile]"),
        (1, "failed_runs_taken_for_done", "what is broken is said to be computed",
         'ok = [record for record in records if record.status == "ok"]', "ok = records"),
    ]),
    *made("bench/reproduce/plot.py", ("tests/reproduce/test_plot.py",), [
        (14, "band_with_its_sides_exchanged", "a figure that differs is drawn within the tolerance",
         "low, high = published - finding.tolerance.below, published + finding.tolerance.above",
         "low, high = published - finding.tolerance.above, published + finding.tolerance.below"),
    ]),
    *made("bench/cells/run.py", ("tests/cells/test_run.py",), [
        (1, "skipped_steps_of_the_last_epoch", "those of earlier epochs are not counted",
         'sum(row["skipped_steps"] or 0 for row in result.curve)', 'result.curve[-1]["skipped_steps"] or 0'),
    ]),
    *made("bench/sweeps/execute.py", ("tests/sweeps/test_execute.py",), [
        (1, "overhead_of_one_job", "the runs' seconds are not shared among those side by side",
         'ratio = wall / (sum(seconds) / jobs)', 'ratio = wall / sum(seconds)'),
    ]),
    *made("bench/sweeps/tune.py", ("tests/sweeps/test_tune.py",), [
        (12, "tuned_for_the_seeds_of_others", "a variant with one seed is tuned for three",
         "        if seed in suite.its_seeds(v)\n    ]\n    return cells, lines",
         "    ]\n    return cells, lines"),
    ]),
    *made("bench/sweeps/progress.py", ("tests/sweeps/test_progress.py",), [
        (1, "measuring_is_no_work", "the rest is estimated by training alone",
         "self.worked += work.rest_s + work.train_s", "self.worked += work.train_s"),
    ]),
    *made("bench/sweeps/plan.py", ("tests/sweeps/test_progress.py",), [
        (1, "plan_by_runs_that_were_stopped", "a run that failed says how long others take",
         'if record.status == "ok" and train', "if train"),
    ]),
    *made("bench/data/plane.py", ("tests/data/test_factors.py",), [
        (21, "pinwheel_turned_further", "a point is turned on instead of back",
         '-self._angle(point, blade)', 'self._angle(point, blade)'),
    ]),
    *made("bench/data/solids.py", ("tests/data/test_factors.py",), [
        (21, "size_for_the_shape_as_label", "the column beside that of the shape",
         'factors.values[split][:, 4].copy()', 'factors.values[split][:, 3].copy()'),
    ]),
    *made("bench/data/given/kinds.py", ("tests/data/test_given.py",), [
        (26, "range_that_begins_at_zero", "the least value is taken off, and the range is the largest",
         'np.where(high > low, high - low, 1.0)', 'np.where(high > low, high, 1.0)'),
    ]),
    *made("bench/pages/oracle.py", ("tests/sweeps/test_oracle_suite.py",), [
        (6, "least_error_for_the_largest", "the trained models are said to be nearer the optimum than they are",
         "{-min(below):.4f}", "{-max(below):.4f}"),
        (6, "errors_below_are_small", "an estimate that is too low by ten errors counts as the smallest",
         "[abs(score) for c in checks if", "[score for c in checks if"),
    ]),
    *made("bench/pages/html/again.py", ("tests/sweeps/test_tune.py",), [
        (13, "seeds_of_all_for_each", "to run it again trains more seeds than were trained",
         "if found != most and found ==", "if not found <= most and found =="),
    ]),
    *made("bench/stats/frame.py", ("tests/pages/test_tables.py",), [
        (11, "interval_of_a_time", "seconds of one machine have an interval over seeds",
         "if summary and not entry.is_cost else None", "if summary else None"),
    ]),
    *made("bench/stats/groups.py", ("tests/pages/test_tables.py",), [
        (18, "patience_unsaid", "a verdict names a budget that no run has used up",
         '"at most " if budget.get("patience") else ""', '"at most " if budget.get("at_most") else ""'),
        (10, "groups_by_the_letters_of_their_supports", "groups without a bound stand first",
         '            not any(row.values("elbo_nats") for row in group.rows),\n', ""),
        (4, "all_points_taken_for_none", "log p(x) of all examples is said not to be measured",
         'key.endswith("_points") and key != "nll_points")', 'key.endswith("_points"))'),
    ]),
    *made("bench/pages/tables.py", ("tests/pages/test_tables.py",), [
        (10, "size_of_the_run_that_does_not_count", "of two sizes of a variant the larger one",
         "sizes = {row: size for row, *_, size in sorted(sized)}",
         "sizes = {row: size for row, *_, size in sorted(sized, reverse=True)}"),
    ]),
    *made("bench/pages/html/facts.py", ("tests/pages/test_figures.py",), [
        (20, "page_of_the_best_seed", "the page's curves are not the picture's",
         '"mean": [_rounded(sum(each) / len(each), 7)', '"mean": [_rounded(max(each), 7)'),
        (20, "spectrum_of_unsorted_seeds", "the axes of two seeds have nothing in common",
         "sorted(each, reverse=True) for each in spectra", "list(each) for each in spectra"),
        (20, "gain_of_the_reconstruction", "what is still gained in ELBO is that of another quantity",
         "(row.gains(BOUND) or row.gains(RECONSTRUCTION))", "(row.gains(RECONSTRUCTION) or row.gains(BOUND))"),
    ]),
    *made("bench/pages/figures/bars.py", ("tests/pages/test_figures.py",), [
        (20, "curve_of_the_best_seed", "a line that says mean",
         "axis.plot(x, values.mean(0), color", "axis.plot(x, values.max(0), color"),
        (20, "band_from_the_mean_on", "the worst seeds are not in the band",
         "values.min(0), values.max(0), color", "values.mean(0), values.max(0), color"),
        (20, "worst_rows_drawn", "of many rows the last",
         "[: MOST_ROWS - len(bases[:MOST_ROWS])]", "[len(bases[:MOST_ROWS]) - MOST_ROWS :]"),
        (20, "sum_of_the_first_seed", "a number beside a bar is not its length",
         'f"{totals.mean():.2f}"', 'f"{totals[0]:.2f}"'),
        (20, "number_of_the_first_seed", "a number beside a thin bar is not its length",
         'f"{column.mean():.2f}"', 'f"{column[0]:.2f}"'),
    ]),
    *made("bench/pages/figures/rate_distortion.py", ("tests/pages/test_figures.py",), [
        (20, "lines_of_minus_the_elbo", "the best line has the highest name",
         'f"{0.0 - level:g}".replace', 'f"{level:g}".replace'),
    ]),
    *made("bench/pages/figures/elbo.py", ("tests/pages/test_figures.py",), [
        (20, "best_at_the_beginning_first", "a legend that says the end goes by the first epoch",
         "-values[row].mean(0)[-1])", "-values[row].mean(0)[0])"),
        (20, "edge_of_the_least_difference", "differences that have room are named at the edge",
         "sorted(reach)[len(reach) // 2] * 4", "sorted(reach)[0] * 4"),
        (20, "mean_of_the_first_seed", "a bar that says mean",
         "axis.plot([summary.mean] * 2, [y - 0.28", "axis.plot([values[0]] * 2, [y - 0.28"),
        (20, "interval_on_one_side", "a line from the mean up that says interval",
         "axis.plot([summary.low, summary.high], [y] * 2", "axis.plot([summary.mean, summary.high], [y] * 2"),
        (20, "interval_of_a_difference_on_one_side", "a difference that may be none looks like one",
         "axis.plot([each.low, each.high], [y] * 2", "axis.plot([middle, each.high], [y] * 2"),
    ]),
    *made("bench/pages/figures/speed.py", ("tests/pages/test_figures.py",), [
        (20, "fastest_by_their_names", "of many rows those of the first letters are drawn",
         "names = sorted(names, key=fastest)[:MOST_ROWS]", "names = names[:MOST_ROWS]"),
        (20, "thousands_from_ten_thousand_on", "five digits stand where three are said",
         'if abs(value) >= size), (1, ""))', 'if abs(value) > 10 * size), (1, ""))'),
        (20, "whisker_from_the_median_on", "blocks that were slower are not seen",
         "whisker(axis, y, low, high)", "whisker(axis, y, median, high)"),
    ]),
    *made("bench/pages/figures/tradeoff.py", ("tests/pages/test_figures.py",), [
        (20, "lower_nll_further_down", "better is up, says the axis",
         "if sign < 0:\n            axis.invert", "if sign > 0:\n            axis.invert"),
        (20, "front_of_the_worst", "of an NLL the highest is of the front",
         "(sign * quality[row].mean, *_quartiles", "(quality[row].mean, *_quartiles"),
    ]),
    *made("bench/pages/figures/gaps.py", ("tests/pages/test_figures.py",), [
        (20, "split_by_the_marginal_at_the_ceiling", "bars are hatched by what has no ceiling",
         "float(rows[row].mean(0)[0]) > CEILING * most", "float(rows[row].mean(0)[1]) > CEILING * most"),
    ]),
    *made("bench/pages/figures/tuning.py", ("tests/pages/test_tuning.py",), [
        (14, "best_trial_last", "a legend that says best first has the worst first",
         'reverse=entry.better == "higher"', 'reverse=entry.better == "lower"'),
    ]),
    *made("bench/pages/reference_comparison.py", ("tests/pages/test_report.py",), [
        (10, "reference_of_another_device", "a row is held against the other device's",
         "if other.device == row.device), twins[0]", "if other.device != row.device), twins[0]"),
    ]),
    *made("bench/pages/doubts.py", ("tests/pages/test_tables.py",), [
        (10, "last_share_for_the_least", "a processor is as idle as the last measurement found it",
         "min(share, busy.get(variant, share))", "share"),
    ]),
    *made("bench/pages/tables.py", ("tests/pages/test_tables.py",), [
        (14, "slow_speeds_without_decimals", "9.5 a second and 10 a second are the same",
         "digits = 2 if abs(value.median) < 10 else digits", "digits = 2 if abs(value.median) < 1 else digits"),
    ]),
    *made("variants/parts/posteriors.py", ("tests/variants/test_against_collapse.py",), [
        (9, "deviation_kept_for_the_variance", "what evaluation divides by is a fourth root",
         'self.running_variance.lerp_(variance, weight)', 'self.running_variance.lerp_(variance.sqrt(), weight)'),
    ]),
    *made("bench/stats/answer.py", ("tests/stats/test_answer.py",), [
        (6, "estimated_evidence_before_the_exact", "an estimate of log p(x) tells before its exact value",
         '("nll_exact_nats", r"nll_is\\d+_nats")', '(r"nll_is\\d+_nats", "nll_exact_nats")'),
        (18, "rows_still_learning_joined_by_and", "rows of which one will be the best are all recommended",
         '" or ".join(each.take) if each.learning else listed(each.take)', 'listed(each.take)'),
        (18, "no_ratio_beside_the_best", "the column of a page does not say that another row is twenty times as fast",
         '"; ".join(filter(None, (reached, ratio)))', 'reached'),
        (18, "one_judged_row_that_cannot_be_told",
         "of one row with seeds enough it is said that none can be told from the best",
         'elif len(judged) < 2:', 'elif len(judged) < 1:'),
    ]),
    *made("bench/stats/differences.py", ("tests/sweeps/test_compare.py",), [
        (9, "baseline_of_which_all_failed_is_compared", "a baseline that never ran is a reason to refuse the others",
         ' or not base.ok:', ':'),
    ]),
    *made("bench/stats/frame.py", ("tests/pages/test_tables.py",), [
        (10, "binarisation_of_what_was_only_timed_lost",
         "a line of the CSV file does not say on which data a speed was measured",
         '("dataset", "binarise", "variant")}', '("dataset", "variant")}'),
    ]),
    *made("bench/stats/frame.py", ("tests/test_security.py",), [
        (10, "formula_as_the_name_of_a_column", "a spreadsheet takes the name of a column for a formula",
         '    table = table.rename(columns=without_formula)\n', '    table = table.rename(columns=str)\n'),
    ]),
    *made("bench/stats/groups.py", ("tests/stats/test_answer.py",), [
        (10, "one_epochs", "a training of 1 epochs",
         "epoch{'s' if number != 1 else ''}", 'epochs'),
    ]),
    *made("bench/stats/intervals.py", ("tests/stats/test_intervals.py",), [
        (11, "best_of_equals_by_place", "which rows are marked depends on their order",
         '(-sign * statistics.fmean(judged[name].values()), name))',
         '-sign * statistics.fmean(judged[name].values()))'),
    ]),
    *made("bench/stats/learning.py", ("tests/stats/test_learning.py",), [
        (18, "gain_that_is_no_number", "a curve that ends in infinity has a gain",
         'return Gain(nats, looks) if math.isfinite(nats) else None', 'return Gain(nats, looks)'),
    ]),
    *made("bench/stats/speeds.py", ("tests/stats/test_answer.py",), [
        (10, "speed_of_another_device", "a row of the CPU is as fast as on an accelerator",
         "device_type(record) == row.device and ", ""),
        (10, "timing_of_another_precision", "a row that was trained in fp32 is as fast as in bf16",
         ' and record.cell.get("precision") == precision', ""),
        (14, "speeds_where_fewest_were_timed", "the condition that times the fewest rows",
         "most = max(columns", "most = min(columns"),
        (10, "timed_names_in_any_order", "rows that were only timed stand in another order in each report",
         'sorted({name for column in self.columns.values() for name in column})',
         'list(dict.fromkeys(name for column in self.columns.values() for name in column))'),
    ]),
    *made("bench/stats/tuning.py", ("tests/stats/test_tuning.py",), [
        (9, "trial_whose_figure_is_no_number", "a trial whose figure is infinite is the best",
         ' and math.isfinite(value)\n', '\n'),
        (12, "trials_of_another_budget", "trials of three epochs stand among those of ten",
         'tuning["search"], tuning["budget"], cell["precision"]', 'tuning["search"], cell["precision"]'),
    ]),
    *made("bench/records/merge.py", ("tests/records/test_merge.py",), [
        (13, "merged_into_itself", "a folder that stands among those merged into it is told as a copy of itself",
         '[folder for folder in folders if folder.resolve() != out.resolve()]', 'list(folders)'),
        (13, "merged_without_a_lock", "records are moved while a run writes there",
         '    with lock(out):\n', '    if True:\n'),
        (10, "merged_lines_as_they_came", "the name of a folder steers the terminal",
         'tuple(map(text.printable, [*lines, *doubts, *unlike]))', 'tuple([*lines, *doubts, *unlike])'),
        (13, "pictures_written_over", "merging again replaces the pictures that lie there",
         'if os.path.lexists(source) and not os.path.lexists(target):', 'if os.path.lexists(source):'),
    ]),
    *made("bench/records/names.py", ("tests/records/test_record.py",), [
        (10, "name_that_begins_with_a_dot", "a file that nobody sees",
         'r"^\\.|[^\\w.=-]+"', 'r"[^\\w.=-]+"'),
    ]),
    *made("bench/records/notes.py", ("tests/records/test_record.py",), [
        (14, "table_in_the_folder_before_its_own_place",
         "an old copy of a table is read in the place of the one that was edited",
         'for path in (then, here):', 'for path in (here, then):'),
    ]),
    *made("bench/records/provenance.py", ("tests/records/test_record.py",), [
        (13, "changed_variants_are_clean", "a record of changed variants says that nothing was changed",
         '":/bench", ":/variants", ":/pyproject.toml"', '":/bench", ":/pyproject.toml"'),
    ]),
    *made("bench/records/record.py", ("tests/records/test_record.py",), [
        (13, "name_of_four_digits", "one name for two configurations in ten thousand",
         '.hexdigest()[:10]', '.hexdigest()[:4]'),
        (12, "trial_without_its_tuning", "a trial that does not say of which search it is is read",
         'class TrialCell(QualityCell, kw_only=True):\n'
         '    """Of a run that settings are chosen by."""\n'
         '\n'
         '    tuning: Tuning\n',
         'class TrialCell(QualityCell, kw_only=True):\n    """Of a run that settings are chosen by."""\n'),
    ]),
    *made("bench/records/schema.py", ("tests/records/test_record.py",), [
        (13, "older_is_newer", "an old record is in the way of a new run",
         'content["schema"] > SCHEMA', 'content["schema"] != SCHEMA'),
    ]),
    *made("bench/records/settle.py", ("tests/records/test_settle.py",), [
        (14, "same_whatever_their_latents", "a run with other latents counts as a copy",
         '("metrics", "errors", "latent", "curve", "checks")', '("metrics", "errors", "curve", "checks")'),
        (14, "difference_of_status_unsaid", "of a run that diverged beside one that did not a figure is named",
         '    if record.status != other.status:\n        return', '    if False:\n        return'),
    ]),
    *made("bench/records/sources.py", ("tests/records/test_sources.py",), [
        (13, "classes_of_a_function_do_not_count", "a function whose class was changed counts as the same code",
         'isinstance(other, type | FunctionType)', 'isinstance(other, FunctionType)'),
        (13, "sources_forgotten_by_the_server", "what a server has imported is read anew from files that were changed",
         '    for paths in (TRAINING, TRAINING + JUDGING):\n        _sum(_ours(paths))\n', ''),
    ]),
    *made("bench/suites/suite.py", ("tests/suites/test_suite.py",), [
        (13, "pattern_without_its_settings", "a pattern's settings are ignored",
         '        Variant(name, entry.set, entry.seeds, search=entry.search)\n        for',
         '        Variant(name, {}, entry.seeds, search=entry.search)\n        for'),
    ]),
    *made("bench/suites/search.py", ("tests/suites/test_search.py",), [
        (12, "whole_where_one_end_is", "a range from 1 to 2.5 has whole numbers alone",
         'isinstance(low, int) and isinstance(high, int)', 'isinstance(low, int) or isinstance(high, int)'),
    ]),
    *made("bench/suites/oracle.py", ("tests/sweeps/test_oracle_suite.py",), [
        (6, "oracle_in_single_precision", "a cell says another precision than it has",
         '"precision": "fp64"', '"precision": "fp32"'),
    ]),
    *made("bench/reproduce/committed.py", ("tests/reproduce/test_verdict.py",), [
        (14, "data_set_of_a_row_unsaid", "rows of two data sets have one name",
         '    return f"{name}, {names.dataset_slug(cell)}" if many else name', '    return name'),
        (14, "figures_of_failed_runs_that_drift", "what a failed run has measured stands in a mean",
         'for seed, record in records.items() if record.status == "ok"}', 'for seed, record in records.items()}'),
        (14, "no_seed_in_common_unsaid", "runs of other seeds are said to have no figure",
         'missing = f"the runs have no figure {name}" if set(again) & set(old) else "no seed in common"',
         'missing = f"the runs have no figure {name}"'),
        (14, "suites_without_runs", "a suite that has no committed runs is offered to be run again",
         'if (reference / name / "runs").is_dir() and', 'if (reference / name).is_dir() and'),
    ]),
    *made("bench/reproduce/cost.py", ("tests/reproduce/test_listing.py",), [
        (1, "threads_left_as_they_were_timed", "what follows an estimate has one thread",
         '    finally:\n        torch.set_num_threads(threads)\n', '    finally:\n        pass\n'),
    ]),
    *made("bench/reproduce/listing.py", ("tests/reproduce/test_listing.py",), [
        (14, "committed_runs_are_those_here", "what is committed is not shown",
         '"committed": _done(cells, committed)', '"committed": _done(cells, here)'),
        (14, "one_side_by_side", "two jobs are not told",
         'side by side" if jobs > 1 else ""', 'side by side" if jobs > 2 else ""'),
    ]),
    *made("bench/reproduce/page.py", ("tests/reproduce/test_verdict.py",), [
        (14, "records_not_shown_unsaid", "a run that another stands before is not named",
         'warnings = [*warnings, *not_shown(records)]', 'warnings = [*warnings]'),
        (14, "no_interval_with_a_dash", "one seed has an interval that is a dash",
         'if summary is None or summary.half_width is not None:', 'if summary is None or summary:'),
    ]),
    *made("bench/reproduce/plot.py", ("tests/reproduce/test_plot.py",), [
        (14, "everything_is_not_judged", "a legend says that nothing was judged",
         'finding.verdict if finding.verdict in COLOUR else "not judged"', '"not judged"'),
    ]),
    *made("bench/reproduce/published.py", ("tests/reproduce/test_published.py",), [
        (14, "timed_beside_its_runs", "speeds are measured beside a table",
         '            throughput=Clock(blocks=0),\n', ''),
    ]),
    *made("bench/reproduce/published.py", ("tests/reproduce/test_effects.py",), [
        (14, "effect_of_an_unseen_figure", "a difference of figures that nobody saw is judged",
         ' and a.verified and b.verified\n', '\n'),
    ]),
    *made("bench/reproduce/rewrite.py", ("tests/reproduce/test_verdict.py",), [
        (14, "page_of_the_default_profile", "a page is written anew for another budget",
         'published.profile(profile), ())', 'published.profile(None), ())'),
    ]),
    *made("bench/oracle/problem.py", ("tests/oracle/test_checks.py",), [
        (10, "largest_error_by_signed_value", "errors below the truth are overlooked",
         "off.flatten()[off.abs().argmax()]", "off.flatten()[off.argmax()]"),
    ]),
    *made("bench/disk/lock.py", ("tests/disk/test_lock.py",), [
        (22, "lock_of_another_removed", "the lock that another run has made meanwhile is removed",
         "            if os.path.samestat(path.lstat(), os.fstat(handle)):\n                path.unlink()\n",
         "            path.unlink()\n"),
    ]),
    *made("bench/api/estimator.py", ("tests/api/test_attached.py",), [
        (26, "single_row_left_alone_of_two_batches", "of two batches the last may have one row",
         "if len(batches) > 1 and len(batches[-1]) == 1:", "if len(batches) > 2 and len(batches[-1]) == 1:"),
    ]),
    *made("bench/sweeps/progress.py", ("tests/sweeps/test_progress.py",), [
        (25, "first_trial_named_by_seed", "trial 0 is named by its seed",
         'cell["seed"] >= FIRST_SEED', 'cell["seed"] > FIRST_SEED'),
    ]),
    *made("variants/registry.py", ("tests/variants/test_registry.py",), [
        (26, "file_recipes_registered_by_name", "a recipe of a file takes a name among the built-in ones",
         'startswith(("variants.", OF_FILES))', 'startswith("variants.")'),
    ]),
    *made("bench/pages/paper.py", ("tests/pages/test_paper.py",), [
        (14, "total_counts_finished_runs", "the total of runs leaves out those that failed",
         '"total": len(row.records)}', '"total": len(row.ok)}'),
    ]),
]
# fmt: on
