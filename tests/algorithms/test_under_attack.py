"""A whole federation of five sites, one of which is harmful: the mean is destroyed, robust rules are not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedmed.experiment import Experiment
from fedmed.server.quorum import RoundFailed
from fedmed.site.local_training import LocalSite
from tests.algorithms.whole_federation import WholeFederation
from tests.toy.toy_task import make_toy

Make = Callable[..., WholeFederation]
SIGN_FLIP = ("--attack", "sign_flip", "--attackers", "site-2", "--attack_strength", "20")
RULES = ["median", "trimmed_mean", "geometric_median", "krum", "multi_krum", "norm_clip"]


@pytest.fixture
def federation(
    toy_data: Path, toy_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Make:
    """Makes a run of five sites of the toy task with these arguments."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    make_toy(toy_data, sites=5, cases=8, validation=12, noise=30.0)

    def make(*arguments: str, place: str = "run") -> WholeFederation:
        usual = ("--n_clients", "5", "--num_rounds", "6", "--aggregation_epochs", "2", "--seed", "1")
        return WholeFederation(toy_experiment(*usual, *arguments), tmp_path / place, monkeypatch)

    return make


def figure(run: WholeFederation, name: str) -> float:
    """A figure of the last model over all validation cases, which one site scores."""
    (found,) = {report[name] for report in run.records[-1]["sites"].values() if name in report}
    return float(found)


def test_without_a_defence_a_turned_update_destroys_the_mean(federation: Make) -> None:
    run = federation(*SIGN_FLIP).run()
    assert figure(run, "val_auroc") < 0.6  # chance is 0.5
    assert figure(run, "val_loss") > 2 * np.log(2)
    assert all("counted" not in record for record in run.records)
    assert [record.get("attack") for record in run.records] == [{"site-2": "sign_flip"}] * 6 + [None]


@pytest.mark.parametrize("algorithm", RULES)
def test_rules_that_withstand_learn_all_the_same_and_say_whom_they_left_out(federation: Make, algorithm: str) -> None:
    run = federation("--algorithm", algorithm, *SIGN_FLIP).run()
    assert figure(run, "val_auroc") > 0.9
    assert figure(run, "val_loss") < np.log(2)
    counted = [record["counted"] for record in run.records if not record.get("final")]
    assert len(counted) == 6
    assert all(shares["site-2"] == min(shares.values()) < 0.5 for shares in counted)


def test_a_site_that_flips_labels_trains_as_one_whose_list_has_them_flipped(federation: Make, toy_data: Path) -> None:
    few = ("--n_clients", "2", "--num_rounds", "2")
    attacked = federation(*few, "--attack", "label_flip", "--attackers", "site-2", place="attacked").run()
    assert attacked.records[0]["attack"] == {"site-2": "label_flip"}
    path = toy_data / "datalist" / "site-2.json"
    document: dict[str, Any] = json.loads(path.read_text())
    flipped = [{**case, "label": 1 - case["label"]} for case in document["training"]]
    honest = federation(*few, place="honest").run()
    path.write_text(json.dumps({**document, "training": flipped}))
    relabelled = federation(*few, place="relabelled").run()
    assert attacked.bits == relabelled.bits != honest.bits


def test_a_round_in_which_too_few_updates_can_be_used_does_not_count(
    federation: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = federation("--algorithm", "krum", "--num_rounds", "3")
    update = LocalSite.update

    def of_a_broken_site(site: LocalSite, received: Any) -> dict[str, np.ndarray]:
        found = update(site, received)
        broken = site.site == "site-3" and len(run.records) == 1
        return {name: values * np.nan for name, values in found.items()} if broken else found

    with monkeypatch.context() as patched:
        patched.setattr(LocalSite, "update", of_a_broken_site)
        with pytest.raises(RoundFailed, match=r"krum needs 5 usable updates in a round and has 4 \(site-3: .* NaN"):
            run.run()
    assert [bool(record.get("failed")) for record in run.records] == [False, True]
    once = run.model
    assert any(not np.array_equal(once[name], values.numpy()) for name, values in run.first().items())
    run.run()  # goes on after the one round that counts
    assert [record["round"] for record in run.records] == [0, 1, 2, 3]
