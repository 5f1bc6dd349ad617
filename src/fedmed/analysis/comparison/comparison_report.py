"""A comparison of runs as a paper shows it: the table of the runs, the tests, the sites, and how to read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fedmed.analysis.comparison.compared_run import ComparedRun
from fedmed.analysis.comparison.comparison_warnings import comparison_warnings
from fedmed.analysis.comparison.configuration import configurations
from fedmed.analysis.comparison.paired_comparison import (
    SIGNIFICANT,
    RunDifference,
    compare,
    effect_text,
    figures,
    p_text,
    sentence,
)
from fedmed.analysis.comparison.run_cost import epsilon_text
from fedmed.analysis.comparison.table_document import Block
from fedmed.analysis.evaluation.evaluation_table import (
    MOST_COLUMNS,
    OVERALL,
    Spread,
    metric_heading,
    number_text,
    spread,
    spread_text,
)
from fedmed.analysis.evaluation.patient_bootstrap import DRAWS
from fedmed.core.errors import counted
from fedmed.core.statistics import RESAMPLES, Estimate
from fedmed.core.units import Unit, in_unit
from fedmed.tasks.base import Metric

BOOTSTRAP_SEED = 0


@dataclass(frozen=True)
class Compared:
    """All numbers of a comparison; dictionaries are by the runs' labels."""

    runs: tuple[ComparedRun, ...]
    metric: Metric
    configurations: Mapping[str, str]
    figures: Mapping[str, Mapping[str, Estimate]]  # by target, and overall
    comparisons: tuple[RunDifference, ...]
    spreads: Mapping[str, Spread | None]  # between sites; None where there are not two of them

    @property
    def patients(self) -> Mapping[str, str]:
        return self.runs[0].patients


def compared(runs: Sequence[ComparedRun], metric: Metric) -> Compared:
    """Every number of the report, of runs that were scored alike on the same cases."""
    cases = {run.label: run.cases for run in runs}
    patients = runs[0].patients
    return Compared(
        tuple(runs),
        metric,
        dict(zip(cases, configurations([run.experiment for run in runs]), strict=True)),
        {label: figures(table, metric, patients, BOOTSTRAP_SEED) for label, table in cases.items()},
        tuple(compare(cases, metric, patients, BOOTSTRAP_SEED)),
        {run.label: spread(run.cases, metric) for run in runs},
    )


def blocks(found: Compared) -> list[Block]:
    """The report."""
    metric, about = found.metric, found.runs[0].about
    cases = f"{counted(len(found.patients), about['split'] + ' case')} of {_patients(found)}"
    names = {label: f"{label} ({words})" for label, words in found.configurations.items()}
    family, overall = len(found.comparisons), [each for each in found.comparisons if each.target == OVERALL]
    sentences = [sentence(each, names, metric, family) for each in overall] or ["No case has a value to compare."]
    figure = "mean [95 % interval]" if metric.combines == "values" else "value [95 % interval]"
    scored = f"{metric_heading(metric)} of the {_common_model(found)} models on {cases}"
    return [
        Block(f"{scored}: {figure}", runs_table(found)),
        *([Block(f"{scored}, by target: {figure}", target_table(found))] if _many_targets(found) else []),
        Block(f"Run against run, {metric_heading(metric)}", comparison_table(found), sentences),
        _between_sites(found),
        Block("How to read this", items=notes(found)),
    ]


def runs_table(found: Compared) -> pd.DataFrame:
    """A row a run: the published columns, the privacy spent, and the cost of the run.

    Many targets have a table of their own, :func:`target_table`.
    """
    rows = []
    for run in found.runs:
        cost, planned = run.cost, run.experiment.training.num_rounds
        estimates = found.figures[run.label]
        shown = {OVERALL: estimates[OVERALL]} if _many_targets(found) else estimates
        rows.append(
            {
                "configuration": found.configurations[run.label],
                "run": run.label if run.model == _common_model(found) else f"{run.label}, {run.model} model",
                **{target: _interval(each, found.metric) for target, each in shown.items()},
                "epsilon": epsilon_text(run.spent, run.experiment.privacy),
                "unit": run.spent.unit,
                "rounds": str(cost.rounds) if cost.rounds == planned else f"{cost.rounds} of {planned}",
                "seconds": _whole_number(cost.seconds),
                "MB sent": _whole_number(cost.megabytes_sent),
            }
        )
    return pd.DataFrame(rows)


def target_table(found: Compared) -> pd.DataFrame:
    """A row a target and a column a run."""
    targets = [target for target in found.figures[found.runs[0].label] if target != OVERALL]
    columns = {
        run.label: [_interval(found.figures[run.label][target], found.metric) for target in targets]
        for run in found.runs
    }
    return pd.DataFrame({"target": targets, **columns})


def comparison_table(found: Compared) -> pd.DataFrame | None:
    """A row a pair of runs and target; without columns that the test has nothing for."""
    if not found.comparisons:
        return None
    table = pd.DataFrame(
        {
            "difference of": f"{each.subject} - {each.reference}",
            "target": each.target,
            "cases": str(each.cases),
            _figure(found): _interval(each.difference, found.metric),
            "median": number_text(each.test.median_difference, found.metric),
            "rank-biserial": effect_text(each.test.effect),
            "p": p_text(each.test.p),
            "p, Holm": p_text(each.p),
        }
        for each in found.comparisons
    )
    return table if found.metric.combines == "values" else table.drop(columns=["median", "rank-biserial"])


