"""A run that goes on: every record once on the screen and in the folder, at a cost that does not grow, and a bar."""

import contextlib
import os
import pty
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from fedmed.core.names import LEDGER, PROGRESS, SITES
from fedmed.environments.step_progress import Steps
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import Entry, Ledger, read_ledger
from fedmed.runs.run_folder import RunFolder
from fedmed.runs.run_monitor import RunMonitor
from fedmed.server.checkpoint import BestFile, Checkpoints

ROUNDS = 200
Make = Callable[..., RunMonitor]


@pytest.fixture
def monitor(small_experiment: Callable[..., Experiment], tmp_path: Path) -> Make:
    """Makes the monitor of a new run."""

    def make(*arguments: str, **how: Any) -> RunMonitor:
        experiment = small_experiment("--num_rounds", str(ROUNDS), *arguments)
        return RunMonitor(RunFolder.create(tmp_path, "run"), experiment, **how)

    return make


def record(number: int, **facts: Any) -> dict[str, Any]:
    sites = {f"site-{n}": {"val_cases": 2, "val_dice": 0.5, "train_loss": 0.25} for n in (1, 2)}
    entries = {site: asdict(Entry(site, number + 1, 0.5, 1.5, 2.5, 1e-5)) for site in sites}
    return {"round": number, "seconds": 1.5, "best": False, "sites": sites, "privacy": entries, **facts}


