"""A task whose data do not say whose the images are: no text of it claims a patient, and no policy is told of one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.core.errors import InputError
from fedmed.core.weights import save_weights
from fedmed.data.audit.audit_table import site_table
from fedmed.data.datalist import load_datalist
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import Entry
from fedmed.privacy.policy import Policy
from fedmed.runs import preflight
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Task
from fedmed.tasks.brain_mri import BrainMri
from fedmed.tasks.brats18 import Brats18
from tests.toy.toy_task import add_testing

Make = Callable[..., Experiment]
DP = ("--privacy", "dpsgd", "--dp_noise_multiplier", "1")


@pytest.fixture
def images(toy_experiment: Make, toy_task: type[Task], monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes an experiment with the toy task, whose patients nobody knows."""
    monkeypatch.setattr(toy_task, "KNOWS_PATIENTS", False)
    return toy_experiment


def test_the_ledger_and_the_screen_state_an_image_as_the_unit(images: Make, toy_experiment: Make) -> None:
    mechanism = images(*DP).privacy
    document = mechanism.document()
    assert document["unit"] == "image"
    assert any("Nobody knows whose the images are" in sentence for sentence in document["assumptions"])
    assert not any("one patient," in sentence for sentence in document["assumptions"])
    assert "unit: an image, as patients are not known" in mechanism.statement()
    spent = mechanism.verdict([Entry("patient-house", 3, 1.0, 2.0, 4.0, 1e-5)])
    assert "spent by each image over 3 rounds: patient-house 2" in spent


def test_of_brain_mr_images_nobody_knows_the_patients() -> None:
    assert (BrainMri().unit, Brats18().unit) == ("image", "patient")


def test_the_unit_follows_from_the_task_and_not_from_what_travels(images: Make) -> None:
    again = Experiment.from_json(images(*DP).to_json(travelling=True))
    assert again.privacy.document()["unit"] == "image"
    assert "data_unit" not in images(*DP).to_json()


def test_where_patients_are_known_all_is_said_of_them(toy_experiment: Make) -> None:
    mechanism = toy_experiment(*DP).privacy
    assert mechanism.document()["unit"] == "patient"
    assert "unit: a patient. " in mechanism.statement()
    assert not any("Nobody knows" in sentence for sentence in mechanism.document()["assumptions"])


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        (Policy(unit="patient"), "the unit must be patient and that of --privacy dpsgd is image"),
        (Policy(unit="image"), None),
        (Policy(unit="any", guarantee="formal"), None),
    ],
)
def test_a_policy_that_demands_patients_is_not_met_by_images(images: Make, policy: Policy, fault: str | None) -> None:
    assert policy.fault_of(images(*DP), 8) == fault


def test_who_hides_a_patient_hides_each_image(toy_experiment: Make) -> None:
    assert Policy(unit="image").fault_of(toy_experiment(*DP), 8) is None
    site_wide = toy_experiment("--privacy", "gaussian", "--dp_noise_multiplier", "1")
    assert "must be image" in str(Policy(unit="image").fault_of(site_wide, 8))


@pytest.mark.parametrize(
    ("option", "words"),
    [(("--batch_size", "9"), "more than the 8 training images of"), (("--dp_delta", "0.5"), "below 1 / 8 images of")],
)
def test_refusals_speak_of_images(images: Make, option: tuple[str, str], words: str) -> None:
    experiment = images(*DP, *option)
    with pytest.raises(InputError, match=words) as told:
        experiment.privacy.check_data(experiment, {"site-1": 8})
    assert "patient" not in str(told.value)


def test_the_audit_speaks_of_images(images: Make, toy_data: Path) -> None:
    experiment = images()
    path = toy_data / "datalist" / "site-1.json"
    audit = experiment.task.audit("site-1", load_datalist(path, toy_data), allow_overlap=False)
    assert "of 14 images: 0 errors" in site_table(audit)
    other = load_datalist(toy_data / "datalist" / "site-2.json", toy_data)
    entry = {"image": "pictures/toy-000.png", "label": 0, "patient": other.training[0].extra["patient"]}
    add_testing(path, [entry])
    findings = experiment.task.audit("site-1", load_datalist(path, toy_data), allow_overlap=False).findings
    assert any("new images" in finding.sentence for finding in findings)
    with pytest.raises(InputError, match="new images"):
        preflight.checked(experiment, None)


def test_an_evaluation_speaks_of_images(images: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = images()
    run = RunFolder.create(tmp_path / "runs", "run")
    run.write_experiment(experiment)
    save_weights(experiment.task.first_model(0).state_dict(), run.path / "best_global_model.pt")
    run.write_status("finished")
    evaluate(run.path, run.name, EvaluationRequest())
    shown = capsys.readouterr().out
    assert "images with their copies are resampled, 6 of them in all" in shown
    assert "Nobody knows whose the images are, so nothing is said of patients." in shown
    assert "patients are resampled" not in shown
