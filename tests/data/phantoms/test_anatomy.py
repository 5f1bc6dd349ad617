"""The anatomy: a template's brain the right way up, of random shape, clear of the sides of the volume."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import zoom

from fedmed.data.phantoms.anatomy import Tissues, random_anatomy, template, template_scale

SIZE = (48, 44, 40)


def anatomy(seed: int, size: tuple[int, int, int] = SIZE) -> Tissues:
    return random_anatomy(np.random.default_rng(seed), size)


def test_template_is_an_adult_brain() -> None:
    """The intracranial volume of adults lies between 1.2 and 1.9 l, and grey matter outweighs white matter."""
    brain, grey, white = template()
    assert brain.shape == grey.shape == white.shape
    assert set(np.unique(brain)) == {0, 1}
    assert 1.2e6 < brain.sum() < 1.9e6
    assert white.sum() < grey.sum() < 2 * white.sum()
    assert not grey[brain == 0].any()
    assert all(brain.take(side, axis=axis).any() for axis in range(3) for side in (0, -1))  # nothing to cut off


def test_template_is_loaded_only_where_phantoms_are_made() -> None:
    """nilearn takes seconds to import, and whoever trains on real data has no use for it."""
    source = Path(__file__).resolve().parents[3] / "src"
    question = "import sys; import fedmed.data.phantoms.phantom; sys.exit('nilearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", question], cwd=source, check=False).returncode == 0


def test_axes_run_to_the_left_to_the_back_and_up() -> None:
    """The lowest fifth of a brain is stem and cerebellum, which lie behind; it holds less than the fifth at the top."""
    brain, _, _ = template()
    fifth = brain.shape[2] // 5
    low, high = brain[:, :, :fifth], brain[:, :, -fifth:]
    behind = low[:, brain.shape[1] // 2 :].sum() / low.sum()
    assert behind > 0.6
    assert low.sum() < high.sum()


@pytest.mark.parametrize("size", [(32, 32, 32), SIZE, (64, 64, 40)])
def test_brain_is_clear_of_the_sides(size: tuple[int, int, int]) -> None:
    for seed in range(12):
        brain = anatomy(seed, size).brain
        assert brain.shape == size
        assert not any(brain.take((0, -1), axis=axis).any() for axis in range(3))


def test_shares_add_up() -> None:
    tissues = anatomy(0)
    total = tissues.grey + tissues.white + tissues.fluid
    assert np.allclose(total, 1, atol=0.02)
    for share in (tissues.grey, tissues.white, tissues.fluid):
        assert share.min() >= 0
        assert share.max() <= 1
    assert (tissues.fluid[~tissues.brain] == 1).all()
    assert not tissues.vessel[~tissues.brain].any()


def test_brain_is_the_scaled_template() -> None:
    """An upright copy of the template, made another way, overlaps far better than one that is upside down."""
    scale = template_scale(SIZE)
    copy = zoom(template()[0], scale, order=1) > 0.5
    plain = np.zeros(SIZE, dtype=bool)
    corner = [(n - m) // 2 for n, m in zip(SIZE, copy.shape, strict=True)]
    plain[tuple(slice(c, c + m) for c, m in zip(corner, copy.shape, strict=True))] = copy
    for seed in range(6):
        brain = anatomy(seed).brain

        def dice(other: np.ndarray, brain: np.ndarray = brain) -> float:
            return float(2 * (brain & other).sum() / (brain.sum() + other.sum()))

        assert dice(plain) > 0.9
        assert dice(plain) > dice(plain[:, :, ::-1])
        assert dice(plain) > dice(plain[:, ::-1])


def test_brains_differ_but_one_seed_gives_one() -> None:
    one, again, other = anatomy(1), anatomy(1), anatomy(2)
    assert np.array_equal(one.white, again.white)
    assert np.array_equal(one.vessel, again.vessel)
    assert (one.brain != other.brain).sum() > 0.03 * one.brain.sum()


def test_template_is_never_enlarged() -> None:
    assert template_scale((400, 400, 400)) == 1
    assert template_scale((96, 96, 80)) == pytest.approx(0.88 * min(96 / 145, 96 / 181, 80 / 155))
