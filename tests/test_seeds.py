"""Random streams: one for each axis, repeatable, and no axis disturbs another."""

import torch

from bench import seeds

AXES = ("init", "order", "binarise", "noise", "evaluate", "importance", "pictures", "check", "throughput")


def test_every_axis_of_every_seed_has_a_stream_of_its_own() -> None:
    derived = {seeds.derive(seed, axis) for seed in range(50) for axis in AXES}
    assert len(derived) == 50 * len(AXES)
    assert all(0 <= value < 2**63 for value in derived)
    assert seeds.derive(3, "order") == seeds.derive(3, "order")


def test_the_streams_are_those_of_the_published_results() -> None:
    # A change here changes every number: raise the protocol with it.
    assert seeds.derive(0, "init") == 7885824881599989479
    assert seeds.derive(1, "noise") == 5290292316638724659


def test_a_generator_starts_at_its_axis_and_knows_no_other() -> None:
    first = seeds.generator(0, "order")
    torch.rand(3)
    draws = torch.rand(4, generator=first)
    torch.rand(9, generator=seeds.generator(0, "binarise"))
    assert torch.equal(torch.rand(4, generator=seeds.generator(0, "order")), draws)
    assert not torch.equal(torch.rand(4, generator=seeds.generator(0, "noise")), draws)
    assert not torch.equal(torch.rand(4, generator=seeds.generator(1, "order")), draws)


def test_a_stream_repeats_and_gives_back_the_surrounding_one() -> None:
    torch.manual_seed(11)
    expected = torch.rand(6)
    torch.manual_seed(11)
    start = torch.rand(3)
    with seeds.stream(0, "evaluate", "cpu"):
        inside = torch.rand(100)
        with seeds.stream(0, "importance", "cpu"):
            nested = torch.rand(5)
        after = torch.rand(1)
    assert torch.equal(torch.cat([start, torch.rand(3)]), expected)
    with seeds.stream(0, "evaluate", "cpu"):
        assert torch.equal(torch.rand(100), inside)
        assert torch.equal(torch.rand(1), after)
    with seeds.stream(0, "importance", "cpu"):
        assert torch.equal(torch.rand(5), nested)
    assert not torch.equal(inside[:5], nested)


def test_a_stream_is_given_back_after_an_error_too() -> None:
    before = torch.get_rng_state()
    try:
        with seeds.stream(0, "evaluate", "cpu"):
            torch.rand(3)
            raise RuntimeError
    except RuntimeError:
        pass
    assert torch.equal(torch.get_rng_state(), before)
