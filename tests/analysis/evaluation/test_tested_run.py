"""The test figures that a run of classes gets when it has ended, and the runs that get none."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.analysis.evaluation.tested_run import published_figures, score_test_cases
from fedmed.core.weights import save_weights
from fedmed.experiment import Experiment
from fedmed.runs.model_record import META, TEST_FIGURES
from fedmed.runs.run_folder import RunFolder

Make = Callable[..., Experiment]


@pytest.fixture
def ended(toy_experiment: Make, tmp_path: Path) -> Callable[..., RunFolder]:
    """Makes the folder of a run of the toy task that has ended."""

    def make(*arguments: str) -> RunFolder:
        experiment = toy_experiment(*arguments)
        run = RunFolder.create(tmp_path / "runs", "run")
        run.write_experiment(experiment)
        save_weights(experiment.task.first_model(0).state_dict(), run.path / "best_global_model.pt")
        run.write_json(META, {"args": {}, "metrics": {**dict.fromkeys(TEST_FIGURES), "best_val_accuracy": 0.75}})
        run.write_status("finished")
        return run

    return make


def test_the_best_model_is_scored_once_and_its_figures_stand_in_the_record(
    toy_test_cases: Path, ended: Callable[..., RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    run = ended()
    score_test_cases(run)
    found = run.read_json(META)
    made = json.loads((run.path / "evaluation" / "best-test" / "evaluation.json").read_text())
    assert found["args"] == {}
    assert found["metrics"]["best_val_accuracy"] == 0.75
    assert found["metrics"]["confusion_matrix"] == made["classes"]["confusion_matrix"]
    assert found["metrics"]["per_class"]["flat"]["cases"] == 4
    capsys.readouterr()
    table = evaluate(run.path, run.name, EvaluationRequest(split="test")).table
    assert "was scored before" in capsys.readouterr().out
    pooled = table[(table["site"] == "pooled") & (table["target"] == "overall")].set_index("metric")["value"]
    assert found["metrics"]["test_accuracy"] == pytest.approx(pooled["accuracy"])


def test_without_test_cases_nothing_is_scored(toy_data: Path, ended: Callable[..., RunFolder]) -> None:
    run = ended()
    score_test_cases(run)
    assert run.read_json(META)["metrics"] == {**dict.fromkeys(TEST_FIGURES), "best_val_accuracy": 0.75}
    assert not (run.path / "evaluation").exists()


def test_one_list_that_is_given_itself_counts_by_its_own_cases(
    toy_test_cases: Path, ended: Callable[..., RunFolder]
) -> None:
    run = ended("--n_clients", "1", "--datalist_json_path", str(toy_test_cases / "datalist" / "site-2.json"))
    score_test_cases(run)
    assert run.read_json(META)["metrics"]["per_class"]["flat"]["cases"] == 2


def test_test_cases_that_cannot_be_scored_leave_the_run_as_it_is(
    toy_test_cases: Path, ended: Callable[..., RunFolder], capsys: pytest.CaptureFixture[str]
) -> None:
    run = ended()
    (toy_test_cases / "pictures" / "toy-025.png").write_bytes(b"")
    score_test_cases(run)
    assert "The test cases were not scored: " in capsys.readouterr().err
    assert run.read_json(META)["metrics"]["test_accuracy"] is None


def test_means_are_of_the_classes_that_have_a_figure() -> None:
    nothing = {"cases": 0, "precision": None, "recall": None, "f1": None, "auroc": None}
    a = {"cases": 2, "precision": 1.0, "recall": 0.5, "f1": 2 / 3, "auroc": None}
    found = published_figures({"confusion_matrix": [[1, 1], [0, 0]], "per_class": {"a": a, "b": nothing}})
    assert (found["test_accuracy"], found["avg_f1"], found["avg_precision"], found["avg_recall"]) == (
        0.5,
        2 / 3,
        1.0,
        0.5,
    )
