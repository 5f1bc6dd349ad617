"""The members of a federation: FLARE's project file as a dictionary, read, filled in or made here, and checked."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from nvflare.apis.utils.format_check import name_check

from fedmed.core.errors import InputError

Project = dict[str, Any]
"""The content of a ``project.yml``, in the form of ``nvflare provision``."""

PARTICIPANTS, PORT = "participants", "fed_learn_port"

ROLES = ("project_admin", "org_admin", "lead", "member")
"""FLARE's: a project_admin may do all, a lead submits jobs, a member looks on."""

RESERVED = ("all", "client")
"""FLARE's own words where a command names a site; with "server", which is a participant's."""

LONGEST_NAME = 63
"""A certificate's common name holds no more characters; FLARE would cut the rest of a host's off."""

COORDINATOR, RESEARCH = "coordinator", "research"
"""Organisations of the server and of the users. A lead may operate what belongs to the lead's own: here nothing."""


@dataclass(frozen=True)
class Federation:
    """The members of a federation that no project file describes.

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
        check(project_of(self))
        if not self.storage.is_absolute():
            raise InputError(f"The server's storage {self.storage} is no absolute path; give one on its machine.")


def project_of(federation: Federation) -> Project:
    """The project file of a federation that has none."""
    server = {"name": federation.host, "type": "server", "org": COORDINATOR, PORT: federation.port}
    users = [{"name": user, "type": "admin", "org": RESEARCH, "role": role} for user, role in federation.users.items()]
    builders = "nvflare.lighter.impl"
    return {
        "api_version": 3,
        "name": federation.project,
        "description": "made by fedmed",
        PARTICIPANTS: [server, *map(site, federation.sites), *users],
        "builders": [
            {"path": f"{builders}.workspace.WorkspaceBuilder", "args": {"template_file": ["master_template.yml"]}},
            {"path": f"{builders}.static_file.StaticFileBuilder", "args": {"config_folder": "config"}},
            {"path": f"{builders}.cert.CertBuilder"},
            {"path": f"{builders}.signature.SignatureBuilder"},
        ],
    }


def read_project(path: Path) -> Project:
    """A project file.

    Raises:
        InputError: it is none, or has not exactly one server.
        OSError: it cannot be read.
    """
    try:
        project = yaml.safe_load(path.read_text(encoding="utf-8"))
        fault = _fault_of_form(project)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        fault = " ".join(str(error).split())
    if fault:
        raise InputError(f"{path} is no project file of nvflare provision ({fault}); correct it.")
    servers = len(of_type(project, "server"))
    if servers != 1:
        raise InputError(f"{path} has {servers} servers; expected one; correct its participants.")
    return dict(project)


def _fault_of_form(project: object) -> str | None:
    """The point in which the content of a file has not the form of a project; None where it has."""
    if project is None:
        return "it is empty"
    listed = project.get(PARTICIPANTS) if isinstance(project, dict) else None
    if not isinstance(listed, list):
        return f"it has no list of {PARTICIPANTS}"
    named = [isinstance(each, dict) and {"name", "type"} <= set(each) for each in listed]
    return None if all(named) else f"its participant {named.index(False) + 1} has not both a name and a type"


def filled(project: Project, host: str, sites: Sequence[str] | None = None, port: int | None = None) -> Project:
    """The project with this server and these sites in place of its own; what is None stays."""
    server = {**of_type(project, "server")[0], "name": host}
    clients = of_type(project, "client") if sites is None else [site(name) for name in sites]
    others = [each for each in project[PARTICIPANTS] if each["type"] not in ("server", "client")]
    return {**project, PARTICIPANTS: [server if port is None else {**server, PORT: port}, *clients, *others]}


def site(name: str) -> dict[str, Any]:
    """A site as a participant: an organisation of its own, as leads may operate the sites of theirs."""
    return {"name": name, "type": "client", "org": org_of(name)}


def org_of(site: str) -> str:
    """FLARE takes no hyphen in an organisation's name."""
    return site.replace("-", "_")


def of_type(project: Project, kind: str) -> list[dict[str, Any]]:
    """The participants that are a ``server``, ``client`` (a site) or ``admin`` (a user)."""
    return [each for each in project[PARTICIPANTS] if each["type"] == kind]


def check(project: Project) -> None:
    """Refuse what FLARE would not take or cut short, and names that it or a file system would not tell apart.

    Raises:
        InputError: a name, the port or a role cannot be used.
    """
    server = of_type(project, "server")[0]
    _expect_name("project's", project.get("name"), "client", "letters, digits, dashes and underscores")
    _expect_name("server's", server["name"], "host_name", "a host name such as fl.hospital.org")
    port = server.get(PORT, 1)  # FLARE has a port of its own for a server without
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise InputError(f"The server's port is {port}; expected a number from 1 to 65535.")
    for each in of_type(project, "client"):
        _expect_name("site's", each["name"], "client", "letters, digits, dashes and underscores")
        if each["name"].lower() in RESERVED:
            raise InputError(f"{each['name']} is FLARE's own word in its commands; give each site a name of its own.")
    for each in of_type(project, "admin"):
        _expect_name("user's", each["name"], "admin", "an e-mail address")
        if each.get("role") not in ROLES:
            raise InputError(f"The role of {each['name']} is {each.get('role')}; expected one of {', '.join(ROLES)}.")
    _expect_different(project)


def _expect_name(whose: str, name: object, kind: str, expected: str) -> None:
    if not isinstance(name, str) or len(name) > LONGEST_NAME or re.search(r"\s", name) or name_check(name, kind)[0]:
        raise InputError(f"The {whose} name is {name!r}; expected {expected}, at most {LONGEST_NAME} characters.")


def _expect_different(project: Project) -> None:
    servers = {"server", *(each["name"].lower() for each in of_type(project, "server"))}  # FLARE calls it that too
    others = [str(each["name"]).lower() for each in project[PARTICIPANTS] if each["type"] != "server"]
    twice = [name for name, count in Counter([*servers, *others]).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} is the name of more than one participant; give each a name of its own.")
