"""Mistakes in parts of models that a special case hides: one draw, one epoch, one start; see `tests.mistakes`."""

from tests.mutants import made

AUTOENCODERS = ("tests/variants/test_autoencoders.py",)
CHECKS = ("tests/variants/test_each_check.py",)
CODES = ("tests/variants/test_codes.py",)
DEFAULTS = ("tests/variants/test_defaults.py",)
OBJECTIVES = ("tests/variants/test_objectives.py",)

# fmt: off
OF_VARIANTS = [
    # Where K = 1 a mean over draws and a sum over them coincide.
    *made("variants/parts/objectives/rates.py", OBJECTIVES, [
        (1, "free_bits_beside_a_sum_over_draws", "the reconstruction weighs K times as much",
         "return paid - terms.log_px_z.mean(0)", "return paid - terms.log_px_z.sum(0)"),
        (1, "joint_capacities_beside_a_sum_over_draws", "the reconstruction weighs K times as much",
         "return self.gamma * distance.sum() - terms.log_px_z.mean(0)",
         "return self.gamma * distance.sum() - terms.log_px_z.sum(0)"),
        (1, "constraint_on_a_sum_over_draws", "a reconstruction costs K times what it does",
         "excess = -terms.log_px_z.mean(0) -", "excess = -terms.log_px_z.sum(0) -"),
    ]),
    *made("variants/parts/objectives/discrete.py", OBJECTIVES, [
        (16, "sum_over_pairs", "the loss grows with the number of pairs",
         "-(slope * logits).sum(-1)).mean(0)", "-(slope * logits).sum(-1)).sum(0)"),
        (2, "vimco_without_its_warm_up", "p(z) and q(z|x) count from the first step on",
         "log_weights = terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x)",
         "log_weights = terms.log_px_z + (terms.log_pz - terms.log_qz_x)"),
        (2, "half_of_a_pair_without_its_warm_up", "f of the one bit and f of its partner are of two losses",
         "terms.ways.log_px(other, terms.x) + weight * log_ratio", "terms.ways.log_px(other, terms.x) + log_ratio"),
    ]),
    *made("variants/parts/objectives/games.py", OBJECTIVES, [
        (19, "game_of_all_draws", "the more draws, the more the critic's word counts",
         "return frozen(self.critic)(terms.z).mean(0), telling", "return frozen(self.critic)(terms.z).sum(0), telling"),
        (19, "codes_fool_once_a_draw", "the more draws, the more the critic's word counts",
         "softplus(-frozen(self.critic)(terms.z)).mean(0)", "softplus(-frozen(self.critic)(terms.z)).sum(0)"),
        (19, "distance_of_features_of_all_draws", "the more draws, the less the KL counts",
         "0.5 * off.square().sum(-1).mean(0)", "0.5 * off.square().sum(-1).sum(0)"),
        (2, "game_from_the_first_step_on", "a warm-up that is asked for and not made",
         "self.weight * linear_warmup(epoch, self.warmup_epochs) * model, critic", "self.weight * model, critic"),
        (2, "kl_of_a_gan_from_the_first_step_on", "only the game is phased in",
         "linear_warmup(epoch, self.warmup_epochs) * terms.kl + self.gamma", "terms.kl + self.gamma"),
    ]),
    *made("variants/parts/objectives/labelled.py", ("tests/variants/test_labels.py",), [
        (27, "draws_of_u_added_up", "log p(x|u, y) weighs as often as u is drawn",
         ".reshape(self.samples, *y.shape[:2]).mean(0)", ".reshape(self.samples, *y.shape[:2]).sum(0)"),
    ]),
    # A warm-up that is only ever asked at its end.
    *made("variants/parts/objectives/labelled.py", OBJECTIVES, [
        (2, "kl_of_u_from_the_first_step_on", "a warm-up that is asked for and not made",
         "log_px - linear_warmup(epoch, self.warmup_epochs) * kl", "log_px - kl"),
    ]),
    *made("variants/parts/objectives/codes.py", OBJECTIVES, [
        (2, "codes_without_a_warm_up", "log p(z) counts from the first step on",
         "loss: Tensor = weight * terms.kl", "loss: Tensor = terms.kl"),
        (2, "sign_codes_without_a_warm_up", "log p(z) counts from the first step on",
         "bound = weight * terms.kl", "bound = terms.kl"),
    ]),
    *made("variants/parts/objectives/matching.py", OBJECTIVES, [
        (2, "mmd_from_the_first_step_on", "a warm-up that is asked for and not made",
         "return linear_warmup(epoch, self.warmup_epochs) * self.mmd", "return self.mmd"),
        (2, "sliced_distance_from_the_first_step_on", "a warm-up that is asked for and not made",
         "return linear_warmup(epoch, self.warmup_epochs) * self.sliced", "return self.sliced"),
    ]),
    # What an objective adds, where tests only leave it out.
    *made("variants/parts/objectives/matching.py", AUTOENCODERS, [
        (7, "kernel_as_wide_as_the_batch", "distances are judged by the number of examples, not of latents",
         "inverse_multiquadratics(terms.z.shape[-1])", "inverse_multiquadratics(terms.z.shape[-2])"),
    ]),
    *made("variants/parts/objectives/regularised.py", AUTOENCODERS, [
        (20, "steep_decoders_rewarded", "the penalty of the slope has the wrong sign",
         "(codes + slope - terms.p", "(codes - slope - terms.p"),
    ]),
    *made("variants/parts/objectives/rates.py", ("tests/variants/test_rates.py",), [
        (2, "multiplier_without_end", "a constraint that cannot be met drives it beyond all numbers",
         ".exp()).clamp_(self.least, self.most)", ".exp())"),
    ]),
    *made("variants/parts/objectives/lagging.py", ("tests/variants/test_lagging.py",), [
        (24, "encoder_goes_on_at_a_standstill", "a loss that does not move counts as one that falls",
         "mean >= self.before", "mean > self.before"),
    ]),
    # Where training starts.
    *made("variants/parts/priors.py", AUTOENCODERS, [
        (25, "full_mixture_of_narrow_components", "it starts with 3/4 of the variance",
         '0.5 * math.log(0.5)))\n        self.register_buffer("below"',
         'math.log(0.5)))\n        self.register_buffer("below"'),
    ]),
    *made("variants/parts/priors.py", ("tests/variants/test_layers.py",), [
        (26, "counts_of_at_most_one", "pseudo-inputs are none of the counts that the data have",
         "return self.weight.relu()", "return functional.hardtanh(self.weight, 0.0, 1.0)"),
    ]),
    *made("variants/parts/code_books.py", CODES, [
        (15, "codes_that_shrink_with_their_size", "in many dimensions all codes start at zero",
         "torch.randn(count, size) / math.sqrt(size)", "torch.randn(count, size) / size"),
        (15, "later_books_say_more", "codes of what is left are longer than those of the whole",
         "scale = 0.5 ** torch.arange(depth)", "scale = 2.0 ** torch.arange(depth)"),
    ]),
    *made("variants/parts/code_priors.py", CODES, [
        (25, "decoder_of_partial_sums", "with residual codes x depends on the first codes apart from the whole sum",
         "self.seen = sites * size", "self.seen = latent"),
        (25, "sites_of_one_number", "a code stands for as few numbers as can be",
         "size = max(d for d in range(1, 9)", "size = min(d for d in range(1, 9)"),
    ]),
    *made("variants/parts/flows.py", ("tests/variants/test_flows.py",), [
        (25, "hidden_units_that_no_output_sees", "one of D is for nothing, and a network narrower than it says",
         "torch.arange(width) % (latent - 1)", "torch.arange(width) % latent"),
    ]),
    *made("variants/parts/discrete.py", ("tests/variants/test_discrete.py",), [
        (5, "bits_paid_beyond_their_rounding", "a logit beyond what draws can show is paid a nat a unit, without end",
         "return torch.where(value <= low, -softplus(away), torch.where(value >= high, -softplus(-away), density))",
         "return density"),
        (5, "ends_of_a_bit_exchanged", "what lies beyond 1 has the probability of what lies below 0",
         "torch.where(value <= low, -softplus(away), torch.where(value >= high, -softplus(-away), density))",
         "torch.where(value <= low, -softplus(-away), torch.where(value >= high, -softplus(away), density))"),
        (5, "kl_of_bits_of_one_side", "what a bit's zeros say of the prior is left out",
         " + (-a).sigmoid() * (softplus(b) - softplus(a))", ""),
    ]),
    *made("variants/core/wide.py", ("tests/variants/test_layers.py", "tests/variants/test_countable.py"), [
        (5, "double_precision_that_is_single", "sharp mixtures and large counts lose nats to rounding",
         'tensor.double() for', 'tensor for'),
    ]),
    *made("variants/parts/likelihoods.py", ("tests/variants/test_likelihoods.py",), [
        (5, "bad_batch_kept_for_good", "one batch that is no number spoils the kept sigma for ever",
         "self.variance.copy_(torch.where(good, average, self.variance))", "self.variance.copy_(average)"),
        (5, "variance_of_nothing", "images that are all alike are divided by an error of zero",
         ".clamp(min=self._least_variance)", ""),
    ]),
    *made("variants/parts/flows.py", ("tests/variants/test_flows.py",), [
        (5, "planar_by_a_difference", "u of a small w is a small difference over its square",
         "torch.where(along < cls.FAR, near, far)", "far"),
    ]),
    *made("variants/parts/sphere.py", ("tests/variants/test_manifolds.py",), [
        (25, "concentration_whatever_the_space", "in many dimensions q(z|x) starts all but uniform",
         "self.latent * self.log_concentration(h)", "self.log_concentration(h)"),
    ]),
    *made("variants/parts/top_down.py", ("tests/variants/test_ladder.py",), [
        (15, "dense_blocks_that_vanish_in_a_deep_trunk", "independent additions grow with the root of their number",
         "len(layers) ** -0.5", "1 / len(layers)"),
    ]),
    *made("variants/parts/initialisation.py", ("tests/variants/test_parts.py",), [
        (15, "way_back_by_its_outputs", "a transposed convolution starts by the number of its outputs",
         "layer.weight.transpose(0, 1) if", "layer.weight if"),
    ]),
    # What is said of one family of latents, and not of its relatives.
    *made("variants/parts/codes.py", CODES, [
        (16, "temperature_of_codes_that_compounds", "each call cools it further",
         "annealed(self.start,", "annealed(self.temperature,"),
    ]),
    *made("variants/parts/code_points.py", CODES, [
        (16, "least_likely_code_told", "perplexity, dead codes and maps are of codes that q does not choose",
         "self.logits.argmax(-1)", "self.logits.argmin(-1)"),
        (16, "codes_of_upturned_noise", "a relaxed draw is near a code less often than it is likely",
         "gumbel = -torch.empty(", "gumbel = torch.empty("),
        (25, "second_moment_of_codes_for_their_variance", "the square of the mean is not taken off",
         "variance: Tensor = square - self.mean.square()", "variance: Tensor = square"),
    ]),
    *made("variants/parts/discrete.py", ("tests/variants/test_discrete.py",), [
        (16, "joint_at_the_temperature_of_others", "the option is taken and not used",
         "temperature=temperature, temperature_decay=0.0", "temperature_decay=0.0"),
    ]),
    *made("variants/parts/levels.py", ("tests/variants/test_countable.py",), [
        (21, "levels_of_other_values", "a value is drawn from the probabilities of its neighbours",
         "sample_shape.numel()), replacement=True).mT", "sample_shape.numel()), replacement=True)"),
    ]),
    *made("variants/parts/likelihoods.py", ("tests/variants/test_likelihoods.py",), [
        (3, "means_outside_of_the_data", "a mean of values in [0, 1] may be any number",
         'data.kind != "real" if squash is None else flag("squash", squash)\n        self.floor',
         'data.kind == "real" if squash is None else flag("squash", squash)\n        self.floor'),
    ]),
    *made("variants/parts/student_t.py", ("tests/variants/test_likelihoods.py",), [
        (3, "medians_outside_of_the_data", "a median of values in [0, 1] may be any number",
         'self.squash = data.kind != "real"', 'self.squash = data.kind == "unit"'),
    ]),
    # A default that changes without a word: runs of before and after go by one name.
    *made("variants/parts/objectives/elbo.py", DEFAULTS, [
        (25, "beta_of_one_by_default", "the variant that is called beta is the vanilla one",
         "beta: float = 4.0", "beta: float = 1.0"),
        (25, "weight_of_a_capacity_tenfold_less", "the rate is not held where it is said to be",
         "gamma: float = 1000.0", "gamma: float = 100.0"),
        (25, "capacity_of_five_nats", "a capacity that is not the paper's",
         "capacity: float = 25.0", "capacity: float = 5.0"),
        (2, "capacity_reached_in_one_pass", "a schedule that is over before training has begun",
         "capacity_epochs: float = 10", "capacity_epochs: float = 1"),
        (2, "one_cycle_by_default", "cyclical annealing is a warm-up",
         "cycles: int = 4", "cycles: int = 1"),
        (2, "cycles_twice_as_long", "a training of twenty passes ends within its second cycle",
         "cycle_epochs: float = 5", "cycle_epochs: float = 10"),
    ]),
    *made("variants/parts/objectives/aggregate.py", DEFAULTS, [
        (25, "beta_of_tc_that_is_the_elbo_s", "total correlation costs no more than in the ELBO",
         "beta: float = 6.0", "beta: float = 1.0"),
        (25, "mmd_with_the_weight_of_another_paper", "the weight is that of WAE",
         "mmd: float = 1000.0", "mmd: float = 10.0"),
        (25, "dip_i_with_the_diagonal_of_dip_ii", "the weights of the paper's two kinds are exchanged",
         "diagonal: float = 100.0", "diagonal: float = 10.0"),
    ]),
    *made("variants/parts/objectives/rates.py", DEFAULTS, [
        (25, "free_bits_of_two_nats", "more is free than most latents hold",
         "free_nats: float = 0.25", "free_nats: float = 2.0"),
        (25, "two_capacities_with_the_weight_of_one", "the weight of Burgess et al. for that of Dupont",
         "gamma: float = 30.0", "gamma: float = 1000.0"),
    ]),
    *made("variants/parts/objectives/importance.py", DEFAULTS, [
        (25, "renyi_of_zero_by_default", "the variant is IWAE",
         "alpha: float = 0.5", "alpha: float = 0.0"),
        (25, "half_an_elbo_by_default", "ten times the weight that is said",
         "elbo_weight: float = 0.05", "elbo_weight: float = 0.5"),
        (6, "groups_that_draw_one_by_default", "what is asked for does not reach the part that keeps it",
         "        super().__init__(samples=samples, warmup_epochs=warmup_epochs)\n        self.estimates",
         "        super().__init__(warmup_epochs=warmup_epochs)\n        self.estimates"),
    ]),
    *made("variants/parts/objectives/games.py", DEFAULTS, [
        (25, "factor_of_one_by_default", "total correlation costs what the papers found too little",
         "gamma: float = 10.0", "gamma: float = 1.0"),
    ]),
    *made("variants/parts/objectives/labelled.py", DEFAULTS, [
        (25, "classifier_of_tenfold_weight_by_default", "labels count ten times as much as is said",
         "alpha: float = 0.1", "alpha: float = 1.0"),
    ]),
    *made("variants/parts/objectives/regularised.py", DEFAULTS, [
        (20, "decay_of_a_thousandth_by_default", "a weight decay that is no more than a trace becomes one that rules",
         "decay: float = 1e-7", "decay: float = 1e-3"),
    ]),
    *made("variants/parts/objectives/lagging.py", DEFAULTS, [
        (24, "one_lagging_pass_by_default", "the encoder's own steps end before they have begun to help",
         "lagging_epochs: float = 3", "lagging_epochs: float = 1"),
    ]),
    *made("variants/parts/posteriors.py", DEFAULTS, [
        (25, "rank_of_one_by_default", "between diagonal and full stands less than is said",
         "min(2, latent) if rank is None", "min(1, latent) if rank is None"),
        (25, "means_of_unit_spread_by_default", "the guaranteed rate is not what the variant is known for",
         "bn_scale: float = 0.6", "bn_scale: float = 1.0"),
    ]),
    *made("variants/parts/discrete.py", DEFAULTS, [
        (16, "concrete_of_another_temperature", "a relaxation of a temperature that its paper does not give",
         "temperature: float = 2 / 3", "temperature: float = 0.5"),
        (25, "fewest_classes_by_default", "a variable of ten classes becomes five bits",
         "classes = max((k for k in range(2, 11)", "classes = min((k for k in range(2, 11)"),
    ]),
    *made("variants/parts/networks.py", DEFAULTS, [
        (25, "convolutions_with_relu_by_default", "the posterior of some seeds collapses",
         'activation: str = "elu"', 'activation: str = "relu"'),
    ]),
    *made("variants/parts/__init__.py", DEFAULTS, [
        (25, "ten_latents_by_default", "every recorded figure is of twenty",
         "latent: int = 20", "latent: int = 10"),
    ]),
    *made("variants/zoo/gumbel_softmax.py", DEFAULTS, [
        (25, "two_variables_by_default", "twenty variables of ten classes are said",
         "latent: int = 200", "latent: int = 20"),
    ]),
    *made("variants/zoo/discretised_logistic.py", DEFAULTS, [
        (25, "five_logistics_by_default", "bits/dim of half the mixture that is said",
         "mixtures=10", "mixtures=5"),
    ]),
    *made("variants/zoo/vq_spatial.py", DEFAULTS, [
        (25, "codes_of_four_numbers_a_place", "a map of half the latents that are said",
         "latent = 8 * math.prod", "latent = 4 * math.prod"),
    ]),
    *made("variants/zoo/hamiltonian.py", DEFAULTS, [
        (22, "dynamics_on_a_slope_that_jumps", "leapfrog steps follow a decoder of ReLUs",
         'activation="silu"', 'activation="relu"'),
    ]),
    # Laws of parts that nothing asked for.
    *made("variants/parts/posteriors.py", ("tests/variants/test_against_collapse.py",), [
        (25, "running_moments_that_stand_still",
         "the newest batch counts for less and less, so that the judge sees an old mean",
         "self.batches.reciprocal().clamp(min=self.MOMENTUM)", "self.batches.reciprocal()"),
        (25, "running_moments_of_the_last_few", "the judge's mean is that of two batches",
         "MOMENTUM = 0.05", "MOMENTUM = 0.5"),
    ]),
    *made("variants/parts/staged.py", ("tests/variants/test_against_collapse.py",), [
        (2, "first_stage_from_the_first_step_on", "a warm-up that is asked for and not made",
         "linear_warmup(epoch, self.warmup_epochs) * first", "first"),
        (1, "second_stage_added_up_over_draws", "the more draws, the more the second stage counts",
         "second.mean(0) - terms.log_px_z.mean(0)", "second.sum(0) - terms.log_px_z.mean(0)"),
    ]),
    *made("variants/parts/priors.py", ("tests/variants/test_layers.py",), [
        (26, "pictures_below_black", "pseudo-inputs are no pictures that data could be",
         "hardtanh(self.weight, 0.0, 1.0)", "hardtanh(self.weight, -1.0, 1.0)"),
    ]),
    *made("variants/parts/likelihoods.py", ("tests/variants/test_likelihoods.py",), [
        (3, "means_of_two_numbers_outside_of_the_data", "squash is kept as a word and does nothing",
         "mean = torch.sigmoid(mean) if self.squash else mean", "mean = mean + 0"),
    ]),
    *made("variants/parts/student_t.py", ("tests/variants/test_likelihoods.py",), [
        (3, "medians_that_are_not_squashed", "squash is kept as a word and does nothing",
         "return torch.sigmoid(h) if self.squash else h", "return h"),
    ]),
    *made("variants/parts/levels.py", ("tests/variants/test_countable.py",), [
        (8, "scales_of_levels_with_a_floor_of_another_place", "log s is far from the number that the decoder gives",
         "functional.softplus(log_scale - LEAST_LOG_SCALE)", "functional.softplus(log_scale)"),
        (25, "means_taken_for_log_scales", "the two numbers of a level are exchanged",
         "loc, log_scale, *logits = torch.split", "log_scale, loc, *logits = torch.split"),
        (15, "ends_of_a_spread_at_the_ends_of_the_range",
         "components start where no level is nearer to them than to their neighbours",
         "self.mixtures + 2, dtype=h.dtype, device=h.device)[1:-1]", "self.mixtures, dtype=h.dtype, device=h.device)"),
    ]),
    *made("variants/parts/counts.py", ("tests/variants/test_countable.py",), [
        (25, "rates_taken_for_odds", "the two numbers of a count are exchanged",
         "rate, log_odds = h.unbind", "log_odds, rate = h.unbind"),
        (8, "rates_that_are_never_small", "a clamp that small rates feel",
         "LEAST_LOG_RATE = -60.0", "LEAST_LOG_RATE = -6.0"),
    ]),
    *made("variants/parts/code_books.py", CODES, [
        (16, "encoder_kept_near_the_first_code_alone", "what the later books add is held against it",
         "(sums[..., -1, :].detach() - h)", "(sums[..., 0, :].detach() - h)"),
    ]),
    *made("variants/parts/top_down.py", ("tests/variants/test_ladder.py",), [
        (25, "features_before_they_bend", "the way up is linear from one layer to the next",
         "            h = self.act(up(h))\n            seen.append", "            h = up(h)\n            seen.append"),
    ]),
    *made("variants/parts/objectives/games.py", ("tests/variants/test_games.py",), [
        (19, "critic_of_factors_that_adds_up_draws", "the more draws, the faster the critic moves",
         "return frozen(self.critic)(terms.z).mean(0), telling.mean(0)",
         "return frozen(self.critic)(terms.z).mean(0), telling.sum(0)"),
        (19, "critic_of_codes_that_adds_up_draws", "the more draws, the faster the critic moves",
         "softplus(-frozen(self.critic)(terms.z)).mean(0), telling.mean(0)",
         "softplus(-frozen(self.critic)(terms.z)).mean(0), telling.sum(0)"),
        (19, "critic_of_pictures_that_adds_up_draws", "the more draws, the faster the critic moves",
         "telling_apart(true, self.critic(false.detach())).mean(0)",
         "telling_apart(true, self.critic(false.detach())).sum(0)"),
        (19, "decoder_fooled_once_a_draw", "the more draws, the more the game counts",
         "softplus(frozen(self.critic)(false)).mean(0)", "softplus(frozen(self.critic)(false)).sum(0)"),
    ]),
    *made("variants/parts/objectives/regularised.py", ("tests/variants/test_games.py",), [
        (24, "fitted_prior_at_the_pace_of_all", "codes run away from a prior that is to follow them",
         'adam: Mapping[str, Mapping[str, Any]] = {"prior": {"pace": 10.0}}',
         'adam: Mapping[str, Mapping[str, Any]] = {"prior": {"pace": 1.0}}'),
        (24, "fitted_prior_with_decay_at_the_pace_of_all", "codes run away from a prior that is to follow them",
         'return {"prior": {"pace": 10.0}, "decoder"', 'return {"prior": {"pace": 1.0}, "decoder"'),
    ]),
    *made("variants/parts/hamiltonian.py", ("tests/variants/test_refined.py",), [
        (22, "temperature_that_falls_in_a_line", "the schedule of cooling is not the one that is said",
         "(k / max(1, self.leapfrogs)).square()", "(k / max(1, self.leapfrogs))"),
    ]),
    *made("variants/parts/refined.py", ("tests/variants/test_refined.py",), [
        (22, "refused_step_tried_again_as_long", "a step that would lower the bound is tried once more",
         "torch.where(better, rate, 0.5 * rate)", "rate"),
        (22, "search_by_the_plain_gradient", "a step along log sigma is twice what it should be",
         "rate * 0.5 * slopes[1]]", "rate * slopes[1]]"),
        (22, "search_always_one_sigma_long", "a step is as long however near the end is",
         "length.clamp(min=1).rsqrt()", "length.rsqrt()"),
        (22, "search_as_long_as_the_slope_is_steep", "a step may lead anywhere",
         "move * length.clamp(min=1).rsqrt() for", "move * length.clamp(min=1, max=1).rsqrt() for"),
        (22, "search_of_a_network_in_no_units", "a step is as long however narrow q is",
         "loc, log_scale = loc + scale * a, log_scale + b", "loc, log_scale = loc + a, log_scale + b"),
    ]),
    *made("variants/parts/residual_conv.py", ("tests/variants/test_parts.py",), [
        (8, "logits_that_are_bent", "a decoder ends with an activation, so that half of all numbers cannot be said",
         "up = [*(Block(b, activation) for _ in range(count)), act(), *doubled, cut, *up]",
         "up = [*(Block(b, activation) for _ in range(count)), act(), *doubled, cut, act(), *up]"),
    ]),
    *made("variants/parts/networks.py", ("tests/variants/test_parts.py",), [
        (8, "logits_of_a_skip_that_are_bent",
         "a decoder ends with an activation, so that half of all numbers cannot be said",
         "            h = layer(self.act(h)) + skip(z)\n        return h",
         "            h = layer(self.act(h)) + skip(z)\n        return self.act(h)"),
    ]),
    *made("variants/parts/objectives/games.py", ("tests/variants/test_games.py",), [
        (19, "critic_whose_units_die", "a leak of a hundredth, torch's own, where a fifth is said",
         "layer.negative_slope = 0.2", "layer.negative_slope = 0.01"),
    ]),
    # Checks of the conformance suite that pass whatever they are shown.
    *made("variants/testing/__init__.py", CHECKS, [
        (13, "gradients_left_off_by_a_check", "whatever is trained afterwards in this process learns nothing",
         '        torch.set_grad_enabled(before["gradient mode"])\n', ""),
    ]),
    *made("variants/testing/case.py", CHECKS, [
        (9, "examples_without_the_highest_level", "no check sees a white pixel",
         "(x * self.data.levels).floor()", "(x * (self.data.levels - 1)).floor()"),
    ]),
    *made("variants/testing/form.py", CHECKS, [
        (9, "infinite_numbers_let_pass", "an infinite log-density is no NaN",
         "(~value.isfinite()).sum()", "value.isnan().sum()"),
    ]),
    *made("variants/registry.py", ("tests/variants/test_registry.py",), [
        (25, "function_asked_in_another_process", "which knows nothing of it, and says that there is no such variant",
         "return self.built_in or self.function is not None", "return self.built_in"),
        (25, "half_of_a_file_kept", "the second error is not of what is wrong, and mending it does not help",
         "            del sys.modules[name]\n            raise", "            raise"),
    ]),
    *made("variants/core/blocks.py", ("tests/variants/test_moments.py",), [
        (16, "path_of_one_block", "points beside a Gaussian are said to have a gradient",
         "return all(block.has_rsample", "return any(block.has_rsample"),
    ]),
    *made("variants/core/chain.py", ("tests/variants/test_layers.py",), [
        (25, "kl_of_layers_of_other_sizes", "an error of shapes in place of an estimate",
         "if not isinstance(p, Chain) or p.layers != self.layers:", "if not isinstance(p, Chain):"),
        (6, "kl_of_a_layer_given_the_first_draw", "the other draws are not looked at",
         "kl if kl.dim() == 1 else kl.mean(0)", "kl if kl.dim() == 1 else kl[0]"),
    ]),
    *made("variants/core/mixture.py", ("tests/variants/test_priors.py",), [
        (6, "components_of_the_first_chunk", "draws that are made later are of the components of those made first",
         "[torch.arange(len(part), device=part.device), part]",
         "[torch.arange(len(part), device=part.device), chosen[: len(part)]]"),
    ]),
    *made("variants/data_spec.py", ("tests/variants/test_countable.py",), [
        (26, "grey_data_of_one_level", "data of no levels at all are dequantised",
         'self.kind not in ("levels", "unit") or self.levels < 2',
         'self.kind not in ("levels", "unit") or (self.kind == "levels" and self.levels < 2)'),
    ]),
]
# fmt: on
