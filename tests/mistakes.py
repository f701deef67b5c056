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
"""

from tests.mistakes_discrete import OF_DISCRETE
from tests.mistakes_objectives import OF_OBJECTIVES
from tests.mistakes_parts import OF_PARTS
from tests.mutants import Mistake

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

MEANS_NOT_SUMS = [
    Mistake(
        "mean_over_pixels_bernoulli",
        1,
        "log p(x|z) is a sum over pixels",
        LIKELIHOODS,
        "functional.logsigmoid(self._logits(h) * (2 * x - 1)).flatten(-self.dims).sum(-1)",
        "functional.logsigmoid(self._logits(h) * (2 * x - 1)).flatten(-self.dims).mean(-1)",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "mean_over_pixels_continuous_bernoulli",
        1,
        "the same for grey pixels",
        LIKELIHOODS,
        """        return Independent(ContinuousBernoulliDistribution(h), self.dims, validate_args=False)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        \"""log p(x|z), `[K, B]`.\"""
        return self.forward(h).log_prob(x)
""",
        """        return Independent(ContinuousBernoulliDistribution(h), self.dims, validate_args=False)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return self.forward(h).log_prob(x) / x[0].numel()
""",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "mean_over_pixels_gaussian",
        1,
        "the same for real pixels",
        LIKELIHOODS,
        "            return self.forward(h).log_prob(x)\n",
        "            return self.forward(h).log_prob(x) / x[0].numel()\n",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "mean_over_latent_dimensions",
        1,
        "the KL is a sum over latent dimensions",
        CORE_KL,
        "return kl_divergence(q, p)\n    except",
        "return kl_divergence(q, p) / q.event_shape.numel()\n    except",
        IN_KL,
    ),
    Mistake(
        "mean_over_latent_dimensions_full",
        1,
        "the same in the closed form of a full covariance",
        CORE_KL,
        "0.5 * q.variance / normal.variance).sum(-1)",
        "0.5 * q.variance / normal.variance).mean(-1)",
        IN_KL,
    ),
    Mistake(
        "mean_of_batch_means",
        1,
        "the last batch is smaller, so the mean of batch means is not the mean over examples",
        BOUNDS,
        "recon.append(terms.log_px_z.mean(0))",
        "recon.append(terms.log_px_z.mean().reshape(1))",
        JUDGE,
    ),
    Mistake(
        "one_batch_read",
        1,
        "the ELBO of the first batch alone",
        BOUNDS,
        "for x, _ in batches:",
        "for x, _ in list(batches)[:1]:",
        JUDGE,
    ),
    Mistake(
        "squared_error_over_batches",
        1,
        "the squared error divided by the number of batches",
        BOUNDS,
        "        count += x.numel()\n",
        "        squared, count = squared - (x - model.decode(mean).mean).double().square().sum().item() * "
        "(1 - 1 / x.numel()), count + 1\n",
        JUDGE,
    ),
    Mistake(
        "train_loss_over_batches",
        1,
        "the loss on the curve is a mean over examples",
        TRAIN,
        "loss = sum(torch.stack(now.losses).tolist()) / size",
        "loss = sum(torch.stack(now.losses).tolist()) / (steps * budget.batch_size)",
        IN_TRAINING,
    ),
    Mistake(
        "nll_of_a_part",
        1,
        "the NLL of the examples that were importance-sampled, as if it were the split's",
        EVALUATE,
        "return -(test.elbo.mean().item() + gap.mean().item()), ",
        'return -columns["log_px"].mean().item(), ',
        JUDGE,
    ),
]

