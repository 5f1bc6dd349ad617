"""Inversion of a site's first update on one image: without protection, with the run's own, and with Gaussian noise."""

from typing import Any

from fedmed.analysis.inversion.exposure import Exposure, expose
from fedmed.analysis.inversion.gradient_inversion import Search
from fedmed.analysis.inversion.protection import Protect, gaussian, of_run
from fedmed.experiment import Experiment

UNPROTECTED = "no privacy"
NOISE = 1.0
"""z of the Gaussian mechanism that an inversion is shown with."""


def audit_inversion(experiment: Experiment, attacked: Exposure, search: Search) -> Exposure:
    """Invert the first update on an image, protected in each way.

    Raises:
        InputError: the image has no gradient.
    """
    protections: dict[str, Protect | None] = {UNPROTECTED: None}
    own = of_run(experiment)
    if own is not None:
        protections[f"the run's {experiment.privacy.name}"] = own
    protections[f"Gaussian z = {NOISE:g}"] = gaussian(None, NOISE, search.seed)
    return expose(experiment, attacked, protections, search)


def exposure_text(exposure: Exposure) -> str:
    """A line an attempt, then whether the attack worked without protection."""
    lines = [
        f"  {each.observed:<12} {each.protection:<16} PSNR {each.psnr:5.1f} dB  correlation {each.correlation:5.2f}"
        for each in exposure.attempts
    ]
    return "\n".join([*lines, exposure.verdict(UNPROTECTED)])


def exposure_document(exposure: Exposure, size: int, search: Search) -> dict[str, Any]:
    """An inversion's numbers as JSON values; ``size`` is the image's edge."""
    attempts = [{k: v for k, v in each._asdict().items() if k != "image"} for each in exposure.attempts]
    verdict = exposure.verdict(UNPROTECTED).splitlines()
    return {"size": size, "steps": search.steps, "attempts": attempts, "verdict": verdict}
