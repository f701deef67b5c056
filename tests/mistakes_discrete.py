"""Mistakes in discrete latents, rates and what the judge may measure; the numbers are those of `tests.mistakes`."""

from tests.mutants import Mistake

EVALUATE = "bench/judge/__init__.py"
COUNTED = "bench/judge/counted.py"
EVIDENCE = "bench/judge/evidence.py"
CHAIN = "variants/core/chain.py"
ONE_HOTS = "variants/core/one_hots.py"
VAE = "variants/core/vae.py"
DISCRETE = "variants/parts/discrete.py"
DISCRETE_PRIORS = "variants/parts/discrete_priors.py"
NETWORKS = "variants/parts/networks.py"
PRIORS = "variants/parts/priors.py"
RATES = "variants/parts/objectives/rates.py"
SCORE = "variants/parts/objectives/discrete.py"

IN_DISCRETE = ("tests/variants/test_discrete.py",)
IN_RATES = ("tests/variants/test_rates.py",)
IN_SUPPORT = ("tests/judge/test_support.py",)
IN_CONFORMANCE = ("tests/variants/test_support.py",)
IN_PARTS = ("tests/variants/test_parts.py",)
IN_SBN = ("tests/data/test_tiny_sbn.py",)

SCORES = [
    Mistake(
        "vimco_mean_of_others_over_k",
        16,
        "the geometric mean of the K - 1 other weights divides by K",
        SCORE,
        "others = (log_weights.sum(0) - log_weights) / (k - 1)",
        "others = (log_weights.sum(0) - log_weights) / k",
        IN_DISCRETE,
    ),
    Mistake(
        "vimco_credit_not_detached",
        16,
        "what a draw is credited with is differentiated as well",
        SCORE,
        "gained = -loss.detach() - leave_one_out(log_weights.detach())",
        "gained = -loss - leave_one_out(log_weights)",
        IN_DISCRETE,
    ),
    Mistake(
        "disarm_with_the_wrong_sign",
        16,
        "the sign of a pair that differs is that of b' = 1",
        SCORE,
        "sign = torch.where(other > 0.5, -1.0, 1.0)",
        "sign = torch.where(other > 0.5, 1.0, -1.0)",
        IN_DISCRETE,
    ),
    Mistake(
        "disarm_weighs_by_the_probability",
        16,
        "sigmoid of the logit where sigmoid of its size belongs",
        SCORE,
        "* logits.detach().abs().sigmoid()",
        "* logits.detach().sigmoid()",
        IN_DISCRETE,
    ),
    Mistake(
        "antithetic_bits_drawn_independently",
        16,
        "the partner of a bit does not come of one u",
        SCORE,
        "chance = torch.where(bits > 0.5, (-torch.expm1(-logits)).relu(), logits.clamp(max=0).exp())",
        "chance = logits.sigmoid().expand_as(bits)",
        IN_DISCRETE,
    ),
    Mistake(
        "score_objectives_given_a_path",
        16,
        "a Gaussian posterior is given its gradient twice, by the score and by the path",
        VAE,
        "z = q.sample(shape) if not path else q.rsample(shape) if loud else draw(q, shape)",
        "z = q.rsample(shape) if loud else draw(q, shape)",
        IN_DISCRETE,
    ),
    Mistake(
        "missing_path_is_silent",
        16,
        "an ELBO whose draws carry no gradient moves the encoder by the KL alone",
        VAE,
        'loud = self.training and getattr(self.posterior, "has_path", True)',
        "loud = False",
        IN_CONFORMANCE,
    ),
    Mistake(
        "objectives_without_a_path_not_refused",
        16,
        "the ELBO of bits is trained on its KL alone",
        VAE,
        'if getattr(objective, "needs_path", True) and not getattr(posterior, "has_path", True):',
        "if False:",
        IN_PARTS,
    ),
]

RELAXATIONS = [
    Mistake(
        "temperature_that_compounds",
        16,
        "each call multiplies the temperature again",
        DISCRETE,
        "annealed(self.start, self.floor, self.decay, epoch)",
        "annealed(self.temperature, self.floor, self.decay, epoch)",
        IN_DISCRETE,
    ),
    Mistake(
        "gumbel_noise_cut_off",
        16,
        "a constant inside the logarithm ends the tail of the noise",
        ONE_HOTS,
        ".exponential_().log()",
        ".exponential_().add(1e-3).log()",
        IN_DISCRETE,
    ),
    Mistake(
        "categorical_kl_the_other_way_round",
        5,
        "KL(p || q), which for equal probabilities is not log K - H",
        ONE_HOTS,
        "(self.logits.exp() * (self.logits - p.logits)).sum(-1)",
        "(p.logits.exp() * (p.logits - self.logits)).sum(-1)",
        IN_DISCRETE,
    ),
    Mistake(
        "concrete_judged_as_its_relaxation",
        16,
        "the judge is shown numbers between 0 and 1 for bits",
        DISCRETE,
        "return RelaxedBits(logits, self.temperature) if self.training else bits(logits)",
        "return RelaxedBits(logits, self.temperature)",
        IN_DISCRETE,
    ),
    Mistake(
        "relaxed_density_overflows",
        8,
        "exp of a logit above 88 is infinite, and its gradient no number",
        DISCRETE,
        "2 * softplus(away)",
        "2 * away.exp().log1p()",
        IN_DISCRETE,
    ),
    Mistake(
        "relaxed_posterior_under_bits",
        16,
        "log p of bits at a relaxed draw is finite and no density",
        DISCRETE_PRIORS,
        "return RelaxedBits(self.logits, self.temperature) if self.training else bits(self.logits)",
        "return bits(self.logits)",
        IN_DISCRETE,
    ),
]

