"""Mistakes in data with known truth and in what is said of codes; the numbers are those of `tests.mistakes`."""

from tests.mutants import made

FACTORS = "bench/judge/factors.py"
IN_FACTORS = ("tests/judge/test_factors.py",)
SAMPLES = "bench/judge/samples.py"
IN_SAMPLES = ("tests/judge/test_samples.py",)
IN_DATA = ("tests/data/test_factors.py",)

# fmt: off
OF_FACTORS = [
    *made(FACTORS, IN_FACTORS, [
        (21, "bins_coarser_than_the_factor", "a perfect code of 32 values reaches 0.85 with 20 bins",
         "max(BINS, 2 * values)", "BINS"),
        (21, "information_not_corrected", "what few examples seem to tell of an independent factor is counted",
         "by_chance = expected_mutual_information(table, n)", "by_chance = 0.0"),
        (21, "bins_stretched_by_an_outlier", "one far code puts all others into one bin",
         "TAIL = 0.005", "TAIL = 0.0"),
        (21, "gap_of_one_axis", "with one axis there is no second best",
         "np.vstack([each, np.zeros((1, each.shape[1]))])", "each"),
        (21, "importances_of_what_nothing_tells", "a factor that the code does not tell counts as much as any",
         "skills[k] * forest.feature_importances_", "forest.feature_importances_"),
        (21, "luck_taken_for_skill", "one lucky guess makes a factor that nothing tells the only one that counts",
         "if accuracy > chance + luck else 0.0", "if accuracy > chance else 0.0"),
        (21, "entropy_to_another_base", "a row of equal importances is no longer 0",
         "/ math.log(parts.shape[1]))", "/ 1.0)"),
        (21, "factors_and_axes_exchanged", "disentanglement is taken for completeness",
         "_concentration(importances) * importances.sum(1)", "_concentration(importances).mean() * importances.sum(0)"),
        (21, "dead_axes_judged", "what a dead axis whispers counts as if it were code",
         "mu.std(0) > LIVE", "mu.std(0) >= 0"),
        (21, "a_dead_axis_wins_every_vote", "variances are not divided by how the axis varies at all",
         ".var(1) / variance[kept]", ".var(1)"),
        (21, "votes_learnt_where_they_are_judged", "an axis stands for the factor that voted for it least",
         "votes.argmax(1)[axis] == factor", "votes.argmin(1)[axis] == factor"),
        (21, "modularity_of_noise", "an axis that tells nothing tells one factor alone by chance",
         "information > SIGNIFICANT * noise", "information > -1"),
        (21, "area_of_a_guess_counts", "a guess has an area of one half, and is worth nothing",
         "means.append(2 * np.mean(areas) - 1)", "means.append(np.mean(areas))"),
        (21, "axes_weighted_alike_for_robustness", "a held factor's spread is that of all examples",
         "np.abs(part - part.mean(0))", "np.abs(part - coded.mu.mean(0))"),
        (21, "total_correlation_without_the_half", "log det instead of half of it",
         "-0.5 * np.linalg.slogdet", "-1.0 * np.linalg.slogdet"),
    ]),
    *made("bench/judge/udr.py", ("tests/judge/test_udr.py",), [
        (21, "mean_agreement_of_many_seeds", "one odd seed lowers the score of all others",
         "[statistics.median(agreement(a, b)", "[statistics.fmean(agreement(a, b)"),
        (21, "mean_of_two_means", "axes of the smaller code count for more (disentanglement_lib)",
         "np.concatenate(sides).mean()", "np.mean([side.mean() for side in sides])"),
        (21, "strength_without_its_square", "an axis that has a faint likeness to one alone passes for it",
         "r.max(axis) ** 2", "r.max(axis)"),
        (21, "correlation_of_values", "a stretched axis is another one",
         "rankdata(np.hstack([a, b]), axis=0)", "np.hstack([a, b])"),
        (21, "agreement_with_itself", "each model is its own witness",
         "for b in found if b is not a)", "for b in found)"),
        (21, "dead_axes_held_against_live_ones", "noise on axes that say nothing",
         "mu[:, live_axes(mu)] for", "mu for"),
    ]),
    *made(SAMPLES, IN_SAMPLES, [
        (21, "fitted_sampler_of_the_prior", "the model's own samples under the name of another sampler's",
         "model.prior().sample(shape) if fitted is None else", "model.prior().sample(shape) if True else"),
        (21, "density_fitted_to_means", "codes are draws of q(z|x): its means alone are too narrow",
         "torch.cat([draw(model.infer(x)) for x", "torch.cat([model.infer(x).mean for x"),
        (21, "flow_that_is_not_fitted", "a Gaussian of the codes' moments under the name of a flow",
         "            optim.step()\n", "            pass\n"),
        (21, "fitted_flow_left_in_its_units", "draws are of codes less their mean and over their scale",
         "mean + scale * flow().sample(torch.Size([n]))", "flow().sample(torch.Size([n]))"),
        (21, "fitted_draws_by_component", "the first of them are of a few components alone",
         "found[order]", "found"),
        (21, "frechet_of_standard_deviations_squared", "the cross term enters once instead of twice",
         "- 2 * np.sqrt(product).sum()", "- np.sqrt(product).sum()"),
        (21, "an_example_beside_itself", "the diagonal makes the kernel distance biased",
         "kernel[np.arange(len(part)), start + np.arange(len(part))] = 0.0", "pass"),
        (21, "itself_as_its_nearest", "the ball reaches to the fourth neighbour, for the example counts itself",
         "fit(x).kneighbors()", "fit(x).kneighbors(x)"),
        (21, "precision_and_recall_exchanged", "balls of the other kind",
         '"precision": precise / len(fake),\n        "recall": float(recalled.mean()),',
         '"precision": float(recalled.mean()),\n        "recall": precise / len(fake),'),
        (21, "density_without_k", "each generated example counts all balls that hold it",
         "dense / (NEIGHBOURS * len(fake))", "dense / len(fake)"),
        (21, "balls_hold_their_edge", "copies, whose balls have no radius, are in each other's",
         "inside = distances < of_real", "inside = distances <= of_real"),
        (21, "copying_turned_round", "the statistic counts pairs in which the generated example is the nearer",
         "_mann_whitney(near, far)", "_mann_whitney(far, near)"),
        (21, "means_for_draws", "grey means beside binary images",
         'x = p.mean if kind == "means" else p.sample()', "x = p.mean"),
        (21, "pixels_that_hang_together", "whole examples are exchanged instead of single pixels",
         "order = torch.rand(flat.shape, generator=random).argsort(0)",
         "order = torch.rand(flat.shape, generator=random).argsort(0)[:, :1].expand_as(flat)"),
    ]),
    *made("bench/data/sprites.py", IN_DATA, [
        (21, "one_image_with_two_labels", "a square turned by a quarter is itself again",
         "PERIODS = (90.0, 180.0, 360.0)", "PERIODS = (360.0, 360.0, 360.0)"),
    ]),
    *made("bench/data/factors.py", IN_DATA, [
        (21, "test_combinations_seen", "combinations are drawn with replacement, and the test split is not new",
         ".permutation(math.prod(sizes.values()))[:n]", ".integers(math.prod(sizes.values()) // 50, size=n)"),
    ]),
    *made("bench/data/plane.py", IN_DATA, [
        (21, "rings_without_their_length", "a density of the radius taken for one of the plane",
         " - normaliser - (2 * math.pi * radius).log()", " - normaliser"),
    ]),
]
# fmt: on
