"""Mistakes in codes and their books; the numbers are those of `tests.mistakes`."""

from tests.mutants import made

BOOKS = "variants/parts/code_books.py"
POINTS = "variants/parts/code_points.py"
PRIORS = "variants/parts/code_priors.py"
OBJECTIVES = "variants/parts/objectives/codes.py"

IN_CODES = ("tests/variants/test_codes.py",)
IN_JUDGE = ("tests/judge/test_codes.py",)

# fmt: off
OF_CODES = [
    *made(BOOKS, IN_CODES, [
        (2, "commitment_grows_with_the_batch", "squares summed over the batch beside the loss of an example",
         "(e.detach() - h).square().sum(-1)\n\n    def learn",
         "(e.detach() - h).square().sum().expand(len(h))\n\n    def learn"),
        (15, "counts_smoothed_for_good", "smoothed counts are written back into the running ones",
         ".add_((1 - self.decay) * here)", ".add_((1 - self.decay) * (here + 0.1))"),
        (15, "unused_codes_thrown_away", "a code that was never used is the quotient of nothing and nothing",
         "torch.where(here.unsqueeze(-1) > 0, mean, self.weight)", "mean"),
        (16, "shift_by_tan", "tan for the inverse of tanh: the zero of an even axis is off",
         "(offset / reach).atanh()", "(offset / reach).tan()"),
        (16, "path_cut", "no gradient of log p(x|z) comes to the encoder",
         "return self.write(indices).detach() + (h - h.detach())", "return self.write(indices).detach() + 0 * h"),
        (16, "points_rounded_twice", "h + (e - h) is not e, and so no point of the book",
         "return self.write(indices).detach() + (h - h.detach())", "return h + (self.write(indices) - h).detach()"),
        (16, "book_moved_by_the_decoder", "codes move with log p(x|z) as well",
         "return self.write(indices).detach() + (h - h.detach())", "return self.write(indices) + (h - h.detach())"),
        (16, "squares_exchanged", "the commitment moves the book, and its own square the encoder",
         "return (e - h.detach()).square().sum(-1), (e.detach() - h).square().sum(-1)",
         "return (e.detach() - h).square().sum(-1), (e - h.detach()).square().sum(-1)"),
        (16, "earlier_books_moved_by_later_ones", "what a book is to lower reaches those before it",
         "before = functional.pad(sums.detach()[..., :-1, :], (0, 0, 1, 0))",
         "before = functional.pad(sums[..., :-1, :], (0, 0, 1, 0))"),
    ]),
    *made(POINTS, IN_CODES, [
        (5, "distances_twice_as_wide", "q(k|x) proportional to exp(-|h - e|^2 / s^2)",
         "(-0.5 * precision * distance)", "(-precision * distance)"),
        (5, "own_point_has_no_probability", "any point has that of the codes nearest to it",
         "return torch.where(near, self.log_mass(indices), -math.inf)", "return self.log_mass(indices)"),
        (3, "draws_of_equal_codes", "samples of the prior do not follow its probabilities",
         "p = self._conditionals(indices)[..., v, :].exp()", "p = self._conditionals(indices)[..., v, :].exp().sqrt()"),
    ]),
    *made(PRIORS, IN_CODES, [
        (3, "index_that_sees_itself", "the network of an autoregressive prior is shown what it is to tell",
         "functional.pad(self.embedding(indices[:, :-1]), (0, 0, 1, 0))", "self.embedding(indices)"),
    ]),
    *made(OBJECTIVES, IN_CODES, [
        (5, "entropy_of_underflown_codes", "a code that no row is near has a gradient of nan",
         "return each, -(log_mean.exp() * log_mean).sum()",
         "mean = log_mean.exp()\n    return each, -torch.special.xlogy(mean, mean).sum()"),
        (2, "codes_kept_unsure", "the entropies enter with the wrong sign",
         "self.entropy_weight * book.sites * (each - mean)", "self.entropy_weight * book.sites * (mean - each)"),
        (2, "codes_moved_by_evaluation", "running means go on when a loss is only looked at",
         "        if self.training:\n            q.book.learn", "        if True:\n            q.book.learn"),
    ]),
    *made("variants/core/vae.py", IN_CODES, [
        (16, "book_that_nothing_moves", "the ELBO of codes trains all but the codes",
         'if getattr(prior, "codes_to_move", False) and not any(', 'if False and not any('),
    ]),
    *made("variants/core/vae.py", ("tests/variants/test_discrete.py",), [
        (2, "annealed_by_whole_passes", "a temperature stands still within a pass and jumps at its end",
         "            anneal(epoch)\n", "            anneal(int(epoch))\n"),
    ]),
    *made("variants/parts/discrete_priors.py", ("tests/variants/test_discrete.py",), [
        (16, "relaxed_prior_always_learnt", "learned_prior=false of concrete bits is taken and not heeded",
         "super().__init__(latent, learned_prior=learned_prior)", "super().__init__(latent)"),
    ]),
    *made("bench/pages/figures/pictures.py", ("tests/pages/test_figures.py",), [
        (17, "colours_of_a_picture", "one colour is another code in each picture",
         "hues = [(i * 0.618034) % 1 for i in used.tolist()]", "hues = [(i * 0.618034) % 1 for i in range(len(used))]"),
    ]),
    *made("bench/judge/__init__.py", IN_JUDGE, [
        (17, "nll_of_one_point", "importance sampling from one point: minus the ELBO, and a gap of zero",
         "    if not model.covers:\n        _exact(", "    if False:\n        _exact("),
    ]),
    *made("bench/judge/codes.py", IN_JUDGE, [
        (17, "map_on_its_side", "the places of a map column by column",
         "q.indices[:, :places].reshape(len(x), *sites)",
         "q.indices[:, :places].reshape(len(x), *sites[::-1]).mT"),
        (17, "perplexity_in_bits", "the entropy's base is not the exponential's",
         "torch.special.xlogy(frequency, frequency)", "frequency * frequency.clamp(min=1e-30).log2()"),
    ]),
]
# fmt: on
