"""Run folders of every state, whose cases are called as no page may call them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import long_table, summarize
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import Ledger
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Row
from fedmed.tasks.scoring.metric_catalogue import SEGMENTATION_METRICS
from tests.analysis.dashboard.patient_names import NAMES, PATIENTS
from tests.analysis.dashboard.records import record
from tests.ledgers import entry

MakeRun = Callable[..., RunFolder]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty artifacts folder."""
    (tmp_path / "artifacts").mkdir()
    return tmp_path / "artifacts"


@pytest.fixture
def make_run(small_experiment: Callable[..., Experiment], root: Path) -> MakeRun:
    """Makes a run folder with records of so many rounds of five, and all that may name a patient."""

    def make(
        rounds: int = 5, status: str = "finished", *arguments: str, reason: str = "", evaluated: bool = False
    ) -> RunFolder:
        run = RunFolder.create(root, "run")
        run.write_experiment(small_experiment("--num_rounds", "5", *arguments))
        run.write_status(status, reason)
        for number in range(rounds):
            run.add_record(record(number, {"site-1": 0.5 + number / 100, "site-2": 0.7}, best=number == 2))
        if status == "finished":
            run.add_record(record(rounds, {"site-1": 0.55, "site-2": 0.7}, final=True))
        _name_everywhere(run)
        if evaluated:
            _evaluate(run)
        return run

    return make


def _name_everywhere(run: RunFolder) -> None:
    """Write names of patients and their identity into every file of free text that a page reads."""
    splits = {site: {"training": list(names), "validation": []} for site, names in NAMES.items()}
    run.write_json("dataset_splits", splits)
    warning = {"level": "warning", "check": "outlier", "sentence": "DOE^JANE_t1: unlike the others of Roe_Richard."}
    facts = {
        site: {
            "training": 2,
            "validation": 0,
            "findings": [warning],
            "cases": [{"name": name, "patient": patient} for name, patient in zip(names, patients, strict=True)],
        }
        for (site, names), patients in zip(NAMES.items(), (PATIENTS[:2], PATIENTS[2:]), strict=True)
    }
    run.write_json("dataset_stats", facts)
    where = {"packages": {}, "system": "", "python": "", "cpu": "", "cores": 1, "memory_gib": 1, "gpus": []}
    run.write_json("environment", {**where, "commit": "c", "command": ["job.py", "--x", "/srv/clinic/DOE^JANE"]})
    log = (
        "INFO round 1\nERROR '/srv/clinic/van der Meer, Jan/t1.nii.gz' cannot be read\n"
        "(0010,0010) PN: Roe^Richard\nPatientBirthDate: 19470229 InstitutionName=Mercy Hospital\nINFO done 3/4\n"
    )
    run.write_text("training.log", log)
    run.write_text("data_audit.txt", f"site-1: 2 training scans\n  warning: {warning['sentence']}\n")


def _evaluate(run: RunFolder) -> None:
    """Write the evaluation of the best model on validation cases: 0.25 and 0.35 at site-1, 0.75 and 0.85 at site-2."""
    values = {"site-1": (0.25, 0.35), "site-2": (0.75, 0.85)}
    results = {
        (site, case): [Row(case, target, m.name, value) for m in SEGMENTATION_METRICS for target in ("TC", "ET")]
        for site, names in NAMES.items()
        for case, value in zip(names, values[site], strict=True)
    }
    patients = dict(zip((case for _, case in results), PATIENTS, strict=True))
    cases = long_table(run.name, results)
    about = {"model": "best", "split": "validation", "data": "set", "cases": list(patients), "patients": patients}
    about |= {"run": run.name, "weights_sha256": "ab", "flips": False, "task": "brats18", "label_scheme": None}
    about |= {"truth_sha256": dict.fromkeys(patients, "c")}
    folder = EvaluationFolder(run.path / "evaluation" / "best-validation")
    folder.begin(about)
    folder.finish(cases, summarize(cases, patients, SEGMENTATION_METRICS), about)


@pytest.fixture
def private_run(make_run: MakeRun) -> RunFolder:
    """A finished run with a formal mechanism, a ledger of two rounds, and an attack audit."""
    run = make_run(2, "finished", "--privacy", "gaussian", "--dp_noise_multiplier", "1", "--dp_release_metrics")
    sizes = (("site-1", 1.0), ("site-2", 0.5))
    entries = [entry(site, number, number * size) for number in (1, 2) for site, size in sizes]
    Ledger(run.name, run.experiment().privacy.document(), entries).save(run.path / "privacy_ledger.json")
    interval: dict[str, Any] = {"value": 0.61, "low": 0.5, "high": 0.72}
    attack: dict[str, Any] = {"attack": "loss", "site": "every site", "members": 4, "others": 2, "auc": interval}
    attack["tpr"] = [{"fpr": 0.01, "resolvable_fpr": 0.5, **interval, "promised_at_most": 0.9}]
    run.write_json("privacy_audit", {"attacks": [attack], "promise": None})
    return run
