"""All of analysis on a task of classes of 2D pictures, of which no file of it knows.

Two sites train the task's network here in one process; the server's part is a mean.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from fedmed.analysis.attacks.membership import attack
from fedmed.analysis.attacks.membership_audit import audit_membership, networks
from fedmed.analysis.attacks.membership_cases import subjects
from fedmed.analysis.bundle.bundle_export import export_bundle
from fedmed.analysis.comparison.compared_run import metric_of, read_runs
from fedmed.analysis.comparison.comparison_report import blocks, compared, comparison_numbers
from fedmed.analysis.comparison.table_document import latex, markdown
from fedmed.analysis.curves.plotted_runs import chosen, key_metric, picture
from fedmed.analysis.curves.plotted_runs import read_runs as read_curves
from fedmed.analysis.curves.runs_picture import CurveStyle
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.analysis.evaluation.trained_model import open_model
from fedmed.analysis.inversion import inversion_picture
from fedmed.analysis.inversion.exposure import attacked_image
from fedmed.analysis.inversion.gradient_inversion import Search
from fedmed.analysis.inversion.inversion_audit import audit_inversion
from fedmed.analysis.prediction.native_grid import brain_tumour_task
from fedmed.analysis.report.run_page import run_page
from fedmed.core.errors import InputError
from fedmed.core.names import STATE_VARIABLE
from fedmed.core.weights import save_weights
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from fedmed.site.local_training import LocalSite

SITES = ("site-1", "site-2")


@pytest.fixture
def make_run(
    toy_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., RunFolder]:
    """Trains the toy task for some rounds and leaves what a run leaves."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))

    def make(rounds: int, *arguments: str) -> RunFolder:
        experiment = toy_experiment("--aggregation_epochs", "8", "--learning_rate", "0.02", *arguments)
        run = RunFolder.create(tmp_path / "runs", "run")
        run.write_experiment(experiment)
        sites = [LocalSite(experiment, site, run.name) for site in SITES]
        torch.manual_seed(0)
        weights = {name: values.clone() for name, values in experiment.task.build_model().state_dict().items()}
        history = []
        for number in range(rounds + 1):
            for local, site in zip(sites, SITES, strict=True):
                local.begin(weights, number)
                history.append({"round": number, "site": site, **local.evaluate()})
                with SummaryWriter(str(run.path / "tb_events" / site)) as writer:
                    for name in ("val_auroc", "val_accuracy"):
                        writer.add_scalar(name, history[-1][name], number)
            if number < rounds:
                for local in sites:
                    local.train(number)
                weights = {name: sum(local.weights()[name] for local in sites) / len(sites) for name in weights}
        save_weights(weights, run.path / "best_global_model.pt")
        run.write_json("training_history", history)
        run.write_json("dataset_stats", {})
        where = {"packages": {}, "system": "", "python": "", "cpu": "", "cores": 1, "memory_gib": 1, "gpus": []}
        run.write_json("environment", {**where, "commit": "c", "command": []})
        run.write_status("finished")
        return run

    return make


