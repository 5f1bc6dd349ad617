"""What a patient has spent over all jobs: what the theory says for the sum, of the jobs that the patient was in."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.core.names import POLICY_VARIABLE
from fedmed.experiment import Experiment
from fedmed.privacy.accounting import epsilon_of
from fedmed.privacy.patient_spending import PatientSpending, all_patients, round_of
from fedmed.privacy.site_wide_ledger import SiteWideLedger, begin_site_wide_ledger

DELTA = 1e-3
GAUSSIAN = ("--privacy", "gaussian", "--dp_delta", "1e-5")
DPSGD = ("--privacy", "dpsgd", "--dp_noise_multiplier", "2", "--dp_delta", "1e-3", "--batch_size", "4")

Place = Callable[..., PatientSpending]


@pytest.fixture
def ledger(tmp_path: Path) -> SiteWideLedger:
    return begin_site_wide_ledger(tmp_path / "ledger")


@pytest.fixture
def place(ledger: SiteWideLedger, toy_experiment: Callable[..., Experiment]) -> Place:
    """Makes a job's place in the ledger; a patient is a name with images, or a name whose image has its name."""

    def make(name: str, *patients: str | tuple[str, ...], options: tuple[str, ...] = ()) -> PatientSpending:
        noisy = options or (*GAUSSIAN, "--dp_noise_multiplier", "4")
        named = [(each, f"image of {each}") if isinstance(each, str) else each for each in patients]
        return PatientSpending(ledger, toy_experiment(*noisy), "north", name, {who: marks for who, *marks in named})

    return make


@pytest.fixture
def allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the site's policy to so much epsilon."""

    def policy(epsilon: float) -> None:
        path = tmp_path / "policy.json"
        path.write_text(json.dumps({"max_epsilon": epsilon, "max_delta": DELTA}))
        monkeypatch.setenv(POLICY_VARIABLE, str(path))

    return policy


def alone(noise: float, rounds: int = 1) -> float:
    """Epsilon of so many releases of everything, of which each hides a patient with half its noise."""
    return epsilon_of([(noise / 2 / math.sqrt(rounds), 1.0, 1)], DELTA)


def spent(ledger: SiteWideLedger) -> list[float]:
    """Epsilon of every patient, least first."""
    return sorted(epsilon_of(history, DELTA) for history in ledger.histories(all_patients(ledger)))


def test_jobs_of_the_same_patients_add_up_as_gaussian_noise_does(ledger: SiteWideLedger, place: Place) -> None:
    """Releases at noise a and b cost what one costs at the noise whose inverse square is the sum of theirs."""
    for name, noise, rounds in (("one", 4.0, 3), ("two", 8.0, 2)):
        job = place(name, "Anna", "Bert", options=(*GAUSSIAN, "--dp_noise_multiplier", str(noise)))
        for number in range(1, rounds + 1):
            job.book(number)
    together = 1 / math.sqrt(3 / 4.0**2 + 2 / 8.0**2)
    assert spent(ledger) == pytest.approx([alone(together)] * 2, rel=1e-9)


def test_a_patient_pays_for_the_jobs_that_the_patient_was_in(ledger: SiteWideLedger, place: Place) -> None:
    place("one", "Anna", "Bert").book(1)
    place("two", "Bert", "Carl").book(1)
    place("three", "Dora").book(1)
    assert spent(ledger) == pytest.approx([alone(4), alone(4), alone(4), alone(4, 2)])


@pytest.mark.parametrize(
    "again",
    [
        ("Anna", "image, exported anew"),
        ("Anna, renamed", "image of Anna"),
        ("Anna, renamed", "another", "image of Anna"),
    ],
)
def test_another_name_or_another_export_is_the_same_patient(
    ledger: SiteWideLedger, place: Place, again: tuple[str, ...]
) -> None:
    place("one", "Anna").book(1)
    place("two", again).book(1)
    assert spent(ledger) == pytest.approx([alone(4, 2)])


def test_who_changes_one_after_the_other_is_still_the_same_patient(ledger: SiteWideLedger, place: Place) -> None:
    for number, patient in enumerate([("Anna", "1"), ("Anna", "2"), ("A.", "2"), ("A.", "3")]):
        place(f"job {number}", patient).book(1)
    assert spent(ledger) == pytest.approx([alone(4, 4)])


def test_a_later_job_pays_for_the_rounds_of_a_patient_under_former_names(
    place: Place, allow: Callable[[float], None]
) -> None:
    allow(alone(4, 2) * 1.001)
    place("one", ("Anna", "1")).book(1)
    place("two", ("Anna", "2")).book(1)
    with pytest.raises(InputError, match="nothing is trained"):
        place("three", ("A.", "2")).book(1)


def test_a_round_is_refused_where_one_patient_has_no_budget_left(
    ledger: SiteWideLedger, place: Place, allow: Callable[[float], None]
) -> None:
    allow(alone(4, 2) * 1.001)
    place("one", "Anna", "Bert").book(1)
    place("two", "Anna").book(1)
    before = (ledger.folder / "spent.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"a patient of this site to epsilon .* over all jobs since 20.*; nothing is"):
        place("three", "Anna", "Carl").book(1)
    assert (ledger.folder / "spent.jsonl").read_bytes() == before  # what was not trained is not booked
    place("four", "Bert", "Carl").book(1)  # who have some left
    with pytest.raises(InputError, match="Round 2"):
        place("four", "Bert", "Carl").book(2)
    assert max(spent(ledger)) <= alone(4, 2) * 1.001


def test_a_repeated_round_is_spent_again(ledger: SiteWideLedger, place: Place) -> None:
    job = place("one", "Anna")
    for number in (1, 1, 1):
        job.book(number)
    assert spent(ledger) == pytest.approx([alone(4, 3)])


def test_a_sampled_patient_pays_what_the_jobs_own_accountant_says(
    place: Place, toy_experiment: Callable[..., Experiment], ledger: SiteWideLedger
) -> None:
    experiment, names = toy_experiment(*DPSGD, "--num_rounds", "5"), [f"p{n}" for n in range(16)]
    job = place("one", *names, options=DPSGD)
    for number in range(1, 6):
        job.book(number)
    assert round_of(experiment, 16) == (2.0, 0.25, 4)
    assert spent(ledger) == pytest.approx([experiment.privacy.planned(experiment, 16)] * 16)


@pytest.mark.parametrize("options", [("--privacy", "none"), ("--privacy", "svt")])
def test_a_job_without_a_formal_guarantee_is_listed_and_counts_as_no_epsilon(
    ledger: SiteWideLedger, place: Place, options: tuple[str, ...]
) -> None:
    place("one", "Anna", options=options).book(1)
    assert [(job.job, job.mechanism, job.noise) for job in ledger.jobs] == [("one", options[1], None)]
    assert spent(ledger) == [0.0]


def test_noise_that_follows_from_the_seed_is_no_guarantee(toy_experiment: Callable[..., Experiment]) -> None:
    assert round_of(toy_experiment(*DPSGD, "--insecure_seeded_noise"), 16) is None
