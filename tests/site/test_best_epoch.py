"""``--send best``: a site answers with its epoch that scored best, and its training goes on as without the scoring."""

# ruff: noqa: F811, the arguments of tests are fixtures of another file

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fedmed.algorithms.base import Algorithm, SiteSide
from fedmed.algorithms.fedavg import FedAvg
from fedmed.core.errors import InputError
from fedmed.core.site_scores import CASES, EPOCHS
from fedmed.core.weights import Weights
from fedmed.experiment import Experiment
from fedmed.site.best_epoch import BestEpoch
from fedmed.site.local_training import LocalSite
from fedmed.tasks.base import Task
from tests.site.test_site import NOISE, ON_UPDATES, Make, kept, make_site, start, train, written  # noqa: F401

MOST = 5
BEST = ("--send", "best", "--aggregation_epochs", str(MOST))


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def trained(make_site: Make, *arguments: str, run: str) -> LocalSite:
    site = make_site(*arguments, run=run)
    train(site)
    return site.local


@pytest.mark.parametrize(
    ("scores", "number"),
    [([0.5, 0.7, 0.6], 2), ([0.7, 0.7, 0.5], 1), ([None, 0.0, None], 2), ([None, None], None), ([], None),
     ([-3.0, -2.0, -2.0], 2)],
)  # fmt: skip
def test_the_highest_score_wins_and_of_equals_the_earlier(scores: list[float | None], number: int | None) -> None:
    asked, best = list[int](), BestEpoch()

    def weights_of(epoch: int) -> Callable[[], Weights]:
        return lambda: asked.append(epoch) or {"epoch": torch.tensor(epoch)}  # type: ignore[func-returns-value]

    for epoch, score in enumerate(scores, start=1):
        best.offer(epoch, score, weights_of(epoch))
    assert best.number == number
    assert best.weights == ({} if number is None else {"epoch": torch.tensor(number)})
    assert asked[-1:] == ([] if number is None else [number])


def test_it_is_the_epoch_that_a_training_of_so_many_epochs_ends_with(make_site: Make) -> None:
    """Every epoch is made by a training of its own that ends with it, and scored after the round."""
    chosen = []
    for seed in ("0", "1", "2", "3"):
        options = ("--batch_norm", "--seed", seed, "--learning_rate", "0.05")
        numbers = [str(number) for number in range(1, MOST + 1)]
        alone = [trained(make_site, *options, "--aggregation_epochs", n, run=f"{seed}-{n}") for n in numbers]
        scores = [site.evaluate() for site in alone]
        best = max(range(MOST), key=lambda n, found=scores: found[n]["val_auroc"])  # type: ignore[misc]
        site = make_site(*options, *BEST, run=f"{seed}-best")
        answer = train(site)
        assert answer.metrics["sent_epoch"] == best + 1
        assert same(site.local.own_model(), alone[best].own_model())
        assert answer.steps == alone[-1]._of == MOST * alone[0]._of
        for name in ("val_auroc", "val_accuracy", "val_loss"):
            assert [each[name] for each in answer.metrics[EPOCHS]] == [each[name] for each in scores]
        chosen.append(best + 1)
    assert len(set(chosen)) > 1
    assert min(chosen) < MOST


def test_the_update_is_that_of_the_chosen_epoch(make_site: Make) -> None:
    site = make_site(*BEST, "--batch_norm")
    answer, came_to, sent = train(site), site.local.own_model(), start(site)
    for name, values in answer.update.items():
        assert values.tobytes() == (came_to[name].numpy() - sent[name]).tobytes()


