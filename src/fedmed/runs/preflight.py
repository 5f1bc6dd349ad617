"""The checks of a run on data of this machine, before anything starts: demonstration data, cache, audit, privacy."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fedmed.core.cli import echo
from fedmed.core.code_version import REPOSITORY
from fedmed.core.errors import InputError
from fedmed.core.files import check_place
from fedmed.core.names import ARTIFACTS
from fedmed.core.options import expect
from fedmed.core.precision import check_precision
from fedmed.data.audit import audit_table
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.audit.finding import refuse_errors
from fedmed.data.audit.site_audit import SiteAudit, overlaps
from fedmed.data.datalist import TEST, Datalist, datalist_path, open_datalist
from fedmed.experiment import Experiment
from fedmed.privacy.policy import enforce
from fedmed.runs.model_record import META
from fedmed.runs.resume_files import check_files
from fedmed.runs.run_folder import RunFolder

Datalists = Mapping[str, Datalist]
"""Each site's datalist, where the data lie on this machine; else none."""


class Preflight(NamedTuple):
    """The outcome of the checks.

    Attributes:
        experiment: on the data that it will run on.
        datalists: of each site; empty where the data are the sites' own.
        summaries: facts of each site's data, as JSON values.
        tables: the tables of the audit, for a file.
        pretrained: the file of a part of the first weights, and what of it fits; empty where all are random.
    """

    experiment: Experiment
    datalists: Datalists
    summaries: dict[str, dict[str, Any]]
    tables: str
    pretrained: Mapping[str, Any]


