"""Mistakes in likelihoods of levels and counts, and in the data that they are for; the numbers are those of
`tests.mistakes`."""

from tests.mutants import made

LEVELS = "variants/parts/levels.py"
COUNTS = "variants/parts/counts.py"
LIKELIHOODS = "variants/parts/likelihoods.py"

IN_COUNTABLE = ("tests/variants/test_countable.py",)
PIXELS = "variants/parts/pixel_decoder.py"
IN_PIXELS = ("tests/variants/test_pixel_decoder.py",)
IN_DATA = ("tests/data/test_countable_data.py",)

# fmt: off
OF_COUNTABLE = [
    *made(LEVELS, IN_COUNTABLE, [
        (5, "density_in_place_of_a_mass", "the mass of a level taken for its density times the width",
         "inner = left + right + torch.log(-torch.expm1(-width))", "inner = left + right + torch.log(width)"),
        (3, "tails_left_out", "the lowest level is given no more than its own interval",
         "torch.where(k == 0, left, torch.where(", "torch.where(k < 0, left, torch.where("),
        (3, "width_of_another_scaling", "levels in [0, 1] with a logistic in [-1, 1]",
         "centred = 2 * half * k - 1 - loc", "centred = half * k - loc"),
        (3, "levels_cut_off_instead_of_rounded", "draws fall half a level low",
         ".nan_to_num(0.0).round().clamp(", ".nan_to_num(0.0).floor().clamp("),
        (5, "beta_binomial_without_its_choices", "the density of a sequence in place of that of a count",
         "return (chosen + above", "return (above"),
        (5, "equal_components", "all components of a mixture start as one, and stay so",
         "loc = loc + spread.reshape(", "loc = loc + 0 * spread.reshape("),
    ]),
    *made(COUNTS, IN_COUNTABLE, [
        (3, "zeros_of_one_kind", "a zero of the negative binomial is not counted beside the inflated ones",
         "torch.logaddexp(functional.logsigmoid(self.log_odds), kept)", "functional.logsigmoid(self.log_odds)"),
        (3, "inflated_mean", "the mean of a zero-inflated count is that without the zeros",
         "return mean if self.log_odds is None else mean * torch.sigmoid(-self.log_odds)", "return mean"),
        (5, "dispersion_the_other_way_round", "draws of variance m + m^2 t",
         "gamma = torch.distributions.Gamma(t, t *", "gamma = torch.distributions.Gamma(1 / t, 1 / t *"),
        (15, "rate_by_exp", "a rate that a few steps of training take to infinity or zero",
         "return torch.where(small, h, functional.softplus(torch.where(small, torch.zeros_like(h), h)).log())",
         "return h"),
    ]),
    *made(PIXELS, IN_PIXELS, [
        (3, "pixel_that_sees_itself", "the first layer is shown the pixel that it is to foretell",
         "MaskedConv(1, filters, FIRST, own=False)", "MaskedConv(1, filters, FIRST, own=True)"),
        (3, "unmasked_row", "the pixels to the right are seen",
         "self.weight * self.mask, self.bias", "self.weight, self.bias"),
        (3, "window_of_another_pixel", "drawing looks a column too far to the left",
         "kept[:, :, i + layer.margin, j + layer.margin] = state",
         "kept[:, :, i + layer.margin, j + layer.margin - 1] = state"),
        (3, "zeros_and_ones_where_signs_belong", "drawing shows the layers other numbers than the density",
         "signs[:, 0, i + self.first.margin, j + self.first.margin] = 2 * x[:, i, j] - 1",
         "signs[:, 0, i + self.first.margin, j + self.first.margin] = x[:, i, j]"),
        (3, "draws_the_other_way_round", "one where the chance is low",
         "(u[:, i, j] < chance[:, i, j]).to(x.dtype)", "(u[:, i, j] > chance[:, i, j]).to(x.dtype)"),
        (16, "gradient_of_draws_in_silence", "an objective of reconstructions would move nothing",
         "        raise NotImplementedError(", "        return None, None\n        raise NotImplementedError("),
    ]),
    *made(LIKELIHOODS, IN_COUNTABLE, [
        (10, "density_of_levels", "a density on data that have probabilities, in one table with them",
         'if data.kind in ("levels", "counts"):', 'if data.kind in ("counts",):'),
    ]),
    *made("bench/data/binarise.py", IN_DATA, [
        (10, "dequantised_over_the_edge", "k / (L - 1) with noise of 1 / L: levels overlap",
         "return (images.float() + u) / (levels + 1)", "return images.float() / levels + u / (levels + 1)"),
    ]),
    *made("bench/judge/__init__.py", IN_DATA, [
        (17, "bits_of_a_density_as_they_are", "the width of a level is left out of the bits of dequantised data",
         "        bits += math.log2(levels)\n", "        bits += 0.0\n"),
        (17, "bound_in_nats_for_bits", "nats per dimension under the name of bits",
         "-test.elbo.mean().item() / (data.spec.dims * math.log(2))", "-test.elbo.mean().item() / data.spec.dims"),
    ]),
]
# fmt: on
