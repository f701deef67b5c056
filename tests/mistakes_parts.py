"""Mistakes in likelihoods, posteriors, priors and networks that few variants choose; see `tests.mistakes`."""

from tests.mutants import Mistake

LIKELIHOODS = "variants/parts/likelihoods.py"
STUDENT_T = "variants/parts/student_t.py"
POSTERIORS = "variants/parts/posteriors.py"
NETWORKS = "variants/parts/networks.py"
MIXTURE = "variants/core/mixture.py"
COUPLING = "variants/parts/coupling.py"
SPLINES = "variants/parts/splines.py"
SYLVESTER = "variants/parts/sylvester.py"
STAGED = "variants/parts/staged.py"

IN_SCALES = ("tests/variants/test_scales.py",)
IN_PRIORS = ("tests/variants/test_priors.py",)
IN_FLOWS = ("tests/variants/test_more_flows.py",)
IN_COLLAPSE = ("tests/variants/test_against_collapse.py",)

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