def test_a_task_of_classes_is_evaluated_compared_reported_and_plotted(
    make_run: Callable[..., RunFolder], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    runs = [make_run(0), make_run(4)]
    labels = [run.name for run in runs]
    request = EvaluationRequest(task="toy_task")
    untrained, trained = (evaluate(run.path, run.name, request).table for run in runs)

    printed = capsys.readouterr().out
    assert "AUROC" in printed
    assert "accuracy" in printed
    assert "Dice" not in printed
    pooled = trained[(trained["site"] == "pooled") & (trained["target"] == "overall")].set_index("metric")
    assert set(pooled.index) == {"auroc", "accuracy", "loss"}
    assert pooled.loc["auroc", "value"] > 0.85
    assert pooled.loc["accuracy", "patients"] == 6
    assert pooled.loc["accuracy", "low"] <= pooled.loc["accuracy", "value"] <= pooled.loc["accuracy", "high"]
    assert set(trained["target"]) == {"overall", "flat", "upright"}

    found = read_runs([run.path for run in runs], None, "validation")
    report = compared(found, metric_of(found, "auroc"))
    difference = comparison_numbers(report).set_index("target").loc["overall"]
    before = untrained[(untrained["site"] == "pooled") & (untrained["target"] == "overall")].set_index("metric")
    assert difference["mean_difference"] == pytest.approx(pooled.loc["auroc", "value"] - before.loc["auroc", "value"])
    assert difference["test"] == "permutation"
    assert math.isnan(difference["rank_biserial"])
    text = markdown(blocks(report))
    assert "permutation p" in text
    assert "Tests: permutation" in text
    assert "Wilcoxon signed" not in text
    assert r"\begin{tabular}" in latex(blocks(report))

    page = run_page(runs[1], request, 2)
    for word in ("AUROC", "the decision for every case", "confusion matrices", "calibration", "toy-000", "val_auroc"):
        assert word in page
    assert page.count("data:image/png") == 2 + 4  # the classes, and the worst and best cases
    assert not any(word in page for word in ("Dice", "region", "voxel", "tumour"))

    places = dict(zip(labels, (run.path for run in runs), strict=True))
    table, tags = chosen(read_curves(places), [key_metric(list(places.values()))])
    assert tags == ["val_auroc"]
    assert picture(table, tags, places, CurveStyle(0.8, by_site=False), "png").startswith(b"\x89PNG")


def test_members_of_a_task_of_classes_are_attacked_by_loss_and_confidence(make_run: Callable[..., RunFolder]) -> None:
    run = make_run(1)
    experiment = run.experiment()
    people, scheme = subjects(experiment, experiment.data)
    models = networks(run, experiment, "best", None)
    audit = audit_membership(experiment, models, people, scheme, Caching(), None, seed=0)
    assert list(audit.table.columns) == ["sites", "case", "member", "loss", "confidence", "reference_loss"]
    assert (audit.table["member"].sum(), (~audit.table["member"]).sum()) == (16, 6)
    assert audit.table["confidence"].between(0, 1).all()
    assert audit.table["loss"].corr(audit.table["confidence"], method="spearman") == pytest.approx(-1)  # of two classes
    assert {each.attack for each in attack(audit.table)} == {"loss", "confidence", "calibrated loss"}
    assert audit.picture("caption").startswith(b"\x89PNG")


def test_test_cases_are_held_out_like_validation_cases(toy_experiment: Callable[..., Experiment]) -> None:
    experiment = toy_experiment()
    _, lists = experiment.data.resolved()
    before = {subject.case.name: subject.member for subject in subjects(experiment, experiment.data)[0]}
    stated = json.loads((lists / "site-1.json").read_text())
    stated["testing"] = [stated["training"].pop()]
    (lists / "site-1.json").write_text(json.dumps(stated))
    after = {subject.case.name: subject.member for subject in subjects(experiment, experiment.data)[0]}
    assert before.keys() == after.keys()
    (tested,) = [name for name in before if before[name] != after[name]]
    assert f"/{tested}.png" in stated["testing"][0]["image"]


def test_an_update_on_an_image_with_a_class_is_inverted(make_run: Callable[..., RunFolder]) -> None:
    experiment = make_run(0).experiment()
    case = subjects(experiment, experiment.data)[0][0].case
    attacked = attacked_image(experiment, case, None, Caching(), 16)
    assert attacked.size == "16 x 16 pixels"
    torch.testing.assert_close(attacked.image[0], experiment.task.new_image(case.images[0]))  # type: ignore[attr-defined]
    assert (attacked.label.shape, attacked.label.dtype) == ((1,), torch.int64)
    assert attacked_image(experiment, case, None, Caching(), 8).image.shape == (1, 1, 8, 8)
    exposure = audit_inversion(experiment, attacked, Search(steps=2))
    assert [each.observed for each in exposure.attempts] == ["gradient"] * 2 + ["adam_update"] * 2
    assert all(each.image.shape == attacked.image.shape for each in exposure.attempts)
    assert inversion_picture.picture(exposure, ["grey"], "caption").startswith(b"\x89PNG")


def test_what_is_made_for_the_segmentation_of_volumes_refuses_another_task(
    make_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    run = make_run(0)
    model = open_model(run.path)
    with pytest.raises(InputError, match="toy_task; expected a model of brats18"):
        brain_tumour_task(model)
    with pytest.raises(InputError, match="toy_task; a bundle can be made of brats18, lgg,"):
        export_bundle(model, tmp_path / "bundle")
    with pytest.raises(InputError, match="--flips averages over mirrored copies, which --task toy_task does not"):
        evaluate(run.path, run.name, EvaluationRequest(flips=True))
