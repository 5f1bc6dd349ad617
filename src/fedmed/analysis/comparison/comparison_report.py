"""A comparison of runs as a paper shows it: the table of the runs, the tests, the sites, and how to read them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fedmed.analysis.comparison.compared_run import ComparedRun
from fedmed.analysis.comparison.configuration import configurations
from fedmed.analysis.comparison.paired_comparison import (
    SIGNIFICANT,
    Comparison,
    by_case,
    compare,
    means,
    p_text,
    sentence,
)
from fedmed.analysis.comparison.table_document import Section
from fedmed.analysis.evaluation.evaluation_table import FEW, OF_FEW, OVERALL, Spread, number_text, spread, spread_text
from fedmed.core.errors import counted
from fedmed.core.statistics import RESAMPLES, Estimate
from fedmed.tasks.base import Metric

SEED = 0
"""Of the bootstrap."""


@dataclass(frozen=True)
class Compared:
    """Everything that is said of some runs, as numbers; dictionaries are by the runs' labels."""

    runs: tuple[ComparedRun, ...]
    metric: Metric
    configurations: Mapping[str, str]
    means: Mapping[str, Mapping[str, Estimate]]  # by region, and overall
    comparisons: tuple[Comparison, ...]
    spreads: Mapping[str, Spread | None]  # between sites; None where there are not two of them

    @property
    def patients(self) -> Mapping[str, str]:
        return self.runs[0].patients


def compared(runs: Sequence[ComparedRun], metric: Metric) -> Compared:
    """Every number of the report, of runs that were scored alike on the same cases."""
    values = {run.label: by_case(run.cases, metric.name) for run in runs}
    patients = runs[0].patients
    labels = list(values)
    return Compared(
        tuple(runs),
        metric,
        dict(zip(labels, configurations([run.experiment for run in runs]), strict=True)),
        {label: means(values[label], patients, SEED) for label in labels},
        tuple(compare(values, patients, SEED)),
        {run.label: spread(run.cases, metric) for run in runs},
    )


def sections(found: Compared) -> list[Section]:
    """The report."""
    metric, about = found.metric, found.runs[0].about
    unit = f" ({metric.unit})" if metric.unit else ""
    cases = f"{counted(len(found.patients), about['split'] + ' case')} of {_patients(found)}"
    names = {label: f"{label} ({words})" for label, words in found.configurations.items()}
    family, overall = len(found.comparisons), [each for each in found.comparisons if each.region == OVERALL]
    told = [sentence(each, names, metric, family) for each in overall] or ["No case has a value to compare."]
    scored = f"{metric.title}{unit} of the {_common_model(found)} models on {cases}"
    return [
        Section(f"{scored}: mean [95 % interval]", runs_table(found)),
        Section(f"Run against run, {metric.title}{unit}", comparison_table(found), told),
        _between_sites(found),
        Section("How to read this", items=notes(found)),
    ]


def runs_table(found: Compared) -> pd.DataFrame:
    """A row a run: the published columns, what privacy was spent, and what the run cost."""
    rows = []
    for run in found.runs:
        cost = run.cost
        planned = run.experiment.training.num_rounds
        rows.append(
            {
                "configuration": found.configurations[run.label],
                "run": run.label if run.model == _common_model(found) else f"{run.label}, {run.model} model",
                **{region: _interval(each, found.metric) for region, each in found.means[run.label].items()},
                "epsilon": epsilon_text(run),
                "unit": run.spent.unit,
                "rounds": str(cost.rounds) if cost.rounds == planned else f"{cost.rounds} of {planned}",
                "seconds": _whole_number(cost.seconds),
                "MB sent": _whole_number(cost.megabytes_sent),
            }
        )
    return pd.DataFrame(rows)


def epsilon_text(run: ComparedRun) -> str:
    """What the site that spent most has spent, in words that cannot be misread."""
    spent = run.spent
    if spent.guarantee != "formal":
        return "none" if spent.guarantee == "none" else f"{spent.guarantee}: no meaningful epsilon"
    if run.experiment.privacy.insecure_seeded_noise:
        return "none: the noise follows from the seed"
    if spent.epsilon is None:
        return "nothing was released"
    return f"{spent.epsilon:.4g}" + ("" if spent.delta is None else f" at delta {spent.delta:g}")


def comparison_table(found: Compared) -> pd.DataFrame | None:
    """A row a pair of runs and region."""
    if not found.comparisons:
        return None
    return pd.DataFrame(
        {
            "difference of": f"{each.subject} - {each.reference}",
            "region": each.region,
            "cases": str(each.test.pairs),
            "mean": _interval(each.difference, found.metric),
            "median": number_text(each.test.median_difference, found.metric),
            "rank-biserial": f"{each.test.effect:.2f}",
            "p": p_text(each.test.p),
            "p, Holm": p_text(each.p),
        }
        for each in found.comparisons
    )