def runs_numbers(found: Compared) -> pd.DataFrame:
    """The table of the runs and of their sites as numbers, for a CSV file."""
    rows = []
    for run in found.runs:
        row: dict[str, Any] = {"configuration": found.configurations[run.label], "run": run.label, "model": run.model}
        row |= {"metric": found.metric.name, "cases": len(found.patients)}
        for target, each in found.figures[run.label].items():
            row |= {target: each.value, f"{target}_low": each.low, f"{target}_high": each.high}
        row |= {f"privacy_{name}": value for name, value in vars(run.spent).items()} | run.cost._asdict()
        sites = found.spreads[run.label]
        row |= {"worst_site": sites.worst, "worst_site_mean": sites.worst_value} if sites else {}
        row |= {"site_gap": sites.gap, "site_std": sites.std} if sites else {}
        rows.append(row)
    return pd.DataFrame(rows)


def comparison_numbers(found: Compared) -> pd.DataFrame:
    """The tests as numbers, for a CSV file."""
    names = ["subject", "reference", "target", "cases", "mean_difference", "low", "high", "median_difference"]
    names += ["rank_biserial", "test", "p", "p_holm", "tests"]
    rows = [
        (
            *(each.subject, each.reference, each.target, each.cases, *each.difference),
            *(each.test.median_difference, each.test.effect, each.method),
            *(each.test.p, each.p, len(found.comparisons)),
        )
        for each in found.comparisons
    ]
    return pd.DataFrame(rows, columns=names)


def notes(found: Compared) -> list[str]:
    """The sentences that a reader needs to understand the numbers."""
    data = ", ".join(dict.fromkeys(run.about["data"] for run in found.runs))
    return [
        f"Data: {data}.",
        _note_on_intervals(found),
        _note_on_tests(found),
        "Epsilon is that of the site that spent most; unit is whose presence it hides. Seconds are those of the "
        "rounds on the machine that each run had; MB are parameters, 1e6 bytes, of all sites in all rounds; - was "
        "not recorded.",
        *comparison_warnings(found.runs, found.metric),
    ]


def _note_on_intervals(found: Compared) -> str:
    unit = _unit(found)
    if found.metric.combines == "values":
        return (
            f"Intervals: bootstrap of the mean over all values ({OVERALL}: of all targets), {_patients(found)} drawn "
            f"anew {RESAMPLES} times with seed {BOOTSTRAP_SEED}, bias-corrected and accelerated, widened for few "
            f"{unit}s. They say how the mean varies with the {unit}s, not with the seed of a training, and are not "
            "corrected for their number."
        )
    return (
        f"Intervals: percentiles of the figure over {_patients(found)} drawn anew {DRAWS} times with seed "
        f"{BOOTSTRAP_SEED}, widened for few {unit}s; of a difference the same {unit}s are drawn for both runs. They "
        f"say how the figure varies with the {unit}s, not with the seed of a training, and are not corrected for their "
        "number."
    )


def _note_on_tests(found: Compared) -> str:
    unit = _unit(found)
    holm = (
        f"Holm's correction over all {len(found.comparisons)} tests of this page; significant where p is at most "
        f"{SIGNIFICANT:g}."
    )
    if found.metric.combines == "values":
        return (
            "Tests: Wilcoxon signed rank of the difference by case (overall: of the case's mean over its targets), "
            f"two-sided, cases without a difference left out; {holm} Rank-biserial correlation: 1 where the first "
            "run has the higher value in every case, -1 where it has the lower one."
        )
    return (
        f"Tests: permutation, two-sided: the two runs' rows of {in_unit('a patient', unit)} are exchanged, in all ways "
        f"or, of more than 10 {unit}s, in {DRAWS} at random; {holm}"
    )


def _between_sites(found: Compared) -> Block:
    """A row a run whose sites have cases of their own, and a sentence for the others."""
    known = [(label, each) for label, each in found.spreads.items() if each is not None]
    table = pd.DataFrame(
        {
            "run": label,
            "worst site": each.worst,
            f"worst {_figure(found)}": number_text(each.worst_value, found.metric),
            "best site": each.best,
            f"best {_figure(found)}": number_text(each.best_value, found.metric),
            "gap": number_text(each.gap, found.metric),
            "standard deviation": number_text(each.std, found.metric),
        }
        for label, each in known
    )
    silent: dict[str, list[str]] = {}
    for run in found.runs:
        if found.spreads[run.label] is None:
            silent.setdefault(spread_text(run.cases, found.metric), []).append(run.label)
    items = [f"{', '.join(labels)}: {words}" for words, labels in silent.items()]
    title = f"Between the sites, {found.metric.title}: a site's {_figure(found)} is over its cases and targets"
    return Block(title, table if known else None, items)


def _common_model(found: Compared) -> str:
    """The model of most runs, which the others' rows depart from; best where it is undecided."""
    models = [run.model for run in found.runs]
    return max(sorted(set(models)), key=models.count)


def _figure(found: Compared) -> str:
    return "mean" if found.metric.combines == "values" else "value"


def _many_targets(found: Compared) -> bool:
    return len(found.figures[found.runs[0].label]) > MOST_COLUMNS


def _patients(found: Compared) -> str:
    return counted(len(set(found.patients.values())), _unit(found))


def _unit(found: Compared) -> Unit:
    return found.runs[0].experiment.task.unit


def _interval(found: Estimate, metric: Metric) -> str:
    """``0.8573 [0.8312, 0.8790]``, or a dash where there is no value."""
    value, low, high = (number_text(each, metric) for each in found)
    return value if low == "-" else f"{value} [{low}, {high}]"


def _whole_number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