def checked(experiment: Experiment, begun: RunFolder | None) -> Preflight:
    """Check everything that can be checked here. Sites whose data are their own audit them themselves.

    Args:
        begun: the folder of the unfinished run with which to go on.

    Raises:
        InputError: something speaks against the run; nothing was started.
    """
    pretrained = _pretrained(experiment, begun)
    if not experiment.environment.DATA_IS_LOCAL:
        experiment.privacy.resolved(experiment)  # what no noise meets, no site need be asked
        experiment.environment.check_machine(experiment)
        return Preflight(experiment, {}, {}, "", pretrained)
    if begun:
        check_files(begun, experiment)
    check_precision(experiment.training.precision, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    check_place("artifacts", artifacts_of(experiment).absolute())
    experiment = _with_cache(_with_demo_data(experiment))
    experiment.environment.check_machine(experiment)
    datalists = {site: _datalist(experiment, site) for site in experiment.training.sites}
    if begun:
        _check_same_cases(begun, datalists)
    _check_bounds(experiment, datalists)
    summaries, tables = _audited(experiment, datalists)
    _check_privacy(experiment, datalists)
    return Preflight(experiment, datalists, summaries, tables, pretrained)


def _pretrained(experiment: Experiment, begun: RunFolder | None) -> dict[str, Any]:
    """The facts of the pretrained weights with which the run begins or began.

    Raises:
        InputError: they cannot be used, or are others than the run began with.
    """
    facts = experiment.task.pretrained_facts()
    if facts and begun and (begun.path / f"{META}.json").is_file():
        before = begun.read_json(META).get("pretrained", {}).get("sha256")
        if before != facts["sha256"]:
            raise InputError(
                f"The file {facts['file']} of --pretrained holds other weights than when {begun.name} began; "
                "restore the file, or start a new run."
            )
    return facts


def splits_of(datalists: Datalists) -> dict[str, dict[str, list[str]]]:
    """The names of each site's cases by split."""
    return {
        site: {split: [case.name for case in cases] for split, cases in datalist.splits.items()}
        for site, datalist in datalists.items()
    }


def _check_same_cases(begun: RunFolder, datalists: Datalists) -> None:
    """Refuse to go on with a run on other cases than it began with.

    Raises:
        InputError: a site's list has changed.
    """
    if not (begun.path / "dataset_splits.json").is_file():
        return
    before, now = begun.read_json("dataset_splits"), splits_of(datalists)
    changed = [site for site in now if now[site] != before.get(site)]
    if changed:
        raise InputError(
            f"The datalist of {changed[0]} names other cases than when {begun.name} began; restore it, or start a new "
            "run."
        )


def _with_demo_data(experiment: Experiment) -> Experiment:
    """The experiment itself, or where it names no data the experiment on its task's demonstration, made once.

    Raises:
        InputError: the data cannot be made.
    """
    if experiment.data.names_a_dataset:
        return experiment
    folder = REPOSITORY / experiment.task.DEMO
    if not folder.is_dir():
        echo(f"No dataset is named: making the demonstration's data in {folder}")
    experiment.task.demo_data(folder)
    data = replace(experiment.data, dataset_base_dir=folder, datalist_json_path=folder / "datalist")
    return experiment.with_data(data)


def _with_cache(experiment: Experiment) -> Experiment:
    """The experiment itself, or where it names no cache folder the experiment with one beside its run folders."""
    if experiment.data.cache_dir is not None or experiment.performance.cache_gb == 0:
        return experiment
    folder = artifacts_of(experiment).absolute() / "cache"
    return experiment.with_data(replace(experiment.data, cache_dir=folder))


def artifacts_of(experiment: Experiment) -> Path:
    """The folder of the experiment's run folders."""
    return experiment.artifacts or REPOSITORY / ARTIFACTS


def _datalist(experiment: Experiment, site: str) -> Datalist:
    dataset, lists = experiment.data.resolved()
    if lists.is_file() and len(experiment.training.sites) > 1:
        sites = experiment.training.n_clients
        raise InputError(f"--datalist_json_path {lists} is one file, but there are {sites} sites; give a folder.")
    return open_datalist(datalist_path(lists, site), dataset)


def _audited(experiment: Experiment, datalists: Datalists) -> tuple[dict[str, dict[str, Any]], str]:
    """Audit every site's data with a line a site on the screen; facts by site, and the tables for a file.

    Raises:
        InputError: the data have errors, or an option of the task does not suit them.
    """
    task, allow_overlap, verbose = experiment.task, experiment.training.allow_overlap, experiment.environment.verbose
    book = FactsBook(experiment.caching().disk)
    audits, tables = [], []
    for site, datalist in datalists.items():
        progress = audit_table.audit_progress(site, echo)
        audits.append(task.audit(site, datalist, allow_overlap, book=book, progress=progress))
        tables.append(audit_table.site_table(audits[-1]))
        found = audits[-1].findings
        echo(tables[-1] if verbose or found else audit_table.site_line(audits[-1]))
    across = overlaps(audits, allow_overlap)
    if across:
        tables.append(audit_table.across_text(across))
        echo(tables[-1])
    for audit in audits:
        refuse_errors(audit.findings, f"the data of {audit.site}")
    refuse_errors(across, "the sites together")
    echo("")
    facts = {audit.site: _facts(experiment, datalists[audit.site], audit) for audit in audits}
    return facts, "\n".join(tables) + "\n"


def _facts(experiment: Experiment, datalist: Datalist, audit: SiteAudit) -> dict[str, Any]:
    """The facts of a site's data for its run folder.

    Raises:
        InputError: an option of the task does not suit them.
    """
    facts = experiment.task.describe_data(datalist)
    if datalist.testing:
        facts[TEST] = len(datalist.testing)
    if distribution := audit_table.class_distribution(audit):
        facts["class_distribution"] = distribution
    if datalist.hospital:
        facts["hospital"] = dict(datalist.hospital)
    return {**facts, **audit.document()}


def _check_bounds(experiment: Experiment, datalists: Datalists) -> None:
    """Refuse what is more than this machine's cores or the sites' cases, and so would change nothing.

    Raises:
        InputError: something is.
    """
    threads, cores = experiment.performance.cpu_threads, len(os.sched_getaffinity(0))
    expect(threads is None or threads <= cores, "cpu_threads", threads, f"at most {cores}, the cores of this machine")
    batch, most = experiment.training.batch_size, max(len(datalist.training) for datalist in datalists.values())
    usual = experiment.task.DEFAULTS.get("batch_size")  # which nobody may have chosen
    cases = f"{experiment.task.rules(None).case}s"
    expect(
        batch <= most or batch == usual,
        "batch_size",
        batch,
        f"at most {most}, the training {cases} of the largest site",
    )


def _check_privacy(experiment: Experiment, datalists: Datalists) -> None:
    """Hold the mechanism against the sites' numbers of patients, and against this machine's policy.

    Raises:
        InputError: it cannot work with them, or this machine's policy demands more.
    """
    patients = {
        site: len({experiment.task.patient_of(case) for case in datalist.training})
        for site, datalist in datalists.items()
    }
    if experiment.privacy.accounts_slowly:
        echo(f"Accounting --privacy {experiment.privacy.name} over all rounds at every site\n")
    experiment.privacy.check_data(experiment, patients)
    for site, count in patients.items():
        enforce(experiment, site, count)
