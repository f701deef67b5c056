"""Mistakes in objectives, most of them published ones; the numbers are those of the list in `tests.mistakes`."""

from tests.mutants import made

ELBO = "variants/parts/objectives/elbo.py"
IMPORTANCE = "variants/parts/objectives/importance.py"
SELF_NORMALISED = "variants/parts/objectives/self_normalised.py"
AGGREGATE = "variants/parts/objectives/aggregate.py"

IN_IMPORTANCE = ("tests/variants/test_importance.py",)
IN_SELF_NORMALISED = ("tests/variants/test_self_normalised.py",)
IN_SCHEDULES = ("tests/variants/test_schedules.py",)
IN_AGGREGATE = ("tests/variants/test_aggregate.py",)

# fmt: off
OF_OBJECTIVES = [
    *made(IMPORTANCE, IN_IMPORTANCE, [
        (6, "draws_and_estimates_exchanged",
         "the logarithm stands outside the mean of L draws and inside that of M estimates",
         "return log_weights.reshape(self.estimates, -1, log_weights.shape[1]).transpose(0, 1)",
         "return log_weights.reshape(self.estimates, -1, log_weights.shape[1])"),
        (6, "encoder_of_partial_iwae_with_both_gradients", "the loss of the decoder reaches the encoder too",
         "scale_path(terms, in_groups / of_all)", "scale_path(terms, 1 + in_groups / of_all)"),
        (6, "partial_iwae_without_the_score", "the gradient of a bound of several draws holds the score of q",
         "of_all * log_weights - weight * in_groups * terms.log_qz_x_held", "of_all * log_weights"),
        (6, "vanished_shares_of_partial_iwae", "a share that rounds to zero leaves an estimate without its gradient",
         "FLOOR = 1e-20", "FLOOR = 0.0"),
        (6, "surrogate_of_combination_iwae_as_loss", "sum w~ log w has the gradient of the bound, and exceeds it",
         "return (1 - b) * negative_log_mean(log_weights) - b * log_weights.mean(0)",
         "return -((1 - b) * log_weights.detach().softmax(0) * log_weights).sum(0) - b * log_weights.mean(0)"),
        (6, "order_of_the_renyi_bound_on_the_likelihood_alone", "the power is that of the whole weight",
         "return negative_log_mean(power * log_weights) / power if power",
         "return negative_log_mean(log_weights - self.alpha * terms.log_px_z) / power if power"),
        (6, "orders_of_the_renyi_bound_counted_from_the_other_end", "a in the place of 1 - a",
         "power = self.log_weights(terms, epoch), 1 - self.alpha",
         "power = self.log_weights(terms, epoch), self.alpha"),
        (6, "maximum_of_the_losses", "the worst draw is the one of the largest loss",
         "return -self.log_weights(terms, epoch).max(0).values",
         "return (-self.log_weights(terms, epoch)).max(0).values"),
    ]),
    *made(SELF_NORMALISED, IN_SELF_NORMALISED, [
        (6, "wake_phase_through_the_path", "q is to fit draws of p(z|x), and not to move its own draws",
         "    needs_path = False\n\n    def __init__(self, *, samples: int = 10)",
         "    def __init__(self, *, samples: int = 10)"),
        (6, "wake_phase_in_the_wrong_direction", "the encoder ascends the cross-entropy",
         "(log_p + terms.log_qz_x)", "(log_p - terms.log_qz_x)"),
        (6, "wake_phase_of_equal_weights", "without its weights q fits its own draws",
         "(log_weights.softmax(0) * (log_p + terms.log_qz_x)).sum(0)",
         "(log_weights.softmax(0) * log_p).sum(0) + terms.log_qz_x.mean(0)"),
        (6, "covariance_of_k_draws_over_k",
         "a covariance about a mean of the same K draws is (K - 1) / K of the true one",
         "covariance = share * (log_weights - mean) * (len(share) / (len(share) - 1))",
         "covariance = share * (log_weights - mean)"),
        (6, "thermodynamic_gradient_without_the_covariance_of_p", "pi_b moves with p too, by b",
         "of_p = of_p + (end - b) * (share + b * covariance)", "of_p = of_p + (end - b) * share"),
        (6, "right_riemann_sum", "an upper bound where a lower one is meant",
         "share = (b * log_weights).softmax(0)", "share = (end * log_weights).softmax(0)"),
    ]),
    *made(ELBO, IN_SCHEDULES, [
        (2, "annealed_capacity_of_each_example", "the mean of |KL - C| in the place of |mean KL - C|",
         "(terms.kl.mean() - capacity).abs()", "(terms.kl - capacity).abs()"),
        (2, "capacity_moved_by_calls", "a counter of its own, which runs in validation too",
         "capacity = self.capacity * linear_warmup(epoch, self.warmup_epochs)",
         "self.calls = getattr(self, 'calls', -1) + 1\n"
         "        capacity = self.capacity * linear_warmup(self.calls, self.warmup_epochs)"),
        (2, "capacity_as_a_ceiling", "below C the KL is pushed up",
         "(terms.kl.mean() - capacity).abs()", "(terms.kl.mean() - capacity).clamp_min(0)"),
        (2, "cycles_without_end", "after the last cycle the KL's weight falls to zero again",
         "begun = min(epoch // self.cycle_epochs, self.cycles - 1)", "begun = epoch // self.cycle_epochs"),
        (2, "early_stopping_amid_the_cycles", "the best epoch may be one at which the loss is not yet the ELBO",
         "self.warmup_epochs = (cycles - 1 + rise) * cycle_epochs", "self.warmup_epochs = rise * cycle_epochs"),
    ]),
    *made(AGGREGATE, IN_AGGREGATE, [
        (7, "draws_compared_with_themselves", "the kernel of a draw and itself is 1, whatever the distribution",
         "within = (pairs(a, a) + pairs(b, b)).sum((-1, -2)) - 2 * n * with_itself",
         "within = (pairs(a, a) + pairs(b, b)).sum((-1, -2))"),
        (7, "mmd_over_pairs_twice", "a mean, divided by the number of pairs once more",
         "- 2 * pairs(a, b).mean((-1, -2))", "- 2 * pairs(a, b).mean((-1, -2)) / (n * (n - 1))"),
        (7, "mean_over_axes_in_the_kernel", "a mean over latents in the place of the squared distance",
         "(a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1)",
         "(a.unsqueeze(-2) - b.unsqueeze(-3)).square().mean(-1)"),
        (7, "mmd_of_one_draw", "no pair to take the mean of: 0 / 0",
         "if n == 1:", "if n == 0:"),
        (7, "negative_mmd_cut_off", "an unbiased estimate is below zero now and then",
         "return within / (n * (n - 1)) - 2 * pairs(a, b).mean((-1, -2))",
         "return (within / (n * (n - 1)) - 2 * pairs(a, b).mean((-1, -2))).clamp_min(0)"),
        (7, "codes_centred_over_latents", "a covariance is taken over examples",
         "centred = mean - mean.mean(0)", "centred = mean - mean.mean(1, keepdim=True)"),
        (7, "covariance_not_over_the_batch", "a sum over examples in the place of their mean",
         "return centred.T @ centred / len(mean)", "return centred.T @ centred"),
        (7, "fourth_power_of_sigma", "exp(2 log sigma^2) for the variance",
         "return marginals(q).variance.mean(0).diag()", "return marginals(q).variance.square().mean(0).diag()"),
        (7, "variances_added_to_all_covariances", "they belong on the diagonal",
         "return marginals(q).variance.mean(0).diag()", "return marginals(q).variance.mean(0)"),
        (7, "diagonal_counted_among_the_others", "what is on the diagonal should be 1, not 0",
         "off = c.square().sum() - variances.square().sum()", "off = c.square().sum()"),
        (7, "mmd_weighed_as_if_the_kl_were_whole", "alpha of the divergence has left the KL",
         "if weight := self.alpha + self.mmd - 1:", "if weight := self.mmd - 1:"),
    ]),
]
# fmt: on
