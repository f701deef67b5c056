"""Labels, pairs and classes that are given: what each is told, and that it is told nothing more."""

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal

from variants import DataSpec, build
from variants.core import VAE, Batch, elbo
from variants.core.bounds import iwae
from variants.parts.labelled import Given, sizes_of
from variants.parts.paired import average, common, product, shared

LABELLED = DataSpec((1, 3, 4), "binary", 40, classes=3, labelled=10)
PAIRS = DataSpec((1, 3, 4), "binary", 40, pairs=True)


def made(name: str, data: DataSpec, **options: Any) -> VAE:
    torch.manual_seed(0)
    return build(name, data, **{"latent": 5, "hidden": (9,)} | options).double()


def images(n: int = 6) -> Tensor:
    return torch.rand(n, 1, 3, 4, generator=torch.Generator().manual_seed(1)).round().double()


def blind_to_u(model: VAE) -> VAE:
    """Its decoder sees the class alone, so that E log p(x|u, y) needs no draws."""
    first = next(module for module in model.decoder.modules() if isinstance(module, torch.nn.Linear))
    with torch.no_grad():
        first.weight[:, :-3] = 0
    return model


# ---- pairs


def normal(loc: list[list[float]], scale: list[list[float]]) -> Independent[Normal]:
    return Independent(Normal(torch.tensor(loc).double(), torch.tensor(scale).double()), 1)


@pytest.mark.parametrize("fuse", [average, product])
def test_an_identical_pair_keeps_its_q(fuse: Any) -> None:
    q = normal([[0.3, -1.0], [0.3, -1.0]], [[0.5, 2.0], [0.5, 2.0]])
    same = shared(q, fuse)
    torch.testing.assert_close(same.base_dist.loc, q.base_dist.loc, rtol=0, atol=0)
    torch.testing.assert_close(same.base_dist.scale, q.base_dist.scale, rtol=0, atol=0)


def test_of_equals_the_average_is_the_same_and_the_product_has_half_the_variance() -> None:
    loc, variance = torch.tensor([[1.5], [1.5]]), torch.tensor([[4.0], [4.0]])
    assert [each.item() for each in average(loc, variance)] == [1.5, 4.0]
    assert [each.item() for each in product(loc, variance)] == [1.5, 2.0]
    # Precisions 1/4 and 1 add up to 5/4.
    loc, variance = torch.tensor([[0.0], [5.0]]), torch.tensor([[4.0], [1.0]])
    assert [each.item() for each in average(loc, variance)] == [2.5, 2.5]
    assert [round(each.item(), 6) for each in product(loc, variance)] == [4.0, 0.8]


def test_axes_below_the_middle_of_the_least_and_the_greatest_kl_are_shared() -> None:
    # With unit scales the KL is half the squared distance: 0, 0.5, 0.95 and 2; the middle is 1, above their mean.
    q = normal([[0, 0, 0, 0], [0, 1, 1.375, 2]], [[1] * 4] * 2)
    assert common(*(each.unflatten(0, (2, 1)) for each in (q.base_dist.loc, q.base_dist.scale))).tolist() == [
        [True, True, True, False]
    ]
    new = shared(q, average)
    assert new.base_dist.loc.tolist() == [[0, 0.5, 0.6875, 0], [0, 0.5, 0.6875, 2]]


def test_what_a_pair_has_in_common_is_told_from_its_first_to_its_second() -> None:
    """KL(N(0, 1) || N(0, 16)) is 0.9 nats, and the other way round 6.1."""
    scale = torch.tensor([[1.0, 4.0, 1.0], [4.0, 1.0, 1.0]])
    assert common(torch.zeros(2, 3), scale).tolist() == [True, False, True]


def test_pairs_are_of_neighbours_and_a_last_one_is_alone() -> None:
    q = normal([[0.0, 0.0], [1.0, 9.0], [4.0, 0.0], [6.0, 9.0], [7.0, 7.0]], [[1.0, 1.0]] * 5)
    assert shared(q, average).base_dist.loc[:, 0].tolist() == [0.5, 0.5, 5, 5, 7]
    assert shared(normal([[7.0, 7.0]], [[1.0, 1.0]]), average).base_dist.loc.tolist() == [[7, 7]]
    alike = normal([[0.0, 0.0], [0.0, 9.0]], [[3.0, 1.0], [3.0, 2.0]])
    assert shared(alike, average).base_dist.scale.tolist() == [[3, 1], [3, 2]]


