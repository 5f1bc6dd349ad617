"""The epsilon that a site's patients have spent over all jobs, and the place of a job in the site's ledger.

A patient's rounds of all jobs are composed by the Renyi accountant, at the delta of the site's policy: a job that
patients were not in costs them nothing, and one that some were in before costs those more than the others. What counts
is the patient with the largest sum.

A mechanism whose unit is the site's update hides one patient with half its noise multiplier, as a patient who is there
or not replaces the clipped update by another, at most twice the clip away.
"""

from collections.abc import Mapping, Sequence

from fedmed.core.errors import InputError
from fedmed.core.plugin import ExperimentView
from fedmed.privacy.accounting import epsilon_of
from fedmed.privacy.base import Mechanism
from fedmed.privacy.formal import FormalMechanism
from fedmed.privacy.ledger import Step
from fedmed.privacy.policy import Policy, policy_of_this_site
from fedmed.privacy.site_wide_ledger import BookedJob, SiteWideLedger, Tokens, site_wide_ledger


class PatientSpending:
    """One job's rounds in a site's ledger over all jobs.

    Args:
        images: the fingerprints of each training patient's images, by the patient's name.
    """

    def __init__(
        self,
        ledger: SiteWideLedger,
        experiment: ExperimentView,
        site: str,
        job: str,
        images: Mapping[str, Sequence[str]],
    ) -> None:
        self.ledger = ledger
        self._patients = [tokens_of(ledger, name, marks) for name, marks in images.items()]
        self._step = round_of(experiment, len(images))
        noise = None if self._step is None else self._step[:2]
        self._job = BookedJob(job, site, experiment.privacy.name, dataset_of(ledger, self._patients), noise)

    def book(self, number: int) -> None:
        """Enter a round (counted from 1) before it is trained. One that is lost afterwards stays entered.

        Raises:
            InputError: it would bring a patient above the budget of the site's policy, or ledger or policy cannot be
                used.
            OSError: it cannot be written.
        """
        with self.ledger.locked():
            self.ledger.catch_up()
            self._refuse_beyond(policy_of_this_site(), number)
            self.ledger.book(self._job, self._patients, number, 0 if self._step is None else self._step[2])

    def _refuse_beyond(self, policy: Policy | None, number: int) -> None:
        if policy is None or policy.max_epsilon is None or self._step is None:
            return  # a policy that asks for epsilon has refused a job that states none
        delta = delta_of(policy)
        largest = largest_epsilon([[*each, self._step] for each in self.ledger.histories(self._patients)], delta)
        if largest > policy.max_epsilon:
            raise InputError(
                f"Round {number} would bring a patient of this site to epsilon {largest:.4g} at delta {delta:g} over "
                f"all jobs since {self.ledger.since}, and the policy allows {policy.max_epsilon:g}; nothing is trained."
            )


def patient_spending(
    experiment: ExperimentView, site: str, job: str, images: Mapping[str, Sequence[str]]
) -> PatientSpending | None:
    """The place of a job in the ledger that this machine's environment names; None where it names none.

    Raises:
        InputError: the ledger cannot be used.
    """
    ledger = site_wide_ledger()
    return None if ledger is None else PatientSpending(ledger, experiment, site, job, images)


def round_of(experiment: ExperimentView, patients: int) -> Step | None:
    """One round's noise multiplier for a patient, sampling rate and steps; None without a formal guarantee.

    Raises:
        InputError: no noise meets the job's target.
    """
    mechanism: Mechanism = experiment.privacy
    if not isinstance(mechanism, FormalMechanism) or mechanism.insecure_seeded_noise:
        return None
    rate, steps = mechanism.sampling(experiment, patients)
    noise = mechanism.noise_multiplier(experiment, patients)
    return (noise if mechanism.UNIT == "patient" else noise / 2, rate, steps)


def tokens_of(ledger: SiteWideLedger, name: str, images: Sequence[str]) -> Tokens:
    """A patient, by name and by the fingerprints of the images."""
    return frozenset([ledger.token(f"name {name}"), *(ledger.token(f"image {mark}") for mark in images)])


def dataset_of(ledger: SiteWideLedger, patients: Sequence[Tokens]) -> str:
    """A set of patients, whatever their order."""
    return ledger.token(f"patients {sorted(sorted(each) for each in patients)}")


def delta_of(policy: Policy) -> float:
    """The delta at which a policy's budget is meant.

    Raises:
        InputError: it states none.
    """
    if policy.max_delta is None:
        raise InputError("The privacy policy has max_epsilon and no max_delta, at which epsilon is composed; add it.")
    return policy.max_delta


def all_patients(ledger: SiteWideLedger) -> list[Tokens]:
    """Every patient that a ledger knows, once."""
    return sorted(set(ledger.groups().values()), key=sorted)


def largest_epsilon(histories: Sequence[Sequence[Step]], delta: float) -> float:
    """The epsilon of the patient who has spent most; each different history is composed once.

    Raises:
        InputError: the accountant cannot tell.
    """
    return max((epsilon_of(each, delta) for each in dict.fromkeys(map(tuple, histories))), default=0.0)
