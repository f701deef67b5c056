"""What the judge says of codes: how they are used, and a dash where q(z|x) is one point."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.judge import bounds, codes, evaluate
from bench.settings import Measure
from tests.helpers import Held
from variants import DataSpec, build

SPEC = DataSpec((6,), "binary", 40)


def held(n: int = 24) -> Held:
    return Held(torch.rand(n, 6, generator=torch.Generator().manual_seed(1)).round())


def test_perplexity_counts_codes_that_are_used_equally_often() -> None:
    every = torch.arange(8).repeat(5).reshape(10, 4)
    assert codes.usage(every, 8) == {"code_perplexity": pytest.approx(8), "dead_codes": 0}
    assert codes.usage(every, 16) == {"code_perplexity": pytest.approx(8), "dead_codes": 0.5}
    assert codes.usage(torch.full((10, 4), 3), 8) == {"code_perplexity": pytest.approx(1), "dead_codes": 7 / 8}
    # However rarely: dead is what is never used.
    assert codes.usage(torch.tensor([[0] * 9 + [1]]), 4)["dead_codes"] == 0.5
    two = torch.stack([torch.arange(6), torch.zeros(6, dtype=torch.long)], dim=1)
    assert codes.usage(two, 6, books=2) == {"code_perplexity": pytest.approx(3.5), "dead_codes": pytest.approx(5 / 12)}


@pytest.mark.parametrize("name", ["vq", "fsq", "residual_vq", "sq_vae"])
@pytest.mark.parametrize("points", [None, 7])
def test_a_posterior_of_one_point_has_no_nll_by_sampling_but_may_have_an_exact_one(
    name: str, points: int | None
) -> None:
    torch.manual_seed(0)
    small = {"latent": 4, "quant_levels": (3, 4)} if name == "fsq" else {"latent": 4, "code_size": 2, "codes": 4}
    model = build(name, SPEC, hidden=(8,), **small)
    metrics = evaluate(model, held(), Measure(2, 30, points, mi_points=8, gap_points=4, ais_points=4)).metrics
    exact = metrics["nll_exact_nats"]
    assert exact is not None
    assert -metrics["elbo_nats"] > exact - 1e-4
    sampled = ("nll_is30_nats", "inference_gap_nats", "bits_per_dim")
    if name == "sq_vae":
        assert abs(metrics["nll_is30_nats"] - exact) < 0.3
    else:
        assert {key: metrics[key] for key in sampled} == dict.fromkeys(sampled)
    assert metrics["approximation_gap_nats"] is metrics["nll_ais_nats"] is None
    assert 1 <= metrics["code_perplexity"] <= 12
    assert 0 <= metrics["dead_codes"] < 1
    assert 0 <= metrics["mutual_information_nats"] <= 3.2
    assert "code_perplexity" not in evaluate(build("vanilla", SPEC), held(), Measure(1, 0, None)).metrics


def test_a_map_has_the_code_of_each_place_where_it_stands() -> None:
    torch.manual_seed(0)
    image = DataSpec((1, 8, 12), "binary", 40)
    model = build("vq_spatial", image, code_size=4, latent=24, codes=8, channels=(4, 6), order_width=8).eval()
    with torch.no_grad():
        model.prior.book.weight.mul_(1e-3)  # of short vectors the nearest is one of the same direction: all are used
    x = torch.rand(3, *image.shape).round()
    maps = codes.code_maps(model, x)
    assert maps is not None
    assert (maps != maps.flip(2)).any()
    assert maps.shape == (3, 2, 3)
    # The decoder's own map of vectors has the book's vector of that index at that place.
    vectors = model.decoder.body[0](model.infer(x).mean)
    torch.testing.assert_close(model.prior.book.weight[maps].permute(0, 3, 1, 2), vectors, rtol=0, atol=1e-9)
    assert codes.code_maps(build("vq", image, latent=4, code_size=2), x) is None
    assert codes.code_maps(build("residual_conv", image, latent=4), x) is None


def test_of_several_books_the_map_is_of_the_first() -> None:
    indices = torch.arange(24).reshape(2, 12)
    model: Any = SimpleNamespace(
        infer=lambda _: SimpleNamespace(indices=indices), encoder=SimpleNamespace(sites=(2, 3))
    )
    maps = codes.code_maps(model, torch.zeros(2, 1, 4, 6))
    assert maps is not None
    assert maps.tolist() == [[[0, 1, 2], [3, 4, 5]], [[12, 13, 14], [15, 16, 17]]]


def test_a_model_with_several_books_tells_of_them_one_by_one() -> None:
    torch.manual_seed(0)
    model = build("residual_vq", SPEC, hidden=(8,), latent=4, code_size=2, codes=4)
    x = held().x
    q: Any = model.infer(x)
    assert q.books > 1
    found = bounds.point_metrics(model, held(), "test")  # type: ignore[arg-type]
    each = [codes.usage(part, q.codes) for part in q.indices.chunk(q.books, dim=-1)]
    for name in ("code_perplexity", "dead_codes"):
        assert found[name] == pytest.approx(sum(one[name] for one in each) / q.books)
        assert found[name] != pytest.approx(codes.usage(q.indices, q.codes)[name])
