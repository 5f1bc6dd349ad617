"""The page of a study, on made-up scores."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedmed.analysis.comparison.run_cost import Cost
from fedmed.analysis.comparison.table_document import markdown
from fedmed.analysis.study.cell_queue import CellOutcomes
from fedmed.analysis.study.cell_scores import CellScores
from fedmed.analysis.study.study_cells import Cell
from fedmed.analysis.study.study_file import NO_ATTACK, Study, Tuning
from fedmed.analysis.study.study_files import beside, write_study
from fedmed.analysis.study.study_findings import StudyFindings, findings
from fedmed.analysis.study.study_numbers import numbers
from fedmed.analysis.study.study_page import page
from fedmed.analysis.study.study_picture import picture
from fedmed.analysis.study.study_report import blocks, rounds_text
from fedmed.analysis.study.tuned_options import TunedOptions, tuned
from fedmed.core.errors import RunFailed
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from tests.analysis.study.made_cells import cell, dice_scores

Make = Callable[..., Experiment]
CASES = [f"c{number}" for number in range(12)]
HOMES = {case: "site-1" if number < 6 else "site-2" for number, case in enumerate(CASES)}
GAIN = {"fedavg": 0.0, "fedprox": 0.1, "local": -0.2}
TUNING = Tuning("iid", {name: [{}, {"learning_rate": 0.1}] for name in GAIN})


def study_of(tuning: Tuning | None = None, partitions: int = 3) -> Study:
    names = {f"part{number}": {"datalist_json_path": "x"} for number in range(partitions)}
    algorithms: dict[str, dict[str, object]] = {name: {} for name in GAIN}
    return Study(Path("study.json"), "skew", {}, names, algorithms, NO_ATTACK, 2, tuning, {"name": "skew"})


@pytest.fixture
def make_scores(small_experiment: Make) -> Callable[[int], list[CellScores]]:
    """Scores of three algorithms, the better by a tenth in every case, with two seeds."""

    def make(partitions: int) -> list[CellScores]:
        experiment, found = small_experiment(), []
        for number in range(partitions):
            for seed in range(2):
                generator = np.random.default_rng([number, seed])
                noise = {case: float(generator.uniform(0.4, 0.6)) for case in CASES}
                for name, gain in GAIN.items():
                    own = {case: value + gain for case, value in noise.items()}
                    values = dict.fromkeys(("site-1", "site-2"), own) if name == "local" else own
                    planned = cell(experiment, name, seed, f"part{number}")
                    curve = {0: 0.0, 1: 0.3 + gain, 2: 0.5 + gain}
                    found.append(dice_scores(planned, values, HOMES, curve=curve, cost=Cost(2, 10.0, 40.0)))
        return found

    return make


def test_the_page_says_what_the_scores_say(make_scores: Callable[[int], list[CellScores]]) -> None:
    found = findings(study_of(), make_scores(3), {"part2-x-seed0": "part2-x-seed0 failed"}, {})
    assert found.ranks is not None
    assert list(found.ranks.ranks.items()) == [("fedprox", 1.0), ("fedavg", 2.0), ("local", 3.0)]
    assert found.ranks.blocks == 6
    text = markdown(blocks(found))
    assert "**skew: brats18, made up**" in text
    assert "Nothing was tuned: every algorithm ran with the options that the study states" in text
    assert text.count("| fedprox | global | 0.") == 3
    assert text.count("| local | each site's own | 0.") == 3
    assert "| 2.0 | 40 | 10 | 2 |" in text  # rounds, megabytes, seconds and seeds
    assert "| fedprox - fedavg | 12 | 0.1000 [0.1000, 0.1000] | Wilcoxon | < 0.001 | 0.001 | differ |" in text
    assert "Friedman's test over 6 blocks of partitions and seeds: p = 0.002." in text
    assert "Nemenyi's critical difference at 0.05, 1.35, apart." in text
    assert "take blocks as independent" in text
    assert "say little" not in text
    assert "part2-x-seed0 failed" in text


def test_few_blocks_say_little_and_that_is_said(make_scores: Callable[[int], list[CellScores]]) -> None:
    every = make_scores(2)
    text = markdown(blocks(findings(study_of(partitions=2), every, {}, {})))
    assert "4 blocks are fewer than 5: the ranks say little." in text
    text = markdown(blocks(findings(study_of(partitions=2), every[:-1], {}, {})))
    assert "over 3 blocks" in text
    assert "Left out, as the score of an algorithm is missing: 1 block." in text


def test_the_tuning_budget_and_the_choices_are_on_the_page(make_scores: Callable[[int], list[CellScores]]) -> None:
    chosen = {name: TunedOptions({"learning_rate": 0.1}, 2, [0.5, None]) for name in GAIN}
    text = markdown(blocks(findings(study_of(TUNING), make_scores(1), {}, chosen)))
    assert "Equal tuning budget: 2 sets of options for each algorithm were tried on the validation cases of" in text
    assert "with seed 2, which no run below has" in text
    assert '| fedprox | {"learning_rate": 0.1} | 0.5000, - | 2 |' in text


def test_numbers_are_json_with_settings_and_without_nan(
    make_scores: Callable[[int], list[CellScores]], tmp_path: Path
) -> None:
    found = findings(study_of(), make_scores(3), {}, {})
    document = numbers(found)
    write_study(tmp_path / "new" / "found.v1", document, markdown(blocks(found)).rstrip(), picture(found))
    read = json.loads((tmp_path / "new" / "found.v1.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert read["runs"][0]["settings"]["training"]["num_rounds"] == 1
    assert read["conditions"][0]["algorithms"][1]["algorithm"] == "fedprox"
    assert read["conditions"][0]["tests"][0]["difference"]["value"] == pytest.approx(0.1)
    assert read["ranks"]["alike"] == [["fedprox", "fedavg"], ["fedavg", "local"]]
    png = beside(tmp_path / "new" / "found.v1", ".png").read_bytes()
    html = page(blocks(found), png, "a caption")
    assert "<h1>skew: brats18, made up</h1>" in html
    assert "data:image/png;base64" in html
    assert html.count("<table") == html.count("</table>") == 3 + 3 + 1


def test_a_picture_of_one_algorithm_has_no_ranks(
    make_scores: Callable[[int], list[CellScores]], tmp_path: Path
) -> None:
    found = findings(study_of(), [each for each in make_scores(1) if each.cell.algorithm == "fedavg"], {}, {})
    assert found.ranks is None
    picture(found).savefig(tmp_path / "one.png")
    assert "Mean ranks" not in markdown(blocks(found))


@pytest.mark.parametrize(
    ("rounds", "text"), [([2, 4], "3.0"), ([2, None, 3], "2.5 (2 of 3 seeds)"), ([None], "-"), ([], "-")]
)
def test_rounds_in_words(rounds: list[int | None], text: str) -> None:
    assert rounds_text(rounds) == text


def test_the_try_with_the_best_validation_score_is_chosen(small_experiment: Make, tmp_path: Path) -> None:
    cells: dict[str, list[Cell]] = {}
    outcomes = CellOutcomes({}, {})
    for name, scores in {"fedavg": [[0.5, 0.4], [0.3, 0.6]], "fedprox": [None, [0.1, 0.2]]}.items():
        for number, of_rounds in enumerate(scores):
            planned = cell(small_experiment("--job_name", f"try{number}-{name}"), name)
            cells.setdefault(name, []).append(planned)
            if of_rounds is None:
                outcomes.failures[planned.name] = "it diverged"
                continue
            run = RunFolder.create(tmp_path, planned.name)
            run.write_experiment(planned.experiment)
            for done, value in enumerate([0.9, *of_rounds]):  # the untrained model's does not count
                site = {"val_dice": value, "val_dice_values": 1}
                run.add_record({"round": done, "seconds": 1.0, "best": False, "sites": {"site-1": site}})
            outcomes.runs[planned.name] = run
    given = {name: [{"batch_size": 1}, {"batch_size": 2}] for name in cells}
    study = study_of(Tuning("iid", given))
    found = tuned(study, cells, outcomes)
    assert found["fedavg"] == TunedOptions({"batch_size": 2}, 2, [0.5, 0.6])
    assert found["fedprox"] == TunedOptions({"batch_size": 2}, 2, [None, 0.2])
    outcomes.runs.clear()
    with pytest.raises(RunFailed, match="No try of fedavg has a validation score"):
        tuned(study, cells, outcomes)


def test_scores_of_no_run_are_none(make_scores: Callable[[int], list[CellScores]]) -> None:
    found: StudyFindings = findings(study_of(), make_scores(1)[:1], {}, {})
    assert found.ranks is None
    assert all(not tests for tests in found.tests.values())