def runs_numbers(found: Compared) -> pd.DataFrame:
    """The table of the runs and of their sites as numbers, for a CSV file."""
    rows = []
    for run in found.runs:
        row: dict[str, Any] = {"configuration": found.configurations[run.label], "run": run.label, "model": run.model}
        row |= {"metric": found.metric.name, "cases": len(found.patients)}
        for region, each in found.means[run.label].items():
            row |= {region: each.value, f"{region}_low": each.low, f"{region}_high": each.high}
        row |= {f"privacy_{name}": value for name, value in vars(run.spent).items()} | run.cost._asdict()
        sites = found.spreads[run.label]
        row |= {"worst_site": sites.worst, "worst_site_mean": sites.worst_mean} if sites else {}
        row |= {"site_gap": sites.gap, "site_std": sites.std} if sites else {}
        rows.append(row)
    return pd.DataFrame(rows)


def comparison_numbers(found: Compared) -> pd.DataFrame:
    """The tests as numbers, for a CSV file."""
    names = ["subject", "reference", "region", "cases", "mean_difference", "low", "high", "median_difference"]
    names += ["rank_biserial", "p", "p_holm", "tests"]
    rows = [
        (
            *(each.subject, each.reference, each.region, each.test.pairs, *each.difference),
            *(each.test.median_difference, each.test.effect, each.test.p, each.p, len(found.comparisons)),
        )
        for each in found.comparisons
    ]
    return pd.DataFrame(rows, columns=names)


def notes(found: Compared) -> list[str]:
    """What a reader must know to read the numbers."""
    said = [
        f"Intervals: bootstrap of the mean over all values ({OVERALL}: of all regions), {_patients(found)} drawn anew "
        f"{RESAMPLES} times with seed {SEED}, bias-corrected and accelerated, widened for few patients. They say how "
        "the mean varies with the patients, not with the seed of a training, and are not corrected for their number.",
        "Tests: Wilcoxon signed rank of the difference by case (overall: of the case's mean over its regions), "
        f"two-sided, cases without a difference left out; Holm's correction over all {len(found.comparisons)} tests "
        f"of this page; significant where p is at most {SIGNIFICANT:g}. Rank-biserial correlation: 1 where the first "
        "run has the higher value in every case, -1 where it has the lower one.",
        "Epsilon is that of the site that spent most; unit is whose presence it hides. Seconds are those of the "
        "rounds on the machine that each run had; MB are parameters, 1e6 bytes, of all sites in all rounds; - was "
        "not recorded.",
    ]
    data = ", ".join(dict.fromkeys(run.about["data"] for run in found.runs))
    return [f"Data: {data}.", *said, *_warnings(found)]


def _warnings(found: Compared) -> list[str]:
    """What weakens this very comparison."""
    said = []
    commits = {run.label: run.commit for run in found.runs}
    if len(set(commits.values())) > 1 or any(commit.endswith("+") for commit in commits.values()):
        told = ", ".join(f"{label} {commit}" for label, commit in commits.items())
        said.append(f"The runs are not known to be of one code ({told}; + is with changes that were not committed).")
    alone = ", ".join(run.label for run in found.runs if not run.experiment.algorithm.has_global_model)
    if alone:
        said.append(f"MB of {alone} are what FLARE's protocol moves: the untrained model, and differences of zero.")
    patients, models = set(found.patients.values()), {run.model for run in found.runs}
    if len(patients) < FEW:
        said.append(f"{_patients(found)} are few: {OF_FEW}")
    if len(patients) < len(found.patients):
        said.append("Several cases are of one patient; the tests count them as independent, which they are not.")
    if models == {"best", "last"}:
        last = ", ".join(run.label for run in found.runs if run.model == "last")
        said.append(f"No best model was chosen of {last}, as scores stay at the sites: its last one is compared.")
    if "best" in models and found.runs[0].about["split"] == "validation":
        said.append(
            "A best model was chosen by its scores on validation cases, which flatters it on them; --model last and "
            "--split test do not."
        )
    said += [f"{run.label} did not finish, it is {run.status}." for run in found.runs if run.status != "finished"]
    return said


def _between_sites(found: Compared) -> Section:
    """A row a run whose sites have cases of their own, and a sentence for the others."""
    known = [(label, each) for label, each in found.spreads.items() if each is not None]
    table = pd.DataFrame(
        {
            "run": label,
            "worst site": each.worst,
            "worst mean": number_text(each.worst_mean, found.metric),
            "best site": each.best,
            "best mean": number_text(each.best_mean, found.metric),
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
    title = f"Between the sites, {found.metric.title}: a site's mean is over its cases and regions"
    return Section(title, table if known else None, items)


def _common_model(found: Compared) -> str:
    """The model of most runs, which the others' rows depart from; best where it is undecided."""
    models = [run.model for run in found.runs]
    return max(sorted(set(models)), key=models.count)


def _patients(found: Compared) -> str:
    return counted(len(set(found.patients.values())), "patient")


def _interval(found: Estimate, metric: Metric) -> str:
    """``0.8573 [0.8312, 0.8790]``, or a dash where there is no value."""
    value, low, high = (number_text(each, metric) for each in found)
    return value if low == "-" else f"{value} [{low}, {high}]"


def _whole_number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
