"""States of many sites in one process's memory: no more than the limit, the latest used, of exactly the round asked."""

from collections import OrderedDict
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from fedmed.site.state_memory import StateMemory, size_of

SITES = [Path(f"site-{number}") for number in range(5)]


def state(values: int) -> dict[str, torch.Tensor]:
    """A state of 4 bytes a value."""
    return {"model": torch.zeros(values)}


def test_a_state_is_taken_once_and_of_its_round_alone() -> None:
    memory, first = StateMemory(1000), state(3)
    memory.put(SITES[0], 4, first)
    assert memory.take(SITES[1], 4) is None
    assert memory.take(SITES[0], 4) is first
    assert memory.take(SITES[0], 4) is None
    memory.put(SITES[0], 4, first)
    assert memory.take(SITES[0], 3) is None  # a round was lost: it is on the disk
    assert memory.size == 0


def test_what_was_not_used_for_longest_goes_first() -> None:
    memory = StateMemory(limit=40)
    for site in SITES[:2]:
        memory.put(site, 1, state(5))
    memory.put(SITES[0], 2, state(5))  # used again
    memory.put(SITES[2], 2, state(5))
    assert memory.take(SITES[1], 1) is None
    assert memory.take(SITES[0], 2) is not None
    assert memory.take(SITES[2], 2) is not None


def test_one_that_is_larger_than_the_limit_is_not_held() -> None:
    memory = StateMemory(limit=0)
    memory.put(SITES[0], 1, state(1))
    assert memory.take(SITES[0], 1) is None
    assert memory.size == 0


ACTIONS = st.tuples(st.sampled_from(["put", "take"]), st.sampled_from(SITES), st.integers(0, 2), st.integers(0, 6))


@given(st.lists(ACTIONS, max_size=30), st.integers(0, 60))
def test_it_behaves_as_a_list_of_states_by_their_last_use(
    actions: list[tuple[str, Path, int, int]], limit: int
) -> None:
    memory, model = StateMemory(limit), OrderedDict[Path, tuple[int, int]]()
    for action, site, rounds, values in actions:
        known = model.pop(site, None)
        if action == "put":
            memory.put(site, rounds, state(values))
            model[site] = rounds, 4 * values
            while sum(size for _, size in model.values()) > limit:
                model.popitem(last=False)
        else:
            found = memory.take(site, rounds)
            assert (found is not None) == (known is not None and known[0] == rounds)
        assert memory.size == sum(size for _, size in model.values()) <= limit


def test_the_size_is_that_of_the_tensors_in_whatever_holds_them() -> None:
    content = {
        "optimizer": {"state": {0: {"step": torch.tensor(1.0), "avg": torch.zeros(3)}}},
        "own": None,
        "best": 1.0,
    }
    assert size_of(content) == 4 + 12
    assert size_of([torch.zeros(2, dtype=torch.float64), (torch.zeros(1),)]) == 16 + 4
