"""All of analysis on a task of several findings, of which no film is of one class: chest films, two sites, phantoms."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from fedmed.analysis.attacks.membership_audit import audit_membership, networks
from fedmed.analysis.attacks.membership_cases import subjects
from fedmed.analysis.comparison.compared_run import metric_of, read_runs
from fedmed.analysis.comparison.comparison_report import blocks, compared
from fedmed.analysis.comparison.table_document import markdown
from fedmed.analysis.evaluation import patient_bootstrap
from fedmed.analysis.evaluation.case_score import case_score
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.evaluation.run_evaluation import evaluate
from fedmed.analysis.evaluation.tested_run import score_ended_run
from fedmed.analysis.evaluation.trained_model import open_model
from fedmed.analysis.inversion.exposure import attacked_image
from fedmed.analysis.inversion.gradient_inversion import Search
from fedmed.analysis.inversion.inversion_audit import audit_inversion
from fedmed.analysis.prediction.saliency import SaliencyMaps
from fedmed.analysis.report.run_page import run_page
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.weights import save_weights
from fedmed.data.chest_xray.findings import FINDINGS
from fedmed.data.phantoms.chest_xray_phantom import demo_chest_xray
from fedmed.data.prepared.cache import Caching
from fedmed.runs.model_record import FINDING_TEST_FIGURES, META
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.scoring.multi_label_metrics import FINDING_METRICS, finding_rows

MakeRun = Callable[..., RunFolder]


@pytest.fixture(scope="module", autouse=True)
def _few_draws() -> Iterator[None]:
    """No test here asks how wide an interval is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patient_bootstrap, "DRAWS", 50)
        yield


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chest") / "set"
    demo_chest_xray(folder, sites=2, cases=2, validation=4, test=4)
    return folder


