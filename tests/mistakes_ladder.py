"""Mistakes in ladders of latents; the numbers are those of `tests.mistakes`."""

from tests.mutants import made

LADDER = "variants/parts/ladder.py"
TOP_DOWN = "variants/parts/top_down.py"

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
    *made("bench/judge/bounds.py", IN_LADDER, [
        (9, "layers_of_the_kl_upside_down", "the KL of the top layer stands under the lowest one's name",
         "self.kl_layers.mean(0).tolist()", "self.kl_layers.mean(0).flip(0).tolist()"),
    ]),
]
# fmt: on
