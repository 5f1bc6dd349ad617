"""The figures of algorithms on made-up scores, by hand."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedmed.analysis.comparison.run_cost import Cost
from fedmed.analysis.study.algorithm_figures import (
    block_scores,
    common_seeds,
    conditions,
    differences,
    figures,
    near_best,
)
from fedmed.analysis.study.cell_scores import GLOBAL, CellScores, results_of
from fedmed.core.statistics import holm, paired_test
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.scoring.classification_metrics import AUROC, class_rows
from tests.analysis.study.made_cells import COLUMNS, cell, dice_scores

Make = Callable[..., Experiment]
HOMES = {"a": "site-1", "b": "site-1", "c": "site-2"}


@pytest.fixture
def experiment(small_experiment: Make) -> Experiment:
    return small_experiment()


def test_a_global_model_is_scored_on_all_cases_and_at_each_site(experiment: Experiment) -> None:
    scores = dice_scores(cell(experiment, "fedavg"), {"a": 0.2, "b": 0.4, "c": 0.9}, HOMES)
    assert not scores.own
    assert scores.pooled.value == pytest.approx(0.5)
    assert scores.by_site == pytest.approx({"site-1": 0.3, "site-2": 0.9})


def test_own_models_count_by_their_mean_and_each_at_its_own_site(experiment: Experiment) -> None:
    own = {"site-1": {"a": 0.8, "b": 0.6, "c": 0.1}, "site-2": {"a": 0.2, "b": 0.0, "c": 0.7}}
    scores = dice_scores(cell(experiment, "local"), own, HOMES)
    assert scores.own
    assert scores.pooled.value == pytest.approx((0.5 + 0.3) / 2)
    assert scores.by_site == pytest.approx({"site-1": 0.7, "site-2": 0.7})


def test_cases_that_are_no_sites_have_no_site(experiment: Experiment) -> None:
    scores = dice_scores(cell(experiment, "fedavg"), {"a": 0.2, "b": 0.4}, dict.fromkeys("ab", "shared"))
    (found,) = figures({"fedavg": [scores]})
    assert scores.by_site == {}
    assert found.worst_site == ""
    assert np.isnan([*found.at_sites, *found.worst]).all()


def test_figures_are_over_seeds_with_the_widest_interval_and_the_worst_site(experiment: Experiment) -> None:
    seeds = [
        dice_scores(cell(experiment, "fedavg", 0), {"a": 0.2, "b": 0.4, "c": 0.3}, HOMES, cost=Cost(2, 10.0, 1.0)),
        dice_scores(cell(experiment, "fedavg", 1), {"a": 0.6, "b": 0.8, "c": 0.1}, HOMES, cost=Cost(2, 20.0, None)),
    ]
    (found,) = figures({"fedavg": seeds})
    assert found.pooled == pytest.approx([0.3, 0.5])
    assert found.at_sites == pytest.approx([0.3, 0.4])
    assert (found.worst_site, found.worst) == ("site-2", pytest.approx([0.3, 0.1]))
    assert found.bounds == (min(each.pooled.low for each in seeds), max(each.pooled.high for each in seeds))
    assert (found.seconds, found.megabytes, found.seeds) == ([10.0, 20.0], [1.0, None], [0, 1])


def test_rounds_are_those_to_95_percent_of_the_best_final_mean_of_the_partition(experiment: Experiment) -> None:
    curves = {
        "fedavg": [{0: 0.1, 1: 0.5, 2: 0.77, 3: 0.7}, {1: 0.75, 2: 0.76, 3: 0.9}],  # ends at 0.8 in the mean
        "local": [{1: 0.4, 2: 0.5, 3: 0.6}, {1: 0.4, 2: 0.76, 3: 0.6}],
    }
    cells = {
        name: [
            dice_scores(cell(experiment, name, seed), {"a": 0.5}, {"a": "site-1"}, curve=curve)
            for seed, curve in enumerate(of_seeds)
        ]
        for name, of_seeds in curves.items()
    }
    assert near_best(cells) == pytest.approx(0.95 * 0.8)
    fedavg, local = figures(cells)
    assert fedavg.rounds == [2, 2]
    assert local.rounds == [None, 2]
    nothing = {
        "fedavg": [dice_scores(cell(experiment, "fedavg"), {"a": 0.5}, {"a": "site-1"}, curve={1: 0.0, 2: -1.0})]
    }
    assert math.isnan(near_best(nothing))  # of a score below 0 there is no such share
    assert figures(nothing)[0].rounds == [None]


def test_tests_compare_patients_whose_cases_seeds_and_models_are_averaged_first(experiment: Experiment) -> None:
    generator = np.random.default_rng(0)
    cases = [f"c{n}" for n in range(24)]
    patients = {case: f"p{int(case[1:]) // 2}" for case in cases}  # two cases each
    homes = {case: "site-1" if n < 12 else "site-2" for n, case in enumerate(cases)}
    draw = lambda shift: {case: float(np.clip(generator.normal(0.5 + shift, 0.1), 0, 1)) for case in cases}  # noqa: E731
    values = {
        "fedavg": [draw(0.0), draw(0.0)],
        "fedprox": [draw(0.02), draw(0.02)],
        "local": [{site: draw(-0.2) for site in ("site-1", "site-2")} for _ in range(2)],
    }
    cells = {
        name: [dice_scores(cell(experiment, name, seed), each, homes, patients) for seed, each in enumerate(of_seeds)]
        for name, of_seeds in values.items()
    }
    found = differences(cells)
    assert [(each.subject, each.reference) for each in found] == [
        ("fedprox", "fedavg"),
        ("local", "fedavg"),
        ("local", "fedprox"),
    ]
    by_patient = {
        name: pd.concat([each.cases for each in of_seeds])
        .assign(patient=lambda rows: rows["case"].map(patients))
        .groupby("patient")["value"]
        .mean()
        for name, of_seeds in cells.items()
    }
    expected = [paired_test(by_patient[each.subject], by_patient[each.reference]) for each in found]
    for each, test in zip(found, expected, strict=True):
        assert each.test == test
        assert each.test.pairs == 12
        assert each.method == "Wilcoxon"
    raw = sorted(test.p for test in expected)
    assert sorted(each.p for each in found) == pytest.approx(
        [min(1, 3 * raw[0]), min(1, max(3 * raw[0], 2 * raw[1])), min(1, max(3 * raw[0], 2 * raw[1], raw[2]))]
    )
    assert [each.p for each in found] == pytest.approx(holm([test.p for test in expected]))


def classified(planned_seed: int, experiment: Experiment, name: str, strength: float, own: bool = False) -> CellScores:
    """A cell of a classification: 30 cases of two classes, whose scores tell them apart by ``strength``."""
    generator = np.random.default_rng(planned_seed + int(100 * strength))
    rows = []
    for model in ("site-1", "site-2") if own else (GLOBAL,):
        for number in range(30):
            truth = number % 2
            score = 1 / (1 + math.exp(-generator.normal(strength * (2 * truth - 1))))
            for row in class_rows(f"c{number}", ("no", "yes"), [1 - score, score], truth):
                rows.append((model, f"site-{number % 2 + 1}", *row))
    patients = {f"c{number}": f"p{number}" for number in range(30)}
    return CellScores(
        cell(experiment, name, planned_seed), pd.DataFrame(rows, columns=COLUMNS), patients, {}, Cost(1, 1, 1)
    )


def test_a_figure_of_whole_rows_is_averaged_over_seeds_and_models(toy_experiment: Make) -> None:
    experiment = toy_experiment()
    assert experiment.task.METRICS[0] is AUROC
    cells = {
        "fedavg": [classified(seed, experiment, "fedavg", 1.0) for seed in range(2)],
        "local": [classified(seed, experiment, "local", 0.2, own=True) for seed in range(2)],
    }
    for scores in (*cells["fedavg"], *cells["local"]):
        assert scores.pooled.low < scores.pooled.value < scores.pooled.high
    local = cells["local"][0]
    apart = [replace(local, cases=rows.assign(model=GLOBAL)) for rows in local.by_model.values()]
    assert local.pooled.value == pytest.approx(np.mean([each.pooled.value for each in apart]))
    (found,) = differences(cells)
    means = {name: np.mean([each.pooled.value for each in scores]) for name, scores in cells.items()}
    assert (found.method, found.test.pairs) == ("permutation", 30)
    assert found.difference.value == pytest.approx(means["local"] - means["fedavg"])
    assert found.p < 0.01
    (none,) = differences({"fedavg": cells["fedavg"], "again": cells["fedavg"]})
    assert (none.difference.value, none.p) == (0, 1)


def test_only_seeds_that_all_have_are_tested_and_ranked(experiment: Experiment) -> None:
    def scores(name: str, seed: int, partition: str = "iid") -> CellScores:
        values = {"a": 0.1 * seed + 0.2, "b": 0.5, "c": 0.4}
        return dice_scores(cell(experiment, name, seed, partition), values, HOMES)

    cells = {"fedavg": [scores("fedavg", 0), scores("fedavg", 1)], "local": [scores("local", 1)]}
    assert common_seeds(cells) == [1]
    (found,) = differences(cells)
    assert found.difference.value == 0  # of seed 1 alone
    assert differences({"fedavg": [scores("fedavg", 0)], "local": [scores("local", 1)]}) == []
    every = [*cells["fedavg"], *cells["local"], scores("fedavg", 0, "skewed"), scores("local", 0, "skewed")]
    table = block_scores(every)
    assert list(table.columns) == ["fedavg", "local"]
    assert set(table.index) == {"iid, none, seed 1", "skewed, none, seed 0"}
    assert [condition.partition for condition in conditions(every)] == ["iid", "skewed"]


def test_own_models_beside_a_global_one_are_a_result_of_their_own(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.create(tmp_path, "run")
    run.write_experiment(experiment)
    assert results_of(run) == ["best"]
    monkeypatch.setattr(type(experiment.algorithm), "RESULT", "both")
    assert results_of(run) == ["best", "own"]
    scores = dice_scores(cell(experiment, "ditto"), {"a": 0.2}, {"a": "site-1"})
    both = [scores, replace(scores, beside=True)]
    assert list(block_scores(both).columns) == ["ditto", "ditto, own"]
    assert [list(found) for found in conditions(both).values()] == [["ditto", "ditto, own"]]
