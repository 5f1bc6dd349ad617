"""The command line: one sentence and an exit code for whatever ends a script; a reader that has gone ends nothing."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fedmed.core.cli import MOST_PROBLEMS, Parser, absolute_path, echo, run_script, warn
from fedmed.core.errors import InputError, Problems, RunFailed, refuse

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The handlers of this process are those of before afterwards."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("--x is 1;\nexpected 2."), 2, "error: --x is 1; expected 2.\n"),
        (FileNotFoundError(2, "No such file", "a"), 2, "error: a cannot be used (No such file); "),
        (RunFailed("site-1: no memory"), 1, "failed: site-1: no memory\n"),
        (KeyboardInterrupt(), 130, "stopped: nothing is left half-written\n"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def main(_: Sequence[str]) -> None:
        raise error

    assert run_script(main, []) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_several_problems_are_a_line_each_up_to_a_number(capfd: pytest.CaptureFixture[str]) -> None:
    refuse([])
    with pytest.raises(Problems):
        refuse(["one"])
    for number in (2, MOST_PROBLEMS, MOST_PROBLEMS + 3):
        assert run_script(lambda _, number=number: refuse([f"number {i}\nis bad." for i in range(number)]), []) == 2
        lines = capfd.readouterr().err.splitlines()
        shown = min(number, MOST_PROBLEMS)
        assert lines[:shown] == [f"error: number {i} is bad." for i in range(shown)]
        assert lines[shown:] == (
            ["error: and 3 more of these; correct the first ones and try again."] * (number > shown)
        )


def test_other_errors_are_not_hidden() -> None:
    def main(_: Sequence[str]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_script(main, [])


def test_a_main_function_gets_the_arguments_and_may_return_a_code(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_script(lambda given: echo(" ".join(given)), ["a", "b"]) == 0
    assert capfd.readouterr().out == "a b\n"
    assert run_script(lambda given: len(given), ["a", "b", "c"]) == 3


def test_the_arguments_of_the_process_are_the_usual_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", "one", "two"])
    assert run_script(lambda given: len(given)) == 2


def test_a_signal_stops_a_script_as_ctrl_c_does_and_an_ignored_one_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup

    def main(_: Sequence[str]) -> None:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)

    assert run_script(main, [], stopped="all of it") == 130


def test_a_mistake_on_the_command_line_is_a_sentence() -> None:
    parser = Parser(prog="job.py")
    parser.add_argument("--n", type=int)
    with pytest.raises(InputError, match=r"^argument --n: invalid int value: 'x'; job.py --help lists the options\.$"):
        parser.parse_args(["--n", "x"])


def test_a_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/x")
    assert absolute_path("a/b") == tmp_path / "a" / "b"
    assert absolute_path("~/a") == Path("/home/x/a")


def test_an_empty_path_is_refused() -> None:
    parser = Parser()
    parser.add_argument("--out", type=absolute_path)
    with pytest.raises(InputError, match="it is empty; is the variable that it was taken from set"):
        parser.parse_args(["--out", ""])


def test_a_warning_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    warn("site-3 is small.")
    assert capfd.readouterr() == ("", "warning: site-3 is small.\n")


def test_a_reader_that_has_gone_ends_nothing() -> None:
    """The work goes on to its end and its exit code, and help that nobody reads is no error either."""
    script = (
        "import sys\n"
        "from fedmed.core.cli import MOST_PROBLEMS, Parser, echo, run_script\n"
        "def main(arguments):\n"
        "    Parser(prog='x').parse_args(arguments)\n"
        "    for number in range(20_000): echo(str(number))\n"
        "    print('done', file=sys.stderr)\n"
        "    return 7\n"
        "sys.exit(run_script(main))\n"
    )
    for given, code, err in ([], "7", "done\n"), (["--help"], "0", ""):
        command = [sys.executable, "-c", script, *given]
        pipe = '"$@" | true; echo "${PIPESTATUS[0]}"'
        ended = subprocess.run(
            ["bash", "-c", pipe, "bash", *command],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(ROOT / "src")},
        )
        assert (ended.stdout.strip(), ended.stderr) == (code, err)


def test_a_path_that_the_terminal_cannot_show_is_printed_with_escapes() -> None:
    script = "import sys; from fedmed.core.cli import *; sys.exit(run_script(lambda _: echo('a\\udcff')))"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "a\\udcff\n", "")


def test_a_full_disk_under_the_output_is_an_error_in_one_line() -> None:
    script = "import sys; from fedmed.core.cli import *; sys.exit(run_script(lambda _: echo('a')))"
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", script],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(ROOT / "src")},
        )
    assert (ended.returncode, ended.stderr) == (2, "error: [Errno 28] No space left on device\n")


def test_what_a_path_or_a_value_holds_does_not_act_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    def main(_: Sequence[str]) -> None:
        echo("\x1b[2J")
        raise InputError("--x is \x1b]0;title\x07\u202e; expected 2.")

    assert run_script(main, []) == 2
    out, err = capfd.readouterr()
    assert out == "\\x1b[2J\n"
    assert err == "error: --x is \\x1b]0;title\\x07\\u202e; expected 2.\n"
