"""A site's answers: nothing of a round is in them that the experiment's mechanism does not let out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedmed.algorithms.base import SiteSide
from fedmed.algorithms.fedavg import FedAvg
from fedmed.core.errors import InputError
from fedmed.core.messages import Answer, Question
from fedmed.core.names import POLICY_VARIABLE, STATE_VARIABLE
from fedmed.core.site_scores import CASES
from fedmed.core.weights import l2_norm
from fedmed.data.audit.duplicates_exchange import KEY_VARIABLE
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import Ledger, read_ledger, site_ledger
from fedmed.site.local_training import LocalSite
from fedmed.site.site import Site
from fedmed.site.site_events import SiteEvents

Make = Callable[..., Site]
NOISE = ("--dp_noise_multiplier", "1")
ON_UPDATES = {
    "gaussian": NOISE,
    "svt": (),
    "percentile": ("--percentile", "60", "--percentile_gamma", "0.001"),
    "exclude_vars": ("--exclude_vars", "layers.0"),
}
FORMAL = {"gaussian": NOISE, "dpsgd": (*NOISE, "--dp_delta", "1e-3")}
NOTHING = Answer(metrics={CASES: 0}, withheld=True)


class Scalars:
    """The events that a site wrote, by tag."""

    def __init__(self) -> None:
        self.written: dict[str, list[tuple[float, int]]] = {}

    def add_scalar(self, tag: str, scalar: float, global_step: int) -> None:
        self.written.setdefault(tag, []).append((scalar, global_step))


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what sites keep; on the CPU, where equal runs are equal to the bit."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def make_site(toy_experiment: Callable[..., Experiment]) -> Make:
    """Makes a site of the toy task; another one of the same run is its next process."""

    def make(*arguments: str, site: str = "site-1", run: str = "job") -> Site:
        local = LocalSite(toy_experiment("--batch_size", "4", "--num_rounds", "9", *arguments), site, run)
        made = Site(local, SiteEvents(site, run, Scalars()), reports.append)
        return made

    reports = list[str]()
    make.reports = reports  # type: ignore[attr-defined]
    return make


def start(site: Site) -> dict[str, np.ndarray]:
    """The weights of the first global model."""
    torch.manual_seed(1)
    return {name: values.detach().numpy().copy() for name, values in site.local.task.build_model().state_dict().items()}


def train(site: Site, rounds: int = 0, **changed: Any) -> Answer:
    told: dict[str, Any] = {"training": ("site-1", "site-2"), "weights": start(site), **changed}
    return site.answer(Question("train", rounds, ("site-1", "site-2"), **told))


def score(site: Site, rounds: int, **changed: Any) -> Answer:
    return site.answer(Question("score", rounds, ("site-1", "site-2"), weights=start(site), **changed))


def written(site: Site) -> dict[str, list[tuple[float, int]]]:
    found: dict[str, list[tuple[float, int]]] = site.events._writer.written  # type: ignore[attr-defined]
    return found


def ledger(site: str = "site-1", run: str = "job") -> Ledger:
    return read_ledger(site_ledger(site, run))


def raw(make_site: Make, *arguments: str) -> dict[str, np.ndarray]:
    """The update of the same training without a mechanism."""
    return dict(train(make_site(*arguments, run="raw")).update)


# without a mechanism


@pytest.mark.parametrize("network", [(), ("--batch_norm",)], ids=["plain", "with buffers"])
def test_an_update_is_the_difference_to_what_was_sent(network: tuple[str, ...], make_site: Make) -> None:
    site = make_site(*network)
    answer, sent, came_to = train(site), start(site), site.local.own_model()
    assert set(answer.update) == set(sent) == set(came_to)
    for name, values in sent.items():
        assert answer.update[name].tobytes() == (came_to[name].numpy() - values).tobytes()
        assert answer.update[name].dtype == values.dtype
    assert (answer.steps, answer.cases, answer.entry, answer.extras, answer.withheld) == (2, 8, None, {}, False)
    assert {"val_auroc", "val_cases", "train_loss", "train_seconds"} <= set(answer.metrics)
    assert not site_ledger("site-1", "job").exists()


def test_the_question_is_not_changed(make_site: Make) -> None:
    site = make_site()
    weights = start(site)
    train(site, weights=weights)
    assert all(values.tobytes() == start(site)[name].tobytes() for name, values in weights.items())


def test_events_are_scores_at_rounds_and_losses_at_steps(make_site: Make) -> None:
    site = make_site("--aggregation_epochs", "2")
    for rounds in (0, 1):
        train(site, rounds)
    assert [step for _, step in written(site)["val_auroc"]] == [0, 1]
    assert [step for _, step in written(site)["train_loss"]] == [2, 4, 6, 8]
    assert [step for _, step in written(site)["train_accuracy"]] == [2, 4, 6, 8]
    validated = {"val_auroc", "val_auroc_flat", "val_auroc_upright", "val_accuracy", "val_loss"}
    assert set(written(site)) == {*validated, "train_loss", "train_accuracy"}


# the learning rate


def test_a_round_trains_with_the_share_of_the_rate_that_the_server_states(make_site: Make) -> None:
    options = ("--optimizer", "sgd", "--aggregation_epochs", "1", "--batch_size", "8")  # one step, by the rate's size
    full, half = (train(make_site(*options, run=run), rate_factor=share) for run, share in (("a", 1.0), ("b", 0.5)))
    assert any(values.any() for values in full.update.values())
    for name, values in full.update.items():
        np.testing.assert_allclose(half.update[name], values / 2, atol=1e-6)


def test_algorithms_know_the_rate_of_the_round(make_site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    known = list[float]()
    monkeypatch.setattr(SiteSide, "start_round", lambda side, message: known.append(side.setup.learning_rate))
    site = make_site("--learning_rate", "0.5")
    for rounds, share in enumerate((0.5, 1.0, 0.25)):
        train(site, rounds, rate_factor=share)
    assert known == [0.25, 0.5, 0.125]


def test_another_process_goes_on_with_the_rate_that_it_is_told_and_the_same_bits(make_site: Make) -> None:
    one, shares = make_site(run="one"), (1.0, 0.5, 0.25)
    updates = [train(one, rounds, rate_factor=share).update for rounds, share in enumerate(shares)]
    for rounds, share in enumerate(shares):
        again = train(make_site(run="other"), rounds, rate_factor=share).update
        assert all(again[name].tobytes() == values.tobytes() for name, values in updates[rounds].items())


@pytest.mark.parametrize("share", [0, 0.0, -0.5, 1.0001, float("nan"), float("inf"), True, "1", None, [1.0]])
@pytest.mark.parametrize("ask", [train, lambda site, **how: score(site, 1, **how)], ids=["train", "score"])
def test_a_share_of_the_rate_that_is_none_is_refused(ask: Callable[..., Answer], share: Any, make_site: Make) -> None:
    assert ask(make_site(), rate_factor=share) == NOTHING
    assert "The learning rate's factor is" in make_site.reports[0]  # type: ignore[attr-defined]


def test_a_rate_that_varies_is_a_curve_at_rounds(make_site: Make) -> None:
    site = make_site("--schedule", "cosine", "--learning_rate", "0.5")
    for rounds, share in enumerate((1.0, 0.5)):
        train(site, rounds, rate_factor=share)
    assert written(site)["learning_rate"] == [(0.5, 1), (0.25, 2)]


# who trains, and who scores


def test_a_site_that_does_not_train_only_scores(make_site: Make, kept: Path) -> None:
    site = make_site("--privacy", "gaussian", *NOISE, "--dp_release_metrics")
    answer = train(site, training=("site-2",))
    assert answer == Answer(metrics=answer.metrics)
    assert answer.metrics["val_cases"] == 6
    assert not any(name.startswith("train") for name in answer.metrics)
    assert site.local.own is None
    assert ledger().entries == []
    assert all(np.array_equal(start(site)[name], values) for name, values in site.local.weights().items())


@pytest.mark.parametrize(("rounds", "due"), [(0, True), (1, False), (2, False), (3, True)])
def test_scores_are_due_every_few_rounds_and_at_the_end(rounds: int, due: bool, make_site: Make) -> None:
    site = make_site("--validate_every", "3")
    site.local.take_up(0)
    answer = train(site, rounds)
    assert ("val_auroc" in answer.metrics) is due
    assert answer.metrics["val_cases"] == (6 if due else 0)
    assert "train_loss" in answer.metrics
    assert "val_auroc" in score(site, rounds + 1).metrics


@pytest.mark.parametrize(
    ("shares", "scored"),
    [
        ({}, 6),
        ({"site-1": (0, 1)}, 6),
        ({"site-1": (0, 2), "site-2": (1, 2)}, 3),
        ({"site-2": (0, 1)}, 6),  # where this site's images are not known
        ({"site-1": (0, 6)}, None),  # one case alone
        ({"site-1": (4, 10**9)}, None),
        ({"site-1": (1, 2), "site-2": (0, 2)}, None),  # the parts of others
        ({"site-1": (0, 3), "site-2": (1, 3), "site-3": (2, 3)}, None),  # of a site that is not in the run
        ({"site-1": (0, 2), "site-2": (0, 2)}, None),
        ({"site-1": (-1, 2), "site-2": (1, 2)}, None),
        ({"site-1": None}, None),
        ([("site-1", (0, 1))], None),
    ],
)
@pytest.mark.parametrize("ask", [train, lambda site, **how: score(site, 1, **how)], ids=["train", "score"])
def test_a_site_scores_its_own_part_among_sites_of_the_run_and_no_other(
    ask: Callable[..., Answer], shares: Any, scored: int | None, make_site: Make
) -> None:
    answer = ask(make_site(), shares=shares)
    if scored is None:
        assert answer == NOTHING
        assert "parts" in make_site.reports[0]  # type: ignore[attr-defined]
    else:
        assert answer.metrics["val_cases"] == scored


def test_a_site_scores_once_a_round_whatever_part_it_is_asked_for(make_site: Make) -> None:
    site, halves = make_site(), {"site-1": (0, 2), "site-2": (1, 2)}
    assert train(site, training=(), shares=halves).metrics["val_cases"] == 3
    for ask in (train, lambda site, **how: score(site, 0, **how)):
        for shares in ({}, halves, {"site-1": (0, 1)}):
            assert ask(site, shares=shares).metrics["val_cases"] == 0
    assert score(site, 1).metrics["val_cases"] == 6


@pytest.mark.parametrize("rounds", [-1, 9, 10**6, True, 1.0, "1", None])
@pytest.mark.parametrize("privacy", [(), ("--privacy", "gaussian", *NOISE)], ids=["none", "gaussian"])
def test_a_round_that_the_experiment_does_not_have_is_not_trained(
    privacy: tuple[str, ...], rounds: Any, make_site: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(*privacy)
    monkeypatch.setattr(site.local, "train", None)
    assert train(site, rounds) == NOTHING
    assert "The experiment has 9 rounds" in make_site.reports[0]  # type: ignore[attr-defined]
    assert not site_ledger("site-1", "job").exists()
    if rounds == 9:
        assert score(site, rounds).metrics[CASES] == (0 if privacy else 6)  # of the last model


def test_the_last_scoring_removes_what_further_rounds_would_need(make_site: Make, kept: Path) -> None:
    site = make_site()
    train(site)
    assert list(kept.rglob("*.pt"))
    score(site, 1)
    assert list(kept.rglob("*.pt")) == []


# images


def test_images_leave_as_keyed_hashes_where_there_is_a_key(make_site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question("images", 0, ("site-1",))
    assert make_site().answer(question).images == {}
    monkeypatch.setenv(KEY_VARIABLE, "a secret that all sites share")
    answer = make_site(run="with-key").answer(question)
    assert len(answer.images["training"]) == 8
    assert answer.metrics == {CASES: 14}
    assert answer.update == {}


@pytest.mark.parametrize("privacy", FORMAL)
def test_behind_a_formal_mechanism_neither_hashes_nor_counts_leave(
    privacy: str, make_site: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "a secret that all sites share")
    site = make_site("--privacy", privacy, *FORMAL[privacy])
    assert site.answer(Question("images", 0, ("site-1",))) == Answer(metrics={CASES: 0}, images={})


# mechanisms


@pytest.mark.parametrize("privacy", ON_UPDATES)
def test_the_raw_update_is_in_no_answer(privacy: str, make_site: Make) -> None:
    plain = raw(make_site)
    answer = train(make_site("--privacy", privacy, *ON_UPDATES[privacy]))
    assert set(answer.update) == set(plain)
    assert b"".join(answer.update[name].tobytes() for name in plain) != b"".join(v.tobytes() for v in plain.values())
    if privacy == "exclude_vars":  # whose promise is of some entries
        assert all(not answer.update[name].any() for name in plain if name.startswith("layers.0"))
        assert all(plain[name].any() for name in plain if name.startswith("layers.0"))
    else:
        same = sum(int((answer.update[name] == values).sum()) for name, values in plain.items() if values.any())
        assert same < 0.5 * sum(values.size for values in plain.values())
    assert not answer.withheld
    assert answer.extras == {}


def test_gaussian_noise_is_on_every_value_of_the_clipped_update(make_site: Make) -> None:
    arguments = ("--dp_clip", "0.01", "--dp_noise_multiplier", "1e-6", "--dp_release_metrics")
    plain = raw(make_site)
    answer = train(make_site("--privacy", "gaussian", *arguments))
    assert l2_norm(plain) > 0.02
    assert l2_norm(answer.update) == pytest.approx(0.01, rel=1e-3)
    assert not any((answer.update[name] == values).any() for name, values in plain.items())


@pytest.mark.parametrize("privacy", [*ON_UPDATES, "dpsgd"])
def test_what_is_sent_is_booked_at_the_site_and_diagnostics_stay_there(privacy: str, make_site: Make) -> None:
    site = make_site("--privacy", privacy, *{**ON_UPDATES, **FORMAL}[privacy])
    for rounds in range(2):
        answer = train(site, rounds)
        booked = ledger().entries
        assert [entry.round for entry in booked] == list(range(1, rounds + 2))
        assert answer.entry == booked[-1].travelling(with_diagnostics=False)
        assert booked[-1].diagnostics
        assert answer.entry["diagnostics"] is None


@pytest.mark.parametrize("privacy", [*ON_UPDATES, "dpsgd"])
def test_where_it_cannot_be_booked_nothing_is_answered(
    privacy: str, make_site: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Ledger, path: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Ledger, "save", full)
    site = make_site("--privacy", privacy, *{**ON_UPDATES, **FORMAL}[privacy])
    with pytest.raises(OSError, match="no space left"):
        train(site)


@pytest.mark.parametrize("privacy", FORMAL)
def test_of_a_formal_mechanism_nothing_leaves_but_the_update_the_steps_and_the_entry(
    privacy: str, make_site: Make
) -> None:
    site = make_site("--privacy", privacy, *FORMAL[privacy])
    answer = train(site)
    assert answer.metrics == {CASES: 0}
    assert (answer.cases, answer.images, answer.extras, answer.withheld) == (None, None, {}, False)
    assert answer.steps > 0
    assert score(site, 1) == Answer(metrics={CASES: 0})
    assert set(written(site)) == {"privacy_epsilon"}


def test_metrics_leave_where_the_experiment_says_so(make_site: Make) -> None:
    answer = train(make_site("--privacy", "gaussian", *NOISE, "--dp_release_metrics"))
    assert {"val_auroc", "train_loss"} <= set(answer.metrics)
    assert answer.cases == 8


@pytest.mark.parametrize("privacy", ON_UPDATES)
@pytest.mark.parametrize("declared", [True, False])
def test_arrays_beside_the_update_are_covered_by_nothing_so_that_nothing_leaves(
    declared: bool, privacy: str, make_site: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site("--privacy", privacy, *ON_UPDATES[privacy])
    monkeypatch.setattr(SiteSide, "extras", lambda self: {"drift": np.ones(3)})
    monkeypatch.setattr(FedAvg, "SENDS_EXTRAS", "its drift" if declared else "")
    assert train(site) == NOTHING
    (report,) = make_site.reports  # type: ignore[attr-defined]
    assert report.startswith("The update of round 1 is withheld: ")
    assert "beside the update" in report
    assert ledger().entries == []


@pytest.mark.parametrize("privacy", ON_UPDATES)
def test_an_update_that_is_no_number_is_withheld_whole(
    privacy: str, make_site: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site("--privacy", privacy, *ON_UPDATES[privacy])
    monkeypatch.setattr(site.local, "update", lambda received: {n: v.numpy() * np.nan for n, v in received.items()})
    assert train(site) == NOTHING
    assert "NaN" in make_site.reports[0]  # type: ignore[attr-defined]
    assert ledger().entries == []


def test_once_the_budget_is_spent_nothing_leaves(make_site: Make) -> None:
    one = train(make_site("--privacy", "gaussian", *NOISE, run="one")).entry["epsilon_total"]
    site = make_site("--privacy", "gaussian", *NOISE, "--dp_max_epsilon", str(one * 1.001))
    assert train(site).update
    assert train(site, 1) == NOTHING
    assert "nothing is sent" in make_site.reports[-1]  # type: ignore[attr-defined]
    assert [entry.round for entry in ledger().entries] == [1]  # what did not leave is not booked


@pytest.mark.parametrize("privacy", FORMAL)
def test_no_number_of_rounds_at_the_server_spends_more_than_the_sites_policy_allows(
    privacy: str, make_site: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that plans one round at its sites, whose server asks for more and more of them."""
    arguments = ("--privacy", privacy, *FORMAL[privacy], "--num_rounds", "1")
    one = train(make_site(*arguments, run="one")).entry["epsilon_total"]
    policy = {"guarantee": "formal", "max_epsilon": one * 1.4, "max_delta": 1e-2}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    monkeypatch.setenv(POLICY_VARIABLE, str(tmp_path / "policy.json"))
    site = make_site(*arguments)
    answers = [train(site) for _ in range(3)] + [train(site, rounds) for rounds in range(1, 4)]
    sent = [answer for answer in answers if answer.update]
    assert len(sent) == 1
    assert all(answer == NOTHING for answer in answers[1:])
    assert ledger().total <= one * 1.4
    assert any("the budget is" in line for line in make_site.reports)  # type: ignore[attr-defined]


