"""A federation on this machine: it ends what it has started, however that ends."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fedmed.core.errors import InputError, RunFailed
from fedmed.environments.flare.federation_project import Federation
from fedmed.environments.flare.local_federation import LocalFederation, free_port, running
from fedmed.environments.flare.provisioning import provision
from fedmed.environments.plain_paths import scratch_folder
from fedmed.environments.process_tree import ProcessTree


def test_a_port_that_is_taken_is_refused_and_any_other_found() -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port} cannot be used"):
            free_port(port)
        assert free_port() != port
    assert free_port(port) == port


@pytest.mark.parametrize("port", [-1, 70000])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(InputError, match=f"--port {port}"):
        free_port(port)


@pytest.mark.federation
def test_members_end_with_the_block_also_after_an_error_and_one_that_died_is_noticed(tmp_path: Path) -> None:
    federation = Federation("localhost", free_port(), ("a",), {"x@y.org": "lead"}, storage=tmp_path / "store")
    kits = provision(federation, tmp_path / "kits")
    seen: list[psutil.Process] = []

    def lose_one() -> None:
        with (
            scratch_folder() as scratch,
            running(federation, kits, tmp_path / "log", scratch, {"a": os.environ}) as members,
        ):
            seen.extend(psutil.Process(tree.root.pid) for tree in members.trees.values())
            members.check()
            members.trees["a"].root.kill()
            members.trees["a"].root.wait()
            members.check()

    with pytest.raises(RunFailed, match="The process of a has ended by itself"):
        lose_one()
    assert len(seen) == 2
    assert not any(process.is_running() for process in seen)


@pytest.fixture
def members(tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[LocalFederation]]:
    """Makes members whose processes do nothing but wait."""

    @contextlib.contextmanager
    def made(needed: int | None) -> Iterator[LocalFederation]:
        federation = Federation("localhost", 1, ("a", "b", "c"), {"x@y.org": "lead"}, storage=tmp_path / "store")
        waiting = LocalFederation(federation, {}, tmp_path / "log", tmp_path, needed)
        try:
            for name in ("localhost", *federation.sites):
                command = [sys.executable, "-c", "import time; time.sleep(60)"]
                waiting.trees[name] = ProcessTree(subprocess.Popen(command, start_new_session=True))
            yield waiting
        finally:
            waiting.end()

    return made


def lose(members: LocalFederation, *names: str) -> None:
    for name in names:
        members.trees[name].root.kill()
        members.trees[name].root.wait()


@pytest.mark.parametrize(
    ("needed", "lost", "told"),
    [
        (None, "", None),
        (None, "b", "b"),
        (3, "b", "b"),
        (2, "b", None),
        (2, "bc", "b"),
        (1, "ac", None),
        (1, "abc", "a"),
    ],
)
def test_members_may_lose_the_sites_that_are_not_needed(
    members: Callable[..., contextlib.AbstractContextManager[LocalFederation]],
    needed: int | None,
    lost: str,
    told: str | None,
) -> None:
    with members(needed) as there:
        lose(there, *lost)
        if told is None:
            there.check()
        else:
            with pytest.raises(RunFailed, match=f"The process of {told} has ended by itself"):
                there.check()


def test_but_never_the_server(members: Callable[..., contextlib.AbstractContextManager[LocalFederation]]) -> None:
    with members(1) as there:
        lose(there, "localhost")
        with pytest.raises(RunFailed, match="The process of localhost has ended"):
            there.check()
