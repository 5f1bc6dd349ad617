"""SCAFFOLD: quadratic losses whose minimiser is known, the paper's algorithm in NumPy, FLARE's helper, lost states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nvflare.app_opt.pt.scaffold import PTScaffoldHelper
from torch import nn

from fedmed.algorithms.base import Algorithm, Contribution, ServerSetup, SiteSetup
from fedmed.algorithms.fedavg import FedAvg
from fedmed.algorithms.scaffold import GENERATION, ROUNDS, Scaffold
from fedmed.core.entries import Entries
from fedmed.core.errors import InputError
from fedmed.core.optimizer import make_optimizer
from fedmed.core.settings import AggregationWeights
from fedmed.core.weights import payload, write_tensors
from fedmed.experiment import Experiment
from fedmed.runs import console
from fedmed.server.aggregation import Aggregation
from tests.algorithms.whole_federation import WholeFederation

Make = Callable[..., Experiment]
Arrays = dict[str, np.ndarray]

SIZE, RATE, STEPS = 3, 0.2, 4


class Quadratic:
    """A site's loss (w - b)^T A (w - b) / 2, with A positive definite."""

    def __init__(self, seed: int) -> None:
        source = np.random.default_rng(seed)
        turned, _ = np.linalg.qr(source.normal(size=(SIZE, SIZE)))
        self.a, self.b = turned @ np.diag([0.5, 1.0, 1.5]) @ turned.T, source.normal(0, 3, SIZE)

    def loss(self, w: torch.Tensor) -> torch.Tensor:
        away = w - torch.from_numpy(self.b)
        return away @ torch.from_numpy(self.a) @ away / 2

    def gradient(self, w: np.ndarray) -> np.ndarray:
        return self.a @ (w - self.b)


PROBLEMS = [Quadratic(seed) for seed in range(4)]


def minimiser(problems: Sequence[Quadratic], weights: Sequence[float] | None = None) -> np.ndarray:
    """Of the weighted sum of their losses."""
    pairs = list(zip(weights or [1.0] * len(problems), problems, strict=True))
    found: np.ndarray = np.linalg.solve(sum(w * p.a for w, p in pairs), sum(w * p.a @ p.b for w, p in pairs))
    return found


def plain_sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=RATE)


def with_momentum(parameters: Any) -> torch.optim.Optimizer:
    return make_optimizer("sgd", [{"params": list(parameters), "lr": RATE / 10}], 0.0)


class QuadraticSite:
    """A site in which every step sees all of the loss; it trains as ``LocalSite`` does."""

    def __init__(self, name: str, problem: Quadratic, algorithm: Algorithm, steps: int, make: Any = plain_sgd) -> None:
        self.name, self.problem, self.steps = name, problem, steps
        self.model = nn.Module()
        self.model.w = nn.Parameter(torch.zeros(SIZE, dtype=torch.float64))
        self.optimizer = make(self.model.parameters())
        self.side = algorithm.site(SiteSetup(self.model, self.optimizer, RATE, 1))

    def answer(self, x: np.ndarray, message: Mapping[str, np.ndarray]) -> Contribution:
        w: Any = self.model.w
        w.data.copy_(torch.from_numpy(x))
        self.side.start_round(message)
        for _ in range(self.steps):
            self.optimizer.zero_grad()
            (self.problem.loss(w) + self.side.penalty()).backward()
            self.optimizer.step()
            self.side.after_step()
        self.side.end_round(self.steps)
        return Contribution(self.name, {"w": w.detach().numpy() - x}, self.steps, 1.0, self.side.extras())


