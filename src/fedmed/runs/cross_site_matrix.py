"""The cross-site matrix: every model scored at every site. Pure functions over FLARE's results."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from fedmed.core.names import BEST_FILE, LAST_FILE
from fedmed.core.site_scores import CASES, FigureForm, Figures, KeyScore, is_figure
from fedmed.server.site_reports import read_report

GLOBAL, BEST_GLOBAL = "global", "best global"
GLOBAL_MODELS = {LAST_FILE: GLOBAL, BEST_FILE: BEST_GLOBAL}
"""The server's files of the models after the last and after the best round."""

MEAN = "mean"
COLUMNS = ("model", "site", "metric", "value", "cases")

Results = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By site and model, named as FLARE names them, the metrics that the site reported."""


def read_results(found: Any, forms: Mapping[str, FigureForm], made: Callable[[], Figures]) -> Results:
    """The figures of FLARE's results that the task can have, as the server reads those of a round.

    Args:
        found: the content of FLARE's file, whose metrics are as the sites sent them.
        forms: of the task's figures.
        made: gives the figures that are made from sums.
    """
    return {
        site: {
            model: read_report(report, forms, made).figures
            for model, report in models.items()
            if isinstance(report, Mapping)
        }
        for site, models in found.items()
        if isinstance(models, Mapping)
    }


def scores(results: Results, sites: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics by model and site: global models first, then the sites' own in the order of ``sites``.

    A site's own model bears the site's name. What is no finite number is left out.
    """
    names = {**{f"SRV_{file}": name for file, name in GLOBAL_MODELS.items()}, **{site: site for site in sites}}
    scored = {model for at_site in results.values() for model in at_site}
    return {
        name: {site: _numbers(results[site][model]) for site in sites if model in results.get(site, {})}
        for model, name in names.items()
        if model in scored
    }


def table(results: Results, sites: Sequence[str]) -> pd.DataFrame:
    """A row a model, site and metric, with the site's number of validation cases; columns as in ``COLUMNS``."""
    rows = [
        (model, site, metric, value, int(report.get(CASES, 0)))
        for model, at_sites in scores(results, sites).items()
        for site, report in at_sites.items()
        for metric, value in report.items()
        if is_figure(metric)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def matrix(results: Results, sites: Sequence[str], key: KeyScore) -> pd.DataFrame:
    """The key score: a row a model, a column a site and last their mean; NaN where there is no score.

    The mean weighs sites by their values, as everywhere, and stands only where all sites scored the model. A score that
    is made from sums is in its place that of all sites' cases together.
    """
    found = scores(results, sites)
    rows = {
        model: [at_sites.get(site, {}).get(key.name, math.nan) for site in sites] + [_mean(at_sites, sites, key)]
        for model, at_sites in found.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=[*sites, MEAN], dtype=float)


def sentences(scored: pd.DataFrame, key: str, validation: Mapping[str, Iterable[str]]) -> list[str]:
    """The matrix in words, a sentence a site, and a warning where it cannot compare.

    Args:
        scored: :func:`matrix`'s answer.
        key: the name of the score in it.
        validation: the names of each site's validation cases, as far as they are known here.
    """
    sites = [str(name) for name in scored.columns if name != MEAN]
    lists = [frozenset(validation.get(site, ())) for site in sites]
    lines = [f"own: the site's model after its last local training. Differences of {key}; no significance is claimed."]
    lines += [_compared_at(site, scored) for site in sites]
    if all(site in validation for site in sites) and len(set(lists)) == 1:
        lines.append("All sites list the same validation cases, so the columns are equal by construction.")
    return lines


def _compared_at(site: str, scored: pd.DataFrame) -> str:
    own, other = _score(scored, site, site), _rival(site, scored)
    if own is None or other is None:
        return f"at {site}: no comparison, a score is missing; training.log says why"
    name, score = other
    title = GLOBAL if name == GLOBAL else f"best of the others ({name})"
    return f"at {site}: {title} {score:.4f}, own {own:.4f}: {_verdict(name, score - own)}"


def _rival(site: str, scored: pd.DataFrame) -> tuple[str, float] | None:
    """The model to compare a site's own with, and its score there: the global one, else the best of the others."""
    others = [str(name) for name in scored.index if name not in (site, BEST_GLOBAL)]
    known = {name: _score(scored, name, site) for name in ([GLOBAL] if GLOBAL in others else others)}
    pairs = [(name, score) for name, score in known.items() if score is not None]
    return max(pairs, key=lambda pair: pair[1], default=None)


def _verdict(name: str, difference: float) -> str:
    if difference == 0:
        return "neither is better"
    better = ("the global model" if name == GLOBAL else f"the model of {name}") if difference > 0 else "its own model"
    return f"{better} is better by {abs(difference):.4f}"


def _score(scored: pd.DataFrame, model: str, site: str) -> float | None:
    value = float(scored.loc[model, site]) if model in scored.index else math.nan  # type: ignore[arg-type]
    return None if math.isnan(value) else value


def _mean(at_sites: Mapping[str, Mapping[str, float]], sites: Sequence[str], key: KeyScore) -> float:
    whole = all(key.name in at_sites.get(site, {}) for site in sites)
    return key.mean(at_sites).get(key.name, math.nan) if whole else math.nan


def _numbers(report: Mapping[str, Any]) -> dict[str, float]:
    numbers = {n: v for n, v in report.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
