"""The checkpoint: the last one that was saved as a whole, whatever happened since, or a refusal by name."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fedmed
from fedmed.core.errors import InputError
from fedmed.server.checkpoint import STATE, Checkpoint, Checkpoints

SAVES = """
import os, sys
from pathlib import Path
from fedmed.server.checkpoint import Checkpoints
place = Path(sys.argv[1])
for rounds in range(1, 100_000):
    for name in ("last", "best"):
        (place / "new").write_text(str(rounds) * 1000)
        os.replace(place / "new", place / name)
    records = [{"round": number} for number in range(rounds % 50 + 1)]
    Checkpoints(place / "kept").save(place / "last", (place / "best", 0.5, len(records)), records, place)
    print(rounds, flush=True)
"""


class Server:
    """What FLARE's server does with its files: replaces its models, and adds a record a round."""

    def __init__(self, place: Path) -> None:
        self.place, self.checkpoints = place, Checkpoints(place / "kept" / "server")
        self.last, self.best, self.events = place / "last.pt", place / "best.pt", place / "tb_events"
        self.records: list[dict[str, Any]] = []
        self.chosen: tuple[Path, float, int] | None = None

    def write(self, path: Path, text: str) -> None:
        (self.place / "new").write_text(text)
        os.replace(self.place / "new", path)

    def round(self, best: float | None = None) -> None:
        """One round more; ``best`` is the score of the model that it began with, where it was the best so far."""
        done = len(self.records)
        if best is not None:
            self.write(self.best, f"model {done}")
            self.chosen = (self.best, best, done)
        self.write(self.last, f"model {done + 1}")
        self.records.append({"round": done})
        self.checkpoints.save(self.last, self.chosen, self.records, self.events)

    def load(self) -> Checkpoint:
        loaded = self.checkpoints.load()
        assert loaded is not None
        return loaded

    @property
    def kept(self) -> list[str]:
        return sorted(os.listdir(self.checkpoints.folder))


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_before_the_first_round_there_is_none(server: Server) -> None:
    assert server.checkpoints.load() is None


def test_what_was_saved_is_loaded(server: Server) -> None:
    server.round()
    server.round(best=0.4)
    loaded = server.load()
    assert (loaded.rounds, loaded.best_score) == (2, 0.4)
    assert loaded.records == [{"round": 0}, {"round": 1}]
    assert loaded.last.read_text() == "model 2"
    assert loaded.best is not None
    assert loaded.best.read_text() == "model 1"
    assert loaded.events == server.events


def test_each_replaces_the_one_before_and_only_the_models_that_it_names_are_kept(server: Server) -> None:
    names = []
    for best in (None, 0.4, None, 0.6, None):
        server.round(best)
        loaded = server.load()
        assert loaded.last.read_text() == f"model {loaded.rounds}"
        names.append(server.kept)
    assert names == [
        ["after-1.pt", STATE],
        ["after-2.pt", "best-1.pt", STATE],
        ["after-3.pt", "best-1.pt", STATE],
        ["after-4.pt", "best-3.pt", STATE],
        ["after-5.pt", "best-3.pt", STATE],
    ]


def test_what_a_server_left_that_was_killed_goes_with_the_next_one(server: Server) -> None:
    server.round()
    for name in (".after-1.pt.part", ".tmpx1y2.part"):
        (server.checkpoints.folder / name).write_bytes(b"half")
    assert server.load().rounds == 1
    server.round()
    assert server.kept == ["after-2.pt", STATE]


def test_a_model_is_what_it_was_when_the_server_has_replaced_its_own(server: Server) -> None:
    server.round()
    server.round(best=0.4)
    for path in (server.last, server.best):
        server.write(path, "a later model, of a round that did not count")
    loaded = server.load()
    assert loaded.best is not None
    assert (loaded.last.read_text(), loaded.best.read_text()) == ("model 2", "model 1")
    loaded.last.unlink()
    assert server.last.read_text().startswith("a later model")


def test_no_model_is_copied_where_a_second_name_does(server: Server) -> None:
    server.round()
    assert server.load().last.samefile(server.last)


@pytest.mark.parametrize("obstacle", ["after-3.pt", "best-2.pt", ".after-3.pt.part", "no model"])
def test_a_failure_in_the_middle_leaves_the_earlier_one(server: Server, obstacle: str) -> None:
    server.round()
    server.round(best=0.4)
    if obstacle == "no model":
        chosen = (server.place / "not there", 0.9, 2)
    else:
        (server.checkpoints.folder / obstacle / "in the way").mkdir(parents=True)
        chosen = (server.best, 0.9, 2)
    with pytest.raises(OSError, match=r"not there|directory"):
        server.checkpoints.save(server.last, chosen, [*server.records, {"round": 2}], server.events)
    loaded = server.load()
    assert (loaded.rounds, loaded.best_score) == (2, 0.4)
    assert loaded.best is not None
    assert (loaded.last.read_text(), loaded.best.read_text()) == ("model 2", "model 1")


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
    assert loaded.last.read_text() == loaded.best.read_text() == str(number) * 1000
    assert loaded.rounds == number % 50 + 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "null",
        lambda text: text.replace('"rounds": 2', '"rounds": "two"'),
        lambda text: text.replace('"rounds": 2', '"rounds": 3'),
        lambda text: text.replace('"format": 1', '"format": 2'),
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
    path = server.checkpoints.folder / STATE
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
    path = server.checkpoints.folder / STATE
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
    assert json.loads((server.checkpoints.folder / STATE).read_text())["rounds"] == 1
