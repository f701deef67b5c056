"""Codes: their books by brute force, the bounds that they have, and what moves them."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from variants import DataSpec, build
from variants.core import VAE, elbo
from variants.core.support import states
from variants.parts.code_books import Averages, Book, Grid, Residuals, Signs, Vectors, nearest
from variants.parts.code_points import Chosen, CodePrior, Relaxed, Softly
from variants.parts.code_priors import MOST_CODES, Order, sites_of
from variants.parts.codes import Codes, GridCodes, SignCodes, StochasticCodes
from variants.parts.objectives.codes import code_entropies
from variants.testing.case import LATE

SPEC = DataSpec((4,), "binary", 40)
X = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 0], [1, 1, 1, 1]], dtype=torch.float64)
NAMES = ("vq", "vq_ema", "fsq", "lfq", "residual_vq", "sq_vae")
SMALL: dict[str, dict[str, Any]] = {
    "vq": {"latent": 4, "code_size": 2, "codes": 5},
    "vq_ema": {"latent": 4, "code_size": 2, "codes": 5},
    "fsq": {"latent": 4, "quant_levels": (3, 4)},
    "lfq": {"latent": 4, "code_size": 2},
    "residual_vq": {"latent": 8, "code_size": 2, "codes": 3},
    "sq_vae": {"latent": 4, "code_size": 2, "codes": 5},
}
ORDERED: dict[str, Any] = {"autoregressive": True, "order_width": 7}


def model(name: str, **options: Any) -> VAE:
    torch.manual_seed(3)
    made = build(name, SPEC, hidden=(5,), **SMALL[name] | options).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def books() -> list[Book]:
    torch.manual_seed(0)
    made: list[Book] = [
        Vectors(3, 2, 7),
        Averages(2, 3, 5, 0.9),
        Residuals(2, 2, 5, 3),
        Grid(2, (3, 4, 5, 8)),
        Signs(3, 4),
    ]
    return [book.double() for book in made]


@pytest.mark.parametrize("book", books(), ids=lambda book: type(book).__name__)
def test_points_and_indices_are_two_names_of_one_thing(book: Book) -> None:
    torch.manual_seed(1)
    indices = torch.randint(book.count, (50, book.variables))
    z = book.write(indices)
    assert torch.equal(book.read(z), indices)
    assert torch.equal(book.read(z.float().double()), indices)  # whatever was rounded on the way
    h = book.bound(torch.randn(20, book.inputs, dtype=torch.float64)).requires_grad_()
    chosen = book.quantise(h)
    drawn = book.through(h, chosen)
    assert torch.equal(drawn, book.write(chosen))  # exactly, not but for rounding
    (slope,) = torch.autograd.grad(drawn[..., : book.inputs].sum(), h)
    assert torch.equal(slope, torch.ones_like(slope))


@pytest.mark.parametrize("size", [2, 32])
def test_codes_start_with_a_length_of_one_and_those_of_a_later_book_with_half_of_it(size: int) -> None:
    torch.manual_seed(0)
    length = Vectors(1, size, 4000).weight.detach().square().sum(-1).mean().sqrt().item()
    assert length == pytest.approx(1, rel=0.05)
    lengths = Residuals(1, size, 4000, 3).weight.detach().square().sum(-1).mean(-1).sqrt().tolist()
    assert lengths == pytest.approx([1, 0.5, 0.25], rel=0.05)


def test_a_code_has_as_many_numbers_as_divide_the_latents_up_to_eight() -> None:
    assert [sites_of(latent, None) for latent in (1, 12, 16, 22)] == [(1, 1), (2, 6), (2, 8), (11, 2)]
    assert sites_of(16, None, 2) == (1, 8)
    assert sites_of(24, 3, 2) == (4, 3)


def test_the_nearest_code_is_that_of_brute_force() -> None:
    torch.manual_seed(0)
    h, codes = torch.randn(40, 3, 2), torch.randn(9, 2)
    expected = (h.unsqueeze(-2) - codes).square().sum(-1).argmin(-1)
    assert torch.equal(nearest(h, codes), expected)


@pytest.mark.parametrize("levels", [3, 4, 5, 8])
def test_an_axis_of_a_grid_has_just_its_levels_and_zero_stays_zero(levels: int) -> None:
    grid = Grid(1, (levels,)).double()
    h = torch.linspace(-9, 9, 4001, dtype=torch.float64).unsqueeze(-1)
    indices = grid.quantise(grid.bound(h))
    assert indices.unique().tolist() == list(range(levels))
    assert grid.write(indices).unique().numel() == levels
    assert (torch.diff(indices.flatten()) >= 0).all()
    # By the inverse of tanh; by tan the zero of an even axis is off by 4e-4.
    assert grid.bound(torch.zeros(1, 1, dtype=torch.float64)).abs().item() < 1e-6
    rounded = (grid.bound(h) - grid.write(indices)).abs() * (levels // 2)
    assert rounded.max() <= 0.5 + 1e-6


@pytest.mark.parametrize("levels", [3, 4, 5, 8])
def test_the_ends_of_an_axis_lie_a_thousandth_beyond_its_outer_levels(levels: int) -> None:
    grid, half = Grid(1, (levels,)).double(), (levels - 1) * 1.001 / 2
    far, offset = torch.tensor([[-30.0], [30.0]], dtype=torch.float64), 0.5 if levels % 2 == 0 else 0.0
    ends = torch.tensor([[-half - offset], [half - offset]], dtype=torch.float64) / (levels // 2)
    torch.testing.assert_close(grid.bound(far), ends)


def test_a_sign_of_zero_is_positive() -> None:
    book = Signs(1, 2)
    assert book.write(book.quantise(torch.tensor([[0.0, -0.1]]))).tolist() == [[1, -1]]


def test_a_grid_needs_three_levels_and_a_latent_of_its_axes() -> None:
    with pytest.raises(ValueError, match="quant_levels must be 3 or more each, got 2"):
        build("fsq", SPEC, quant_levels=(2, 5), latent=4)
    with pytest.raises(ValueError, match="latent size of sites times 3 levels: 4 is none"):
        build("fsq", SPEC, quant_levels=(3, 3, 3), latent=4)
    assert {tuple(z.tolist()) for z in states(build("fsq", SPEC, latent=2, quant_levels=(3, 3)).prior())} == set(
        itertools.product((-1.0, 0.0, 1.0), repeat=2)
    )


def test_more_books_leave_less() -> None:
    """Given nearest codes and a code of zero in each book, no book makes it worse."""
    torch.manual_seed(0)
    book, h = Residuals(3, 2, 9, 4), torch.randn(30, 6)
    with torch.no_grad():
        book.weight[:, 0] = 0
    indices = book.quantise(h)
    sums = book._sums(indices)
    left = (sums - h.unsqueeze(-2)).square().sum(-1)
    assert (torch.diff(left, dim=-1) <= 1e-6).all()
    torch.testing.assert_close(book.write(indices)[:, :6], sums[:, -1])
    # What one book is to lower is what those before it left: no earlier code is moved by it.
    moved, _ = book.misfit(h, indices)
    (slope,) = torch.autograd.grad(moved.sum(), book.weight)
    before = torch.cat([torch.zeros(30, 1, 6), sums[:, :-1].detach()], dim=1)
    for i in range(4):
        own = torch.zeros(9, 2)
        off = 2 * (sums[:, i] - h).detach().unflatten(-1, (3, 2))
        for k, row in zip(indices.unflatten(-1, (4, 3))[:, i].flatten().tolist(), off.reshape(-1, 2), strict=True):
            own[k] += row
        torch.testing.assert_close(slope[i], own)
    assert before.shape == sums.shape


def test_the_decoder_sees_the_sum_of_all_codes_alone() -> None:
    made = model("residual_vq")
    z = made.prior().sample(torch.Size([5]))
    apart = z.clone()
    apart[:, 4:] = z[:, 4:].roll(1, 0)
    assert not torch.equal(apart, z)
    torch.testing.assert_close(made.decode(apart).mean, made.decode(z).mean, rtol=0, atol=0)
    apart[:, :4] += 1
    assert (made.decode(apart).mean != made.decode(z).mean).all()


def test_the_encoder_is_kept_near_the_sum_of_all_codes() -> None:
    torch.manual_seed(0)
    book, h = Residuals(2, 2, 5, 3).double(), torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    indices = book.quantise(h)
    whole = book.write(indices)[:, :4].detach()
    _, encoder = book.misfit(h, indices)
    torch.testing.assert_close(encoder, (whole - h).square().sum(-1))
    assert torch.autograd.grad(encoder.sum(), book.weight, retain_graph=True, allow_unused=True) == (None,)
    torch.testing.assert_close(torch.autograd.grad(encoder.sum(), h)[0], 2 * (h - whole).detach())


def test_running_means_are_those_of_what_was_seen_and_unused_codes_stay() -> None:
    torch.manual_seed(0)
    book = Averages(1, 2, 3, 0.9).double()
    start, seen = book.weight.clone(), []
    for _ in range(6):
        h = torch.randn(5, 2, dtype=torch.float64)
        book.learn(h, torch.tensor([[0], [0], [1], [0], [1]]))
        seen.append((h[[0, 1, 3]].sum(0), h[[2, 4]].sum(0)))
    weights = [0.9 ** (len(seen) - 1 - i) for i in range(len(seen))]
    for code, n in ((0, 3), (1, 2)):
        mean = sum(w * s[code] for w, s in zip(weights, seen, strict=True)) / (n * sum(weights))
        torch.testing.assert_close(book.weight[code], mean)
    assert torch.equal(book.weight[2], start[2])
    one = book.weight[1].clone()
    book.learn(torch.randn(4, 2, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.long))
    assert torch.equal(book.weight[1], one)  # nor does one that was used before, and is not now


def test_running_means_go_on_where_a_saved_book_stopped() -> None:
    torch.manual_seed(0)
    book, fresh = Averages(2, 2, 3, 0.9), Averages(2, 2, 3, 0.9)
    batches = [(torch.randn(5, 4), torch.randint(3, (5, 2))) for _ in range(6)]
    for batch in batches[:3]:
        book.learn(*batch)
    fresh.load_state_dict(book.state_dict())
    for batch in batches[3:]:
        book.learn(*batch)
        fresh.learn(*batch)
    assert torch.equal(fresh.weight, book.weight)


def test_what_no_gradient_moves_is_no_part_of_the_loss() -> None:
    torch.manual_seed(0)
    book, h = Averages(2, 3, 5, 0.9), torch.randn(4, 6)
    indices = book.quantise(h)
    of_book, of_encoder = book.misfit(h, indices)
    assert of_book.tolist() == [0] * 4
    torch.testing.assert_close(of_encoder, (book.write(indices) - h).square().sum(-1))


def test_codes_move_in_training_alone() -> None:
    made = model("vq_ema")
    before = made.prior.book.weight.clone()
    made.eval().loss(X, LATE)
    assert torch.equal(made.prior.book.weight, before)
    made.train().loss(X, LATE)
    assert not torch.equal(made.prior.book.weight, before)


# ---------------------------------------------------------------------------------------------------------------------
# Bounds


@pytest.mark.parametrize("name", NAMES)
def test_the_elbo_is_a_bound_of_the_sum_over_all_codes(name: str) -> None:
    made = model(name).eval()
    with torch.no_grad():
        terms = made.terms(X, 400)
        p = made.prior()
        z = states(p)
        log_pz = p.log_prob(z)
        assert log_pz.exp().sum().item() == pytest.approx(1, abs=1e-9)
        log_px = (made.log_px(z.unsqueeze(1).expand(-1, len(X), -1), X) + log_pz.unsqueeze(1)).logsumexp(0)
        bound = elbo(terms)
        assert (bound < log_px + 1e-9).all()
    assert made.covers is (name == "sq_vae")
    if not made.covers:
        # Minus the length of a code of two parts: which codes, and the data given them.
        code = terms.q.indices
        expected = made.log_px(p.book.write(code).unsqueeze(0), X)[0] + p.log_mass(code)
        torch.testing.assert_close(bound, expected)
        torch.testing.assert_close(terms.q.log_prob(terms.z), torch.zeros(400, 3, dtype=torch.float64))
        torch.testing.assert_close(terms.q.log_prob(terms.z.clone()), torch.zeros(400, 3, dtype=torch.float64))
        assert terms.q.log_prob(terms.z + 1).isneginf().all()
    else:
        exact = terms.q.log_prob(z.unsqueeze(1))
        log_pxz = made.log_px(z.unsqueeze(1).expand(-1, len(X), -1), X) + log_pz.unsqueeze(1)
        torch.testing.assert_close(exact.exp().sum(0), torch.ones(3, dtype=torch.float64))
        value = (exact.exp() * (log_pxz - exact)).sum(0)
        kl = (exact.exp() * (exact - log_pz.unsqueeze(1))).sum(0)
        torch.testing.assert_close(terms.kl, kl)
        assert (value < log_px).all()


def test_a_uniform_prior_costs_the_log_of_all_codes() -> None:
    made = build("vq", SPEC, latent=12, code_size=3, codes=7)
    torch.testing.assert_close(made.terms(X.float()).kl, torch.full((3,), 4 * math.log(7)))
    parts = made.terms(X.float()).kl_parts
    assert parts is not None
    torch.testing.assert_close(parts, torch.full((3, 4), math.log(7)))


@pytest.mark.parametrize("autoregressive", [False, True])
def test_draws_of_the_prior_are_as_frequent_as_they_are_likely(autoregressive: bool) -> None:
    made = model("vq", codes=3, autoregressive=autoregressive, order_width=6)
    with torch.no_grad():
        p = made.prior()
        assert isinstance(p, CodePrior)
        points = states(p)
        chance = p.log_prob(points).exp()
        assert chance.sum().item() == pytest.approx(1, abs=1e-9)
        torch.manual_seed(0)
        drawn = p.book.read(p.sample(torch.Size([20_000])))
        seen = (drawn.unsqueeze(1) == p.book.read(points)).all(-1).double().mean(0)
        assert (seen - chance).abs().max() < 5 * 0.5 / math.sqrt(20_000)


def test_a_point_is_one_of_a_book_but_for_rounding() -> None:
    """All of its numbers are: one that is off by a hundredth is enough to be none."""
    torch.manual_seed(0)
    book = Vectors(2, 3, 5)
    p, q = CodePrior(book, torch.randn(2, 5)), Chosen(torch.randn(4, 6), book)
    point = q.mean.detach()
    for at, is_one in ((point + 1e-5, True), (point + 0.01, False), (point + 0.01 * torch.eye(6)[3], False)):
        assert p.support.check(at).tolist() == [is_one] * 4
        assert p.log_prob(at).isfinite().tolist() == [is_one] * 4
        assert q.log_prob(at).isfinite().tolist() == [is_one] * 4


def test_what_is_chosen_for_certain_has_no_spread() -> None:
    torch.manual_seed(0)
    q = Chosen(torch.randn(4, 6), Vectors(2, 3, 5))
    assert q.variance.tolist() == [[0] * 6] * 4
    assert q.entropy().tolist() == [0] * 4


@pytest.mark.parametrize(("name", "codes", "books"), [("vq", 5, 1), ("residual_vq", 3, 2), ("fsq", 12, 1)])
def test_a_site_has_a_code_of_each_book(name: str, codes: int, books: int) -> None:
    q = model(name).infer(X)
    assert (q.codes, q.books) == (codes, books)


@pytest.mark.parametrize("name", ["vq", "vq_ema", "residual_vq", "fsq", "lfq"])
def test_every_prior_of_codes_has_an_order_of_the_width_that_is_asked_for(name: str) -> None:
    plain, ordered = (build(name, SPEC, **SMALL[name], **given) for given in ({}, ORDERED))
    shape = plain.prior.book.variables, plain.prior.book.count
    assert plain.prior.order is None
    assert plain.prior.logits.shape == shape
    assert ordered.prior.logits is None
    assert ordered.prior.order.place.shape == (shape[0], 7)
    assert ordered.prior.order(torch.zeros(2, shape[0], dtype=torch.long)).shape == (2, *shape)


def test_an_order_knows_the_place_of_each_index() -> None:
    torch.manual_seed(0)
    order, indices = Order(5, 4, 8), torch.randint(4, (1, 5))
    logits = order(indices)
    for v in range(5):
        other = Order(5, 4, 8)
        other.load_state_dict(order.state_dict())
        with torch.no_grad():
            other.place[v] += 1
        changed = (other(indices) != logits).any(-1)[0].tolist()
        assert changed == [False] * v + [True] * (5 - v)


def test_an_index_depends_on_those_before_it_alone() -> None:
    torch.manual_seed(0)
    order = Order(5, 4, 8)
    indices = torch.randint(4, (1, 5))
    logits = order(indices)
    for v in range(5):
        other = indices.clone()
        other[0, v] = (other[0, v] + 1) % 4
        same = (order(other) == logits).all(-1)[0].tolist()
        assert same[: v + 1] == [True] * (v + 1)
        assert not any(same[v + 1 :])


def test_stochastic_codes_of_no_variance_are_the_nearest() -> None:
    torch.manual_seed(0)
    book, h = Vectors(3, 2, 6).double(), torch.randn(4, 6, dtype=torch.float64)
    sure = Softly(h, book, torch.tensor(1e6))
    torch.testing.assert_close(sure.mean, Chosen(h, book).mean)
    assert sure.entropy().abs().max() < 1e-6
    flat = Softly(h, book, torch.tensor(1e-9))
    torch.testing.assert_close(flat.entropy(), torch.full((4,), 3 * math.log(6)).double(), rtol=1e-6, atol=0)
    distance = (h.reshape(4, 3, 1, 2) - book.weight).square().sum(-1)
    soft = Softly(h, book, torch.tensor(0.7))
    torch.testing.assert_close(soft.logits, (-0.35 * distance).log_softmax(-1))
    assert torch.equal(soft.indices, distance.argmin(-1))
    draws = soft.sample(torch.Size([20_000]))
    assert ((draws.mean(0) - soft.mean).abs() < 5 * (soft.variance / 20_000).sqrt()).all()
    torch.testing.assert_close(draws.var(0), soft.variance, rtol=0.1, atol=0)


def test_relaxed_draws_are_nearest_to_a_code_as_often_as_it_is_likely() -> None:
    torch.manual_seed(0)
    book, h = Vectors(2, 2, 4).double(), torch.randn(3, 4, dtype=torch.float64)
    q = Relaxed(h, book, torch.tensor(1.5), 0.01)
    with torch.no_grad():
        drawn = torch.nn.functional.one_hot(book.quantise(q.rsample(torch.Size([20_000]))), 4).double().mean(0)
    assert (drawn - q.logits.exp()).abs().max() < 5 * 0.5 / math.sqrt(20_000)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_relaxed_draws_weigh_two_codes_by_logistic_noise_over_the_temperature(temperature: float) -> None:
    """Between the codes 1 and 0 a draw is the weight of the first, and t logit(w) = log q_1 - log q_0 + noise."""
    torch.manual_seed(0)
    n, book = 20_000, Vectors(1, 1, 2).double()
    with torch.no_grad():
        book.weight.copy_(torch.tensor([[1.0], [0.0]]))
    q = Relaxed(torch.tensor([[0.8]], dtype=torch.float64), book, torch.tensor(1.5), temperature)
    noise = temperature * q.rsample(torch.Size([n])).detach().logit() - (q.logits[..., 0] - q.logits[..., 1]).detach()
    assert abs(noise.mean().item()) < 4 * math.pi / math.sqrt(3 * n)
    assert noise.var().item() == pytest.approx(math.pi**2 / 3, rel=0.05)
    assert q.support.check(torch.tensor([[0.3, math.nan], [0.3, 7.0]])).tolist() == [False, True]


@pytest.mark.parametrize("name", ["sq_vae", "gumbel_softmax"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_temperature_that_falls_is_not_compiled_into_a_graph(name: str, decay: float) -> None:
    assert build(name, SPEC, latent=4, temperature_decay=decay).posterior.eager is (decay > 0)


def test_the_temperature_of_codes_is_that_of_the_passes_so_far() -> None:
    made = model("sq_vae", temperature=0.9, temperature_decay=0.1, temperature_floor=0.6)
    for epoch, expected in ((2.0, 0.9 * math.exp(-0.2)), (2.0, 0.9 * math.exp(-0.2)), (50.0, 0.6), (0.0, 0.9)):
        made.loss(X, epoch)
        assert made.infer(X).temperature == pytest.approx(expected)


# ---------------------------------------------------------------------------------------------------------------------
# What moves what


def gradients(value: Tensor, made: VAE) -> dict[str, Tensor | None]:
    named = dict(made.named_parameters())
    found = torch.autograd.grad(value, list(named.values()), allow_unused=True, retain_graph=True)
    return dict(zip(named, found, strict=True))


def test_the_straight_path_and_the_commitment_move_the_encoder_and_the_squares_the_book() -> None:
    made = model("vq", commitment=0.3)
    terms = made.terms(X, 1)
    q = terms.q
    h, e = q.h, q.book.write(q.indices)
    loss = made.objective(terms, LATE).sum()
    (of_h,) = torch.autograd.grad(loss, h, retain_graph=True)
    (of_z,) = torch.autograd.grad(-terms.log_px_z.sum(), terms.z, retain_graph=True)
    torch.testing.assert_close(of_h, of_z[0] + 0.3 * 2 * (h - e).detach())
    found = gradients(loss, made)
    expected = torch.zeros_like(made.prior.book.weight)
    for k, row in zip(q.indices.flatten().tolist(), (2 * (e - h)).detach().reshape(-1, 2), strict=True):
        expected[k] += row
    torch.testing.assert_close(found["prior.book.weight"], expected)
    # Codes do not move with log p(x|z), nor with log p(z), which moves the prior.
    assert gradients(-terms.log_px_z.sum(), made)["prior.book.weight"] is None
    assert gradients(terms.kl.sum(), made)["prior.book.weight"] is None
    assert gradients(terms.kl.sum(), made)["prior.logits"] is not None


@pytest.mark.parametrize("name", ["vq", "lfq"])
def test_the_loss_of_an_example_is_its_own_whatever_the_size_of_the_batch(name: str) -> None:
    made = model(name)
    once, twice = made.loss(X, LATE), made.loss(X.repeat(2, 1), LATE)
    torch.testing.assert_close(twice, once.repeat(2))


def test_sure_codes_that_are_all_used_cost_least() -> None:
    made = model("lfq", commitment=0.2, entropy_weight=0.3, sharpness=0.5)
    terms = made.terms(X, 1)
    h, e = terms.q.h, terms.q.mean
    each, mean = code_entropies(h.reshape(-1, 2), 0.5)
    expected = -elbo(terms) + 0.2 * (h - e).square().sum(-1) + 0.3 * 2 * (each - mean)
    torch.testing.assert_close(made.objective(terms, LATE), expected)


def test_code_entropies_are_those_of_the_enumeration() -> None:
    torch.manual_seed(0)
    h, t = torch.randn(6, 3, dtype=torch.float64), 0.4
    codes = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=torch.float64)
    p = (-t * (h.unsqueeze(1) - codes).square().sum(-1)).softmax(-1)
    each, mean = code_entropies(h, t)
    assert each.item() == pytest.approx(-(p * p.log()).sum(-1).mean().item())
    assert mean.item() == pytest.approx(-(p.mean(0) * p.mean(0).log()).sum().item())
    assert mean >= each


def test_code_entropies_have_a_gradient_where_all_rows_are_sure_of_one_code() -> None:
    h = torch.tensor([[40.0, -60.0], [50.0, -45.0]], requires_grad=True)
    each, mean = code_entropies(h, 1.0)
    assert each.item() == mean.item() == 0
    (each - mean).backward()
    torch.testing.assert_close(h.grad, torch.zeros(2, 2))


@pytest.mark.parametrize("posterior", [Codes, GridCodes, SignCodes, StochasticCodes])
def test_a_map_of_codes_is_taken_as_it_is_by_every_posterior(posterior: type[Codes]) -> None:
    h = torch.randn(3, 8)
    assert posterior(8, 8, spatial=True).project(h) is h
    assert posterior(8, 8).project(h) is not h
    with pytest.raises(ValueError, match="a map of 8 numbers, and this one has 9 features"):
        posterior(9, 8, spatial=True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vq", {"codes": 1}, "codes must be a whole number of at least 2, got 1"),
        ("vq_ema", {"codes": 1}, "codes must be a whole number of at least 2, got 1"),
        ("residual_vq", {"codes": 1}, "codes must be a whole number of at least 2, got 1"),
        ("residual_vq", {"latent": 7}, "code_depth times others: 7 is none"),
        ("residual_vq", {"code_size": 3}, "sites times code_size: 4 is no such of 3"),
        ("vq", {"code_size": 0}, "code_size must be a whole number of at least 1, got 0"),
        ("vq_ema", {"code_decay": 1.0}, "code_decay must be a number of at least 0 and below 1, got 1.0"),
        ("residual_vq", {"objective": "elbo"}, "does not move the codes of prior residual_codes: choose objective=vq"),
    ],
)
def test_what_a_book_cannot_be_is_refused_in_one_line(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, SPEC, **SMALL[name] | options)


def test_a_book_is_of_what_was_asked_for() -> None:
    assert model("vq_ema", code_decay=0.5).prior.book.decay == 0.5
    assert build("lfq", SPEC, latent=14, code_size=14).prior.book.count == MOST_CODES  # as many as there may be


def test_pairs_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="objective elbo does not move the codes of prior codes: choose objective=vq"):
        build("vq", SPEC, objective="elbo")
    with pytest.raises(ValueError, match="posterior codes has codes latents and prior grid_codes has grid codes ones"):
        build("vq", SPEC, prior="grid_codes")
    with pytest.raises(ValueError, match="prior of independent codes that gradients move"):
        build("sq_vae", SPEC, autoregressive=True)
    with pytest.raises(ValueError, match="prior of independent codes that gradients move"):
        build("sq_vae", SPEC, prior="average_codes")
    with pytest.raises(ValueError, match="objective vq is for codes latents"):
        build("fsq", SPEC, objective="vq")
    with pytest.raises(ValueError, match="at most 16384 codes, not 32768"):
        build("lfq", SPEC, latent=15, code_size=15)
    with pytest.raises(ValueError, match="spatial codes need a network with a map"):
        build("vq", SPEC, spatial=True)
