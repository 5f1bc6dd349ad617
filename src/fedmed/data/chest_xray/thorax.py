"""A made-up chest as a map of how much each pixel absorbs: body, lungs, heart, spine, ribs, collarbones, diaphragm.

Places are shares of the film's edge from its middle, x from -1 at the left edge (the patient's right) to 1, y from -1
above to 1 below. Values are in units of the log of attenuation: air 0, soft tissue about 1, bone and dense fluid more.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]
"""Values (H, W) over a film."""

RIGHT, LEFT = -1, 1
"""The patient's sides, by the sign of x."""

RIBS = 9
"""Pairs of ribs that are seen above the diaphragm."""

SOFT, LUNG_DEPTH, SPINE, RIB, COLLARBONE = 1.0, 0.75, 0.4, 0.13, 0.2
"""What soft tissue absorbs, what lungs take away, and what bones add."""


@dataclass(frozen=True)
class Chest:
    """The proportions of one patient.

    Attributes:
        width: half the chest's width inside.
        apex: y of the lungs' tops.
        base: y of the diaphragm's domes at rest of the right side; the left one lies a little lower.
        dome: height of the domes.
        heart: half the heart's width.
        lung: how dark lungs are, as a factor of ``LUNG_DEPTH``.
        tilt: rotation of the whole in rad.
        shift: (x, y) of the whole.
    """

    width: float = 0.72
    apex: float = -0.72
    base: float = 0.5
    dome: float = 0.16
    heart: float = 0.32
    lung: float = 1.0
    tilt: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)


def random_chest(rng: np.random.Generator) -> Chest:
    """The proportions of a healthy patient."""
    return Chest(
        width=rng.uniform(0.7, 0.84),
        apex=rng.uniform(-0.78, -0.66),
        base=rng.uniform(0.42, 0.58),
        dome=rng.uniform(0.12, 0.2),
        heart=rng.uniform(0.27, 0.34),
        lung=rng.uniform(0.9, 1.1),
        tilt=rng.normal(0, 0.03),
        shift=(rng.normal(0, 0.03), rng.normal(0, 0.03)),
    )


@dataclass(frozen=True)
class Thorax:
    """A chest on the grid of a film: the coordinates, and the masks (0 to 1) from which findings are drawn."""

    chest: Chest
    x: Plane
    y: Plane
    body: Plane
    lungs: Plane  # both
    heart: Plane

    @classmethod
    def of(cls, chest: Chest, edge: int) -> "Thorax":
        """The chest on a film of ``edge`` x ``edge`` pixels."""
        x, y = _coordinates(chest, edge)
        lungs = np.maximum(lung(chest, x, y, RIGHT), lung(chest, x, y, LEFT))
        heart = _heart(chest, x, y)
        return cls(chest, x, y, _body(chest, x, y), lungs * (1 - heart), heart)

    def side(self, side: int) -> Plane:
        """The lung of one side, 0 to 1."""
        return np.asarray(self.lungs * (self.x * side > 0))

    def absorbed(self) -> Plane:
        """The map of a healthy chest."""
        bones = _spine(self.x, self.y) + _ribs(self.chest, self.x, self.y) + _collarbones(self.chest, self.x, self.y)
        below = _step(self.y - _diaphragm(self.chest, self.x), 0.05)
        soft = SOFT + 0.25 * below + 0.3 * self.heart - LUNG_DEPTH * self.chest.lung * self.lungs
        markings = 0.22 * self.lungs * np.exp(-((np.abs(self.x) - 0.2) ** 2 / 0.02 + (self.y + 0.05) ** 2 / 0.08))
        return np.asarray(self.body * (soft + bones + markings))


def _coordinates(chest: Chest, edge: int) -> tuple[Plane, Plane]:
    places = (np.arange(edge) + 0.5) / edge * 2 - 1
    y, x = np.meshgrid(places - chest.shift[1], places - chest.shift[0], indexing="ij")
    cosine, sine = np.cos(chest.tilt), np.sin(chest.tilt)
    return cosine * x + sine * y, cosine * y - sine * x


