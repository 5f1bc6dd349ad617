"""The content of ``model_meta.json``: what the network is, on what it was trained, and how well it tells classes.

The keys from ``trained_at`` on are those of the MediSync FL system, so that its readers find theirs.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fedmed.core.site_scores import PERSONAL, score_name
from fedmed.data.datalist import SPLITS, TEST
from fedmed.experiment import Experiment
from fedmed.runs.history import Record, after_round, best_of_each, best_round, scores_of
from fedmed.server.round_record import completes_a_round
from fedmed.tasks.scoring.classification_metrics import ACCURACY, AUROC

META = "model_meta"
"""The file, without its ending."""

TEST_FIGURES = ("test_accuracy", "avg_f1", "avg_precision", "avg_recall", "per_class", "confusion_matrix")
"""Figures of the test cases of a task of classes; None until they are scored."""

FINDING_TEST_FIGURES = ("test_auroc", "test_average_precision", "avg_f1", "avg_precision", "avg_recall", "per_class")
"""Those of a task of findings: of several at once there is neither an accuracy nor a confusion matrix."""


def network_facts(experiment: Experiment, trained_on: str, pretrained: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the network before it is trained.

    Args:
        trained_on: the dataset in words.
        pretrained: the file of a part of its weights, and what of it fits; empty where all are random.
    """
    model, attack = experiment.task.build_model(), experiment.attack.statement()
    return {
        "class_path": f"{type(model).__module__}.{type(model).__name__}",
        "args": model.arguments,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "trained_on": trained_on,
        **({"attack": attack} if attack else {}),
        **({"pretrained": dict(pretrained)} if pretrained else {}),
    }


def training_facts(
    experiment: Experiment,
    stats: Mapping[str, Mapping[str, Any]],
    records: Sequence[Record],
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    """The facts of a training that has ended, without test figures.

    Args:
        experiment: that ran.
        stats: facts of each site's data; none where the data are the sites' own.
        records: the server's, of all rounds.
        machine: on which the sites trained, if the data are here.
    """
    epochs = experiment.training.aggregation_epochs
    best = None if experiment.algorithm.scores_own else best_round(records)
    facts = {
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "num_epochs": sum(map(completes_a_round, records)) * epochs,
        "best_epoch": None if best is None else best * epochs,
        "device": ("cuda" if machine["gpus"] else "cpu") if experiment.environment.DATA_IS_LOCAL else None,
        "datasets": {site: _dataset(found) for site, found in stats.items()},
        **({"personal_models": _personal(records, epochs)} if experiment.algorithm.has_personal else {}),
    }
    number = len(experiment.task.classes or experiment.task.findings)
    if not number:
        return facts
    chosen = None if best is None else after_round(records, best)
    return {**facts, "num_classes": number, "metrics": _figures(experiment, chosen)}


def _personal(records: Sequence[Record], epochs: float) -> dict[str, Any]:
    """The epochs behind each site's best personal model, and its key figure and the last one's, by site."""
    found = {}
    for site, done in sorted(best_of_each(records, PERSONAL).items()):
        scored = after_round(records, done) or {}
        last = records[-1]["sites"].get(site, {}).get(PERSONAL)
        found[site] = {"best_epoch": done * epochs, "best": scored["sites"][site][PERSONAL], "last": last}
    return found


def _figures(experiment: Experiment, chosen: Record | None) -> dict[str, Any]:
    """The figures of a task of classes or findings: the best model's score in the rounds, and none of test cases yet.

    Args:
        chosen: the record that scores the best model; None where none was chosen.
    """
    task = experiment.task
    names, by = (TEST_FIGURES, ACCURACY) if task.classes else (FINDING_TEST_FIGURES, AUROC)
    score = scores_of(chosen, task.figures()).get(score_name(by.name)) if chosen else None
    best = f"best_{score_name(by.name)}"
    meaning = {f"{best}_is": f"mean of the sites' {by.title}"} if by.combines == "rows" else {}
    return {**dict.fromkeys(names), best: score, **meaning}


def _dataset(found: Mapping[str, Any]) -> dict[str, Any]:
    """The number of a site's cases, and as far as they are known their classes and the place of the hospital."""
    facts: dict[str, Any] = {"total": sum(found.get(split, 0) for split in (*SPLITS, TEST))}
    if "class_distribution" in found:
        facts["class_distribution"] = found["class_distribution"]["all"]
    return {**facts, "location": found.get("hospital")}
