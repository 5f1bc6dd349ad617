"""The readiness of a site's machine: one line a check, each with the remedy where it fails."""

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from fedmed.core.code_version import REPOSITORY, code_here
from fedmed.core.errors import InputError, in_words
from fedmed.core.names import POLICY_VARIABLE, SITE_LEDGER_VARIABLE, STATE_VARIABLE
from fedmed.core.split_paths import refuse_split_python
from fedmed.data.audit.audit_table import site_line
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.audit.duplicates_exchange import KEY_VARIABLE, key_of_this_site
from fedmed.data.audit.finding import refuse_errors
from fedmed.data.audit.fingerprint import keyed
from fedmed.data.audit.site_audit import outside
from fedmed.data.datalist import datalist_path, open_datalist
from fedmed.experiment import Experiment
from fedmed.privacy.policy import policy_of_this_site
from fedmed.privacy.site_wide_ledger import site_wide_ledger

Level = Literal["ok", "warning", "error"]


class Check(NamedTuple):
    """One check: its subject, its outcome, and what to know or do."""

    what: str
    level: Level
    says: str


def checks(experiment: Experiment, site: str) -> Iterator[Check]:
    """All checks of a site, in the order in which they make sense.

    Args:
        experiment: on this machine's data.
    """
    yield _tried("versions", lambda: _versions(REPOSITORY / "requirements.txt"))
    yield _tried("python", _python)
    yield _tried("hardware", _hardware)
    yield _tried("data", lambda: _data(experiment))
    yield _tried("datalist", lambda: _datalist(experiment, site))
    yield _tried("audit", lambda: _audit(experiment, site))
    yield _tried("cache", lambda: _cache(experiment))
    yield _tried("privacy policy", _policy)
    yield _tried("privacy ledger", _ledger)
    yield _tried("all jobs", _all_jobs)
    yield _tried("duplicates", _duplicates)


def report(found: Iterator[Check], show: Callable[[str], None]) -> int:
    """Show each check as soon as it is done; 0 where none is an error, else 2."""
    errors = 0
    for check in found:
        show(f"{check.level:<8} {check.what:<15} {' '.join(check.says.split())}")
        errors += check.level == "error"
    show("ready" if not errors else f"not ready: {errors} of the checks failed")
    return 2 if errors else 0


def _tried(what: str, look: Callable[[], tuple[Level, str]]) -> Check:
    try:
        return Check(what, *look())
    except (InputError, OSError) as error:
        return Check(what, "error", in_words(error))


def _versions(requirements: Path) -> tuple[Level, str]:
    """The versions of all that computes must be those of the others, as other ones round or speak otherwise."""
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", requirements.read_text(encoding="utf-8"), re.MULTILINE))
    wrong = [f"{name} {there or 'missing'}" for name, v in pinned.items() if (there := _installed(name)) != v]
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    if wrong:
        return "error", f"{', '.join(wrong)}; run pip install -r {requirements}"
    code = f"the code here is {code_here()}, needed where jobs bring none"
    if any(each.metadata["Name"] == "fedmed" for each in distributions()):
        code = f"fedmed {version('fedmed')} is installed and goes before what a job brings"
    return "ok", f"{python}, {len(pinned)} packages as in {requirements.name}; {code}"


def _installed(name: str) -> str | None:
    with contextlib.suppress(PackageNotFoundError):
        return version(name).partition("+")[0]  # 2.13.0+cpu is 2.13.0
    return None


def _python() -> tuple[Level, str]:
    refuse_split_python()
    return "ok", f"{sys.executable}; the startup kit's path, too, must be without white space, quotes and #"


def _hardware() -> tuple[Level, str]:
    if not torch.cuda.is_available():
        return "warning", f"no GPU that torch can use; {len(os.sched_getaffinity(0))} CPU cores will do the work"
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return "ok", f"{torch.cuda.get_device_name(0)} with {memory:.0f} GiB"


def _data(experiment: Experiment) -> tuple[Level, str]:
    dataset, lists = experiment.data.resolved()
    return "ok", f"DATASET_ROOT {dataset}, DATALIST_ROOT {lists}"


def _datalist(experiment: Experiment, site: str) -> tuple[Level, str]:
    dataset, lists = experiment.data.resolved()
    path = datalist_path(lists, site)
    found = open_datalist(path, dataset)
    counts = ", ".join(f"{len(cases)} {split}" for split, cases in found.splits.items())
    cases = f"{path}: {counts} {experiment.task.rules(found.label_scheme).case}s"
    told = outside(found)
    return ("warning", f"{cases}; {told[0].sentence}") if told else ("ok", cases)


def _audit(experiment: Experiment, site: str) -> tuple[Level, str]:
    dataset, lists = experiment.data.resolved()
    book = FactsBook(experiment.caching().disk)
    found = open_datalist(datalist_path(lists, site), dataset)
    audit = experiment.task.audit(site, found, experiment.training.allow_overlap, book=book)
    refuse_errors(audit.findings, f"the data of {site}")
    return "warning" if audit.findings else "ok", f"{site_line(audit)}; prepare.py audit shows all of it"


def _cache(experiment: Experiment) -> tuple[Level, str]:
    folder, limit = experiment.data.cache_dir, experiment.performance.cache_gb
    if folder is None:
        return "warning", "CACHE_ROOT is not set, so cases are prepared anew in every round; name a folder"
    experiment.caching()  # it tries to write
    free = shutil.disk_usage(folder).free / 1e9
    if free < limit:
        return "warning", f"{folder} has {free:.0f} GB free of the {limit:g} GB that a job may keep; free some space"
    return "ok", f"{folder}, {free:.0f} GB free"


def _policy() -> tuple[Level, str]:
    policy = policy_of_this_site()
    if policy is None:
        return "warning", f"{POLICY_VARIABLE} is not set: this site trains whatever privacy a job has, also none"
    return "ok", str(policy)


def _ledger() -> tuple[Level, str]:
    named = os.environ.get(STATE_VARIABLE)
    if not named:
        return (
            "warning",
            f"{STATE_VARIABLE} is not set, so ledgers lie in fedmed_state in the startup kit; name a folder",
        )
    folder = Path(named)
    place = next(each for each in (folder, *folder.parents) if each.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        return "error", f"{STATE_VARIABLE} {folder} cannot be written; name a folder that the site's user owns"
    return "ok", f"{folder}"


def _all_jobs() -> tuple[Level, str]:
    ledger = site_wide_ledger()
    if ledger is None:
        return "warning", f"{SITE_LEDGER_VARIABLE} is not set, so a budget holds for each job and not for a patient"
    return "ok", f"{ledger.folder}, begun on {ledger.since}; python deploy/spent.py shows what patients have spent"


def _duplicates() -> tuple[Level, str]:
    key = key_of_this_site()
    if key is None:
        return "warning", f"{KEY_VARIABLE} is not set, so nobody notices images that another site has too"
    keyed("", key)
    return "ok", f"{KEY_VARIABLE} is set; it must be the same at every site"
