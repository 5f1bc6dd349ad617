"""The options of an attack: what goes together, what an error says, what a run calls it."""

import json
from collections.abc import Callable

import pytest

from fedmed.command_line import read_experiment
from fedmed.core.attack import Attack
from fedmed.core.errors import InputError
from fedmed.experiment import Experiment
from fedmed.tasks.base import Task

FIVE = ("--n_clients", "5")
FLIP = ("--attack", "sign_flip", "--attackers", "site-2")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--attackers site-2", "--attackers site-2 is given without --attack"),
        ("--attack_strength 2", "--attack_strength is 2.0; expected none with --attack none"),
        ("--attack scaled", "--attack scaled has no --attackers; name the sites"),
        ("--attack scaled --attackers ,", "expected names, each once"),
        ("--attack scaled --attackers site-1,site-1", "expected names, each once"),
        ("--attack scaled --attackers site-22", "names site-22, which is no site; the nearest name is site-2."),
        ("--attack scaled --attackers site-1,site-2,site-3,site-4,site-5", "names 5 of 5 sites, and nobody would be"),
        ("--attack scaled --attackers site-2 --attack_strength 0", "--attack_strength is 0.0; expected a number above"),
        ("--attack scaled --attackers site-2 --attack_strength nan", "--attack_strength is nan; expected a number"),
        ("--attack alie --attackers site-2", "--attack alie has no --attack_strength; .* 0 for one attacker of five"),
        ("--attack min_max --attackers site-2 --attack_strength 2", "expected none with --attack min_max"),
        ("--attack label_flip --attackers site-2 --attack_strength 2", "expected none with --attack label_flip"),
        ("--attack scaled --attackers site-2 --algorithm local", "--algorithm local shares nothing; drop one"),
        ("--attack scaled --attackers site-2 --privacy svt", "that --privacy svt lets out"),
        (
            "--attack scaled --attackers site-2 --privacy gaussian --dp_noise_multiplier 1",
            "--privacy gaussian lets out",
        ),
        ("--attack scaled --attackers site-2 --env poc", "is for study on one machine"),
        ("--attack scaled --attackers site-2 --env prod", "is for study on one machine"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_experiment([*FIVE, *arguments.split()])


def test_no_job_for_a_federation_is_exported_with_an_attack() -> None:
    with pytest.raises(InputError, match="no federation's server forges"):
        read_experiment([*FIVE, *FLIP, "--export", "/tmp/nowhere"])


@pytest.mark.parametrize("environment", ["sim", "pool"])
def test_it_runs_on_one_machine(environment: str) -> None:
    found = read_experiment([*FIVE, *FLIP, "--env", environment]).attack
    assert (found.sites, found.strength) == (("site-2",), 1.0)
    assert found.statement() == "sign_flip (strength 1) at site-2, for study only"


def test_it_is_part_of_the_experiment_and_of_what_travels() -> None:
    original = read_experiment([*FIVE, "--attack", "ipm", "--attackers", "site-2, site-4", "--attack_strength", "0.5"])
    for travelling in (True, False):
        arrived = Experiment.from_json(original.to_json(travelling=travelling))
        assert arrived.attack == original.attack == Attack("ipm", "site-2, site-4", 0.5)
    assert original.attack.sites == ("site-2", "site-4")


def test_an_experiment_of_an_earlier_version_has_no_attack() -> None:
    document = json.loads(read_experiment(FIVE).to_json())
    del document["attack"]
    assert Experiment.from_json(json.dumps(document)).attack == Attack()
    assert Attack().statement() == ""


def test_flipped_labels_need_a_task_that_has_some(
    toy_task: type[Task], toy_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(toy_task, "flipped_labels")
    with pytest.raises(InputError, match="--attack label_flip has no meaning for --task toy_task"):
        toy_experiment("--attack", "label_flip", "--attackers", "site-2")
