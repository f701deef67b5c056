"""Mistakes in likelihoods, posteriors, priors and networks that few variants choose; see `tests.mistakes`."""

from tests.mutants import Mistake, made

LIKELIHOODS = "variants/parts/likelihoods.py"
STUDENT_T = "variants/parts/student_t.py"
POSTERIORS = "variants/parts/posteriors.py"
NETWORKS = "variants/parts/networks.py"
MIXTURE = "variants/core/mixture.py"
COUPLING = "variants/parts/coupling.py"
SPLINES = "variants/parts/splines.py"
SYLVESTER = "variants/parts/sylvester.py"
STAGED = "variants/parts/staged.py"
BOOKS = "variants/parts/code_books.py"
POINTS = "variants/parts/code_points.py"
CODE_PRIORS = "variants/parts/code_priors.py"
CODES = "variants/parts/codes.py"
MAPS = "variants/parts/conv_ladder.py"
COUNTS = "variants/parts/counts.py"
LEVELS = "variants/parts/levels.py"
DISCRETE = "variants/parts/discrete.py"
HAMILTONIAN = "variants/parts/hamiltonian.py"
LABELLED = "variants/parts/labelled.py"

IN_SCALES = ("tests/variants/test_scales.py",)
IN_PRIORS = ("tests/variants/test_priors.py",)
IN_FLOWS = ("tests/variants/test_more_flows.py",)
IN_COLLAPSE = ("tests/variants/test_against_collapse.py",)
IN_CODES = ("tests/variants/test_codes.py",)
IN_COUNTABLE = ("tests/variants/test_countable.py",)
IN_DISCRETE = ("tests/variants/test_discrete.py",)
IN_PARTS = ("tests/variants/test_parts.py",)

