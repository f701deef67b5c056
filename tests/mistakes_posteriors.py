"""Mistakes in posteriors and what goes with them; the numbers are those of the list in `tests.mistakes`."""

from tests.mutants import made

REFINED = "variants/parts/refined.py"
HAMILTONIAN = "variants/parts/hamiltonian.py"
IN_REFINED = ("tests/variants/test_refined.py",)

# fmt: off
OF_SEARCHES = [
    *made(REFINED, IN_REFINED, [
        (22, "steps_that_lower_the_bound", "a step too long is made all the same",
         "better = (new_value >= value).unsqueeze(-1)", "better = (new_value >= -1e30).unsqueeze(-1)"),
        (22, "search_down_the_bound", "the ELBO's gradient descended",
         "moves = [rate * scale * slopes[0], rate * 0.5 * slopes[1]]",
         "moves = [-rate * scale * slopes[0], -rate * 0.5 * slopes[1]]"),
        (22, "search_for_the_likelihood_alone", "without its KL q shrinks to the best point",
         "return self._ways.log_px(z, x).mean(0) - kl", "return self._ways.log_px(z, x).mean(0) - 0 * kl"),
        (22, "search_cut_off_from_the_encoder", "what is learnt stops where the search starts",
         "(t if t.requires_grad else t.detach().requires_grad_() for t in start)",
         "(t.detach().requires_grad_() for t in start)"),
        (22, "noise_of_any_length", "draws whose second moment is not that of N(0, I)",
         "torch.linalg.qr(group).Q for group in groups])[:pairs] * latent**0.5",
         "torch.linalg.qr(group).Q for group in groups])[:pairs]"),
    ]),
    *made(HAMILTONIAN, IN_REFINED, [
        (22, "position_by_the_old_momentum", "the half step of the momentum is not used, and volume is not kept",
         "            r = r + 0.5 * size * force\n            z = z + size * r\n",
         "            old, r = r, r + 0.5 * size * force\n            z = z + size * old\n"),
        (22, "momenta_not_cooled", "the cooling is counted and not done",
         "r = cooling * (r + 0.5 * size * force)", "r = r + 0.5 * size * force"),
        (22, "cooling_not_counted", "what cools the momenta shrinks volume",
         "return (z.shape[-1] * self.cooling.log().sum()).expand(z.shape[:-1])",
         "return (0 * self.cooling.log().sum()).expand(z.shape[:-1])"),
        (22, "dynamics_away_from_the_data", "the force has the sign of the potential",
         "(force,) = torch.autograd.grad(log_joint.sum()", "(force,) = torch.autograd.grad(-log_joint.sum()"),
        (22, "dynamics_without_the_prior", "the force is that of the likelihood alone",
         "self._ways.log_px(both, x) + self._ways.prior().log_prob(both)",
         "self._ways.log_px(both, x) + 0 * self._ways.prior().log_prob(both)"),
        (22, "steps_undone_in_the_same_order", "the last step is undone first",
         "zip(self.sizes.flip(0), self.cooling.flip(0), strict=True)", "zip(self.sizes, self.cooling, strict=True)"),
    ]),
]
# fmt: on

SPHERE = "variants/parts/sphere.py"
POINCARE = "variants/parts/poincare.py"
IN_MANIFOLDS = ("tests/variants/test_manifolds.py",)

