"""A federation's startup kits, by FLARE's own provisioner: server, sites and users, each with a certificate.

Every kit is complete in itself and goes to the one machine or person that it is named after. FLARE keeps the
certification authority's private key in ``OUT/<project>/state``; whoever has it can let anyone in.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvflare.apis.fl_constant import AdminCommandNames
from nvflare.apis.utils.format_check import name_check
from nvflare.lighter.constants import CtxKey
from nvflare.lighter.prov_utils import prepare_builders
from nvflare.lighter.provision import prepare_project
from nvflare.lighter.provisioner import Provisioner

from fedmed.errors import InputError, counted
from fedmed.federation.class_list import SERVERS_CLASSES, SITES_CLASSES, allow

ROLES = ("project_admin", "org_admin", "lead", "member")
"""FLARE's: a project_admin may do all, a lead submits jobs, a member looks on."""

SITES_RIGHTS = {
    "project_admin": dict.fromkeys(
        ("submit_job", "clone_job", "manage_job", "download_job", "view", "operate", "byoc"), "any"
    ),
    "org_admin": {"manage_job": "o:submitter", "download_job": "o:submitter", "view": "any", "operate": "o:site"},
    "lead": {"submit_job": "any", "manage_job": "n:submitter", "download_job": "n:submitter", "view": "any"}
    | {"clone_job": "n:submitter", "operate": "o:site", "byoc": "any"},
    "member": {"view": "any"},
}
"""What a site lets FLARE's roles do there: what FLARE's default does, without the commands that read files of the site
(``shell_commands``: cat, tail, grep), as its logs name cases and paths."""

_SCHEDULE = {"min_schedule_interval": 1.0, "max_schedule_interval": 10.0, "max_schedule_count": 400}
"""A job begins a second after its sites are there and waits for them for an hour; FLARE's looks are rarer and fewer."""


@dataclass(frozen=True)
class Federation:
    """Who takes part.

    Attributes:
        host: the server's name in the network, which its certificate bears; every site reaches it by this name.
        port: of the server, for sites and users alike.
        sites: the sites' names.
        users: each user's e-mail address, which is the name to log in with, and role.
        storage: an absolute folder on the server's machine for jobs and snapshots, of this federation alone.
        project: the federation's name.

    Raises:
        InputError: FLARE would not take one of them.
    """

    host: str
    port: int
    sites: tuple[str, ...]
    users: Mapping[str, str]
    storage: Path
    project: str = "fedmed"

    def __post_init__(self) -> None:
        _expect_name("host", self.host, "host_name", "a host name such as fl.hospital.org")
        _expect_name("project", self.project, "simple_name", "letters, digits and underscores")
        if not 1 <= self.port <= 65535:
            raise InputError(f"--port is {self.port}; expected a number from 1 to 65535.")
        if not self.storage.is_absolute():
            raise InputError(f"The server's storage {self.storage} is no absolute path; give one on its machine.")
        for site in self.sites:
            _expect_name("sites", site, "client", "letters, digits, dashes and underscores")
        for user, role in self.users.items():
            _expect_name("users", user, "admin", "an e-mail address")
            if role not in ROLES:
                raise InputError(f"The role of {user} is {role}; expected one of {', '.join(ROLES)}.")
        names = [self.host, *self.sites, *self.users]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"{', '.join(twice)} is the name of {counted(2, 'participant')}; give each its own.")


def project_of(federation: Federation) -> dict[str, Any]:
    """FLARE's project file (``project.yml``) for a federation, as a dictionary."""
    org = {"org": federation.project}
    participants: list[dict[str, Any]] = [
        {"name": federation.host, "type": "server", "fed_learn_port": federation.port, **org}
    ]
    participants += [{"name": site, "type": "client", **org} for site in federation.sites]
    participants += [{"name": user, "type": "admin", "role": role, **org} for user, role in federation.users.items()]
    builders = "nvflare.lighter.impl"
    return {
        "api_version": 3,
        "name": federation.project,
        "description": "made by fedmed",
        "participants": participants,
        "builders": [
            {"path": f"{builders}.workspace.WorkspaceBuilder", "args": {"template_file": ["master_template.yml"]}},
            {"path": f"{builders}.static_file.StaticFileBuilder", "args": {"config_folder": "config"}},
            {"path": f"{builders}.cert.CertBuilder"},
            {"path": f"{builders}.signature.SignatureBuilder"},
        ],
    }


def provision(federation: Federation, out: Path) -> dict[str, Path]:
    """Make the startup kits under ``out``; the kit's folder by the participant's name.

    Made a second time in the same folder, FLARE goes on with the same certification authority in a new ``prod_NN``, so
    that kits of sites that have come since fit those that are out already.

    Raises:
        InputError: the folder cannot be used, or FLARE refuses the project.
    """
    said = _Said()
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)  # private keys lie in it
        project = project_of(federation)
        provisioner = Provisioner(str(out), prepare_builders(project))
        done = provisioner.provision(prepare_project(project), logger=said)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"FLARE cannot make startup kits in {out} ({error}); correct what it names.") from error
    if done.get(CtxKey.BUILD_ERROR):
        raise InputError(f"FLARE cannot make startup kits in {out} ({said.last}); correct what it names.")
    made = Path(done[CtxKey.CURRENT_PROD_DIR])
    kits = {name: made / name for name in (federation.host, *federation.sites, *federation.users)}
    _settle_server(kits[federation.host], federation.storage)
    allow(kits[federation.host], SERVERS_CLASSES)
    for site in federation.sites:
        _settle_site(kits[site])
        allow(kits[site], SITES_CLASSES)
    return kits


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
    rights["permissions"]["lead"][AdminCommandNames.APP_COMMAND] = "n:submitter"  # to follow the rounds of a job
    _write(kit, "authorization.json", rights)


def _settle_site(kit: Path) -> None:
    """A site's log names cases and paths: it is sent to no server, whatever a job asks for, and read by no admin."""
    resources = _default(kit, "resources.json")
    resources["allow_log_streaming"] = False
    _write(kit, "resources.json", resources)
    _write(kit, "authorization.json", {"format_version": "1.0", "permissions": SITES_RIGHTS})


def _default(kit: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((kit / "local" / f"{name}.default").read_text(encoding="utf-8"))
    return content


def _write(kit: Path, name: str, content: Mapping[str, Any]) -> None:
    (kit / "local" / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _expect_name(what: str, name: str, kind: str, expected: str) -> None:
    bad, _ = name_check(name, kind)
    if bad or re.search(r"\s", name):
        raise InputError(f"--{what} has {name!r}; expected {expected}.")


class _Said:
    """FLARE's provisioner prints what it does; here it is kept for the one sentence that may be needed."""

    last = ""

    def info(self, message: str) -> None:
        pass

    debug = warning = info

    def error(self, message: str) -> None:
        self.last = message
