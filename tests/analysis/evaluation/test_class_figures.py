"""The figures class by class: scikit-learn's, n/a for a class that no case has, and in the finished evaluation."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from fedmed.analysis.evaluation.class_figures import class_document, confusion_text
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.evaluation_table import long_table
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.core.weights import save_weights
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Task
from fedmed.tasks.brats18 import Brats18
from fedmed.tasks.scoring.classification_metrics import class_rows

NAMES = ("a", "b", "c")


def test_the_figures_are_scikit_learns_whatever_the_order_of_the_cases() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(3, size=50)
    scores = generator.dirichlet([1, 1, 1], size=50) + 0.5 * np.eye(3)[truth]
    scores /= scores.sum(axis=1, keepdims=True)
    order = generator.permutation(50)
    results = {
        (f"site-{n % 2}", f"case {n}"): class_rows(f"case {n}", NAMES, scores[n].tolist(), int(truth[n])) for n in order
    }
    found = class_document(long_table("run", results), NAMES)
    decided = scores.argmax(axis=1)
    assert found["confusion_matrix"] == metrics.confusion_matrix(truth, decided).tolist()
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, decided)
    for number, name in enumerate(NAMES):
        area = metrics.roc_auc_score(truth == number, scores[:, number])
        expected = {"cases": support[number], "precision": precision[number], "recall": recall[number]}
        assert found["per_class"][name] == pytest.approx({**expected, "f1": f1[number], "auroc": area})
    own = truth[::2], decided[::2]
    assert found["by_site"]["site-0"]["confusion_matrix"] == metrics.confusion_matrix(*own).tolist()


def test_a_class_that_no_case_has_is_not_0_but_not_there() -> None:
    results = {
        ("s", "x"): class_rows("x", NAMES, [0.8, 0.1, 0.1], 0),
        ("s", "y"): class_rows("y", NAMES, [0.1, 0.1, 0.8], 0),
        ("s", "z"): class_rows("z", NAMES, [0.8, 0.1, 0.1], 1),
    }
    found = class_document(long_table("run", results), NAMES)
    assert found["confusion_matrix"] == [[1, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert found["per_class"]["c"] == {"cases": 0, "precision": None, "recall": None, "f1": None, "auroc": None}
    assert found["per_class"]["b"]["precision"] is None  # no case is decided for it
    assert found["per_class"]["b"]["recall"] == 0
    lines = confusion_text(json.loads(json.dumps(found))).splitlines()
    assert [line.split() for line in lines if line.startswith("c")] == [["c", "0", *["n/a"] * 4], ["c", "0", "0", "0"]]


def test_an_evaluation_holds_and_shows_them(
    toy_test_cases: Path, toy_experiment: Callable[..., Experiment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = toy_experiment()
    run = RunFolder.create(tmp_path / "runs", "run")
    run.write_experiment(experiment)
    save_weights(experiment.task.first_model(0).state_dict(), run.path / "best_global_model.pt")
    run.write_status("finished")
    evaluate(run.path, run.name, EvaluationRequest(split="test"))
    found = json.loads((run.path / "evaluation" / "best-test" / "evaluation.json").read_text())["classes"]
    assert found["names"] == ["flat", "upright"]
    assert np.sum(found["confusion_matrix"], axis=1).tolist() == [4, 4]
    assert set(found["by_site"]) == {"site-1", "site-2"}
    shown = capsys.readouterr().out
    assert "Class by class" in shown
    assert "Confusion matrix: rows are the truth" in shown


def test_a_segmentation_has_no_classes(toy_task: type[Task]) -> None:
    assert Brats18().classes == ()
    assert toy_task().classes == ("flat", "upright")