TRAINING_LOSS_REPORTED = [
    Mistake(
        "objective_reported_as_elbo",
        2,
        "the judge asks the contestant's loss",
        BOUNDS,
        "bound.append(elbo(terms))",
        "bound.append(-model.objective(terms, 1e9))",
        JUDGE,
    ),
    Mistake(
        "beta_weighted_elbo",
        2,
        "the KL of the report carries the objective's beta",
        BOUNDS,
        "bound.append(elbo(terms))",
        'bound.append(terms.log_px_z.mean(0) - getattr(model.objective, "beta", 1.0) * terms.kl)',
        JUDGE,
    ),
    Mistake(
        "beta_weighted_kl",
        2,
        "the reported rate carries the objective's beta",
        BOUNDS,
        "kl.append(terms.kl)",
        'kl.append(getattr(model.objective, "beta", 1.0) * terms.kl)',
        JUDGE,
    ),
    Mistake(
        "annealed_loss_on_the_curve",
        2,
        "the learning curve shows the (annealed, weighted) training loss as the ELBO",
        TRAIN,
        "row = look(model)",
        'row = {**look(model), "valid_elbo_nats": -loss}',
        IN_TRAINING,
    ),
    Mistake(
        "free_bits_reported",
        2,
        "a floor under the KL is a training trick",
        TERMS,
        "            return self._closed_form_kl\n",
        "            return self._closed_form_kl.clamp(min=1.0)\n",
        GUARDS,
    ),
    Mistake(
        "patience_with_the_training_loss",
        2,
        "patience looks at the judge's ELBO",
        TRAIN,
        'now.best.is_over(model, now.epoch, row.get("valid_elbo_nats"))',
        'now.best.is_over(model, now.epoch, -now.curve[-1]["train_loss"])',
        IN_TRAINING,
    ),
    Mistake(
        "early_stopping_on_the_training_loss",
        2,
        "an annealed loss rises while the model improves",
        TRAIN,
        "            now.begin_pass()\n",
        "            now.begin_pass()\n"
        "            if now.epoch > 1 and loss > now.curve[-2]['train_loss']:\n"
        "                break\n",
        GUARDS,
    ),
    Mistake(
        "checkpoint_by_the_training_loss",
        2,
        "the weights of the lowest annealed loss are those of the first epochs",
        TRAIN,
        '            if now.best and now.best.is_over(model, now.epoch, row.get("valid_elbo_nats")):\n'
        "                break\n"
        "    if now.best and now.best.weights:\n"
        "        model.load_state_dict(now.best.weights)\n",
        "            if loss <= min(row['train_loss'] for row in now.curve):\n"
        "                best = {name: tensor.clone() for name, tensor in model.state_dict().items()}\n"
        "    model.load_state_dict(best)\n",
        GUARDS,
    ),
]

CONSTANTS_MISSING = [
    Mistake(
        "planar_flow_that_folds",
        3,
        "w^T u below -1 maps two points to one, and the change of variables loses one of the two terms",
        FLOWS,
        "return [cls(*step) for step in zip(u, w, b, slope, strict=True)]",
        "return [cls(*step) for step in zip(u, w, b, 2 * slope, strict=True)]",
        IN_FLOWS,
    ),
    Mistake(
        "mask_that_sees_itself",
        3,
        "a latent that its own gate depends on adds to the determinant what the formula does not have",
        FLOWS,
        "(rank[:, None] > sees)",
        "(rank[:, None] >= sees)",
        IN_FLOWS,
    ),
    Mistake(
        "mse_as_likelihood",
        3,
        "the squared error is no log-density",
        LIKELIHOODS,
        "            return self.forward(h).log_prob(x)\n",
        "            return -(x - self._mean(h)).square().flatten(-self.dims).sum(-1)\n",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "mse_without_variance",
        3,
        "half the squared error, as if sigma were 1",
        LIKELIHOODS,
        "            return self.forward(h).log_prob(x)\n",
        "            return self._density(self._mean(h), torch.ones_like(self.sigma)).log_prob(x)\n",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "gaussian_without_the_half",
        3,
        "(x - m)^2 / sigma^2 without its 1/2",
        LIKELIHOODS,
        "            return self.forward(h).log_prob(x)\n",
        "            error = ((x - self._mean(h)) / self.sigma).square().flatten(-self.dims).sum(-1)\n"
        "            return self.forward(h).log_prob(x) - 0.5 * error\n",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "gaussian_without_log_2_pi",
        3,
        "1/2 log 2 pi for every pixel is missing",
        LIKELIHOODS,
        "            return self.forward(h).log_prob(x)\n",
        "            return self.forward(h).log_prob(x) + 0.5 * math.log(2 * math.pi) * x[0].numel()\n",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "sigma_fitted_to_what_it_scores",
        3,
        "at evaluation too, the variance is fitted to the batch",
        LIKELIHOODS,
        "if not (self.optimal and self.training):",
        "if not self.optimal:",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "continuous_bernoulli_without_its_normaliser",
        3,
        "without log C(l) it is no density on [0, 1]",
        LIKELIHOODS,
        " - functional.softplus(self.logits) + self.log_normaliser",
        " - functional.softplus(self.logits)",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "kl_without_the_half",
        3,
        "the variances in the closed form carry a 1/2",
        CORE_KL,
        "- 0.5 * q.variance / normal.variance",
        "- q.variance / normal.variance",
        IN_KL,
    ),
    Mistake(
        "truth_without_log_2_pi",
        3,
        "the exact log p(x) that the judge is held against is wrong itself",
        "bench/data/gaussian.py",
        "(d * math.log(2 * math.pi) + log_det",
        "(log_det",
        ("tests/data/test_linear_gaussian.py",),
    ),
    Mistake(
        "truth_with_half_the_log_determinant",
        3,
        "log|C| is twice the sum of the logarithms of Cholesky's diagonal",
        "bench/data/gaussian.py",
        "log_det = 2 * L.diagonal()",
        "log_det = L.diagonal()",
        ("tests/data/test_linear_gaussian.py",),
    ),
]

