"""The memory of a process with its children."""

import os
import subprocess
import sys

from fedmed.core.process_memory import memory_of

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
HOLDS = "held = bytearray(b'x' * 200_000_000); print('held', flush=True); input()"


def test_what_a_child_holds_counts_and_what_has_ended_takes_nothing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert memory_of(process.pid) > 200_000_000
    assert memory_of(os.getpid()) > memory_of(process.pid)  # whose child it is
    process.communicate("\n")
    assert memory_of(process.pid) == 0
