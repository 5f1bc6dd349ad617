"""The figures of each algorithm in each block of a study, over its seeds, and tests of one against another. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from fedmed.analysis.comparison.paired_comparison import RunDifference, compare
from fedmed.analysis.evaluation.evaluation_table import OVERALL
from fedmed.analysis.evaluation.patient_bootstrap import paired_difference
from fedmed.analysis.study.cell_scores import CellScores
from fedmed.analysis.study.learning_speed import NEAR, final_score, rounds_to
from fedmed.core.statistics import holm
from fedmed.tasks.base import Metric


class Condition(NamedTuple):
    """A partition of the data with an attack, in which algorithms are compared."""

    partition: str
    attack: str


Scores = Sequence[CellScores]
ByAlgorithm = Mapping[str, Scores]
"""The cells of one condition by algorithm, one a seed."""


@dataclass(frozen=True)
class AlgorithmFigures:
    """The figures of an algorithm in one condition; lists have a number a seed, in the order of ``seeds``.

    Attributes:
        own: True where each site has a model of its own.
        pooled: the score over the test cases of all sites; of own models the mean of theirs.
        bounds: the lowest and the highest bound of the seeds' 95 % intervals.
        at_sites: the mean over the sites of the score on the site's own test cases; NaN where cases are no site's.
        worst_site: the site with the lowest mean over the seeds; empty where cases are no site's.
        worst: the score on that site's cases.
        rounds: those to :data:`NEAR` of the condition's best final validation score; None where it is not reached.
        megabytes: sent by all sites in all rounds; None where not recorded.
        seconds: of all rounds; None where not recorded.
    """

    algorithm: str
    own: bool
    seeds: list[int]
    pooled: list[float]
    bounds: tuple[float, float]
    at_sites: list[float]
    worst_site: str
    worst: list[float]
    rounds: list[int | None]
    megabytes: list[float | None]
    seconds: list[float | None]


def conditions(scores: Scores) -> dict[Condition, dict[str, list[CellScores]]]:
    """The cells by condition and algorithm, in the order in which they come."""
    found: dict[Condition, dict[str, list[CellScores]]] = {}
    for each in scores:
        of_condition = found.setdefault(Condition(each.cell.partition, each.cell.attack), {})
        of_condition.setdefault(each.label, []).append(each)
    return found


def figures(cells: ByAlgorithm) -> list[AlgorithmFigures]:
    """The figures of every algorithm in one condition."""
    target = near_best(cells)
    return [_figures(algorithm, scores, target) for algorithm, scores in cells.items()]


def near_best(cells: ByAlgorithm) -> float:
    """:data:`NEAR` of the highest mean over the seeds of an algorithm's final validation score.

    NaN, which no score reaches, where there is none, or where it is not above 0 and so has no such share.
    """
    means = []
    for scores in cells.values():
        finals = [final for each in scores if (final := final_score(each.curve)) is not None]
        means += [float(np.mean(finals))] if finals else []
    best = max(means, default=math.nan)
    return NEAR * best if best > 0 else math.nan


def _figures(algorithm: str, scores: Scores, target: float) -> AlgorithmFigures:
    sites = pd.DataFrame([each.by_site for each in scores]).dropna(axis=1, how="all")
    worst = worst_site(sites, scores[0].metric)
    return AlgorithmFigures(
        algorithm=algorithm,
        own=scores[0].own,
        seeds=[each.cell.seed for each in scores],
        pooled=[each.pooled.value for each in scores],
        bounds=(
            float(np.min([each.pooled.low for each in scores])),
            float(np.max([each.pooled.high for each in scores])),
        ),
        at_sites=sites.mean(axis=1).tolist(),
        worst_site=worst,
        worst=sites[worst].tolist() if worst else [math.nan] * len(scores),
        rounds=[rounds_to(each.curve, target) for each in scores],
        megabytes=[each.cost.megabytes_sent for each in scores],
        seconds=[each.cost.seconds for each in scores],
    )


def worst_site(sites: pd.DataFrame, metric: Metric) -> str:
    """The site whose mean over the seeds is worst; empty where there is none.

    Args:
        sites: a row a seed and a column a site.
    """
    means = sites.mean()
    if means.empty:
        return ""
    return str(means.idxmax() if metric.better == "lower" else means.idxmin())


def common_seeds(cells: ByAlgorithm) -> list[int]:
    """The seeds that every algorithm of a condition has."""
    seeds = [{each.cell.seed for each in scores} for scores in cells.values()]
    return sorted(set.intersection(*seeds)) if seeds else []


def differences(cells: ByAlgorithm) -> list[RunDifference]:
    """Every algorithm against every one before it over patients, with Holm's correction over these tests.

    Of a metric that is a mean of values a patient's is first averaged over seeds, models, cases and targets, and
    Wilcoxon's test compares patients. Of any other one the figure is averaged over seeds and models, and a permutation
    test exchanges whole patients. Only seeds count that all algorithms have; none where there is no such seed.
    """
    kept = with_common_seeds(cells)
    if len(kept) < 2:
        return []
    first = next(iter(kept.values()))[0]
    if first.metric.combines == "values":
        patients = {patient: patient for patient in first.patients.values()}
        return compare({name: by_patient(scores) for name, scores in kept.items()}, first.metric, patients)
    found = list(_exchanged(kept))
    adjusted, least = holm([each.test.p for each in found]), holm([each.test.least_p for each in found])
    return [each._replace(p=float(p), least_p=float(q)) for each, p, q in zip(found, adjusted, least, strict=True)]


def with_common_seeds(cells: ByAlgorithm) -> ByAlgorithm:
    """The cells whose seeds all algorithms have; empty where there is no such seed."""
    seeds = common_seeds(cells)
    return {name: [each for each in scores if each.cell.seed in seeds] for name, scores in cells.items() if seeds}


def by_patient(scores: Scores) -> pd.DataFrame:
    """The rows of all seeds and models as if each patient were one case with one target."""
    rows = pd.concat([each.cases for each in scores])
    return rows.assign(case=rows["case"].map(scores[0].patients), target=OVERALL)


def _exchanged(cells: ByAlgorithm) -> Iterator[RunDifference]:
    for reference, subject in combinations(cells, 2):
        first = cells[subject][0]
        seeds = _same_seeds(cells[subject], cells[reference])
        pairs = [pair for ours, theirs in seeds for pair in _models(ours, theirs)]
        difference, test = paired_difference(first.metric, pairs, first.patients)
        if not math.isnan(difference.value):
            yield RunDifference(
                subject, reference, OVERALL, len(first.patients), difference, test, "permutation", test.p, test.least_p
            )


def _same_seeds(ours: Scores, theirs: Scores) -> list[tuple[CellScores, CellScores]]:
    by_seed = {each.cell.seed: each for each in theirs}
    return [(each, by_seed[each.cell.seed]) for each in ours]


def _models(ours: CellScores, theirs: CellScores) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The rows of models in pairs: those of one site, or a site's own beside the global one."""
    sites = [site for site in (ours if ours.own else theirs).by_model if theirs.has(site)]
    return [(ours.rows_at(site), theirs.rows_at(site)) for site in sites]


def block_scores(scores: Scores) -> pd.DataFrame:
    """The pooled score of every algorithm, a row a condition and seed, without those that lack an algorithm's."""
    rows = pd.DataFrame(
        {
            "block": f"{each.cell.partition}, {each.cell.attack}, seed {each.cell.seed}",
            "algorithm": each.label,
            "score": each.pooled.value,
        }
        for each in scores
    )
    table = rows.pivot(index="block", columns="algorithm", values="score")
    return table[list(dict.fromkeys(rows["algorithm"]))].dropna()