WRONG_PLACE = [
    Mistake(
        "evaluated_at_the_posterior_mean",
        4,
        "log p(x|mean) is no expectation over q",
        VAE,
        "if loud else draw(q, shape)",
        "if loud else q.mean.expand(samples, *q.mean.shape)",
        IN_TERMS,
    ),
    Mistake(
        "evaluated_on_the_training_split",
        4,
        "what was trained on is not what is asked for",
        EVALUATE,
        'SPLIT = "test"',
        'SPLIT = "train"',
        JUDGE,
    ),
    Mistake(
        "evaluated_on_the_validation_split",
        4,
        "what was chosen by cannot be reported",
        EVALUATE,
        'SPLIT = "test"',
        'SPLIT = "valid"',
        GUARDS,
    ),
    Mistake(
        "dropout_and_batch_norm_left_in_training_mode",
        4,
        "the judge scores the network as it is at evaluation",
        BOUNDS,
        """    model.eval()
    recon: list[Tensor] = []
""",
        """    recon: list[Tensor] = []
""",
        GUARDS,
    ),
]

WRONG_SIGN = [
    Mistake(
        "kl_added_to_the_elbo",
        5,
        "the ELBO is reconstruction minus KL",
        CORE_BOUNDS,
        "terms.log_px_z.mean(0) - terms.kl",
        "terms.log_px_z.mean(0) + terms.kl",
        IN_TERMS,
    ),
    Mistake(
        "kl_of_p_from_q",
        5,
        "KL(p || q) is another number",
        CORE_KL,
        "return kl_divergence(q, p)\n    except",
        "return kl_divergence(p, q)\n    except",
        IN_KL,
    ),
    Mistake(
        "monte_carlo_kl_negated",
        5,
        "E_q[log p - log q] is minus the KL",
        TERMS,
        "(self.log_qz_x - self.log_pz).mean(0)",
        "(self.log_pz - self.log_qz_x).mean(0)",
        IN_KL,
    ),
    Mistake(
        "entropy_negated",
        5,
        "KL = -H(q) - E_q log p",
        CORE_KL,
        "return -entropy - expected_log_p",
        "return entropy - expected_log_p",
        IN_KL,
    ),
    Mistake(
        "log_weights_with_the_prior_subtracted",
        5,
        "log w = log p(x|z) + log p(z) - log q(z|x)",
        TERMS,
        "self.log_px_z + self.log_pz - self.log_qz_x",
        "self.log_px_z - self.log_pz + self.log_qz_x",
        IN_TERMS,
    ),
    Mistake(
        "kl_rewarded_in_the_beta_vae",
        5,
        "a sign that differs between variants",
        ELBO_OBJECTIVE,
        "return self.beta * linear_warmup(epoch, self.warmup_epochs) * terms.kl",
        "return -self.beta * linear_warmup(epoch, self.warmup_epochs) * terms.kl",
        IN_OBJECTIVES,
    ),
    Mistake(
        "log_determinant_of_a_flow_added",
        5,
        "where a flow spreads its samples, their density is lower",
        FLOWS,
        "self._base_log_prob(start) - log_det, torch",
        "self._base_log_prob(start) + log_det, torch",
        IN_FLOWS,
    ),
    Mistake(
        "flow_turned_back_the_same_way",
        5,
        "the transpose of a rotation undoes it, not the rotation",
        ROTATED,
        "bij,...bi->...bj",
        "bij,...bj->...bi",
        IN_FLOWS,
    ),
    Mistake(
        "kl_rewarded_in_training",
        5,
        "the loss is KL minus reconstruction",
        ELBO_OBJECTIVE,
        "return linear_warmup(epoch, self.warmup_epochs) * terms.kl -",
        "return -linear_warmup(epoch, self.warmup_epochs) * terms.kl -",
        IN_OBJECTIVES,
    ),
    Mistake(
        "reconstruction_rewarded_with_the_wrong_sign",
        5,
        "the autoencoder's loss is minus log p(x|z)",
        ELBO_OBJECTIVE,
        "        return -terms.log_px_z.mean(0)\n",
        "        return terms.log_px_z.mean(0)\n",
        IN_OBJECTIVES,
    ),
    Mistake(
        "inference_gap_negated",
        5,
        "log p(x) is above the ELBO",
        EVALUATE,
        'gap = log_px - columns["elbo"]',
        'gap = columns["elbo"] - log_px',
        JUDGE,
    ),
    Mistake(
        "gaps_negated",
        5,
        "the better posterior has the higher bound",
        GAPS,
        "columns[name] = columns[upper] - columns[lower]",
        "columns[name] = columns[lower] - columns[upper]",
        IN_GAPS,
    ),
    Mistake(
        "marginal_kl_added",
        5,
        "KL = mutual information + marginal KL",
        EVALUATE,
        "test.kl.mean().item() - information",
        "test.kl.mean().item() + information",
        GUARDS,
    ),
    Mistake(
        "reverse_annealing_not_negated",
        5,
        "the reverse weights estimate 1 / p(x)",
        EVIDENCE,
        'columns["log_px"] = -columns["log_px"]',
        'columns["log_px"] = columns["log_px"]  # noqa: PLW0127',
        IN_EVIDENCE,
    ),
]

