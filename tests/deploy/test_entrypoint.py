"""The container's first process, run for real: what it refuses; a server and a site that start, are well and stop."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy import provision
from fedmed.core.cli import run_script

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ENTRYPOINT = DEPLOY / "entrypoint.sh"
TOOLS = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("entrypoint")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    storage = str(place / "storage")
    assert (
        run_script(
            provision.main,
            ["localhost", "--out", str(place / "k"), "--sites", "a", "--port", port, "--storage", storage],
        )
        == 0
    )
    return place / "k/fedmed/prod_00"


def environment(kit: Path, workspace: Path, **others: str) -> dict[str, str]:
    data = {"DATASET_ROOT": str(workspace.parent), "DATALIST_ROOT": str(workspace.parent)}
    return (
        {"PATH": TOOLS, "HOME": str(workspace.parent), "FEDMED_KIT": str(kit), "NVFL_WORKSPACE": str(workspace)}
        | data
        | others
    )


def refusal(variables: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [ENTRYPOINT, *arguments], env=variables, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_script_is_sound() -> None:
    subprocess.run(["bash", "-n", ENTRYPOINT], check=True)
    done = subprocess.run(["shellcheck", ENTRYPOINT], env={"PATH": TOOLS}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_kit_that_cannot_be_used_is_refused(kits: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    assert f"{tmp_path / 'none'} holds no startup kit" in refusal(environment(tmp_path / "none", work))
    assert "is a person's kit" in refusal(environment(kits / "lead@fedmed.example", work))
    (tmp_path / "half/startup").mkdir(parents=True)
    assert "sub_start.sh is not there" in refusal(environment(tmp_path / "half", work))
    (tmp_path / "half/startup/sub_start.sh").touch(mode=0o755)
    (tmp_path / "half/startup/client.key").symlink_to("nowhere")  # root can read everything else
    assert "client.key cannot be read by user" in refusal(environment(tmp_path / "half", work))
    assert not work.exists()


def test_a_workspace_data_and_code_that_cannot_be_used_are_refused(kits: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file/work cannot be written" in refusal(environment(kits / "a", tmp_path / "file/work"))
    work = tmp_path / "work"
    assert "DATALIST_ROOT is not set" in refusal(environment(kits / "a", work, DATALIST_ROOT=""))
    assert "DATASET_ROOT is /gone, which user" in refusal(environment(kits / "a", work, DATASET_ROOT="/gone"))
    assert "FEDMED_CODE is mine; expected job" in refusal(environment(kits / "a", work, FEDMED_CODE="mine"))


def test_a_command_is_run_instead(tmp_path: Path) -> None:
    command = [ENTRYPOINT, "sh", "-c", "umask; echo $$; exit 3"]
    started = subprocess.Popen(command, env=environment(tmp_path, tmp_path / "w"), stdout=subprocess.PIPE, text=True)
    assert started.communicate(timeout=30)[0] == f"0077\n{started.pid}\n"  # what it writes is its user's alone
    assert started.returncode == 3


def as_first_process() -> list[str]:
    """What makes a command the first process of a namespace, as an engine does; nothing where that is not allowed."""
    prefix = ["unshare", "--map-root-user", "--pid", "--fork", "--kill-child"]
    try:
        allowed = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    return prefix if allowed else []


class Running:
    """A kit that the entry point has started."""

    def __init__(self, kit: Path, workspace: Path) -> None:
        self.variables = environment(kit, workspace)
        self.prefix = as_first_process()
        with (workspace.parent / f"{kit.name}.out").open("w") as out:
            command = [*self.prefix, str(ENTRYPOINT)]
            self.process = subprocess.Popen(command, env=self.variables, stdout=out, stderr=subprocess.STDOUT)

    def health(self) -> str:
        """Empty where all is well, otherwise what is wrong."""
        command = [sys.executable, DEPLOY / "health.py"]
        done = subprocess.run(command, env=self.variables, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode == 0) == (done.stderr == "")
        return done.stderr

    def well_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self.health():
            if time.monotonic() > until or self.process.poll() is not None:
                return False
            time.sleep(0.3)
        return True

    def stop(self) -> int:
        """What an engine does to stop a container; the exit code."""
        started = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        os.kill(started[1].pid if self.prefix else self.process.pid, signal.SIGTERM)
        code = self.process.wait(timeout=10)
        assert psutil.wait_procs(started, timeout=3)[1] == []
        return code


@pytest.fixture
def federation(kits: Path, tmp_path: Path) -> Iterator[tuple[Running, Running]]:
    started = [Running(kits / name, tmp_path / name) for name in ("localhost", "a")]
    yield started[0], started[1]
    for each in started:
        each.process.kill()
        each.process.wait()


def test_server_and_site_start_are_well_and_stop_at_once(
    kits: Path, federation: tuple[Running, Running], tmp_path: Path
) -> None:
    server, site = federation
    before = {path: path.read_bytes() for path in kits.rglob("*") if path.is_file()}
    assert server.well_within(60), (tmp_path / "localhost.out").read_text()
    assert site.well_within(60), (tmp_path / "a.out").read_text()
    until = time.monotonic() + 30
    while "Successfully registered client:a" not in (tmp_path / "a/log.txt").read_text():
        assert time.monotonic() < until
        time.sleep(0.2)
    assert site.stop() == 143
    assert "FLARE's client does not run" in site.health()
    (tmp_path / "localhost/restart.fl").touch()  # as FLARE does when an admin asks for a restart
    assert server.stop() == 75
    assert "Connection refused" in server.health()
    assert {path: path.read_bytes() for path in kits.rglob("*") if path.is_file()} == before
