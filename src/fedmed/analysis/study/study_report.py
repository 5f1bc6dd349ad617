"""A study as a page: a table a condition, the tests, the ranks, the tuning, and how to read them."""

import json
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from fedmed.analysis.comparison.paired_comparison import SIGNIFICANT, RunDifference, p_text
from fedmed.analysis.comparison.table_document import Block
from fedmed.analysis.evaluation.evaluation_table import FEW, OF_FEW, metric_heading, number_text
from fedmed.analysis.study.algorithm_figures import AlgorithmFigures, Condition
from fedmed.analysis.study.learning_speed import NEAR
from fedmed.analysis.study.rank_statistics import ALPHA, RankTest
from fedmed.analysis.study.scores_over_seeds import interval, mean_and_spread
from fedmed.analysis.study.study_findings import StudyFindings
from fedmed.core.errors import counted
from fedmed.core.units import in_unit

FEW_BLOCKS = 5
"""Blocks below which ranks say little."""


def blocks(found: StudyFindings) -> list[Block]:
    """The page."""
    return [
        Block(title(found), items=[in_words(found)]),
        *(
            Block(f"{heading(found, condition)}: {metric_heading(found.metric)} on the test cases", table(figures))
            for condition, figures in found.figures.items()
        ),
        *_tests(found),
        *([_ranks(found, found.ranks)] if found.ranks else []),
        *([_tuning(found)] if found.tuning else []),
        *([Block("Runs that failed", items=list(found.failures.values()))] if found.failures else []),
        Block("How to read this", items=notes(found)),
    ]


def title(found: StudyFindings) -> str:
    return f"{found.study.name}: {found.task.name}, {found.scores[0].data}"


def heading(found: StudyFindings, condition: Condition) -> str:
    """The condition in words; without the attack in a study of none."""
    several = len(found.study.attacks) > 1 or any(found.study.attacks.values())
    return f"Partition {condition.partition}" + (f", attack {condition.attack}" if several else "")


def in_words(found: StudyFindings) -> str:
    """The size of the study, and the budget of each algorithm."""
    study = found.study
    rounds = sorted({each.cell.experiment.training.num_rounds for each in found.scores})
    size = (
        f"{counted(len(study.algorithms), 'algorithm')}, {counted(len(study.partitions), 'partition')}, "
        + (f"{counted(len(study.attacks), 'attack')}, " if len(study.attacks) > 1 else "")
        + f"{counted(study.seeds, 'seed')}; {' or '.join(map(str, rounds))} rounds a run"
    )
    if study.tuning is None:
        return f"{size}. Nothing was tuned: every algorithm ran with the options that the study states, and no others."
    return (
        f"{size}. Equal tuning budget: {counted(study.tuning.budget, 'set')} of options for each algorithm were tried "
        f"on the validation cases of partition {study.tuning.partition} with seed {study.seeds}, which no run below "
        "has."
    )


def table(figures: Sequence[AlgorithmFigures]) -> pd.DataFrame:
    """A row an algorithm: mean and standard deviation over the seeds, and what it took."""
    rows = []
    for each in figures:
        rows.append(
            {
                "algorithm": each.algorithm,
                "model": "each site's own" if each.own else "global",
                "all sites' cases": mean_and_spread(each.pooled),
                "95 %": interval(each.bounds),
                "own site's cases": mean_and_spread(each.at_sites),
                "worst site": f"{each.worst_site} {mean_and_spread(each.worst)}".strip(),
                f"rounds to {100 * NEAR:g} %": rounds_text(each.rounds),
                "MB sent": _mean(each.megabytes),
                "seconds": _mean(each.seconds),
                "seeds": str(len(each.seeds)),
            }
        )
    return pd.DataFrame(rows)


def rounds_text(rounds: Sequence[int | None]) -> str:
    """The mean over the seeds that came so far, and how many these are where they are not all; a dash for none."""
    known = [number for number in rounds if number is not None]
    if not known:
        return "-"
    return f"{np.mean(known):.1f}" + ("" if len(known) == len(rounds) else f" ({len(known)} of {len(rounds)} seeds)")


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return f"{np.mean(known):.0f}" if np.mean(known) >= 10 else f"{np.mean(known):.2g}"


def _tests(found: StudyFindings) -> Iterator[Block]:
    for condition, tests in found.tests.items():
        if tests:
            unit = found.task.unit
            rows = [_test_row(each, found) for each in tests]
            where = heading(found, condition)
            yield Block(f"{where}: algorithm against algorithm over {unit}s", pd.DataFrame(rows))


def _test_row(each: RunDifference, found: StudyFindings) -> dict[str, str]:
    value, low, high = (number_text(number, found.metric) for number in each.difference)
    too_few = each.least_p > SIGNIFICANT
    verdict = "too few to tell" if too_few else "differ" if each.p <= SIGNIFICANT else "no difference found"
    return {
        "difference of": f"{each.subject} - {each.reference}",
        f"{found.task.unit}s": str(each.cases),
        "value [95 % interval]": f"{value} [{low}, {high}]",
        "test": each.method,
        "p": p_text(each.test.p),
        "p, Holm": p_text(each.p),
        "": verdict,
    }


