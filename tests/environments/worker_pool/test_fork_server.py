"""The process that workers are forked from ends with its launcher, and Ctrl-C in a terminal is not its business."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.scripts import ROOT

LAUNCHER = """
import sys, time
from fedmed.environments.worker_pool import fork_server
fork_server.LIBRARIES = ("slow_library",)
fork_server.start(keep_memory=False)
try:
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_ctrl_c_while_it_imports_is_heard_by_the_launcher_alone(tmp_path: Path) -> None:
    """A terminal sends it to every process of the group."""
    (tmp_path / "slow_library.py").write_text("import time\nprint('imports', flush=True)\ntime.sleep(1)\n")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}"}
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    ) as launcher:  # fmt: skip
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "imports\n"
        os.killpg(launcher.pid, signal.SIGINT)
        _, error = launcher.communicate(timeout=60)
    assert (launcher.returncode, error) == (130, "")
