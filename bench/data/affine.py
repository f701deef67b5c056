"""MNIST's digits turned, scaled, sheared and shifted by known amounts, as in affNIST (Tieleman 2013)."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from bench.data.entry import SPLITS
from bench.data.factors import Factor, Factors, Values, combinations
from bench.data.files import folder_of
from bench.data.generated import AFFINE
from bench.data.readers import Raw, read
from bench.data.sets import find

SEED = 20_017
SIDE = 40
# The furthest of each: degrees, the factor of the size, of the shear, and pixels.
TURN, SMALLEST, LARGEST, SHEAR, SHIFT = 50.0, 0.7, 1.2, 0.4, 6.0


@dataclass(frozen=True)
class Warped:
    """Digits, each put on a larger field by its own map when it is asked for.

    Attributes:
        digits: `[N, 28, 28]`.
        values: class, rotation, scale, shear, x, y, `[N, 6]`.
    """

    digits: NDArray[np.uint8]
    values: Values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return warped(self.digits[index], self.values[index, 1:])


def warped(digit: NDArray[np.uint8], row: Values) -> NDArray[np.uint8]:
    """A digit `[28, 28]` and rotation, scale, shear, x, y -> `[1, 40, 40]`."""
    share = row / (np.array([*AFFINE.values()]) - 1)  # each from 0 to 1
    angle = np.deg2rad(TURN) * (2 * share[0] - 1)
    size, shear = SMALLEST + (LARGEST - SMALLEST) * share[1], SHEAR * (2 * share[2] - 1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # Rows come before columns: a point of the field is mapped back to one of the digit.
    back = np.linalg.inv(size * turn @ np.array([[1.0, 0.0], [shear, 1.0]]))
    place = (SIDE - 1) / 2 + SHIFT * (2 * share[:2:-1] - 1)
    offset = 13.5 - back @ place
    field = affine_transform(digit.astype(np.float64), back, offset, (SIDE, SIDE), order=1)
    return np.asarray(np.clip(field, 0, 255).round(), dtype=np.uint8)[None]


def make(n: int) -> tuple[Raw, None]:
    """`n` digits of MNIST's own splits under different maps, drawn as they are needed. The label is the digit."""
    mnist = read("mnist", folder_of(find("mnist")))
    maps = combinations(AFFINE, n, SEED)
    values, images, labels = {}, {}, {}
    digest = hashlib.sha256()
    for split in SPLITS:
        count = len(maps.values[split])
        digits = np.asarray(mnist.images[split][:count, 0])  # type: ignore[index]
        labels[split] = mnist.labels[split][:count].copy()
        values[split] = np.concatenate([labels[split][:, None], maps.values[split]], axis=1)
        images[split] = Warped(digits.copy(), values[split])
        digest.update(values[split].tobytes())
        digest.update(digits.tobytes())
        digest.update(np.stack([images[split][i] for i in range(0, count, 100)]).tobytes())
    factors = Factors((Factor("digit", 10, ordered=False), *maps.table), values)
    return Raw(images, labels, 255, digest.hexdigest(), factors), None
