"""Long steps show that they go on, and an import that is stopped ends by one line."""

import io
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tqdm import tqdm

from fedmed.core import progress
from fedmed.core.progress import STOPPED, importing, ticking, waiting
from tests import scripts

PATIENCE_S = 60.0


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_bar_that_does_not_move_is_drawn_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.01)
    shown = io.StringIO()
    with ticking(tqdm(total=9, desc="cases", file=shown)):
        until(lambda: shown.getvalue().count("cases:   0%") > 3)


def test_what_goes_on_is_shown_while_it_does_and_gone_afterwards(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.01)
    said = ""

    def heard() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "reading, 00:00" in said

    with waiting("reading"):
        until(heard)
    said += capsys.readouterr().err
    assert scripts.as_shown(said) == ""
    with waiting("writing"):
        pass
    assert capsys.readouterr().err == ""  # it was over at once


def test_a_module_that_is_imported_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.01)
    before = signal.getsignal(signal.SIGINT)
    with importing("result_stat.evaluate"):
        assert signal.getsignal(signal.SIGINT) is before
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_an_import_that_is_stopped_ends_by_one_line_whatever_it_does_with_the_interrupt(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import time
            from fedmed.core.progress import importing
            with importing(__name__):
                print("begun", flush=True)
                try:
                    time.sleep(60)
                except BaseException as error:  # as a library may
                    raise ImportError("half imported") from error
        """)
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"PYTHONPATH": str(scripts.ROOT / "src")},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == STOPPED
    assert scripts.as_shown(error) == "stopped: nothing is left half-written\n"
