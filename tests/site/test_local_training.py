"""A site's round: reproducible from seed, site and round, and the same whatever only changes the speed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import client
from fedmed.core.errors import InputError
from fedmed.core.names import STATE_VARIABLE
from fedmed.core.site_scores import mean_over_sites
from fedmed.core.weights import load_weights
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite, site_seeds
from fedmed.tasks.brats18 import Brats18
from model import BratsSegResNet

Weights = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def _small_network_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network for tests; on the CPU, where equal runs are equal to the bit."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(Brats18, "build_model", lambda self: BratsSegResNet(init_filters=8, blocks_down=(1, 1, 1, 1)))


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where sites keep what outlives their processes."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def make_site(small_experiment: Callable[..., Experiment], start: Weights) -> Callable[..., LocalSite]:
    """Makes a site that has received the first global model; another one of the same run is its next process."""

    def make(*arguments: str, site: str = "site-1", run: str = "job") -> LocalSite:
        made = LocalSite(
            small_experiment("--learning_rate", "1e-3", "--roi_size", "16", "16", "16", *arguments), site, run
        )
        made.load(start)
        return made

    return make


@pytest.fixture
def start() -> Weights:
    torch.manual_seed(1)
    return {n: v.clone() for n, v in Brats18().build_model().state_dict().items()}


def trained(site: LocalSite, rounds: int = 0) -> Weights:
    site.train(rounds)
    return site.weights()


def same(one: Weights, other: Weights) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def distance(one: Weights, other: Weights) -> float:
    return float(sum(((one[name] - other[name]) ** 2).sum() for name in one))


def batches(site: LocalSite, number: int) -> list[torch.Tensor]:
    site._restart(number)
    return [batch["image"] for batch in site.batches]


def test_a_round_of_the_same_seed_and_site_gives_the_same_weights_and_no_other(
    make_site: Callable[..., LocalSite],
) -> None:
    first = trained(make_site())
    torch.manual_seed(99)  # whatever happened before in the process
    assert same(trained(make_site()), first)
    assert not same(trained(make_site("--seed", "1")), first)
    assert not same(trained(make_site(site="site-2")), first)
    assert not same(trained(make_site(), 1), first)


def test_what_a_round_draws_does_not_depend_on_earlier_rounds(make_site: Callable[..., LocalSite]) -> None:
    used, fresh = make_site(), make_site()
    used.train(0)
    for one, other in zip(batches(used, 1), batches(fresh, 1), strict=True):
        assert torch.equal(one, other)
    assert not any(torch.equal(one, other) for one, other in zip(batches(fresh, 1), batches(fresh, 2), strict=True))


def test_cases_come_in_an_order_of_each_rounds_own(make_site: Callable[..., LocalSite]) -> None:
    site = make_site("--cache_dataset", "1")
    orders = []
    for number in range(8):
        site._restart(number)
        orders.append(tuple(batch["case"][0] for batch in site.batches))
    assert len({frozenset(order) for order in orders}) == 1
    assert len(set(orders)) == 2


def test_dropout_too_follows_from_the_round(make_site: Callable[..., LocalSite]) -> None:
    site = make_site()
    draws = []
    for _ in range(2):
        torch.rand(3)
        site._restart(4)
        draws.append(torch.rand(5))
    assert torch.equal(*draws)


@pytest.mark.parametrize(
    ("batch", "epochs", "steps"), [(1, 1, 2), (2, 1, 1), (1, 3, 6)], ids=["one by one", "in one batch", "3 epochs"]
)
def test_steps_are_batches_times_epochs(
    make_site: Callable[..., LocalSite], batch: int, epochs: int, steps: int
) -> None:
    site = make_site("--batch_size", str(batch), "--aggregation_epochs", str(epochs))
    result = site.train(0)
    assert result.steps == steps
    assert len(result.epoch_losses) == epochs
    counts = {int(state["step"]) for state in site.optimizer.state.values()}
    assert counts == {steps}
    assert all(0 < loss < 1.5 for loss in result.epoch_losses)


def test_training_lowers_the_loss(make_site: Callable[..., LocalSite]) -> None:
    losses = make_site("--aggregation_epochs", "6", "--learning_rate", "3e-3").train(0).epoch_losses
    assert losses[-1] < losses[0]


def test_a_site_reports_scores_and_no_name(make_site: Callable[..., LocalSite]) -> None:
    site = make_site()
    report = site.evaluate()
    assert {"val_dice", "val_dice_tc", "val_dice_wt", "val_dice_et", "val_challenge_dice"} <= set(report)
    assert report["val_cases"] == 2
    assert all(isinstance(value, int | float) for value in report.values())
    assert all(0 <= report[name] <= 1 for name in report if "dice" in name and not name.endswith("_values"))
    assert not any("phantom" in name.lower() or "site" in name for name in report)


def test_evaluation_repeats_itself_and_changes_no_weight(make_site: Callable[..., LocalSite], start: Weights) -> None:
    site = make_site()
    first, again = site.evaluate(), site.evaluate()
    assert {**first, "val_seconds": 0} == {**again, "val_seconds": 0}
    assert same(site.weights(), start)


def test_weights_are_a_copy(make_site: Callable[..., LocalSite], start: Weights) -> None:
    site = make_site()
    taken = site.weights()
    site.train(0)
    assert same(taken, start)
    assert not same(site.weights(), start)


def test_the_optimiser_is_kept_from_round_to_round(make_site: Callable[..., LocalSite]) -> None:
    site = make_site("--batch_size", "2")
    for number in range(2):
        site.train(number)
    assert {int(state["step"]) for state in site.optimizer.state.values()} == {2}


def test_the_cache_changes_no_number(make_site: Callable[..., LocalSite]) -> None:
    plain, cached = make_site("--cache_dataset", "0"), make_site("--cache_dataset", "1")
    for number in range(2):
        assert same(trained(plain, number), trained(cached, number))
    one, other = plain.evaluate(), cached.evaluate()
    assert {**one, "val_seconds": 0} == {**other, "val_seconds": 0}


def test_nor_does_the_disk_where_cases_are_kept(make_site: Callable[..., LocalSite], tmp_path: Path) -> None:
    plain = make_site("--cache_dataset", "0")
    cold, warm = (make_site("--cache_dir", str(tmp_path)) for _ in range(2))
    expected, scores = trained(plain), plain.evaluate()
    for site in (cold, warm):
        assert same(trained(site), expected)
        assert {**site.evaluate(), "val_seconds": 0} == {**scores, "val_seconds": 0}
    assert len(list(tmp_path.glob("*.case"))) == 4  # two cases to train on and two to score


def test_nor_do_processes_that_prepare_cases(make_site: Callable[..., LocalSite]) -> None:
    plain, helped = make_site("--aggregation_epochs", "2"), make_site("--aggregation_epochs", "2", "--num_workers", "2")
    for number in range(2):
        assert same(trained(plain, number), trained(helped, number))


def test_nor_but_for_rounding_does_the_memory_format(make_site: Callable[..., LocalSite], start: Weights) -> None:
    ways = ("contiguous", "channels_last")
    plain, quick = (make_site("--precision", "fp32", "--memory_format", way) for way in ways)
    one, other = trained(plain), trained(quick)
    assert set(one) == set(other)
    assert all(values.is_contiguous() for values in other.values())
    moved = distance(one, start) ** 0.5
    assert distance(one, other) ** 0.5 < 0.02 * moved  # Adam makes whole steps of gradients that are nearly 0
    scores, again = plain.evaluate(), quick.evaluate()
    assert again["val_dice"] == pytest.approx(scores["val_dice"], abs=2e-3)


def test_the_sites_shares_make_up_the_whole_validation(
    make_site: Callable[..., LocalSite],
) -> None:
    sites = [make_site(site=name) for name in ("site-1", "site-2")]
    whole = sites[0].evaluate()
    shares = {"site-1": (0, 2), "site-2": (1, 2)}
    parts = {site.site: site.evaluate(shares) for site in sites}
    assert [part["val_cases"] for part in parts.values()] == [1, 1]
    assert len({part["val_dice"] for part in parts.values()}) == 2
    together = mean_over_sites(parts)
    for name in ("val_dice", "val_dice_tc", "val_dice_wt", "val_dice_et", "val_challenge_dice"):
        assert together[name] == pytest.approx(whole[name], abs=1e-9)


def test_a_share_may_be_empty(make_site: Callable[..., LocalSite]) -> None:
    report = make_site().evaluate({"site-1": (2, 3)})
    assert report == {"val_cases": 0, "val_seconds": report["val_seconds"]}


def test_fedprox_of_mu_0_is_fedavg(make_site: Callable[..., LocalSite]) -> None:
    plain = trained(make_site())
    assert same(trained(make_site("--algorithm", "fedprox", "--fedproxloss_mu", "0")), plain)


def test_a_large_mu_keeps_the_weights_nearer_to_the_start(make_site: Callable[..., LocalSite], start: Weights) -> None:
    far = trained(make_site("--aggregation_epochs", "3"))
    near = trained(make_site("--aggregation_epochs", "3", "--fedproxloss_mu", "1000"))
    assert distance(near, start) < 0.5 * distance(far, start)


def test_the_own_model_is_what_the_last_training_came_to_whatever_is_loaded_since(
    make_site: Callable[..., LocalSite], start: Weights
) -> None:
    site = make_site()
    with pytest.raises(InputError, match="site-1 has trained no model of its own yet"):
        site.own_model()
    came_to = trained(site)
    site.begin(start, 1)  # as the last validation does
    assert same(site.weights(), start)
    assert same(dict(site.own_model()), came_to)
    assert same(dict(site.outgoing(start)), came_to)
    assert not same(came_to, start)


@pytest.fixture
def own_folder(kept: Path) -> Path:
    """Where site-1 keeps its own models of a run."""
    return kept / "job" / "site-1"


def test_a_site_that_trains_alone_goes_on_where_it_stood_and_sends_what_it_got(
    make_site: Callable[..., LocalSite], start: Weights, own_folder: Path
) -> None:
    alone, plain = make_site("--algorithm", "local"), make_site(run="another")
    for number in range(2):
        alone.begin(start, number)
        assert same(trained(alone, number), trained(plain, number))  # which never loads the global model again
        assert same(dict(alone.outgoing(start)), start)
    assert same(load_weights(own_folder / "last_local_model.pt"), plain.weights())


def test_it_keeps_its_best_model_and_never_the_untrained_one(
    make_site: Callable[..., LocalSite], start: Weights, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, told = make_site("--algorithm", "local"), iter([0.9, 0.5, 0.3])
    monkeypatch.setattr(Brats18, "metrics", lambda self, rows: {"val_dice": next(told)})
    came_to = []
    for number in range(2):
        site.begin(start, number)
        site.score()
        assert not (own_folder / "best_local_model.pt").exists() or number > 0
        came_to.append(trained(site, number))
    site.begin(start, 2)
    site.score()
    assert same(load_weights(own_folder / "best_local_model.pt"), came_to[0])
    assert same(load_weights(own_folder / "last_local_model.pt"), came_to[1])


def test_other_sites_keep_no_model(make_site: Callable[..., LocalSite], start: Weights, own_folder: Path) -> None:
    site = make_site()
    site.train(0)
    site.begin(start, 1)
    site.score()
    assert [path.relative_to(own_folder).as_posix() for path in own_folder.rglob("*.pt")] == ["state/after-1.pt"]
    (state,) = own_folder.rglob("*.pt")
    assert torch.load(state, weights_only=True)["own"] is None
    site.forget()
    assert list(own_folder.iterdir()) == []


def test_another_sites_model_is_not_taken_for_the_own_one(
    make_site: Callable[..., LocalSite], start: Weights, own_folder: Path
) -> None:
    site = make_site("--algorithm", "local")
    came_to = trained(site)
    site.load(start)
    site.evaluate()
    assert not (own_folder / "best_local_model.pt").exists()
    assert same(dict(site.own_model()), came_to)


@pytest.mark.parametrize(("arguments", "leaves"), [((), False), (("--cross_site",), True)])
def test_the_own_model_leaves_only_where_the_experiment_says_so(
    make_site: Callable[..., LocalSite], arguments: tuple[str, ...], leaves: bool
) -> None:
    site = make_site(*arguments)
    came_to = trained(site)
    if leaves:
        assert same(dict(client._own_model(site)), came_to)
    else:
        with pytest.raises(InputError, match="the experiment has no --cross_site"):
            client._own_model(site)


def rounds(site: LocalSite, received: Weights, first: int, end: int) -> Weights:
    """Rounds of a federation of this one site, from what the server sent; what it sends after them."""
    for number in range(first, end):
        site.begin(received, number)
        site.train(number)
        received = {name: torch.as_tensor(values) for name, values in site.outgoing(received).items()}
    return received


def came_to(site: LocalSite) -> Weights:
    """What the site's last training came to."""
    return {name: torch.as_tensor(values) for name, values in site.own_model().items()}


