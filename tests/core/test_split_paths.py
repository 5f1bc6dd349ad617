"""Paths that FLARE would split are known by what its splitting makes of them."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fedmed.core.split_paths
from fedmed.core.errors import InputError
from fedmed.core.split_paths import is_split, refuse_split_python

PATHS = st.text(st.sampled_from("ab/._-~é #'\"\\\t\n$&;()*|%+,:=@"), min_size=1).map("/opt/".__add__)


def as_flare_does(command: str) -> list[str] | None:
    """The words of a command, as FLARE's launcher of a job's processes has them; None where it cannot tell."""
    try:
        return shlex.split(command, True)
    except ValueError:  # a quote without its end
        return None


@given(PATHS)
def test_a_path_is_split_exactly_where_flare_makes_another_command_of_it(path: str) -> None:
    assert is_split(path) == (as_flare_does(f"{path} -u -m x") != [path, "-u", "-m", "x"])


@pytest.mark.parametrize("python", ["/srv/my tools/.venv/bin/python3", "/srv/#1/bin/python3"])
def test_such_an_interpreter_is_refused_with_a_remedy(python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/plain/bin/python3")
    refuse_split_python()
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(InputError) as caught:
        refuse_split_python()
    assert python in str(caught.value)
    assert f"ln -s '{Path(python).parents[1]}'" in str(caught.value)


def test_so_is_such_a_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/plain/bin/python3")
    monkeypatch.setenv("NVFL_WORKSPACE", "/var/lib/my site")
    with pytest.raises(InputError, match="NVFL_WORKSPACE is /var/lib/my site"):
        refuse_split_python()


def test_a_link_without_a_blank_to_the_environment_is_the_remedy(tmp_path: Path) -> None:
    """The virtual environment of these tests, under a path with a blank, by that path and by a link to it."""
    tools = tmp_path / "my tools"
    tools.mkdir()
    (tools / "venv").symlink_to(sys.prefix)
    (tmp_path / "plain").symlink_to(tools / "venv")

    def asked(python: Path) -> subprocess.CompletedProcess[str]:
        command = [python, "-c", "from fedmed.core.split_paths import refuse_split_python as r; import numpy; r()"]
        variables = {**os.environ, "PYTHONPATH": str(Path(fedmed.core.split_paths.__file__).parents[2])}
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=120)

    name = Path(sys.executable).name
    assert f"Python is {tools / 'venv' / 'bin' / name}" in asked(tools / "venv" / "bin" / name).stderr
    assert asked(tmp_path / "plain" / "bin" / name).returncode == 0
