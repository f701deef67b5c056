"""The data sets that are generated, with their truth: one entry each."""

import math
from typing import Any

from bench.data.entry import DataSet, Options, tenths
from bench.errors import UsageError

# A network with so many bits has all its states counted.
MOST_BITS = 12
# Below this variance the integral over two latents would need a finer grid.
LEAST_NOISE = 0.01
# Factors of variation and how many values each has; `*` stands before those whose values have no order.
SPRITES = {"*shape": 3, "scale": 6, "angle": 16, "x": 16, "y": 16}
SQUARES = {f"{axis}_{colour}": 8 for colour in ("red", "green", "blue") for axis in "xy"}
SOLIDS = {"floor": 10, "wall": 10, "object": 10, "size": 8, "*shape": 4, "azimuth": 15}
AFFINE = {"rotation": 12, "scale": 6, "shear": 6, "x": 8, "y": 8}
# In so many factors the two of a training pair differ; 0 for no pairs.
PAIRS = {"pairs": 0}
# Moons, rings, pinwheel, eight Gaussians, spiral: what the plane has of them is in `bench.data.plane`.
PLANE = ("moons", "rings", "pinwheel", "eight_gaussians", "spiral")


def _check_gaussian(name: str, options: Options) -> None:
    if not 1 <= options["k"] <= options["d"]:
        raise UsageError(f"{name}: option k must be from 1 to d = {options['d']}, got {options['k']}")
    if not (options["noise"] > 0 and math.isfinite(options["noise"])):
        raise UsageError(f"{name}: option noise (a variance) must be above 0, got {options['noise']}")


def _check_bits(name: str, options: Options) -> None:
    if not 1 <= options["bits"] <= MOST_BITS:
        raise UsageError(f"{name}: option bits must be from 1 to {MOST_BITS}, got {options['bits']}")


# What generated sets share: vectors of `d` values, `n` of them.
_GENERATED: dict[str, Any] = {
    "shape": (16,),
    "splits": tenths(10_000),
    "rule": "of n examples the last tenth test, the tenth before it valid",
    "binarise": "none",
    "licence": "none needed",
}


def _check_teacher(name: str, options: Options) -> None:
    if not (options["noise"] >= LEAST_NOISE and math.isfinite(options["noise"])):
        raise UsageError(f"{name}: option noise (a variance) must be at least {LEAST_NOISE}, got {options['noise']}")


def _check_counts(name: str, options: Options) -> None:
    if not (options["dispersion"] > 0 and math.isfinite(options["dispersion"])):
        raise UsageError(f"{name}: option dispersion must be above 0, got {options['dispersion']}")


def _with_factors(name: str, shape: tuple[int, ...], factors: dict[str, int], source: str, **more: Any) -> DataSet:
    """An entry of `n` different combinations of factors."""
    most = math.prod(factors.values())

    def check(name: str, options: Options) -> None:
        if options["n"] > most:
            raise UsageError(f"{name}: option n must be at most {most:,}, its combinations of factors")
        if options.get("pairs", 0) and tenths(int(options["n"]))["train"] % 2:
            raise UsageError(f"{name}: pairs need an even number to train on: n={options['n'] + 1}, say")
        if options.get("pairs", 0) > len(factors):
            raise UsageError(
                f"{name}: option pairs must be at most {len(factors)}, the factors in which two may differ"
            )

    return DataSet(
        name=name,
        shape=shape,
        splits=tenths(20_000),
        rule="n different combinations of factors in a fixed random order: last tenth test, the tenth before it valid",
        binarise="none",
        source=f"generated: {source}",
        licence="none needed",
        options={"n": 20_000},
        least={"n": 10},
        check=check,
        **more,
    )


GENERATED = (
    DataSet(
        name="linear_gaussian",
        **_GENERATED,
        source="generated: x = Wz + mean + N(0, noise I)",
        options={"d": 16, "k": 4, "noise": 0.1, "orthogonal": False, "n": 10_000},
        least={"d": 1, "n": 10},
        check=_check_gaussian,
        kind="real",
        maker="gaussian:make",
    ),
    DataSet(
        name="flow_data",
        **_GENERATED,
        source="generated: x = f(u), f a fixed flow of couplings, u Gaussian of variance 1 in k directions, else noise",
        options={"d": 16, "k": 4, "noise": 0.1, "n": 10_000},
        least={"d": 2, "n": 10},  # a coupling has two halves
        check=_check_gaussian,
        kind="real",
        maker="flow:make",
    ),
    DataSet(
        name="tiny_sbn",
        **_GENERATED,
        source="generated: bits z, x = 1 with probability sigmoid(Wz + bias)",
        options={"d": 16, "bits": 8, "n": 10_000},
        least={"d": 1, "n": 10},
        check=_check_bits,
        kind="binary",
        maker="belief:make",
    ),
    DataSet(
        name="teacher",
        **_GENERATED,
        source="generated: x = f(z) + N(0, noise I), f a fixed random network of two latents",
        options={"d": 16, "noise": 0.1, "n": 10_000},
        least={"d": 1, "n": 10},
        check=_check_teacher,
        kind="real",
        maker="teacher:make",
    ),
    DataSet(
        name="gaussian_mixture",
        **_GENERATED,
        source="generated: one of so many Gaussians of full covariance, whose number is the label",
        options={"d": 16, "classes": 5, "n": 10_000},
        class_count=5,
        least={"d": 1, "classes": 1, "n": 10},
        kind="real",
        maker="plane:mixture",
    ),
    DataSet(
        name="counts",
        **_GENERATED,
        source="generated: one of so many clusters, x negative binomial with the cluster's mean and one dispersion",
        options={"d": 16, "clusters": 8, "dispersion": 2.0, "n": 10_000},
        least={"d": 1, "clusters": 1, "n": 10},
        check=_check_counts,
        kind="counts",
        maker="counts:make",
    ),
    *(
        DataSet(
            name=name,
            **_GENERATED | {"shape": (2,)},
            source="generated: points of the plane",
            options={"n": 10_000},
            least={"n": 10},
            kind="real",
            maker=f"plane:{name}",
        )
        for name in PLANE
    ),
    _with_factors(
        "sprites",
        (1, 32, 32),
        SPRITES,
        "a square, an ellipse or a heart, of 6 sizes, 16 angles and 16 x 16 places, white on black",
        kind="binary",
        maker="sprites:make",
        added=PAIRS,
        class_count=SPRITES["*shape"],
    ),
    _with_factors(
        "xy_squares",
        (3, 64, 64),
        SQUARES,
        "a red, a green and a blue square, each on a grid of 8 x 8, so that no two examples are nearer than others",
        maker="sprites:make_squares",
        added=PAIRS,
    ),
    _with_factors(
        "solids",
        (3, 64, 64),
        SOLIDS,
        "a box, ball, cylinder or cone in a room: hues of floor, wall and solid, sizes, and where one looks from",
        maker="solids:make",
        added=PAIRS,
        class_count=SOLIDS["*shape"],
    ),
    _with_factors(
        "affine_digits",
        (1, 40, 40),
        AFFINE,
        "MNIST's digits, turned, scaled, sheared and shifted on a field of 40 x 40",
        maker="affine:make",
        class_count=10,
    ),
)
