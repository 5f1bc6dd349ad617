"""The sections of a run's report. Each function reads files of the run folder and computes nothing new."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from fedmed.analysis.comparison.run_cost import spent
from fedmed.analysis.evaluation.case_score import case_score, case_score_title
from fedmed.analysis.evaluation.class_figures import CLASSES
from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import (
    MOST_COLUMNS,
    OVERALL,
    POOLED,
    interval_text,
    notes,
    number_text,
    pooled_cells,
    site_cells,
    spread_text,
    targets_apart,
)
from fedmed.analysis.evaluation.finding_figures import FINDING_FIGURES
from fedmed.analysis.evaluation.patient_bootstrap import rows_of
from fedmed.analysis.report.class_section import decided_classes
from fedmed.analysis.report.finding_section import findings_of_cases
from fedmed.analysis.report.report_page import Listing, Part, Picture, Section, Table, Text
from fedmed.core import machine
from fedmed.core.errors import InputError
from fedmed.core.site_scores import CASES, is_figure
from fedmed.data.audit.duplicates_exchange import OVERLAPS
from fedmed.data.phantoms.phantom import PHANTOMS
from fedmed.privacy.ledger import LEDGER, last_of_each, read_ledger
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Metric, Task

NO_BREAK = "\u00a0"

MOST_CASES = 300
"""Cases that the page lists one by one."""

MOST_FINDINGS = 100
"""Findings of the audit that the page lists one by one."""

COUNTED = ("training", "validation", "patients", "class_distribution", "hospital", "findings", "cases")
"""Facts of a site's data that a run folder holds whatever the task; others are the task's own."""

PATIENTS = (
    "This page shows images and names of cases. Keep it where the data themselves may be; research use only, no "
    "medical device."
)


def result(run: RunFolder, folder: EvaluationFolder | None, metric: Metric, data: str) -> Section:
    """The outcome of the run, in a few sentences, and that the page names cases."""
    return Section("Result", [Text(PATIENTS, warning=True), *outcome(run, folder, metric, data)])


def outcome(run: RunFolder, folder: EvaluationFolder | None, metric: Metric, data: str) -> list[Part]:
    """The outcome of the run, in a few sentences."""
    status = run.read_json("status")
    parts: list[Part] = []
    if PHANTOMS in data:
        parts.append(Text(f"The data are {PHANTOMS}: the numbers say nothing of patients.", warning=True))
    if status.get("attack"):
        parts.append(
            Text(f"Under attack: {status['attack']}. Its models are of no use for anything else.", warning=True)
        )
    if status["status"] != "finished":
        parts.append(Text(f"The run is {status['status']}: {status['reason'] or 'no reason is known'}.", warning=True))
    if folder is not None:
        parts += _scored(folder, metric)
    try:
        spent(run)
    except InputError as error:
        parts.append(Text(f"What was spent of the privacy is not known: {error}", warning=True))
    return [*parts, Text(f"Privacy: {_verdict(run)}")]


def _scored(folder: EvaluationFolder, metric: Metric) -> list[Part]:
    """The overall figure of a metric with its interval, and the sites against each other."""
    table, about = folder.table(), folder.document()
    found = table[(table["site"] == POOLED) & (table["metric"] == metric.name) & (table["target"] == OVERALL)]
    over = "cases and targets" if table["target"].nunique() > 1 else "cases"
    figure = f"mean over {over}" if metric.combines == "values" else f"over all {over}"
    overall = interval_text(found.iloc[0], metric).replace(" ", NO_BREAK)
    return [
        Text(
            f"{metric.title} of the {about['model']} model: {overall} on {len(set(about['cases']))} {about['split']} "
            f"cases of {about['data']} ({figure}, bootstrap 95 % interval)."
        ),
        Text(spread_text(folder.cases(), metric)),
    ]


def configuration(run: RunFolder) -> Section:
    """Every option of the experiment, and the machine."""
    experiment, where = run.read_json("experiment"), run.read_json("environment")
    rows = []
    for kind, values in experiment.items():
        options = values if isinstance(values, dict) else {"": values}
        rows += [[f"{kind} {name}".strip(), _shown(value)] for name, value in sorted(options.items())]
    versions = ", ".join(f"{name} {version}" for name, version in where["packages"].items())
    return Section(
        "Configuration",
        [
            Table("the experiment, as experiment.json has it", ("option", "value"), rows),
            Table(
                "the machine",
                ("", "value"),
                [
                    ["hardware", machine.one_line(where)],
                    ["system", f"{where['system']}, Python {where['python']}"],
                    ["packages", versions],
                    ["commit", where["commit"] or "not known"],
                    ["command", " ".join(where["command"])],
                ],
            ),
        ],
    )


def data(run: RunFolder) -> Section:
    """The audit of every site's data."""
    stats = run.read_json("dataset_stats")
    if not stats:
        return Section(
            "Data",
            [Text("Every site audited its own data before round 0; what it found stays there."), *_overlaps(run)],
        )
    described = dict.fromkeys(name for facts in stats.values() for name in facts if name not in COUNTED)
    rows = [[site, *_counts(facts, described)] for site, facts in stats.items()]
    units = f"{run.experiment().task.unit}s"
    columns = ("site", "training", "validation", units, *map(_spaced, described), "errors", "warnings")
    sentences = [f"{site}: {f['sentence']}" for site, facts in stats.items() for f in facts.get("findings", [])]
    found: list[Part] = [Text("The audit found nothing odd.")]
    if sentences:
        more = len(sentences) - MOST_FINDINGS
        rest = [f"and {more} more, which dataset_stats.json has"] if more > 0 else []
        found = [Listing([*sentences[:MOST_FINDINGS], *rest])]
    return Section("Data", [Table("the audit before round 0", columns, rows), *found, *_overlaps(run)])


