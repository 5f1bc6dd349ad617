"""A site's own minimum of privacy, which a job must bring before it may train on this site's patients.

    PRIVACY_POLICY=/etc/fedmed/privacy_policy.json
    {"guarantee": "formal", "unit": "patient", "max_epsilon": 8, "max_delta": 1e-4, "metrics": "withheld"}

The site's client reads the file of that environment variable before it opens any case; a job that asks for less ends
there. Since a job brings its own code, a site that must not trust it adds ``environments.flare.policy_filter``, or a
mechanism of its own, to FLARE's ``local/privacy.json``, which FLARE applies whatever the job says (docs/privacy.md).
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedmed.core.errors import InputError
from fedmed.core.names import POLICY_VARIABLE
from fedmed.core.options import expect, expect_positive, from_plain, option
from fedmed.core.plugin import ExperimentView
from fedmed.privacy.base import Mechanism

GUARANTEES = ("none", "heuristic", "formal")


@dataclass(frozen=True)
class Policy:
    """A minimum; what is not given is not asked for."""

    guarantee: Literal["none", "heuristic", "formal"] = option("none", "the weakest guarantee that is accepted")
    unit: Literal["any", "patient", "image", "site's update"] = option("any", "whose presence must be hidden")
    max_epsilon: float | None = option(None, "most that all rounds of a job may spend; needs max_delta")
    max_delta: float | None = option(None, "largest delta at which epsilon may be stated")
    metrics: Literal["any", "withheld"] = option("any", "whether scores and losses must stay at the site")

    def __post_init__(self) -> None:
        if self.max_epsilon is not None:
            expect_positive("max_epsilon", self.max_epsilon)
        if self.max_delta is not None:
            expect(0 < self.max_delta < 1, "max_delta", self.max_delta, "a number above 0 and below 1")
        if self.max_epsilon is not None and self.max_delta is None:
            raise InputError(
                f"max_epsilon {self.max_epsilon:g} stands without max_delta, and at a delta near 1 any epsilon is met; "
                "give max_delta too, well below 1 / patients."
            )

    def fault_of(self, experiment: ExperimentView, patients: int) -> str | None:
        """The point in which a job asks for less than this, None where it does not."""
        mechanism: Mechanism = experiment.privacy
        return (
            self._fault_of_guarantee(mechanism)
            or self._fault_of_metrics(mechanism)
            or self._fault_of_noise(mechanism)
            or self._fault_of_epsilon(mechanism, experiment, patients)
        )

    def _fault_of_guarantee(self, mechanism: Mechanism) -> str | None:
        name = f"--privacy {mechanism.name}"
        if GUARANTEES.index(mechanism.GUARANTEE) < GUARANTEES.index(self.guarantee):
            return f"a {self.guarantee} guarantee is demanded and {name} gives {_article(mechanism.GUARANTEE)}"
        whole = self.unit == "image" and mechanism.unit == "patient"  # who hides a patient hides each image
        if self.unit not in ("any", mechanism.unit) and not whole:
            return f"the unit must be {self.unit} and that of {name} is {mechanism.unit}"
        return None

    def _fault_of_metrics(self, mechanism: Mechanism) -> str | None:
        if self.metrics == "any":
            return None
        if not mechanism.withholds_metrics:
            return (
                f"scores and losses must stay at the site and with --privacy {mechanism.name} as it is set they leave"
            )
        if mechanism.dp_send_diagnostics:
            return "what the ledger says of the update must stay at the site and --dp_send_diagnostics sends it"
        return None

    def _fault_of_noise(self, mechanism: Mechanism) -> str | None:
        if mechanism.insecure_seeded_noise and self != Policy():
            return "noise that follows from the seed protects nothing"
        delta = getattr(mechanism, "dp_delta", 0.0)
        if self.max_delta is not None and delta > self.max_delta:
            return f"delta may be at most {self.max_delta:g} and the job states epsilon at {delta:g}"
        return None

    def _fault_of_epsilon(self, mechanism: Mechanism, experiment: ExperimentView, patients: int) -> str | None:
        if self.max_epsilon is None:
            return None
        planned = mechanism.planned(experiment, patients)
        known = [each for each in (planned, mechanism.dp_max_epsilon) if each is not None]
        if not known:
            return f"epsilon may be at most {self.max_epsilon:g} and --privacy {mechanism.name} states none"
        if min(known) > self.max_epsilon:
            return f"epsilon may be at most {self.max_epsilon:g} and the job would spend {min(known):.3g}"
        return None


def policy_of_this_site() -> Policy | None:
    """The policy that this machine's environment names, None where it names none.

    Raises:
        InputError: the file cannot be used; a site that named one does not train without it.
    """
    named = os.environ.get(POLICY_VARIABLE)
    return read_policy(Path(named).expanduser()) if named else None


def read_policy(path: Path) -> Policy:
    """A policy from its JSON file.

    Raises:
        InputError: it is no policy.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as error:
        raise InputError(
            f"The privacy policy {path} cannot be read ({error}); correct it, or unset {POLICY_VARIABLE}."
        ) from error
    try:
        return from_plain(Policy, content)
    except InputError as error:
        raise InputError(f"The privacy policy {path} cannot be used: {error}") from error


def enforce(experiment: ExperimentView, site: str, patients: int) -> None:
    """Refuse a job that asks for less than this site's policy.

    Raises:
        InputError: it does, or the policy cannot be used.
    """
    policy = policy_of_this_site()
    fault = policy.fault_of(experiment, patients) if policy else None
    if fault:
        raise InputError(f"The privacy policy of {site} refuses this job: {fault}; ask the site, or give the job more.")


def _article(guarantee: str) -> str:
    return f"a {guarantee} one" if guarantee != "none" else "none"
