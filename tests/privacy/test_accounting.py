"""Epsilon is the accountant library's own; what is calibrated meets its target within one percent."""

import math

import pytest
from opacus.accountants import PRVAccountant, RDPAccountant

from fedmed.core.errors import InputError
from fedmed.privacy.accounting import Accountant, calibrated, epsilon_of, extended

HISTORY = [(1.1, 0.25, 40), (2.0, 1.0, 3)]


def test_epsilon_is_that_of_the_library_fed_step_by_step() -> None:
    library = RDPAccountant()
    for noise, rate, steps in HISTORY:
        for _ in range(steps):
            library.step(noise_multiplier=noise, sample_rate=rate)
    assert epsilon_of(HISTORY, 1e-5) == pytest.approx(library.get_epsilon(delta=1e-5), rel=1e-9)
    numeric = PRVAccountant()
    numeric.history = list(HISTORY)
    assert epsilon_of(HISTORY, 1e-5, "prv") == numeric.get_epsilon(delta=1e-5)


def test_a_single_gaussian_release_costs_what_its_exact_formula_says() -> None:
    """Balle and Wang 2018, theorem 8: delta of a Gaussian mechanism with sensitivity 1 and deviation s at epsilon."""

    def delta_at(epsilon: float, s: float) -> float:
        def phi(x: float) -> float:
            return 0.5 * math.erfc(-x / math.sqrt(2))

        return phi(1 / (2 * s) - epsilon * s) - math.exp(epsilon) * phi(-1 / (2 * s) - epsilon * s)

    for s in (0.7, 1.0, 3.0):
        tight = epsilon_of([(s, 1.0, 1)], 1e-5, "prv")
        assert 0.85e-5 < delta_at(tight, s) <= 1e-5  # numerical accounting errs to the safe side
        assert tight <= epsilon_of([(s, 1.0, 1)], 1e-5) <= 1.3 * tight  # rdp is an upper bound
    # four releases are one with half the deviation
    assert epsilon_of([(2.0, 1.0, 4)], 1e-5, "prv") == pytest.approx(epsilon_of([(1.0, 1.0, 1)], 1e-5, "prv"), rel=1e-3)


def test_epsilon_grows_with_every_step_and_is_nothing_before_the_first() -> None:
    assert epsilon_of([], 1e-5) == 0.0
    history: list[tuple[float, float, int]] = []
    so_far = 0.0
    for _ in range(5):
        history = extended(history, 1.0, 0.5, 2)
        assert epsilon_of(history, 1e-5) > so_far
        so_far = epsilon_of(history, 1e-5)
    assert history == [(1.0, 0.5, 10)]


def test_steps_are_joined_only_to_equal_ones_and_the_given_history_stays() -> None:
    given = [(1.0, 0.5, 2)]
    assert extended(given, 1.0, 0.5, 3) == [(1.0, 0.5, 5)]
    assert extended(given, 2.0, 0.5, 3) == [(1.0, 0.5, 2), (2.0, 0.5, 3)]
    assert given == [(1.0, 0.5, 2)]


@pytest.mark.parametrize(
    ("target", "rate", "steps", "accountant"),
    [
        (8.0, 1.0, 10, "rdp"),
        (1.0, 0.1, 100, "rdp"),
        (50.0, 0.5, 20, "rdp"),
        (1000.0, 1.0, 5, "rdp"),
        (8.0, 1.0, 10, "prv"),
        (1.0, 0.1, 100, "prv"),
    ],
)
def test_calibrated_noise_meets_its_target_within_one_percent(
    target: float, rate: float, steps: int, accountant: Accountant
) -> None:
    noise = calibrated(target, 1e-5, rate, steps, accountant)
    assert 0.99 * target <= epsilon_of([(noise, rate, steps)], 1e-5, accountant) <= target


def test_a_target_that_no_noise_meets_is_refused() -> None:
    with pytest.raises(InputError, match=r"--dp_target_epsilon 0\.01 .* prv"):
        calibrated(0.01, 1e-5, 1.0, 600)
