"""Mechanisms in a run that sends a part of the model: they cover what is sent and say what is not."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmed.core.errors import InputError
from fedmed.core.weights import l2_norm
from fedmed.experiment import Experiment
from fedmed.privacy.svt import SVT
from tests.algorithms.whole_federation import WholeFederation

Make = Callable[..., Experiment]
NOISE = ("--dp_noise_multiplier", "1")
PARTIAL = ("--batch_norm", "--algorithm", "partial", "--num_rounds", "1", "--batch_size", "4")
HEAD = {"layers.8.weight", "layers.8.bias"}
MECHANISMS = {
    "dpsgd": (*NOISE, "--dp_delta", "1e-3"),
    "gaussian": NOISE,
    "svt": (),
    "percentile": (),
    "exclude_vars": ("--exclude_vars", "bias"),
}


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize("name", MECHANISMS)
def test_the_update_is_of_what_is_shared_and_statement_and_ledger_say_what_is_not(
    name: str, toy_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = toy_experiment(*PARTIAL, "--share", "layers.8", "--privacy", name, *MECHANISMS[name])
    unsent = "not sent and so not covered: what stays as it was at first, all but layers.8"
    assert unsent in made.privacy.statement()
    assert unsent in made.privacy.resolved(made).statement()
    run = WholeFederation(made, tmp_path, monkeypatch).run()
    updates = [answer.update for _, answer in run.answers if answer.update]
    assert len(updates) == 2
    assert all(set(update) == HEAD for update in updates)
    ledger = json.loads((tmp_path / "sites" / "job" / "site-1" / "privacy_ledger.json").read_text())
    assert ledger["mechanism"]["not_sent_and_not_covered"] in unsent
    assert all(np.array_equal(run.model[n], v.numpy()) for n, v in run.first().items() if n not in HEAD)


def test_where_all_is_sent_nothing_is_said(toy_experiment: Make) -> None:
    made = toy_experiment("--privacy", "gaussian", *NOISE)
    assert "not sent" not in made.privacy.statement()
    assert "not_sent_and_not_covered" not in made.privacy.document()


def test_a_clip_is_of_what_is_sent_alone(toy_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = ("--privacy", "gaussian", "--dp_clip", "1e-3", "--dp_noise_multiplier", "1e-6")
    run = WholeFederation(toy_experiment(*PARTIAL, "--share", "layers.8", *quiet), tmp_path, monkeypatch).run()
    updates = [answer.update for _, answer in run.answers if answer.update]
    assert [l2_norm(update) for update in updates] == pytest.approx([1e-3, 1e-3], rel=1e-3)


def test_svt_spends_for_the_values_that_are_sent(toy_experiment: Make) -> None:
    values = 18
    spent = SVT().epsilon_of_round(values)
    most = ("--privacy", "svt", "--dp_max_epsilon")
    toy_experiment(*PARTIAL, "--share", "layers.8", *most, str(spent * 1.01))
    with pytest.raises(InputError, match="One round of --privacy svt spends"):
        toy_experiment(*PARTIAL, "--share", "layers.8", *most, str(spent * 0.99))


def test_batch_normalisation_that_stands_still_mixes_no_patients(toy_experiment: Make) -> None:
    dpsgd = ("--privacy", "dpsgd", *MECHANISMS["dpsgd"])
    toy_experiment(*PARTIAL, "--share", "layers.8", *dpsgd)
    toy_experiment(*PARTIAL, "--share", "layers.1.weight,layers.8", *dpsgd)  # its scale trains, on frozen statistics
    for how in (("--share", "layers.1,layers.8"), ("--share", "layers.1,layers.8", "--private", "layers.1")):
        with pytest.raises(InputError, match=r"layers\.1 is a BatchNorm, which mixes patients"):
            toy_experiment(*PARTIAL, *how, *dpsgd)


def test_with_private_statistics_a_whole_update_can_be_covered(toy_experiment: Make) -> None:
    gaussian = ("--batch_norm", "--privacy", "gaussian", *NOISE)
    with pytest.raises(InputError, match="leaves without noise"):
        toy_experiment(*gaussian)
    made = toy_experiment(*gaussian, "--algorithm", "fedbn")
    assert "not covered: each site's own normalisation layers" in made.privacy.statement()
