"""The contract of an algorithm, by one that uses all of it: a run that is cut off goes on with the same bits."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fedmed.algorithms.base import Algorithm, Contribution
from fedmed.core import registry
from fedmed.core.errors import InputError
from fedmed.core.names import STATE_VARIABLE
from fedmed.core.weights import Update, l2_norm, load_weights, save_weights
from fedmed.experiment import Experiment
from fedmed.server.aggregation import Aggregation, UnusableUpdate
from fedmed.server.checkpoint import Checkpoints
from fedmed.site.local_training import LocalSite

Arrays = dict[str, np.ndarray]
Make = Callable[..., Experiment]

PRIVATE = ("layers.8.weight", "layers.8.bias")
ALGORITHMS = pytest.mark.parametrize(
    "algorithm", ["fedavg", "fedprox", "local", "fedopt", "scaffold", "ditto", "toy_algorithm"]
)


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where equal runs are equal to the bit."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def toy(toy_experiment: Make, toy_algorithm: type[Algorithm]) -> Make:
    """Makes an experiment with BatchNorm and the toy algorithm; further arguments win."""

    def make(*arguments: str) -> Experiment:
        return toy_experiment("--batch_norm", "--algorithm", "toy_algorithm", "--num_rounds", "4", *arguments)

    return make


@pytest.fixture
def federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Experiment, str], "Federation"]:
    """The processes of a run: its server and sites, which go on from their state on disk where there is one."""

    def begin(experiment: Experiment, run: str) -> Federation:
        monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / run))
        return Federation(experiment, tmp_path / run)

    return begin


class Federation:
    """A server and its sites in one process, without any transport."""

    def __init__(self, experiment: Experiment, place: Path) -> None:
        torch.manual_seed(experiment.training.seed)
        network = experiment.task.build_model()
        self.place = place
        self.checkpoints = Checkpoints(place / "server")
        self.checkpoints.folder.mkdir(parents=True, exist_ok=True)
        self.aggregation = Aggregation(
            experiment.algorithm,
            experiment.algorithm.parts(network).shared,
            experiment.training.num_rounds,
            2,
            max_update_ratio=100,
        )
        earlier = self.checkpoints.load()
        self.rounds = earlier.rounds if earlier else 0
        if earlier:
            self.aggregation.restore(earlier.algorithm)
        weights = load_weights(earlier.last) if earlier else network.state_dict()
        self.model = {name: values.detach().clone().numpy() for name, values in weights.items()}
        self.sites = [LocalSite(experiment, name, "job") for name in experiment.training.sites]

    def train(self) -> None:
        """Half a round: all sites train and answer, and the server has not combined yet."""
        self.aggregation.begin(self.model)
        message = {name: np.array(values) for name, values in self.aggregation.side.message().items()}
        for site in self.sites:
            self.answer(site, message)

    def answer(self, site: LocalSite, message: Mapping[str, np.ndarray]) -> SimpleNamespace:
        received = {name: torch.from_numpy(values.copy()) for name, values in self.model.items()}
        site.begin(received, self.rounds)
        site.score()
        trained = site.train(self.rounds, message)
        outgoing = {name: torch.as_tensor(values).numpy() for name, values in site.outgoing(received).items()}
        update = {name: np.asarray(values - self.model[name]) for name, values in outgoing.items()}
        extras = {name: np.array(values) for name, values in site.extras().items()}
        self.aggregation.add(site.site, update, trained.steps, site.side.setup.cases, extras)
        return SimpleNamespace(update=update, extras=extras, steps=trained.steps, cases=site.side.setup.cases)

    def finish_round(self) -> None:
        """The other half: the server combines, and all that the next round needs is on its disk."""
        self.aggregation.settle()
        self.model |= {name: np.asarray(self.model[name] + v) for name, v in self.aggregation.combined().items()}
        self.rounds += 1
        last = self.place / f"model-{self.rounds}.pt"
        save_weights({name: torch.from_numpy(values) for name, values in self.model.items()}, last)
        self.checkpoints.add({"round": self.rounds - 1, "best": False, "privacy": {}})
        self.checkpoints.save(self.rounds, last, None, self.place / "events", self.aggregation.side.state())

    def run(self, until: int) -> "Federation":
        while self.rounds < until:
            self.train()
            self.finish_round()
        return self

    def result(self) -> dict[str, Arrays]:
        """The global model and each site's own."""
        own = {site.site: {n: np.asarray(v) for n, v in site.own_model().items()} for site in self.sites}
        return {"global": self.model, **own}