@pytest.mark.parametrize("privacy", FORMAL)
def test_a_round_without_room_in_the_budget_is_not_trained(
    privacy: str, make_site: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = train(make_site("--privacy", privacy, *FORMAL[privacy], run="one")).entry["epsilon_total"]
    site = make_site("--privacy", privacy, *FORMAL[privacy], "--dp_max_epsilon", str(one * 1.001))
    assert train(site).update
    monkeypatch.setattr(site.local, "train", None)
    assert train(site, 1) == NOTHING


@pytest.mark.parametrize("privacy", [*ON_UPDATES, "dpsgd"])
def test_a_site_that_has_lost_its_ledger_lets_nothing_leave(privacy: str, make_site: Make) -> None:
    arguments = ("--privacy", privacy, *{**ON_UPDATES, **FORMAL}[privacy])
    site = make_site(*arguments)
    for rounds in range(2):
        assert train(site, rounds).update
    site_ledger("site-1", "job").unlink()
    for process in (site, make_site(*arguments)):  # the same one, and the run's next
        assert train(process, 2) == NOTHING
    assert all("is missing" in line for line in make_site.reports)  # type: ignore[attr-defined]
    assert len(make_site.reports) == 2  # type: ignore[attr-defined]
    assert not site_ledger("site-1", "job").exists()


@pytest.mark.parametrize("privacy", [*ON_UPDATES, "dpsgd"])
def test_a_site_whose_first_turn_comes_late_has_the_ledger_of_the_runs_beginning(privacy: str, make_site: Make) -> None:
    arguments = ("--privacy", privacy, *{**ON_UPDATES, **FORMAL}[privacy])
    make_site(*arguments).answer(Question("images", 0, ("site-1",)))
    assert train(make_site(*arguments), 4).update
    assert [entry.round for entry in ledger().entries] == [5]


@pytest.mark.parametrize("privacy", FORMAL)
def test_a_delta_that_publishing_a_patient_would_meet_is_refused_at_the_site(privacy: str, make_site: Make) -> None:
    arguments = ("--privacy", privacy, *NOISE, "--dp_delta")
    with pytest.raises(InputError, match=r"--dp_delta 0\.125 is not below 1 / 8 patients of site-1"):
        make_site(*arguments, "0.125")
    make_site(*arguments, "0.12")


def test_an_edited_ledger_lets_nothing_leave(make_site: Make) -> None:
    site = make_site("--privacy", "svt")
    train(site)
    path = site_ledger("site-1", "job")
    path.write_text(path.read_text().replace('"round": 1', '"round": 0'))
    site.events._booked = None
    site.events.write_epsilon = lambda rounds: None  # type: ignore[method-assign]
    assert train(site, 1) == NOTHING


@pytest.mark.parametrize(
    "options", [("--algorithm", "local"), ("--privacy", "svt"), ("--privacy", "dpsgd", *FORMAL["dpsgd"])]
)
def test_all_that_a_site_keeps_is_for_its_user_alone(options: tuple[str, ...], make_site: Make, kept: Path) -> None:
    site = make_site(*options)
    for rounds in range(2):
        train(site, rounds)
    found = [kept, *kept.rglob("*")]
    assert len([path for path in found if path.is_file()]) >= 3
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_dir()} == {0o700}


# other processes, and rounds in between


def test_a_site_that_is_drawn_for_the_first_time_later_has_lost_nothing(make_site: Make) -> None:
    make_site().answer(Question("images", 0, ("site-1",)))
    for process in (make_site(), make_site()):  # the run's next jobs
        process.answer(Question("images", 3, ("site-1",)))
        assert "fresh_optimizer" not in train(process, 3).metrics
    lost = make_site(run="another")
    assert train(lost, 3).metrics["fresh_optimizer"] == 1
    assert "fresh_optimizer" not in train(lost, 4).metrics


def test_a_lost_round_is_repeated_with_the_same_bits_however_rarely_the_site_trains(make_site: Make) -> None:
    site = make_site()
    for rounds in (0, 1, 5):
        once = train(site, rounds)
    again = train(make_site(), 5)  # the server lost the round, and the site's process died too
    assert all(again.update[name].tobytes() == values.tobytes() for name, values in once.update.items())
    assert "fresh_optimizer" not in again.metrics
    same_process = train(site, 5)
    assert all(same_process.update[name].tobytes() == values.tobytes() for name, values in once.update.items())
