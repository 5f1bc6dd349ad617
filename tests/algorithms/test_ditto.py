"""Ditto: a personal model at every site, beside a global one that knows nothing of it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.names import BEST_OWN, LAST_OWN, LEDGER
from fedmed.core.site_scores import CASES, PERSONAL
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import read_ledger
from fedmed.site.local_training import LocalSite
from fedmed.site.site import Site
from fedmed.site.site_events import SiteEvents
from fedmed.site.state_memory import StateMemory
from fedmed.site.workbench import Workbench
from fedmed.tasks.base import Task
from tests.algorithms.whole_federation import NoEvents, WholeFederation

Make = Callable[..., Experiment]
Begin = Callable[..., WholeFederation]
Run = Callable[[float], WholeFederation]
Model = Mapping[str, np.ndarray]

SITES = ("site-1", "site-2")
USUAL = ("--batch_norm", "--algorithm", "ditto", "--num_rounds", "3")
KEY = "val_auroc"


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where equal runs are equal to the bit."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def begin(toy_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Begins, or goes on with, a federation of the toy task."""

    def made(*arguments: str, place: str = "run", kind: type[WholeFederation] = WholeFederation) -> WholeFederation:
        return kind(toy_experiment(*USUAL, *arguments), tmp_path / place, monkeypatch)

    return made


def same(one: Model, other: Model) -> bool:
    assert set(one) == set(other)
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "options",
    [(), ("--send", "best", "--aggregation_epochs", "2"), ("--schedule", "cosine", "--sites_per_round", "1")],
    ids=["usual", "best epoch", "one site a round"],
)
def test_the_global_model_and_its_scores_are_those_of_fedavg_to_the_bit(begin: Begin, options: tuple[str, ...]) -> None:
    ditto, fedavg = begin(*options).run(), begin(*options, "--algorithm", "fedavg", place="fedavg").run()
    assert same(ditto.model, fedavg.model)
    assert reports(ditto) == reports(fedavg)
    for fact in ("round", "best", "bytes"):
        assert [record[fact] for record in ditto.records] == [record[fact] for record in fedavg.records]
    assert all(not same(ditto.own(site), ditto.model) for site in SITES)


def reports(run: WholeFederation) -> list[dict[str, Any]]:
    """What each site reported of the global model in each round."""
    found = [record["sites"][site] for record in run.records for site in sorted(record["sites"])]
    return [{name: value for name, value in report.items() if name != PERSONAL} for report in found]


def test_with_lambda_0_the_personal_models_and_their_scores_are_those_of_sites_alone(begin: Begin) -> None:
    """With running statistics of their own, and an optimiser's state that the global model's training leaves alone."""
    ditto, local = begin("--ditto_lambda", "0").run(), begin("--algorithm", "local", place="local").run()
    for site in SITES:
        for which in (BEST_OWN, LAST_OWN):
            assert same(ditto.own(site, which), local.own(site, which))
        alone = [record["sites"][site][KEY] for record in local.records]
        beside = [record["sites"][site].get(PERSONAL) for record in ditto.records]
        assert beside == [None, *alone[1:]]  # there is none before the first training


class Line(nn.Module):
    """(B, 1, H, W) -> (B, 2): a weight for each output times the mean of the picture, so that losses are quadratic."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, -0.25]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.weight * image.mean(dim=(1, 2, 3))[:, None]


def squares(output: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return 0.5 * (output - 3 * nn.functional.one_hot(label.long(), 2)).square().sum(dim=1).mean()


RATE, ROUNDS, EPOCHS = 0.05, 3, 2


@pytest.fixture
def quadratic(begin: Begin, toy_task: type[Task], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs Ditto with a lambda on quadratic losses, with a step an epoch and without weight decay."""
    monkeypatch.setattr(toy_task, "build_model", lambda self: Line())
    monkeypatch.setattr(toy_task, "loss", lambda self: squares)
    options = ("--optimizer", "sgd", "--learning_rate", str(RATE), "--weight_decay", "0", "--batch_size", "8")

    def run(pull: float) -> WholeFederation:
        epochs = ("--num_rounds", str(ROUNDS), "--aggregation_epochs", str(EPOCHS), "--precision", "fp32")
        return begin(*options, *epochs, "--ditto_lambda", str(pull), place=f"lambda-{pull}").run()

    return run