def test_a_pair_shares_in_training_alone() -> None:
    model, x = made("ada_gvae", PAIRS), images()
    plain = made("vanilla", PAIRS).infer(x)
    torch.testing.assert_close(model.eval().infer(x).mean, plain.mean, rtol=0, atol=0)
    mean = model.train().infer(x).mean
    same = mean[::2] == mean[1::2]
    assert same.any(1).all()
    assert not same.all(1).any()


@pytest.mark.parametrize(
    ("name", "data", "options", "says"),
    [
        ("ada_gvae", LABELLED, {}, "data-option pairs=1"),
        ("ada_gvae", PAIRS, {"sharing": "sum"}, "average, product"),
        ("ada_gvae", PAIRS, {"prior": "vamp"}, "depend on the batch"),
        ("conditional", PAIRS, {}, "labels are classes"),
        ("semi_supervised", LABELLED, {"classes": 2}, "classes=3 or more"),
        ("semi_supervised", LABELLED, {"posterior": "joint", "prior": "joint"}, "labelled latents"),
        ("semi_supervised", LABELLED, {"objective": "elbo"}, "no path"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name: str, data: DataSpec, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        made(name, data, **options)
    assert "\n" not in str(caught.value)


# ---- labels for an objective


def test_examples_of_a_batch_keep_their_own_labels_and_classes() -> None:
    batch = Batch(torch.arange(12.0).reshape(6, 2), torch.arange(6), 10 + torch.arange(6))
    some = batch[2:4]
    assert [each.tolist() for each in (some.x, some.y, some.c) if each is not None] == [
        [[4, 5], [6, 7]],
        [2, 3],
        [12, 13],
    ]
    assert (len(batch), len(some)) == (6, 2)
    assert (Batch(batch.x)[:1].y, Batch(batch.x)[:1].c) == (None, None)


def test_the_unlabelled_bound_is_the_elbo_with_every_class_summed_over() -> None:
    model, x = blind_to_u(made("semi_supervised", LABELLED)), images()
    loss, terms = model.loss(x), model.terms(x, 1)
    log_q = terms.q.classes.logits[:, 0]
    eye = torch.eye(3, dtype=torch.float64)
    z = torch.cat([torch.zeros(3, 6, 2).double(), eye[:, None].expand(3, 6, 3)], -1)
    expected = (log_q.exp() * model.log_px(z, x).T).sum(1) - terms.kl
    torch.testing.assert_close(-loss, expected, rtol=0, atol=1e-10)
    # However many draws of u there are for each class.
    torch.testing.assert_close(blind_to_u(made("semi_supervised", LABELLED, samples=3)).loss(x), loss)
    # And that KL is one: the mean of log q - log p over draws.
    drawn = model.terms(x, 20_000)
    ratio = drawn.log_qz_x - drawn.log_pz
    assert ((ratio.mean(0) - terms.kl).abs() < 5 * ratio.std(0) / math.sqrt(20_000)).all()


def test_a_known_class_has_its_own_bound_with_log_p_of_y_and_its_classifier() -> None:
    model, x = blind_to_u(made("semi_supervised", LABELLED)), images()
    y = torch.tensor([0, 2, -1, 1, -1, 2])
    loss, unlabelled, terms = model.loss(Batch(x, y)), model.loss(x), model.terms(x, 1)
    assert torch.equal(loss[y < 0], unlabelled[y < 0])
    weight = 0.1 * 40 / 10
    for i, label in enumerate(y.tolist()):
        if label < 0:
            continue
        z = torch.cat([torch.zeros(2), torch.eye(3)[label]]).double().expand(1, 1, 5)
        within = Independent(Normal(terms.q.each.mean[label, i], terms.q.each.stddev[label, i]), 1)
        kl = torch.distributions.kl_divergence(within, Independent(Normal(torch.zeros(2).double(), 1.0), 1))
        bound = model.log_px(z, x[i : i + 1]).item() - kl.item() - math.log(3)
        assert -loss[i].item() == pytest.approx(bound + weight * terms.q.classes.logits[i, 0, label].item(), abs=1e-9)


def test_every_class_is_asked_with_a_u_of_its_own_which_moves_q_of_u() -> None:
    model, x = made("semi_supervised", LABELLED, samples=2), images()
    terms = model.terms(x, 1)
    q, eye = terms.q, torch.eye(3, dtype=torch.float64)
    torch.manual_seed(2)
    loss = model.objective(terms, 0.0)
    torch.manual_seed(2)
    u, bounds = q.each.rsample(torch.Size([2])), []
    for c in range(3):
        within = Independent(Normal(q.each.mean[c], q.each.stddev[c]), 1)
        kl = torch.distributions.kl_divergence(within, Independent(Normal(torch.zeros(2).double(), 1.0), 1))
        z = torch.cat([u[:, c], eye[c].expand(2, 6, 3)], -1)
        bounds.append(model.log_px(z, x).mean(0) - kl - math.log(3))
    log_q = q.classes.logits[:, 0]
    expected = -(log_q.exp() * (torch.stack(bounds, 1) - log_q)).sum(1)
    torch.testing.assert_close(loss, expected)
    weights = [*model.encoder.parameters(), *model.posterior.parameters(), *model.decoder.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad(loss.sum(), weights, retain_graph=True), torch.autograd.grad(expected.sum(), weights)
    )


def test_the_weight_of_the_classifier_is_alpha_n_over_the_labelled() -> None:
    assert made("semi_supervised", LABELLED, alpha=0.5).objective.weight == 2.0
    assert made("semi_supervised", PAIRS, classes=3).objective.weight == 0.1


def test_only_an_objective_that_uses_labels_sees_them() -> None:
    x, y = images(), torch.tensor([0, 1, 2, 0, 1, 2])
    assert made("semi_supervised", LABELLED).uses_labels
    model = made("vanilla", LABELLED).eval()
    assert not model.uses_labels
    assert torch.equal(model.infer(Batch(x, y, y)).mean, model.infer(x).mean)


def test_labels_teach_the_class() -> None:
    data = DataSpec((1, 3, 4), "binary", 60, classes=3, labelled=60)
    y = torch.arange(60) % 3
    x = torch.nn.functional.one_hot(y, 3).double()[:, None, :, None].expand(60, 1, 3, 4).contiguous()
    model = made("semi_supervised", data)
    adam = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        adam.zero_grad()
        model.loss(Batch(x, y)).mean().backward()
        adam.step()
    found = model.eval().infer(x).classes.logits[:, 0].argmax(1)
    assert torch.equal(found, y)


# ---- a class that is given


def test_a_class_that_says_nothing_leaves_the_model_of_x_alone() -> None:
    model, x = made("conditional", LABELLED), images()
    first = next(module for module in model.decoder.modules() if isinstance(module, torch.nn.Linear))
    with torch.no_grad():
        first.weight[:, -3:] = 0
        model.posterior.within.first.weight.zero_()
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    bounds = []
    for c in (y, y.flip(0)):
        torch.manual_seed(3)
        terms = model.terms(Batch(x, c=c), 7)
        bounds.append((elbo(terms), iwae(terms), terms.kl))
        # Nothing is paid for a class: the KL is that of u.
        u = terms.q.blocks[0]
        of_u = torch.distributions.kl_divergence(u, Independent(Normal(torch.zeros(2).double(), 1.0), 1))
        torch.testing.assert_close(terms.kl, of_u, rtol=0, atol=1e-12)
        assert torch.equal(terms.z[..., 2:].argmax(-1), c.expand(7, 6))
    for one, other in zip(*bounds, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_the_class_reaches_encoder_and_decoder() -> None:
    model, x = made("conditional", LABELLED).eval(), images()
    ones, twos = (Batch(x, c=torch.full((6,), c)) for c in (1, 2))
    assert (model.infer(ones).mean[:, :2] != model.infer(twos).mean[:, :2]).any()
    z = model.infer(ones).mean
    other = z.clone()
    other[:, 2:] = z[:, 2:].roll(1, -1)
    assert (model.decode(z).mean != model.decode(other).mean).any()


def test_without_its_class_x_has_no_posterior() -> None:
    model = made("conditional", LABELLED)
    assert model.conditional
    with pytest.raises(ValueError, match="needs the class of each x"):
        model.infer(images())


@pytest.mark.parametrize("name", ["conditional", "semi_supervised"])
def test_layers_from_features_and_class_have_the_widths_that_are_asked_for(name: str) -> None:
    within = made(name, LABELLED, class_hidden=(8, 7)).posterior.within
    assert [m.out_features for m in within.modules() if isinstance(m, torch.nn.Linear)] == [8, 8, 7, 2, 2]
    assert within.context.in_features == 9
    with pytest.raises(ValueError, match="class_hidden must be a whole number of at least 1, got 0"):
        made(name, LABELLED, class_hidden=0)


def test_u_and_its_class_are_told_from_what_they_cannot_be() -> None:
    q = made("semi_supervised", LABELLED).infer(images())
    z = q.sample()
    # Of each u, then of each class.
    assert q.support.check(z).tolist() == [True] * 12
    z[:, -3:] = 1 / 3
    assert q.support.check(z).tolist() == [True] * 6 + [False] * 6


def test_draws_have_any_class_with_equal_chances() -> None:
    z = made("conditional", LABELLED).prior().sample(torch.Size([3000]))
    assert z[:, 2:].sum(0).tolist() == pytest.approx([1000] * 3, abs=130)


def test_draws_have_the_mean_and_variance_that_q_says() -> None:
    model = made("semi_supervised", LABELLED)
    with torch.no_grad():
        for parameter in model.posterior.within.parameters():
            parameter.mul_(3)
    q = model.infer(images())
    # Classes lie far enough apart for their means to spread u.
    assert (q.each.mean.var(0) > 0.3 * q.each.variance.mean(0)).any()
    torch.manual_seed(0)
    z = q.sample(torch.Size([20_000]))
    assert ((z.mean(0) - q.mean).abs() < 5 * (q.variance / 20_000).sqrt()).all()
    torch.testing.assert_close(z.var(0), q.variance, rtol=0.06, atol=0)


@pytest.mark.parametrize("name", ["conditional", "semi_supervised", "ada_gvae"])
def test_a_little_training_raises_the_bound_without_a_warning(name: str) -> None:
    data = DataSpec((1, 3, 4), "binary", 60, classes=3, labelled=60, pairs=True)
    y = torch.arange(60) // 2 % 3
    x = torch.nn.functional.one_hot(y, 3).double()[:, None, :, None].expand(60, 1, 3, 4).contiguous()
    model = made(name, data)
    adam = torch.optim.Adam(model.parameters(), 1e-2)
    bounds = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(41):
            if step % 40 == 0:
                torch.manual_seed(9)
                with torch.no_grad():
                    bounds.append(elbo(model.eval().terms(Batch(x, c=y), 8)).mean().item())
                model.train()
            adam.zero_grad()
            model.loss(Batch(x, y, y)).mean().backward()
            adam.step()
    assert bounds[1] > bounds[0] + 1


# ---- sizes, and what is given


@pytest.mark.parametrize(
    ("asked", "known", "had"), [(None, None, 6), (4, None, 4), (None, 10, 10), (10, 10, 10), (11, 10, 11)]
)
def test_there_are_as_many_classes_as_asked_for_else_as_the_data_have(
    asked: int | None, known: int | None, had: int
) -> None:
    data = DataSpec((8,), "binary", 40, classes=known)
    assert sizes_of(12, asked, data) == (12 - had, had)


def test_nothing_of_a_class_that_is_given_is_counted() -> None:
    """Neither of q nor of p, nor of the one against the other, whatever the class."""
    y = torch.eye(3).double()
    q, p = Given(y.log().unsqueeze(-2)), Given(torch.randn(1, 3).double())
    assert torch.equal(q.sample(), y)
    for found in (q.log_prob(y), p.log_prob(y), q.entropy(), q.kl_by_variable(p).squeeze(-1)):
        assert torch.equal(found, torch.zeros(3).double())
