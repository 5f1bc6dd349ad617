"""What lies where in a job: ``config/`` says what runs, ``custom/`` holds the code that runs it, where that travels."""

import json
import shutil
from pathlib import Path

CONFIG, CODE = "config", "custom"
"""FLARE's names. A job with a folder ``custom`` brings code, whatever is in it, and a site's policy may refuse it."""

EXPERIMENT, FIRST_WEIGHTS = "experiment.json", "init.pt"

AT_THE_SITE = f"{{JOB_CONFIG_DIR}}/{EXPERIMENT}"
"""FLARE puts in the path of the job's configuration at the site."""


def settle(server: Path, site: Path, made: Path, code: str) -> None:
    """Put into the two parts of an exported job what it runs: the experiment for sites, first weights for the server.

    Args:
        made: the folder in which both were made.
        code: the fingerprint of the code that they were made with.
    """
    shutil.copy(made / FIRST_WEIGHTS, server / CONFIG)
    shutil.copy(made / EXPERIMENT, site / CONFIG)
    path = site / CONFIG / "config_fed_client.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for entry in config["executors"]:
        kept = {name: entry["executor"]["args"][name] for name in ("params_exchange_format", "params_transfer_type")}
        arguments = {"experiment": AT_THE_SITE, "code": code, **kept}
        entry["executor"] = {"path": "fedmed.environments.flare.site_script.SiteScript", "args": arguments}
    path.write_text(json.dumps(config, indent=4) + "\n", encoding="utf-8")


def leave_code_out(*parts: Path) -> None:
    """Make a job of what is installed where its parts run."""
    for part in parts:
        shutil.rmtree(part / CODE)
