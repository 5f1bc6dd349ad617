"""What stands between a site's update and an attacker: a function on the update."""

from collections.abc import Callable

import numpy as np

from fedmed.core.weights import l2_norm
from fedmed.experiment import Experiment
from fedmed.privacy.base import PrivateUpdate, ReleaseContext
from fedmed.privacy.ledger import Ledger
from fedmed.privacy.update_statistics import clipped

Protect = Callable[[PrivateUpdate], PrivateUpdate]
"""From the update that a site made to the one that leaves it."""


def gaussian(clip: float | None, noise: float, seed: int = 0) -> Protect:
    """Scale an update to a norm of at most C, then add N(0, (z C)^2) to each value: the Gaussian mechanism on updates.

    (McMahan et al. 2018, arXiv 1710.06963, section 2, with a site in a user's place.) The generator is seeded so that
    a picture can be made again; that of a real mechanism must not be.

    Args:
        clip: C > 0, in units of weights; None takes each update's own norm, which costs the update least.
        noise: z >= 0.
        seed: of the noise.
    """
    generator = np.random.default_rng(seed)

    def protect(update: PrivateUpdate) -> PrivateUpdate:
        bound = l2_norm(update) if clip is None else clip
        noisy = {
            name: values + generator.normal(0.0, noise * bound, values.shape)
            for name, values in clipped(update, bound).items()
        }
        return {name: values.astype(update[name].dtype) for name, values in noisy.items()}

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

    def protect(update: PrivateUpdate) -> PrivateUpdate:
        context = ReleaseContext("attacked", 1, 1, experiment.training.seed)
        return mechanism.release(update, context, Ledger("attacked", mechanism.document())).update

    return protect