@pytest.mark.parametrize("pull", [0.0, 0.7])
def test_on_quadratic_losses_it_is_the_papers_algorithm(pull: float, quadratic: Run) -> None:
    run = quadratic(pull)
    losses = [loss_of(run.sites[site].local) for site in SITES]
    assert abs(losses[0][0] - losses[1][0]) > 1e-3  # the sites are not alike
    shared, personal = by_the_paper(pull, losses)
    np.testing.assert_allclose(run.model["weight"], shared, rtol=1e-5)
    for site, expected in zip(SITES, personal, strict=True):
        np.testing.assert_allclose(run.own(site)["weight"], expected, rtol=1e-5)


Loss = tuple[float, np.ndarray]
"""a and b of the loss a/2 |v|^2 - b v + constant."""


def loss_of(site: LocalSite) -> Loss:
    site.order.restart(0)
    (batch,) = site.batches  # all cases; a mirrored picture has the same mean
    means = np.asarray(batch["image"], np.float64).mean(axis=(1, 2, 3))
    truths = 3 * np.eye(2)[np.asarray(batch["label"], int)]
    return float((means**2).mean()), (means[:, None] * truths).mean(axis=0)


def by_the_paper(pull: float, losses: list[Loss]) -> tuple[np.ndarray, list[np.ndarray]]:
    """w and each v after algorithm 1 of Li et al. 2021, with SGD with Nesterov momentum 0.9 for both."""
    w = np.array([0.5, -0.25])
    personal = [w.copy() for _ in losses]
    momenta = {(site, model): np.zeros(2) for site in range(len(losses)) for model in "wv"}
    for _ in range(ROUNDS):
        trained = []
        for site, (a, b) in enumerate(losses):
            own = w.copy()
            for _ in range(EPOCHS):
                own = stepped(own, a * own - b, momenta[site, "w"])
                v = personal[site]
                personal[site] = stepped(v, a * v - b + pull * (v - w), momenta[site, "v"])
            trained.append(own)
        w = np.mean(trained, axis=0)  # all sites take as many steps
    return w, personal


def stepped(at: np.ndarray, gradient: np.ndarray, momentum: np.ndarray) -> np.ndarray:
    momentum *= 0.9
    momentum += gradient
    return at - RATE * (gradient + 0.9 * momentum)


def test_the_larger_lambda_the_nearer_are_personal_models_to_the_global_one(
    quadratic: Run,
) -> None:
    apart = []
    for pull in (0.0, 3.0, 10.0):
        run = quadratic(pull)
        begun_with = next(q for q in reversed(run.questions) if q.kind == "train").weights["weight"]
        apart.append(sum(float(np.square(run.own(site)["weight"] - begun_with).sum()) for site in SITES))
    assert apart[0] > apart[1] > apart[2]
    assert apart[0] > 2 * apart[2]


def test_sites_that_take_turns_in_one_network_end_with_the_same_bits(begin: Begin) -> None:
    assert begin(place="turns", kind=InTurns).run().bits == begin().run().bits