IMPORTANCE_WEIGHTS = [
    Mistake(
        "softmax_over_losses",
        6,
        "normalised over the losses, the worst draw weighs most",
        IMPORTANCE,
        "return math.log(len(log_weights)) - log_weights.logsumexp(0)",
        "return -(log_weights.neg().softmax(0).detach() * log_weights).sum(0)",
        IN_OBJECTIVES,
    ),
    Mistake(
        "surrogate_as_loss",
        6,
        "the detached surrogate has the bound's gradient, but not its value",
        IMPORTANCE,
        "return math.log(len(log_weights)) - log_weights.logsumexp(0)",
        "return -(log_weights.softmax(0).detach() * log_weights).sum(0)",
        IN_OBJECTIVES,
    ),
    Mistake(
        "weights_not_detached",
        6,
        "the right value, with the gradient of a surrogate whose weights are not held constant",
        IMPORTANCE,
        "return math.log(len(log_weights)) - log_weights.logsumexp(0)",
        "bound = log_weights.logsumexp(0) - math.log(len(log_weights))\n"
        "    surrogate = (log_weights.softmax(0) * log_weights).sum(0)\n"
        "    return -(bound.detach() + surrogate - surrogate.detach())",
        IN_OBJECTIVES,
    ),
    Mistake(
        "dreg_without_the_second_weight",
        6,
        "the encoder's gradient carries the square of the normalised weight",
        IMPORTANCE,
        "        scale_path(terms, 1 - weight + weight * log_weights.detach().softmax(0))\n",
        "",
        IN_PATH_GRADIENTS,
    ),
    Mistake(
        "dreg_without_its_warmup",
        6,
        "while log q counts for a part, so does what takes the place of its score",
        IMPORTANCE,
        "1 - weight + weight * log_weights.detach().softmax(0)",
        "log_weights.detach().softmax(0)",
        IN_PATH_GRADIENTS,
    ),
    Mistake(
        "dreg_with_the_score",
        6,
        "the parameters of log q are not stopped, so that their score is counted twice",
        IMPORTANCE,
        "terms.log_qz_x_stopped)\n        scale_path(terms, 1",
        "terms.log_qz_x)\n        scale_path(terms, 1",
        IN_PATH_GRADIENTS,
    ),
    Mistake(
        "sticking_the_landing_with_the_score",
        6,
        "the same number, but the noise that was to be left out",
        ELBO_OBJECTIVE,
        "terms.log_qz_x_stopped)).mean(0)",
        "terms.log_qz_x)).mean(0)",
        IN_PATH_GRADIENTS,
    ),
    Mistake(
        "log_q_left_out_of_the_path",
        6,
        "log q stopped altogether, not its parameters alone",
        TERMS,
        "return log_q.detach() + (slope * (self.z - z.detach())).sum(-1)",
        "return log_q.detach()",
        IN_PATH_GRADIENTS,
    ),
    Mistake(
        "surrogate_as_bound",
        6,
        "sum_k softmax(log w)_k log w_k is above the bound",
        CORE_BOUNDS,
        "return terms.log_weights.logsumexp(0) - math.log(terms.log_weights.shape[0])",
        "return (terms.log_weights.softmax(0) * terms.log_weights).sum(0)",
        IN_TERMS,
    ),
    Mistake(
        "no_max_subtraction",
        6,
        "exp of a log-weight of -1000 is 0",
        CORE_BOUNDS,
        "return terms.log_weights.logsumexp(0) - math.log(terms.log_weights.shape[0])",
        "return terms.log_weights.exp().mean(0).log()",
        IN_TERMS,
    ),
    Mistake(
        "log_k_missing",
        6,
        "the sum of the weights instead of their mean",
        CORE_BOUNDS,
        " - math.log(terms.log_weights.shape[0])",
        "",
        IN_TERMS,
    ),
    Mistake(
        "log_k_missing_in_training",
        6,
        "a loss that is a constant too low",
        IMPORTANCE,
        "return math.log(len(log_weights)) - log_weights.logsumexp(0)",
        "return -log_weights.logsumexp(0)",
        IN_OBJECTIVES,
    ),
    Mistake(
        "mean_of_log_weights",
        6,
        "the ELBO reported as the importance-weighted bound",
        CORE_BOUNDS,
        "return terms.log_weights.logsumexp(0) - math.log(terms.log_weights.shape[0])",
        "return terms.log_weights.mean(0)",
        IN_TERMS,
    ),
    Mistake(
        "samples_ignored_in_training",
        6,
        "one draw, whatever K the objective asks for",
        VAE,
        "self.terms(x, self.objective.samples, path=path)",
        "self.terms(x, 1, path=path)",
        IN_OBJECTIVES,
    ),
    Mistake(
        "samples_ignored_by_the_judge",
        6,
        "one draw, whatever K the suite asks for",
        BOUNDS,
        "terms = model.terms(x, samples, prior)",
        "terms = model.terms(x, 1, prior)",
        JUDGE,
    ),
    Mistake(
        "log_k_missing_in_the_evidence",
        6,
        "log p(x) too high by log K",
        EVIDENCE,
        '{"log_px": log_sum - math.log(k)}',
        '{"log_px": log_sum}',
        IN_EVIDENCE,
    ),
    Mistake(
        "no_max_subtraction_in_the_evidence",
        6,
        "exp of a log-weight of -1000 is 0",
        EVIDENCE,
        "log_sum = log_weights.logsumexp(0)",
        "log_sum = log_weights.exp().sum(0).log()",
        IN_EVIDENCE,
    ),
    Mistake(
        "first_turn_of_draws_alone",
        6,
        "draws beyond what fits in memory at once are ignored",
        EVIDENCE,
        "for start in range(0, samples, turn):",
        "for start in range(0, turn, turn):",
        IN_EVIDENCE,
    ),
    Mistake(
        "annealing_without_metropolis",
        6,
        "a discretised path without its correction leaves another distribution invariant, and proves no bound",
        EVIDENCE,
        "accept = torch.rand_like(log_accept).log() < log_accept",
        "accept = torch.ones_like(log_accept, dtype=torch.bool)",
        IN_EVIDENCE,
    ),
    Mistake(
        "annealing_weight_of_the_wrong_temperature",
        6,
        "each weight is the ratio of neighbouring densities at the state before the move",
        EVIDENCE,
        "        log_w += (betas[t] - betas[t - 1]) * precise(state.log_likelihood)\n",
        "        log_w += betas[t] / len(betas) * precise(state.log_likelihood)\n",
        IN_EVIDENCE,
    ),
    Mistake(
        "gap_without_log_k",
        6,
        "the same where the gaps take log p(x) from the best posterior",
        GAPS,
        'columns |= log_mean_exp(weights["elbo_full"])',
        'columns |= {**log_mean_exp(weights["elbo_full"]), "log_px": weights["elbo_full"].logsumexp(0)}',
        IN_GAPS,
    ),
    Mistake(
        "gap_on_the_draws_optimised_on",
        6,
        "a bound scored with the draws that it was fitted to is no bound",
        GAPS,
        "    z = draw(q, [samples])\n",
        "    torch.manual_seed(0)\n    z = draw(q, [samples])\n",
        IN_GAPS,
    ),
    Mistake(
        "aggregate_posterior_without_log_n",
        6,
        "q(z) is the mean of its components, not their sum",
        SURGERY,
        "information = own - (log_sum - math.log(n))",
        "information = own - log_sum",
        IN_SURGERY,
    ),
    Mistake(
        "aggregate_posterior_without_the_own_component",
        6,
        "each example is one of the mixture that its code is drawn from",
        SURGERY,
        "information = own - (log_sum - math.log(n))",
        "information = own - (log_sum + (-(own - log_sum).exp()).log1p() - math.log(n - 1))",
        IN_SURGERY,
    ),
]

