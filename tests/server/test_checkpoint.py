"""The checkpoint: the last one that was saved as a whole, whatever happened since, or a refusal by name."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import fedmed
from fedmed.core.errors import InputError
from fedmed.core.names import RECORDS
from fedmed.server.checkpoint import CHECKPOINT, BestFile, Checkpoint, Checkpoints

SAVES = """
import os, sys
from pathlib import Path
from fedmed.server.checkpoint import BestFile, Checkpoints
place = Path(sys.argv[1])
checkpoints = Checkpoints(place / "kept")
checkpoints.hold()
checkpoints.begin(None)
for rounds in range(1, 100_000):
    for name in ("last", "best"):
        (place / "new").write_text(str(rounds) * 1000)
        os.replace(place / "new", place / name)
    checkpoints.add({"round": rounds - 1, "best": False})
    checkpoints.save(rounds, place / "last", BestFile(place / "best", 0.5, rounds), place, {"moment": rounds})
    print(rounds, flush=True)
"""


class Server:
    """What FLARE's server does with its files: replaces its models, and adds a record a round."""

    def __init__(self, place: Path) -> None:
        self.place, self.checkpoints = place, Checkpoints(place / "kept" / "server")
        self.checkpoints.hold()
        self.checkpoints.begin(None)
        self.last, self.best, self.events = place / "last.pt", place / "best.pt", place / "tb_events"
        self.rounds = 0
        self.chosen: BestFile | None = None

    def write(self, path: Path, text: str) -> None:
        (self.place / "new").write_text(text)
        os.replace(self.place / "new", path)

    def round(self, best: float | None = None) -> None:
        """One round more; ``best`` is the score of the model that it began with, where it was the best so far."""
        done = self.rounds
        if best is not None:
            self.write(self.best, f"model {done}")
            self.chosen = BestFile(self.best, best, done)
        self.write(self.last, f"model {done + 1}")
        self.checkpoints.add({"round": done, "best": best is not None})
        self.rounds += 1
        self.checkpoints.save(self.rounds, self.last, self.chosen, self.events)

    def load(self) -> Checkpoint:
        loaded = self.checkpoints.load()
        assert loaded is not None
        return loaded

    @property
    def kept(self) -> list[str]:
        """The files beside the checkpoint, the records and the lock."""
        found = set(os.listdir(self.checkpoints.folder))
        assert {CHECKPOINT, RECORDS, ".lock"} <= found
        return sorted(found - {CHECKPOINT, RECORDS, ".lock"})


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_before_the_first_round_there_is_none(server: Server) -> None:
    assert server.checkpoints.load() is None


def test_what_was_saved_is_loaded(server: Server) -> None:
    server.round()
    server.round(best=0.4)
    loaded = server.load()
    assert loaded.rounds == 2
    assert loaded.records == [{"round": 0, "best": False}, {"round": 1, "best": True}]
    assert loaded.last.read_text() == "model 2"
    assert loaded.best is not None
    assert loaded.best.path.read_text() == "model 1"
    assert (loaded.best.score, loaded.best.rounds) == (0.4, 1)
    assert loaded.algorithm == {}
    assert loaded.events == server.events


def test_each_replaces_the_one_before_and_only_the_models_that_it_names_are_kept(server: Server) -> None:
    names = []
    for best in (None, 0.4, None, 0.6, None):
        server.round(best)
        loaded = server.load()
        assert loaded.last.read_text() == f"model {loaded.rounds}"
        names.append(server.kept)
    assert names == [
        ["after-1.pt"],
        ["after-2.pt", "best-1.pt"],
        ["after-3.pt", "best-1.pt"],
        ["after-4.pt", "best-3.pt"],
        ["after-5.pt", "best-3.pt"],
    ]


def test_what_a_server_left_that_was_killed_goes_with_the_next_one(server: Server) -> None:
    server.round()
    for name in (".after-1.pt.part", ".tmpx1y2.part"):
        (server.checkpoints.folder / name).write_bytes(b"half")
    assert server.load().rounds == 1
    server.round()
    assert server.kept == ["after-2.pt"]


def test_a_model_is_what_it_was_when_the_server_has_replaced_its_own(server: Server) -> None:
    server.round()
    server.round(best=0.4)
    for path in (server.last, server.best):
        server.write(path, "a later model, of a round that did not count")
    loaded = server.load()
    assert loaded.best is not None
    assert (loaded.last.read_text(), loaded.best.path.read_text()) == ("model 2", "model 1")
    loaded.last.unlink()
    assert server.last.read_text().startswith("a later model")