def same(one: Mapping[str, Arrays], other: Mapping[str, Arrays]) -> bool:
    assert {model: set(values) for model, values in one.items()} == {m: set(values) for m, values in other.items()}
    return all(values.tobytes() == other[model][name].tobytes() for model in one for name, values in one[model].items())


Begin = Callable[[Experiment, str], Federation]


@ALGORITHMS
def test_cut_off_between_two_rounds_a_run_ends_as_if_it_had_not_been(
    algorithm: str, toy: Make, federation: Begin
) -> None:
    experiment = toy("--algorithm", algorithm)
    whole = federation(experiment, "whole").run(4).result()
    federation(experiment, "cut").run(1)
    federation(experiment, "cut").run(2)  # in new processes
    assert same(federation(experiment, "cut").run(4).result(), whole)


@ALGORITHMS
@pytest.mark.parametrize("answered", [1, 2])
def test_so_it_does_cut_off_within_a_round_whichever_sites_had_trained_for_it(
    answered: int, algorithm: str, toy: Make, federation: Begin
) -> None:
    experiment = toy("--algorithm", algorithm)
    whole = federation(experiment, "whole").run(4).result()
    cut = federation(experiment, "cut").run(2)
    cut.sites = cut.sites[:answered]
    cut.train()  # for a round that the server never finishes
    assert same(federation(experiment, "cut").run(4).result(), whole)


@ALGORITHMS
def test_so_it_does_where_the_servers_process_alone_is_another(algorithm: str, toy: Make, federation: Begin) -> None:
    experiment = toy("--algorithm", algorithm)
    whole = federation(experiment, "whole").run(4).result()
    cut = federation(experiment, "cut").run(2)
    cut.train()
    again = federation(experiment, "cut")
    again.sites = cut.sites  # which trained a round that the server knows nothing of
    assert same(again.run(4).result(), whole)


