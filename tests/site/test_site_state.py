"""A site's state: the latest one that is whole, two at most, and nothing in a file is executed."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from fedmed.site.site_state import SiteState


@pytest.fixture
def state(tmp_path: Path) -> SiteState:
    return SiteState(tmp_path / "run" / "site-1" / "state")


def content(rounds: int) -> dict[str, Any]:
    return {"own": {"w": torch.full((3, 2), float(rounds))}, "best": -float("inf"), "optimizer": {"step": rounds}}


def numbers(state: SiteState) -> list[str]:
    return sorted(os.listdir(state.folder))


def rounds_of(loaded: tuple[int, dict[str, Any]] | None) -> int:
    """After how many rounds a state stands, by its content too."""
    assert loaded is not None
    number, found = loaded
    assert torch.equal(found["own"]["w"], content(number)["own"]["w"])
    assert found["optimizer"] == {"step": number}
    assert found["best"] == -float("inf")
    return number


def test_nothing_is_kept_at_first(state: SiteState) -> None:
    assert state.load(0) is None
    assert state.load(5) is None
    state.forget()
    assert not state.folder.exists()


def test_two_at_most_are_kept(state: SiteState) -> None:
    for rounds in range(1, 6):
        state.save(rounds, content(rounds))
        assert numbers(state) == [f"after-{number}.pt" for number in (rounds - 1, rounds) if number]


def test_numbers_are_no_text(state: SiteState) -> None:
    for rounds in (9, 10):
        state.save(rounds, content(rounds))
    assert rounds_of(state.load(10)) == 10


@pytest.mark.parametrize(("rounds", "found"), [(4, 4), (3, 3), (7, 4)])
def test_the_latest_state_is_taken_that_is_not_after_more_rounds(state: SiteState, rounds: int, found: int) -> None:
    for number in (3, 4):
        state.save(number, content(number))
    assert rounds_of(state.load(rounds)) == found
    assert state.load(2) is None


def test_what_followed_on_a_round_that_is_repeated_is_forgotten(state: SiteState) -> None:
    for number in (3, 4, 4):
        state.save(number, content(number))
    state.save(3, content(3))
    assert numbers(state) == ["after-3.pt"]


def test_a_site_that_missed_rounds_can_go_back_to_the_last_one_in_which_it_trained(state: SiteState) -> None:
    for number in (1, 2, 6):
        state.save(number, content(number))
    assert numbers(state) == ["after-2.pt", "after-6.pt"]
    assert rounds_of(state.load(5)) == 2  # where the server lost the round that led to 6
    state.save(9, content(9))
    assert numbers(state) == ["after-6.pt", "after-9.pt"]


@pytest.mark.parametrize("size", [0, 10, 0.5])
def test_a_file_that_was_cut_off_is_passed_over(state: SiteState, size: float) -> None:
    for number in (3, 4):
        state.save(number, content(number))
    path = state.folder / "after-4.pt"
    os.truncate(path, int(size * path.stat().st_size if 0 < size < 1 else size))
    assert rounds_of(state.load(4)) == 3
    state.save(4, content(4))
    assert rounds_of(state.load(4)) == 4


def test_a_save_that_was_cut_off_changes_nothing(state: SiteState) -> None:
    state.save(3, content(3))
    (state.folder / ".half.part").write_bytes(b"half")
    assert rounds_of(state.load(4)) == 3
    state.save(4, content(4))
    assert numbers(state) == ["after-3.pt", "after-4.pt"]
    (state.folder / ".half.part").write_bytes(b"half")
    state.forget()
    assert not state.folder.exists()


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_nothing_in_a_file_is_executed(state: SiteState, tmp_path: Path) -> None:
    state.save(1, content(1))
    torch.save({"own": Trap(tmp_path / "mark")}, state.folder / "after-2.pt")
    assert rounds_of(state.load(2)) == 1
    assert not (tmp_path / "mark").exists()


def test_when_the_run_is_over_all_is_removed_but_what_is_of_others(state: SiteState) -> None:
    for number in (3, 4):
        state.save(number, content(number))
    state.forget()
    assert not state.folder.exists()
    state.save(1, content(1))
    (state.folder / "after-us.pt").touch()
    state.forget()
    assert numbers(state) == ["after-us.pt"]
