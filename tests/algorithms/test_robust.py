"""All rules that stand up to harmful updates: what they have in common, what they refuse, what they tell."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from fedmed.algorithms.norm_clip import NormClip
from fedmed.algorithms.robust import Robust
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.experiment import Experiment
from tests.algorithms.robust_updates import RULES, SETUP, contributions_of, flat, random_updates

NAMES = [rule.name for rule in RULES]
UNWEIGHTED = ["median", "trimmed_mean", "krum", "multi_krum"]
each_rule = pytest.mark.parametrize("rule", RULES, ids=NAMES)


@each_rule
def test_equal_updates_give_that_update_and_count_in_full(rule: Robust) -> None:
    side, (update,) = rule.server(SETUP), random_updates(1, 0)
    found = side.combine(contributions_of([update] * 5, [1.0, 2.0, 3.0, 4.0, 5.0]))
    np.testing.assert_allclose(flat(dict(found)), flat(update), rtol=1e-14)
    chosen = {"krum": 1, "multi_krum": 4}.get(rule.name, 5)
    assert sum(side.shares().values()) == pytest.approx(chosen)


@each_rule
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_order_of_the_sites_changes_nothing(rule: Robust, kind: type) -> None:
    side, given = rule.server(SETUP), contributions_of(random_updates(5, 3, kind), [5.0, 4.0, 3.0, 2.0, 1.0])
    expected, shares = side.combine(given), dict(side.shares())
    for order in list(itertools.permutations(given))[::7]:
        found = side.combine(order)
        np.testing.assert_allclose(flat(dict(found)), flat(dict(expected)), rtol=1e-6 if kind is np.float32 else 1e-12)
        assert dict(side.shares()) == pytest.approx(shares, rel=1e-9)
        assert found["w"].dtype == kind


@each_rule
def test_one_harmful_update_of_five_moves_the_result_by_no_more_than_the_honest_ones_lie_apart(rule: Robust) -> None:
    honest = random_updates(4, 1)
    values = np.stack([flat(update) for update in honest])
    apart = max(np.linalg.norm(one - other) for one, other in itertools.combinations(values, 2))
    longest = max(np.linalg.norm(each) for each in values)
    for far in (1e2, 1e8):
        harmful = {name: np.full(value.shape, -far) for name, value in honest[0].items()}
        found = flat(dict(rule.server(SETUP).combine(contributions_of([*honest, harmful]))))
        assert np.linalg.norm(found - values.mean(axis=0)) <= max(apart, longest)


@each_rule
def test_the_harmful_one_counts_least(rule: Robust) -> None:
    honest = random_updates(6, 1)
    harmful = {name: -50 * value for name, value in honest[0].items()}
    side = rule.server(SETUP)
    side.combine(contributions_of([*honest, harmful]))
    shares = dict(side.shares())
    assert set(shares) == {f"site-{number}" for number in range(1, 8)}
    assert all(0 <= share <= 1 for share in shares.values())
    assert shares["site-7"] == min(shares.values())
    assert shares["site-7"] < 0.1


def refused(*arguments: str) -> str:
    with pytest.raises(InputError) as error:
        read_experiment(list(arguments))
    return str(error.value)


@pytest.mark.parametrize(
    ("algorithm", "option", "sites", "least"),
    [
        ("median", "byzantine", 2, 3),
        ("geometric_median", "byzantine", 2, 3),
        ("trimmed_mean", "trim", 2, 3),
        ("krum", "byzantine", 4, 5),
        ("multi_krum", "byzantine", 4, 5),
    ],
)
def test_a_round_of_fewer_sites_than_the_theory_speaks_of_is_refused(
    algorithm: str, option: str, sites: int, least: int
) -> None:
    chosen = ("--algorithm", algorithm)
    for few in (("--n_clients", str(sites)), ("--n_clients", "9", "--sites_per_round", str(sites))):
        said = refused(*chosen, *few)
        assert f"--algorithm {algorithm} with --{option} 1 needs {least} updates in a round, and {sites} sites" in said
    enough = (*chosen, "--n_clients", "9", "--sites_per_round", str(least))
    assert f"--min_clients {least - 1} lets one count with fewer; give {least}" in refused(
        *enough, "--min_clients", str(least - 1)
    )
    read_experiment([*enough, "--min_clients", str(least)])
    assert "needs" in refused(*enough, f"--{option}", "2")


def test_a_refusal_says_what_would_do_instead() -> None:
    assert "or --algorithm geometric_median, which needs 3." in refused("--algorithm", "krum", "--n_clients", "4")
    assert "or a --trim of at most 3." in refused("--algorithm", "trimmed_mean", "--trim", "4", "--n_clients", "8")
    assert "--algorithm norm_clip" in refused("--algorithm", "median", "--n_clients", "1")


@pytest.mark.parametrize("algorithm", UNWEIGHTED)
def test_rules_that_count_sites_as_equals_refuse_other_weights(algorithm: str) -> None:
    chosen = ("--algorithm", algorithm, "--n_clients", "5")
    assert "counts sites as equals" in refused(*chosen, "--aggregation_weights", "cases")
    read_experiment([*chosen, "--aggregation_weights", "uniform"])


@pytest.mark.parametrize("algorithm", ["geometric_median", "norm_clip"])
def test_weighted_rules_take_the_sites_sizes(algorithm: str) -> None:
    read_experiment(["--algorithm", algorithm, "--n_clients", "5", "--aggregation_weights", "cases"])


@pytest.mark.parametrize("algorithm", NAMES)
@pytest.mark.parametrize("privacy", ["gaussian --dp_noise_multiplier 1", "svt", "percentile"])
def test_mechanisms_that_change_single_updates_are_refused(algorithm: str, privacy: str) -> None:
    said = refused("--algorithm", algorithm, "--n_clients", "5", "--privacy", *privacy.split())
    assert (
        f"--algorithm {algorithm} tells harmful updates by how single ones differ, and --privacy {privacy[:3]}" in said
    )


def test_the_screen_names_the_number_that_a_rule_withstands() -> None:
    shown = {rule.name: rule.statement() for rule in RULES}
    assert shown["krum"] == "krum, byzantine 1: a round needs 5 updates"
    assert shown["trimmed_mean"] == "trimmed_mean, trim 1: a round needs 3 updates"
    assert shown["norm_clip"] == "norm_clip: no update counts as longer than the round's median norm"
    assert NormClip(clip_norm=2.5).statement().endswith("a norm of 2.5")


def test_running_statistics_that_no_rule_judges_are_warned_of(toy_experiment: Callable[..., Experiment]) -> None:
    for arguments, warned in ((("--batch_norm",), 1), ((), 0)):
        experiment = toy_experiment("--algorithm", "norm_clip", *arguments)
        assert len(experiment.algorithm.warnings(experiment)) == warned