class QuadraticFederation:
    """A server and its sites, from w = 0."""

    def __init__(
        self,
        algorithm: Algorithm | None = None,
        steps: Sequence[int] = (STEPS,) * len(PROBLEMS),
        weights: AggregationWeights = "auto",
        make: Any = plain_sgd,
    ) -> None:
        self.algorithm = algorithm or Scaffold()
        pairs = enumerate(zip(PROBLEMS, steps, strict=True))
        self.sites = [QuadraticSite(f"site-{i}", each, self.algorithm, n, make) for i, (each, n) in pairs]
        self.server: Any = self.algorithm.server(ServerSetup({"w": (SIZE,)}, 1, len(self.sites), weights))
        self.x = np.zeros(SIZE)

    def round(self, who: Sequence[int] = range(len(PROBLEMS)), lost: Sequence[int] = ()) -> QuadraticFederation:
        """A round of some sites; the answers of those that are ``lost`` do not reach the server."""
        message = self.server.message()
        answers = [self.sites[i].answer(self.x, message) for i in who]
        self.x = (
            self.x + self.server.combine([each for i, each in zip(who, answers, strict=True) if i not in lost])["w"]
        )
        return self

    def rounds(self, number: int) -> QuadraticFederation:
        for _ in range(number):
            self.round()
        return self

    def own(self, site: int) -> np.ndarray:
        found: np.ndarray = self.sites[site].side.state()["own"]["w"].numpy()
        return found

    @property
    def mean(self) -> np.ndarray:
        """The server's control variate."""
        return np.asarray(self.server.message()["w"])

    @property
    def generation(self) -> int:
        return int(self.server.message()[GENERATION])

    def lose_state(self, site: int) -> None:
        self.sites[site].side = self.algorithm.site(self.sites[site].side.setup)


def test_it_ends_at_the_minimiser_over_all_sites_where_fedavg_does_not() -> None:
    best = minimiser(PROBLEMS)
    np.testing.assert_allclose(QuadraticFederation().rounds(60).x, best, atol=1e-6)
    usual = QuadraticFederation(FedAvg()).rounds(60)
    assert np.abs(usual.x - usual.round().x).max() < 1e-9  # it has come to rest
    assert np.abs(usual.x - best).max() > 0.05


def test_so_it_does_with_the_momentum_of_our_sgd() -> None:
    found = QuadraticFederation(make=with_momentum).rounds(120)
    np.testing.assert_allclose(found.x, minimiser(PROBLEMS), atol=1e-6)


def reference(rounds: Sequence[Sequence[int]]) -> list[tuple[np.ndarray, np.ndarray, list[np.ndarray]]]:
    """Karimireddy et al. 2020, algorithm 1 with option II and a global rate of 1: x, c and all c_i after each round."""
    x, c = np.zeros(SIZE), np.zeros(SIZE)
    own = [np.zeros(SIZE) for _ in PROBLEMS]
    found = []
    for sampled in rounds:
        moves, changes = [], []
        for i in sampled:
            y = x.copy()
            for _ in range(STEPS):
                y = y - RATE * (PROBLEMS[i].gradient(y) + c - own[i])
            new = own[i] - c + (x - y) / (STEPS * RATE)
            moves.append(y - x)
            changes.append(new - own[i])
            own[i] = new
        x = x + np.mean(moves, axis=0)
        c = c + len(sampled) / len(PROBLEMS) * np.mean(changes, axis=0)
        found.append((x, c, list(own)))
    return found


