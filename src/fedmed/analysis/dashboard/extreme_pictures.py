"""The worst and the best cases of an evaluation: drawn by the report's own function, and told by numbers."""

from functools import lru_cache
from pathlib import Path
from typing import cast

from fedmed.analysis.dashboard.artifacts_listing import Stamp, stamp_of
from fedmed.analysis.dashboard.case_aliases import CaseAliases
from fedmed.analysis.dashboard.run_view import RunView
from fedmed.analysis.evaluation.evaluation_cases import Split
from fedmed.analysis.evaluation.evaluation_folder import DOCUMENT, EvaluationFolder
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest
from fedmed.analysis.report.report_page import Picture, Section, Table
from fedmed.analysis.report.run_page import Extreme, drawn_cases
from fedmed.core.errors import InputError
from fedmed.runs.run_folder import RunFolder

NUMBER = 2
"""Of the worst cases, and of the best."""


def unnamed_cases(section: Section, aliases: CaseAliases) -> Section:
    """The report's table of cases with a number in the place of each name; its first columns are case and site."""
    tables = [part for part in section.parts if isinstance(part, Table)]
    shown = [
        Table(part.caption, part.columns, [[aliases.alias(row[1], row[0]), *row[1:]] for row in part.rows])
        for part in tables
        if tuple(part.columns[:2]) == ("case", "site")
    ]
    return Section(section.title, shown)


def extreme_pictures(view: RunView, folder: EvaluationFolder, aliases: CaseAliases) -> list[Picture]:
    """The worst and the best cases with the truth and the prediction, under their numbers.

    Raises:
        InputError: the model or a case cannot be used.
    """
    drawn = _drawn(view.run.path, folder.path, stamp_of(folder.path, DOCUMENT))
    metrics = view.experiment.task.METRICS
    return [
        Picture(f"{each.which}: {aliases.alias(each.site, each.case)}, {each.score_text(metrics)}", png)
        for each, png in drawn
    ]


@lru_cache(maxsize=8)
def _drawn(run: Path, evaluation: Path, _stamp: Stamp) -> list[tuple[Extreme, bytes]]:
    folder = EvaluationFolder(evaluation)
    about = folder.document()
    if about["model"] not in ("best", "last"):
        raise InputError("The evaluation is of a file of weights outside the run; report.py draws its cases.")
    request = EvaluationRequest(model=about["model"], split=cast(Split, about["split"]), flips=about["flips"])
    return drawn_cases(RunFolder(run), folder, request, NUMBER)