def test_both_states_matter_so_that_the_tests_above_can_fail(
    toy: Make, federation: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = toy()
    module = registry.find("algorithm", "toy_algorithm").__module__
    whole = federation(experiment, "whole").run(3).result()
    for number, side in enumerate(("Momentum", "Drift")):
        with monkeypatch.context() as patched:
            patched.setattr(f"{module}.{side}.restore", lambda self, state: None)
            federation(experiment, f"cut-{number}").run(2)
            assert not same(federation(experiment, f"cut-{number}").run(3).result(), whole)


def test_a_process_that_lost_a_round_and_its_state_goes_on_as_a_new_one_would(toy: Make, federation: Begin) -> None:
    found = []
    for run in ("same", "new"):
        used = federation(toy("--toy_private", "none"), run)
        used.train()  # for a round that the server never finishes
        for path in used.place.glob("job/*/state/*"):
            path.unlink()
        again = federation(toy("--toy_private", "none"), run)
        if run == "same":
            again.sites = used.sites
        found.append(again.run(2).result())
    assert same(*found)


def test_private_entries_never_leave_and_each_site_has_its_own(toy: Make, federation: Begin) -> None:
    begun = federation(toy(), "run")
    first = {name: begun.model[name].copy() for name in PRIVATE}
    begun.aggregation.begin(begun.model)
    sent = begun.answer(begun.sites[0], dict(begun.aggregation.side.message()))
    assert not set(PRIVATE) & (set(sent.update) | set(sent.extras))
    assert set(sent.update) == set(begun.model) - set(PRIVATE)
    result = begun.run(3).result()
    assert all(np.array_equal(begun.model[name], first[name]) for name in PRIVATE)  # the server's stay untrained
    one, other = (result[site.site] for site in begun.sites)
    assert not np.array_equal(one[PRIVATE[0]], other[PRIVATE[0]])
    received = {name: torch.from_numpy(values) for name, values in begun.model.items()}
    begun.sites[0].begin(received, 3)  # as the last validation does
    loaded = {name: values.numpy() for name, values in begun.sites[0].weights().items()}
    for name in begun.model:
        assert np.array_equal(loaded[name], one[name] if name in PRIVATE else begun.model[name])


def test_of_results_of_both_kinds_the_best_own_model_is_the_one_that_was_scored(
    toy: Make, federation: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = toy()
    begun = federation(experiment, "run").run(1)
    site = begun.sites[0]
    site.begin({name: torch.from_numpy(values) for name, values in begun.model.items()}, 1)
    scored = site.weights()
    site.score()
    kept = load_weights(begun.place / "job" / "site-1" / "best_local_model.pt")
    assert all(torch.equal(kept[name], scored[name]) for name in scored)
    assert not all(torch.equal(kept[name], torch.as_tensor(values)) for name, values in site.own_model().items())


def broken(extras: Arrays, how: str) -> Arrays:
    name = next(iter(extras))
    if how == "NaN":
        return {**extras, name: np.full_like(extras[name], np.nan)}
    if how == "shape":
        return {**extras, name: extras[name][:1]}
    if how == "missing":
        return {each: values for each, values in extras.items() if each != name}
    if how == "none":
        return {}
    if how == "type":
        return {**extras, name: np.full(extras[name].shape, "text")}
    return {**extras, "more": np.ones(1)}


@pytest.mark.parametrize(
    ("how", "why"),
    [("NaN", "NaN or infinite"), ("shape", "has the shape"), ("missing", "missing"), ("none", "missing"),
     ("type", "expected floats"), ("unknown", r"unknown \['more'\]")],
)  # fmt: skip
def test_extras_are_guarded_as_updates_are(how: str, why: str, toy: Make, federation: Begin) -> None:
    begun = federation(toy(), "run")
    begun.aggregation.begin(begun.model)
    sent = begun.answer(begun.sites[0], dict(begun.aggregation.side.message()))
    with pytest.raises(UnusableUpdate, match=rf"site-2 is refused: of what its algorithm sends beside, .*{why}"):
        begun.aggregation.add("site-2", sent.update, sent.steps, sent.cases, broken(sent.extras, how))
    begun.finish_round()  # with the other site
    assert begun.aggregation.refused.keys() == {"site-2"}
    assert all(np.isfinite(values).all() for values in begun.model.values())


def test_extras_that_are_far_larger_than_the_others_are_refused(toy: Make, federation: Begin) -> None:
    begun = federation(toy(), "run")
    begun.aggregation.begin(begun.model)
    sent = begun.answer(begun.sites[0], dict(begun.aggregation.side.message()))
    large = {name: values * 1000 for name, values in sent.extras.items()}
    assert l2_norm(sent.extras) > 0
    for site, extras in (("site-2", sent.extras), ("site-3", large)):
        begun.aggregation.add(site, sent.update, sent.steps, sent.cases, extras)
    begun.aggregation.settle()
    assert begun.aggregation.refused.keys() == {"site-3"}
    assert "of what its algorithm sends beside, its norm" in begun.aggregation.refused["site-3"]


def test_a_contribution_has_site_steps_cases_and_extras(
    toy: Make, federation: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, seen = federation(toy(), "run"), list[Contribution]()
    begun.train()
    kind = type(begun.aggregation.side)
    usual = kind.combine

    def combine(self: Any, contributions: Sequence[Contribution]) -> Update:
        seen.extend(contributions)
        return usual(self, contributions)

    monkeypatch.setattr(kind, "combine", combine)
    begun.finish_round()
    assert [each.site for each in seen] == ["site-1", "site-2"]
    assert {(each.steps, each.cases) for each in seen} == {(2.0, 8.0)}  # two batches of four
    entries = begun.aggregation.entries
    assert all(set(each.update) == set(each.extras) == set(entries.trainable) for each in seen)  # and no buffers


NOISE = ("--dp_noise_multiplier", "1")


@pytest.mark.parametrize(
    "privacy",
    [
        ("dpsgd", *NOISE),
        ("gaussian", *NOISE),
        ("svt",),
        ("percentile",),
        ("exclude_vars", "--exclude_vars", "layers.0"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_every_mechanism_refuses_what_it_does_not_cover(
    privacy: tuple[str, ...], toy_experiment: Make, toy: Make
) -> None:
    toy_experiment("--algorithm", "fedavg", "--privacy", *privacy)
    with pytest.raises(InputError, match=f"toy_algorithm sends its drift beside the update.*--privacy {privacy[0]}"):
        toy_experiment("--algorithm", "toy_algorithm", "--privacy", *privacy)


def test_extras_that_an_algorithm_does_not_declare_do_not_leave(
    toy: Make, federation: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = federation(toy(), "run")
    begun.aggregation.begin(begun.model)
    monkeypatch.setattr(registry.find("algorithm", "toy_algorithm"), "SENDS_EXTRAS", "")
    with pytest.raises(InputError, match=re.escape("without declaring it; name it in SENDS_EXTRAS.")):
        begun.answer(begun.sites[0], dict(begun.aggregation.side.message()))


def test_own_models_with_private_entries_are_not_sent_whole(toy: Make) -> None:
    with pytest.raises(InputError, match="--algorithm toy_algorithm has entries that never leave a site"):
        toy("--cross_site")
