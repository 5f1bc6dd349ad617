"""A federation's startup kits, by FLARE's own provisioner: server, sites and users, each with a certificate.

Every kit is complete in itself and goes to the one machine or person that it is named after. FLARE keeps the
certification authority's private key in ``OUT/<project>/state``; whoever has it can let anyone in.
"""

import contextlib
import copy
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from nvflare.apis.fl_constant import AdminCommandNames
from nvflare.lighter.constants import CtxKey, PropKey
from nvflare.lighter.prov_utils import prepare_builders
from nvflare.lighter.provision import prepare_project
from nvflare.lighter.provisioner import Provisioner

from fedmed.core.errors import InputError
from fedmed.core.files import staging_folder
from fedmed.environments.flare.class_list import SERVERS_CLASSES, SITES_CLASSES, allow
from fedmed.environments.flare.federation_project import (
    PARTICIPANTS,
    Federation,
    Project,
    check,
    of_type,
    project_of,
    read_project,
    site,
)

PROJECT_FILE = "project.yml"

_RIGHTS = {  # "byoc": a job brings code, which runs as the site's user and can read and send whatever that user can
    "project_admin": dict.fromkeys(
        ("submit_job", "clone_job", "manage_job", "download_job", "view", "operate", "byoc"), "any"
    ),
    "org_admin": {"manage_job": "o:submitter", "download_job": "o:submitter", "view": "any", "operate": "o:site"},
    "lead": {"submit_job": "any", "manage_job": "n:submitter", "download_job": "n:submitter", "view": "any"}
    | {"clone_job": "n:submitter", "operate": "o:site", "byoc": "any"},
    "member": {"view": "any"},
}
ERRORS = (AdminCommandNames.SHOW_ERRORS, AdminCommandNames.RESET_ERRORS)
"""Commands that FLARE counts as looking on (``view``), though the errors of a job are in the words of its sites."""

SITES_RIGHTS = {
    role: {**rights, **dict.fromkeys(("shell_commands", *ERRORS), "none")} for role, rights in _RIGHTS.items()
}
"""The rights of FLARE's roles at a site: what FLARE's default does, without the commands that read files of the site
(``shell_commands``: cat, tail, grep) or its errors, as both name cases and paths."""

_SCHEDULE = {"min_schedule_interval": 1.0, "max_schedule_interval": 10.0, "max_schedule_count": 400}
"""A job begins a second after its sites are there and waits for them for an hour; FLARE's looks are rarer and fewer."""


def provision(federation: Federation, out: Path) -> dict[str, Path]:
    """The startup kits of a federation without a project file, in the new folder ``out``; see :func:`make_kits`."""
    return make_kits(project_of(federation), out, federation.storage)


def make_kits(project: Project, out: Path, storage: Path) -> dict[str, Path]:
    """Make everybody's startup kit, whole or not at all, for their owner's eyes only; each one's folder by its name.

    Args:
        project: who takes part.
        out: folder for the kits, the root key (``<project>/state``) and the project file; must be absent.
        storage: an absolute folder on the server's machine for jobs and snapshots, of this federation alone.

    Raises:
        InputError: ``out`` is there, or the project cannot be used.
        OSError: ``out`` cannot be written.
    """
    check(project)
    if out.exists():
        raise InputError(f"{out} is there already, and keys are never overwritten; choose another folder.")
    with staging_folder(out) as stage:
        made = _made(project, stage)
        _settle_server(made / of_type(project, "server")[0]["name"], storage)
        _settle_sites(made, project)
        _write_project(stage, project)
        stage.rename(out)
    return {each["name"]: out / made.relative_to(stage) / each["name"] for each in project[PARTICIPANTS]}


