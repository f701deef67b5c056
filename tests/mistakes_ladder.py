"""Mistakes in ladders of latents; the numbers are those of `tests.mistakes`."""

from tests.mutants import made

LADDER = "variants/parts/ladder.py"
TOP_DOWN = "variants/parts/top_down.py"
MAPS = "variants/parts/conv_ladder.py"

IN_LADDER = ("tests/variants/test_ladder.py",)

# fmt: off
OF_LADDER = [
    *made(LADDER, IN_LADDER, [
        (5, "layers_given_their_means", "a layer is scored at states of means, not of the draws above it",
         "return self._down(points[-1], lambda i, _: points[i])[1]",
         "return self._down(points[-1], lambda i, d: d.mean)[1]"),
        (5, "top_layer_left_out", "the KL of the top layer is not counted",
         "*lower, total = (d.log_prob(point)", "*lower, total = (0 * d.log_prob(point)"),
        (16, "states_of_a_draw_without_gradients", "a draw's states are used where they have no gradient to give",
         "with_gradient >= torch.is_grad_enabled()", "with_gradient <= torch.is_grad_enabled()"),
    ]),
    *made(TOP_DOWN, IN_LADDER, [
        (5, "prior_that_the_encoder_does_not_see", "q is what the encoder says alone, not merged with p",
         "return product(seen[i], self._ways.prior.heads[i](state))", "return normal(seen[i][0], seen[i][1].exp())"),
        (5, "scales_weighed_for_precisions", "the share of one is that of its scale, not of its precision",
         "odds = 2 * (log_b - log_a)", "odds = log_b - log_a"),
        (5, "means_weighed_the_other_way", "the wider of two Gaussians counts for more",
         "normal(share * mu_a + (1 - share) * mu_b, scale)", "normal((1 - share) * mu_a + share * mu_b, scale)"),
        (5, "residual_scale_in_place_of_its_product", "sigma of q is what x adds, without that of p",
         "(log_scale + b).exp())", "b.exp())"),
        (4, "state_before_the_lowest_layer", "x does not depend on the lowest layer",
         "for i in reversed(range(len(points))):", "for i in reversed(range(1, len(points))):"),
    ]),
    *made(MAPS, ("tests/variants/test_conv_ladder.py",), [
        (4, "trunk_that_does_not_grow", "a finer map is not made of the coarser one, but of its learnt shift alone",
         "return as_places(grown, s).flatten(-2) + shift", "return 0 * as_places(grown, s).flatten(-2) + shift"),
        (5, "places_column_by_column", "a place's latents are added to the state of another place",
         "return s.reshape(-1, *side, s.shape[-1] // math.prod(side)).permute(0, 3, 1, 2)",
         "return s.reshape(-1, *side[::-1], s.shape[-1] // math.prod(side)).permute(0, 3, 2, 1)"),
        (4, "one_map_of_x_for_all", "each layer sees the largest map of x, whose places are others",
         "begin, end = end, end + math.prod(side)", "begin, end = 0, end + math.prod(side)"),
        (5, "layers_upside_down", "the lowest layer has the fewest places",
         "zip(halved(data, len(counts)), counts, strict=True)",
         "zip(halved(data, len(counts))[::-1], counts, strict=True)"),
    ]),
    *made("bench/train/steps.py", ("tests/train/test_loop.py", "tests/train/test_steps.py"), [
        (20, "gradient_that_is_no_number_taken", "only what is above the limit is skipped, and it is not",
         "not _norm(optim) <= self.budget.grad_skip", "_norm(optim) > self.budget.grad_skip"),
        (20, "skipped_step_made", "a step is counted as skipped, and made",
         "self.skipped += 1\n            return values.detach().sum()\n", "self.skipped += 1\n"),
        (13, "skipped_steps_forgotten_on_resuming", "those before the stop are not counted",
         "self.skipped = 0 if skipped is None else int(skipped)", "self.skipped = 0"),
    ]),
    *made("bench/judge/bounds.py", IN_LADDER, [
        (9, "layers_of_the_kl_upside_down", "the KL of the top layer stands under the lowest one's name",
         "self.kl_layers.mean(0).tolist()", "self.kl_layers.mean(0).flip(0).tolist()"),
    ]),
]
# fmt: on
