"""A study as numbers: every score with its settings, as JSON values."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fedmed.analysis.study.algorithm_figures import AlgorithmFigures, Condition
from fedmed.analysis.study.cell_scores import CellScores
from fedmed.analysis.study.study_findings import StudyFindings
from fedmed.analysis.study.study_report import in_words, title
from fedmed.core import machine
from fedmed.runs.resuming import deciding


def numbers(found: StudyFindings) -> dict[str, Any]:
    """Every number with its settings, as JSON values; None stands for NaN."""
    document = {
        "what": title(found),
        "words": in_words(found),
        "study": dict(found.study.document),
        "metric": found.metric.name,
        "machine": machine.describe(),
        "tuning": {label: each._asdict() for label, each in found.tuning.items()},
        "conditions": [_condition(condition, figures, found) for condition, figures in found.figures.items()],
        "ranks": found.ranks._asdict() if found.ranks else None,
        "failures": dict(found.failures),
        "runs": [_run(each) for each in found.scores],
    }
    plain: dict[str, Any] = _without_nan(document)
    return plain


def _condition(condition: Condition, figures: Sequence[AlgorithmFigures], found: StudyFindings) -> dict[str, Any]:
    tests = [
        {**each._asdict(), "difference": each.difference._asdict(), "test": each.test._asdict()}
        for each in found.tests[condition]
    ]
    return {**condition._asdict(), "algorithms": [vars(each) for each in figures], "tests": tests}


def _run(each: CellScores) -> dict[str, Any]:
    cell, environment = each.cell, each.environment or {}
    return {
        "run": each.run,
        "partition": cell.partition,
        "algorithm": each.label,
        "attack": cell.attack,
        "seed": cell.seed,
        "models": "own" if each.own else "global",
        "score": each.pooled._asdict(),
        "own_site": each.by_site,
        "validation": {str(number): score for number, score in each.curve.items()},
        **each.cost._asdict(),
        "commit": environment.get("commit"),
        "settings": deciding(cell.experiment),
    }


def _without_nan(value: Any) -> Any:
    """The value with None for NaN and infinity, of which JSON knows none."""
    if isinstance(value, Mapping):
        return {str(key): _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
