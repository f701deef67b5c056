"""Mistakes in games and in autoencoders; the numbers are those of the list in `tests.mistakes`."""

from tests.mutants import made

GAMES = "variants/parts/objectives/games.py"
MATCHING = "variants/parts/objectives/matching.py"
REGULARISED = "variants/parts/objectives/regularised.py"
IN_GAMES = ("tests/variants/test_games.py",)
IN_AUTOENCODERS = ("tests/variants/test_autoencoders.py",)

# fmt: off
OF_GAMES = [
    *made(GAMES, IN_GAMES, [
        (19, "critic_of_codes_with_a_gradient", "the encoder descends the critic's loss too",
         "        z = terms.z.detach()\n        telling = telling_apart(",
         "        z = terms.z\n        telling = telling_apart("),
        (19, "critic_moved_by_the_model", "the critic is given the gradient of the model's side too",
         "return frozen(self.critic)(terms.z).mean(0), telling.mean(0)",
         "return self.critic(terms.z).mean(0), telling.mean(0)"),
        (19, "axes_permuted_within_examples", "an example's latents exchanged, not the examples of a latent",
         "return z.gather(-2, torch.rand_like(z).argsort(-2))", "return z.gather(-1, torch.rand_like(z).argsort(-1))"),
        (19, "one_order_for_all_latents", "whole examples in another order are draws of q(z) again",
         "return z.gather(-2, torch.rand_like(z).argsort(-2))",
         "return z.gather(-2, torch.rand_like(z[..., :1]).argsort(-2).expand_as(z))"),
        (19, "true_and_false_exchanged", "codes are called true and draws of the prior false, and both sides follow",
         "telling_apart(self.critic(draws_of_prior(terms).detach()), self.critic(terms.z.detach()))",
         "telling_apart(self.critic(terms.z.detach()), self.critic(draws_of_prior(terms).detach()))"),
        (19, "decoder_on_the_critics_side", "the decoder descends the critic's loss, in place of ascending it",
         "return -0.5 * fooled,", "return 0.5 * fooled,"),
        (19, "encoder_in_the_game_of_images", "the encoder of a VAE/GAN is given the critic's gradient",
         "z = torch.cat([terms.z.detach(), draws_of_prior(terms).detach()])",
         "z = torch.cat([terms.z, draws_of_prior(terms).detach()])"),
        (19, "gamma_for_the_encoder_too", "gamma is the decoder's weight alone",
         "z = terms.z.detach() + (terms.z - terms.z.detach()) / self.gamma", "z = terms.z"),
        (19, "critic_loss_in_the_curve", "the curve shows the sum of both sides",
         "* model, critic)", "* model + critic, critic)"),
    ]),
    *made(MATCHING, IN_AUTOENCODERS, [
        (7, "kernel_of_one_size", "a sum over sizes in which all sizes are the same",
         "2 * latent * scale**2 * s for s in", "2 * latent * scale**2 for s in"),
        (7, "power_of_signed_differences", "odd powers of differences cancel",
         "return off.square().mean((-1, -2))", "return off.mean((-1, -2)).square()"),
        (7, "points_paired_as_they_came", "without sorting it is the distance of pairs of draws",
         "(b @ directions).sort(-2).values", "(b @ directions)"),
        (7, "directions_of_any_length", "a projection on a vector that is no unit vector",
         "directions = functional.normalize(directions, dim=0)", "directions = directions"),
        (7, "directions_normalised_along_the_other_axis", "each latent over directions, in place of each direction",
         "functional.normalize(directions, dim=0)", "functional.normalize(directions, dim=1)"),
    ]),
    *made(REGULARISED, IN_AUTOENCODERS, [
        (20, "slope_of_the_squared_output", "d |D|^2 / dz in the place of |dD/dz|^2",
         "along = (mean * torch.randn_like(mean)).sum()", "along = mean.square().sum()"),
        (20, "slope_of_the_sum_of_the_output", "one direction, v = 1, in place of random ones",
         "along = (mean * torch.randn_like(mean)).sum()", "along = mean.sum()"),
        (20, "slope_without_a_gradient", "the penalty is shown and moves nothing",
         "create_graph=wanted)", "create_graph=False)"),
    ]),
    *made("variants/parts/objectives/regularised.py", IN_GAMES, [
        (20, "half_the_decay", "Adam's weight decay w descends w/2 |theta|^2",
         '"weight_decay": 2 * self.decay', '"weight_decay": self.decay'),
    ]),
    *made("bench/train/steps.py", IN_GAMES, [
        (19, "every_part_at_the_budgets_step", "the pace of a part is not heeded",
         'options["lr"] = self.budget.lr * options.pop("pace")',
         'options["lr"] = self.budget.lr + 0 * options.pop("pace")'),
    ]),
    *made("bench/judge/bounds.py", IN_GAMES, [
        (19, "critic_counted_as_model", "a critic is no part of the model or of its posterior",
         'if p.requires_grad and not name.startswith("objective.")', "if p.requires_grad and name"),
    ]),
]
# fmt: on
