"""Startup kits for a federation: deploy/project.yml with the host's and the sites' names, through FLARE's provisioner.

python deploy/provision.py fl.example.org --out kits
python deploy/provision.py fl.example.org --out kits --sites north south --port 8443
"""

import contextlib
import copy
import io
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

import yaml
from nvflare.apis.utils.format_check import name_check
from nvflare.lighter.constants import CtxKey
from nvflare.lighter.prov_utils import prepare_builders
from nvflare.lighter.provision import prepare_project
from nvflare.lighter.provisioner import Provisioner

from fedmed.errors import InputError, in_words
from fedmed.federation.class_list import SERVERS_CLASSES, SITES_CLASSES, allow
from fedmed.files import staging_folder
from fedmed.options import Parser, absolute_path

PARTICIPANTS = "participants"
PROJECT = HERE / "project.yml"
STORAGE = Path("/var/lib/fedmed/storage")
LONGEST_HOST = 63
"""A certificate's common name holds no more characters; FLARE would cut the rest off."""

SITE_RIGHTS = ("submit_job", "clone_job", "manage_job", "download_job", "view", "operate", "byoc")
"""What a project admin may do at a site; all that FLARE's default allows but shell commands, which read its logs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the kits and say who gets which; 0 when done, 2 when something given cannot be used."""
    try:
        args = parser().parse_args(arguments)
        project = filled(read_project(args.project), args.host, args.sites, args.port)
        print(handed_out(project, provision(project, args.out, args.storage)))
    except (InputError, OSError) as error:
        print(f"error: {' '.join(in_words(error).split())}", file=sys.stderr)
        return 2
    return 0


def parser() -> Parser:
    """The command line."""
    top = Parser(description="Make the startup kits of a federation's server, sites and people.")
    top.add_argument("host", help="the server's host name, as the sites reach it")
    top.add_argument("--out", type=absolute_path, required=True, help="folder for the kits; must be absent")
    top.add_argument("--sites", nargs="+", metavar="SITE", help="names of the sites (default: those of the project)")
    top.add_argument("--port", type=int, help="the server's port (default: that of the project)")
    top.add_argument("--project", type=absolute_path, default=PROJECT, help="project file (default: %(default)s)")
    top.add_argument(
        "--storage", type=absolute_path, default=STORAGE,
        help="folder on the server's machine for jobs and snapshots, of this federation alone (default: %(default)s)",
    )  # fmt: skip
    return top


def read_project(path: Path) -> dict[str, Any]:
    """A project file of FLARE's.

    Raises:
        InputError: it is none, or has not exactly one server.
    """
    try:
        project = yaml.safe_load(path.read_text(encoding="utf-8"))
        servers = [each for each in project[PARTICIPANTS] if each["type"] == "server"]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no project file of nvflare provision ({error}); correct it.") from error
    if len(servers) != 1:
        raise InputError(f"{path} has {len(servers)} servers; expected one; correct its participants.")
    return dict(project)


def filled(project: dict[str, Any], host: str, sites: Sequence[str] | None, port: int | None) -> dict[str, Any]:
    """The project with this server and these sites in place of its own; what is None stays.

    Each new site is an organisation of its own, as people with the role of a lead may operate their own organisation's.

    Raises:
        InputError: a name or the port cannot be used.
    """
    if len(host) > LONGEST_HOST or name_check(host, "host_name")[0]:
        raise InputError(
            f"HOST is {host!r}; expected a host name of at most {LONGEST_HOST} letters, digits, dots and hyphens."
        )
    if port is not None and not 0 < port < 2**16:
        raise InputError(f"--port is {port}; expected a number from 1 to 65535.")
    own = project[PARTICIPANTS]
    server = {**_of_type(own, "server")[0], "name": host}
    clients = _of_type(own, "client") if sites is None else [_site(name) for name in sites]
    people = _of_type(own, "admin")
    check_sites([client["name"] for client in clients], {host, *(person["name"] for person in people)})
    return {
        **project,
        PARTICIPANTS: [server if port is None else {**server, "fed_learn_port": port}, *clients, *people],
    }