TOTAL_CORRELATION = [
    Mistake(
        "weight_once_per_dimension",
        7,
        "log q(z) has its importance weight once, not once for each of its dimensions",
        AGGREGATE,
        "log_qz = (weights.log() + terms.q.log_prob(z)).logsumexp(2)",
        "log_qz = (weights.log().unsqueeze(-1) + marginals(terms.q).log_prob(z)).sum(-1).logsumexp(2)",
        IN_TC,
    ),
    Mistake(
        "stratified_matrix_off_by_one",
        7,
        "B in the place of B - 1: rows no longer sum to 1",
        AGGREGATE,
        "other = (1 - own) / max(1, batch - 1)",
        "other = (1 - own) / batch",
        IN_TC,
    ),
    Mistake(
        "own_example_weighs_like_the_others",
        7,
        "z_i was drawn from q(z|x_i), which is one of N and not one of B",
        AGGREGATE,
        "own = 1 / data_size if batch > 1 else 1.0",
        "own = 1 / batch",
        IN_TC,
    ),
]

CLAMPS = [
    Mistake(
        "clamp_on_log_variance",
        8,
        "a posterior narrower than the clamp is scored as a wider one",
        POSTERIORS,
        "Independent(Normal(self.loc(h), self.log_scale(h).exp(),",
        "Independent(Normal(self.loc(h), self.log_scale(h).clamp(-5, 5).exp(),",
        GUARDS,
    ),
    Mistake(
        "clamp_on_log_variance_full",
        8,
        "the same for a full covariance",
        POSTERIORS,
        "scale = self.log_scale(h).exp()\n        unit",
        "scale = self.log_scale(h).clamp(-5, 5).exp()\n        unit",
        GUARDS,
    ),
    Mistake(
        "clamp_on_log_variance_low_rank",
        8,
        "the same for a low-rank covariance",
        POSTERIORS,
        "scale = self.log_scale(h).exp()\n        factor",
        "scale = self.log_scale(h).clamp(-5, 5).exp()\n        factor",
        GUARDS,
    ),
    Mistake(
        "clamp_on_the_likelihoods_variance",
        8,
        "a decoder more certain than the clamp is scored as a less certain one",
        LIKELIHOODS,
        "self.variance.sqrt() if self.log_sigma is None else self.log_sigma.exp()",
        "self.variance.sqrt() if self.log_sigma is None else self.log_sigma.clamp(min=-3).exp()",
        GUARDS,
    ),
    Mistake(
        "clamp_on_probabilities",
        8,
        "a wrong pixel costs at most log 1e6",
        LIKELIHOODS,
        "functional.logsigmoid(self._logits(h) * (2 * x - 1))",
        "(h * (2 * x - 1)).sigmoid().clamp(1e-6, 1 - 1e-6).log()",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "torchs_own_clamp_on_probabilities",
        8,
        "torch clamps probabilities, but no logits",
        LIKELIHOODS,
        "functional.logsigmoid(self._logits(h) * (2 * x - 1))",
        "(h * (2 * x - 1)).sigmoid().log()",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "clamp_on_logits",
        8,
        "the same for grey pixels",
        LIKELIHOODS,
        "        self.logits = logits\n",
        "        self.logits = logits.clamp(-15, 15)\n",
        IN_LIKELIHOODS,
    ),
]