def training(run: RunFolder, task: Task) -> Section:
    """The curves, and the last scores that each site reported."""
    parts = _picture(run, "curves.png", "loss and score over the rounds")
    history = run.history()
    columns = [str(name) for name in history.columns if is_figure(str(name)) or name == CASES]
    scored = history.dropna(subset=[task.KEY_METRIC]) if task.KEY_METRIC in history else history.iloc[:0]
    if scored.empty:
        return Section("Training", [*parts, Text("No scores left the sites, so there are none of single rounds here.")])
    last = scored[scored["round"] == scored["round"].max()]
    cells = pd.DataFrame({str(row["site"]): {n: _score(n, row[n]) for n in columns} for _, row in last.iterrows()})
    turned = cells if len(columns) > 2 * MOST_COLUMNS else cells.T
    caption = (
        f"the scores that each site reported of the model after round {int(last['round'].iloc[0])}, on the cases that "
        "it scored"
    )
    reported = _table(caption, "score" if turned is cells else "site", turned)
    return Section("Training", [*parts, reported, *_counted(history)])


def _counted(history: pd.DataFrame) -> list[Part]:
    """The shares with which each site's updates counted, where the algorithm tells them apart."""
    if "counted" not in history:
        return []
    rows = [
        [str(site), f"{shares.mean():.2f}", f"{shares.min():.2f}", f"{(shares == 0).sum()} of {len(shares)}"]
        for site, shares in history.dropna(subset=["counted"]).groupby("site")["counted"]
    ]
    columns = ("site", "mean share", "lowest", "rounds left out")
    return [Table("the share with which the algorithm let each site's update count", columns, rows)]


def scores(folder: EvaluationFolder, task: Task) -> Section:
    """Every metric of the task with its interval, pooled, and the first one by site."""
    table, cases = folder.table(), folder.cases()
    known = [metric for metric in task.METRICS if metric.name in set(table["metric"])]
    first = task.METRICS[0]
    figure = "mean" if all(metric.combines == "values" for metric in known) else "value"
    return Section(
        "Scores",
        [
            _table(f"all cases: {figure} [95 % interval]", "", pooled_cells(table, known)),
            _table(f"{first.title} by site: {figure} [95 % interval]", "", site_cells(table, first)),
            Text(spread_text(cases, first)),
            Listing(notes(table, known, task.NOTES, task.unit)),
        ],
    )


def cases(folder: EvaluationFolder, metrics: Sequence[Metric], pictures: Sequence[Picture]) -> Section:
    """The cases' scores, worst first, with that of each target where there are few, and pictures of some."""
    title = case_score_title(metrics)
    long = folder.cases()
    scored = ranked_cases(long, metrics)
    if CLASSES in folder.document():
        return Section("Cases", [*pictures, _decided(long, scored, title)])
    if FINDING_FIGURES in folder.document():
        return Section("Cases", [*pictures, _findings(long, scored, title)])
    targets = [name for name in scored.columns if name not in ("site", "case", "score")]
    shown = targets if len(targets) < MOST_COLUMNS else []
    rows = [
        [row["case"], row["site"], *(number_text(row[name], metrics[0]) for name in ("score", *shown))]
        for _, row in scored.head(MOST_CASES).iterrows()
    ]
    columns = ("case", "site", "mean" if targets else "value", *shown)
    table = Table(f"{title} of {_which(scored)}, the worst first", columns, rows)
    return Section("Cases", [*pictures, table])


def _decided(cases: pd.DataFrame, scored: pd.DataFrame, title: str) -> Table:
    """The truth, the decision and its confidence of each case, in the order of its scores."""
    decided = decided_classes(cases)
    rows = []
    for case, site, score in scored.head(MOST_CASES)[["case", "site", "score"]].itertuples(index=False):
        truth, decision, confidence = decided[site, case]
        rows.append([case, site, truth, decision, f"{confidence:.4f}", f"{score:.4f}"])
    columns = ("case", "site", "truth", "decision", "confidence", title)
    return Table(f"the decision for {_which(scored)}, the worst first", columns, rows)