def written() -> int:
    """Bytes that this process has written, by the kernel's count."""
    found = re.search(r"^wchar: (\d+)$", Path("/proc/self/io").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


@pytest.mark.skipif(not os.access("/proc/self/io", os.R_OK), reason="this system counts no bytes by process")
def test_a_round_writes_as_many_bytes_after_many_rounds_as_at_first(monitor: Make, tmp_path: Path) -> None:
    """The server's record and checkpoint, and the launcher's record and line, of a run with a privacy ledger."""
    followed = monitor("--privacy", "gaussian", "--dp_noise_multiplier", "1", "--dp_release_metrics")
    checkpoints, model = Checkpoints(tmp_path / "server"), tmp_path / "model.pt"
    model.write_bytes(bytes(1000))
    checkpoints.hold()
    checkpoints.begin(None)
    costs = []
    for number in range(ROUNDS):
        before = written()
        checkpoints.add(record(number))
        checkpoints.save(number + 1, model, BestFile(model, 0.5, 1), tmp_path / "events")
        followed.record(record(number))
        followed.progress({"site-1": Steps(1, 2)})
        costs.append(written() - before)
    assert min(costs) > 500  # so that the count counts
    assert max(costs[5:]) < 1.1 * max(costs[:5])  # numbers have more digits later


def test_every_record_is_in_the_folder_and_on_the_screen_once(
    monitor: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    followed = monitor()
    records = [record(0), record(1, best=True), record(2, final=True)]
    for each in records:
        followed.record(each)
    assert followed.records == followed.folder.records() == records
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("val_dice (Dice) is that of the global model")
    assert [line.split()[:2] for line in lines[1:]] == [["round", "1/200"], ["round", "2/200"], ["final", "model"]]


def test_a_run_that_goes_on_has_its_earlier_records_once_and_shows_the_new_ones(
    monitor: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_off = monitor()
    for number in range(3):
        cut_off.record(record(number))
    again = RunMonitor(cut_off.folder, cut_off.experiment)
    assert len(again.folder.records()) == 3  # until the server hands them on, what there is stays
    capsys.readouterr()
    handed_on = [record(0, earlier=True), record(1, earlier=True), record(2)]  # the third was lost, and is done again
    for each in handed_on:
        again.record(each)
    assert again.folder.records() == handed_on
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "resumed after round 2 of 200"
    assert [line.split()[1] for line in lines if line.startswith("round")] == ["3/200"]


def test_the_ledger_has_each_entry_once_with_those_of_a_round_that_did_not_end(monitor: Make) -> None:
    followed = monitor("--privacy", "gaussian", "--dp_noise_multiplier", "1", "--dp_release_metrics")
    followed.record(record(0))
    followed.record(record(1))
    mechanism = followed.experiment.privacy.document()
    own = Ledger(followed.folder.name, mechanism, [Entry("site-1", n, 0.5, n / 2, 1.0, 1e-5) for n in (1, 2, 3)])
    own.save(followed.folder.path / SITES / "site-1" / LEDGER)
    followed.book_unfinished()
    found = read_ledger(followed.folder.path / LEDGER, followed.folder.name)
    assert sorted((entry.site, entry.round) for entry in found.entries) == [
        ("site-1", 1), ("site-1", 2), ("site-1", 3), ("site-2", 1), ("site-2", 2)
    ]  # fmt: skip
    followed.book_unfinished()
    assert read_ledger(followed.folder.path / LEDGER).entries == found.entries


def test_the_steps_of_the_round_that_goes_on_are_left_in_the_folder_and_gone_when_it_is_over(monitor: Make) -> None:
    moments = iter(range(0, 1000, 3))
    followed = monitor(clock=lambda: float(next(moments)))
    followed.record(record(0))
    followed.progress({"site-1": Steps(3, 8), "site-2": Steps(8, 8)})  # site-2's report is of the round before
    assert followed.folder.read_json(PROGRESS) == {"round": 2, "sites": {"site-1": [3, 8]}}
    followed.progress({"site-1": Steps(4, 8), "site-2": Steps(1, 8)})
    followed.progress({"site-1": Steps(5, 8), "site-2": Steps(8, 8)})
    assert followed.folder.read_json(PROGRESS) == {"round": 2, "sites": {"site-1": [5, 8], "site-2": [8, 8]}}
    followed.folder.write_status("finished")
    assert not (followed.folder.path / f"{PROGRESS}.json").exists()


def test_the_steps_are_written_once_in_some_seconds_alone(monitor: Make) -> None:
    followed = monitor(clock=lambda: 7.0)
    followed.progress({"site-1": Steps(1, 8)})
    followed.progress({"site-1": Steps(2, 8)})
    assert followed.folder.read_json(PROGRESS)["sites"] == {"site-1": [1, 8]}


@contextlib.contextmanager
def terminal() -> Iterator[Callable[[], str]]:
    """Has the output go to a terminal; reads what came to it since."""
    ours, theirs = pty.openpty()
    with open(theirs, "w") as output, open(ours, "rb", buffering=0) as reader:

        def read() -> str:
            print("<end>", end="", file=output, flush=True)  # which comes out after all that went in before
            shown = ""
            while "<end>" not in shown:
                shown += reader.read(65536).decode()
            return shown.removesuffix("<end>").replace("\r\n", "\n")

        with contextlib.redirect_stdout(output):
            yield read


def screen(shown: str) -> list[str]:
    """The lines that are left on a terminal, where a carriage return goes back and ``ESC [K`` clears."""
    return [line.rsplit("\r\x1b[K", 1)[-1] for line in shown.split("\n")]


def test_a_terminal_has_a_bar_under_the_rounds_that_are_done(monitor: Make) -> None:
    followed = monitor()
    with terminal() as shown:
        followed.progress({})
        assert screen(shown()) == ["the sites start, 0 s"]
        followed.progress({"site-1": Steps(1, 4)})
        followed.progress({"site-1": Steps(4, 4), "site-2": Steps(2, 4)})
        assert screen(shown()) == ["round   1/200 [#######...] 1 of 2 sites answered, step 6/8"]
        followed.progress({"site-1": Steps(4, 4), "site-2": Steps(2, 4)})
        assert shown() == ""  # nothing new
        followed.record(record(0))
        followed.progress({"site-1": Steps(1, 4), "site-2": Steps(4, 4)})  # the latter's is of the round before
        *_, done, bar = screen(shown())
        assert done.startswith("round   1/200  loss 0.2500")
        assert bar == "round   2/200 [##........] 0 of 2 sites answered, step 1/4"
        followed.book_unfinished()
        assert screen(shown()) == [""]  # the bar of a run that has ended is gone


def test_where_the_output_goes_to_a_file_there_is_no_bar_but_a_line_for_the_start_and_the_end(
    monitor: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    followed = monitor()
    for steps in ({}, {}, {"site-1": Steps(1, 4)}):
        followed.progress(steps)
    assert capsys.readouterr().out == "the sites start\n"
    for each in (record(0), record(1, final=True)):
        followed.progress({"site-1": Steps(1, 4)})
        followed.record(each)
    capsys.readouterr()
    for _ in range(2):
        followed.progress({})
    assert capsys.readouterr().out == "the run ends\n"


def test_where_no_site_reports_steps_a_terminal_shows_what_goes_on_and_for_how_long(monitor: Make) -> None:
    now = [10.0]
    followed = monitor("--num_rounds", "2", clock=lambda: now[0])
    with terminal() as shown:
        now[0] += 12
        followed.progress({})
        assert screen(shown()) == ["the sites start, 12 s"]
        followed.record(record(0))
        now[0] += 3
        followed.progress({"site-1": Steps(4, 4)})  # of the round before
        assert screen(shown())[-1] == "round 2 of 2, 3 s"
        followed.record(record(1))
        followed.progress({"site-1": Steps(1, 4)})
        assert screen(shown())[-1] == "the final model is scored, 0 s"
        followed.record({**record(2), "final": True})
        now[0] += 7
        followed.progress({})
        assert screen(shown())[-1] == "the run ends, 7 s"