RATES_MISSED = [
    Mistake(
        "free_bits_of_each_example",
        2,
        "the maximum is taken before the mean over the batch",
        RATES,
        'grouped_kl(terms, "free_bits").mean(0).clamp(min=self.free_nats).sum()',
        'grouped_kl(terms, "free_bits").clamp(min=self.free_nats).sum(-1)',
        IN_RATES,
    ),
    Mistake(
        "capacity_of_each_example",
        2,
        "the distance is taken before the mean over the batch",
        RATES,
        "return self.gamma * distance.sum() - terms.log_px_z.mean(0)",
        'each = (grouped_kl(terms, "joint_capacity") - capacity_at(epoch, self.warmup_epochs, 1.0) * most).abs()\n'
        "        return self.gamma * each.sum(-1) - terms.log_px_z.mean(0)",
        IN_RATES,
    ),
    Mistake(
        "capacity_that_no_variable_holds",
        2,
        "more than log K nats are asked of K classes",
        RATES,
        "if wanted > holds + 1e-9:",
        "if wanted > 100 * holds:",
        IN_RATES,
    ),
    Mistake(
        "multiplier_that_falls_where_it_should_rise",
        5,
        "descends the Lagrangian in the multiplier, as the optimiser of the other parameters would",
        RATES,
        "self.multiplier.mul_((self.rate * self.average).exp())",
        "self.multiplier.mul_((-self.rate * self.average).exp())",
        IN_RATES,
    ),
    Mistake(
        "multiplier_moved_by_evaluation",
        2,
        "a counter of training runs on in validation",
        RATES,
        "        if self.training:\n            self._learn",
        "        if True:\n            self._learn",
        IN_RATES,
    ),
    Mistake(
        "layers_of_the_kl_exchanged",
        5,
        "the KL of the upper layer stands under the lower one's name",
        CHAIN,
        "torch.stack([first, second] if self.upward else [second, first], dim=-1)",
        "torch.stack([second, first] if self.upward else [first, second], dim=-1)",
        IN_RATES,
    ),
    Mistake(
        "committed_rate_of_wrong_noise",
        3,
        "the variance of a step where its standard deviation belongs",
        PRIORS,
        "decayed[:, 1:] *= (1 - a * a) ** 0.5",
        "decayed[:, 1:] *= 1 - a * a",
        IN_RATES,
    ),
    Mistake(
        "corrupted_example_is_scored",
        4,
        "what the encoder is shown is also what is to be reconstructed",
        NETWORKS,
        "return torch.where(torch.rand_like(x) < self.amount, 1 - x, x)",
        "return x.copy_(torch.where(torch.rand_like(x) < self.amount, 1 - x, x))",
        IN_RATES,
    ),
    Mistake(
        "corrupted_when_judged",
        4,
        "q(z|x) of the judge is that of a corrupted x",
        NETWORKS,
        "        if not self.training:\n            return x\n        if self.kind",
        "        if self.kind",
        IN_RATES,
    ),
]

NOT_THERE_TO_MEASURE = [
    Mistake(
        "gaps_of_bits",
        17,
        "a Gaussian stands in for a posterior over bits",
        EVALUATE,
        '    judgement.metrics |= dict.fromkeys(["nll_optimised_nats", *names])\n'
        "    if test.elbo is None or not lives_on_r_d(model, data):",
        '    judgement.metrics |= dict.fromkeys(["nll_optimised_nats", *names])\n    if test.elbo is None:',
        IN_SUPPORT,
    ),
    Mistake(
        "annealing_over_bits",
        17,
        "Hamiltonian moves follow the logit as if it were the slope of a density",
        EVIDENCE,
        "        require_real(prior)\n",
        "",
        IN_SUPPORT,
    ),
    Mistake(
        "bits_by_the_name_of_the_support",
        17,
        "bits a dimension only for a support that is called binary",
        EVALUATE,
        "in_bits = has_bits(model, data, SPLIT)",
        'in_bits = model.likelihood.support == "binary"',
        IN_SUPPORT,
    ),
    Mistake(
        "states_that_are_equally_likely",
        17,
        "the sum over all latents leaves out p(z)",
        COUNTED,
        "joint = precise(log_px_z + log_p.unsqueeze(1)).logsumexp(0)",
        "joint = precise(log_px_z - math.log(len(z)) + 0 * log_p.unsqueeze(1)).logsumexp(0)",
        IN_SBN,
    ),
]

OF_DISCRETE = [*SCORES, *RELAXATIONS, *RATES_MISSED, *NOT_THERE_TO_MEASURE]
