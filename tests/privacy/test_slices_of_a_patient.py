"""Under DP-SGD a patient's slices are one unit: their number changes neither the sampling nor the sensitivity."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from fedmed.command_line import read_experiment
from fedmed.core.names import STATE_VARIABLE
from fedmed.privacy.ledger import read_ledger, site_ledger
from fedmed.privacy.patient_level import PatientLevelTraining
from fedmed.site.local_training import LocalSite
from tests.tasks.written_slices import write_sites

Make = Callable[..., LocalSite]

SLICES = [2, 12, 3, 2]
"""Slices of each patient."""

FEW, MANY = 0, 1
QUIET = ("--privacy", "dpsgd", "--dp_noise_multiplier", "1e-6", "--insecure_seeded_noise")


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads") / "set"
    write_sites(folder, {"site-1": {"training": SLICES, "validation": [2]}})
    return folder


@pytest.fixture
def make(heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))

    def made(*arguments: str) -> LocalSite:
        site_ledger("site-1", "job").unlink(missing_ok=True)
        usual = ["--task", "lgg", "--dataset_base_dir", str(heads), "--datalist_json_path", str(heads / "datalist")]
        usual += ["--n_clients", "1", "--image_size", "64", "--network", "unet_16", "--norm", "group"]
        torch.manual_seed(0)
        return LocalSite(read_experiment([*usual, "--precision", "fp32", *QUIET, *arguments]), "site-1", "job")

    return made


def private(site: LocalSite) -> PatientLevelTraining:
    assert isinstance(site.private, PatientLevelTraining)
    return site.private


def moved(make: Make, sample: Sequence[int], clip: float) -> torch.Tensor:
    """The sum of the clipped gradients of a step with these patients."""
    site = make("--batch_size", "4", "--dp_max_grad_norm", str(clip))
    site.optimizer = torch.optim.SGD(site.model.parameters(), lr=4.0)  # undoes the division by the batch
    private(site)._samples = lambda source: [list(sample)]  # type: ignore[method-assign]
    before = site.weights()
    site.train(0)
    after = site.weights()
    return torch.cat([(before[name] - after[name]).flatten() for name in before])


def test_a_patients_slices_are_sampled_together(make: Make) -> None:
    training = private(make("--batch_size", "2"))
    assert [len(items) for items in training.items] == SLICES
    assert (training.rate, training.steps) == (2 / len(SLICES), 2)  # of patients, however many slices there are
    places = training._places(None, 1, 0, [MANY])
    assert [place.item for place in places[0]] == [*range(SLICES[FEW], SLICES[FEW] + SLICES[MANY])]


def test_the_number_of_slices_does_not_change_how_far_a_patient_can_move_a_step(make: Make) -> None:
    """A clip that every gradient exceeds: a patient of 12 slices and one of 2 each move the weights by it, no more."""
    clip = 1e-3
    for patient in (FEW, MANY):
        alone = moved(make, [patient], clip)
        assert float(alone.norm()) == pytest.approx(clip, rel=1e-3)
        others = [other for other in range(len(SLICES)) if other != patient]
        change = moved(make, [*others, patient], clip) - moved(make, others, clip)
        assert float(change.norm()) <= clip * 1.001
        assert torch.nn.functional.cosine_similarity(change, alone, dim=0) > 0.999  # the others' parts stay the same


def test_an_unclipped_patient_counts_as_the_mean_of_its_slices(make: Make) -> None:
    """Else the gradient of many slices would be that of few, several times as long."""
    few, many = (float(moved(make, [patient], 1e6).norm()) for patient in (FEW, MANY))
    assert many < 3 * few


def test_the_ledger_counts_patients(make: Make) -> None:
    site = make("--batch_size", "2", "--dp_noise_multiplier", "1")
    site.train(0)
    (entry,) = read_ledger(site_ledger("site-1", "job")).entries
    assert (entry.facts["sample_rate"], entry.facts["steps"]) == (0.5, 2)
