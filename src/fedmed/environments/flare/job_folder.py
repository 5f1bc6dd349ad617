"""A FLARE job's folder: the parts of server and sites, each with its configuration and, unless installed, its code."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fedmed.core.cli import echo
from fedmed.core.code_version import REPOSITORY, code_here
from fedmed.core.errors import InputError
from fedmed.core.files import staging_folder
from fedmed.core.settings import Faults
from fedmed.core.weights import save_weights
from fedmed.environments.flare.first_weights import CONFIG, FIRST_WEIGHTS
from fedmed.environments.flare.recipe import CLIENT_SCRIPT, build_recipe
from fedmed.environments.flare.site_script import SiteScript
from fedmed.experiment import Experiment

CODE = "custom"
"""FLARE's name. A job with such a folder brings code, whatever is in it, and a site's policy may refuse it."""

EXPERIMENT = "experiment.json"
AT_THE_SITE = f"{{JOB_CONFIG_DIR}}/{EXPERIMENT}"
"""FLARE puts in the path of the job's configuration at the site."""

SERVER_CONFIG, SITE_CONFIG = "config_fed_server.json", "config_fed_client.json"


class JobParts(NamedTuple):
    """The folders of a job's two parts."""

    server: Path
    site: Path


def export_job(experiment: Experiment, staging: Path) -> Path:
    """FLARE's job folder: the recipe, the experiment, the first weights and, unless installed elsewhere, the code.

    Args:
        staging: an empty folder.
    """
    model = experiment.task.first_model(experiment.training.seed)
    save_weights(model.state_dict(), staging / FIRST_WEIGHTS)
    (staging / EXPERIMENT).write_text(experiment.to_json(travelling=True), encoding="utf-8")
    for name in (CLIENT_SCRIPT, "model.py"):
        shutil.copy(REPOSITORY / name, staging)
    shutil.copytree(REPOSITORY / "src", staging / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    code = code_here()
    with contextlib.chdir(staging):  # FLARE takes relative paths for files that travel
        build_recipe(experiment, experiment.algorithm.parts(model).shared, code).export(str(staging / "job"))
    job = staging / "job" / experiment.job_name
    parts = _split(job, experiment.training.sites, experiment.faults)
    shutil.copy(staging / FIRST_WEIGHTS, parts.server / CONFIG)
    shutil.copy(staging / EXPERIMENT, parts.site / CONFIG)
    _run_site_script(parts.site / CONFIG / SITE_CONFIG, code)
    if not experiment.environment.code_travels:
        for part in parts:
            shutil.rmtree(part / CODE)
    return job


def export_for_console(experiment: Experiment, target: Path, *, force: bool) -> None:
    """Write the job's folder for FLARE's admin console, whole or not at all.

    Raises:
        InputError: there is something already, or no noise meets the target of the privacy mechanism.
    """
    experiment.privacy.resolved(experiment)
    if target.exists() and not force:
        raise InputError(f"{target} exists; give another folder to --export, or --force to write over it.")
    if target.exists() and not (target / "meta.json").is_file():
        raise InputError(f"{target} is no job from an earlier --export, so --force spares it; give another folder.")
    with tempfile.TemporaryDirectory(prefix="fedmed-job-") as made, staging_folder(target) as stage:
        shutil.copytree(export_job(experiment, Path(made)), stage, dirs_exist_ok=True)
        if target.exists():
            target.rename(stage.with_name("before"))  # goes with the folder that the stage lies in
        stage.rename(target)
    sites = ", ".join(experiment.training.sites)
    code = "its code" if experiment.environment.code_travels else f"the code {code_here()} that is installed there"
    echo(f"{target} is the job for {sites} with {code}; submit it in the admin console with: submit_job {target}")


def _split(job: Path, sites: Sequence[str], faults: Faults) -> JobParts:
    """Make of FLARE's one part for everyone the server's part and the sites'.

    The first weights go to the server alone. FLARE 2.9 sends a site its part of the job in one message, and a site that
    is connected by FLARE's default scheme, http, drops the connection when a message has more than 4 MiB.
    """
    parts = JobParts(job / "app_server", job / "app_site")
    for part, foreign in zip(parts, (SITE_CONFIG, SERVER_CONFIG), strict=True):
        shutil.copytree(job / "app", part, ignore=shutil.ignore_patterns(foreign))
    shutil.rmtree(job / "app")
    meta = json.loads((job / "meta.json").read_text(encoding="utf-8"))
    meta["deploy_map"] = {parts.server.name: ["server"], parts.site.name: list(sites)}
    meta["min_clients"] = faults.min_clients or len(sites)
    meta["mandatory_clients"] = [] if faults.spares(len(sites)) else list(sites)  # else whoever is connected would do
    (job / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return parts


def _run_site_script(path: Path, code: str) -> None:
    """Name the project's executor in a site's configuration, in the place of FLARE's, which takes any command."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for entry in config["executors"]:
        exchange = entry["executor"]["args"]["params_exchange_format"]
        arguments = {"experiment": AT_THE_SITE, "code": code, "params_exchange_format": exchange}
        entry["executor"] = {"path": f"{SiteScript.__module__}.{SiteScript.__name__}", "args": arguments}
    path.write_text(json.dumps(config, indent=4) + "\n", encoding="utf-8")
