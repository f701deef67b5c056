"""Images that are made from known factors: sprites after dSprites, and squares that no distance of pixels tells apart.

Sources: Matthey, Higgins, Hassabis and Lerchner 2017, dSprites; Michlo, Klein and James 2023, "Overlooked implications
of the reconstruction loss for VAE disentanglement", arXiv:2202.13341 (XYSquares).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import SPLITS
from bench.data.factors import Rendered, Values, checksum, combinations
from bench.data.generated import SPRITES, SQUARES
from bench.data.readers import Raw

SEED = 20_013
SIDE = 32
# A sprite is drawn on so many pixels and put at one of 16 x 16 places.
STAMP = 17
# Degrees after which a shape is itself again: a square turned by 90 degrees would be one image with two labels.
PERIODS = (90.0, 180.0, 360.0)
SMALLEST, LARGEST = 4.0, 5.4
OFFSET = (0.15, 0.35)
CELL = 8


@cache
def _stamps() -> NDArray[np.uint8]:
    """`[shape, scale, angle, STAMP, STAMP]`, zeros and ones: a pixel is white where its centre is in the shape."""
    axis = np.arange(STAMP) - (STAMP - 1) / 2
    # A centre beside the middle of a pixel: an outline is then another set of pixels at every angle.
    across, down = np.meshgrid(axis + OFFSET[0], axis + OFFSET[1])
    sizes = (SPRITES["*shape"], SPRITES["scale"], SPRITES["angle"])
    stamps = np.zeros((*sizes, STAMP, STAMP), dtype=np.uint8)
    for shape, scale, turn in np.ndindex(*sizes):
        size = SMALLEST + (LARGEST - SMALLEST) * scale / (sizes[1] - 1)
        angle = np.deg2rad(PERIODS[shape] * turn / sizes[2])
        u = (np.cos(angle) * across + np.sin(angle) * down) / size
        v = (np.cos(angle) * down - np.sin(angle) * across) / size
        # The heart is (x^2 + y^2 - 1)^3 = x^2 y^3, at nine tenths of the size so that it fits.
        a, b = u / 0.9 * 1.2, -v / 0.9 * 1.2
        inside = (
            np.maximum(np.abs(u), np.abs(v)) <= 1,
            np.square(u / 1.3) + np.square(v / 0.65) <= 1,
            (np.square(a) + np.square(b) - 1) ** 3 <= np.square(a) * b**3,
        )[shape]
        stamps[shape, scale, turn] = inside
    return stamps


def sprite(row: Values) -> NDArray[np.uint8]:
    """Shape, scale, angle, x, y -> `[1, 32, 32]`, zeros and ones."""
    shape, scale, turn, x, y = row
    image = np.zeros((1, SIDE, SIDE), dtype=np.uint8)
    image[0, y : y + STAMP, x : x + STAMP] = _stamps()[shape, scale, turn]
    return image


def squares(row: Values) -> NDArray[np.uint8]:
    """x and y of the red, the green and the blue square -> `[3, 64, 64]`, 0 or 255."""
    image = np.zeros((3, 8 * CELL, 8 * CELL), dtype=np.uint8)
    for channel, (x, y) in enumerate(row.reshape(3, 2)):
        image[channel, CELL * y : CELL * (y + 1), CELL * x : CELL * (x + 1)] = 255
    return image


def make(n: int, pairs: int = 0) -> tuple[Raw, None]:
    """`n` sprites of different combinations, all held: they are small. The label is the shape."""
    factors = combinations(SPRITES, n, SEED, pairs)
    images = {split: np.stack([sprite(row) for row in factors.values[split]]) for split in SPLITS}
    labels = {split: factors.values[split][:, 0].copy() for split in SPLITS}
    return Raw(images, labels, 1, checksum(factors, sprite), factors), None


def make_squares(n: int, pairs: int = 0) -> tuple[Raw, None]:
    """`n` images of three squares, drawn as they are needed."""
    factors = combinations(SQUARES, n, SEED, pairs)
    images = {split: Rendered(factors.values[split], squares) for split in SPLITS}
    labels = {split: np.zeros(len(factors.values[split]), dtype=np.int64) for split in SPLITS}
    return Raw(images, labels, 255, checksum(factors, squares), factors), None
