"""What is written down of the machine is true of it."""

import json
import os
import platform
import subprocess
from pathlib import Path

import monai
import nvflare
import pytest
import torch

from fedmed.core.machine import describe, one_line

ROOT = Path(__file__).parents[2]


def test_the_description_is_plain_and_true() -> None:
    found = describe()
    assert json.loads(json.dumps(found)) == found
    assert found["python"] == platform.python_version()
    assert found["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["packages"]["monai"] == monai.__version__
    assert found["packages"]["nvflare"] == nvflare.__version__
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["memory_gib"] * 2**30 == pytest.approx(
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.05, abs=2**27
    )
    assert found["cpu"]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git checkout")
def test_the_commit_is_the_one_that_is_checked_out() -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    commit = describe()["commit"]
    assert git("rev-parse", commit.removesuffix("+") + "^{commit}") == git("rev-parse", "HEAD")
    changed = bool(git("status", "--porcelain", "--untracked-files=no"))
    assert commit.endswith("+") == changed


def test_one_line_names_the_gpus_or_else_the_cores() -> None:
    machine = {"gpus": [], "cores": 2, "cpu": "A Chip", "memory_gib": 15.6}
    assert one_line(machine) == "2 cores of A Chip, 16 GiB"
    assert one_line({**machine, "gpus": ["Big GPU", "Big GPU"]}) == "Big GPU, Big GPU, 16 GiB"