# fmt: off
OF_MANIFOLDS = [
    *made(SPHERE, IN_MANIFOLDS, [
        (23, "rejection_without_its_correction", "the proposal's path alone, as if no draw had been refused",
         "slope = -slope_of_draw(1 - below_one.cpu().double(), k, ctx.d).to(gradient)",
         "b = (ctx.d - 1) / (2 * k + (4 * k.square() + (ctx.d - 1) ** 2).sqrt())\n"
         "        of_b = below_one * (2 - below_one) / (2 * b)\n"
         "        slope = -of_b * 2 * b / (4 * k.square() + (ctx.d - 1) ** 2).sqrt()"),
        (23, "tail_of_the_wrong_side", "above the mean the sum over smaller draws has terms of both signs",
         "end = torch.where(below, w - far, w + far)", "end = torch.where(below, w + far, w - far)"),
        (23, "surface_of_the_ball", "log of the volume in place of the surface",
         "- math.lgamma(d / 2)", "- math.lgamma(d / 2 + 1)"),
        (23, "order_of_the_sphere", "the dimension of the sphere taken for that of the space",
         "order = d / 2 - 1\n", "order = d / 2 - 0.5\n"),
        (23, "entropy_for_the_kl", "the mean direction's share left out",
         "kl: Tensor = q.concentration * q.resultant - q.integral", "kl: Tensor = q.concentration - q.integral"),
        (23, "slope_of_the_resultant_in_the_plane", "the same for every dimension",
         "return 1 - a.square() - (d - 1) * a / k", "return 1 - a.square() - a / k"),
    ]),
    *made(POINCARE, IN_MANIFOLDS, [
        (23, "euclidean_volume", "a density in the coordinates' volume, mixed with one in the ball's",
         "return log_normal.sum(-1) - log_stretch(v, self.c)", "return log_normal.sum(-1)"),
        (23, "stretch_of_all_dimensions", "volume grows across the direction alone, in D - 1 of D",
         "return (v.shape[-1] - 1) * (r", "return v.shape[-1] * (r"),
        (23, "mean_outside_of_the_ball", "the head's output taken for a point of the ball",
         "return Wrapped(away(torch.zeros_like(v), v, self.curvature), self", "return Wrapped(v, self"),
        (23, "moebius_addition_exchanged", "it does not commute",
         "into_ball(add(loc, (r / 2).tanh() * v / r, c), c)", "into_ball(add((r / 2).tanh() * v / r, loc, c), c)"),
        (23, "steps_twice_as_long", "the metric's factor of 2 at the origin left out",
         "(r / 2).tanh() * v / r, c)", "r.tanh() * v / r, c)"),
    ]),
]
# fmt: on

LAGGING = "variants/parts/objectives/lagging.py"

# fmt: off
OF_TURNS = [
    *made(LAGGING, ("tests/variants/test_lagging.py",), [
        (24, "decoder_moves_alone_and_encoder_once", "the two roles exchanged",
         "return MODEL if self.turn else INFERENCE", "return INFERENCE if self.turn else MODEL"),
        (24, "encoder_ends_when_it_helps", "turns end while the loss still falls",
         "self.turn.copy_(mean >= self.before)", "self.turn.copy_(mean < self.before)"),
        (24, "last_run_remembered", "a new run of the encoder is held against the end of the last",
         '            self.before.fill_(float("inf"))\n', "            self.before.add_(0)\n"),
        (24, "turns_moved_by_looking", "an evaluation counts as steps of training",
         "if self.training and self.learns(epoch) is not None:", "if self.learns(epoch) is not None:"),
    ]),
    *made("variants/core/vae.py", ("tests/variants/test_lagging.py",), [
        (24, "frozen_weight_thawed", "a parameter that its owner froze is trainable after a step of another role",
         "for part in parts for p in part.parameters() if p.requires_grad]",
         "for part in parts for p in part.parameters()]"),
        (24, "all_learn_in_every_turn", "what the objective says of turns is not heeded",
         "for role, part in self.named_children() if role not in roles)",
         "for role, part in self.named_children() if role not in (*roles, role))"),
    ]),
]
# fmt: on

IN_OPTIONS = ("tests/variants/test_options.py",)

