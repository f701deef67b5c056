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
    *made("variants/parts/objectives/elbo.py", IN_OPTIONS, [
        (25, "distance_of_a_capacity_rewarded", "a negative gamma is taken",
         'self.gamma = not_negative("gamma", gamma)', "self.gamma = gamma"),
    ]),
    *made("variants/parts/objectives/regularised.py", ("tests/variants/test_games.py",), [
        (20, "decay_beside_the_gradient", "decay |theta|^2 is no part of the loss where the budget decays weights too",
         'COUPLED = {"decoupled_weight_decay": False}', 'COUPLED = {"decoupled_weight_decay": True}'),
    ]),
    *made("variants/parts/own.py", ("tests/api/test_attached.py",), [
        (25, "own_modules_set_to_training", "a pair that is given in evaluation mode does not stay there",
         "module.train(training)", "module.train()"),
        (26, "examples_merged_by_a_decoder", "what gives one image for two latents is taken",
         "decoded.shape[:1] != (2,) or decoded[0]", "decoded[0]"),
    ]),
    *made("variants/parts/paired.py", ("tests/variants/test_labels.py",), [
        (27, "common_whatever_the_scales", "two that differ in their scales alone count as the same",
         "Normal(loc[1], scale[1], validate_args=False))", "Normal(loc[1], scale[0], validate_args=False))"),
    ]),
    *made("variants/parts/pixel_decoder.py", ("tests/variants/test_pixel_decoder.py",), [
        (11, "pieces_that_share_their_noise", "images of later pieces are drawn with the noise of the first",
         "zip(torch.split(h, AT_ONCE), torch.split(u, AT_ONCE), strict=True)",
         "zip(torch.split(h, AT_ONCE), [u[:len(part)] for part in torch.split(h, AT_ONCE)], strict=True)"),
    ]),
    *made("variants/parts/posteriors.py", ("tests/variants/test_autoencoders.py",), [
        (25, "point_mass_of_variance_one", "a code that is not noisy is said to be",
         "return torch.zeros_like(self.loc)", "return torch.ones_like(self.loc)"),
    ]),
    *made(REFINED, IN_REFINED, [
        (22, "scale_shown_twice", "the network does not see mu",
         "shown = [squash(loc), squash(log_scale)", "shown = [squash(log_scale), squash(log_scale)"),
        (11, "noise_of_a_search_from_the_global_stream", "q(z|x) differs from process to process",
         "torch.randn(latent, latent, generator=generator, dtype", "torch.randn(latent, latent, dtype"),
    ]),
    *made("variants/parts/residual_conv.py", ("tests/variants/test_residual_conv.py",), [
        (25, "one_block_whatever_is_asked", "the option is taken and not heeded by the encoder",
         "for _ in range(count)] + [act()]", "for _ in range(1)] + [act()]"),
    ]),
    *made("variants/parts/residual_conv.py", IN_OPTIONS, [
        (26, "centre_of_residual_blocks_not_heeded", "the option is taken and not heeded",
         "Centre(data, centre, channels=True)", "Centre(data, True, channels=True)"),
    ]),
    *made("variants/parts/splines.py", ("tests/variants/test_parts.py",), [
        (25, "bins_without_any_width_of_their_own", "at a hundred all of the width is the least width",
         "LEAST_BIN >= 1:", "LEAST_BIN > 1:"),
    ]),
]
# fmt: on
