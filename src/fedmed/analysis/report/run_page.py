"""The whole page about a run. A run that was not scored yet is scored first."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from tqdm import tqdm

from fedmed.analysis.evaluation.case_score import case_score_title
from fedmed.analysis.evaluation.case_scoring import caching_after
from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_source import EvaluationRequest, cases_of, folder_of, source_of
from fedmed.analysis.evaluation.evaluation_table import number_text
from fedmed.analysis.evaluation.run_evaluation import evaluate, identity_of
from fedmed.analysis.report import report_sections
from fedmed.analysis.report.class_section import class_section
from fedmed.analysis.report.finding_section import finding_section
from fedmed.analysis.report.report_page import Picture, Section, Text, render
from fedmed.analysis.report.report_sections import ranked_cases
from fedmed.core.errors import InputError
from fedmed.core.progress import ticking, waiting
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.phantoms.phantom import dataset_title
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Metric, Pictures


def run_page(run: RunFolder, request: EvaluationRequest, number: int) -> str:
    """The page's HTML.

    Args:
        number: of the worst cases that are shown as pictures, and of the best.

    Raises:
        InputError: the run has an evaluation of other weights, cases or settings, and ``force`` is not given.
    """
    experiment = run.experiment()
    task, metric = experiment.task, experiment.task.METRICS[0]
    folder, why = scored(run, request)
    dataset = request.dataset_base_dir or experiment.data.dataset_base_dir
    scores = [Section("Scores", [Text(why, warning=True)])] if folder is None else [
        report_sections.scores(folder, task),
        class_section(folder),
        finding_section(folder),
        report_sections.cases(folder, task.METRICS, pictures(run, folder, request, number)),
    ]  # fmt: skip
    found: list[Section | None] = [
        report_sections.result(run, folder, metric, dataset_title(dataset) if dataset else ""),
        *scores,
        report_sections.training(run, task)
        if run.records() or (run.path / "training_history.json").is_file()
        else None,
        report_sections.cross_site(run),
        report_sections.privacy(run),
        report_sections.data(run),
        report_sections.configuration(run),
    ]
    chosen = f"{task.name}, {experiment.algorithm.name}, privacy {experiment.privacy.name}"
    subtitle = f"{chosen}, {experiment.training.n_clients} sites, {experiment.training.num_rounds} rounds"
    return render(run.name, subtitle, [section for section in found if section is not None])


def scored(run: RunFolder, request: EvaluationRequest) -> tuple[EvaluationFolder | None, str]:
    """The run's evaluation, made now if it is not there; without one, a sentence on the reason.

    Raises:
        InputError: there is one of other weights, cases or settings, or what the request names cannot be used.
    """
    with waiting(f"{run.name}: the model and its cases are read"):
        try:
            source = source_of(run.path, run.name, request)
        except InputError as error:
            return None, _unscored(error, request)
        folder = folder_of(source, request)
        try:
            listed = cases_of(source, request, FactsBook(caching_after(run.experiment(), run.name).disk))
        except InputError as error:  # the data are gone; the evaluation that was made of them still holds
            if not folder.is_made():
                return None, _unscored(error, request)
            listed = None
        try:
            made = folder.finished(identity_of(source, listed, request))
        except InputError:
            if not request.force:
                raise
            made = False
    if not made:
        evaluate(run.path, run.name, request)
    return folder, ""


def _unscored(error: InputError, request: EvaluationRequest) -> str:
    """The sentence of the page for a run that cannot be scored.

    Raises:
        InputError: it cannot be as the request names something of its own.
    """
    if request.model or request.dataset_base_dir or request.datalist:
        raise error
    return f"The run was not scored: {error}"


def pictures(run: RunFolder, folder: EvaluationFolder, request: EvaluationRequest, number: int) -> list[Picture]:
    """The worst and the best cases by their scores, as pictures under their names."""
    metrics = run.experiment().task.METRICS
    return [Picture(each.caption(metrics), png) for each, png in drawn_cases(run, folder, request, number)]


def drawn_cases(
    run: RunFolder, folder: EvaluationFolder, request: EvaluationRequest, number: int
) -> list[tuple["Extreme", bytes]]:
    """The worst and the best cases with a PNG each; none where the images are gone or the task draws none.

    Args:
        number: of the worst cases, and of the best.
    """
    source = source_of(run.path, run.name, request)
    task = source.task
    if not isinstance(task, Pictures):
        return []
    held = caching_after(run.experiment(), run.name)
    try:
        listed = cases_of(source, request, FactsBook(held.disk))
    except InputError:
        return []
    by_name = {case.name: case for case in listed.cases}
    drawn = []
    shown = [extreme for extreme in extremes(folder.cases(), task.METRICS, number) if extreme.case in by_name]
    with ticking(tqdm(shown, desc="pictures", unit="case", leave=False, disable=not shown)) as bar:
        for extreme in bar:
            model = source.models.get(extreme.site) or source.models[""]
            with model.inference():
                item = task.eval_set([by_name[extreme.case]], listed.label_scheme, held)[0]
                drawn.append((extreme, task.picture(model.network, item, model.device)))
    return drawn


class Extreme(NamedTuple):
    """One of the worst or best cases of an evaluation."""

    site: str
    case: str
    score: float
    which: str  # worst or best

    def caption(self, metrics: Sequence[Metric]) -> str:
        """The case with its score, in words."""
        return f"{self.which}: {self.case} ({self.site}), {self.score_text(metrics)}"

    def score_text(self, metrics: Sequence[Metric]) -> str:
        """The score in words, without the case's name."""
        mean = "mean " if metrics[0].combines == "values" else ""
        return f"{mean}{case_score_title(metrics)} {number_text(self.score, metrics[0])}"


def extremes(cases: pd.DataFrame, metrics: Sequence[Metric], number: int) -> list[Extreme]:
    """The worst cases of a long table, then the best, each case once."""
    ranked = ranked_cases(cases, metrics)
    every = [Extreme(*row) for row in ranked[["site", "case", "score"]].assign(which="worst").itertuples(index=False)]
    worst = every[:number]
    best = [each._replace(which="best") for each in every[::-1][:number] if each not in worst]
    return [*worst, *best]
