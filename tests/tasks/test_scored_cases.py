"""A task whose scored cases are made of several of a list, here of two pictures each, is scored by these everywhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from fedmed.analysis.attacks.membership_cases import subjects
from fedmed.analysis.evaluation.evaluation_cases import evaluation_cases
from fedmed.core.errors import InputError
from fedmed.core.names import STATE_VARIABLE
from fedmed.data.datalist import ALL_SITES, Case, joined
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite
from tests.toy.toy_task import ToyTask

Make = Callable[..., Experiment]


@dataclass(frozen=True)
class PairTask(ToyTask):
    """Two pictures that follow one another are one case, of the class of the first."""

    METRICS = ToyTask.METRICS[1:]  # none that needs all rows, so that nothing else forbids to share out the cases
    KEY_METRIC = "val_accuracy"

    def scored(self, cases: Sequence[Case]) -> tuple[Case, ...]:
        return tuple(joined(cases[at : at + 2], f"pair of {cases[at].name}") for at in range(0, len(cases), 2))

    def eval_set(self, cases: Sequence[Case], label_scheme: str | None, caching: Caching) -> Dataset[Any]:
        assert all(len(case.parts) == 2 for case in cases)
        return super().eval_set(cases, label_scheme, caching)


@pytest.fixture
def experiment(toy_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    return toy_experiment()._with("task", PairTask())


def test_a_site_scores_the_pairs_of_its_validation_cases(experiment: Experiment) -> None:
    torch.manual_seed(0)
    local = LocalSite(experiment, "site-1", "run")
    scores = local.evaluate()
    assert scores["val_cases"] == scores["val_accuracy_sum_cases"] == 3  # of six pictures
    assert len(local.batches) == 2  # training takes eight pictures by four


def test_sites_do_not_share_out_cases_of_which_others_are_made(experiment: Experiment) -> None:
    assert not PairTask().validation_can_be_split
    assert not experiment.splits_validation


def test_an_evaluation_has_the_pairs_by_site(toy_test_cases: Path) -> None:
    lists = toy_test_cases / "datalist"
    found = evaluation_cases(PairTask(), toy_test_cases, lists, ("site-1", "site-2"), "test")
    assert [len(case.parts) for case in found.cases] == [2] * 4
    assert {site: len(cases) for site, cases in found.of_site.items()} == {"site-1": 2, "site-2": 2}
    assert sorted(found.site_of.values()) == ["site-1"] * 2 + ["site-2"] * 2
    of_all = evaluation_cases(PairTask(), toy_test_cases, lists / f"{ALL_SITES}.json", (), "test")
    assert of_all.site_of == found.site_of


def test_a_membership_attack_takes_each_pair_once(experiment: Experiment) -> None:
    people, _ = subjects(experiment, experiment.data)
    assert [(len(each.case.parts), each.member) for each in people] == [(2, True)] * 8 + [(2, False)] * 3


def test_a_joined_case_has_the_files_of_its_parts_and_what_they_state_alike(tmp_path: Path) -> None:
    one = Case((tmp_path / "a.png",), tmp_path / "a_mask.png", {"patient": "p", "fold": 1})
    other = Case((tmp_path / "b.png",), tmp_path / "b_mask.png", {"patient": "p", "fold": 2})
    both = joined((one, other), "p")
    assert both.files == (*one.files, *other.files)
    assert both.images == (*one.images, *other.images)
    assert (both.name, both.extra) == ("p", {"patient": "p"})


def test_the_truth_of_a_joined_case_is_that_of_every_part(tmp_path: Path) -> None:
    one, other, third = (Case((tmp_path / f"{name}.png",), name, {}) for name in "abc")
    truths = [joined(parts, "p").truth_digest() for parts in ((one, other), (one, third), (other, one))]
    assert len({*truths, one.truth_digest()}) == 4
    assert joined((one, other), "other name").truth_digest() == truths[0]
    gone = Case((), tmp_path / "gone.png", {})
    with pytest.raises(InputError, match=r"gone\.png cannot be read"):
        joined((one, gone), "p").truth_digest()
