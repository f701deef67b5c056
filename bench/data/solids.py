"""Solids in a room, after 3D Shapes (Burgess and Kim 2018): colours, size, shape and viewpoint are the factors.

Painted in one plane, from back to front: two walls that meet in a corner, the floor, the solid. Whoever looks from
another side sees the corner elsewhere, the box turned, and light on another side.
"""

import colorsys
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.data.entry import SPLITS
from bench.data.factors import Rendered, Values, checksum, combinations
from bench.data.generated import SOLIDS
from bench.data.readers import Raw

SEED = 20_016
SIDE = 64
# Where the corner stands and how steeply walls come nearer; the middle of the solid's base; how flat circles look.
HORIZON, SLOPE, BASE, FLAT = 30.0, 0.15, 48.0, 0.35
# Degrees to either side from which one looks.
WIDEST = 35.0

Plane = NDArray[np.float64]


@cache
def _hues(count: int) -> NDArray[np.float64]:
    return np.array([colorsys.hsv_to_rgb(i / count, 0.8, 0.95) for i in range(count)])


@cache
def _grid() -> tuple[Plane, Plane]:
    axis = np.arange(SIDE) + 0.5
    across, down = np.meshgrid(axis, axis)
    return across, down


def solid(row: Values) -> NDArray[np.uint8]:
    """Hue of floor, wall and solid, size, shape and azimuth -> `[3, 64, 64]`."""
    floor, wall, own, size, shape, azimuth = row.tolist()
    across, down = _grid()
    angle = np.deg2rad(WIDEST) * (2 * azimuth / (SOLIDS["azimuth"] - 1) - 1)
    corner = SIDE / 2 + 0.6 * SIDE / 2 * np.sin(angle) / np.sin(np.deg2rad(WIDEST))
    image = np.empty((3, SIDE, SIDE))
    shade = np.where(across < corner, 1.0, 0.75)
    image[:] = _hues(SOLIDS["wall"])[wall][:, None, None] * shade
    below = down > HORIZON + SLOPE * np.abs(across - corner)
    image[:, below] = 0.85 * _hues(SOLIDS["floor"])[floor][:, None]
    radius = 8.0 + 1.1 * size
    colour = _hues(SOLIDS["object"])[own][:, None]
    for where, light in (_box, _ball, _cylinder, _cone)[shape](across - SIDE / 2, BASE - down, radius, angle):
        image[:, where] = np.clip(colour * light[where], 0, 1)
    return np.asarray((255 * image).round(), dtype=np.uint8)


Part = tuple[NDArray[np.bool_], Plane]


def _lit(normal: Plane, angle: float) -> Plane:
    """How bright a round side is whose outline runs from -1 to 1: brightest where it faces a light that turns."""
    facing = np.cos(np.arcsin(np.clip(normal, -1, 1)) + 0.6 + angle)
    return np.asarray(0.45 + 0.55 * np.clip(facing, 0, 1))


def _ball(x: Plane, up: Plane, r: float, angle: float) -> list[Part]:
    high = (up - r) / r
    wide = np.sqrt(np.clip(1 - high**2, 1e-9, None))
    return [((x / r) ** 2 + high**2 <= 1, _lit(x / r / wide, angle) * (0.8 + 0.2 * high))]


def _cylinder(x: Plane, up: Plane, r: float, angle: float) -> list[Part]:
    edge = FLAT * np.sqrt(np.clip(r**2 - x**2, 0, None))
    side = (np.abs(x) <= r) & (up >= -edge) & (up <= 1.5 * r)
    top = (x / r) ** 2 + ((up - 1.5 * r) / (FLAT * r)) ** 2 <= 1
    return [(side, _lit(x / r, angle)), (top, np.full_like(x, 1.0))]


def _cone(x: Plane, up: Plane, r: float, angle: float) -> list[Part]:
    wide = r * np.clip(1 - up / (2 * r), 1e-9, 1)
    base = (x / r) ** 2 + (up / (FLAT * r)) ** 2 <= 1
    side = (np.abs(x) <= wide) & (up >= 0) & (up <= 2 * r)
    return [(base | side, _lit(x / wide, angle))]


def _box(x: Plane, up: Plane, r: float, angle: float) -> list[Part]:
    turns = angle + np.pi / 4 + np.pi / 2 * np.arange(4)
    corners = np.stack([1.2 * r * np.cos(turns), 1.2 * r * np.sin(turns)], axis=1)  # across, and towards the eye
    parts: list[Part] = []
    for first, second in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if second[0] < first[0]:  # a side that is seen runs from right to left
            share = (x - second[0]) / (first[0] - second[0])
            foot = -FLAT * (second[1] + share * (first[1] - second[1]))
            light = 0.7 - 0.25 * (first[1] - second[1]) / (1.2 * r * np.sqrt(2))
            parts.append(((share >= 0) & (share <= 1) & (up >= foot) & (up <= foot + 1.5 * r), np.full_like(x, light)))
    top = np.ones_like(x, dtype=bool)
    for first, second in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        (ax, ay), (bx, by) = first, second
        top &= (bx - ax) * (-(up - 1.5 * r) / FLAT - ay) - (by - ay) * (x - ax) >= 0
    return [*parts, (top, np.full_like(x, 1.0))]


def make(n: int, pairs: int = 0) -> tuple[Raw, None]:
    """`n` images, drawn as they are needed. The label is the shape."""
    factors = combinations(SOLIDS, n, SEED, pairs)
    images = {split: Rendered(factors.values[split], solid) for split in SPLITS}
    labels = {split: factors.values[split][:, 4].copy() for split in SPLITS}
    return Raw(images, labels, 255, checksum(factors, solid), factors), None
