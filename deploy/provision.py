"""Startup kits for a federation: deploy/project.yml with the host's and the sites' names, through FLARE's provisioner.

python deploy/provision.py fl.example.org --out kits
python deploy/provision.py fl.example.org --out kits --sites north south --port 8443
python deploy/provision.py --out kits --join west
"""

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

from fedmed.core.cli import Parser, absolute_path, echo, run_script, warn
from fedmed.core.errors import InputError
from fedmed.core.split_paths import is_split, refuse_split_python
from fedmed.environments.flare.federation_project import PARTICIPANTS, Project, filled, read_project
from fedmed.environments.flare.provisioning import PROJECT_FILE, join, make_kits

PROJECT = HERE / PROJECT_FILE
STORAGE = Path("/var/lib/fedmed/storage")


def main(arguments: Sequence[str]) -> None:
    """Write the kits and print who gets which."""
    args = parser().parse_args(arguments)
    if is_split(args.out):
        raise InputError(
            f"--out {args.out} has white space, a quote, # or a backslash in it, at which FLARE cuts its commands, so "
            "that a kit runs no job there; choose a folder without."
        )
    try:
        refuse_split_python()
    except InputError as error:
        warn(str(error))
    kits = joined(args) if args.join else founded(args)
    echo(handed_out(read_project(args.out / PROJECT_FILE), kits))


def parser() -> Parser:
    """The command line."""
    top = Parser(description="Make the startup kits of a federation's server, sites and people.")
    what = top.add_mutually_exclusive_group(required=True)
    what.add_argument("host", nargs="?", help="the server's host name, as the sites reach it")
    what.add_argument("--join", nargs="+", metavar="SITE", help="sites that join the federation in --out")
    top.add_argument("--out", type=absolute_path, required=True, help="folder for the kits; absent but for --join")
    top.add_argument("--sites", nargs="+", metavar="SITE", help="names of the sites (default: those of the project)")
    top.add_argument("--port", type=int, help="the server's port (default: that of the project)")
    top.add_argument("--project", type=absolute_path, help=f"project file (default: {PROJECT})")
    top.add_argument(
        "--storage", type=Path,
        help=f"folder on the server's machine for jobs and snapshots, of this federation alone (default: {STORAGE})",
    )  # fmt: skip
    return top


def founded(args: Namespace) -> dict[str, Path]:
    """The kits of a new federation.

    Raises:
        InputError: the storage is no absolute path, as it lies on the server's machine and not here.
    """
    storage = args.storage or STORAGE
    if not storage.is_absolute():
        raise InputError(
            f"--storage {storage} is relative to a folder of this machine, and expected is an absolute path on the "
            f"server's, such as {STORAGE}; give one."
        )
    project = filled(read_project(args.project or PROJECT), args.host, args.sites, args.port)
    return make_kits(project, args.out, storage)


def joined(args: Namespace) -> dict[str, Path]:
    """The kits of sites that join a federation that is there.

    Raises:
        InputError: an option is given that only a new federation has.
    """
    for name in ("sites", "port", "project", "storage"):
        if getattr(args, name) is not None:
            raise InputError(f"--{name} has no meaning with --join, as {args.out} says it; leave it out.")
    return join(args.out, args.join)


def handed_out(project: Project, kits: Mapping[str, Path]) -> str:
    """A line a kit with its owner and its folder, and a line for the root key, which is handed to nobody."""
    titles = {"server": "server", "client": "site"}
    rows = [
        (titles.get(each["type"], each.get("role")), each["name"], kits[each["name"]])
        for each in project[PARTICIPANTS]
        if each["name"] in kits
    ]
    rows.append(("nobody", "(the root key)", rows[0][-1].parents[1] / "state"))
    table = "\n".join(f"{what:<14} {name:<26} {folder}" for what, name, folder in rows)
    return f"{table}\nEach kit holds a private key: send it to its owner alone, on a safe channel; commit none."


if __name__ == "__main__":
    sys.exit(run_script(main))