DROPPED = [
    Mistake(
        "nanmean",
        9,
        "what is not a number vanishes from the average",
        BOUNDS,
        "values.mean().item()",
        "values.nanmean().item()",
        GUARDS,
    ),
    Mistake(
        "nan_filtered_in_training",
        9,
        "batches whose loss is not a number are left out of the curve",
        TRAIN,
        "loss = sum(torch.stack(now.losses).tolist()) / size",
        "loss = sum(value for value in torch.stack(now.losses).tolist() if math.isfinite(value)) / size",
        IN_TRAINING,
    ),
    Mistake(
        "divergence_unseen",
        9,
        "a record whose figures are not finite is called ok",
        RUN,
        "    if broken:\n",
        "    if broken and False:\n",
        ("tests/cells/test_run.py",),
    ),
    Mistake(
        "nan_filtered_over_seeds",
        9,
        "the mean over the seeds that worked",
        "bench/stats/intervals.py",
        "    if not all(math.isfinite(value) for value in values):\n",
        "    values = [value for value in values if math.isfinite(value)]\n    if not values:\n",
        ("tests/stats/test_intervals.py",),
    ),
    Mistake(
        "failed_seeds_not_counted",
        9,
        "3/3 ok, of five",
        GROUPS,
        '{len(self.ok)}/{len(self.records)} ok"',
        '{len(self.ok)}/{len(self.ok)} ok"',
        IN_TABLES,
    ),
    Mistake(
        "drop_last_at_evaluation",
        9,
        "the last, smaller batch is left out",
        BATCHES,
        "places = torch.split(torch.arange(count) * n // count, batch_size)",
        "places = torch.split((torch.arange(count) * n // count)[: count // batch_size * batch_size], batch_size)",
        IN_DATA,
    ),
    Mistake(
        "drop_last_in_training",
        9,
        "every pass leaves out examples that the budget counts",
        BATCHES,
        'places = torch.split(torch.randperm(self.splits["train"], generator=order), batch_size)',
        'places = torch.split(torch.randperm(self.splits["train"], generator=order), batch_size)\n'
        "        places = tuple(chunk for chunk in places if len(chunk) == batch_size)",
        IN_TRAINING,
    ),
    Mistake(
        "nanmean_of_the_evidence",
        9,
        "examples whose log p(x) is not a number are left out",
        EVALUATE,
        "nll = -log_px.mean().item()\n",
        "nll = -log_px.nanmean().item()\n",
        GUARDS,
    ),
]

