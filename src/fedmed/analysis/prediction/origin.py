"""The origin of a prediction, as every report states it: which weights, on which data, and for which use."""

import hashlib

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.core.attack import UNDER_ATTACK
from fedmed.data.phantoms.phantom import PHANTOMS

NOTICE = "For research only: this is no medical device, and no decision about a patient may rest on it."


def weights_digest(model: TrainedModel) -> str:
    """64 hexadecimal digits (SHA-256) of the file of weights."""
    with model.weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_warnings(model: TrainedModel) -> tuple[str, ...]:
    """A sentence where the model has learnt from no patient, or under an attack that some sites made, else none."""
    if PHANTOMS not in model.data and UNDER_ATTACK not in model.data:
        return ()
    return (f"{model.label} was trained on {model.data}: its output for a patient has no meaning.",)