ALGORITHMS = pytest.mark.parametrize("algorithm", ["fedavg", "local"])


@ALGORITHMS
def test_another_process_goes_on_as_if_it_were_the_first(
    make_site: Callable[..., LocalSite], start: Weights, kept: Path, algorithm: str
) -> None:
    whole = make_site("--algorithm", algorithm)
    sent = rounds(whole, start, 0, 3)
    rounds(whole, sent, 3, 4)
    (kept / "job" / "site-1" / "state" / "after-4.pt").unlink()  # as if it had ended after three rounds
    second = make_site("--algorithm", algorithm)
    rounds(second, sent, 3, 4)
    assert same(came_to(second), came_to(whole))
    assert not second.fresh_optimizer


@ALGORITHMS
@pytest.mark.parametrize("replaced", [False, True], ids=["same process", "another process"])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_round_that_the_server_lost_is_repeated_from_where_it_began(
    make_site: Callable[..., LocalSite], start: Weights, algorithm: str, replaced: bool, lost: int
) -> None:
    chosen = ("--algorithm", algorithm)
    site = make_site(*chosen)
    sent = rounds(site, start, 0, lost - 1)
    rounds(site, sent, lost - 1, lost)
    once = came_to(site)
    again = make_site(*chosen) if replaced else site
    rounds(again, sent, lost - 1, lost)
    assert same(came_to(again), once)
    assert not again.fresh_optimizer