def test_scoring_an_epoch_draws_nothing_from_the_random_numbers_of_the_steps(
    make_site: Make, toy_task: type[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout in the network, and a scoring that draws: the last epoch's training is that without scoring."""
    build, evaluate = toy_task.build_model, toy_task.evaluate

    def with_dropout(self: Task) -> nn.Module:
        network = build(self)
        network.layers.insert(3, nn.Dropout(0.5))  # type: ignore[operator, union-attr]
        return network

    monkeypatch.setattr(toy_task, "build_model", with_dropout)
    monkeypatch.setattr(toy_task, "evaluate", lambda *given: (torch.rand(3), evaluate(*given))[1])
    plain, best = make_site("--aggregation_epochs", str(MOST)), make_site(*BEST, run="best")
    one, other = (train(site).metrics[EPOCHS] for site in (plain, best))
    assert [each["train_loss"] for each in one] == [each["train_loss"] for each in other]


def test_a_layer_that_an_algorithm_holds_in_eval_mode_stays_in_it(
    make_site: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Frozen(SiteSide):
        def start_round(self, message: Any) -> None:
            self.setup.model.layers[1].eval()  # type: ignore[operator, index, union-attr]

    monkeypatch.setattr(FedAvg, "site", lambda self, setup: Frozen(setup))
    site = make_site("--batch_norm", *BEST)
    train(site)
    assert not site.local.model.layers[1].training  # type: ignore[union-attr, index]
    assert site.local.model.layers[0].training  # type: ignore[union-attr, index]
    assert torch.equal(site.local.own_model()["layers.1.running_mean"], torch.zeros(4))


def test_an_epoch_that_has_diverged_is_not_chosen(make_site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(SiteSide):
        steps = 0

        def after_step(self) -> None:
            self.steps += 1
            if self.steps == 5:  # in the third epoch of two steps
                self.setup.model.layers[0].weight.data.fill_(torch.nan)  # type: ignore[operator, index, union-attr]

    monkeypatch.setattr(FedAvg, "site", lambda self, setup: Broken(setup))
    site = make_site(*BEST)
    answer = train(site)
    assert answer.metrics["sent_epoch"] <= 2
    assert all(torch.isfinite(values).all() for values in site.local.own_model().values())
    assert ["val_auroc" in epoch for epoch in answer.metrics[EPOCHS]] == [True, True, False, False, False]


def test_where_no_epoch_has_a_score_the_last_one_is_sent(make_site: Make, toy_data: Path) -> None:
    path = toy_data / "datalist" / "site-1.json"
    lists = json.loads(path.read_text())
    one_class = [entry for entry in lists["validation"] if entry["label"] == 0]
    path.write_text(json.dumps({**lists, "validation": one_class}))
    best, last = make_site(*BEST), make_site("--aggregation_epochs", str(MOST), run="last")
    answer = train(best)
    train(last)
    assert answer.metrics["sent_epoch"] == MOST
    assert same(best.local.own_model(), last.local.own_model())
    assert all("val_auroc" not in epoch and epoch["val_loss"] > 0 for epoch in answer.metrics[EPOCHS])


def test_all_validation_cases_choose_where_sites_share_the_scoring_of_the_global_model(make_site: Make) -> None:
    shared, whole = make_site(*BEST), make_site(*BEST, run="whole")
    one, other = train(shared, shares={"site-1": (0, 2), "site-2": (1, 2)}), train(whole)
    assert (one.metrics[CASES], other.metrics[CASES]) == (3, 6)
    assert one.metrics[EPOCHS] == other.metrics[EPOCHS]


@pytest.mark.parametrize("lost", [False, True], ids=["resumed", "a round was lost"])
def test_another_process_goes_on_with_the_same_bits(make_site: Make, lost: bool) -> None:
    whole = make_site(*BEST, run="whole")
    first = [train(whole, rounds).update for rounds in range(3)]
    begun = make_site(*BEST)
    second = [train(begun, rounds).update for rounds in range(2)]
    if lost:
        train(begun, 2)
    second.append(train(make_site(*BEST), 2).update)
    for one, other in zip(first, second, strict=True):
        assert all(values.tobytes() == other[name].tobytes() for name, values in one.items())


def test_the_last_epoch_is_sent_by_default_and_no_epoch_is_scored(make_site: Make) -> None:
    answer = train(make_site("--aggregation_epochs", "3"))
    assert "sent_epoch" not in answer.metrics
    assert [set(each) for each in answer.metrics[EPOCHS]] == 3 * [{"train_loss", "train_accuracy"}]


# what leaves


@pytest.mark.parametrize("mechanism", ON_UPDATES)
def test_a_mechanism_on_the_update_covers_that_of_the_chosen_epoch(make_site: Make, mechanism: str) -> None:
    """Those without a formal guarantee withhold no figure; under gaussian noise all of the choice stays inside."""
    site = make_site(*BEST, "--privacy", mechanism, *ON_UPDATES[mechanism])
    answer = train(site)
    assert answer.update
    if mechanism == "gaussian":
        assert answer.metrics == {CASES: 0}
        assert set(written(site)) <= {"privacy_epsilon"}
    else:
        assert len(answer.metrics[EPOCHS]) == MOST


def test_a_curve_of_the_sites_own_model_has_a_name_of_its_own(make_site: Make) -> None:
    site = make_site(*BEST)
    train(site)
    events = written(site)
    assert [step for _, step in events["epoch_val_accuracy"]] == [2, 4, 6, 8, 10]
    assert [step for _, step in events["val_accuracy"]] == [0]


# what is refused before a run


def test_private_training_is_refused(toy_experiment: Callable[..., Experiment]) -> None:
    with pytest.raises(InputError, match=r"--send best chooses a site's epoch by its validation cases.*dpsgd"):
        toy_experiment("--send", "best", "--privacy", "dpsgd", *NOISE, "--dp_delta", "1e-3")
    assert toy_experiment("--send", "last", "--privacy", "dpsgd", *NOISE, "--dp_delta", "1e-3")


def test_an_algorithm_that_needs_the_last_step_is_refused(
    toy_experiment: Callable[..., Experiment], toy_algorithm: type[Algorithm]
) -> None:
    with pytest.raises(InputError, match="--algorithm toy_algorithm needs those after the last step for its drift"):
        toy_experiment("--send", "best", "--algorithm", "toy_algorithm")
    for other in ("fedavg", "fedprox", "local"):
        assert toy_experiment("--send", "best", "--algorithm", other).training.send == "best"
