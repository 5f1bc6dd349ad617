"""What a run folder has to say, section by section. Each function reads files of the run and computes nothing new."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fedmed.analysis.comparison.run_cost import spent
from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.evaluation.evaluation_table import (
    OVERALL,
    POOLED,
    interval_text,
    notes,
    number_text,
    spread_text,
)
from fedmed.analysis.report.report_page import Listing, Part, Picture, Section, Table, Text
from fedmed.core import machine
from fedmed.core.errors import InputError
from fedmed.core.site_scores import CASES, VALUES
from fedmed.data.audit.duplicates_exchange import OVERLAPS
from fedmed.data.phantoms.phantom import PHANTOMS
from fedmed.privacy.ledger import LEDGER, last_of_each, read_ledger
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Metric, Task

NO_BREAK = "\u00a0"

PATIENTS = (
    "This page shows images and names of cases. Keep it where the data themselves may be; research use only, no "
    "medical device."
)


def result(run: RunFolder, folder: EvaluationFolder | None, metric: Metric, data: str) -> Section:
    """What came out, in a few sentences."""
    status = run.read_json("status")
    parts: list[Part] = [Text(PATIENTS, warning=True)]
    if PHANTOMS in data:
        parts.append(Text(f"The data are {PHANTOMS}: the numbers say nothing of patients.", warning=True))
    if status["status"] != "finished":
        parts.append(Text(f"The run is {status['status']}: {status['reason'] or 'no reason is known'}.", warning=True))
    if folder is not None:
        table, about = folder.table(), folder.document()
        number, overall = len(set(about["cases"])), _intervals(table, POOLED, metric, [OVERALL])[0]
        parts.append(
            Text(
                f"{metric.title} of the {about['model']} model: {overall} on {number} {about['split']} cases of "
                f"{about['data']} (mean over cases and regions, bootstrap 95 % interval)."
            )
        )
        parts.append(Text(spread_text(folder.cases(), metric)))
    try:
        spent(run)
    except InputError as error:
        parts.append(Text(f"What was spent of the privacy is not known: {error}", warning=True))
    parts.append(Text(f"Privacy: {_verdict(run)}"))
    return Section("Result", parts)


def configuration(run: RunFolder) -> Section:
    """Every option of the experiment, and on what it ran."""
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
    rows = [[site, *_counts(facts)] for site, facts in stats.items()]
    columns = ("site", "training", "validation", "patients", "label scheme", "largest volume", "errors", "warnings")
    sentences = [f"{site}: {f['sentence']}" for site, facts in stats.items() for f in facts.get("findings", [])]
    found: list[Part] = [Listing(sentences)] if sentences else [Text("The audit found nothing odd.")]
    return Section("Data", [Table("the audit before round 0", columns, rows), *found, *_overlaps(run)])


def training(run: RunFolder, task: Task) -> Section:
    """The curves, and the last scores that each site reported."""
    parts: list[Part] = []
    picture = run.path / "curves.png"
    if picture.is_file():
        parts.append(Picture("loss and score over the rounds", picture.read_bytes()))
    history = run.history()
    columns = [name for name in history.columns if name.startswith("val_") and not name.endswith((VALUES, "seconds"))]
    scored = history.dropna(subset=[task.KEY_METRIC]) if task.KEY_METRIC in history else history.iloc[:0]
    if scored.empty:
        return Section("Training", [*parts, Text("No scores left the sites, so there are none of single rounds here.")])
    last = scored[scored["round"] == scored["round"].max()]
    rows = [[row["site"], *(_score(name, row[name]) for name in columns)] for _, row in last.iterrows()]
    caption = (
        f"what each site reported of the model after round {int(last['round'].iloc[0])}, on the cases that it scored"
    )
    return Section("Training", [*parts, Table(caption, ("site", *columns), rows)])


def scores(folder: EvaluationFolder, metrics: Sequence[Metric]) -> Section:
    """Every metric with its interval, pooled, and the first one by site."""
    table, cases = folder.table(), folder.cases()
    regions = list(dict.fromkeys(table["region"]))
    pooled = [
        [metric.title + (f" ({metric.unit})" if metric.unit else ""), *_intervals(table, POOLED, metric, regions)]
        for metric in metrics
    ]
    first = metrics[0]
    by_site = [[site, *_intervals(table, site, first, regions)] for site in dict.fromkeys(table["site"])]
    return Section(
        "Scores",
        [
            Table("all cases: mean [95 % interval]", ("metric", *regions), pooled),
            Table(f"{first.title} by site: mean [95 % interval]", ("site", *regions), by_site),
            Text(spread_text(cases, first)),
            Listing(notes(table)),
        ],
    )


def cases(folder: EvaluationFolder, metric: Metric, pictures: Sequence[Picture]) -> Section:
    """Every case's first metric by region, worst first, and pictures of some."""
    own = folder.cases()
    own = own[own["metric"] == metric.name]
    wide = own.pivot_table("value", ["site", "case"], "region", sort=False, dropna=False)
    wide.insert(0, "mean", wide.mean(axis=1))
    wide = wide.dropna(how="all").sort_values("mean", ascending=metric.better == "higher").reset_index()
    shown = [[row["case"], row["site"], *(number_text(v, metric) for v in row.iloc[2:])] for _, row in wide.iterrows()]
    table = Table(f"{metric.title} of every case, the worst first", ("case", "site", *wide.columns[2:]), shown)
    return Section("Cases", [*pictures, table])


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
    picture, table = run.path / "cross_site.png", run.path / "cross_site.csv"
    if not table.is_file():
        return None
    parts: list[Part] = []
    if picture.is_file():
        parts.append(Picture("every model (rows) at every site (columns)", picture.read_bytes()))
    return Section("Cross-site", [*parts, Text(f"All numbers are in {table.name}.")])


def _verdict(run: RunFolder) -> str:
    """What was spent, in the mechanism's own words."""
    mechanism = run.experiment().privacy
    path = run.path / LEDGER
    return mechanism.verdict(read_ledger(path).entries) if path.is_file() else mechanism.statement()


def _counts(facts: Mapping[str, Any]) -> list[str]:
    levels = [finding["level"] for finding in facts.get("findings", [])]
    patients = {case["patient"] for case in facts.get("cases", [])}
    volume = "x".join(map(str, facts.get("largest_volume") or ())) or "-"
    first = [facts["training"], facts["validation"], len(patients), facts.get("label_scheme") or "-", volume]
    return [*map(str, first), str(levels.count("error")), str(levels.count("warning"))]


def _overlaps(run: RunFolder) -> list[Part]:
    if not (run.path / OVERLAPS).is_file():
        return []
    found = run.read_json(OVERLAPS.removesuffix(".json")).get("findings", [])
    sentences = [finding["sentence"] for finding in found]
    return [Listing(sentences)] if sentences else []


def _intervals(table: pd.DataFrame, site: str, metric: Metric, regions: Sequence[str]) -> list[str]:
    rows = table[(table["site"] == site) & (table["metric"] == metric.name)]
    by_region = {row["region"]: interval_text(row, metric) for _, row in rows.iterrows()}
    return [by_region.get(region, "-").replace(" ", NO_BREAK) for region in regions]


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