@pytest.fixture(scope="module")
def make_run(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    """Makes the folder of a run that has ended, with the first weights of a seed."""
    runs = tmp_path_factory.mktemp("runs")

    def make(seed: int = 0, *arguments: str) -> RunFolder:
        data = ["--dataset_base_dir", str(demo), "--datalist_json_path", str(demo / "datalist"), "--n_clients", "2"]
        small = ["--image_size", "64", "--network", "resnet18", "--batch_size", "2", "--seed", str(seed)]
        experiment = read_experiment(["--task", "chest_xray", *data, *small, *arguments])
        run = RunFolder.create(runs, "run")
        run.write_experiment(experiment)
        save_weights(experiment.task.first_model(seed).state_dict(), run.path / "best_global_model.pt")
        run.write_json(META, {"args": {}, "metrics": {**dict.fromkeys(FINDING_TEST_FIGURES), "best_val_auroc": 0.5}})
        run.write_json("training_history", [])
        run.write_json("dataset_stats", {})
        where = {"packages": {}, "system": "", "python": "", "cpu": "", "cores": 1, "memory_gib": 1, "gpus": []}
        run.write_json("environment", {**where, "commit": "c", "command": []})
        run.write_status("finished")
        return run

    return make


@pytest.fixture(scope="module")
def ended(make_run: MakeRun) -> RunFolder:
    """A run whose thresholds were chosen and whose test films were scored when it had ended; only to be read."""
    run = make_run()
    score_ended_run(run)
    return run


@pytest.fixture
def copied(ended: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of that run, to be changed."""
    return RunFolder(Path(shutil.copytree(ended.path, tmp_path / ended.name)))


def wide(run: RunFolder, split: str, quantity: str) -> pd.DataFrame:
    """A row a case and a column a finding of an evaluation's cases.csv."""
    table = pd.read_csv(run.path / "evaluation" / f"best-{split}" / "cases.csv")
    return table[table["quantity"] == quantity].pivot(index="case", columns="target", values="value")


def test_an_ended_run_has_thresholds_and_test_figures_by_them(ended: RunFolder) -> None:
    thresholds = ended.read_json("thresholds")
    assert set(thresholds) == set(FINDINGS)
    truth, scores = wide(ended, "validation", "truth"), wide(ended, "validation", "score")
    for name, entry in thresholds.items():
        assert entry["positives"] == truth[name].sum()
        assert entry["chosen_on"].startswith(f"{len(truth)} validation films of ")
        if entry["positives"] == 0:
            assert (entry["threshold"], entry["missing"]) == (None, "no case has the finding")
        else:
            assert entry["f1"] == pytest.approx(f1_score(truth[name], scores[name] >= entry["threshold"]))
    assert {entry["threshold"] is None for entry in thresholds.values()} == {True, False}
    truth, scores, decided = (wide(ended, "test", quantity) for quantity in ("truth", "score", "predicted"))
    assert set(decided) == {name for name in FINDINGS if thresholds[name]["threshold"] is not None}
    assert all(((scores[name] >= thresholds[name]["threshold"]) == decided[name]).all() for name in decided)
    figures = ended.read_json(META)["metrics"]
    assert set(figures) == {*FINDING_TEST_FIGURES, "best_val_auroc"}
    known = [name for name in FINDINGS if 0 < truth[name].sum() < len(truth)]
    areas = [roc_auc_score(truth[name], scores[name]) for name in known]  # of all sites' rows, not of each site's
    assert figures["test_auroc"] == pytest.approx(np.mean(areas))
    assert figures["per_class"]["Edema"]["threshold"] == thresholds["Edema"]["threshold"]


def test_thresholds_that_were_lost_are_made_anew_of_the_scores_that_are_there(
    copied: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    before = copied.read_json("thresholds")
    (copied.path / "thresholds.json").unlink()
    evaluate(copied.path, copied.name, EvaluationRequest())
    assert "was scored before" in capsys.readouterr().out
    assert copied.read_json("thresholds") == before


def test_without_thresholds_nothing_is_decided_and_the_table_says_so(
    copied: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    thresholds = copied.path / "thresholds.json"
    thresholds.rename(copied.path / "kept")
    with pytest.raises(InputError, match="differs in thresholds; give --force"):
        evaluate(copied.path, copied.name, EvaluationRequest(split="test"))
    found = evaluate(copied.path, copied.name, EvaluationRequest(split="test", force=True)).table
    assert found[found["metric"] == "f1"]["value"].isna().all()
    assert found[found["metric"] == "auroc"]["value"].notna().any()
    assert "There are no thresholds for this model, so nothing is decided" in capsys.readouterr().out


def test_the_thresholds_of_the_result_decide_nothing_for_another_model(copied: RunFolder) -> None:
    before = copied.read_json("thresholds")
    save_weights(copied.experiment().task.first_model(7).state_dict(), copied.path / "last_global_model.pt")
    last = evaluate(copied.path, copied.name, EvaluationRequest(model="last")).table
    assert last[last["metric"] == "f1"]["value"].isna().all()
    assert copied.read_json("thresholds") == before
    (copied.path / "best_global_model.pt").unlink()  # as of a run that could score no finding
    again = evaluate(copied.path, copied.name, EvaluationRequest(model="last", force=True)).table
    pd.testing.assert_frame_equal(again, last)


@pytest.mark.parametrize("threshold", [1.5, True, "high"])
def test_damaged_thresholds_are_refused_in_a_sentence(copied: RunFolder, threshold: object) -> None:
    copied.write_json("thresholds", {name: {"threshold": threshold, "chosen_on": "x"} for name in FINDINGS})
    with pytest.raises(InputError, match="does not state a threshold from 0 to 1, or null"):
        evaluate(copied.path, copied.name, EvaluationRequest(split="test"))


def test_where_scores_stay_at_the_sites_no_thresholds_are_chosen_unasked(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(0, "--privacy", "dpsgd", "--dp_noise_multiplier", "1", "--norm", "group")
    score_ended_run(run)
    assert "No thresholds are chosen, as scores stay at the sites" in capsys.readouterr().out
    assert not (run.path / "thresholds.json").exists()


def test_runs_are_compared_and_reported_without_a_word_of_one_class(
    ended: RunFolder, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, request = [ended, make_run(1)], EvaluationRequest()
    for run in runs:
        evaluate(run.path, run.name, request)
    printed = capsys.readouterr().out
    for word in ("AUROC", "average precision", "prevalence", "Finding by finding", "threshold", "chosen on these very"):
        assert word in printed
    found = read_runs([run.path for run in runs], None, "validation")
    assert "permutation p" in markdown(blocks(compared(found, metric_of(found, "auroc"))))
    page = run_page(runs[0], request, 1)
    for word in ("finding by finding", "calibration of the probabilities", "bootstrap 95 % intervals", "decided"):
        assert word in page
    assert page.count("data:image/png") == 2 + 2  # the findings, and the worst and the best film
    assert not any(word in page + printed for word in ("onfusion", "accuracy", "Dice"))


def test_a_film_of_one_finding_is_scored_by_all_of_them() -> None:
    """Also where the probabilities happen to add up to 1, as those of classes do."""
    rows = finding_rows("x", ("p", "q", "r"), [0.2, 0.5, 0.3], [1, 0, 0])
    assert case_score(FINDING_METRICS, rows) == pytest.approx((0.2 + 0.5 + 0.7) / 3)


def test_members_and_updates_are_attacked(make_run: MakeRun) -> None:
    run = make_run()
    experiment = run.experiment()
    people, scheme = subjects(experiment, experiment.data)
    audit = audit_membership(
        experiment, networks(run, experiment, "best", None), people, scheme, Caching(), None, seed=0
    )
    assert audit.table["confidence"].between(0, 1).all()
    patients = {experiment.task.patient_of(each.case): each.member for each in people}
    assert len(people) > len(patients)  # some have several films, and are one member each
    assert dict(zip(audit.table["case"], audit.table["member"], strict=True)) == patients
    attacked = attacked_image(experiment, people[0].case, None, Caching(), 16)
    assert (attacked.label.shape, attacked.label.dtype) == ((1, len(FINDINGS)), torch.float32)
    exposure = audit_inversion(experiment, attacked, Search(steps=1))
    assert all(each.image.shape == (1, 1, 16, 16) for each in exposure.attempts)


@pytest.mark.parametrize("network", ["resnet18", "densenet121"])
def test_each_finding_has_places_of_its_own(make_run: MakeRun, network: str) -> None:
    run = make_run(0, "--network", network)
    model = open_model(run.path)
    case = subjects(run.experiment(), run.experiment().data)[0][0].case
    image = model.task.new_image(case.images[0])  # type: ignore[attr-defined]
    maps = SaliencyMaps(model)
    first, second = (maps.of(image, FINDINGS.index(name)) for name in ("Cardiomegaly", "Effusion"))
    assert first.shape == second.shape == (64, 64)
    assert np.isfinite(first).all()
    assert not np.array_equal(first, second)


def test_the_document_has_every_sites_findings_and_no_number_that_is_not_one(ended: RunFolder) -> None:
    about = json.loads((ended.path / "evaluation" / "best-validation" / "evaluation.json").read_text())
    found = about["findings"]
    assert set(found["by_site"]) == {"site-1", "site-2"}
    for name in FINDINGS:
        of_sites = [site["per_finding"][name] for site in found["by_site"].values()]
        assert sum(each["positives"] for each in of_sites) == found["per_finding"][name]["positives"]
        lacking = found["per_finding"][name]["positives"] in (0, found["per_finding"][name]["cases"])
        assert (found["per_finding"][name]["auroc"] is None) == lacking
    assert not any(isinstance(value, float) and math.isnan(value) for each in found["per_finding"].values()
                   for value in each.values())  # fmt: skip