def test_all_that_a_server_keeps_is_for_its_user_alone(server: Server) -> None:
    for score in (None, 0.5):
        server.round(best=score)
    folder = server.checkpoints.folder
    assert server.kept == ["after-2.pt", "best-1.pt"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]


def test_no_model_is_copied_where_a_second_name_does(server: Server) -> None:
    server.round()
    assert server.load().last.samefile(server.last)


@pytest.mark.parametrize("obstacle", ["after-3.pt", "best-2.pt", ".after-3.pt.part", "no model"])
def test_a_failure_in_the_middle_leaves_the_earlier_one(server: Server, obstacle: str) -> None:
    server.round()
    server.round(best=0.4)
    if obstacle == "no model":
        chosen = BestFile(server.place / "not there", 0.9, 2)
    else:
        (server.checkpoints.folder / obstacle / "in the way").mkdir(parents=True)
        chosen = BestFile(server.best, 0.9, 2)
    server.checkpoints.add({"round": 2, "best": True})
    with pytest.raises(OSError, match=r"not there|directory"):
        server.checkpoints.save(3, server.last, chosen, server.events)
    loaded = server.load()
    assert loaded.rounds == len(loaded.records) == 2  # the record of the third is there, and its round is not
    assert loaded.best is not None
    assert (loaded.best.score, loaded.best.rounds) == (0.4, 1)
    assert (loaded.last.read_text(), loaded.best.path.read_text()) == ("model 2", "model 1")


@pytest.mark.parametrize("round_number", [1, 2, 3])
def test_a_server_that_is_killed_leaves_a_whole_one(tmp_path: Path, round_number: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(fedmed.__path__[0]).parent)}
    command = [sys.executable, "-c", SAVES, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(40 * round_number):
            said = child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        said = (child.stdout.read().splitlines() or [said])[-1]
    loaded = Checkpoints(tmp_path / "kept").load()
    assert loaded is not None
    assert loaded.best is not None
    number = int(loaded.last.read_text()[: len(said.strip())])
    assert number in (int(said), int(said) + 1)
    assert loaded.last.read_text() == loaded.best.path.read_text() == str(number) * 1000
    assert loaded.rounds == len(loaded.records) == loaded.algorithm["moment"] == number


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "null",
        lambda text: text.replace('"rounds": 2', '"rounds": "two"'),
        lambda text: text.replace('"rounds": 2', '"rounds": 3'),
        lambda text: text.replace('"format": 2', '"format": 3'),
        lambda text: text.replace('"format": 2', '"format": 1'),
        lambda text: text.replace('"format"', '"form"'),
        lambda text: text.replace('"best_score"', '"score"'),
        lambda text: text.replace("after-2.pt", "after-9.pt"),
        lambda text: text.replace("after-2.pt", ".."),
        lambda text: text.replace("best-1.pt", "best-9.pt"),
        lambda text: text.replace('"after-2.pt"', "null"),
        lambda text: "\udcff",
    ],
)
def test_a_damaged_one_is_refused_by_name(server: Server, damage: Any) -> None:
    server.round()
    server.round(best=0.4)
    path = server.checkpoints.folder / CHECKPOINT
    damaged = damage(path.read_text())
    assert damaged != path.read_text()
    path.write_bytes(damaged.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=rf"{path} .*restore") as caught:
        server.checkpoints.load()
    assert str(caught.value).count(". ") == 0  # one sentence


@pytest.mark.parametrize("name", ["after-2.pt", "best-1.pt"])
def test_one_whose_model_is_gone_is_refused(server: Server, name: str) -> None:
    server.round()
    server.round(best=0.4)
    (server.checkpoints.folder / name).unlink()
    with pytest.raises(InputError, match="do not fit together"):
        server.checkpoints.load()


def test_models_are_sought_in_its_own_folder_alone(server: Server) -> None:
    server.round()
    (server.place / "after-1.pt").write_text("another model")
    path = server.checkpoints.folder / CHECKPOINT
    path.write_text(path.read_text().replace("after-1.pt", f"{server.place}/after-1.pt"))
    assert server.load().last == server.checkpoints.folder / "after-1.pt"


def test_a_moved_folder_is_as_good(server: Server) -> None:
    server.round()
    moved = server.place / "elsewhere"
    server.checkpoints.folder.rename(moved)
    loaded = Checkpoints(moved).load()
    assert loaded is not None
    assert loaded.last.read_text() == "model 1"