UNLIKE_RANKED_TOGETHER = [
    Mistake(
        "grey_pixels_under_a_bernoulli",
        10,
        "on grey pixels it is no density",
        LIKELIHOODS,
        'if data.kind != "binary":',
        'if data.kind == "real":',
        IN_LIKELIHOODS,
    ),
    Mistake(
        "any_data_under_a_continuous_bernoulli",
        10,
        "outside [0, 1] it is no density",
        LIKELIHOODS,
        'if data.kind != "unit":',
        "if False:",
        IN_LIKELIHOODS,
    ),
    Mistake(
        "evaluated_on_grey_pixels",
        10,
        "trained on binarised images, scored on grey ones",
        BATCHES,
        '"fixed" if self.binarise == "dynamic" else self.binarise, places)',
        '"none" if self.binarise == "dynamic" else self.binarise, places)',
        IN_DATA,
    ),
    Mistake(
        "binarisations_in_one_group",
        10,
        "nats of grey and of binary images side by side",
        GROUPS,
        '"binarise": cell["binarise"],',
        '"binarise": "dynamic",',
        IN_TABLES,
    ),
    Mistake(
        "supports_in_one_group",
        10,
        "densities and probabilities side by side",
        GROUPS,
        '"support": support,',
        '"support": "binary",',
        IN_TABLES,
    ),
    Mistake(
        "data_options_in_one_group",
        10,
        "images prepared in different ways, padded ones say, side by side",
        GROUPS,
        '"data_options": cell.get("data_options") or {},',
        '"data_options": {},',
        GUARDS,
    ),
    Mistake(
        "protocols_in_one_group",
        10,
        "figures of different definitions side by side",
        GROUPS,
        '"protocol": record.get("protocol"),',
        '"protocol": None,',
        GUARDS,
    ),
    Mistake(
        "budgets_in_one_group",
        10,
        "a longer training against a shorter one",
        GROUPS,
        '"budget": cell["budget"],',
        '"budget": {},',
        IN_TABLES,
    ),
    Mistake(
        "bits_of_a_density",
        10,
        "on a continuous support the bits depend on the unit of x",
        EVALUATE,
        "in_bits = has_bits(model, data, SPLIT)",
        "in_bits = True",
        JUDGE,
    ),
]

NOISE_MIXED = [
    Mistake(
        "validation_draws_of_the_runs_seed",
        11,
        "the spread over seeds takes in the judge's own noise",
        BOUNDS,
        "samples=1, seed=seeds.JUDGE)",
        "samples=1, seed=torch.initial_seed())",
        IN_TRAINING,
    ),
    Mistake(
        "judged_with_draws_of_the_runs_seed",
        11,
        "the same at evaluation",
        RUN,
        "    judgement = judge.evaluate(model, loaded, how, notebook)\n",
        "    seeds.JUDGE = seed\n    judgement = judge.evaluate(model, loaded, how, notebook)\n",
        GUARDS,
    ),
    Mistake(
        "judges_noise_in_the_error_over_examples",
        11,
        "the spread over examples holds the Monte Carlo noise of each, which has a column of its own",
        EVALUATE,
        "values.var().item() / n - (mc or 0.0)",
        "values.var().item() / n",
        JUDGE,
    ),
    Mistake(
        "errors_in_one_figure",
        11,
        "Monte Carlo error and sampling of examples added up",
        EVALUATE,
        "mc = None if variances is None else variances.sum().item() / n**2",
        "mc = None if variances is None else variances.sum().item() / n**2 + values.var().item() / n",
        JUDGE,
    ),
]

TEST_SET_TOUCHED = [
    Mistake(
        "curve_on_the_test_split",
        12,
        "whoever chooses by the curve chooses by the test split",
        BOUNDS,
        'data.eval_batches("valid", EVAL_BATCH)',
        'data.eval_batches("test", EVAL_BATCH)',
        IN_TRAINING,
    ),
    Mistake(
        "trained_on_the_test_split",
        12,
        "batches come from the wrong split",
        BATCHES,
        'batches = self._store("train", "none").batches(places)',
        'batches = self._store("test", "none").batches(places)',
        IN_DATA,
    ),
    Mistake(
        "splits_overlap",
        12,
        "validation and test examples are the same",
        "bench/data/readers.py",
        "dict(zip(SPLITS, np.split(images, ends), strict=True)),",
        'dict(zip(SPLITS, np.split(images, ends), strict=True)) | {"valid": np.split(images, ends)[2]},',
        IN_DATA,
    ),
]