def _findings(cases: pd.DataFrame, scored: pd.DataFrame, title: str) -> Table:
    """The findings that each case has and those that were decided for, in the order of its scores."""
    found = findings_of_cases(cases)
    rows = [
        [case, site, *found[site, case], f"{score:.4f}"]
        for case, site, score in scored.head(MOST_CASES)[["case", "site", "score"]].itertuples(index=False)
    ]
    columns = ("case", "site", "truth", "decided", f"mean {title}")
    return Table(f"the findings of {_which(scored)}, the worst first", columns, rows)


def _which(scored: pd.DataFrame) -> str:
    """The cases that a table lists, in words."""
    return "every case" if len(scored) <= MOST_CASES else f"the {MOST_CASES} worst of {len(scored)} cases"


def ranked_cases(cases: pd.DataFrame, metrics: Sequence[Metric]) -> pd.DataFrame:
    """A row a site and case that has a score, worst first: ``site``, ``case``, ``score``, and a column a target.

    Args:
        cases: a long table.
        metrics: of the task; they say what the score is, see :mod:`fedmed.analysis.evaluation.case_score`.
    """
    targets = targets_apart(cases, metrics[:1])
    found = []
    for (site, case), table in cases.groupby(["site", "case"], sort=False):
        rows = rows_of(table)
        by_target = {target: case_score(metrics, [row for row in rows if row.target == target]) for target in targets}
        found.append({"site": site, "case": case, "score": case_score(metrics, rows), **by_target})
    columns = ["site", "case", "score", *targets]
    ranked = pd.DataFrame(found, columns=columns).dropna(subset=["score"])
    return ranked.sort_values("score", ascending=metrics[0].better != "lower", kind="stable")


def privacy(run: RunFolder) -> Section:
    """The mechanism's declaration and the ledger."""
    path = run.path / LEDGER
    parts: list[Part] = [Text(_verdict(run))]
    if not path.is_file():
        return Section("Privacy", [*parts, Text("The run left no ledger.")])
    ledger = read_ledger(path)
    about = ledger.mechanism
    rows = [[key, _shown(about[key])] for key in ("name", "unit", "guarantee") if key in about]
    parts.append(Table("the mechanism", ("", "value"), rows))
    if about.get("assumptions"):
        parts.append(Listing([f"It rests on this: {sentence}" for sentence in about["assumptions"]]))
    if ledger.entries:
        spent = [
            [e.site, str(e.round), _number(e.epsilon_round), _number(e.epsilon_total), _number(e.delta)]
            for e in last_of_each(ledger.entries).values()
        ]
        columns = ("site", "round", "epsilon of the round", "epsilon in all", "delta")
        parts.append(Table("each site's last entry in the ledger", columns, spent))
    return Section("Privacy", parts)


def cross_site(run: RunFolder) -> Section | None:
    """The matrix of models and sites, where the run made one."""
    table = run.path / "cross_site.csv"
    if not table.is_file():
        return None
    parts = _picture(run, "cross_site.png", "every model (rows) at every site (columns)")
    return Section("Cross-site", [*parts, Text(f"All numbers are in {table.name}.")])


def _picture(run: RunFolder, name: str, caption: str) -> list[Part]:
    """A picture of the run folder, where it is there."""
    path = run.path / name
    return [Picture(caption, path.read_bytes())] if path.is_file() else []


def _verdict(run: RunFolder) -> str:
    """The privacy spent, in the mechanism's own words."""
    mechanism = run.experiment().privacy
    path = run.path / LEDGER
    return mechanism.verdict(read_ledger(path).entries) if path.is_file() else mechanism.statement()


def _counts(facts: Mapping[str, Any], described: Iterable[str]) -> list[str]:
    """Cases, patients, the task's own facts and the numbers of findings of a site."""
    levels = [finding["level"] for finding in facts.get("findings", [])]
    patients = {case["patient"] for case in facts.get("cases", [])}
    counts = [facts["training"], facts["validation"], len(patients)]
    own = [_fact(facts.get(name)) for name in described]
    return [*map(str, counts), *own, str(levels.count("error")), str(levels.count("warning"))]


def _fact(value: Any) -> str:
    """A fact of the task in words; sizes as ``240x240x155``."""
    if isinstance(value, list):
        return "x".join(map(str, value)) or "-"
    return "-" if value is None else str(value)


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _overlaps(run: RunFolder) -> list[Part]:
    if not (run.path / OVERLAPS).is_file():
        return []
    found = run.read_json(OVERLAPS.removesuffix(".json")).get("findings", [])
    sentences = [finding["sentence"] for finding in found]
    return [Listing(sentences)] if sentences else []


def _table(caption: str, heading: str, cells: pd.DataFrame) -> Table:
    """A table of text whose rows are called by the frame's index; an interval is not broken over lines."""
    rows = [
        [str(name), *(str(cell).replace(" ", NO_BREAK) for cell in row)]
        for name, row in zip(cells.index, cells.to_numpy(), strict=True)
    ]
    return Table(caption, (heading, *map(str, cells.columns)), rows)


def _score(name: str, value: float) -> str:
    if pd.isna(value):
        return "-"
    return f"{value:.0f}" if name == CASES else f"{value:.4f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
