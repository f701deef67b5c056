"""Mistakes that published code has made, as small changes to ours. `tests.mutants` makes them; the tests must notice.

 1. A mean over pixels or over latent dimensions where a sum belongs; dividing by the number of batches, or reading one
    batch.
 2. A beta-weighted or annealed loss reported, early-stopped on, or used to pick a checkpoint as if it were the ELBO; a
    schedule that something else than the epoch moves.
 3. "MSE" used as a likelihood without its variance and constant; a missing 1/2 or 1/2 log 2 pi.
 4. Evaluating at the posterior mean and calling it an ELBO; evaluating on the training split.
 5. KL with the wrong sign, or signs that differ between variants.
 6. Importance weights: a softmax over losses instead of log-weights; weights not detached; the gradient surrogate
    reported as the bound; no max-subtraction; the number of samples ignored.
 7. beta-TC: importance weight added once per dimension; the stratified-sampling matrix off by one. Other estimates from
    a batch, MMD and covariances: draws compared with themselves, the wrong axis, the wrong number to divide by.
 8. A clamp on log-variance or probabilities that changes the value silently.
 9. NaN batches filtered out of the average; `drop_last` at evaluation.
10. Grey pixels under a Bernoulli without saying so; rows with different binarisation or padding ranked together.
11. Seed noise and estimator noise mixed in one +-.
12. A test set touched for model selection.
13. A resumed training that is not the one that was stopped: the optimiser's moments, a random stream, the rest of the
    pass or the best epoch so far forgotten.
14. A published figure held against ours wrongly: its sign ignored, the difference turned round, the sides of a
    tolerance exchanged, a figure judged that nobody saw in its source, a failed run taken for the figure of a seed.
15. A quantity that one step of training moves as far as the features happen to be large: log sigma overflows, and a
    full covariance ends behind a diagonal one.
16. Discrete latents: draws without a gradient taken for draws with one, a score weighed wrongly, a relaxation that is
    judged, a temperature that calls move.
17. What has no meaning is measured: a Gaussian or a gradient in z where latents are no points of R^D.
18. The verdict of a short training told as if a longer one could not reverse it.
19. A game whose sides are mixed: a critic's gradient in the encoder or the model's in the critic, a sign turned round,
    a critic that compares the wrong draws, or is counted as part of the model.
20. One name for several quantities: the slope of a decoder, or a weight decay, taken for another.
21. Codes and samples judged by rules that favour something else: too few bins, dead axes, what chance explains; data
    whose truth is not what it is said to be.
22. A posterior that is searched for or moved per example: a step in the wrong direction, a Jacobian left out, training
    cut off from where the search starts.
23. Latents on a manifold: densities with respect to different measures, a point that does not lie on it, the gradient
    of a rejection sampler without its correction.
24. Parts that take turns in learning: the wrong one moves, or what is not training counts.
25. What a part says of itself (a moment, an entropy, a number of points, a scale, a size) is not what it is.
26. Data of a user's own in the wrong units: pictures clamped, densities that do not say of what; what cannot be
    modelled run all the same.
27. Labels, pairs and classes that are given: one that is weighed wrongly, or of whom an objective, the judge or a table
    knows too much or too little.
"""

from tests.mistakes_bench import OF_BENCH
from tests.mistakes_codes import OF_CODES
from tests.mistakes_countable import OF_COUNTABLE
from tests.mistakes_data import OF_DATA
from tests.mistakes_discrete import OF_DISCRETE
from tests.mistakes_factors import OF_FACTORS
from tests.mistakes_games import OF_GAMES
from tests.mistakes_judged import OF_JUDGED
from tests.mistakes_labels import OF_LABELS
from tests.mistakes_ladder import OF_LADDER
from tests.mistakes_laws import OF_LAWS
from tests.mistakes_objectives import OF_OBJECTIVES
from tests.mistakes_pages import OF_PAGES
from tests.mistakes_parts import OF_PARTS
from tests.mistakes_posteriors import OF_MANIFOLDS, OF_OPTIONS, OF_SEARCHES, OF_TURNS
from tests.mistakes_tuning import OF_TUNING
from tests.mistakes_variants import OF_VARIANTS
from tests.mutants import made

BOUNDS = "bench/judge/bounds.py"
EVALUATE = "bench/judge/__init__.py"
EVIDENCE = "bench/judge/evidence.py"
GAPS = "bench/judge/gaps.py"
SURGERY = "bench/judge/surgery.py"
RUN = "bench/cells/run.py"
CORE_BOUNDS = "variants/core/bounds.py"
CORE_KL = "variants/core/kl.py"
TERMS = "variants/core/terms.py"
VAE = "variants/core/vae.py"
LIKELIHOODS = "variants/parts/likelihoods.py"
ELBO_OBJECTIVE = "variants/parts/objectives/elbo.py"
IMPORTANCE = "variants/parts/objectives/importance.py"
AGGREGATE = "variants/parts/objectives/aggregate.py"
POSTERIORS = "variants/parts/posteriors.py"
FLOWS = "variants/parts/flows.py"
HEADS = "variants/parts/heads.py"
NETWORKS = "variants/parts/networks.py"
ROTATED = "variants/core/rotated.py"
BATCHES = "bench/data/batches.py"
GROUPS = "bench/stats/groups.py"
TRAIN = "bench/train/loop.py"
STATE = "bench/train/state.py"
STEPS = "bench/train/steps.py"
VERDICT = "bench/reproduce/verdict.py"
SETTLE = "bench/records/settle.py"
LEARNING = "bench/stats/learning.py"
SAVED = "bench/api/saved.py"
WRITTEN = "bench/api/written.py"
API_MODEL = "bench/api/model.py"

