"""Epsilon of a history of noisy steps, by Opacus's accountants. Nothing here is accounting of our own."""

import math
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Literal

from fedmed.core.errors import InputError
from fedmed.privacy.ledger import Step

Accountant = Literal["rdp", "prv"]
TOLERANCE = 0.005
"""Share of the target by which a calibrated history may stay below it."""


def epsilon_of(history: Sequence[Step], delta: float, accountant: Accountant = "rdp") -> float:
    """Epsilon at ``delta`` of Gaussian steps, each on a Poisson sample of the units.

    ``rdp`` composes Renyi divergences (Mironov 2017; Mironov et al. 2019), an upper bound; ``prv`` composes the privacy
    loss numerically (Gopi et al. 2021), tighter and slower.

    Raises:
        InputError: the accountant cannot tell, or the answer is not finite.
    """
    from opacus.accountants import create_accountant  # imports much; only runs that need it pay for it

    if not history:
        return 0.0
    counting = create_accountant(accountant)
    counting.history = list(history)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on its choice of orders, and of logarithms of 0
            epsilon = float(counting.get_epsilon(delta=delta))
    except (ArithmeticError, MemoryError, ValueError) as error:
        raise InputError(_cannot_tell(history, accountant, type(error).__name__)) from error
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
        InputError: the accountant finds none.
    """
    from opacus.accountants.utils import get_noise_multiplier

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(
                get_noise_multiplier(
                    target_epsilon=target_epsilon, target_delta=delta, sample_rate=sample_rate, steps=steps,
                    accountant=accountant, epsilon_tolerance=TOLERANCE * target_epsilon,
                )
            )  # fmt: skip
    except (ArithmeticError, MemoryError, ValueError) as error:
        raise InputError(
            f"No noise multiplier reaches --dp_target_epsilon {target_epsilon:g} over {steps} steps at delta "
            f"{delta:g} by the {accountant} accountant ({error}); ask for more epsilon, fewer rounds, or prv."
        ) from error
