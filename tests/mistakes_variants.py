"""Mistakes in parts of models that a special case hides: one draw, one epoch, one start; see `tests.mistakes`."""

from tests.mutants import made

AUTOENCODERS = ("tests/variants/test_autoencoders.py",)
CODES = ("tests/variants/test_codes.py",)
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
        (25, "sites_of_one_number", "a code stands for as few numbers as can be",
         "size = max(d for d in range(1, 9)", "size = min(d for d in range(1, 9)"),
    ]),
    *made("variants/parts/flows.py", ("tests/variants/test_flows.py",), [
        (25, "hidden_units_that_no_output_sees", "one of D is for nothing, and a network narrower than it says",
         "torch.arange(width) % (latent - 1)", "torch.arange(width) % latent"),
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
]
# fmt: on