IN_SAVED = ("tests/api/test_saved.py",)
IN_PYTHON = ("tests/api/test_python.py",)
IN_LEARNING = ("tests/stats/test_learning.py",)
GUARDS = ("tests/cells/test_truth_guards.py",)
JUDGE = ("tests/judge/test_judge.py",)
IN_EVIDENCE = ("tests/judge/test_evidence.py",)
IN_GAPS = ("tests/judge/test_gaps.py",)
IN_SURGERY = ("tests/judge/test_surgery.py",)
IN_TERMS = ("tests/variants/test_terms.py",)
IN_KL = ("tests/variants/test_kl.py",)
IN_LIKELIHOODS = ("tests/variants/test_likelihoods.py",)
IN_OBJECTIVES = ("tests/variants/test_objectives.py",)
IN_HEADS = ("tests/variants/test_heads.py",)
IN_FLOWS = ("tests/variants/test_flows.py",)
IN_PATH_GRADIENTS = ("tests/variants/test_path_gradients.py",)
IN_TC = ("tests/variants/test_total_correlation.py",)
IN_TRAINING = ("tests/train/test_loop.py",)
IN_TABLES = ("tests/pages/test_tables.py",)
IN_CHECKPOINTS = ("tests/resume/test_checkpoint.py",)
IN_DATA = ("tests/data/test_batches.py",)
IN_VERDICTS = ("tests/reproduce/test_verdict.py",)
IN_SETTLING = ("tests/records/test_settle.py",)