class InTurns(WholeFederation):
    """One network and one optimiser, through which the sites pass."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.bench, self.memory = Workbench(self.experiment), StateMemory(10**6)
        self.on = lambda moment, question: [site.local.park() for site in self.sites.values() if moment == "answered"]

    def site(self, name: str) -> Site:
        local = LocalSite(self.experiment, name, "job", bench=self.bench, memory=self.memory)
        return Site(local, SiteEvents(name, "job", NoEvents()), self.said.append)


def test_the_best_personal_model_is_the_one_of_the_highest_score(begin: Begin) -> None:
    run = begin("--num_rounds", "4").run()
    for site in SITES:
        told = [record["sites"][site][PERSONAL] for record in run.records[1:]]
        assert scored(run, site, LAST_OWN) == told[-1]
        assert scored(run, site, BEST_OWN) == max(told)


def scored(run: WholeFederation, site: str, which: str) -> float:
    local = run.sites[site].local
    local.load({name: torch.from_numpy(values) for name, values in run.own(site, which).items()})
    return local.evaluate()[KEY]


def test_it_is_scored_on_all_of_the_sites_cases_where_sites_share_those_of_the_global_model(
    begin: Begin, small_experiment: Make
) -> None:
    run = begin().run()
    local, whole = run.sites["site-1"].local, scored(run, "site-1", LAST_OWN)
    begins = {name: torch.from_numpy(values) for name, values in run.model.items()}
    local.begin(begins, 3)
    found = local.score({"site-1": (0, 2)})
    assert (found[CASES], found[PERSONAL]) == (3, whole)  # of six cases
    assert all(torch.equal(values, begins[name]) for name, values in local.weights().items())
    assert small_experiment("--algorithm", "ditto").splits_validation
    assert not small_experiment("--algorithm", "local").splits_validation


def test_its_score_is_a_curve_and_counts_in_the_time_of_a_validation(begin: Begin) -> None:
    curves: list[tuple[str, float, int]] = []

    class Curves(NoEvents):
        def add_scalar(self, tag: str, scalar: float, global_step: int) -> None:
            curves.append((tag, scalar, global_step))

    class Observed(WholeFederation):
        def site(self, name: str) -> Site:
            ticks = iter(range(10**6))
            local = LocalSite(self.experiment, name, "job", clock=lambda: next(ticks))
            return Site(local, SiteEvents(name, "job", Curves()), self.said.append)

    run = begin("--n_clients", "2", kind=Observed).run()
    drawn = [(scalar, step) for tag, scalar, step in curves if tag == PERSONAL]
    told = [(record["sites"][site][PERSONAL], record["round"]) for record in run.records[1:] for site in SITES]
    assert drawn == told
    assert [record["sites"]["site-1"]["val_seconds"] for record in run.records] == [1, 2, 2, 2]  # ticks


def test_progress_counts_the_steps_of_both_models_and_weights_those_of_one(begin: Begin) -> None:
    steps: list[tuple[int, int]] = []

    class Counted(WholeFederation):
        def site(self, name: str) -> Site:
            made = super().site(name)
            made.local.on_step = lambda done, of: steps.append((done, of))
            return made

    run = begin("--num_rounds", "1", kind=Counted).run()
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)] * 2
    assert {answer.steps for _, answer in run.answers if answer.steps} == {2}


@pytest.mark.parametrize("privacy", ["gaussian", "svt", "percentile"])
def test_mechanisms_that_act_on_updates_say_that_the_personal_model_is_not_covered(
    privacy: str, toy_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = ("--dp_noise_multiplier", "1") if privacy == "gaussian" else ()
    options = ("--algorithm", "ditto", "--num_rounds", "1", "--privacy", privacy)
    run = WholeFederation(toy_experiment(*options, *noise), tmp_path, monkeypatch).run()
    told = "not sent and so not covered: each site's personal model"
    assert told in run.experiment.privacy.statement()
    place = tmp_path / "sites" / "job" / "site-1"
    assert read_ledger(place / LEDGER, "job").mechanism["not_sent_and_not_covered"] in told
    assert same(run.own("site-1"), run.sites["site-1"].local.personal.weights)
    withheld = privacy == "gaussian"
    assert (place / BEST_OWN).exists() is not withheld  # there is no best one without scores
    assert any(PERSONAL in (answer.metrics or {}) for _, answer in run.answers) is not withheld


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            ["--privacy", "dpsgd", "--dp_noise_multiplier", "1"],
            "--privacy dpsgd makes .* no accounting",
        ),
        (["--n_clients", "1"], "--n_clients is 1; give more sites, or --algorithm fedavg"),
        (["--cross_site"], "--cross_site sends every site's own model whole, and the personal models"),
        (["--ditto_lambda", "-0.1"], "--ditto_lambda is -0.1;"),
        (["--ditto_lambda", "nan"], "--ditto_lambda is nan;"),
    ],
    ids=["dpsgd", "one site", "cross-site", "negative", "NaN"],
)
def test_what_cannot_be_is_refused_with_the_reason(options: list[str], why: str) -> None:
    with pytest.raises(InputError, match=why):
        read_experiment(["--algorithm", "ditto", *options])


def test_a_site_that_has_lost_its_personal_model_says_so(begin: Begin, tmp_path: Path) -> None:
    run = begin("--num_rounds", "2")
    run.run()
    for path in (tmp_path / "run" / "sites" / "job" / "site-1" / "state").glob("*"):
        path.unlink()
    again = run.site("site-1").local
    with pytest.raises(InputError, match="site-1 keeps nothing of its own model after round 2"):
        again.take_up(2)