@pytest.mark.parametrize(
    "rounds", [[range(4)] * 5, [(0, 2), (1, 3), (0, 1, 2), (3,), (0, 3), (1, 2)]], ids=["all", "drawn"]
)
def test_each_round_is_the_papers(rounds: Sequence[Sequence[int]]) -> None:
    """So that for plain SGD the mean gradient is the control variate of option II."""
    run = QuadraticFederation()
    for who, (x, c, own) in zip(rounds, reference(rounds), strict=True):
        run.round(who)
        np.testing.assert_allclose(run.x, x, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(run.mean, c, rtol=1e-9, atol=1e-12)
        for i in who:
            np.testing.assert_allclose(run.own(i), own[i], rtol=1e-9, atol=1e-12)


def test_a_site_steps_as_with_flares_own_helper() -> None:
    """FLARE corrects the weights after the step, here the gradient before it: for plain SGD that is the same."""
    run, theirs = QuadraticFederation().rounds(2), nn.Module()
    theirs.w = nn.Parameter(torch.tensor(run.x))
    helper, sent = PTScaffoldHelper(), torch.from_numpy(run.mean)
    helper.init(theirs)
    helper.load_global_controls({"w": sent})
    helper.c_local.load_state_dict({"w": torch.from_numpy(run.own(1))})
    controls, start, optimizer = helper.get_params(), nn.Module(), plain_sgd(theirs.parameters())
    start.w = nn.Parameter(torch.tensor(run.x))
    for _ in range(STEPS):
        optimizer.zero_grad()
        PROBLEMS[1].loss(theirs.w).backward()
        optimizer.step()
        helper.model_update(theirs, RATE, *controls)
    helper.terms_update(theirs, RATE, *controls, start)
    ours = run.sites[1].answer(run.x, run.server.message())
    np.testing.assert_allclose(run.x + ours.update["w"], theirs.w.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(ours.extras["w"], helper.get_delta_controls()["w"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", [plain_sgd, with_momentum, lambda p: torch.optim.Adam(p, lr=RATE)])
def test_the_control_variate_is_the_mean_of_the_rounds_own_gradients(make: Any) -> None:
    run = QuadraticFederation(make=make).rounds(2)
    site, seen = run.sites[0], list[np.ndarray]()
    usual = site.side.after_step

    def note() -> None:
        usual()
        w: Any = site.model.w
        seen.append(w.grad.numpy().copy())

    before, mean = run.own(0), run.mean
    site.side.after_step = note  # type: ignore[method-assign]
    sent = site.answer(run.x, run.server.message())
    raw = np.mean(seen, axis=0) - (mean - before)
    np.testing.assert_allclose(run.own(0), raw, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(sent.extras["w"], raw - before, rtol=1e-9, atol=1e-12)


UNEQUAL = (2, 3, 5, 4)


@pytest.mark.parametrize(("by", "weights"), [("auto", UNEQUAL), ("steps", UNEQUAL), ("uniform", (1, 1, 1, 1))])
def test_sites_count_in_the_minimiser_as_in_the_mean(by: AggregationWeights, weights: Sequence[float]) -> None:
    found = QuadraticFederation(steps=UNEQUAL, weights=by).rounds(60)
    np.testing.assert_allclose(found.x, minimiser(PROBLEMS, weights), atol=1e-6)


def test_the_servers_is_always_the_mean_of_the_sites() -> None:
    run = QuadraticFederation(steps=UNEQUAL)
    source = np.random.default_rng(0)
    run.round((2,))
    np.testing.assert_allclose(run.mean, run.own(2) / 4)  # the others' are 0
    for _ in range(8):
        run.round(sorted(source.choice(4, 2, replace=False)))
    run.round()
    np.testing.assert_allclose(run.mean, np.average([run.own(i) for i in range(4)], axis=0, weights=UNEQUAL))


FAULTS: dict[str, Callable[[QuadraticFederation], object]] = {
    "state lost": lambda run: run.lose_state(1),
    "answer late or refused": lambda run: run.round(lost=(1,)),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_after_a_fault_all_begin_anew_and_end_at_the_minimiser(fault: str) -> None:
    run = QuadraticFederation().rounds(5)
    FAULTS[fault](run)
    assert run.generation == 0
    run.round()
    assert run.generation == 1
    assert not run.mean.any()
    run.round()
    np.testing.assert_allclose(run.mean, np.mean([run.own(i) for i in range(4)], axis=0))
    np.testing.assert_allclose(run.rounds(60).x, minimiser(PROBLEMS), atol=1e-6)
    assert run.generation == 1


def test_a_site_that_sat_out_begins_anew_with_the_others() -> None:
    run = QuadraticFederation().rounds(3)
    run.lose_state(0)
    run.round((0, 1)).round((0, 1))
    run.round((2, 3))
    assert run.generation == 1
    np.testing.assert_allclose(run.mean, np.mean([run.own(i) for i in range(4)], axis=0))


def test_in_other_processes_all_go_on_with_the_same_bits(tmp_path: Path) -> None:
    whole, cut = QuadraticFederation().rounds(8), QuadraticFederation()
    for _ in range(8):
        cut.round()
        for number, side in enumerate([cut.server, *(site.side for site in cut.sites)]):
            write_tensors(tmp_path / f"{number}.pt", side.state())
        states = [torch.load(tmp_path / f"{number}.pt", weights_only=True) for number in range(5)]
        cut.server = cut.algorithm.server(cut.server.setup)
        cut.server.restore(states[0])
        for number, site in enumerate(cut.sites):
            site.side = cut.algorithm.site(site.side.setup)
            site.side.restore(states[number + 1])
    assert cut.x.tobytes() == whole.x.tobytes()
    assert cut.mean.tobytes() == whole.mean.tobytes()


@given(order=st.permutations(range(4)), seed=st.integers(0, 2**32 - 1))
def test_who_answers_first_changes_nothing(order: list[int], seed: int) -> None:
    source, entries = np.random.default_rng(seed), Entries(("w",))
    drawn = [{name: source.normal(size=3).astype(np.float32) for name in ("update", "change")} for _ in order]

    def result(came: Sequence[int]) -> list[bytes]:
        server = Aggregation(Scaffold(), entries, 2, 4)
        server.begin({"w": np.zeros(3, np.float32)})
        for i in came:
            extras = {"w": drawn[i]["change"], ROUNDS: np.array(0.0)}
            server.add(f"site-{i}", {"w": drawn[i]["update"]}, i + 1, 1, extras)
        return [server.combined()["w"].tobytes(), np.asarray(server.side.message()["w"]).tobytes()]

    assert result(order) == result(range(4))


def test_counts_do_not_hide_a_control_variate_that_is_far_too_large() -> None:
    server = Aggregation(Scaffold(), Entries(("w",)), 2, 3, max_update_ratio=100)
    server.begin({"w": np.zeros(3, np.float32)})
    for i, size in enumerate((1e-3, 1e-3, 1.0)):
        extras = {"w": np.full(3, size), ROUNDS: np.array(500.0)}
        server.add(f"site-{i}", {"w": np.full(3, 1e-3)}, 1, 1, extras)
    server.settle()
    assert "of what its algorithm sends beside, its norm" in server.refused["site-2"]


@pytest.mark.parametrize(
    "spoilt", [{}, {"w": np.zeros(2)}, {"w": np.full(SIZE, np.nan)}, {GENERATION: np.array(np.inf)}]
)
def test_a_site_trains_by_no_other_message(spoilt: Arrays) -> None:
    run = QuadraticFederation()
    message = {**run.server.message(), **spoilt} if spoilt else {}
    with pytest.raises(InputError, match="The server sent no finite"):
        run.sites[0].side.start_round(message)


def test_what_does_not_train_keeps_its_control_variate_and_a_tied_weight_is_corrected_once() -> None:
    model: Any = nn.Module()
    model.one, model.still = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    model.two = model.one
    model.still.requires_grad_(False)
    side = Scaffold().site(SiteSetup(model, plain_sgd(model.parameters()), RATE, 1))
    names = ("one.weight", "two.weight", "still.weight")
    side.start_round({**{name: np.full((2, 2), 0.5, np.float32) for name in names}, GENERATION: np.array(0.0)})
    (model.one.weight.sum() * 3 + side.penalty()).backward()
    side.after_step()
    torch.testing.assert_close(model.one.weight.grad, torch.full((2, 2), 3.5))
    side.end_round(1)
    sent = side.extras()
    assert set(sent) == {*names, ROUNDS}
    for name, change in zip(names, (3.0, 3.0, 0.0), strict=True):
        np.testing.assert_allclose(sent[name], np.full((2, 2), change))
    assert set(side.state()["own"]) == {"one.weight"}


@pytest.fixture
def run(toy_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WholeFederation]:
    """Runs a federation of the toy task with batch normalisation."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def made(place: str, *arguments: str) -> WholeFederation:
        return WholeFederation(toy_experiment("--batch_norm", *arguments), tmp_path / place, monkeypatch).run()

    return made


SGD = ("--optimizer", "sgd", "--learning_rate", "0.1")


def test_before_there_are_control_variates_it_is_fedavg_to_the_bit(run: Callable[..., WholeFederation]) -> None:
    one, two = ("--num_rounds", "1", *SGD), ("--num_rounds", "2", *SGD)
    assert run("scaffold-1", "--algorithm", "scaffold", *one).bits == run("fedavg-1", *one).bits
    assert run("scaffold-2", "--algorithm", "scaffold", *two).bits != run("fedavg-2", *two).bits


def test_in_a_whole_federation_its_arrays_are_counted_and_a_lost_state_is_seen(
    toy_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    experiment = toy_experiment("--batch_norm", "--num_rounds", "3", "--algorithm", "scaffold", *SGD)
    federation = WholeFederation(experiment, tmp_path, monkeypatch)

    def lose(moment: str, question: Any) -> None:
        if (moment, question.kind, question.rounds) == ("asked", "train", 1):
            for path in (tmp_path / "sites" / "job" / "site-2" / "state").iterdir():
                path.unlink()
            federation.sites["site-2"] = federation.site("site-2")  # another process

    federation.on = lose
    federation.run()
    asked = [question for question in federation.questions if question.kind == "train"]
    assert [int(question.extras[GENERATION]) for question in asked] == [0, 0, 1]
    trainable = [name for name, _ in experiment.task.build_model().named_parameters()]
    first = {name: values.numpy() for name, values in federation.first().items()}
    beside = sum(first[name].nbytes for name in trainable) + 4
    assert federation.records[0]["bytes"]["site-1"]["sent"] == payload(first) + beside
    measured = payload({name: values for name, values in first.items() if "running" in name})
    sent = federation.records[1]["bytes"]["site-1"]
    assert sent == {"received": 2 * payload(first) + beside, "sent": payload(first) + beside + measured}


def test_one_site_has_nothing_to_correct(toy_experiment: Make) -> None:
    with pytest.raises(InputError, match=r"--algorithm scaffold corrects .* --n_clients is 1.*choose fedavg"):
        toy_experiment("--algorithm", "scaffold", "--n_clients", "1")


def test_an_earlier_epochs_weights_are_refused(toy_experiment: Make) -> None:
    with pytest.raises(InputError, match=r"--send best .* --algorithm scaffold needs those after the last step"):
        toy_experiment("--algorithm", "scaffold", "--send", "best", "--aggregation_epochs", "2")


@pytest.mark.parametrize("privacy", [("gaussian", "--dp_noise_multiplier", "1"), ("svt",), ("percentile",)])
def test_every_mechanism_refuses_the_control_variates(privacy: tuple[str, ...], toy_experiment: Make) -> None:
    with pytest.raises(InputError, match=f"sends the change of its control variate.*--privacy {privacy[0]} does not"):
        toy_experiment("--algorithm", "scaffold", "--privacy", *privacy)


def test_beside_adam_the_screen_warns_and_names_what_to_give(toy_experiment: Make) -> None:
    def warned(*arguments: str) -> list[str]:
        shown = console.settings(toy_experiment("--algorithm", "scaffold", *arguments), {}, "toy")
        assert "whose changes leave each site beside its update" in shown
        return [line for line in shown.splitlines() if line.startswith("WARNING")]

    (line,) = warned("--learning_rate", "0.001")
    assert "--optimizer adam" in line
    assert "--optimizer sgd --learning_rate 0.01 (up to 0.1)" in line
    assert len(warned("--optimizer", "adamw")) == 1
    assert not warned(*SGD)
