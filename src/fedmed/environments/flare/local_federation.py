"""A provisioned federation as processes of this machine: it starts and ends its members and nothing else.

FLARE's own ``start.sh`` is not used: it leaves a watchdog behind that starts whatever is killed again.
"""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from fedmed.core.errors import InputError, RunFailed
from fedmed.core.timing import TIMING
from fedmed.environments.flare.admin_session import Admin, listening
from fedmed.environments.flare.federation_project import COORDINATOR, Federation, org_of
from fedmed.environments.plain_paths import interpreter
from fedmed.environments.process_tree import ProcessTree


class LocalFederation:
    """The processes of the federation's server and sites, and of whatever they have started.

    Args:
        kits: by name; FLARE's server splits their paths at white space.
        log: all of them write there.
        scratch: a folder for a link to the interpreter, which goes when they have ended.
        needed: how many sites are enough; None is all.
    """

    def __init__(
        self, federation: Federation, kits: Mapping[str, Path], log: Path, scratch: Path, needed: int | None = None
    ) -> None:
        self.federation, self.kits, self.log, self.scratch = federation, kits, log, scratch
        self.needed = len(federation.sites) if needed is None else needed
        self.trees: dict[str, ProcessTree] = {}
        self._next_look = 0.0

    def start(self, name: str, variables: Mapping[str, str]) -> None:
        """Start the server or a site, by its name."""
        kit = self.kits[name]
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                self._command(name, kit), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                cwd=kit, env=dict(variables), start_new_session=True, close_fds=False,  # see core/locks.py
            )  # fmt: skip
        self.trees[name] = ProcessTree(process)

    def _command(self, name: str, kit: Path) -> list[str]:
        server = name == self.federation.host
        kind, module = ("server", "server.server_train") if server else ("client", "client.client_train")
        command = [str(interpreter(self.scratch)), "-u", "-m", f"nvflare.private.fed.app.{module}", "-m", str(kit)]
        org = COORDINATOR if server else org_of(name)
        command += ["-s", f"fed_{kind}.json", "--set", "secure_train=true", f"org={org}"]
        return [*command, "config_folder=config", *([] if server else [f"uid={name}"])]

    def check(self) -> None:
        """Take note of new processes, and refuse to go on without the server or enough sites.

        Raises:
            RunFailed: one that is needed has ended.
        """
        gone = sorted(self._ended())
        if self.federation.host in gone or len(self.federation.sites) - len(gone) < self.needed:
            raise RunFailed(f"The process of {gone[0]} has ended by itself; its last lines are in {self.log}.")
        if time.monotonic() > self._next_look:
            self._look()
            self._next_look = time.monotonic() + TIMING.process_scan_s

    def wait_for_server(self) -> None:
        """Until it listens.

        Raises:
            RunFailed: it does not, or has ended.
        """
        deadline = time.monotonic() + TIMING.federation_start_s
        while not listening(self.federation.host, self.federation.port):
            self._wait(deadline, "The server does not listen")

    def wait_for_sites(self, admin: Admin) -> None:
        """Until all of them have registered that have not ended; :meth:`check` says whether enough are left.

        Raises:
            RunFailed: one does not, or has ended.
        """
        deadline = time.monotonic() + TIMING.federation_start_s
        while missing := sorted(set(self.federation.sites) - set(admin.sites()) - self._ended()):
            self._wait(deadline, f"{', '.join(missing)} did not register")
        self.check()

    def _ended(self) -> set[str]:
        return {name for name, tree in self.trees.items() if tree.root.poll() is not None}

    def _wait(self, deadline: float, what: str) -> None:
        self.check()
        if time.monotonic() > deadline:
            raise RunFailed(f"{what} within {TIMING.federation_start_s:.0f} s; the log is {self.log}.")
        time.sleep(TIMING.follow_s)

    def _look(self) -> None:
        for tree in self.trees.values():
            tree.look()

    def end(self) -> None:
        """End them all, sites first."""
        self._look()
        for name in sorted(self.trees, key=lambda name: name == self.federation.host):
            self.trees[name].end()


@contextlib.contextmanager
def running(
    federation: Federation,
    kits: Mapping[str, Path],
    log: Path,
    scratch: Path,
    variables: Mapping[str, Mapping[str, str]],
    needed: int | None = None,
) -> Iterator[LocalFederation]:
    """Server and sites, from now until the end of the block, however it ends.

    Args:
        variables: the environment variables of the server and of each site by their names.
        needed: how many sites are enough while it runs; None is all.

    Raises:
        RunFailed: the server does not start.
    """
    members = LocalFederation(federation, kits, log, scratch, needed)
    try:
        members.start(federation.host, variables.get(federation.host, os.environ))
        members.wait_for_server()
        for site in federation.sites:
            members.start(site, variables[site])
        yield members
    finally:
        members.end()


def free_port(wanted: int | None = None) -> int:
    """``wanted`` itself, or any that is free.

    Raises:
        InputError: ``wanted`` is taken.
    """
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server of a moment ago is no hindrance
        try:
            tried.bind(("", wanted or 0))
        except (OSError, OverflowError) as error:
            raise InputError(
                f"--port {wanted} cannot be used ({error}); give a free one, or none to have one found."
            ) from error
        return int(tried.getsockname()[1])
