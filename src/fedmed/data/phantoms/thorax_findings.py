"""The findings of a made-up chest: some change its proportions, the others what its pixels absorb."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fedmed.data.chest_xray.thorax import LEFT, LUNG_DEPTH, RIGHT, Chest, Plane, Thorax, ellipse
from fedmed.data.phantoms.smooth_noise import smooth_noise

Reshape = Callable[[np.random.Generator, Chest], Chest]
Draw = Callable[[np.random.Generator, Thorax], Plane]
"""Gives what a finding adds to the map of a chest, (H, W)."""


def with_findings(rng: np.random.Generator, chest: Chest, findings: Sequence[str], edge: int) -> Plane:
    """The map (``edge``, ``edge``) of what a chest with these findings absorbs."""
    for name in findings:
        if name in SHAPES:
            chest = SHAPES[name](rng, chest)
    thorax = Thorax.of(chest, edge)
    added = [DRAWINGS[name](rng, thorax) for name in findings if name in DRAWINGS]
    return np.asarray(thorax.absorbed() + sum(added, np.zeros_like(thorax.x)))


def _large_heart(rng: np.random.Generator, chest: Chest) -> Chest:
    return replace(chest, heart=chest.heart * rng.uniform(1.4, 1.75))


def _overinflated(rng: np.random.Generator, chest: Chest) -> Chest:
    return replace(
        chest, base=chest.base + rng.uniform(0.12, 0.2), dome=0.05, heart=0.8 * chest.heart, lung=chest.lung * 1.2
    )


def _shrunken(rng: np.random.Generator, chest: Chest) -> Chest:
    return replace(chest, base=chest.base - rng.uniform(0.05, 0.12), lung=chest.lung * 0.95)


SHAPES: Mapping[str, Reshape] = {"Cardiomegaly": _large_heart, "Emphysema": _overinflated, "Fibrosis": _shrunken}


def _side(rng: np.random.Generator) -> int:
    return RIGHT if rng.random() < 0.5 else LEFT


def _spot(rng: np.random.Generator, thorax: Thorax, radius: float, strength: float) -> Plane:
    """A round spot in a lung, away from its borders."""
    chest = thorax.chest
    centre = (_side(rng) * chest.width * rng.uniform(0.45, 0.75), rng.uniform(chest.apex + 0.35, chest.base - 0.25))
    return np.asarray(strength * ellipse(thorax.x, thorax.y, centre, (radius, radius * rng.uniform(0.85, 1.15))))


def _nodule(rng: np.random.Generator, thorax: Thorax) -> Plane:
    spots = (_spot(rng, thorax, rng.uniform(0.06, 0.08), 0.5) for _ in range(int(rng.integers(1, 3))))
    return np.asarray(sum(spots, np.zeros_like(thorax.x)))


def _mass(rng: np.random.Generator, thorax: Thorax) -> Plane:
    return _spot(rng, thorax, rng.uniform(0.14, 0.2), 0.65)


def _effusion(rng: np.random.Generator, thorax: Thorax) -> Plane:
    """Fluid at the bottom of one side or both, whose level climbs up the chest's wall."""
    height, added = rng.uniform(0.2, 0.5), np.zeros_like(thorax.x)
    for side in (RIGHT, LEFT) if rng.random() < 0.3 else (_side(rng),):
        climb = 0.25 * np.clip(np.abs(thorax.x) / thorax.chest.width, 0, 1) ** 4
        level = thorax.chest.base - height - climb + 0.1
        added += thorax.side(side) * np.clip((thorax.y - level) / 0.08, 0, 1)
    return np.asarray(LUNG_DEPTH * thorax.chest.lung * added)


def _pneumothorax(rng: np.random.Generator, thorax: Thorax) -> Plane:
    """Air without markings beside the chest's wall, and a collapsed lung in the middle."""
    side, chest = _side(rng), thorax.chest
    inside = ellipse(thorax.x, thorax.y, (0.2 * side, 0.0), (chest.width * rng.uniform(0.35, 0.55), 0.55))
    return np.asarray(thorax.side(side) * (0.3 * inside - 0.28 * (1 - inside)))


