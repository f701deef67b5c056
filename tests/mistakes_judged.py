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
    ]),
    *made("bench/data/given/pictures.py", ("tests/data/test_given.py",), [
        (26, "top_of_a_standing_picture", "the middle is cut out across and not down",
         "(picture.height - down) / 2", "0"),
    ]),
    *made("bench/api/estimator.py", ("tests/api/test_attached.py",), [
        (25, "step_size_by_whole_epochs", "a schedule stands still within a pass",
         "stepper(batch, epoch + i / len(batches))", "stepper(batch, epoch)"),
        (12, "rows_in_their_order", "each pass goes through the rows as the table has them",
         "rows[torch.randperm(len(rows))]", "rows"),
    ]),
]
# fmt: on