def _ranks(found: StudyFindings, ranks: RankTest) -> Block:
    shown = pd.DataFrame(
        {"algorithm": list(ranks.ranks), "mean rank": [f"{rank:.2f}" for rank in ranks.ranks.values()]}
    )
    return Block("Mean ranks over partitions and seeds, 1 is best", shown, rank_sentences(found, ranks))


def rank_sentences(found: StudyFindings, ranks: RankTest) -> list[str]:
    """The test of the ranks, what it assumes, and what weakens it."""
    several = "partitions, attacks and seeds" if len(found.study.attacks) > 1 else "partitions and seeds"
    over = f"over {counted(ranks.blocks, 'block')} of {several}"
    if ranks.critical_difference is None:
        told = [f"Wilcoxon's signed rank test of the two algorithms' scores {over}: p {p_of(ranks.p)}."]
    else:
        told = [
            f"Friedman's test {over}: p {p_of(ranks.p)}.",
            f"Bars join algorithms whose mean ranks lie less than Nemenyi's critical difference at {ALPHA}, "
            f"{ranks.critical_difference:.2f}, apart"
            + ("; as Friedman's test finds no difference, one bar joins all." if ranks.p > ALPHA else "."),
        ]
    told.append(
        "These tests take blocks as independent, and say nothing of the sizes of differences. Seeds of one partition "
        "share its training and test cases, so p is too small for a claim on data of other kinds."
    )
    if ranks.blocks < FEW_BLOCKS:
        told.append(f"{counted(ranks.blocks, 'block')} are fewer than {FEW_BLOCKS}: the ranks say little.")
    if found.blocks_left_out:
        told.append(f"Left out, as the score of an algorithm is missing: {counted(found.blocks_left_out, 'block')}.")
    return told


def p_of(p: float) -> str:
    """``< 0.001`` or ``= 0.012``."""
    return p_text(p) if p < 0.001 else f"= {p_text(p)}"


def _tuning(found: StudyFindings) -> Block:
    title_of_key = found.task.key_score.over_sites
    rows = [
        {
            "algorithm": label,
            "chosen": json.dumps(dict(each.chosen)),
            f"{title_of_key} of each try": ", ".join("-" if s is None else f"{s:.4f}" for s in each.scores),
            "try": str(each.number),
        }
        for label, each in found.tuning.items()
    ]
    rule = "The try with the highest validation score of any round is chosen; test cases have no part in it."
    return Block("Tuning", pd.DataFrame(rows), [rule])


def _note_on_both(found: StudyFindings) -> list[str]:
    both = [each for each in found.scores if each.beside]
    if not both:
        return []
    return [
        f"{both[0].label} are the sites' own models of the runs of {both[0].cell.algorithm}, beside its global one."
    ]


def notes(found: StudyFindings) -> list[str]:
    """The sentences that a reader needs to understand the numbers."""
    unit, metric = found.task.unit, found.metric
    patients = len(set(found.scores[0].patients.values()))
    wilcoxon = metric.combines == "values"
    test = (
        f"Wilcoxon's signed rank test of the {unit}s' values, each first averaged over seeds, models, cases and targets"
        if wilcoxon
        else f"a permutation test that exchanges whole {unit}s between the algorithms, in all seeds and models at "
        "once; the figure is averaged over seeds and models"
    )
    told = [
        "Model: global is the one of all sites. Of each site's own, the score on all sites' cases is the mean over the "
        "sites of what each site's model reaches on the test cases of all sites together.",
        *_note_on_both(found),
        "Own site's cases: the mean over the sites of the score on the site's own test cases, by its own model or by "
        "the global one. Worst site: the one where that score is worst on average over the seeds. A dash: the test "
        "cases are no site's.",
        f"± is the standard deviation over the seeds. 95 % is from the lowest to the highest bound of the seeds' "
        f"intervals, for each of which the {patients} {unit}s are drawn anew; it says nothing of other trainings.",
        f"Rounds to {100 * NEAR:g} %: the first round whose validation score is at least {100 * NEAR:g} % of the "
        "partition's best final one, the highest mean over the seeds of an algorithm's score after its last round. A "
        "dash: never. Where a model that knows nothing scores far above 0, as with AUROC, it is reached early.",
        "MB: parameters, 1e6 bytes, of all sites in all rounds; an algorithm that shares nothing moves them all the "
        "same, as the protocol does. Seconds: of the rounds, of runs beside one another on one machine.",
        f"Tests: {test}. Two-sided, over the seeds that all algorithms have, with Holm's correction over the tests of "
        f"a table; a difference is one where p after it is at most {SIGNIFICANT:g}.",
    ]
    if wilcoxon:
        told.append(f"The intervals of differences are of the mean over {unit}s drawn anew.")
    if patients < FEW:
        told.append(f"{counted(patients, unit)} are few: {in_unit(OF_FEW, unit)}")
    return told