def test_without_the_kept_state_the_optimiser_is_new_and_that_is_told(
    make_site: Callable[..., LocalSite], start: Weights, kept: Path
) -> None:
    whole = make_site()
    sent = rounds(whole, start, 0, 1)
    rounds(whole, sent, 1, 2)
    expected = came_to(whole)
    other = make_site(run="of-which-nothing-is-kept")
    rounds(other, sent, 1, 2)
    assert other.fresh_optimizer
    assert {int(state["step"]) for state in other.optimizer.state.values()} == {2}  # of one round
    assert not same(came_to(other), expected)
    for path in (kept / "job" / "site-1" / "state").iterdir():
        path.unlink()
    rounds(whole, sent, 1, 2)  # in the process that has one, of a round that was lost
    assert whole.fresh_optimizer
    assert same(came_to(whole), came_to(other))


def test_a_site_that_missed_rounds_goes_on_with_its_latest_state(
    make_site: Callable[..., LocalSite], start: Weights
) -> None:
    site = make_site()
    sent = rounds(site, start, 0, 1)
    replaced = make_site()
    replaced.begin(sent, 5)
    rounds(site, sent, 5, 6)
    rounds(replaced, sent, 5, 6)
    assert same(came_to(replaced), came_to(site))
    assert not replaced.fresh_optimizer


