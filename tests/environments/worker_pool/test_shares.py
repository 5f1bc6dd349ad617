"""The sites of each worker: all of them, once, by a rule that is never far from the best one."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from fedmed.environments.worker_pool.workers import shares_of

CASES = st.dictionaries(st.integers(1, 40).map("site-{}".format), st.integers(0, 50), min_size=1, max_size=7)
WORKERS = st.integers(1, 3)


def loads(cases: dict[str, int], shares: list[list[str]]) -> list[int]:
    """A site without cases costs as much as one with one."""
    return [sum(max(1, cases[site]) for site in share) for share in shares]


@given(CASES, WORKERS)
def test_every_site_is_one_workers_and_no_worker_is_idle(cases: dict[str, int], workers: int) -> None:
    shares = shares_of(cases, workers)
    assert len(shares) == workers
    assert sorted(site for share in shares for site in share) == sorted(cases)
    assert sum(map(bool, shares)) == min(workers, len(cases))
    assert all(share == sorted(share) for share in shares)


@given(CASES, WORKERS)
def test_the_longest_share_is_at_most_four_thirds_of_the_best_possible(cases: dict[str, int], workers: int) -> None:
    """Graham 1969, theorem 2, against all ways of dealing the sites."""
    deals = product(range(workers), repeat=len(cases))
    ways = ([[s for s, to in zip(cases, deal, strict=True) if to == w] for w in range(workers)] for deal in deals)
    best = min(max(loads(cases, way)) for way in ways)
    assert max(loads(cases, shares_of(cases, workers))) <= (4 / 3 - 1 / (3 * workers)) * best + 1e-9


@given(CASES, WORKERS)
def test_the_order_in_which_sites_are_named_changes_nothing(cases: dict[str, int], workers: int) -> None:
    assert shares_of(dict(reversed(cases.items())), workers) == shares_of(cases, workers)


def test_sites_of_one_size_are_dealt_round() -> None:
    cases = {f"site-{number}": 5 for number in range(1, 7)}
    assert shares_of(cases, 2) == [["site-1", "site-3", "site-5"], ["site-2", "site-4", "site-6"]]
    assert shares_of({"small": 1, "large": 9, "middle": 5}, 2) == [["large"], ["middle", "small"]]
