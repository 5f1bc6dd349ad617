"""Epsilon of a history of noisy steps, by Opacus's accountants, and the noise that meets a target.

Nothing here is accounting of our own.
"""

import contextlib
import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, NamedTuple

from fedmed.core.errors import InputError
from fedmed.privacy.ledger import Step

Accountant = Literal["rdp", "prv"]
TOLERANCE = 0.005
"""Share of the target by which a calibrated history may stay below it."""

PRV_ERROR, PRV_SHARE = 0.01, 0.0005
"""By so much, or such a share of epsilon where that is more, the numerical accountant errs to the safe side.

Its grid would grow with epsilon otherwise, to gigabytes.
"""

PRV_MOST = 700.0
"""Largest target for the numerical accountant, which takes exp(epsilon)."""

MOST_NOISE = 1e6
"""Largest noise multiplier of the search."""

FINEST = 1.001
"""Ratio of two noise multipliers between which the search looks no further."""


def epsilon_of(history: Sequence[Step], delta: float, accountant: Accountant = "rdp") -> float:
    """Epsilon at ``delta`` of Gaussian steps, each on a Poisson sample of the units.

    ``rdp`` composes Renyi divergences (Mironov 2017; Mironov et al. 2019), an upper bound; ``prv`` composes the privacy
    loss numerically (Gopi et al. 2021), tighter and slower.

    Raises:
        InputError: the accountant cannot tell, or the answer is not finite.
    """
    return _epsilon_of(tuple((noise, rate, steps) for noise, rate, steps in history), delta, accountant)


@cache
def _epsilon_of(history: tuple[Step, ...], delta: float, accountant: Accountant) -> float:
    """The same, kept: what a round would come to is asked before it, in it, and as the next one's past."""
    if not history:
        return 0.0
    error: dict[str, float] = {}
    if accountant == "prv":
        error = {"eps_error": max(PRV_ERROR, PRV_SHARE * epsilon_of(history, delta))}
    from opacus.accountants import create_accountant  # imports much; only runs that need it pay for it

    counting = create_accountant(accountant)
    counting.history = list(history)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on its choice of orders, and of logarithms of 0
            epsilon = float(counting.get_epsilon(delta=delta, **error))
    except (ArithmeticError, MemoryError, RuntimeError, ValueError) as failure:
        raise InputError(_cannot_tell(history, accountant, type(failure).__name__)) from failure
    if not math.isfinite(epsilon):
        raise InputError(_cannot_tell(history, accountant, str(epsilon)))
    return epsilon


def _cannot_tell(history: Sequence[Step], accountant: str, why: str) -> str:
    noise = min(step[0] for step in history)
    return f"The {accountant} accountant cannot tell epsilon at noise multiplier {noise:g} ({why}); give more, or rdp."


def extended(history: Sequence[Step], noise_multiplier: float, sample_rate: float, steps: int) -> list[Step]:
    """The history with more steps, joined to the last ones where they are alike."""
    if history and history[-1][:2] == (noise_multiplier, sample_rate):
        return [*history[:-1], (noise_multiplier, sample_rate, history[-1][2] + steps)]
    return [*history, (noise_multiplier, sample_rate, steps)]


@cache
def calibrated(
    target_epsilon: float, delta: float, sample_rate: float, steps: int, accountant: Accountant = "rdp"
) -> float:
    """The least noise multiplier with which ``steps`` steps spend at most the target, and hardly less.

    Raises:
        InputError: no noise multiplier up to :data:`MOST_NOISE` does.
    """

    def spent(noise: float) -> float:
        """Epsilon, infinite where it cannot be told."""
        with contextlib.suppress(InputError):
            return epsilon_of([(noise, sample_rate, steps)], delta, accountant)
        return math.inf

    start, stride = 8.0, 8.0
    if accountant == "prv":
        with contextlib.suppress(InputError):  # where rdp meets no target that is as small
            start, stride = calibrated(target_epsilon, delta, sample_rate, steps), 1.25
    least = epsilon_of([(MOST_NOISE, 1.0, 1)], delta, accountant)  # of any history: what the bound itself adds
    found = _bracket(spent, target_epsilon, start, stride) if least <= target_epsilon else None
    if found is None:
        other = "ask for more epsilon, fewer rounds, or prv" if accountant == "rdp" else "ask for another one, or rdp"
        raise InputError(
            f"No noise multiplier reaches --dp_target_epsilon {target_epsilon:g} over {steps} steps at delta "
            f"{delta:g} by the {accountant} accountant; {other}."
        )
    enough, little = found
    aim = target_epsilon * (1 - TOLERANCE / 2)
    while enough.epsilon < target_epsilon * (1 - TOLERANCE) and enough.noise > FINEST * little.noise:
        noise = _between(little, enough, aim)
        point = _Point(noise, spent(noise))
        enough, little = (point, little) if point.epsilon <= target_epsilon else (enough, point)
    return enough.noise


class _Point(NamedTuple):
    """A noise multiplier and the epsilon that it comes to."""

    noise: float
    epsilon: float


def _bracket(
    spent: Callable[[float], float], target: float, start: float, stride: float
) -> tuple[_Point, _Point] | None:
    """Two noise multipliers ``stride`` apart, the larger of which meets the target; None where only too large ones do.

    The search moves away from ``start``, since accounting takes the longer the farther the noise is from what is usual,
    and with too little noise much memory.
    """
    last = _Point(start, spent(start))
    meets = last.epsilon <= target
    while last.noise <= MOST_NOISE:
        noise = last.noise / stride if meets else last.noise * stride
        point = _Point(noise, spent(noise))
        if (point.epsilon <= target) != meets:
            return (last, point) if meets else (point, last)
        last = point
    return None


def _between(little: _Point, enough: _Point, aim: float) -> float:
    """A noise multiplier between the two where epsilon should be ``aim`` if its logarithm were straight in noise's."""
    share = 0.5
    if math.isfinite(little.epsilon) and enough.epsilon > 0:
        share = math.log(little.epsilon / aim) / math.log(little.epsilon / enough.epsilon)
    return little.noise * (enough.noise / little.noise) ** min(0.9, max(0.1, share))