def test_the_best_own_model_stays_the_best_in_another_process(
    make_site: Callable[..., LocalSite], start: Weights, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([0.9, 0.7, 0.5, 0.8])
    monkeypatch.setattr(Brats18, "metrics", lambda self, rows: {"val_dice": next(told)})
    models, best = [], []
    for number in range(4):
        site = make_site("--algorithm", "local")  # a process a round
        site.begin(start, number)
        site.score()
        path = own_folder / "best_local_model.pt"
        best.append(load_weights(path) if path.exists() else None)
        models.append(trained(site, number))
    assert best[0] is None  # the untrained model is none
    chosen = [next(i for i, model in enumerate(models) if same(model, each)) for each in best[1:] if each]
    assert chosen == [0, 0, 2]


@pytest.mark.parametrize(("arguments", "left"), [((), 0), (("--cross_site",), 1)])
def test_when_the_rounds_are_over_only_a_model_that_is_still_needed_is_kept(
    make_site: Callable[..., LocalSite], own_folder: Path, arguments: tuple[str, ...], left: int
) -> None:
    site = make_site(*arguments)
    site.train(0)
    site.forget()
    assert len(list(own_folder.rglob("*.pt"))) == left
    if left:
        after = make_site(*arguments)
        after.begin(after.weights(), 1)
        assert same(came_to(after), came_to(site))


def test_seeds_differ_between_sites_rounds_and_uses() -> None:
    seeds = [site_seeds(seed, site, n) for seed in (0, 1) for site in ("site-1", "site-2", "site-12") for n in range(5)]
    every = [value for triple in seeds for value in triple]
    assert len(set(every)) == len(every) == 2 * 3 * 5 * 2
    assert all(0 <= value < 2**32 for value in every)
    assert site_seeds(0, "site-1", 2) == site_seeds(0, "site-1", 2)


def test_a_site_refuses_arithmetic_that_its_cpu_emulates(
    make_site: Callable[..., LocalSite], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedmed.core.precision._cpu_multiplies_bf16", lambda: False)
    with pytest.raises(InputError, match="--precision bf16 was given, but the CPU of this machine"):
        make_site("--precision", "bf16")


def test_a_round_of_a_share_of_an_epoch_makes_that_share_of_its_steps(
    toy_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "share"))
    local = LocalSite(toy_experiment("--batch_size", "2", "--aggregation_epochs", "0.5"), "site-1")
    trained = local.train(0)
    assert (trained.steps, len(trained.epochs)) == (2, 1)  # four of eight cases