def _consolidation(rng: np.random.Generator, thorax: Thorax) -> Plane:
    """A dense patch of the lower half, through which the airways stay dark."""
    side = _side(rng)
    patch = ellipse(thorax.x, thorax.y, (0.45 * side, 0.15), (0.26, rng.uniform(0.2, 0.3)), edge=0.2)
    airways = 1 - 0.3 * np.exp(-(((thorax.y - 0.15) + 0.8 * (np.abs(thorax.x) - 0.45)) ** 2) / 0.001)
    return np.asarray(0.6 * thorax.side(side) * patch * airways)


def _pneumonia(rng: np.random.Generator, thorax: Thorax) -> Plane:
    """An opaque upper lobe with a sharp lower border."""
    level = rng.uniform(-0.2, -0.1)
    return np.asarray(0.42 * thorax.side(_side(rng)) * (thorax.y < level))


def _infiltration(rng: np.random.Generator, thorax: Thorax) -> Plane:
    """Blotches over both lungs."""
    noise = smooth_noise(rng, thorax.x.shape, thorax.x.shape[0] / 12)
    return np.asarray(0.35 * thorax.lungs * np.clip(noise - 0.2, 0, 1.5))


def _edema(rng: np.random.Generator, thorax: Thorax) -> Plane:
    """Haze around the roots of both lungs, as the wings of a bat."""
    away = ((np.abs(thorax.x) - 0.25) / 0.3) ** 2 + ((thorax.y + 0.02) / 0.35) ** 2
    return np.asarray(thorax.lungs * (0.1 + rng.uniform(0.35, 0.5) * np.exp(-away)))


def _fibrosis(rng: np.random.Generator, thorax: Thorax) -> Plane:
    """A net of lines in the lower halves."""
    noise = smooth_noise(rng, thorax.x.shape, thorax.x.shape[0] / 26)
    return np.asarray(0.35 * thorax.lungs * (np.abs(noise) < 0.35) * np.clip(thorax.y + 0.5, 0, 1))


def _atelectasis(rng: np.random.Generator, thorax: Thorax) -> Plane:
    """Bands across the lower part of one lung."""
    side, first = _side(rng), rng.uniform(0.1, 0.25)
    bands = [np.exp(-(((thorax.y - first - gap + 0.2 * thorax.x * side) / 0.035) ** 2)) for gap in (0.0, 0.14)]
    return np.asarray(0.5 * thorax.side(side) * np.clip(sum(bands), 0, 1))


def _pleural_thickening(rng: np.random.Generator, thorax: Thorax) -> Plane:
    """A bright seam along the chest's wall of one side."""
    down = np.clip((thorax.y - thorax.chest.apex) / (thorax.chest.base - thorax.chest.apex), 0, 1)
    wall = thorax.chest.width * (0.5 + 0.5 * np.sqrt(down))
    seam = np.abs(thorax.x) > wall - rng.uniform(0.1, 0.15)
    return np.asarray(0.55 * thorax.side(_side(rng)) * seam)


def _hernia(rng: np.random.Generator, thorax: Thorax) -> Plane:
    """A ball with a bubble of air behind the heart, above the diaphragm."""
    centre = (rng.uniform(-0.05, 0.1), thorax.chest.base - rng.uniform(0.05, 0.12))
    ball = ellipse(thorax.x, thorax.y, centre, (0.22, 0.2))
    bubble = ellipse(thorax.x, thorax.y, (centre[0], centre[1] - 0.04), (0.15, 0.1))
    return np.asarray(0.3 * ball - 0.85 * bubble)


DRAWINGS: Mapping[str, Draw] = {
    "Nodule": _nodule,
    "Mass": _mass,
    "Effusion": _effusion,
    "Pneumothorax": _pneumothorax,
    "Consolidation": _consolidation,
    "Pneumonia": _pneumonia,
    "Infiltration": _infiltration,
    "Edema": _edema,
    "Fibrosis": _fibrosis,
    "Atelectasis": _atelectasis,
    "Pleural_Thickening": _pleural_thickening,
    "Hernia": _hernia,
}
