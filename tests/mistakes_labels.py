"""Mistakes in what is told of labels, pairs and given classes; the numbers are those of `tests.mistakes`."""

from tests.mutants import made

IN_LABELS = ("tests/variants/test_labels.py",)
IN_DATA = ("tests/data/test_labels.py",)
IN_JUDGE = ("tests/judge/test_conditional.py",)

# fmt: off
OF_LABELS = [
    *made("variants/parts/objectives/labelled.py", IN_LABELS, [
        (27, "mean_over_classes_unweighted", "every class counts the same, whatever q(y|x)",
         "unknown = (log_q.exp() * (bounds - log_q)).sum(-1)", "unknown = (bounds - log_q).mean(-1)"),
        (27, "entropy_of_the_class_with_the_wrong_sign", "a sure classifier is rewarded",
         "(bounds - log_q)).sum(-1)", "(bounds + log_q)).sum(-1)"),
        (27, "log_p_of_y_left_out", "a bound that is log C nats too high", " * kl + of_y.log_prob(y)\n", " * kl\n"),
        (27, "classifier_against_labels", "the weight of log q(y|x) has the wrong sign",
         "known = (bounds + self.weight * log_q)", "known = (bounds - self.weight * log_q)"),
        (27, "weight_without_the_share_of_the_labelled", "few labels do not move the classifier",
         "self.weight *= data_spec.size / data_spec.labelled", "self.weight *= 1"),
        (27, "unknown_taken_for_the_first_class", "an example of which nothing is known is taught as class 0",
         "torch.where(terms.y >= 0, known, unknown)", "torch.where(terms.y >= -1, known, unknown)"),
    ]),
    *made("variants/parts/labelled.py", IN_LABELS, [
        (27, "variance_within_classes_alone", "u spreads no further than within one class, however far apart they lie",
         "self._mean_of(self.each.variance + (self.each.mean - mean).square())", "self._mean_of(self.each.variance)"),
        (27, "u_of_the_mean_class", "the KL of u is averaged over classes unweighted",
         "torch.stack([self._mean_of(within), classes], dim=-1)", "torch.stack([within.mean(0), classes], dim=-1)"),
        (27, "given_class_that_costs", "p(x, c) in place of p(x|c)",
         "return torch.zeros_like(value[..., 0])", "return super().log_prob(value)"),
        (27, "kl_of_a_given_class", "a KL of log C nats for what is no code",
         "return torch.zeros_like(self.logits[..., 0])", "return super().kl_by_variable(p)"),
        (27, "encoder_that_is_not_told_the_class", "q(u|x) in place of q(u|x, c)",
         "Blocks([self.within.given(h)(y), Given(", "Blocks([self.within.given(h)(0 * y), Given("),
    ]),
    *made("variants/parts/paired.py", IN_LABELS, [
        (27, "shared_variance_as_deviation", "latents that a pair shares have the square of their scale",
         "torch.where(same, variance.sqrt(), sigma)", "torch.where(same, variance, sigma)"),
        (27, "average_of_precisions", "a product whose variance is twice what it is",
         "total = 1 / (1 / variance).sum(0, keepdim=True)", "total = 1 / (1 / variance).mean(0, keepdim=True)"),
        (27, "different_axes_shared", "what differs is taken for what is common",
         "return kl < threshold", "return kl >= threshold"),
        (27, "threshold_at_the_mean_of_all", "the mean over axes in place of the middle of least and greatest",
         "threshold = (kl.amin(-1, keepdim=True) + kl.amax(-1, keepdim=True)) / 2",
         "threshold = kl.mean(-1, keepdim=True)"),
        (27, "mates_half_a_batch_apart", "rows i and i + B / 2 taken for a pair",
         ".reshape(-1, 2, each.shape[-1]).transpose(0, 1) for", ".reshape(2, -1, each.shape[-1]) for"),
        (27, "pairs_shared_when_judged", "q(z|x) of an example depends on its batch",
         "return shared(q, self.fuse) if self.training else q", "return shared(q, self.fuse)"),
    ]),
    *made("bench/data/factors.py", IN_DATA, [
        (27, "partners_of_the_test_split", "a partner may be a test combination",
         "left = left[np.isin(number(partner[left]), others)]", "left = left[:0]"),
        (27, "partner_that_may_be_the_same", "a step of zero leads back",
         "rng.integers(1, sizes[which])", "rng.integers(0, sizes[which])"),
    ]),
    *made("bench/data/batches.py", IN_DATA, [
        (27, "pairs_torn_apart", "training rows shuffled one by one",
         "together = 2 if self.spec.pairs else 1", "together = 1"),
        (27, "all_labels_shown", "an objective sees labels that it is said not to",
         "[: self.spec.labelled]", "[:]"),
        (27, "last_of_each_class_shown", "not the examples that are said to be labelled",
         "np.lexsort((places, labels, in_class))", "np.lexsort((places, labels, -in_class))"),
    ]),
    *made("bench/judge/bounds.py", IN_JUDGE, [
        (27, "class_of_another", "the judge gives each example the first class",
         "return Batch(x, c=y) if model.conditional", "return Batch(x, c=0 * y) if model.conditional"),
    ]),
    *made("bench/judge/__init__.py", IN_JUDGE, [
        (27, "probe_of_a_given_class", "codes that hold the class are asked for it",
         "if measure.probe_points and not model.conditional:", "if measure.probe_points:"),
    ]),
    *made("bench/stats/groups.py", IN_JUDGE, [
        (27, "conditional_ranked_with_the_rest", "nats of p(x|c) beside those of p(x)",
         'f"conditional {model.support}" if model.conditional else model.support', "model.support"),
    ]),
]
# fmt: on
