"""A federation on this machine: it ends what it has started, however that ends."""

import os
import socket
from pathlib import Path

import psutil
import pytest

from fedmed.environments.plain_paths import scratch_folder
from fedmed.errors import InputError, RunFailed
from fedmed.federation.local import free_port, running
from fedmed.federation.project import Federation
from fedmed.federation.provision import provision


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