# fmt: off
MISTAKES = [
    *made(LIKELIHOODS, IN_LIKELIHOODS, [
        (1, "mean_over_pixels_bernoulli", "log p(x|z) is a sum over pixels",
         "functional.logsigmoid(h * sign).sum(-1)",
         "functional.logsigmoid(h * sign).mean(-1)"),
        (1, "mean_over_pixels_continuous_bernoulli", "the same for grey pixels",
         "        return Independent(ContinuousBernoulliDistribution(h), self.dims, validate_args=False)\n"
         "\n"
         "    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:\n"
         '        """log p(x|z), `[K, B]`."""\n'
         "        return self.forward(h).log_prob(x)\n",
         "        return Independent(ContinuousBernoulliDistribution(h), self.dims, validate_args=False)\n"
         "\n"
         "    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:\n"
         "        return self.forward(h).log_prob(x) / x[0].numel()\n"),
        (1, "mean_over_pixels_gaussian", "the same for real pixels",
         "            return self.forward(h).log_prob(x)\n",
         "            return self.forward(h).log_prob(x) / x[0].numel()\n"),
        (3, "mse_as_likelihood", "the squared error is no log-density",
         "            return self.forward(h).log_prob(x)\n",
         "            return -(x - self._mean(h)).square().flatten(-self.dims).sum(-1)\n"),
        (3, "mse_without_variance", "half the squared error, as if sigma were 1",
         "            return self.forward(h).log_prob(x)\n",
         "            return self._density(self._mean(h), torch.ones_like(self.sigma)).log_prob(x)\n"),
        (3, "gaussian_without_the_half", "(x - m)^2 / sigma^2 without its 1/2",
         "            return self.forward(h).log_prob(x)\n",
         "            error = ((x - self._mean(h)) / self.sigma).square().flatten(-self.dims).sum(-1)\n"
         "            return self.forward(h).log_prob(x) - 0.5 * error\n"),
        (3, "gaussian_without_log_2_pi", "1/2 log 2 pi for every pixel is missing",
         "            return self.forward(h).log_prob(x)\n",
         "            return self.forward(h).log_prob(x) + 0.5 * math.log(2 * math.pi) * x[0].numel()\n"),
        (3, "sigma_fitted_to_what_it_scores", "at evaluation too, the variance is fitted to the batch",
         "if not (self.optimal and self.training):", "if not self.optimal:"),
        (3, "continuous_bernoulli_without_its_normaliser", "without log C(l) it is no density on [0, 1]",
         " - functional.softplus(self.logits) + self.log_normaliser", " - functional.softplus(self.logits)"),
        (8, "clamp_on_probabilities", "a wrong pixel costs at most log 1e6",
         "functional.logsigmoid(h * sign)",
         "(h * sign).sigmoid().clamp(1e-6, 1 - 1e-6).log()"),
        (8, "torchs_own_clamp_on_probabilities", "torch clamps probabilities, but no logits",
         "functional.logsigmoid(h * sign)", "(h * sign).sigmoid().log()"),
        (8, "clamp_on_logits", "the same for grey pixels",
         "        self.logits = logits\n", "        self.logits = logits.clamp(-15, 15)\n"),
        (10, "grey_pixels_under_a_bernoulli", "on grey pixels it is no density",
         'if data.kind != "binary":', 'if data.kind == "real":'),
        (10, "any_data_under_a_continuous_bernoulli", "outside [0, 1] it is no density",
         'if data.kind != "unit":', "if False:"),
    ]),
    *made(CORE_KL, IN_KL, [
        (1, "mean_over_latent_dimensions", "the KL is a sum over latent dimensions",
         "return kl_divergence(q, p)\n    except", "return kl_divergence(q, p) / q.event_shape.numel()\n    except"),
        (1, "mean_over_latent_dimensions_full", "the same in the closed form of a full covariance",
         "0.5 * q.variance / normal.variance).sum(-1)", "0.5 * q.variance / normal.variance).mean(-1)"),
        (3, "kl_without_the_half", "the variances in the closed form carry a 1/2",
         "- 0.5 * q.variance / normal.variance", "- q.variance / normal.variance"),
        (5, "kl_of_p_from_q", "KL(p || q) is another number",
         "return kl_divergence(q, p)\n    except", "return kl_divergence(p, q)\n    except"),
        (5, "entropy_negated", "KL = -H(q) - E_q log p",
         "return -entropy - expected_log_p", "return entropy - expected_log_p"),
    ]),
    *made(BOUNDS, JUDGE, [
        (1, "mean_of_batch_means",
         "the last batch is smaller, so the mean of batch means is not the mean over examples",
         "recon.append(terms.log_px_z.mean(0))", "recon.append(terms.log_px_z.mean().reshape(1))"),
        (1, "one_batch_read", "the ELBO of the first batch alone",
         "for x, y in batches:", "for x, y in list(batches)[:1]:"),
        (1, "squared_error_over_batches", "the squared error divided by the number of batches",
         "        count += x.numel()\n",
         "        squared, count = squared - (x - model.decode(mean).mean).double().square().sum().item() * "
         "(1 - 1 / x.numel()), count + 1\n"),
        (2, "objective_reported_as_elbo", "the judge asks the contestant's loss",
         "bound.append(elbo(terms))", "bound.append(-model.objective(terms, 1e9))"),
        (2, "beta_weighted_elbo", "the KL of the report carries the objective's beta",
         "bound.append(elbo(terms))",
         'bound.append(terms.log_px_z.mean(0) - getattr(model.objective, "beta", 1.0) * terms.kl)'),
        (2, "beta_weighted_kl", "the reported rate carries the objective's beta",
         "kl.append(terms.kl)", 'kl.append(getattr(model.objective, "beta", 1.0) * terms.kl)'),
        (6, "samples_ignored_by_the_judge", "one draw, whatever K the suite asks for",
         "model.terms(given(model, x, y), samples, prior)", "model.terms(given(model, x, y), 1, prior)"),
    ]),
    *made(TRAIN, IN_TRAINING, [
        (1, "train_loss_over_batches", "the loss on the curve is a mean over examples",
         "loss = sum(torch.stack(now.losses).tolist()) / size",
         "loss = sum(torch.stack(now.losses).tolist()) / (steps * budget.batch_size)"),
        (2, "annealed_loss_on_the_curve", "the learning curve shows the (annealed, weighted) training loss as the ELBO",
         "row = look(model)", 'row = {**look(model), "valid_elbo_nats": -loss}'),
        (2, "patience_with_the_training_loss", "patience looks at the judge's ELBO",
         'now.best.is_over(model, now.epoch, row.get("valid_elbo_nats"))',
         'now.best.is_over(model, now.epoch, -now.curve[-1]["train_loss"])'),
        (9, "nan_filtered_in_training", "batches whose loss is not a number are left out of the curve",
         "loss = sum(torch.stack(now.losses).tolist()) / size",
         "loss = sum(value for value in torch.stack(now.losses).tolist() if math.isfinite(value)) / size"),
    ]),
    *made(EVALUATE, JUDGE, [
        (1, "nll_of_a_part", "the NLL of the examples that were importance-sampled, as if it were the split's",
         "return -(test.elbo.mean().item() + gap.mean().item()), ", 'return -columns["log_px"].mean().item(), '),
        (4, "evaluated_on_the_training_split", "what was trained on is not what is asked for",
         'SPLIT = "test"', 'SPLIT = "train"'),
        (5, "inference_gap_negated", "log p(x) is above the ELBO",
         'gap = log_px - columns["elbo"]', 'gap = columns["elbo"] - log_px'),
        (10, "bits_of_a_density", "on a continuous support the bits depend on the unit of x",
         "in_bits = has_bits(model, data, SPLIT)", "in_bits = True"),
        (11, "judges_noise_in_the_error_over_examples",
         "the spread over examples holds the Monte Carlo noise of each, which has a column of its own",
         "values.var().item() / n - (mc or 0.0)", "values.var().item() / n"),
        (11, "errors_in_one_figure", "Monte Carlo error and sampling of examples added up",
         "mc = None if variances is None else variances.sum().item() / n**2",
         "mc = None if variances is None else variances.sum().item() / n**2 + values.var().item() / n"),
    ]),
    *made(TERMS, GUARDS, [
        (2, "free_bits_reported", "a floor under the KL is a training trick",
         "            return self._closed_form_kl\n", "            return self._closed_form_kl.clamp(min=1.0)\n"),
    ]),
    *made(TRAIN, GUARDS, [
        (2, "early_stopping_on_the_training_loss", "an annealed loss rises while the model improves",
         "            now.begin_pass()\n",
         "            now.begin_pass()\n"
         "            if now.epoch > 1 and loss > now.curve[-2]['train_loss']:\n"
         "                break\n"),
        (2, "checkpoint_by_the_training_loss", "the weights of the lowest annealed loss are those of the first epochs",
         '            if now.best and now.best.is_over(model, now.epoch, row.get("valid_elbo_nats")):\n'
         "                break\n"
         "    if now.best and now.best.weights:\n"
         "        model.load_state_dict(now.best.weights)\n",
         "            if loss <= min(row['train_loss'] for row in now.curve):\n"
         "                best = {name: tensor.clone() for name, tensor in model.state_dict().items()}\n"
         "    model.load_state_dict(best)\n"),
    ]),
    *made(FLOWS, IN_FLOWS, [
        (3, "planar_flow_that_folds",
         "w^T u below -1 maps two points to one, and the change of variables loses one of the two terms",
         "return [cls(*step) for step in zip(u, w, b, slope, strict=True)]",
         "return [cls(*step) for step in zip(u, w, b, 2 * slope, strict=True)]"),
        (3, "mask_that_sees_itself",
         "a latent that its own gate depends on adds to the determinant what the formula does not have",
         "(rank[:, None] > sees)", "(rank[:, None] >= sees)"),
        (5, "log_determinant_of_a_flow_added", "where a flow spreads its samples, their density is lower",
         "self._base_log_prob(start) - log_det, torch", "self._base_log_prob(start) + log_det, torch"),
    ]),
    *made("bench/data/gaussian.py", ("tests/data/test_linear_gaussian.py",), [
        (3, "truth_without_log_2_pi", "the exact log p(x) that the judge is held against is wrong itself",
         "(d * math.log(2 * math.pi) + log_det", "(log_det"),
        (3, "truth_with_half_the_log_determinant", "log|C| is twice the sum of the logarithms of Cholesky's diagonal",
         "log_det = 2 * L.diagonal()", "log_det = L.diagonal()"),
    ]),
    *made(VAE, IN_TERMS, [
        (4, "evaluated_at_the_posterior_mean", "log p(x|mean) is no expectation over q",
         "if loud else draw(q, shape)\n",
         "if loud else q.mean.expand(samples, *q.mean.shape)\n"),
    ]),
    *made(EVALUATE, GUARDS, [
        (4, "evaluated_on_the_validation_split", "what was chosen by cannot be reported",
         'SPLIT = "test"', 'SPLIT = "valid"'),
        (5, "marginal_kl_added", "KL = mutual information + marginal KL",
         "test.kl.mean().item() - information", "test.kl.mean().item() + information"),
        (9, "nanmean_of_the_evidence", "examples whose log p(x) is not a number are left out",
         "nll = -log_px.mean().item()\n", "nll = -log_px.nanmean().item()\n"),
    ]),
    *made(BOUNDS, GUARDS, [
        (4, "dropout_and_batch_norm_left_in_training_mode", "the judge scores the network as it is at evaluation",
         "    model.eval()\n    recon: list[Tensor] = []\n", "    recon: list[Tensor] = []\n"),
        (9, "nanmean", "what is not a number vanishes from the average",
         "values.mean().item()", "values.nanmean().item()"),
    ]),
    *made(CORE_BOUNDS, IN_TERMS, [
        (5, "kl_added_to_the_elbo", "the ELBO is reconstruction minus KL",
         "terms.log_px_z.mean(0) - terms.kl", "terms.log_px_z.mean(0) + terms.kl"),
        (6, "surrogate_as_bound", "sum_k softmax(log w)_k log w_k is above the bound",
         "return terms.log_weights.logsumexp(0) - math.log(terms.log_weights.shape[0])",
         "return (terms.log_weights.softmax(0) * terms.log_weights).sum(0)"),
        (6, "no_max_subtraction", "exp of a log-weight of -1000 is 0",
         "return terms.log_weights.logsumexp(0) - math.log(terms.log_weights.shape[0])",
         "return terms.log_weights.exp().mean(0).log()"),
        (6, "log_k_missing", "the sum of the weights instead of their mean",
         " - math.log(terms.log_weights.shape[0])", ""),
        (6, "mean_of_log_weights", "the ELBO reported as the importance-weighted bound",
         "return terms.log_weights.logsumexp(0) - math.log(terms.log_weights.shape[0])",
         "return terms.log_weights.mean(0)"),
    ]),
    *made(TERMS, IN_KL, [
        (5, "monte_carlo_kl_negated", "E_q[log p - log q] is minus the KL",
         "(self.log_qz_x - self.log_pz).mean(0)", "(self.log_pz - self.log_qz_x).mean(0)"),
    ]),
    *made(TERMS, IN_TERMS, [
        (5, "log_weights_with_the_prior_subtracted", "log w = log p(x|z) + log p(z) - log q(z|x)",
         "self.log_px_z + self.log_pz - self.log_qz_x", "self.log_px_z - self.log_pz + self.log_qz_x"),
    ]),
    *made(ELBO_OBJECTIVE, IN_OBJECTIVES, [
        (5, "kl_rewarded_in_the_beta_vae", "a sign that differs between variants",
         "return self.beta * linear_warmup(epoch, self.warmup_epochs) * terms.kl",
         "return -self.beta * linear_warmup(epoch, self.warmup_epochs) * terms.kl"),
        (5, "kl_rewarded_in_training", "the loss is KL minus reconstruction",
         "return linear_warmup(epoch, self.warmup_epochs) * terms.kl -",
         "return -linear_warmup(epoch, self.warmup_epochs) * terms.kl -"),
        (5, "reconstruction_rewarded_with_the_wrong_sign", "the autoencoder's loss is minus log p(x|z)",
         "        return -terms.log_px_z.mean(0)\n", "        return terms.log_px_z.mean(0)\n"),
    ]),
    *made(ROTATED, IN_FLOWS, [
        (5, "flow_turned_back_the_same_way", "the transpose of a rotation undoes it, not the rotation",
         "bij,...bi->...bj", "bij,...bj->...bi"),
    ]),
    *made(GAPS, IN_GAPS, [
        (5, "gaps_negated", "the better posterior has the higher bound",
         "columns[name] = columns[upper] - columns[lower]", "columns[name] = columns[lower] - columns[upper]"),
        (6, "gap_without_log_k", "the same where the gaps take log p(x) from the best posterior",
         'columns |= log_mean_exp(weights["elbo_full"])',
         'columns |= {**log_mean_exp(weights["elbo_full"]), "log_px": weights["elbo_full"].logsumexp(0)}'),
        (6, "gap_on_the_draws_optimised_on", "a bound scored with the draws that it was fitted to is no bound",
         "    z = draw(q, [samples])\n", "    torch.manual_seed(0)\n    z = draw(q, [samples])\n"),
    ]),
    *made(EVIDENCE, IN_EVIDENCE, [
        (5, "reverse_annealing_not_negated", "the reverse weights estimate 1 / p(x)",
         'columns["log_px"] = -columns["log_px"]', 'columns["log_px"] = columns["log_px"]  # noqa: PLW0127'),
        (6, "log_k_missing_in_the_evidence", "log p(x) too high by log K",
         '{"log_px": log_sum - math.log(k)}', '{"log_px": log_sum}'),
        (6, "no_max_subtraction_in_the_evidence", "exp of a log-weight of -1000 is 0",
         "log_sum = log_weights.logsumexp(0)", "log_sum = log_weights.exp().sum(0).log()"),
        (6, "first_turn_of_draws_alone", "draws beyond what fits in memory at once are ignored",
         "for start in range(0, samples, turn):", "for start in range(0, turn, turn):"),
        (6, "annealing_without_metropolis",
         "a discretised path without its correction leaves another distribution invariant, and proves no bound",
         "accept = torch.rand_like(log_accept).log() < log_accept",
         "accept = torch.ones_like(log_accept, dtype=torch.bool)"),
        (6, "annealing_weight_of_the_wrong_temperature",
         "each weight is the ratio of neighbouring densities at the state before the move",
         "        log_w += (betas[t] - betas[t - 1]) * precise(state.log_likelihood)\n",
         "        log_w += betas[t] / len(betas) * precise(state.log_likelihood)\n"),
    ]),
    *made(IMPORTANCE, IN_OBJECTIVES, [
        (6, "softmax_over_losses", "normalised over the losses, the worst draw weighs most",
         "return math.log(len(log_weights)) - log_weights.logsumexp(0)",
         "return -(log_weights.neg().softmax(0).detach() * log_weights).sum(0)"),
        (6, "surrogate_as_loss", "the detached surrogate has the bound's gradient, but not its value",
         "return math.log(len(log_weights)) - log_weights.logsumexp(0)",
         "return -(log_weights.softmax(0).detach() * log_weights).sum(0)"),
        (6, "weights_not_detached",
         "the right value, with the gradient of a surrogate whose weights are not held constant",
         "return math.log(len(log_weights)) - log_weights.logsumexp(0)",
         "bound = log_weights.logsumexp(0) - math.log(len(log_weights))\n"
         "    surrogate = (log_weights.softmax(0) * log_weights).sum(0)\n"
         "    return -(bound.detach() + surrogate - surrogate.detach())"),
        (6, "log_k_missing_in_training", "a loss that is a constant too low",
         "return math.log(len(log_weights)) - log_weights.logsumexp(0)", "return -log_weights.logsumexp(0)"),
    ]),
    *made(IMPORTANCE, IN_PATH_GRADIENTS, [
        (6, "dreg_without_the_second_weight", "the encoder's gradient carries the square of the normalised weight",
         "        scale_path(terms, 1 - weight + weight * log_weights.detach().softmax(0))\n", ""),
        (6, "dreg_without_its_warmup", "while log q counts for a part, so does what takes the place of its score",
         "1 - weight + weight * log_weights.detach().softmax(0)", "log_weights.detach().softmax(0)"),
        (6, "dreg_with_the_score", "the parameters of log q are not stopped, so that their score is counted twice",
         "terms.log_qz_x_stopped)\n        scale_path(terms, 1", "terms.log_qz_x)\n        scale_path(terms, 1"),
    ]),
    *made(ELBO_OBJECTIVE, IN_PATH_GRADIENTS, [
        (6, "sticking_the_landing_with_the_score", "the same number, but the noise that was to be left out",
         "terms.log_qz_x_stopped)).mean(0)", "terms.log_qz_x)).mean(0)"),
    ]),
    *made(TERMS, IN_PATH_GRADIENTS, [
        (6, "log_q_left_out_of_the_path", "log q stopped altogether, not its parameters alone",
         "return log_q.detach() + (slope * (self.z - z.detach())).sum(-1)", "return log_q.detach()"),
    ]),
    *made(VAE, IN_OBJECTIVES, [
        (6, "samples_ignored_in_training", "one draw, whatever K the objective asks for",
         "self.terms(x, self.objective.samples, path=path)", "self.terms(x, 1, path=path)"),
    ]),
    *made(SURGERY, IN_SURGERY, [
        (6, "aggregate_posterior_without_log_n", "q(z) is the mean of its components, not their sum",
         "information = log_qz_x - (log_sum - math.log(n))", "information = log_qz_x - log_sum"),
        (6, "aggregate_posterior_without_the_own_component",
         "each example is one of the mixture that its code is drawn from",
         "information = log_qz_x - (log_sum - math.log(n))",
         "information = log_qz_x - (log_sum + (-(log_qz_x - log_sum).exp()).log1p() - math.log(n - 1))"),
    ]),
    *made(AGGREGATE, IN_TC, [
        (7, "weight_once_per_dimension", "log q(z) has its importance weight once, not once for each of its dimensions",
         "log_qz = (weights.log() + terms.q.log_prob(z)).logsumexp(2)",
         "log_qz = (weights.log().unsqueeze(-1) + marginals(terms.q).log_prob(z)).sum(-1).logsumexp(2)"),
        (7, "stratified_matrix_off_by_one", "B in the place of B - 1: rows no longer sum to 1",
         "other = (1 - diagonal) / max(1, batch - 1)", "other = (1 - diagonal) / batch"),
        (7, "own_example_weighs_like_the_others", "z_i was drawn from q(z|x_i), which is one of N and not one of B",
         "diagonal = 1 / data_size if batch > 1 else 1.0", "diagonal = 1 / batch"),
    ]),
    *made(POSTERIORS, GUARDS, [
        (8, "clamp_on_log_variance", "a posterior narrower than the clamp is scored as a wider one",
         "Independent(Normal(self.loc(h), self.log_scale(h).exp(),",
         "Independent(Normal(self.loc(h), self.log_scale(h).clamp(-5, 5).exp(),"),
        (8, "clamp_on_log_variance_full", "the same for a full covariance",
         "scale = self.log_scale(h).exp()\n        unit", "scale = self.log_scale(h).clamp(-5, 5).exp()\n        unit"),
        (8, "clamp_on_log_variance_low_rank", "the same for a low-rank covariance",
         "scale = self.log_scale(h).exp()\n        factor",
         "scale = self.log_scale(h).clamp(-5, 5).exp()\n        factor"),
    ]),
    *made(LIKELIHOODS, GUARDS, [
        (8, "clamp_on_the_likelihoods_variance",
         "a decoder more certain than the clamp is scored as a less certain one",
         "self.variance.sqrt() if self.log_sigma is None else self.log_sigma.exp()",
         "self.variance.sqrt() if self.log_sigma is None else self.log_sigma.clamp(min=-3).exp()"),
    ]),
    *made(LIKELIHOODS, IN_LIKELIHOODS, [
        (8, "product_of_factors_underflows", "256 factors of one half are no float32",
         "for _ in range(6):", "for _ in range(8):"),
        (8, "product_without_its_odd_factor", "of an odd number of factors the middle one is lost",
         "half = (size + 1) // 2", "half = size // 2"),
        (8, "log_sigmoid_without_what_is_below", "a certain error costs log 2 at most",
         "return below + factors.log().sum(-1)", "return factors.log().sum(-1)"),
        (8, "product_in_half_precision", "64 factors of one half underflow there",
         'h.device.type != "cpu" or h.dtype != torch.float32', 'h.device.type != "cpu"'),
    ]),
    *made("bench/device.py", ("tests/reliability/test_environment.py",), [
        (20, "memory_is_given_back", "a setting in the record that was never made",
         "kept = mallopt(_M_MMAP_THRESHOLD, _MAP) and mallopt(_M_TRIM_THRESHOLD, _TRIM)", "kept = 1"),
    ]),
    *made(RUN, ("tests/cells/test_run.py",), [
        (9, "divergence_unseen", "a record whose figures are not finite is called ok",
         "    if broken:\n", "    if broken and False:\n"),
    ]),
    *made("bench/stats/intervals.py", ("tests/stats/test_intervals.py",), [
        (9, "nan_filtered_over_seeds", "the mean over the seeds that worked",
         "    if not all(math.isfinite(value) for value in values):\n",
         "    values = [value for value in values if math.isfinite(value)]\n    if not values:\n"),
    ]),
    *made(GROUPS, IN_TABLES, [
        (9, "failed_seeds_not_counted", "3/3 ok, of five",
         '{len(self.ok)}/{len(self.records)} ok"', '{len(self.ok)}/{len(self.ok)} ok"'),
        (10, "binarisations_in_one_group", "nats of grey and of binary images side by side",
         '"binarise": cell["binarise"],', '"binarise": "dynamic",'),
        (10, "supports_in_one_group", "densities and probabilities side by side",
         "if model.conditional else model.support,", 'if model.conditional else "binary",'),
        (10, "budgets_in_one_group", "a longer training against a shorter one",
         '"budget": (tuning or cell)["budget"],', '"budget": {},'),
    ]),
    *made(BATCHES, IN_DATA, [
        (9, "drop_last_at_evaluation", "the last, smaller batch is left out",
         "indices = torch.split(self.places(split, limit), batch_size)",
         "indices = torch.split(self.places(split, limit), batch_size)[:-1]"),
        (10, "evaluated_on_grey_pixels", "trained on binarised images, scored on grey ones",
         'DRAWN.get(self.binarise, self.binarise), indices)',
         '"none" if self.binarise in DRAWN else self.binarise, indices)'),
        (12, "trained_on_the_test_split", "batches come from the wrong split",
         'held = self._store("train", "none").batches(indices)',
         'held = self._store("test", "none").batches(indices)'),
    ]),
    *made(BATCHES, IN_TRAINING, [
        (9, "drop_last_in_training", "every pass leaves out examples that the budget counts",
         "indices = torch.split(chosen, batch_size)[first:]",
         "indices = [part for part in torch.split(chosen, batch_size) if len(part) == batch_size][first:]"),
    ]),
    *made(GROUPS, GUARDS, [
        (10, "data_options_in_one_group", "images prepared in different ways, padded ones say, side by side",
         '"data_options": cell["data_options"],', '"data_options": {},'),
        (10, "protocols_in_one_group", "figures of different definitions side by side",
         '"protocol": record.protocol,', '"protocol": None,'),
    ]),
    *made(BOUNDS, IN_TRAINING, [
        (11, "validation_draws_of_the_runs_seed", "the spread over seeds takes in the judge's own noise",
         "samples=1, seed=seeds.JUDGE)", "samples=1, seed=torch.initial_seed())"),
        (12, "curve_on_the_test_split", "whoever chooses by the curve chooses by the test split",
         'data.eval_batches("valid", EVAL_BATCH)', 'data.eval_batches("test", EVAL_BATCH)'),
    ]),
    *made(RUN, GUARDS, [
        (11, "judged_with_draws_of_the_runs_seed", "the same at evaluation",
         "    judgement = judge.evaluate(model, judged, how, notebook)\n",
         "    seeds.JUDGE = seed\n    judgement = judge.evaluate(model, judged, how, notebook)\n"),
    ]),
    *made("bench/data/readers.py", IN_DATA, [
        (12, "splits_overlap", "validation and test examples are the same",
         "dict(zip(SPLITS, np.split(images, ends), strict=True)),",
         'dict(zip(SPLITS, np.split(images, ends), strict=True)) | {"valid": np.split(images, ends)[2]},'),
    ]),
    *made(STEPS, IN_CHECKPOINTS, [
        (13, "moments_forgotten_on_resuming", "Adam starts anew in the middle",
         '            optim.load_state_dict(optim.state_dict() | {"state": moments[name]})\n', "            pass\n"),
        (13, "moments_in_another_layout", "the fused update pairs weights with the moments of others",
         "{key: torch.empty_like(wanted[key]).copy_(kept[key]) for key in wanted}", "kept"),
    ]),
    *made(STEPS, IN_TRAINING, [
        (20, "weight_decay_in_the_gradient", "Adam's moments see the decay, which is then no share of the weights",
         '"decoupled_weight_decay": True', '"decoupled_weight_decay": False'),
        (20, "gradient_clipped_number_by_number", "its direction changes, and the norm is no limit",
         "clip_grad_norm_(", "clip_grad_value_("),
    ]),
    *made(SAVED, IN_SAVED, [
        (13, "other_code_unseen", "a kept model is believed whatever this code makes of it",
         "    if not same:\n", "    if not answers:\n"),
    ]),
    *made(WRITTEN, IN_SAVED, [
        (13, "answers_of_the_encoder_alone", "another decoder would pass",
         "decoded.mean(), decoded.square().mean()]", "]"),
    ]),
    *made(API_MODEL, IN_PYTHON, [
        (4, "elbo_of_one_example_with_the_training_s_draws", "scores of examples are those of the judge, and repeat",
         "samples=samples, seed=seed).elbo", "samples=1, seed=seed + 1).elbo"),
    ]),
    *made(STATE, IN_CHECKPOINTS, [
        (13, "noise_forgotten_on_resuming", "z is drawn as at the start once more",
         '        torch.set_rng_state(groups["random"]["noise"])\n', ""),
        (13, "binarisation_forgotten_on_resuming", "images are binarised as at the start once more",
         '        self.binarise.set_state(groups["random"]["binarise"])\n', ""),
        (13, "order_as_after_the_pass", "the rest of a pass is drawn anew: some examples twice, others not at all",
         '            "order": self.order_at_start,\n', '            "order": self.order.get_state(),\n'),
        (13, "pass_started_anew", "the first batches of the pass are trained on twice",
         "        first = len(self.losses)\n", "        first = 0\n"),
        (13, "best_epoch_forgotten_on_resuming", "patience is counted from the stop",
         "        self.best = best\n", "        best = self.best\n"),
    ]),
    *made(VERDICT, IN_VERDICTS, [
        (14, "published_sign_ignored", "a negative ELBO held against an ELBO",
         "figure.sign * value\n", "value\n"),
        (14, "published_minus_ours", "worse than the paper is taken for better",
         "judge(mean - figure.value, tolerance)", "judge(figure.value - mean, tolerance)"),
        (14, "unverified_figure_judged", "agreement with a figure that nobody saw in its source",
         "    if not figure.verified:\n", "    if not figure.verified and reason:\n"),
    ]),
    *made("bench/reproduce/effects.py", ("tests/reproduce/test_effects.py",), [
        (15, "effect_of_any_sign", "a loss where the source has a gain counts as its effect",
         "max(signs) <= 0 or ", ""),
        (15, "effect_turned_round", "the second row minus the first",
         "seed: value - b.values[seed]", "seed: b.values[seed] - value"),
        (15, "effect_of_unequal_training", "rows that were trained for different budgets are compared",
         "    if not alike:\n", "    if not alike and not values:\n"),
    ]),
    *made("bench/reproduce/published.py", IN_VERDICTS, [
        (14, "sides_of_a_tolerance_exchanged", "what is allowed above is allowed below",
         "-self.below <= difference <= self.above", "-self.above <= difference <= self.below"),
    ]),
    *made(SETTLE, IN_VERDICTS, [
        (14, "failed_run_before_a_finished_one", "a later run that broke hides the figure of a seed",
         "return record.status in FINISHED, started(record)", "return True, started(record)"),
    ]),
    *made(SETTLE, IN_SETTLING, [
        (14, "divergence_is_no_outcome", "an earlier run that went well hides a later one that diverged",
         'FINISHED = ("ok", "diverged")', 'FINISHED = ("ok",)'),
        (14, "time_without_its_offset", "of two runs the one further east counts as the last",
         "(time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()", "time.replace(tzinfo=UTC).timestamp()"),
    ]),
    *made(HEADS, IN_HEADS, [
        (15, "features_not_bounded", "a head sees features of any size",
         "functional.linear(squash(h), self.weight, self.bias)", "functional.linear(h, self.weight, self.bias)"),
        (15, "pace_grows_with_the_width", "the gain of a head is the pace alone",
         "self.gain = pace / features", "self.gain = pace / 400"),
    ]),
    *made(POSTERIORS, IN_HEADS, [
        (15, "correlations_as_fast_as_log_sigma", "each of D - 1 entries in a row moves as far as log sigma",
         "shared_covariance, pace / latent)", "shared_covariance, pace)"),
    ]),
    *made(NETWORKS, IN_HEADS, [
        (15, "data_not_centred", "what all examples share drowns how they differ",
         "(x.log1p() if self.counts else x) - self.mean", "(x.log1p() if self.counts else x) + self.mean"),
        (15, "one_mean_for_all_channels",
         "a convolutional encoder sees one mean of all pixels instead of one a channel",
         "mean.mean((1, 2), keepdim=True)", "mean.mean((0, 1, 2), keepdim=True)"),
    ]),
    *made(LEARNING, IN_LEARNING, [
        (18, "verdict_before_its_time", "better or worse although the curves still move",
         'return comparison if settled else replace(comparison, verdict="still learning")', "return comparison"),
        (18, "drift_turned_round",
         "held back where the variant that is ahead pulls away, not where the other catches up",
         "math.log2(LONGER) * (behind - ahead)", "math.log2(LONGER) * (ahead - behind)"),
        (18, "gain_of_the_slower", "what is yet to come is judged by the variant that learns less",
         "least = SHARE * max(map(abs, means))", "least = SHARE * min(map(abs, means))"),
        (18, "gain_of_any_training_loss", "a loss below the bound taken for a pass that has nothing more to gain",
         "return least if min(means) > 0 else math.inf", "return least"),
    ]),
    *made("bench/stats/intervals.py", IN_LEARNING, [
        (18, "best_before_its_time", "a best row is marked beside one that is still learning",
         '    if "still learning" in verdicts:\n        return Marks(learning=near)\n', ""),
    ]),
    *OF_PARTS,
    *OF_OBJECTIVES,
    *OF_DISCRETE,
    *OF_LADDER,
    *OF_LAWS,
    *OF_GAMES,
    *OF_BENCH,
    *OF_CODES,
    *OF_DATA,
    *OF_COUNTABLE,
    *OF_FACTORS,
    *OF_MANIFOLDS,
    *OF_SEARCHES,
    *OF_TURNS,
    *OF_OPTIONS,
    *OF_TUNING,
    *OF_PAGES,
    *OF_LABELS,
    *OF_JUDGED,
    *OF_VARIANTS,
]
# fmt: on