def test_the_events_so_far_are_taken_over_as_far_as_they_are_there(server: Server) -> None:
    server.events.mkdir()
    (server.events / "site-1").mkdir()
    (server.events / "site-1" / "events.1").write_text("curve")
    server.round()
    into = server.place / "next job" / "tb_events"
    server.checkpoints.take_over_events(server.load(), into)
    assert (into / "site-1" / "events.1").read_text() == "curve"
    server.checkpoints.take_over_events(server.load(), server.events)
    (server.events / "site-1" / "events.1").unlink()
    (server.events / "site-1").rmdir()
    server.events.rmdir()
    server.checkpoints.take_over_events(server.load(), server.place / "yet another")
    assert not (server.place / "yet another").exists()


def test_it_is_json_that_anyone_can_read(server: Server) -> None:
    server.round()
    assert json.loads((server.checkpoints.folder / CHECKPOINT).read_text())["rounds"] == 1


def test_a_round_appends_its_record_and_rewrites_none(server: Server) -> None:
    server.round()
    before, file = server.checkpoints.records.read_bytes(), server.checkpoints.records.stat().st_ino
    server.round()
    assert server.checkpoints.records.read_bytes().startswith(before)
    assert server.checkpoints.records.stat().st_ino == file


def test_records_that_completed_no_round_are_not_taken_up(server: Server) -> None:
    server.round()
    server.checkpoints.add({"round": 1, "best": False, "failed": True})
    assert server.load().records == [{"round": 0, "best": False}]


def test_the_next_job_begins_with_the_records_of_the_completed_rounds_marked_as_earlier(server: Server) -> None:
    server.round()
    server.round(best=0.4)
    server.checkpoints.add({"round": 2, "best": False})  # of a round whose model was not saved any more
    with server.checkpoints.records.open("a") as file:
        file.write('{"round": 3, "be')
    server.checkpoints.begin(server.load())
    again = server.load()
    assert again.rounds == 2
    assert again.records == [{"round": 0, "best": False, "earlier": True}, {"round": 1, "best": True, "earlier": True}]
    server.rounds = 2
    server.round()
    assert [record.get("earlier", False) for record in server.load().records] == [True, True, False]


@pytest.mark.parametrize("line", ["", "[]", "null", "{", '{"round": 0}\n{"round": 1'])
def test_damaged_records_are_refused_by_name(server: Server, line: str) -> None:
    server.round()
    server.round(best=0.4)
    server.checkpoints.records.write_text(f"{line}\n{line}\n" if line else "")
    with pytest.raises(InputError, match=rf"{server.checkpoints.folder / CHECKPOINT} .*restore"):
        server.checkpoints.load()


def test_the_algorithms_state_comes_back_and_only_the_last_one_is_kept(server: Server) -> None:
    state = {"momentum": {"w": torch.arange(3.0)}, "round": 2}
    server.round()
    for rounds in (1, 2):
        server.checkpoints.save(rounds, server.last, None, server.events, {**state, "round": rounds})
    server.checkpoints.add({"round": 1, "best": False})
    found = server.load().algorithm
    assert found["round"] == 2
    assert torch.equal(found["momentum"]["w"], state["momentum"]["w"])  # type: ignore[index]
    assert server.kept == ["after-2.pt", "algorithm-2.pt"]
    (server.checkpoints.folder / "algorithm-2.pt").write_bytes(b"half")
    with pytest.raises(InputError, match="holds no state of an algorithm"):
        server.checkpoints.load()


def test_a_checkpoint_of_the_earlier_format_which_held_the_records_is_loaded(tmp_path: Path) -> None:
    """As the version before wrote it, where only the records said which round the best model came from."""
    records = [{"round": 0, "best": False}, {"round": 1, "best": True}, {"round": 2, "best": False}]
    document = {
        "format": 1, "rounds": 3, "last": "after-3.pt", "best": "best-1.pt", "best_score": 0.4,
        "events": str(tmp_path / "tb_events"), "records": records,
    }  # fmt: skip
    for name in ("after-3.pt", "best-1.pt"):
        (tmp_path / name).write_text(name)
    (tmp_path / CHECKPOINT).write_text(json.dumps(document))
    loaded = Checkpoints(tmp_path).load()
    assert loaded == Checkpoint(
        3, tmp_path / "after-3.pt", BestFile(tmp_path / "best-1.pt", 0.4, 1), records, tmp_path / "tb_events"
    )
    (tmp_path / CHECKPOINT).write_text(json.dumps({**document, "best": None, "best_score": None}))
    without = Checkpoints(tmp_path).load()
    assert without is not None
    assert without.best is None


def test_a_run_has_one_server_at_a_time(server: Server) -> None:
    with pytest.raises(RuntimeError, match="Another job of this run is at work"):
        Checkpoints(server.checkpoints.folder).hold()
