"""What stands between a site's update and an attacker: a function on the update."""

from collections.abc import Callable

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.filter import ContentBlockedException
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.apis.fl_context import FLContext

from fedmed.errors import InputError
from fedmed.privacy.base import Mechanism

Update = dict[str, np.ndarray]
"""Weight differences by parameter name."""

Protect = Callable[[Update], Update]
"""From the update that a site made to the one that leaves it."""


def norm_of(update: Update) -> float:
    """The Euclidean norm over all parameters at once."""
    return float(np.sqrt(sum(np.sum(np.square(values, dtype=np.float64)) for values in update.values())))


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

    def protect(update: Update) -> Update:
        norm = norm_of(update)
        bound = norm if clip is None else clip
        scale = min(1.0, bound / max(norm, 1e-30))
        return {
            name: (values * scale + generator.normal(0.0, noise * bound, values.shape)).astype(values.dtype)
            for name, values in update.items()
        }

    return protect


def filters_of(mechanism: Mechanism) -> Protect | None:
    """A run's own filters on an update of one step, or None where its mechanism has none.

    FLARE's SVT draws from NumPy's global generator, so its noise differs from call to call.

    Raises:
        InputError: by what is returned, where a filter refuses the update.
    """
    filters = mechanism.filters()
    if not filters:
        return None

    def protect(update: Update) -> Update:
        message = DXO(DataKind.WEIGHT_DIFF, data=dict(update), meta={FLMetaKey.NUM_STEPS_CURRENT_ROUND: 1})
        shareable = message.to_shareable()
        try:
            for each in filters:
                shareable = each.process(shareable, FLContext())
        except ContentBlockedException as error:
            raise InputError(
                f"The filters of {mechanism.name} refuse the update ({error}); leave out --inversion."
            ) from error
        sent: Update = from_shareable(shareable).data
        return sent

    return protect