OF_PARTS = [
    Mistake(
        "optimal_sigma_of_the_last_batch_alone",
        3,
        "one batch's sigma is kept for the judge, not the average over batches",
        LIKELIHOODS,
        "self.variance.lerp_(variance, self.batches.reciprocal().clamp(min=self._momentum))",
        "self.variance.copy_(variance)",
        ("tests/variants/test_likelihoods.py",),
    ),
    Mistake(
        "student_t_without_its_constant",
        3,
        "the heavier the tails, the lower the density at the mean: without its constant df runs away",
        STUDENT_T,
        "return log_constant(df) - scale.log()",
        "return -scale.log()",
        IN_SCALES,
    ),
    Mistake(
        "student_t_scaled_by_its_variance",
        3,
        "sigma taken for the standard deviation",
        STUDENT_T,
        "t = (x - loc) / scale\n",
        "t = (x - loc) / scale / ((df - 2) / df).sqrt()\n",
        IN_SCALES,
    ),
    Mistake(
        "mixture_sampled_without_its_weights",
        4,
        "every component is drawn as often as any other, whatever its weight",
        MIXTURE,
        "torch.multinomial(self.log_pi.exp(), shape",
        "torch.multinomial(torch.ones_like(self.log_pi), shape",
        IN_PRIORS,
    ),
    Mistake(
        "mixture_weights_not_normalised",
        3,
        "weights that do not sum to one",
        MIXTURE,
        "logits.log_softmax(0)",
        "logits",
        IN_PRIORS,
    ),
    Mistake(
        "coupling_backwards_in_the_wrong_order",
        5,
        "the shift is taken away after the scale, which is no inverse",
        COUPLING,
        "(b - shift) * (-log_scale).exp()",
        "b * (-log_scale).exp() - shift",
        IN_PRIORS,
    ),
    Mistake(
        "coupling_that_sees_what_it_moves",
        3,
        "the determinant of a coupling is that of its slopes only if they do not depend on what is moved",
        COUPLING,
        "b, log_slope = self.move(z[..., moved], self.conditioner(a, self.context), backwards)",
        "b, log_slope = self.move(z[..., moved], self.conditioner(z[..., : a.shape[-1]], self.context), backwards)",
        IN_FLOWS,
    ),
    Mistake(
        "spline_slope_without_its_square",
        3,
        "the derivative of a quotient has the square of the denominator",
        SPLINES,
        "2 * mean.log() + above.log() - 2 * below.log()",
        "2 * mean.log() + above.log() - below.log()",
        IN_FLOWS,
    ),
    Mistake(
        "spline_log_determinant_of_the_inverse",
        5,
        "the log-determinant at the preimage is that of the map, not of its inverse",
        SPLINES,
        "torch.where(inside, left + share * width, y), torch.where(inside, log_slope, 0.0)",
        "torch.where(inside, left + share * width, y), torch.where(inside, -log_slope, 0.0)",
        IN_FLOWS,
    ),
    Mistake(
        "sylvester_that_folds",
        3,
        "without the bound on the diagonals two points have one image",
        SYLVESTER,
        "(1 - self.MARGIN) * full.diagonal(dim1=-2, dim2=-1).tanh()",
        "full.diagonal(dim1=-2, dim2=-1)",
        IN_FLOWS,
    ),
    Mistake(
        "sylvester_determinant_with_a_floor",
        3,
        "log(|.| + 1e-4), which hides that there is no inverse and moves every density",
        SYLVESTER,
        "(self.slope * (1 - bend.square())).log1p().sum(-1)",
        "((1 + self.slope * (1 - bend.square())).abs() + 1e-4).log().sum(-1)",
        IN_FLOWS,
    ),
    Mistake(
        "scales_batch_normalised_too",
        1,
        "sigma of an example depends on its batch, and the bound on the KL is gone",
        POSTERIORS,
        "return Independent(Normal(loc, self.log_scale(h).exp(), validate_args=False), 1, validate_args=False)\n\n\n"
        "class Full",
        "log_scale = self.log_scale(h)\n"
        "        log_scale = log_scale - log_scale.mean(0)\n"
        "        return Independent(Normal(loc, log_scale.exp(), validate_args=False), 1, validate_args=False)\n\n\n"
        "class Full",
        IN_COLLAPSE,
    ),
    Mistake(
        "batch_norm_of_the_judges_batch",
        9,
        "in evaluation an example's posterior changes with its batch mates",
        POSTERIORS,
        "if not self.training or len(loc) == 1:",
        "if len(loc) == 1:",
        IN_COLLAPSE,
    ),
    Mistake(
        "no_skip_to_the_output",
        1,
        "the last layer does not see the latents",
        NETWORKS,
        "h = layer(self.act(h)) + skip(z)",
        "h = layer(self.act(h)) + (skip(z) if layer is not self.layers[-1] else 0)",
        IN_COLLAPSE,
    ),
    Mistake(
        "second_stage_never_used",
        2,
        "the layers between z1 and z2 are built and get no gradient",
        STAGED,
        " * first + second.mean(0) - terms",
        " * first - terms",
        IN_COLLAPSE,
    ),
    Mistake(
        "stages_not_kept_apart",
        2,
        "the codes are moved to where the second stage finds them likely",
        STAGED,
        "        z1 = z1.detach()\n",
        "",
        IN_COLLAPSE,
    ),
    Mistake(
        "noise_of_the_codes_without_its_logarithm",
        3,
        "squared errors over the variance, without log sigma: the scale runs away",
        STAGED,
        "second - p.conditional(given.rsample()).log_prob(z1)",
        "second + 0.5 * ((p.conditional(given.mean).mean - z1) / p.conditional(given.mean).stddev).square().sum(-1)",
        IN_COLLAPSE,
    ),
]