# What a special case hides, and options that are not heeded or taken out of their range.
# fmt: off
OF_OPTIONS = [
    *made("variants/parts/objectives/discrete.py", ("tests/variants/test_discrete.py",), [
        (16, "pairs_with_a_score_of_their_own", "its mean is zero, and so it is noise in the gradient alone",
         "terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x.detach())",
         "terms.log_px_z + weight * (terms.log_pz - terms.log_qz_x)"),
        (16, "partners_with_a_score_of_their_own", "its mean is zero, and so it is noise in the gradient alone",
         "- terms.q.log_prob(other).detach()", "- terms.q.log_prob(other)"),
    ]),
    *made("variants/parts/objectives/discrete.py", IN_OPTIONS, [
        (25, "no_pair_at_all", "K = 0 pairs are taken, and the loss is a mean of nothing",
         'self.samples = at_least("samples", samples, 1)', "self.samples = samples"),
        (25, "vimco_that_never_warms_up", "a negative warm-up is taken, and weighs the KL below zero",
         'samples, 2)\n        self.warmup_epochs = not_negative("warmup_epochs", warmup_epochs)',
         "samples, 2)\n        self.warmup_epochs = warmup_epochs"),
    ]),
    *made("variants/parts/objectives/elbo.py", IN_OPTIONS, [
        (25, "distance_of_a_capacity_rewarded", "a negative gamma is taken",
         'self.gamma = not_negative("gamma", gamma)', "self.gamma = gamma"),
        (25, "cycles_of_no_draw", "K = 0 draws are taken, and the loss is a mean of nothing",
         'self.rise = between("rise", positive("rise", rise), 0, 1)\n        self.samples = '
         'at_least("samples", samples, 1)',
         'self.rise = between("rise", positive("rise", rise), 0, 1)\n        self.samples = samples'),
    ]),
    *made("variants/parts/objectives/games.py", ("tests/variants/test_games.py",), [
        (19, "whole_distance_of_features", "twice what the Gaussian of features says, against the KL",
         "distance = 0.5 * off.square().sum(-1).mean(0)", "distance = off.square().sum(-1).mean(0)"),
        (1, "distance_of_a_mean_feature", "the wider the critic, the less it counts",
         "off.square().sum(-1).mean(0)", "off.square().mean(-1).mean(0)"),
    ]),
    *made("variants/parts/objectives/games.py", IN_OPTIONS, [
        (25, "encoder_divided_by_zero", "gamma = 0 is taken, by which the encoder's share is divided",
         'self.gamma = positive("gamma", gamma)', "self.gamma = gamma"),
    ]),
    *made("variants/parts/objectives/importance.py", IN_OPTIONS, [
        (6, "hooks_lost_in_a_compiled_graph", "the second path of DReG is passed by where a step is compiled",
         "    eager = True\n\n", "    eager = False\n\n"),
        (6, "partial_bound_in_a_compiled_graph", "both sides get one bound's gradient where a step is compiled",
         "    eager = True\n    # A share", "    eager = False\n    # A share"),
        (25, "no_estimate_at_all", "a division by zero in place of a word",
         'self.estimates = at_least("estimates", estimates, 1)', "self.estimates = estimates"),
    ]),
    *made("variants/parts/objectives/labelled.py", ("tests/variants/test_labels.py",), [
        (27, "one_u_for_every_class", "the classes are told apart by u of the first",
         "z = torch.cat([u, y.expand", "z = torch.cat([u[:, :1].expand_as(u), y.expand"),
    ]),
    *made("variants/parts/objectives/labelled.py", IN_OPTIONS, [
        (25, "classifier_that_unlearns", "a negative alpha is taken",
         'self.weight = not_negative("alpha", alpha)', "self.weight = alpha"),
    ]),
    *made(LAGGING, ("tests/variants/test_lagging.py",), [
        (24, "broken_window_goes_on", "losses before the decoder's step count in the encoder's next window",
         "self.run.zero_()\n            self.total.zero_()", "self.run.zero_()"),
    ]),
    *made(LAGGING, IN_OPTIONS, [
        (13, "window_forgotten_by_a_checkpoint", "a resumed training counts the losses of a window anew",
         'self.register_buffer("total", torch.tensor(0.0))',
         'self.register_buffer("total", torch.tensor(0.0), persistent=False)'),
    ]),
    *made("variants/parts/objectives/matching.py", IN_OPTIONS, [
        (7, "fifty_directions_whatever_is_asked", "the option is taken and not heeded",
         "-1).expand(-1, self.directions))", "-1).expand(-1, 50))"),
        (25, "sliced_distance_rewarded", "a negative weight is taken",
         'self.sliced = not_negative("sliced", sliced)', "self.sliced = sliced"),
    ]),
    *made("variants/parts/objectives/rates.py", IN_OPTIONS, [
        (13, "multiplier_forgotten_by_a_checkpoint", "a resumed training begins at lambda = 1",
         "self.register_buffer(name, torch.tensor(value))",
         "self.register_buffer(name, torch.tensor(value), persistent=False)"),
        (25, "free_bits_below_zero", "a negative number of nats is taken, and frees nothing",
         'self.free_nats = not_negative("free_nats", free_nats)', "self.free_nats = free_nats"),
        (25, "kappa_that_is_no_number", "nan is taken, and every loss is nan",
         'self.kappa = number("kappa", kappa)', "self.kappa = kappa"),
    ]),
    *made("variants/parts/objectives/regularised.py", ("tests/variants/test_autoencoders.py",), [
        (20, "codes_blind_to_the_slope", "the penalty moves the decoder, and no code to where it is flatter",
         "z = terms.z if terms.z.requires_grad else terms.z.detach().requires_grad_()",
         "z = terms.z.detach().requires_grad_()"),
    ]),
    *made("variants/parts/objectives/regularised.py", ("tests/variants/test_games.py",), [
        (20, "decay_beside_the_gradient", "decay |theta|^2 is no part of the loss where the budget decays weights too",
         'COUPLED = {"decoupled_weight_decay": False}', 'COUPLED = {"decoupled_weight_decay": True}'),
    ]),
    *made("variants/parts/objectives/regularised.py", IN_OPTIONS, [
        (25, "slope_in_a_compiled_graph", "a gradient within the loss, where a step is compiled as one graph",
         "    eager = True\n    adam", "    eager = False\n    adam"),
    ]),
    *made("variants/parts/objectives/self_normalised.py", IN_OPTIONS, [
        (25, "partition_beyond_one", "beta_min = 1 and more is taken, and the sum goes back",
         'between("beta_min", beta_min, 1e-6, 0.999)', "number = beta_min"),
    ]),
    *made("variants/parts/own.py", ("tests/api/test_attached.py",), [
        (25, "own_modules_set_to_training", "a pair that is given in evaluation mode does not stay there",
         "module.train(training)", "module.train()"),
        (26, "examples_merged_by_an_encoder", "what gives one row for two examples is taken",
         "features.ndim != 2 or len(features) != 2:", "features.ndim != 2:"),
        (26, "examples_merged_by_a_decoder", "what gives one image for two latents is taken",
         "decoded.shape[:1] != (2,) or decoded[0]", "decoded[0]"),
        (25, "own_decoder_of_one_number", "a likelihood of two numbers is given one",
         "shape = outputs(data, numbers)", "shape = outputs(data, 1)"),
    ]),
    *made("variants/parts/paired.py", ("tests/variants/test_labels.py",), [
        (27, "common_by_the_other_kl", "what is in common is told from the second of a pair to its first",
         "kl_divergence(Normal(loc[0], scale[0], validate_args=False), Normal(loc[1], scale[1], validate_args=False))",
         "kl_divergence(Normal(loc[1], scale[1], validate_args=False), Normal(loc[0], scale[0], validate_args=False))"),
        (27, "common_whatever_the_scales", "two that differ in their scales alone count as the same",
         "Normal(loc[1], scale[1], validate_args=False))", "Normal(loc[1], scale[0], validate_args=False))"),
    ]),
    *made("variants/parts/paired.py", IN_OPTIONS, [
        (15, "pace_of_pairs_not_passed_on", "the option is taken and not heeded",
         'latent, pace=positive("pace", pace))', "latent, pace=PACE)"),
    ]),
    *made("variants/parts/pixel_decoder.py", IN_OPTIONS, [
        (25, "two_layers_of_pixels_whatever_is_asked", "the option is taken and not heeded",
         'for _ in range(at_least("pixel_layers", pixel_layers, 0))', "for _ in range(2)"),
    ]),
    *made("variants/parts/pixel_decoder.py", ("tests/variants/test_pixel_decoder.py",), [
        (11, "noise_of_a_mean_from_the_global_stream", "reconstructions differ from process to process",
         "u = torch.rand(MEAN_DRAWS // 2, 1, height, width, generator=generator, dtype",
         "u = torch.rand(MEAN_DRAWS // 2, 1, height, width, dtype"),
        (11, "pieces_that_share_their_noise", "images of later pieces are drawn with the noise of the first",
         "zip(torch.split(h, AT_ONCE), torch.split(u, AT_ONCE), strict=True)",
         "zip(torch.split(h, AT_ONCE), [u[:len(part)] for part in torch.split(h, AT_ONCE)], strict=True)"),
    ]),
    *made(POINCARE, IN_MANIFOLDS, [
        (22, "draw_scored_without_its_path", "what was drawn without gradients is scored without them",
         "value is self._last[0] and self._last[2] == torch.is_grad_enabled()", "value is self._last[0]"),
        (23, "prior_of_another_curvature", "posterior and prior live in two balls",
         "return Wrapped(self.loc, self.scale, self.curvature)", "return Wrapped(self.loc, self.scale, 0.7)"),
    ]),
    *made(POINCARE, IN_OPTIONS, [
        (15, "pace_in_the_ball_not_passed_on", "the option is taken and not heeded",
         'self.log_scale = Head(features, latent, pace=positive("pace", pace))',
         "self.log_scale = Head(features, latent)"),
    ]),
    *made("variants/parts/posteriors.py", IN_OPTIONS, [
        (13, "running_moments_forgotten_by_a_checkpoint", "what is loaded again is judged by moments of no batch",
         'self.register_buffer("running_mean", torch.zeros(latent))',
         'self.register_buffer("running_mean", torch.zeros(latent), persistent=False)'),
        (25, "top_down_layers_of_relus", "the activation is taken and not heeded",
         "top_hidden, activation, context=features)", 'top_hidden, "relu", context=features)'),
        (15, "pace_of_laplace_not_passed_on", "the option is taken and not heeded",
         '        self.log_scale = Head(features, latent, pace=positive("pace", pace))\n\n    def '
         "forward(self, h: Tensor) -> Independent[LaplaceDistribution]",
         "        self.log_scale = Head(features, latent)\n\n    def forward(self, h: Tensor) -> "
         "Independent[LaplaceDistribution]"),
        (25, "layers_that_are_said_to_be_single", "total correlation is asked of latents not known singly",
         "    bottom_up = True\n    has_marginals = False", "    bottom_up = True"),
        (25, "means_pushed_together", "a negative g is taken",
         'self.bn_scale = not_negative("bn_scale", bn_scale)', "self.bn_scale = bn_scale"),
    ]),
    *made("variants/parts/posteriors.py", ("tests/variants/test_autoencoders.py",), [
        (25, "point_mass_of_variance_one", "a code that is not noisy is said to be",
         "return torch.zeros_like(self.loc)", "return torch.ones_like(self.loc)"),
    ]),
    *made("variants/parts/priors.py", IN_OPTIONS, [
        (25, "correlation_of_one", "a degenerate prior is taken, and every density is nan",
         'a = share("correlation", correlation)', "a = correlation"),
        (25, "full_mixture_of_no_component", "none is taken, and no density is finite",
         "def __init__(self, latent: int, *, components: int = 10) -> None:\n        super().__init__()\n  "
         '      at_least("components", components, 1)',
         "def __init__(self, latent: int, *, components: int = 10) -> None:\n        super().__init__()"),
    ]),
    *made(REFINED, IN_REFINED, [
        (22, "kl_of_a_search_with_the_wrong_sign", "under a prior without a closed form the search goes away from it",
         "kl = (q.log_prob(z) - p.log_prob(z)).mean(0)", "kl = (p.log_prob(z) - q.log_prob(z)).mean(0)"),
        (22, "kl_of_a_search_added_up", "under a prior without a closed form it weighs as often as is drawn",
         "kl = (q.log_prob(z) - p.log_prob(z)).mean(0)", "kl = (q.log_prob(z) - p.log_prob(z)).sum(0)"),
        (22, "one_pair_of_draws_whatever_is_asked", "the option is taken and not heeded",
         "orthogonal_noise(self.refine_pairs,", "orthogonal_noise(2,"),
        (22, "slopes_of_where_the_search_began", "the network is shown one gradient at every step",
         "            here = (loc.detach().requires_grad_(), log_scale.detach().requires_grad_())\n",
         "            here = here if _ else (loc.detach().requires_grad_(), log_scale.detach().requires_grad_())\n"),
        (22, "scale_shown_twice", "the network does not see mu",
         "shown = [squash(loc), squash(log_scale)", "shown = [squash(log_scale), squash(log_scale)"),
        (22, "slopes_in_the_units_of_the_data", "the gradient of mu is not in units of sigma",
         "squash(scale.detach() * slopes[0])", "squash(slopes[0])"),
        (11, "noise_of_a_search_from_the_global_stream", "q(z|x) differs from process to process",
         "torch.randn(latent, latent, generator=generator, dtype", "torch.randn(latent, latent, dtype"),
    ]),
    *made(REFINED, IN_OPTIONS, [
        (25, "steps_down_the_bound", "a negative refine_rate is taken",
         'self.refine_rate = positive("refine_rate", refine_rate)', "self.refine_rate = refine_rate"),
    ]),
    *made("variants/parts/residual_conv.py", ("tests/variants/test_residual_conv.py",), [
        (25, "block_of_one_bend", "two convolutions in a row are one",
         "nn.Sequential(act(), first, act(), second)", "nn.Sequential(act(), first, second)"),
        (25, "decoder_without_blocks", "only the encoder has them",
         "up = [*(Block(b, activation) for _ in range(count)), act()", "up = [act()"),
        (26, "mean_of_each_pixel_taken_off", "a convolution of what is centred by pixels is none",
         "Centre(data, centre, channels=True)", "Centre(data, centre)"),
        (25, "one_block_whatever_is_asked", "the option is taken and not heeded by the encoder",
         "for _ in range(count)] + [act()]", "for _ in range(1)] + [act()]"),
    ]),
    *made("variants/parts/residual_conv.py", IN_OPTIONS, [
        (26, "centre_of_residual_blocks_not_heeded", "the option is taken and not heeded",
         "Centre(data, centre, channels=True)", "Centre(data, True, channels=True)"),
    ]),
    *made(SPHERE, IN_MANIFOLDS, [
        (23, "whole_ball_for_the_sphere", "points of the inside count as points of the sphere",
         "(value.square().sum(-1) - 1).abs() < 1e-4", "(value.square().sum(-1) - 1) < 1e-4"),
        (23, "sphere_as_thick_as_it_is_wide", "points off the sphere count as points of it",
         ".abs() < 1e-4", ".abs() < 1"),
    ]),
    *made(SPHERE, IN_OPTIONS, [
        (15, "pace_on_the_sphere_not_passed_on", "the option is taken and not heeded",
         'Head(features, 1, pace=positive("pace", pace))', "Head(features, 1)"),
        (25, "loop_in_a_compiled_graph", "rejection goes on for as long as it takes, which no graph knows",
         '    eager = True\n    latents = "spherical"', '    latents = "spherical"'),
    ]),
    *made("variants/parts/splines.py", ("tests/variants/test_parts.py",), [
        (25, "bins_without_any_width_of_their_own", "at a hundred all of the width is the least width",
         "LEAST_BIN >= 1:", "LEAST_BIN > 1:"),
    ]),
    *made("variants/parts/splines.py", IN_OPTIONS, [
        (25, "splines_bend_four_standard_deviations", "the option is taken and not heeded",
         "network.context(h), self.spline_bound)", "network.context(h), 4.0)"),
        (15, "pace_of_splines_not_passed_on", "the option is taken and not heeded",
         'Head(features, latent, pace=positive("pace", pace))', "Head(features, latent)"),
    ]),
    *made("variants/parts/staged.py", IN_OPTIONS, [
        (25, "stages_of_no_draw", "K = 0 draws are taken, and the loss is a mean of nothing",
         'self.samples = at_least("samples", samples, 1)', "self.samples = samples"),
    ]),
    *made("variants/parts/student_t.py", IN_OPTIONS, [
        (3, "squash_not_heeded", "the option is taken and not heeded",
         'data.kind != "real" if squash is None else flag("squash", squash)', 'data.kind != "real"'),
    ]),
    *made("variants/parts/sylvester.py", IN_OPTIONS, [
        (15, "pace_of_sylvester_not_passed_on", "the option is taken and not heeded",
         'Head(features, latent, pace=positive("pace", pace))', "Head(features, latent)"),
    ]),
    *made("variants/parts/top_down.py", ("tests/variants/test_ladder.py",), [
        (25, "layers_of_prior_and_posterior_apart", "latents of one layer are scored by the other's next",
         "if ways.prior.layers != self.layers:", "if len(ways.prior.layers) > len(self.layers) + 9:"),
    ]),
    *made("variants/parts/top_down.py", IN_OPTIONS, [
        (25, "trunk_of_relus", "the activation is taken and not heeded",
         "self.act = activation_of(activation)\n        self.gain", "self.act = nn.ReLU()\n        self.gain"),
        (25, "ladder_of_relus", "the activation is taken and not heeded",
         "self.log_scale = nn.ModuleList(Head(trunk_width, size) for size in self.layers)\n        "
         "self.act = activation_of(activation)",
         "self.log_scale = nn.ModuleList(Head(trunk_width, size) for size in self.layers)\n        "
         "self.act = nn.ReLU()"),
        (25, "trunk_of_no_width", "a width that is none is taken, or one that is no number",
         'width = at_least("trunk_width", trunk_width, 1)', "width = trunk_width"),
    ]),
]
# fmt: on
