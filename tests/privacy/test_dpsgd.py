"""Patient-level privacy: what is accepted, and how sampling and noise follow from patients, batch and rounds."""

from collections.abc import Callable

import pytest
from torch import nn

from fedmed.algorithms.fedavg import FedAvg
from fedmed.core import registry
from fedmed.core.entries import Part
from fedmed.core.errors import InputError
from fedmed.experiment import Experiment
from fedmed.privacy.dpsgd import DPSGD, refuse_batch_norm
from fedmed.privacy.ledger import Entry
from fedmed.tasks.brats18 import Brats18

Make = Callable[..., Experiment]
NOISE = ("--privacy", "dpsgd", "--dp_noise_multiplier", "1")


def test_an_epoch_sees_each_patient_once_on_average(small_experiment: Make) -> None:
    experiment = small_experiment(*NOISE, "--batch_size", "4", "--aggregation_epochs", "3")
    assert experiment.privacy.sampling(experiment, 20) == (0.2, 15)  # type: ignore[attr-defined]
    assert experiment.privacy.sampling(experiment, 4) == (1.0, 3)  # type: ignore[attr-defined]


def test_a_target_is_met_over_all_rounds_and_sites_differ(small_experiment: Make) -> None:
    experiment = small_experiment("--privacy", "dpsgd", "--dp_target_epsilon", "8", "--num_rounds", "10")
    for patients in (5, 40):
        planned = experiment.privacy.planned(experiment, patients)
        assert planned is not None
        assert 0.99 * 8 <= planned <= 8
    few, many = (experiment.privacy.noise_multiplier(experiment, n) for n in (5, 40))  # type: ignore[attr-defined]
    assert few > many  # among more patients less noise hides one


def test_a_batch_larger_than_the_sites_patients_is_refused(small_experiment: Make) -> None:
    experiment = small_experiment(*NOISE, "--batch_size", "4")
    with pytest.raises(InputError, match="--batch_size 4 is more than the 3 training patients of site-2"):
        experiment.privacy.check_data(experiment, {"site-1": 9, "site-2": 3})


def test_a_large_delta_and_a_small_budget_are_refused(small_experiment: Make) -> None:
    experiment = small_experiment(*NOISE, "--dp_delta", "0.2", "--dp_max_epsilon", "50")
    with pytest.raises(InputError, match="not below 1 / 5 patients of site-1"):
        experiment.privacy.check_data(experiment, {"site-1": 5, "site-2": 4})
    experiment.privacy.check_data(experiment, {"site-1": 4})
    experiment = small_experiment(*NOISE, "--dp_max_epsilon", "0.1")
    with pytest.raises(InputError, match="first round at site-1"):
        experiment.privacy.check_data(experiment, {"site-1": 5})


def test_batch_norm_is_refused_with_the_remedy_and_group_norm_is_not() -> None:
    with pytest.raises(InputError, match=r"its layer 1 is a BatchNorm.*GroupNorm"):
        refuse_batch_norm(nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4)))
    refuse_batch_norm(nn.Sequential(nn.Conv3d(1, 4, 3), nn.GroupNorm(2, 4), nn.InstanceNorm3d(4)))


def stays_if_running(algorithm: FedAvg, name: str, layer: nn.Module) -> Part:
    return "private" if "running" in name else "shared"


@pytest.mark.parametrize("privacy", ["dpsgd", "gaussian"])
def test_running_statistics_are_refused_by_every_formal_mechanism_before_a_run(
    privacy: str, small_experiment: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = ("--privacy", privacy, "--dp_noise_multiplier", "1")
    layer = nn.InstanceNorm3d(4, affine=True, track_running_stats=True)
    monkeypatch.setattr(Brats18, "build_model", lambda self: nn.Sequential(nn.Conv3d(1, 4, 3), layer))
    with pytest.raises(InputError, match=r"1\.running_mean .* without noise"):
        small_experiment(*noise)
    monkeypatch.setattr(FedAvg, "part", stays_if_running)
    monkeypatch.setattr(FedAvg, "RESULT", "both")
    small_experiment(*noise)


@pytest.mark.parametrize(
    "privacy",
    [NOISE, ("--privacy", "gaussian", "--dp_noise_multiplier", "1"), ("--privacy", "svt"), ("--privacy", "percentile"),
     ("--privacy", "exclude_vars", "--exclude_vars", "convInit")],
    ids=lambda arguments: arguments[1],
)  # fmt: skip
def test_an_algorithm_that_sends_more_than_the_update_is_refused_by_every_mechanism(
    privacy: tuple[str, ...], small_experiment: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_experiment(*privacy)
    monkeypatch.setattr(FedAvg, "SENDS_EXTRAS", "control variates")
    with pytest.raises(InputError, match=r"sends control variates beside the update.*choose fedavg"):
        small_experiment(*privacy)
    small_experiment()


def test_every_mechanism_is_tried_here() -> None:
    assert set(registry.names("privacy")) == {"none", "dpsgd", "gaussian", "svt", "percentile", "exclude_vars"}


def test_what_the_summary_says() -> None:
    mechanism = DPSGD(dp_noise_multiplier=1.0)
    assert (mechanism.UNIT, mechanism.GUARANTEE) == ("patient", "formal")
    entries = [Entry(f"site-{i}", 3, 1.0, 2.0 + i, 4.0, 1e-5) for i in (1, 2)]
    assert "spent by each patient over 3 rounds: site-1 3, site-2 4" in mechanism.verdict(entries)