RESUMED_AS_ANOTHER = [
    Mistake(
        "moments_forgotten_on_resuming",
        13,
        "Adam starts anew in the middle",
        STEPS,
        '            optim.load_state_dict(optim.state_dict() | {"state": moments[name]})\n',
        "            pass\n",
        IN_CHECKPOINTS,
    ),
    Mistake(
        "moments_in_another_layout",
        13,
        "the fused update pairs weights with the moments of others",
        STEPS,
        "{key: torch.empty_like(wanted[key]).copy_(kept[key]) for key in wanted}",
        "kept",
        IN_CHECKPOINTS,
    ),
    Mistake(
        "noise_forgotten_on_resuming",
        13,
        "z is drawn as at the start once more",
        STATE,
        '        torch.set_rng_state(groups["random"]["noise"])\n',
        "",
        IN_CHECKPOINTS,
    ),
    Mistake(
        "binarisation_forgotten_on_resuming",
        13,
        "images are binarised as at the start once more",
        STATE,
        '        self.binarise.set_state(groups["random"]["binarise"])\n',
        "",
        IN_CHECKPOINTS,
    ),
    Mistake(
        "order_as_after_the_pass",
        13,
        "the rest of a pass is drawn anew: some examples twice, others not at all",
        STATE,
        '            "order": self.order_at_start,\n',
        '            "order": self.order.get_state(),\n',
        IN_CHECKPOINTS,
    ),
    Mistake(
        "pass_started_anew",
        13,
        "the first batches of the pass are trained on twice",
        STATE,
        ", first=len(self.losses))",
        ")",
        IN_CHECKPOINTS,
    ),
    Mistake(
        "best_epoch_forgotten_on_resuming",
        13,
        "patience is counted from the stop",
        STATE,
        "        self.best = best\n",
        "        best = self.best\n",
        IN_CHECKPOINTS,
    ),
]

WRONGLY_REPRODUCED = [
    Mistake(
        "published_sign_ignored",
        14,
        "a negative ELBO held against an ELBO",
        VERDICT,
        "figure.sign * value\n",
        "value\n",
        IN_VERDICTS,
    ),
    Mistake(
        "published_minus_ours",
        14,
        "worse than the paper is taken for better",
        VERDICT,
        "judge(mean - figure.value, tolerance)",
        "judge(figure.value - mean, tolerance)",
        IN_VERDICTS,
    ),
    Mistake(
        "sides_of_a_tolerance_exchanged",
        14,
        "what is allowed above is allowed below",
        "bench/reproduce/published.py",
        "-self.below <= difference <= self.above",
        "-self.above <= difference <= self.below",
        IN_VERDICTS,
    ),
    Mistake(
        "unverified_figure_judged",
        14,
        "agreement with a figure that nobody saw in its source",
        VERDICT,
        "    if not figure.verified:\n",
        "    if not figure.verified and reason:\n",
        IN_VERDICTS,
    ),
    Mistake(
        "failed_run_before_a_finished_one",
        14,
        "a later run that broke hides the figure of a seed",
        SETTLE,
        'return record["status"] in FINISHED, started(record)',
        "return True, started(record)",
        IN_VERDICTS,
    ),
    Mistake(
        "divergence_is_no_outcome",
        14,
        "an earlier run that went well hides a later one that diverged",
        SETTLE,
        'FINISHED = ("ok", "diverged")',
        'FINISHED = ("ok",)',
        IN_SETTLING,
    ),
    Mistake(
        "time_without_its_offset",
        14,
        "of two runs the one further east counts as the last",
        SETTLE,
        "(time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()",
        "time.replace(tzinfo=UTC).timestamp()",
        IN_SETTLING,
    ),
]

HEADS_OUT_OF_STEP = [
    Mistake(
        "features_not_bounded",
        15,
        "a head sees features of any size",
        HEADS,
        "functional.linear(squash(h), self.weight, self.bias)",
        "functional.linear(h, self.weight, self.bias)",
        IN_HEADS,
    ),
    Mistake(
        "pace_grows_with_the_width",
        15,
        "the gain of a head is the pace alone",
        HEADS,
        "self.gain = pace / features",
        "self.gain = pace / 400",
        IN_HEADS,
    ),
    Mistake(
        "correlations_as_fast_as_log_sigma",
        15,
        "each of D - 1 entries in a row moves as far as log sigma",
        POSTERIORS,
        "shared_covariance, pace / latent)",
        "shared_covariance, pace)",
        IN_HEADS,
    ),
    Mistake(
        "data_not_centred",
        15,
        "what all examples share drowns how they differ",
        NETWORKS,
        "return x - self.mean",
        "return x + self.mean",
        IN_HEADS,
    ),
    Mistake(
        "one_mean_for_all_channels",
        15,
        "a convolutional encoder sees one mean of all pixels instead of one a channel",
        NETWORKS,
        "mean.mean((1, 2), keepdim=True)",
        "mean.mean((0, 1, 2), keepdim=True)",
        IN_HEADS,
    ),
]

MISTAKES = [
    *MEANS_NOT_SUMS,
    *TRAINING_LOSS_REPORTED,
    *CONSTANTS_MISSING,
    *WRONG_PLACE,
    *WRONG_SIGN,
    *IMPORTANCE_WEIGHTS,
    *TOTAL_CORRELATION,
    *CLAMPS,
    *DROPPED,
    *UNLIKE_RANKED_TOGETHER,
    *NOISE_MIXED,
    *TEST_SET_TOUCHED,
    *RESUMED_AS_ANOTHER,
    *WRONGLY_REPRODUCED,
    *HEADS_OUT_OF_STEP,
    *OF_PARTS,
    *OF_OBJECTIVES,
    *OF_DISCRETE,
]
