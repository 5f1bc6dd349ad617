"""Protections of a site's update from an attacker: functions on the update."""

from collections.abc import Callable

from fedmed.core.weights import l2_norm
from fedmed.experiment import Experiment
from fedmed.privacy.base import Mechanism, PrivateUpdate, ReleaseContext
from fedmed.privacy.gaussian import Gaussian
from fedmed.privacy.ledger import Ledger

Protect = Callable[[PrivateUpdate], PrivateUpdate]
"""From the update that a site made to the one that leaves it."""


def gaussian(clip: float | None, noise: float, seed: int = 0) -> Protect:
    """The package's Gaussian mechanism on updates, with noise that follows from a seed, as that of a run must not.

    Args:
        clip: the bound C > 0 on the update's norm, in units of weights; None takes each update's own norm, which costs
            the update least.
        noise: the multiplier z > 0: each value gets N(0, (z C)^2).
        seed: of the noise, so that a picture can be made again.
    """

    def protect(update: PrivateUpdate) -> PrivateUpdate:
        bound = l2_norm(update) if clip is None else clip
        return _released(Gaussian(dp_clip=bound, dp_noise_multiplier=noise, insecure_seeded_noise=True), update, seed)

    return protect


def of_run(experiment: Experiment) -> Protect | None:
    """The run's own mechanism on an update of one step, or None where it does not act on updates.

    FLARE's SVT draws from NumPy's global generator, so its noise differs from call to call.

    Raises:
        InputError: by what is returned, where the mechanism refuses the update.
    """
    mechanism = experiment.privacy.resolved(experiment)
    if not mechanism.acts_on_updates:
        return None
    return lambda update: _released(mechanism, update, experiment.training.seed)


def _released(mechanism: Mechanism, update: PrivateUpdate, seed: int) -> PrivateUpdate:
    """The update after one release with a ledger of its own."""
    ledger = Ledger("attacked", mechanism.document())
    return mechanism.release(update, ReleaseContext("attacked", 1, 1, seed), ledger).update
