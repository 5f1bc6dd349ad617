"""The folds of a split: what each is run with, and what cannot be one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmed.analysis.cross_validation.folds import expect_same_cases, fold_folders, planned_folds
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.data.datalist import load_datalist
from fedmed.runs.preflight import splits_of
from fedmed.runs.run_folder import RunFolder

MakeFolds = Callable[..., Path]
LIST = "site-1.json"


def job(place: Path, *options: str) -> list[str]:
    return ["--task", "toy_task", "--dataset_base_dir", str(place.parent), *options]


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    lists = json.loads(path.read_text())
    edit(lists)
    path.write_text(json.dumps(lists))


def test_every_patient_is_tested_in_one_fold_on_all_sites_of_the_lists(folds: MakeFolds) -> None:
    place = folds(4)
    found = planned_folds(place, job(place, "--num_rounds", "2"), "cv", read_experiment)
    assert [fold.name for fold in found] == ["fold-1", "fold-2", "fold-3", "fold-4"]
    for fold in found:
        assert fold.experiment.job_name == f"cv-{fold.name}"
        assert fold.experiment.training.sites == ("site-1", "site-2")
        assert fold.experiment.training.num_rounds == 2
        assert fold.experiment.data.datalist_json_path == place / fold.name
        assert len(fold.tested) == 2
        assert len(fold.patients) == 12
    assert len(frozenset().union(*(fold.tested for fold in found))) == 8


def test_the_sites_may_be_named(folds: MakeFolds) -> None:
    place = folds()
    for options, sites in ((("--n_clients", "1"), ("site-All",)), (("--site_names=site-2",), ("site-2",))):
        found = planned_folds(place, job(place, *options), "cv", read_experiment)
        assert found[0].experiment.training.sites == sites


def test_folds_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("fold-10", "fold-2", "fold-1", "fold-x", "other"):
        (tmp_path / name).mkdir()
    assert [path.name for path in fold_folders(tmp_path)] == ["fold-1", "fold-2", "fold-10"]


@pytest.mark.parametrize("option", ["--job_name=x", "--datalist_json_path", "--artifacts", "--resume", "--export"])
def test_what_the_cross_validation_gives_itself_is_refused(option: str, folds: MakeFolds) -> None:
    place = folds()
    with pytest.raises(InputError, match=f"{option.partition('=')[0]} is not for the options of a fold"):
        planned_folds(place, job(place, option, "x"), "cv", read_experiment)


def moved_to_training(place: Path) -> None:
    """A patient whom site-1 tests is trained on at site-2."""
    tested = json.loads((place / "fold-2" / LIST).read_text())["testing"][0]
    change(place / "fold-2" / "site-2.json", lambda lists: lists["training"].append(tested))


def in_two_folds(place: Path) -> None:
    again = json.loads((place / "fold-1" / LIST).read_text())["testing"][0]
    for path in (place / "fold-2").glob("*.json"):
        change(path, lambda lists: lists.update(training=[case for case in lists["training"] if case != again]))
    change(place / "fold-2" / LIST, lambda lists: lists["testing"].append(again))


def without_test_cases(place: Path) -> None:
    for path in (place / "fold-2").glob("*.json"):
        change(path, lambda lists: lists.pop("testing"))


def without_lists(place: Path) -> None:
    for path in (place / "fold-2").glob("*.json"):
        path.unlink()


def one_alone(place: Path) -> None:
    (place / "fold-2").rename(place / "second")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (moved_to_training, r"The patient patient-\d+ is in the test cases of .*fold-2 and in the training or "
                            "validation cases of site-2"),
        (in_two_folds, r"The patient patient-\d+ is tested in fold-1 and in fold-2 \(1 such in all\)"),
        (without_test_cases, "fold-2 has no test cases"),
        (without_lists, "fold-2 holds no list of a site"),
        (one_alone, "holds 1 folder fold-1, fold-2 ...; expected two or more"),
    ],
)  # fmt: skip
def test_folds_that_test_nothing_new_are_refused(fault: Callable[[Path], None], words: str, folds: MakeFolds) -> None:
    place = folds()
    fault(place)
    with pytest.raises(InputError, match=words):
        planned_folds(place, job(place), "cv", read_experiment)


def test_sites_with_models_of_their_own_need_test_cases_of_their_own(folds: MakeFolds) -> None:
    place = folds()
    assert len(planned_folds(place, job(place, "--algorithm", "local"), "cv", read_experiment)) == 2
    change(place / "fold-1" / LIST, lambda lists: lists.pop("testing"))
    assert len(planned_folds(place, job(place), "cv", read_experiment)) == 2
    with pytest.raises(InputError, match=r"site-1 has no test cases in .*fold-1, and --algorithm local"):
        planned_folds(place, job(place, "--algorithm", "local"), "cv", read_experiment)


def test_a_run_on_other_lists_is_no_run_of_the_fold(folds: MakeFolds, tmp_path: Path) -> None:
    place = folds()
    fold, run = planned_folds(place, job(place), "cv", read_experiment)[0], RunFolder.create(tmp_path, "cv-fold-1")
    lists = {site: load_datalist(fold.lists / f"{site}.json", place.parent) for site in ("site-1", "site-2")}
    run.write_json("dataset_splits", splits_of(lists))
    expect_same_cases(run, fold.experiment)
    change(fold.lists / LIST, lambda lists: lists["training"].pop())
    with pytest.raises(InputError, match=r"was trained on other cases than .*fold-1 lists now; give --force"):
        expect_same_cases(run, fold.experiment)
