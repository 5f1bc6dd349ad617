"""The runs of a study, and what is wrong with one of them, said before any is made."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmed.analysis.study.study_cells import check, grid, known_options, tries, words_of
from fedmed.analysis.study.study_file import read_study_file
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError

Write = Callable[..., Path]


def test_the_grid_has_every_combination_a_seed_after_the_other(write_study: Write) -> None:
    study = read_study_file(write_study(attacks={"none": {}, "hot": {"learning_rate": 0.5}}))
    check(study, read_experiment)
    cells = grid(study, {}, read_experiment)
    assert [cell.name for cell in cells[:4]] == [
        "iid-fedavg-seed0",
        "iid-central-seed0",
        "iid-fedavg-hot-seed0",
        "iid-central-hot-seed0",
    ]
    assert len(cells) == len({cell.name for cell in cells}) == 2 * 2 * 2 * 2
    assert [cell.seed for cell in cells] == [0] * 8 + [1] * 8
    assert [cell.experiment.training.seed for cell in cells] == [0] * 8 + [1] * 8
    assert all(cell.experiment.environment.name == "pool" for cell in cells)


def test_a_later_axis_counts_and_all_sites_take_part_unless_some_are_named(write_study: Write) -> None:
    cells = grid(read_study_file(write_study()), {"fedavg": {"num_rounds": 5}}, read_experiment)
    training = {(cell.partition, cell.algorithm): cell.experiment.training for cell in cells if cell.seed == 0}
    assert training["iid", "central"].num_rounds == 2  # the base's
    assert training["again", "central"].num_rounds == 3  # the partition's
    assert training["again", "fedavg"].num_rounds == 5  # tuning's
    assert training["iid", "fedavg"].sites == ("site-1", "site-2")
    assert training["iid", "central"].sites == ("site-All",)


def test_tries_are_runs_of_one_partition_and_a_seed_that_the_grid_has_not(write_study: Write) -> None:
    given = {"fedavg": [{"learning_rate": 0.1}, {"learning_rate": 0.2}], "central": [{}, {"batch_size": 2}]}
    study = read_study_file(write_study(tuning={"partition": "again", "tries": given}))
    check(study, read_experiment)
    found = tries(study, read_experiment)
    assert [cell.name for cell in found["fedavg"]] == ["try1-again-fedavg-seed2", "try2-again-fedavg-seed2"]
    assert [cell.experiment.training.learning_rate for cell in found["fedavg"]] == [0.1, 0.2]
    assert [cell.experiment.training.batch_size for cell in found["central"]] == [4, 2]


def test_an_option_that_every_try_gives_need_not_stand_in_the_algorithm(write_study: Write) -> None:
    given = {"fedavg": [{}, {"batch_size": 2}], "part": [{"share": "layers.0"}, {"share": "layers.4"}]}
    algorithms = {"fedavg": {}, "part": {"algorithm": "partial"}}  # which needs --share
    check(read_study_file(write_study(algorithms=algorithms, tuning={"tries": given})), read_experiment)


def test_values_become_words_and_paths_begin_at_the_file(tmp_path: Path) -> None:
    assert words_of("num_rounds", 3, tmp_path) == ["--num_rounds", "3"]
    assert words_of("learning_rate", 0.001, tmp_path) == ["--learning_rate", "0.001"]
    assert words_of("cross_site", True, tmp_path) == ["--cross_site"]
    assert words_of("cross_site", False, tmp_path) == words_of("patience", None, tmp_path) == []
    assert words_of("roi_size", [24, 24, 24], tmp_path) == ["--roi_size", "24", "24", "24"]
    assert words_of("dataset_base_dir", "data", tmp_path) == ["--dataset_base_dir", str(tmp_path / "data")]
    assert words_of("dataset_base_dir", "/data", tmp_path) == ["--dataset_base_dir", "/data"]
    assert {"algorithm", "fedproxloss_mu", "share", "gpu", "n_clients", "preset"} <= known_options()[0]
    assert known_options()[1] >= {"dataset_base_dir", "datalist_json_path", "cache_dir", "pretrained"}


LISTS = {"datalist_json_path": "toy/datalist"}
ONE = {"fedavg": {}}
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown option": (
        {"algorithms": {"fedavg": {"learnig_rate": 1}}},
        r'partition iid, algorithm fedavg: job.py has no option "learnig_rate"; did you mean "learning_rate"\.',
    ),
    "the study's own": (
        {"algorithms": {"fedavg": {"seed": 1}}},
        "algorithm fedavg: --seed is given by the study itself, whose runs differ in it; drop it",
    ),
    "another environment": ({"base": {"env": "sim"}}, "--env is given by the study itself"),
    "out of range": (
        {"algorithms": {"fedavg": {}, "hot": {"learning_rate": -1}}},
        r"partition iid, algorithm hot: --learning_rate is -1\.0; expected a number above 0",
    ),
    "of one partition alone": (
        {"partitions": {"iid": LISTS, "again": {**LISTS, "num_rounds": 0}}},
        "partition again, algorithm fedavg: --num_rounds is 0; expected a whole number from 1",
    ),
    "of an attack": (
        {"attacks": {"none": {}, "odd": {"schedule": "zigzag"}}},
        "partition iid, algorithm fedavg, attack odd: argument --schedule: invalid choice",
    ),
    "of a try": (
        {"algorithms": ONE, "tuning": {"tries": {"fedavg": [{}, {"batch_size": 0}]}}},
        "algorithm fedavg: --batch_size is 0",
    ),
    "of another choice": (
        {"algorithms": {"fedavg": {"share": "layers"}}},
        "--share belongs to --algorithm partial, but --algorithm is fedavg",
    ),
    "no folder": ({"partitions": {"iid": {"datalist_json_path": "nowhere"}}}, "nowhere is no folder"),
    "no lists": ({"partitions": {"iid": {"datalist_json_path": "toy/pictures"}}}, "holds no list of a site"),
    "no data": ({"base": {"task": "toy_task", "dataset_base_dir": "nowhere"}}, "nowhere does not exist"),
    "two tasks": (
        {"algorithms": {"fedavg": {}, "other": {"task": "brain_mri"}}},
        "is of --task toy_task and iid-other-seed0 of --task brain_mri, whose scores do not compare",
    ),
    "names that coincide": (
        {"partitions": {"a": LISTS, "a-b": LISTS}, "algorithms": {"b-c": {}, "c": {}}},
        "two cells would be called a-b-c-seed0; give their labels other names",
    ),
}


@pytest.mark.parametrize(("keys", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_cell_that_cannot_run_is_refused_in_one_sentence(
    keys: dict[str, Any], words: str, write_study: Write
) -> None:
    base = {"task": "toy_task", "dataset_base_dir": "toy", **keys.pop("base", {})}
    path = write_study(**{**keys, "base": base})
    with pytest.raises(InputError, match=words) as error:
        check(read_study_file(path), read_experiment)
    assert str(error.value).startswith(f"{path}: ") or "no data" in words or "does not exist" in words
    assert "\n" not in str(error.value)


def test_tuning_by_scores_that_stay_at_the_sites_is_refused(write_study: Write) -> None:
    hidden = {"privacy": "gaussian", "dp_clip": 1.0, "dp_target_epsilon": 10, "dp_delta": 1e-5}
    given = {"hidden": [{}, {"batch_size": 2}]}
    study = read_study_file(write_study(algorithms={"hidden": hidden}, tuning={"tries": given}))
    with pytest.raises(InputError, match=r"--privacy gaussian of hidden keeps at the sites; drop one of them"):
        check(study, read_experiment)


def test_a_test_patient_on_whom_a_site_trains_is_refused(write_study: Write, toy_test_cases: Path) -> None:
    path = toy_test_cases / "datalist" / "site-1.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "training": [*document["training"], document["testing"][0]]}))
    with pytest.raises(InputError, match=r"in the test cases of .* and in the training or validation cases of site-1"):
        check(read_study_file(write_study()), read_experiment)


def test_lists_without_test_cases_are_refused(write_study: Write, toy_test_cases: Path) -> None:
    for path in (toy_test_cases / "datalist").glob("*.json"):
        document = json.loads(path.read_text())
        path.write_text(json.dumps({key: document[key] for key in document if key != "testing"}))
    with pytest.raises(InputError, match="There is no list of test cases"):
        check(read_study_file(write_study()), read_experiment)