# fmt: off
OF_PARTS += [
    *made("variants/parts/checks.py", ("tests/variants/test_checks.py",), [
        (26, "no_number_for_a_number", "a setting of nan trains a model of nan",
         "not isinstance(value, Real) or not math.isfinite(float(value)):", "not isinstance(value, Real):"),
        (26, "share_of_all", "a decay of one never forgets, and never learns either",
         "if not 0 <= number(name, value) < 1:", "if not 0 <= number(name, value) <= 1:"),
        (26, "true_for_a_positive_number", "sigma=true is a sigma of one",
         "if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value)",
         "if not isinstance(value, Real) or not 0 < float(value)"),
        (26, "infinite_weight", "a weight without end, of which the first loss is infinite",
         "not 0 <= float(value) < math.inf", "not 0 <= float(value) <= math.inf"),
        (26, "ends_of_a_range_left_out", "the ends that a message names are refused",
         "if not low <= number(name, value) <= high:", "if not low < number(name, value) < high:"),
        (26, "true_for_one_layer", "hidden=true is said to be no whole number, not to be no list",
         "if isinstance(value, int) and not isinstance(value, bool):", "if isinstance(value, int):"),
    ]),
    *made("variants/parts/__init__.py", IN_PARTS, [
        (26, "options_in_no_order", "what an error lists as taken is found by no reader",
         '", ".join(sorted(known))', '", ".join(known)'),
        (26, "unknown_option_not_named", "an error that knows no option's name: no spelling can be suggested",
         "self.option = option", "self.option = str(known)"),
    ]),
    *made(BOOKS, IN_CODES, [
        (16, "misfit_of_a_book_that_nothing_moves_in_the_loss", "what no gradient lowers is added to what is shown",
         "return torch.zeros_like(book), encoder", "return book.detach(), encoder"),
        (13, "use_of_codes_forgotten", "after a resumption codes are the means of the batches since",
         'self.register_buffer("used", torch.zeros(count))',
         'self.register_buffer("used", torch.zeros(count), persistent=False)'),
        (13, "sums_of_codes_forgotten", "after a resumption codes start again from zero",
         'self.register_buffer("total", torch.zeros(count, size))',
         'self.register_buffer("total", torch.zeros(count, size), persistent=False)'),
        (16, "axis_that_reaches_too_far", "the ends of an axis lie a hundredth beyond its levels",
         "(number - 1) * (1 + 1e-3) / 2", "(number - 1) * (1 + 1e-2) / 2"),
        (16, "zero_taken_for_negative", "a dead unit has the other sign",
         "(parted(h.detach(), self.sites) >= 0)", "(parted(h.detach(), self.sites) > 0)"),
    ]),
    *made(POINTS, IN_CODES, [
        (5, "points_near_a_code_taken_for_it", "what lies a tenth beside a code has its probability",
         "NEAR = 1e-3", "NEAR = 1e-1"),
        (5, "one_number_of_a_code_is_enough", "a point that shares one number with a code has its probability",
         "near = ((self.book.write(indices) - value).abs() < NEAR).all(-1)",
         "near = ((self.book.write(indices) - value).abs() < NEAR).any(-1)"),
        (25, "one_number_of_a_code_is_in_the_support", "a point that shares one number with a code is said to be one",
         "(self.book.write(self.book.read(value)) - value).abs() < NEAR).all(-1)",
         "(self.book.write(self.book.read(value)) - value).abs() < NEAR).any(-1)"),
        (25, "points_between_codes_that_are_no_numbers", "a draw with a nan is said to lie between codes",
         "finite: Tensor = value.isfinite().all(-1)", "finite: Tensor = value.isfinite().any(-1)"),
        (25, "a_book_for_each_site", "the perplexity of codes is taken over as many books as there are sites",
         "return self.book.variables // self.book.sites", "return self.book.variables"),
        (25, "one_point_that_spreads", "a posterior of one point with a variance of one",
         "return torch.zeros_like(self.mean)", "return torch.ones_like(self.mean)"),
        (25, "one_point_of_some_entropy", "a posterior of one point with an entropy of a nat",
         "return self.h.new_zeros(self.batch_shape)\n\n    def kl_parts",
         "return self.h.new_ones(self.batch_shape)\n\n    def kl_parts"),
        (16, "relaxed_codes_at_the_square_of_the_temperature", "draws between codes are not those of the temperature",
         "((self.logits + gumbel) / self.temperature)", "((self.logits + gumbel) / self.temperature**2)"),
    ]),
    *made(CODE_PRIORS, IN_CODES, [
        (26, "most_codes_one_too_many", "as many codes as an error allows are refused",
         "if book.count > MOST_CODES:", "if book.count >= MOST_CODES:"),
        (5, "order_without_places", "the network of an autoregressive prior is not told which index it is to tell",
         "states, _ = self.state(before + self.place)", "states, _ = self.state(before + self.place[:1])"),
        (26, "book_of_one_code", "latents that can say nothing",
         'book = Vectors(*sites_of(latent, code_size), at_least("codes", codes, 2))',
         'book = Vectors(*sites_of(latent, code_size), at_least("codes", codes, 1))'),
        (5, "averages_without_an_order", "autoregressive=true changes nothing",
         'codes, 2), code_decay)\n        super().__init__(book, autoregressive, order_width)',
         'codes, 2), code_decay)\n        super().__init__(book, False, order_width)'),
        (5, "residual_codes_without_an_order", "autoregressive=true changes nothing",
         "code_depth), autoregressive, order_width)", "code_depth), False, order_width)"),
        (5, "grid_codes_without_an_order", "autoregressive=true changes nothing",
         "levels), autoregressive, order_width)", "levels), False, order_width)"),
        (5, "sign_codes_without_an_order", "autoregressive=true changes nothing",
         "code_size)), autoregressive, order_width)", "code_size)), False, order_width)"),
        (5, "order_of_one_width", "order_width changes nothing",
         "Order(book.variables, book.count, width)", "Order(book.variables, book.count, 128)"),
        (16, "residual_books_that_nothing_moves", "the ELBO of residual codes trains all but the codes",
         "    codes_to_move = True\n\n    def __init__(\n        self,\n        latent: int,\n        *,\n"
         "        codes: int = 64,\n        code_size: int | None = None,\n        code_depth",
         "    def __init__(\n        self,\n        latent: int,\n        *,\n"
         "        codes: int = 64,\n        code_size: int | None = None,\n        code_depth"),
        (26, "depth_that_does_not_divide", "latents of residual codes are cut off without a word",
         "    if latent % depth:\n", "    if latent % depth and size is None:\n"),
        (16, "decay_of_codes_ignored", "code_decay changes nothing",
         'at_least("codes", codes, 2), code_decay)', 'at_least("codes", codes, 2), 0.99)'),
    ]),
    *made(CODES, IN_CODES, [
        (16, "temperature_of_codes_compiled", "a compiled step is that of the first temperature for good",
         "self.eager = self.decay > 0", "self.eager = False"),
        (5, "stochastic_codes_of_no_map", "spatial=true changes nothing, and a dense layer mixes all places",
         "super().__init__(features, latent, spatial=spatial)\n        self.log_precision",
         "super().__init__(features, latent)\n        self.log_precision"),
        (5, "grid_codes_of_no_map", "spatial=true changes nothing, and a dense layer mixes all places",
         "super().__init__(features, latent, spatial=spatial)\n\n\nclass SignCodes",
         "super().__init__(features, latent)\n\n\nclass SignCodes"),
    ]),
    *made(NETWORKS, IN_PARTS, [
        (26, "silu_that_is_gelu", "an activation is not the one that results name",
         '"silu": nn.SiLU,', '"silu": nn.GELU,'),
        (26, "gelu_that_is_silu", "an activation is not the one that results name",
         '"gelu": nn.GELU,', '"gelu": nn.SiLU,'),
        (26, "leaky_relu_that_does_not_leak", "an activation is not the one that results name",
         '"leaky_relu": nn.LeakyReLU,', '"leaky_relu": nn.ReLU,'),
        (5, "way_back_without_activations", "the transposed convolutions of a decoder are one linear map",
         "up = [*doubled, *([act()] if up else []), *up]", "up = [*doubled, *up]"),
    ]),
    *made(NETWORKS, ("tests/variants/test_heads.py",), [
        (26, "skip_that_is_always_centred", "centre=false changes nothing",
         "encoder, _ = mlp(data, latent, hidden=hidden, activation=activation, centre=centre)",
         "encoder, _ = mlp(data, latent, hidden=hidden, activation=activation)"),
    ]),
    *made(MAPS, ("tests/variants/test_heads.py",), [
        (26, "maps_that_are_always_centred", "centre=false changes nothing",
         "Centre(data, centre, channels=True)", "Centre(data, True, channels=True)"),
    ]),
    *made(MAPS, ("tests/variants/test_conv_ladder.py",), [
        (5, "trunk_of_another_activation", "the trunk does not have the activation that is asked for",
         "MapTrunk(sides, depth, channels, activation),", 'MapTrunk(sides, depth, channels, "elu"),'),
        (5, "posterior_of_maps_of_another_activation", "the posterior does not have the activation that is asked for",
         "super().__init__(tuple(depth * math.prod(side) for side in sides), activation)",
         'super().__init__(tuple(depth * math.prod(side) for side in sides), "elu")'),
        (5, "halvings_of_another_activation", "the encoder does not have the activation that is asked for",
         "layers: list[nn.Module] = [ACTIVATIONS[activation]()] if stages else []",
         "layers: list[nn.Module] = [nn.ELU()] if stages else []"),
        (5, "one_block_on_the_way_up", "the decoder of maps has one block, whatever is asked for",
         "        ChannelsLast(),\n        *(Block(channels, activation) for _ in range(count)),",
         "        ChannelsLast(),\n        *(Block(channels, activation) for _ in range(1)),"),
        (5, "one_block_on_the_way_down", "the encoder of maps has one block at each size, whatever is asked for",
         "stages.append(nn.Sequential(*layers, *(Block(channels, activation) for _ in range(count))))",
         "stages.append(nn.Sequential(*layers, *(Block(channels, activation) for _ in range(1))))"),
        (5, "small_maps_taken_for_large_ones", "maps of x are handed on the smallest first",
         "return torch.cat(maps, dim=-1)", "return torch.cat(maps[::-1], dim=-1)"),
        (5, "maps_of_x_channel_by_channel", "a layer's convolution sees channels where it takes places",
         "self.flat = ToSites()", "self.flat = nn.Flatten()"),
        (5, "latents_of_other_places", "a layer's latents lie crosswise to the places of its state",
         "return loc.flatten(-2), log_scale.flatten(-2)", "return loc.mT.flatten(-2), log_scale.mT.flatten(-2)"),
        (5, "last_state_channel_by_channel", "a decoder's map is not that of the places of the last state",
         "FromSites(sides[0])", "nn.Unflatten(-1, (channels, *sides[0]))"),
    ]),
    *made(COUNTS, IN_COUNTABLE, [
        (3, "rates_of_nothing_known_start_at_zero", "an unknown mean is taken for none",
         "else torch.ones(data.shape)", "else torch.zeros(data.shape)"),
        (3, "one_dispersion_for_all_values", "what is said to be learnt for each value is one number",
         "nn.Parameter(torch.zeros(data.shape))", "nn.Parameter(torch.zeros(()))"),
        (10, "any_data_taken_for_counts", "a probability of counts is asked for values between them",
         'refuse_unless(data, "counts", "a data set of counts")', "pass"),
    ]),
    *made(LEVELS, IN_COUNTABLE, [
        (3, "level_below_the_one_that_is_meant", "97 (k / 97) rounds to less than k for some k",
         "self.log_mass((value * (self.levels - 1)).round())", "self.log_mass(value * (self.levels - 1))"),
        (25, "levels_beyond_the_last", "a value above one is said to be a level",
         "inside: Tensor = (k >= -1e-3) & (k <= self.levels - 1 + 1e-3) & ((k - k.round()).abs() < 1e-3)",
         "inside: Tensor = (k - k.round()).abs() < 1e-3"),
        (4, "components_drawn_by_the_weights_of_other_values", "weights are read along the wrong axis",
         "pi = self.log_pi.exp().movedim(0, -1)", "pi = self.log_pi.exp().reshape(*self.log_pi.shape[1:], -1)"),
    ]),
    *made(LIKELIHOODS, ("tests/variants/test_likelihoods.py",), [
        (10, "squash_of_two_numbers_ignored", "squash=false changes nothing",
         'self.squash = data.kind != "real" if squash is None else flag("squash", squash)\n        self.floor',
         'self.squash = data.kind != "real"\n        self.floor'),
        (8, "floor_of_nothing", "a density that grows without bound is taken",
         'self.floor = positive("floor", floor)', "self.floor = float(floor)"),
        (13, "batches_behind_the_variance_forgotten", "after a resumption one batch's sigma is kept for the judge",
         'self.register_buffer("batches", torch.tensor(0.0))',
         'self.register_buffer("batches", torch.tensor(0.0), persistent=False)'),
        (13, "output_bias_forgotten", "a loaded model has the bias of the data that it is loaded beside",
         'self.register_buffer("bias", bias)', 'self.register_buffer("bias", bias, persistent=False)'),
    ]),
    *made(LIKELIHOODS, IN_COUNTABLE, [
        (26, "kind_that_is_wanted_named_as_the_one_that_is_had", "an error says that counts are no counts",
         'not {data.kind!r}: choose {how}"', 'not {kind!r}: choose {how}"'),
    ]),
    *made(DISCRETE, IN_DISCRETE, [
        (16, "concrete_draws_without_their_temperature", "draws do not follow the density that they are scored by",
         "return ((self.logits + noise) / self.temperature).sigmoid()", "return (self.logits + noise).sigmoid()"),
        (16, "hard_draws_not_rounded", "hard=true changes nothing", "hard=self.hard)", "hard=False)"),
    ]),
    *made(DISCRETE, IN_CODES, [
        (16, "temperature_compiled", "a compiled step is that of the first temperature for good",
         "self.eager = self.decay > 0", "self.eager = False"),
    ]),
    *made("variants/parts/discrete_priors.py", IN_DISCRETE, [
        (16, "prior_at_one_temperature", "prior_temperature changes nothing",
         'self.temperature = positive("prior_temperature", prior_temperature)',
         'self.temperature = positive("prior_temperature", 0.5)'),
    ]),
    *made("variants/parts/coupling.py", IN_PRIORS, [
        (15, "couplings_that_start_anywhere", "a flow starts far from the identity",
         "START = 0.1", "START = 1.0"),
    ]),
    *made("variants/parts/flows.py", ("tests/variants/test_flows.py",), [
        (3, "shared_maps_that_cannot_be_learnt", "u and w start at zero, where neither has a gradient",
         "nn.init.normal_(self.maps.value, std=0.1)", "pass"),
    ]),
    *made(HAMILTONIAN, ("tests/variants/test_refined.py",), [
        (22, "steps_in_no_units_of_sigma", "narrow posteriors are moved too far",
         ".unsqueeze(1) * q.stddev[:, :size]", ".unsqueeze(1) + 0 * q.stddev[:, :size]"),
        (15, "steps_that_hardly_learn", "the size of steps moves at a thirtieth of the pace",
         "torch.sigmoid(PACE * self.size + self.start)", "torch.sigmoid(self.size + self.start)"),
        (22, "steps_of_half_the_size", "steps start at half the size that is asked for",
         "share = leapfrog_size / self.LARGEST", "share = leapfrog_size"),
    ]),
    *made(LABELLED, ("tests/variants/test_labels.py",), [
        (27, "layers_of_labelled_of_one_width", "class_hidden changes nothing",
         'sizes("class_hidden", class_hidden), "relu", context=features)\n\n    def forward(self, h: Tensor) ->',
         '(100,), "relu", context=features)\n\n    def forward(self, h: Tensor) ->'),
        (27, "layers_of_a_given_class_of_one_width", "class_hidden changes nothing",
         'sizes("class_hidden", class_hidden), "relu", context=features)\n\n    def forward(self, h: Tensor, c',
         '(100,), "relu", context=features)\n\n    def forward(self, h: Tensor, c'),
        (25, "support_of_the_class_where_u_lies", "u is said to be one-hot, and the class to be any numbers",
         "dim=-1, lengths=self.sizes)", "dim=-1, lengths=self.sizes[::-1])"),
    ]),
    *made("variants/parts/ladder.py", ("tests/variants/test_ladder.py",), [
        (5, "layers_of_other_sizes_compared", "a KL between layers that are not of one size",
         "if not isinstance(p, Ladder) or p.layers != self.layers:", "if not isinstance(p, Ladder):"),
    ]),
    *made("variants/parts/layers.py", ("tests/variants/test_layers.py",), [
        (15, "conditionals_that_start_with_any_sigma", "log sigma of a conditional does not start at zero",
         "self.log_scale = Head(widths[-1], outputs)", "self.log_scale = Head(widths[-1], outputs, zero=False)"),
    ]),
    *made("variants/parts/heads.py", ("tests/variants/test_heads.py",), [
        (15, "shared_sigma_that_starts_elsewhere", "what all examples share does not start at zero",
         "self.value = nn.Parameter(torch.zeros(size))", "self.value = nn.Parameter(torch.full((size,), 0.5))"),
    ]),
    *made("variants/parts/initialisation.py", IN_PARTS, [
        (26, "biases_of_the_way_back_left", "under glorot and he some biases are not zero",
         "            if layer.bias is not None:",
         "            if layer.bias is not None and not isinstance(layer, nn.ConvTranspose2d):"),
    ]),
    *made("variants/parts/objectives/base.py", ("tests/variants/test_aggregate.py",), [
        (7, "draws_of_a_prior_of_each_example_crossed", "a prior of each example is drawn once for each pair of them",
         "torch.Size([samples] if terms.p.batch_shape else [samples, batch])", "torch.Size([samples, batch])"),
    ]),
    *made("variants/parts/objectives/aggregate.py", IN_PARTS, [
        (26, "reward_for_correlated_codes", "a weight below zero rewards what it is there to lower",
         'self.off_diagonal = not_negative("off_diagonal", off_diagonal)',
         "self.off_diagonal = off_diagonal"),
        (26, "kernel_of_no_width", "a width of nan makes a loss of nan",
         'None if width is None else positive("width", width)',
         "width"),
    ]),
    *made(DISCRETE, IN_PARTS, [
        (26, "temperature_with_a_floor_below_zero", "a temperature that passes zero turns draws round",
         'self.floor = positive("temperature_floor", temperature_floor)',
         "self.floor = temperature_floor"),
    ]),
    *made(HAMILTONIAN, IN_PARTS, [
        (26, "heat_that_is_no_number", "a temperature of nan",
         'math.log(positive("heat", heat))',
         "math.log(heat)"),
    ]),
    *made(MAPS, IN_PARTS, [
        (26, "blocks_below_none", "blocks=-1 is no block, without a word",
         'at_least("blocks", blocks, 0)',
         "blocks"),
    ]),
    *made(LEVELS, IN_PARTS, [
        (26, "true_for_a_number_of_components", "mixtures=true is one component",
         'self.mixtures = at_least("mixtures", mixtures, 1)',
         "self.mixtures = mixtures"),
    ]),
    *made(COUPLING, IN_PARTS, [
        (26, "flow_of_no_couplings", "prior_flows=-1 is no flow, without a word",
         '        at_least("prior_flows", prior_flows, 1)\n',
         ""),
    ]),
    *made(CODE_PRIORS, IN_PARTS, [
        (26, "true_for_a_depth", "code_depth=true is one book",
         'at_least("code_depth", code_depth, 1)',
         "code_depth"),
        (26, "width_of_no_order_not_looked_at", "a width that cannot be is taken where there is no order yet",
         'width = at_least("order_width", order_width, 1)',
         "width = order_width"),
    ]),
    *made(BOOKS, IN_PARTS, [
        (26, "option_of_another_name", "an error names an option that there is not",
         'share("code_decay", decay)',
         'share("decay", decay)'),
    ]),
    *made(LABELLED, IN_PARTS, [
        (26, "widths_of_another_option", "an error about class_hidden names top_hidden",
         'sizes("class_hidden", class_hidden), "relu", context=features)\n\n    def forward(self, h: Tensor, c',
         'class_hidden, "relu", context=features)\n\n    def forward(self, h: Tensor, c'),
        (26, "no_classes_taken_for_the_default", "classes=0 is as many as there are by default",
         'at_least("classes", classes, 2) < (known or 2)',
         "classes < (known or 0)"),
    ]),
    *made(NETWORKS, IN_PARTS, [
        (26, "any_value_taken_for_true", 'centre="no" centres',
         'data.mean() if flag("centre", centre) and data.mean',
         "data.mean() if centre and data.mean"),
    ]),
]
# fmt: on
