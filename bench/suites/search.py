"""The ranges over which settings are searched, and what each trial draws from them. No torch."""

import random
from typing import Annotated, Any

from msgspec import Meta, Struct, json

from bench.settings import MOST, Finite, Natural, check_plain

# Trials have the seeds from here on; those of a suite, which judge what was chosen, stand below.
FIRST_SEED = 10**9

_End = Annotated[int, Meta(ge=-MOST, le=MOST)] | Finite


class Range(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a setting may be: one of the three.

    Attributes:
        linear: the lowest and the highest, each value between them as likely as any; whole numbers where both are.
        log: likewise, each factor as likely as any; above 0.
        choice: these.
    """

    linear: tuple[_End, _End] | None = None
    log: tuple[_End, _End] | None = None
    choice: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.linear, self.log, self.choice)) != 1:
            raise ValueError("linear = [low, high], log = [low, high], choice = [...]: say one of the three")
        for name, ends in (("linear", self.linear), ("log", self.log)):
            if ends and not ends[0] < ends[1]:
                raise ValueError(f"{name} must go from a lower to a higher number, got {list(ends)}")
        if self.log and self.log[0] <= 0:
            raise ValueError(f"log must be above 0, got {list(self.log)}")
        if self.choice is not None and not self.choice:
            raise ValueError("choice must have an entry")
        check_plain("choice", self.choice)

    @property
    def extremes(self) -> tuple[Any, ...]:
        """The values that a variant is asked about before anything is run: both ends, or all choices."""
        return self.choice or self.linear or self.log or ()

    def at(self, share: float) -> Any:
        """The value at a share in [0, 1) of the range; of numbers that are not whole, three digits."""
        if self.choice is not None:
            return self.choice[int(share * len(self.choice))]
        low, high = self.extremes
        whole = isinstance(low, int) and isinstance(high, int)
        top = high + 1 if whole else high
        value = low * (top / low) ** share if self.log else low + share * (top - low)
        return min(int(value // 1), high) if whole else min(max(float(f"{value:.3g}"), low), high)


def as_json(value: Struct | dict[str, Range]) -> dict[str, Any]:
    """A range's, or ranges', form in a cell: that which a record has."""
    content: dict[str, Any] = json.decode(json.encode(value))
    return content


class Search(Struct, frozen=True, forbid_unknown_fields=True):
    """For each variant of a suite so many trials, the best of which on the validation split gives its settings.

    Attributes:
        trials: of each variant, on each data set.
        metric: what is best, by its direction; measured on the validation split as the test split is by the others.
        stream: another number gives other draws.
        ranges: by key of the budget, or keyword of those variants that take it.
    """

    trials: Annotated[int, Meta(ge=1, le=10_000)] = 8
    metric: str = "elbo_nats"
    stream: Natural = 0
    ranges: dict[str, Range] = {}

    def plain(self) -> dict[str, Any]:
        """As a cell has it."""
        return as_json(self)

    def drawn(self, ranges: dict[str, Range], trial: int) -> dict[str, Any]:
        """The settings of one trial.

        A draw depends on the stream, the key and the trial's number alone. So it is the same in whatever order and
        wherever trials are run, more trials begin with the same ones, and all variants try the same values of a key
        that they share: paired, as seeds are.
        """
        return {key: each.at(random.Random(f"{self.stream}:{key}:{trial}").random()) for key, each in ranges.items()}