def _step(distance: Plane, width: float) -> Plane:
    """0 for negative distances and 1 for positive ones, over about ``width``."""
    return np.asarray(1 / (1 + np.exp(-np.clip(distance / (0.25 * width), -40, 40))))


def ellipse(x: Plane, y: Plane, centre: tuple[float, float], radii: tuple[float, float], edge: float = 0.06) -> Plane:
    """1 inside an ellipse and 0 outside, over about ``edge``."""
    away = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
    return _step((1 - away) * min(radii), edge)


def _diaphragm(chest: Chest, x: Plane) -> Plane:
    """y of the diaphragm above each x: two domes, the left one lower."""
    away = (np.abs(x) - 0.45 * chest.width) / (0.6 * chest.width)
    return np.asarray(chest.base + 0.05 * (x > 0) + chest.dome * np.clip(away**2, 0, 1.5))


def lung(chest: Chest, x: Plane, y: Plane, side: int) -> Plane:
    """One lung, 0 to 1: narrow above, wide below, cut by the diaphragm."""
    outward = x * side
    down = np.clip((y - chest.apex) / (chest.base - chest.apex), 0, 1)
    outer = chest.width * (0.5 + 0.5 * np.sqrt(np.clip(down, 0, 1)))
    inner = 0.1 + 0.05 * down
    across = _step(outward - inner, 0.05) * _step(outer - outward, 0.05)
    middle = 0.33 * chest.width + 0.1
    top = chest.apex + 0.5 * ((outward - middle) / (0.5 * chest.width)) ** 2 * (chest.base - chest.apex) * 0.35
    return np.asarray(across * _step(y - top, 0.06) * _step(_diaphragm(chest, x) - y, 0.05))


def _body(chest: Chest, x: Plane, y: Plane) -> Plane:
    """Neck, shoulders and trunk against the air around."""
    shoulders = 0.22 + 0.9 * _step(y + 0.8, 0.35) - (0.92 - chest.width) * np.clip(y + 0.3, 0, 0.6) / 0.6
    return _step(shoulders - np.abs(x), 0.05)


def _heart(chest: Chest, x: Plane, y: Plane) -> Plane:
    """The heart, two thirds of it at the patient's left, with the great vessels above."""
    below = ellipse(x, y, (0.33 * chest.heart, chest.base - 0.22), (chest.heart, 0.3))
    above = ellipse(x, y, (0.05, chest.base - 0.65), (0.15, 0.35))
    return np.asarray(np.maximum(below, above))


def _spine(x: Plane, y: Plane) -> Plane:
    vertebrae = 1 + 0.15 * np.sin(2 * np.pi * y / 0.16)
    return np.asarray(SPINE * np.exp(-((x / 0.09) ** 4)) * vertebrae)


def _ribs(chest: Chest, x: Plane, y: Plane) -> Plane:
    """Arches that fall outwards; thin lines of more absorption beside the spine and to the chest's wall."""
    outward = np.abs(x) / chest.width
    fall = 0.22 * (1 - np.sqrt(np.clip(1 - np.clip(outward, 0, 1) ** 2, 0, 1))) - 0.06 * np.sin(np.pi * outward)
    spacing = (chest.base - chest.apex) / RIBS
    phase = (y - chest.apex - fall) / spacing
    line = np.exp(-(((phase - np.round(phase)) / 0.2) ** 2))
    seen = (outward > 0.12) & (outward < 1.08) & (phase > -0.5) & (phase < RIBS + 0.5)
    return np.asarray(RIB * line * seen)


def _collarbones(chest: Chest, x: Plane, y: Plane) -> Plane:
    height = chest.apex + 0.14 - 0.12 * np.abs(x)
    across = (np.abs(x) > 0.08) & (np.abs(x) < chest.width)
    return np.asarray(COLLARBONE * np.exp(-(((y - height) / 0.035) ** 2)) * across)
