"""Mistakes in the judge, the data, cells and training that passed all tests until these saw more than the special case;
the numbers are those of `tests.mistakes`."""

from tests.mutants import made

# fmt: off
OF_JUDGED = [
    *made("bench/judge/samples.py", ("tests/judge/test_samples.py",), [
        (21, "ball_with_its_edge_in_recall", "copies without a radius are recalled",
         "recalled |= (distances < of_fake", "recalled |= (distances <= of_fake"),
        (21, "cell_of_a_few_generated_ones", "a cell counts that has enough examples of one kind",
         "if min(len(near), len(far)) >= FEWEST:", "if max(len(near), len(far)) >= FEWEST:"),
        (21, "grey_draws_beyond_black_and_white", "what no picture can show is compared with pictures",
         'data.spec.kind in ("unit", "levels") else x', 'data.spec.kind == "levels" else x'),
    ]),
    *made("bench/judge/features.py", ("tests/judge/test_samples.py",), [
        (12, "feature_accuracy_of_the_training_split", "how good features are is told by what they were learnt from",
         'data.eval_batches("test", EVAL_BATCH)', 'data.eval_batches("train", EVAL_BATCH)'),
        (21, "head_on_scaled_features", "the classifier is judged with other features than it was trained with",
         "network.head(network(x) * network.scale)", "network.head(network(x))"),
    ]),
    *made("bench/judge/latent.py", ("tests/judge/test_latent.py",), [
        (25, "traversal_of_the_largest_axes", "an axis that is large and hardly varies is shown",
         "codes.var(0, correction=0).topk(min(AXES", "codes.square().mean(0).topk(min(AXES"),
        (25, "interpolations_between_the_first_examples", "they are those of the first batch, whatever the split",
         "torch.linspace(0, len(codes) - 1, 2 * PAIRS).long()", "torch.arange(2 * PAIRS)"),
        (25, "aggregate_of_means", "all codes together are narrower than they are",
         "draw(model.infer(x), torch.Size()) for x in batches", "model.infer(x).mean for x in batches"),
        (25, "squared_lengths_of_codes", "|z| is said to be its square",
         "np.linalg.norm(points, axis=1)", "np.square(points).sum(1)"),
        (3, "reliability_of_the_last_batch", "probabilities are held against the pixels of one batch",
         "totals[row] += np.bincount", "totals[row] = np.bincount"),
    ]),
    *made("bench/judge/representation.py", ("tests/judge/test_representation.py",), [
        (21, "similarity_with_sample_covariances", "moments under a window are not over n - 1",
         "use_sample_covariance=False", "use_sample_covariance=True"),
        (21, "window_of_another_width", "the similarity of Wang et al. has sigma 1.5",
         "sigma=1.5", "sigma=1.0"),
    ]),
    *made("bench/judge/evidence.py", ("tests/judge/test_evidence.py",), [
        (4, "latents_of_the_first_turn", "simulated examples stand beside latents that they were not drawn with",
         "x.append(model.decode(z[-1]).sample())", "x.append(model.decode(z[0][: len(z[-1])]).sample())"),
    ]),
    *made("bench/judge/factors.py", ("tests/judge/test_factors.py",), [
        (21, "factors_of_the_first_to_learn_from", "codes of evenly spaced examples beside factors of the first ones",
         'data.factors.values["train"][data.places("train", points)]', 'data.factors.values["train"][: len(train_mu)]'),
        (21, "factors_of_the_first_to_judge_by", "codes of evenly spaced examples beside factors of the first ones",
         'data.factors.values["test"][data.places("test", points)]', 'data.factors.values["test"][: len(test_mu)]'),
        (21, "bins_as_wide_as_values_are_apart", "values that lie unevenly share a bin",
         "binned(axis, max(BINS, 2 * values))", "binned(axis, max(BINS, values))"),
    ]),
    *made("bench/judge/__init__.py", ("tests/judge/test_put_together.py",), [
        (11, "error_of_an_estimated_kl_left_out", "a marginal KL looks surer than the KL that it is taken from",
         'error if test.kl_method == "closed_form" else {"mc": None, "test": None}', "error"),
    ]),
    *made("bench/cells/clock.py", ("tests/cells/test_clock.py",), [
        (25, "latency_of_a_whole_batch", "how long one example takes is that of many",
         "    one = x[:1]\n", "    one = x\n"),
        (25, "fewer_drawn_than_counted", "samples a second are told of a batch that was not drawn",
         "lambda: model.sample(size), size", "lambda: model.sample(full), size"),
        (25, "yardstick_of_another_precision", "the share of the peak in bf16 is that of the peak in fp32",
         'torch.bfloat16 if precision.startswith("bf16") else torch.float32', "torch.float32"),
    ]),
    *made("bench/cells/pictures.py", ("tests/cells/test_pictures.py",), [
        (25, "covariance_of_the_first_axes", "ellipses on the latent plane are those of other axes",
         "q.variance[:, axes].diag_embed()", "q.variance[:, : len(axes)].diag_embed()"),
    ]),
    *made("bench/cells/pictures.py", ("tests/cells/test_pictures.py",), [
        (25, "reconstructions_of_other_examples", "they stand beside inputs that they are not of",
         "model.reconstruct(given(model, shown, classes))", "model.reconstruct(given(model, points, labels)[:SHOWN])"),
    ]),
    *made("bench/api/results.py", ("tests/api/test_results.py",), [
        (18, "best_while_still_learning", "rows of which training has yet to say are called the best",
         "marks and row.label in marks.best", "marks and row.label in marks.learning"),
        (11, "judges_noise_for_that_of_the_examples", "both errors of a score are the smaller one",
         "row.error(name, kind) for kind", 'row.error(name, "mc") for kind'),
    ]),
    *made("bench/train/steps.py", ("tests/train/test_loop.py",), [
        (25, "norm_of_the_longest_gradient", "a step is skipped by one tensor's norm, and not by that of all",
         "torch.nn.utils.get_total_norm(_gradients(optim)).item()", "max(g.norm().item() for g in _gradients(optim))"),
    ]),
    *made("bench/train/diverged.py", ("tests/train/test_diverged.py",), [
        (25, "first_step_of_any_pass", "after an epoch of updates none is said to have come before",
         "first = now.epoch == 0 and where is not None", "first = where is not None"),
        (11, "every_error_is_a_divergence", "layers that do not fit are said to ask for a smaller step size",
         "if all(bool(tensor.isfinite().all()) for", "if not all(True for"),
        (11, "refused_draws_asked_of_the_losses_alone", "weights that are NaN are an error with a traceback",
         "(*now.losses, *now.model.parameters())", "now.losses"),
        (25, "loss_of_a_batch_for_that_of_an_example", "how large the loss was grows with the batch",
         "_largest(now.losses[-1] / size)", "_largest(now.losses[-1])"),
    ]),
    *made("bench/data/batches.py", ("tests/data/test_batches.py",), [
        (12, "mean_of_the_first_examples", "the mean of a sorted data set is that of its first class",
         "indices = torch.split(torch.arange(count) * n // count, 1000)",
         "indices = torch.split(torch.arange(count), 1000)"),
    ]),
    *made("bench/data/given/kinds.py", ("tests/data/test_given.py",), [
        (26, "standardised_wherever_it_lies", "columns of deviation 1 are left far from zero",
         "(np.abs(mean) <= 1) & (deviation >= 0.25)", "(deviation >= 0.25)"),
        (26, "standardised_however_wide", "columns about zero are left as wide as they are",
         "(deviation >= 0.25) & (deviation <= 4)", "(deviation >= 0.25)"),
        (26, "standardised_however_narrow", "columns about zero are left as narrow as they are",
         "(deviation >= 0.25) & (deviation <= 4)", "(deviation <= 4)"),
        (26, "constant_column_not_standardised", "one column that says nothing has all the others standardised again",
         "(deviation <= 4))[varies].all()", "(deviation <= 4)).all()"),
    ]),
    *made("bench/data/given/pictures.py", ("tests/data/test_given.py",), [
        (26, "top_of_a_standing_picture", "the middle is cut out across and not down",
         "(picture.height - down) / 2", "0"),
    ]),
    *made("bench/api/export.py", ("tests/api/test_attached.py",), [
        (26, "exported_encoder_of_scaled_values", "in other programs the embeddings of a user's values are others",
         "self.vae.infer(x if self.scaling is None else self.scaling.apply(x)).mean", "self.vae.infer(x).mean"),
    ]),
    *made("bench/engines/local.py", ("tests/engines/test_local.py",), [
        (1, "timeout_of_minutes_taken_for_seconds", "a cell that hangs is ended after sixty times its limit",
         "r.seconds > job.timeout_s", "r.seconds > 60 * job.timeout_s"),
    ]),
    *made("bench/api/estimator.py", ("tests/api/test_attached.py",), [
        (20, "step_size_of_a_transformer_not_heeded", "lr is taken, and the default is trained with",
         "batch_size=self.batch_size, lr=self.lr)", "batch_size=self.batch_size)"),
        (25, "step_size_by_whole_epochs", "a schedule stands still within a pass",
         "stepper(batch, epoch + i / len(batches))", "stepper(batch, epoch)"),
        (12, "rows_in_their_order", "each pass goes through the rows as the table has them",
         "rows[torch.randperm(len(rows))]", "rows"),
    ]),
    *made("bench/judge/gaps.py", ("tests/judge/test_gaps.py",), [
        (22, "start_or_end_for_all_together", "one search that is lost takes the others with it",
         "better = bounds[1] > bounds[0]", "better = (bounds[1].mean() > bounds[0].mean()).expand(len(x))"),
    ]),
    *made("bench/judge/counted.py", ("tests/data/test_tiny_sbn.py",), [
        (17, "last_turn_of_the_states", "a sum over all latents is one over those of the last turn",
         "total = torch.logaddexp(total, joint)", "total = joint"),
    ]),
    *made("bench/oracle/belief.py", ("tests/oracle/test_checks.py",), [
        (25, "pixels_beside_twice_their_middle", "q(z|x) of the bits is about another point than it is said to be",
         "truth.prior - V @ (none + every) / 2", "truth.prior - V @ (none + every)"),
    ]),
    *made("bench/oracle/checks.py", ("tests/oracle/test_checks.py",), [
        (25, "curve_that_ends_at_the_elbo", "no exact rate stands beside what is measured above a beta of one",
         "beta = 10 ** (-1.5 + step / 20)", "beta = 10 ** (-1.5 + step / 40)"),
    ]),
    *made("bench/data/plane.py", ("tests/data/test_factors.py",), [
        (21, "noise_by_the_transposed_scale", "examples do not have the covariance of their density",
         '"nij,nj->ni"', '"nji,nj->ni"'),
        (21, "rings_of_another_width", "the radius is in units of its variance",
         "self.radii, dtype=torch.float64)) / self.width", "self.radii, dtype=torch.float64)) / self.width**2"),
    ]),
    *made("bench/data/given/tables.py", ("tests/data/test_given.py",), [
        (26, "names_that_may_be_no_numbers", "a first line in which one name is a number is read as an example",
         "named = above or counted or", "named = counted or"),
        (26, "columns_without_names_are_an_example", "what pandas calls columns without names is trained on",
         "named = above or counted or", "named = above or"),
        (26, "missing_value_for_a_name", "a first example without a value is taken for names",
         '("", "na", "n/a", "#n/a", "<na>", "null", "none")', '("",)'),
    ]),
    *made("bench/data/binarise.py", ("tests/data/test_countable_data.py",), [
        (10, "noise_of_one_level_less", "dequantised values lie above 1, and levels are cut at other places",
         "return (images.float() + u) / (levels + 1)", "return (images.float() + u) / levels"),
        (10, "kept_noise_of_one_level_less", "the same of noise that is drawn once",
         "x[i] = (image + uniform) / (levels + 1)", "x[i] = (image + uniform) / levels"),
    ]),
    *made("bench/train/steps.py", ("tests/variants/test_games.py",), [
        (19, "schedule_without_the_pace_of_a_part", "from the first step on all parts go at the budget's step size",
         'group["lr"] = group["initial_lr"] * factor', 'group["lr"] = self.budget.lr * factor'),
    ]),
    *made("variants/core/chain.py", ("tests/variants/test_rates.py",), [
        (5, "layers_in_the_order_of_the_prior", "the KL of the upper layer goes by the prior's way, and not by q's",
         "[first, second] if self.upward else [second, first]", "[first, second] if p.upward else [second, first]"),
    ]),
    *made("variants/parts/likelihoods.py", ("tests/variants/test_likelihoods.py",), [
        (3, "batch_scored_at_the_kept_sigma", "in training the sigma is that of the batches before",
         "return self._density(mean, variance.sqrt()).log_prob(x)",
         "return self._density(mean, self.sigma).log_prob(x)"),
    ]),
    *made("bench/cells/anatomy.py", ("tests/cli/test_shows.py",), [
        (25, "one_draw_of_any_objective", "a training step is said to draw once",
         '"samples": model.objective.samples', '"samples": 1'),
        (25, "countable_at_the_most", "as many states as may be counted are said to be too many",
         "if count <= MOST_STATES", "if count < MOST_STATES"),
        (25, "refusals_not_said", "of all that was lacking the last thing alone is told",
         "{'; '.join(refused)}", "{refused[-1]}"),
    ]),
    *made("bench/cells/clock.py", ("tests/cells/test_clock.py",), [
        (25, "speed_of_another_precision", "the speed in bf16 is that in fp32",
         "stepper_for(model, Budget(), precision=precision, device=device)",
         "stepper_for(model, Budget(), device=device)"),
    ]),
    *made("bench/cells/events.py", ("tests/engines/test_engines.py",), [
        (25, "sums_over_what_is_known", "a record has the sums of other code than ran",
         'sources.sums(cell["variant"]) | provenance', 'provenance | sources.sums(cell["variant"])'),
    ]),
    *made("bench/cells/pictures.py", ("tests/cells/test_pictures.py",), [
        (27, "reconstructions_of_another_class", "examples are rebuilt with one class for all",
         "model.reconstruct(given(model, shown, classes))", "model.reconstruct(given(model, shown, 0 * classes))"),
        (25, "code_maps_of_other_examples", "maps stand beside images that they are not of",
         "code_maps(model, given(model, shown, classes))",
         "code_maps(model, given(model, points[: len(shown)], classes))"),
    ]),
    *made("bench/cells/prepare.py", ("tests/cells/test_run.py",), [
        (25, "log_likelihood_of_any_shape", "the same of log p(x|z)",
         '        "log p(x|z)": (terms.log_px_z, (k, b)),\n', ""),
        (26, "units_not_in_the_record", "densities in one unit stand beside those in another",
         "        units=loaded.units,\n", ""),
    ]),
    *made("bench/cells/prepare.py", ("tests/resume/test_checkpoint.py",), [
        (13, "half_a_training_on_other_hardware", "a training goes on to other bytes than it would have come to",
         'source=source | {"hardware": known.device_name},', "source=source,"),
    ]),
    *made("bench/cells/run.py", ("tests/cells/test_run.py",), [
        (25, "pictures_that_cost_the_result", "a result is lost for a picture",
         "        except Exception as error:\n"
         "            # Pictures",
         "        except OSError as error:\n"
         "            # Pictures"),
    ]),
    *made("bench/cells/weights.py", ("tests/cells/test_weights.py",), [
        (13, "training_without_a_pass", "kept weights of no training are measured",
         "        if not self.curve:\n", "        if self.curve is None:\n"),
    ]),
    *made("bench/judge/__init__.py", ("tests/judge/test_put_together.py",), [
        (22, "gap_steps_not_heeded", "the search is as long as the default, whatever a suite says",
         "    function = partial(gaps.gaps, model, steps=measure.gap_steps, samples=GAP_SAMPLES, "
         "evidence_samples=GAP_EVIDENCE)\n"
         "    title",
         "    function = partial(gaps.gaps, model, samples=GAP_SAMPLES, evidence_samples=GAP_EVIDENCE)\n"
         "    title"),
        (6, "chains_and_steps_exchanged", "many short chains in the place of a few long ones",
         "chains, steps = measure.ais_chains, measure.ais_steps",
         "steps, chains = measure.ais_chains, measure.ais_steps"),
        (6, "one_chain_has_a_variance", "with one chain the measurement ends in an error, and the run is lost",
         'gap_var = columns["log_px_var"] + columns["elbo_var"] if chains > 1',
         'gap_var = columns["log_px_var"] + columns["elbo_var"] if chains > 0'),
    ]),
    *made("bench/judge/__init__.py", ("tests/judge/test_support.py",), [
        (17, "annealing_asks_for_the_posterior", "annealing is left out although q(z|x) plays no part in it",
         "not lives_on_r_d(model, data, posterior=False)", "not lives_on_r_d(model, data)"),
    ]),
    *made("bench/judge/counted.py", ("tests/data/test_tiny_sbn.py",), [
        (17, "most_states_one_too_few_counted", "the same where they are counted",
         "count > MOST_STATES:", "count >= MOST_STATES:"),
    ]),
    *made("bench/judge/evidence.py", ("tests/judge/test_evidence.py",), [
        (6, "leapfrog_steps_not_heeded", "a transition costs as much as the default, whatever is asked for",
         "for _ in range(leapfrog):", "for _ in range(10):"),
    ]),
    *made("bench/judge/factors.py", ("tests/judge/test_factors.py",), [
        (21, "robustness_of_the_training_split", "the same of robustness",
         "irs(test)", "irs(train)"),
        (21, "bins_of_no_width", "codes that are one number but for a few are divided by nothing",
         "    if low == high:\n"
         "        low, high = values[0], values[-1]\n",
         ""),
        (21, "one_factor_has_nothing_to_find", "a classifier of one class ends the measurement in an error",
         "    if len(np.unique(k)) < 2:\n"
         "        return 1.0  # of one factor there is nothing to find\n",
         ""),
        (21, "infinite_correlation_told", "axes that are sums of others end a run as diverged",
         "correlation if math.isfinite(correlation) else None", "correlation"),
    ]),
    *made("bench/judge/gaps.py", ("tests/judge/test_gaps.py",), [
        (22, "search_of_one_draw", "a noisier search than is stated, and larger gaps",
         "terms = _terms(model, x, build(parameters), prior, samples)",
         "terms = _terms(model, x, build(parameters), prior, 1)"),
    ]),
    *made("bench/judge/representation.py", ("tests/judge/test_representation.py",), [
        (21, "similarity_of_the_smaller_side", "a window that is larger than one side of an image",
         "min(shape[1:]) < SSIM_WINDOW", "max(shape[1:]) < SSIM_WINDOW"),
    ]),
    *made("bench/judge/samples.py", ("tests/judge/test_samples.py",), [
        (21, "features_that_are_no_numbers", "distances between features that are no numbers",
         " or not np.isfinite(rows).all()", ""),
    ]),
    *made("bench/train/diverged.py", ("tests/train/test_diverged.py",), [
        (25, "last_loss_for_that_before_the_first", "of a first step it is said how large the loss was before",
         "/ now.budget.batch_size if broken else None", "/ now.budget.batch_size"),
    ]),
    *made("bench/train/steps.py", ("tests/train/test_loop.py",), [
        (25, "every_schedule_is_a_cosine", "a schedule that was chosen is not followed",
         "SCHEDULES[self.budget.schedule](", 'SCHEDULES["cosine"]('),
        (16, "eager_priors_compiled", "a part that compiling would change is compiled",
         'for role in ("posterior", "prior", "likelihood", "objective"):', 'for role in ("objective",):'),
        (20, "decoder_left_in_full_precision", "one of two networks computes in bfloat16",
         "networks = (model.encoder, model.decoder)", "networks = (model.encoder,)"),
    ]),
]
# fmt: on
