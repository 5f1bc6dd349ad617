"""The thresholds of a run's findings: chosen on its validation cases, kept in its folder, and used on all others."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest, EvaluationSource
from fedmed.analysis.evaluation.patient_bootstrap import rows_of
from fedmed.core.errors import InputError
from fedmed.core.names import BEST, LAST
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.scoring.classification_metrics import PREDICTED, SCORE
from fedmed.tasks.scoring.finding_thresholds import chosen_thresholds

THRESHOLDS = "thresholds"
"""The file of a run folder, without its ending."""

CHOSEN_HERE = (
    "F1, precision and recall are at thresholds that were chosen on these very cases, so they are higher than on new "
    "ones; thresholds.json has the thresholds."
)
NONE_KNOWN = (
    "There are no thresholds for this model, so nothing is decided, and F1, precision and recall have no value: "
    "evaluate.py chooses thresholds on the validation cases of a run's result."
)


class RunThresholds(NamedTuple):
    """The thresholds by which an evaluation decides.

    Attributes:
        values: by finding, None where it has none.
        chosen_here: true where they are yet to be chosen on the evaluation's own cases.
        note: where they come from, in a sentence.
    """

    values: Mapping[str, float | None]
    chosen_here: bool
    note: str

    @property
    def identity(self) -> Any:
        """The part of an evaluation's identity that they are."""
        return "chosen on these cases" if self.chosen_here else dict(self.values)


def thresholds_for(source: EvaluationSource, request: EvaluationRequest) -> RunThresholds:
    """The thresholds of an evaluation of findings: those of the run's folder, or those to be chosen by it.

    They are chosen for the run's result, on the run's own validation cases, or on those that are named where the run
    knows of none. They decide nothing for a run's other models, nor for a site's own.

    Raises:
        InputError: the file in the run's folder is damaged.
    """
    run, named = source.run, request.dataset_base_dir or request.datalist
    if run is None or "" not in source.models or not is_result(run, source.models[""].weights):
        return RunThresholds({}, False, NONE_KNOWN)
    has_data = run.experiment().environment.DATA_IS_LOCAL
    if request.split == "validation" and not (named and has_data):
        return RunThresholds({}, True, CHOSEN_HERE)
    found = read_thresholds(run, source.task.findings)
    if not found:
        return RunThresholds({}, False, NONE_KNOWN)
    chosen_on = next(iter(run.read_json(THRESHOLDS).values()))["chosen_on"]
    return RunThresholds(found, False, f"F1, precision and recall are at the thresholds chosen on {chosen_on}.")


def decided(table: pd.DataFrame, thresholds: Mapping[str, float | None]) -> pd.DataFrame:
    """A long table of scores and truths with the decisions too, for findings that have a threshold.

    A score that reaches its finding's threshold is a decision for it.
    """
    scores = table[(table["quantity"] == SCORE) & table["value"].notna()]
    of_row = scores["target"].map(thresholds).astype(float)
    found = scores[of_row.notna()]
    decisions = found.assign(quantity=PREDICTED, value=(found["value"] >= of_row[found.index]).astype(float))
    return pd.concat([table, decisions], ignore_index=True)


def choose(source: EvaluationSource, table: pd.DataFrame, cases: str) -> dict[str, float | None]:
    """Choose the thresholds on a long table of the run's validation cases, and keep them in its folder.

    Args:
        cases: the cases in words.
    """
    assert source.run is not None
    chosen = chosen_thresholds(rows_of(table), source.task.findings)
    document = {
        name: {
            "threshold": each.threshold,
            "f1": each.f1,
            "positives": each.positives,
            "chosen_on": cases,
            **({"missing": each.missing} if each.missing else {}),
        }
        for name, each in chosen.items()
    }
    source.run.write_json(THRESHOLDS, document)
    return {name: each.threshold for name, each in chosen.items()}


def read_thresholds(run: RunFolder, findings: tuple[str, ...]) -> dict[str, float | None]:
    """The thresholds that a run's folder keeps, by finding; empty where it keeps none.

    Raises:
        InputError: the file is damaged, or states other findings.
    """
    file = run.path / f"{THRESHOLDS}.json"
    if not file.is_file():
        return {}
    stated = run.read_json(THRESHOLDS)
    entries = stated if isinstance(stated, Mapping) else {}
    if set(entries) != set(findings) or not all(map(_is_entry, entries.values())):
        raise InputError(
            f"{file} does not state a threshold from 0 to 1, or null, of each of the findings {', '.join(findings)}; "
            "remove it, and evaluate.py --force makes it anew."
        )
    return {name: entries[name]["threshold"] for name in findings}


def is_result(run: RunFolder, weights: Path) -> bool:
    """True where a file of weights is the run's result, for which its thresholds are chosen."""
    which = run.usual_model()
    result = run.path / {"best": BEST, "last": LAST}[which]
    return not run.local_models(which) and weights.resolve() == result.resolve()


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, Mapping) or not {"threshold", "chosen_on"} <= set(entry):
        return False
    value = entry["threshold"]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (number and isfinite(value) and 0 <= value <= 1)
