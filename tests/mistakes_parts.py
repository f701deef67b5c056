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
    *made(
        "variants/parts/priors.py",
        ("tests/variants/test_priors.py",),
        [
            (
                13,
                "pseudo_inputs_held_within_minus_one",
                "pseudo-inputs may be negative where the data are in [0, 1]",
                "functional.hardtanh(self.weight, 0.0, 1.0)",
                "functional.hardtanh(self.weight)",
            ),
        ],
    ),
    *made(
        "variants/parts/priors.py",
        ("tests/variants/test_priors.py",),
        [
            (
                13,
                "hierarchical_widths_not_mirrored",
                "the prior's widths go the same way as the posterior's",
                'self.layers[1], self.layers[0], tuple(reversed(sizes("top_hidden", top_hidden))), activation',
                'self.layers[1], self.layers[0], sizes("top_hidden", top_hidden), activation',
            ),
        ],
    ),
    *made(
        "variants/parts/initialisation.py",
        ("tests/variants/test_scales.py",),
        [
            (
                13,
                "transposed_fan_in_taken_from_outputs",
                "a transposed convolution is scaled by its outputs",
                "draw(layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight)",
                "draw(layer.weight)",
            ),
        ],
    ),
    *made(
        "variants/parts/own.py",
        ("tests/variants/test_parts.py",),
        [
            (
                13,
                "dry_run_leaves_training_mode",
                "a module that came in evaluation mode is left in training mode",
                "module.train(training)",
                "module.train()",
            ),
        ],
    ),
    *made(
        "variants/parts/__init__.py",
        ("tests/variants/test_parts.py",),
        [
            (
                13,
                "data_size_of_the_user_overwritten",
                "the data's own size takes the place of the one that was given",
                "options.setdefault(name, value)",
                "options[name] = value",
            ),
        ],
    ),
    *made(
        "variants/registry.py",
        ("tests/variants/test_registry.py",),
        [
            (
                13,
                "half_loaded_file_kept",
                "a file that ends the program while it is loaded stays, half done",
                "        except BaseException:\n            del sys.modules[name]",
                "        except Exception:\n            del sys.modules[name]",
            ),
        ],
    ),
    *made(
        "variants/core/chain.py",
        ("tests/variants/test_layers.py",),
        [
            (
                13,
                "layers_of_a_downward_kl_swapped",
                "of chains that go down z2's KL stands in the place of z1's",
                "torch.stack([first, second] if self.upward else [second, first], dim=-1)",
                "torch.stack([first, second], dim=-1)",
            ),
        ],
    ),
    Mistake(
        "optimal_sigma_of_the_last_batch_alone",
        3,
        "one batch's sigma is kept for the judge, not the average over batches",
        LIKELIHOODS,
        "average = self.variance.lerp(variance, self.batches.reciprocal().clamp(min=self._momentum))",
        "average = variance",
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
        (26, "share_of_all", "a decay of one never forgets, and never learns either",
         "if not 0 <= number(name, value) < 1:", "if not 0 <= number(name, value) <= 1:"),
        (26, "true_for_one_layer", "hidden=true is said to be no whole number, not to be no list",
         "if isinstance(value, int) and not isinstance(value, bool):", "if isinstance(value, int):"),
    ]),
    *made("variants/parts/__init__.py", IN_PARTS, [
        (26, "unknown_option_not_named", "an error that knows no option's name: no spelling can be suggested",
         "self.option = option", "self.option = str(known)"),
    ]),
    *made(BOOKS, IN_CODES, [
        (13, "sums_of_codes_forgotten", "after a resumption codes start again from zero",
         'self.register_buffer("total", torch.zeros(count, size))',
         'self.register_buffer("total", torch.zeros(count, size), persistent=False)'),
    ]),
    *made(POINTS, IN_CODES, [
        (25, "one_number_of_a_code_is_in_the_support", "a point that shares one number with a code is said to be one",
         "(self.book.write(self.book.read(value)) - value).abs() < NEAR).all(-1)",
         "(self.book.write(self.book.read(value)) - value).abs() < NEAR).any(-1)"),
        (25, "a_book_for_each_site", "the perplexity of codes is taken over as many books as there are sites",
         "return self.book.variables // self.book.sites", "return self.book.variables"),
        (16, "relaxed_codes_at_the_square_of_the_temperature", "draws between codes are not those of the temperature",
         "((self.logits + gumbel) / self.temperature)", "((self.logits + gumbel) / self.temperature**2)"),
    ]),
    *made(CODE_PRIORS, IN_CODES, [
        (5, "order_without_places", "the network of an autoregressive prior is not told which index it is to tell",
         "states, _ = self.state(before + self.place)", "states, _ = self.state(before + self.place[:1])"),
        (5, "sign_codes_without_an_order", "autoregressive=true changes nothing",
         "code_size)), autoregressive, order_width)", "code_size)), False, order_width)"),
    ]),
    *made(NETWORKS, IN_PARTS, [
        (26, "gelu_that_is_silu", "an activation is not the one that results name",
         '"gelu": nn.GELU,', '"gelu": nn.SiLU,'),
        (5, "way_back_without_activations", "the transposed convolutions of a decoder are one linear map",
         "up = [*doubled, *([act()] if up else []), *up]", "up = [*doubled, *up]"),
    ]),
    *made(MAPS, ("tests/variants/test_heads.py",), [
        (26, "maps_that_are_always_centred", "centre=false changes nothing",
         "Centre(data, centre, channels=True)", "Centre(data, True, channels=True)"),
    ]),
    *made(MAPS, ("tests/variants/test_conv_ladder.py",), [
        (5, "trunk_of_another_activation", "the trunk does not have the activation that is asked for",
         "MapTrunk(sides, depth, channels, activation),", 'MapTrunk(sides, depth, channels, "elu"),'),
        (5, "last_state_channel_by_channel", "a decoder's map is not that of the places of the last state",
         "FromSites(sides[0])", "nn.Unflatten(-1, (channels, *sides[0]))"),
    ]),
    *made(COUNTS, IN_COUNTABLE, [
        (3, "rates_of_nothing_known_start_at_zero", "an unknown mean is taken for none",
         "else torch.ones(data.shape)", "else torch.zeros(data.shape)"),
        (10, "any_data_taken_for_counts", "a probability of counts is asked for values between them",
         'refuse_unless(data, "counts", "a data set of counts")', "pass"),
    ]),
    *made(LEVELS, IN_COUNTABLE, [
        (4, "components_drawn_by_the_weights_of_other_values", "weights are read along the wrong axis",
         "pi = self.log_pi.exp().movedim(0, -1)", "pi = self.log_pi.exp().reshape(*self.log_pi.shape[1:], -1)"),
    ]),
    *made(LIKELIHOODS, ("tests/variants/test_likelihoods.py",), [
        (13, "output_bias_forgotten", "a loaded model has the bias of the data that it is loaded beside",
         'self.register_buffer("bias", bias)', 'self.register_buffer("bias", bias, persistent=False)'),
    ]),
    *made(LIKELIHOODS, IN_COUNTABLE, [
        (26, "kind_that_is_wanted_named_as_the_one_that_is_had", "an error says that counts are no counts",
         'not {data.kind!r}: choose {how}"', 'not {kind!r}: choose {how}"'),
    ]),
    *made(DISCRETE, IN_DISCRETE, [
        (16, "hard_draws_not_rounded", "hard=true changes nothing", "hard=self.hard)", "hard=False)"),
    ]),
    *made("variants/parts/discrete_priors.py", IN_DISCRETE, [
        (16, "prior_at_one_temperature", "prior_temperature changes nothing",
         'self.temperature = positive("prior_temperature", prior_temperature)',
         'self.temperature = positive("prior_temperature", 0.5)'),
    ]),
    *made("variants/parts/flows.py", ("tests/variants/test_flows.py",), [
        (3, "shared_maps_that_cannot_be_learnt", "u and w start at zero, where neither has a gradient",
         "nn.init.normal_(self.maps.value, std=0.1)", "pass"),
    ]),
    *made(HAMILTONIAN, ("tests/variants/test_refined.py",), [
        (22, "steps_in_no_units_of_sigma", "narrow posteriors are moved too far",
         ".unsqueeze(1) * q.stddev[:, :size]", ".unsqueeze(1) + 0 * q.stddev[:, :size]"),
    ]),
    *made(LABELLED, ("tests/variants/test_labels.py",), [
        (27, "layers_of_labelled_of_one_width", "class_hidden changes nothing",
         'sizes("class_hidden", class_hidden), "relu", context=features)\n\n    def forward(self, h: Tensor) ->',
         '(100,), "relu", context=features)\n\n    def forward(self, h: Tensor) ->'),
        (25, "support_of_the_class_where_u_lies", "u is said to be one-hot, and the class to be any numbers",
         "dim=-1, lengths=self.sizes)", "dim=-1, lengths=self.sizes[::-1])"),
    ]),
    *made("variants/parts/ladder.py", ("tests/variants/test_ladder.py",), [
        (5, "layers_of_other_sizes_compared", "a KL between layers that are not of one size",
         "if not isinstance(p, Ladder) or p.layers != self.layers:", "if not isinstance(p, Ladder):"),
    ]),
    *made("variants/parts/layers.py", ("tests/variants/test_layers.py",), [
        (15, "conditionals_that_start_with_any_sigma", "log sigma of a conditional does not start at zero",
         "self.log_scale = Head(hidden[-1], outputs)", "self.log_scale = Head(hidden[-1], outputs, zero=False)"),
    ]),
    *made("variants/parts/heads.py", ("tests/variants/test_heads.py",), [
        (15, "shared_sigma_that_starts_elsewhere", "what all examples share does not start at zero",
         "self.value = nn.Parameter(torch.zeros(size))", "self.value = nn.Parameter(torch.full((size,), 0.5))"),
    ]),
    *made("variants/parts/objectives/base.py", ("tests/variants/test_aggregate.py",), [
        (7, "draws_of_a_prior_of_each_example_crossed", "a prior of each example is drawn once for each pair of them",
         "torch.Size([samples] if terms.p.batch_shape else [samples, batch])", "torch.Size([samples, batch])"),
    ]),
]
# fmt: on