def join(out: Path, sites: Sequence[str]) -> dict[str, Path]:
    """Make kits for sites that come later, under the root of :func:`make_kits`' folder ``out``; each one's folder.

    They lie in a new ``prod_NN`` there. The kits that are out stay valid, and the server needs nothing.

    Raises:
        InputError: ``out`` has no root key or no project file, or a site cannot be added to it.
        OSError: ``out`` cannot be read or written.
    """
    project = read_project(out / PROJECT_FILE)
    new = [site(name) for name in sites]
    whole = {**project, PARTICIPANTS: [*project[PARTICIPANTS], *new]}
    check(whole)
    folder = out / project["name"]
    if not (folder / "state/cert.json").is_file():
        raise InputError(f"{folder}/state/cert.json, the federation's root key, is not there; put it back.")
    with staging_folder(out, inside=True) as stage:
        shutil.copytree(folder / "state", stage / folder.name / "state")
        for earlier in folder.glob("prod_*"):
            (stage / folder.name / earlier.name).mkdir()  # FLARE goes on counting
        part = {**project, PARTICIPANTS: [*of_type(project, "server"), *new]}  # FLARE makes none without a server
        made = _made(part, stage)
        shutil.rmtree(made / of_type(project, "server")[0]["name"])
        _settle_sites(made, part)
        _write_project(stage, whole)
        for path in (stage / folder.name / "state/cert.json", made, stage / PROJECT_FILE):
            path.replace(out / path.relative_to(stage))
    return {name: out / made.relative_to(stage) / name for name in sites}


def _made(project: Project, workspace: Path) -> Path:
    """FLARE's kits in its workspace, private; what it says of a failure becomes the sentence of the error."""
    workspace.chmod(0o700)
    own = copy.deepcopy(_without_log_streaming(project))  # FLARE empties what it is given
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            built = Provisioner(str(workspace), prepare_builders(own)).provision(prepare_project(own))
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise InputError(f"FLARE refuses the project ({error}); correct the project file.") from error
    if built.get(CtxKey.BUILD_ERROR) or not built.get(CtxKey.CURRENT_PROD_DIR):  # it numbers up to prod_99
        raise InputError(f"FLARE made no kits ({said.getvalue().strip().splitlines()[-1]}); correct the project file.")
    for key in workspace.rglob("state/cert.json"):
        key.chmod(0o600)  # FLARE leaves the root key readable by everybody
    return Path(built[CtxKey.CURRENT_PROD_DIR])


def _without_log_streaming(project: Project) -> Project:
    """A site's log names cases and paths: it is sent to no server, whatever a job asks for.

    Said of the whole project, as FLARE 2.9.0 overlooks a false that stands at a participant, though not a true.
    """
    key = PropKey.ALLOW_LOG_STREAMING
    participants = [{name: value for name, value in each.items() if name != key} for each in project[PARTICIPANTS]]
    return {**project, key: False, PARTICIPANTS: participants}


def _write_project(folder: Path, project: Project) -> None:
    text = yaml.safe_dump(_without_log_streaming(project), sort_keys=False)
    (folder / PROJECT_FILE).write_text(text, encoding="utf-8")


def _settle_server(kit: Path, storage: Path) -> None:
    """FLARE's default stores the jobs of all federations of a machine in one folder of /tmp."""
    resources = _default(kit, "resources.json")
    resources["snapshot_persistor"]["args"]["storage"]["args"]["root_dir"] = str(storage / "snapshots")
    for component in resources["components"]:
        if component["id"] == "job_manager":
            component["args"]["uri_root"] = str(storage / "jobs")
        if component["id"] == "job_scheduler":
            component["args"] |= _SCHEDULE
    _write(kit, "resources.json", resources)
    rights = _default(kit, "authorization.json")
    for role in ("org_admin", "lead", "member"):  # a project_admin runs the server, and reads its log anyway
        rights["permissions"][role] |= dict.fromkeys(ERRORS, "none")
    rights["permissions"]["lead"][AdminCommandNames.APP_COMMAND] = "n:submitter"  # to follow the rounds of a job
    _write(kit, "authorization.json", rights)
    allow(kit, SERVERS_CLASSES)


def _settle_sites(kits: Path, project: Project) -> None:
    for each in of_type(project, "client"):
        _write(kits / each["name"], "authorization.json", {"format_version": "1.0", "permissions": SITES_RIGHTS})
        allow(kits / each["name"], SITES_CLASSES)


def _default(kit: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((kit / "local" / f"{name}.default").read_text(encoding="utf-8"))
    return content


def _write(kit: Path, name: str, content: Mapping[str, Any]) -> None:
    (kit / "local" / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