def check_sites(names: Sequence[str], taken: set[str]) -> None:
    """Refuse names that FLARE or a file system would not tell apart.

    Raises:
        InputError: one cannot be used.
    """
    for name in names:
        if name_check(name, "client")[0]:
            raise InputError(f"The site {name!r} has a name that FLARE refuses; use letters, digits, _ and - alone.")
        if name in {*taken, "server"}:
            raise InputError(f"The site {name} has the name of another participant; choose a name of its own.")
    twice = [name for name, count in Counter(name.lower() for name in names).items() if count > 1]
    if twice:
        raise InputError(f"The site {twice[0]} is named more than once; give each site a name of its own.")


def provision(project: dict[str, Any], out: Path, storage: Path) -> Path:
    """Have FLARE make the kits, whole or not at all, for their owner's eyes only; the folder that holds them.

    The folder ``state`` beside it holds the federation's root key.

    Raises:
        InputError: ``out`` is there, or FLARE refuses the project.
    """
    if out.exists():
        raise InputError(f"{out} is there already, and keys are never overwritten; choose another folder.")
    with staging_folder(out) as stage:
        stage.chmod(0o700)
        kits = Path(_provisioned(project, stage))
        for key in stage.rglob("state/cert.json"):
            key.chmod(0o600)  # FLARE leaves the root key readable by everybody
        server = kits / _of_type(project[PARTICIPANTS], "server")[0]["name"]
        _set_storage(server, storage)
        allow(server, SERVERS_CLASSES)
        for client in _of_type(project[PARTICIPANTS], "client"):
            _close_shell(kits / client["name"])
            allow(kits / client["name"], SITES_CLASSES)
        (stage / "project.yml").write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")
        stage.rename(out)
        return out / kits.relative_to(stage)


def handed_out(project: dict[str, Any], kits: Path) -> str:
    """A line a participant: which folder goes to whom, and what is for nobody."""
    titles = {"server": "server", "client": "site"}
    rows = [
        (titles.get(each["type"], each.get("role")), each["name"], kits / each["name"])
        for each in project[PARTICIPANTS]
    ]
    rows.append(("nobody", "(the root key)", kits.parent / "state"))
    table = "\n".join(f"{what:<14} {name:<26} {folder}" for what, name, folder in rows)
    return f"{table}\nEach kit holds a private key: send it to its owner alone, on a safe channel; commit none."


def _provisioned(project: dict[str, Any], workspace: Path) -> str:
    """What FLARE says and prints of a failure becomes the sentence of the error."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            own = prepare_project(copy.deepcopy(project))  # FLARE empties what it is given
            built = Provisioner(str(workspace), prepare_builders(project)).provision(own)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise InputError(f"FLARE refuses the project ({error}); correct the project file.") from error
    if built.get(CtxKey.BUILD_ERROR):
        raise InputError(f"FLARE made no kits ({said.getvalue().strip().splitlines()[-1]}); correct the project file.")
    return str(built[CtxKey.CURRENT_PROD_DIR])


def _set_storage(kit: Path, storage: Path) -> None:
    """Where the server keeps jobs and snapshots; by FLARE's default all servers of a machine share one in /tmp."""
    resources = json.loads((kit / "local/resources.json.default").read_text(encoding="utf-8"))
    resources["snapshot_persistor"]["args"]["storage"]["args"]["root_dir"] = str(storage / "snapshots")
    manager = next(each for each in resources["components"] if each["id"] == "job_manager")
    manager["args"]["uri_root"] = str(storage / "jobs")
    (kit / "local/resources.json").write_text(json.dumps(resources, indent=2), encoding="utf-8")


def _close_shell(kit: Path) -> None:
    """A site's own policy: no admin reads its files from afar."""
    policy = json.loads((kit / "local/authorization.json.default").read_text(encoding="utf-8"))
    closed: dict[str, Any] = {"shell_commands": "none"}
    for role, rights in policy["permissions"].items():
        policy["permissions"][role] = (dict.fromkeys(SITE_RIGHTS, "any") if rights == "any" else rights) | closed
    (kit / "local/authorization.json").write_text(json.dumps(policy, indent=2), encoding="utf-8")


def _site(name: str) -> dict[str, Any]:
    return {"name": name, "type": "client", "org": name.replace("-", "_")}


def _of_type(participants: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in participants if each["type"] == kind]


if __name__ == "__main__":
    sys.exit(main())
