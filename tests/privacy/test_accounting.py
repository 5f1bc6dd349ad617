"""Epsilon is the accountant library's own; what is calibrated meets its target within one percent."""

import math

import pytest
from opacus.accountants import PRVAccountant, RDPAccountant
from scipy import stats

from fedmed.core.errors import InputError
from fedmed.privacy import accounting
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
        (1e7, 0.5, 10, "rdp"),
        (8.0, 1.0, 10, "prv"),
        (1.0, 0.1, 100, "prv"),
        (90.0, 1.0, 1, "prv"),
        (700.0, 1.0, 600, "prv"),
        (0.15, 0.1, 10, "prv"),  # rdp meets none as small
    ],
)
def test_calibrated_noise_meets_its_target_within_one_percent(
    target: float, rate: float, steps: int, accountant: Accountant
) -> None:
    noise = calibrated(target, 1e-5, rate, steps, accountant)
    assert 0.99 * target <= epsilon_of([(noise, rate, steps)], 1e-5, accountant) <= target


@pytest.mark.parametrize(("noise", "rate"), [(1.0, 0.1), (0.101, 1.0), (0.1, 0.01), (0.05, 0.5)])
def test_a_step_on_a_sample_costs_what_its_exact_formula_says(noise: float, rate: float) -> None:
    """Of a mixture of two normal distributions against one of them, on a line; however little the noise is."""

    def delta_at(epsilon: float) -> float:
        where = noise**2 * (epsilon + math.log1p(-math.exp(-epsilon) * (1 - rate)) - math.log(rate)) + 0.5
        with_unit = rate * stats.norm.sf((where - 1) / noise) + (1 - rate) * stats.norm.sf(where / noise)
        return float(with_unit - math.exp(epsilon + stats.norm.logsf(where / noise)))

    told = epsilon_of([(noise, rate, 1)], 1e-5, "prv")
    assert delta_at(told) <= 1e-5 < delta_at(told * (1 - 2e-3) - 0.02)
    assert told <= epsilon_of([(noise, rate, 1)], 1e-5)


def test_a_target_that_no_noise_meets_is_refused() -> None:
    with pytest.raises(InputError, match=r"--dp_target_epsilon 0\.01 .* prv"):
        calibrated(0.01, 1e-5, 1.0, 600)
    with pytest.raises(InputError, match=r"--dp_target_epsilon 1e-09 .* or rdp"):
        calibrated(1e-9, 1e-5, 1.0, 600, "prv")


@pytest.mark.parametrize(
    ("target", "delta", "rate", "steps", "looks"),
    [(1e-9, 1e-5, 0.5, 1450, 3), (1e-9, 0.9, 0.3, 3, 70), (8.0, 1e-3, 0.2, 300, 40), (700.0, 1e-5, 1.0, 1, 40)],
)
@pytest.mark.parametrize("accountant", ["rdp", "prv"])
def test_the_search_ends_and_never_looks_at_far_less_noise_than_it_needs(
    target: float, delta: float, rate: float, steps: int, looks: int, accountant: Accountant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked = list[tuple[str, float]]()

    def watched(history: list[tuple[float, float, int]], delta: float, accountant: Accountant = "rdp") -> float:
        asked.append((accountant, history[0][0]))
        return epsilon_of(history, delta, accountant)

    monkeypatch.setattr(accounting, "epsilon_of", watched)
    calibrated.cache_clear()
    try:
        noise = calibrated(target, delta, rate, steps, accountant)
    except InputError:
        noise = math.inf
    assert len(asked) <= looks
    if target == 8.0:
        assert min(each for kind, each in asked if kind == accountant) > noise / (10 if accountant == "rdp" else 1.6)


def test_a_budget_that_only_much_noise_meets_takes_no_memory() -> None:
    """The numerical accountant's grid would have billions of points here."""
    with pytest.raises(InputError, match=r"prv accountant cannot tell epsilon at noise multiplier 0\.1 "):
        epsilon_of([(0.1, 1 / 242, 1450)], 1e-5, "prv")
