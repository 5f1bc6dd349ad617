"""Sharing some layers: only these are in messages, the others stand still, and every model is put together again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedmed.algorithms.partial import matches
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.messages import Question
from fedmed.core.names import BEST_OWN
from fedmed.core.weights import digest, payload
from fedmed.experiment import Experiment
from fedmed.tasks.base import Task
from tests.algorithms.whole_federation import Killed, WholeFederation

Make = Callable[..., Experiment]
Begin = Callable[..., WholeFederation]

HEAD = {"layers.8.weight", "layers.8.bias"}
LAST_CONVOLUTION = {"layers.4.weight", "layers.4.bias"}


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where equal runs are equal to the bit."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def begin(toy_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Begins, or goes on with, a federation of the toy task with batch normalisation."""

    def made(*arguments: str, place: str = "run") -> WholeFederation:
        usual = ("--batch_norm", "--algorithm", "partial", "--num_rounds", "2", "--batch_size", "4")
        return WholeFederation(toy_experiment(*usual, *arguments), tmp_path / place, monkeypatch)

    return made


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("layer4.0.conv1.weight", "layer4", True),
        ("layer4.0.conv1.weight", "layer4.0", True),
        ("layer4", "layer4", True),
        ("layer40.weight", "layer4", False),
        ("encoder.layer4.weight", "layer4", False),
        ("encoder.layer4.weight", "*.layer4", True),
        ("layer3.1.bn2.running_var", "layer?.*.bn?", True),
        ("layer3.1.conv2.weight", "layer?.*.bn?", False),
        ("fc.weight", "FC", False),
    ],
)
def test_a_name_matches_at_dots_or_as_a_pattern(name: str, pattern: str, fits: bool) -> None:
    assert matches(name, [pattern]) is fits


def test_messages_hold_what_is_shared_and_the_rest_is_sent_once(begin: Begin) -> None:
    run = begin("--share", "layers.4,layers.8").run()
    kinds = [question.kind for question in run.questions]
    assert kinds == ["images", "unshared", "train", "train", "score"]
    shared = LAST_CONVOLUTION | HEAD
    whole = run.first()
    for question in run.questions[2:]:
        assert set(question.weights) == shared
    assert set(run.questions[1].weights) == set(whole) - shared
    updates = [answer.update for _, answer in run.answers if answer.update]
    assert len(updates) == 4
    assert all(set(update) == shared for update in updates)
    size = sum(whole[name].numel() * 4 for name in shared)
    assert run.sizes("train") == run.sizes("score") == {size}
    assert {payload(update) for update in updates} == {size}
    assert run.records[0]["bytes"]["site-1"] == {"received": payload(whole), "sent": size}  # the rest, and the first
    assert run.records[1]["bytes"]["site-1"] == {"received": size, "sent": size}


def test_all_else_stays_as_it_was_with_its_running_statistics(begin: Begin) -> None:
    run = begin("--share", "layers.4,layers.8", "--weight_decay", "0.1").run()
    first, last = run.first(), run.model
    for name, values in first.items():
        assert np.array_equal(last[name], values.numpy()) is (name not in LAST_CONVOLUTION | HEAD), name
    for site in run.sites.values():
        loaded = site.local.model.state_dict()
        assert all(np.array_equal(loaded[name].numpy(), last[name]) for name in last)
        assert not [state for p, state in site.local.optimizer.state.items() if not p.requires_grad]
        assert len(site.local.optimizer.state) == 4


def test_layers_with_frozen_statistics_train_their_scale_alone(begin: Begin) -> None:
    run = begin("--share", "layers.1.weight,layers.1.bias,layers.8").run()
    first, last = run.first(), run.model
    moved = {name for name, values in first.items() if not np.array_equal(last[name], values.numpy())}
    assert moved == {"layers.1.weight", "layers.1.bias", *HEAD}


def test_only_shared_statistics_are_measured_and_frozen_ones_are_used(begin: Begin) -> None:
    assert "statistics" not in [q.kind for q in begin("--share", "layers.8", place="head").run().questions]
    run = begin("--share", "layers.1,layers.8").run()
    measured = [q for q in run.questions if q.kind == "statistics"]
    assert len(measured) == 2
    answers = [
        answer for (_, answer) in run.answers if set(answer.update) == {"layers.1.running_mean", "layers.1.running_var"}
    ]
    assert len(answers) == 4


def test_with_all_but_an_entry_it_is_fedavg_where_that_entry_has_no_rate(
    begin: Begin, toy_task: type[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups(self: Task, model: Any, learning_rate: float) -> list[dict[str, Any]]:
        named = dict(model.named_parameters())
        still = named.pop("layers.0.bias")
        return [{"params": list(named.values()), "lr": learning_rate}, {"params": [still], "lr": 0.0}]

    monkeypatch.setattr(toy_task, "parameter_groups", groups)
    others = "layers.0.weight,layers.1,layers.4,layers.8"
    part, whole = begin("--share", others).run(), begin("--algorithm", "fedavg", place="whole").run()
    assert part.bits == whole.bits
    scores = [{site: report["val_auroc"] for site, report in r["sites"].items()} for r in part.records]
    assert scores == [{site: report["val_auroc"] for site, report in r["sites"].items()} for r in whole.records]


def test_private_layers_never_leave_and_each_sites_model_is_whole(begin: Begin) -> None:
    run = begin("--share", "layers.4,layers.8", "--private", "layers.8").run()
    sent = {name for question in run.questions if question.kind != "unshared" for name in question.weights}
    answered = {name for _, answer in run.answers for name in answer.update}
    assert sent == answered == LAST_CONVOLUTION
    one, other, server, first = run.own("site-1"), run.own("site-2"), run.model, run.first()
    for name in first:
        same = np.array_equal(one[name], other[name])
        assert same is (name not in HEAD), name
        assert np.array_equal(server[name], first[name].numpy()) is (name not in LAST_CONVOLUTION)
        if name not in HEAD:
            assert np.array_equal(one[name], server[name])
    loaded = run.sites["site-1"].local.model.state_dict()  # what the last question has scored
    assert all(np.array_equal(loaded[name].numpy(), one[name]) for name in one)
    assert set(run.own("site-1", BEST_OWN)) == set(first)


@pytest.mark.parametrize("private", [(), ("--private", "layers.8")], ids=["frozen", "private"])
def test_in_a_job_that_goes_on_no_site_is_sent_again_what_it_has(begin: Begin, private: tuple[str, ...]) -> None:
    cut = begin("--share", "layers.4,layers.8", *private)

    def kill(moment: str, question: Any) -> None:
        if (moment, question.kind, question.rounds) == ("asked", "train", 1):
            raise Killed

    cut.on = kill
    with pytest.raises(Killed):
        cut.run()
    again = begin("--share", "layers.4,layers.8", *private).run()
    assert [question.kind for question in again.questions] == ["images", "train", "score"]


def test_a_site_that_comes_late_is_sent_the_rest_before_it_trains(begin: Begin) -> None:
    run = begin("--share", "layers.8", "--min_clients", "1")
    run.present = lambda last: ("site-1", "site-2") if last and last.kind != "images" and run.records else ("site-1",)
    run.run()
    asked = [(question.kind, question.rounds, question.sites) for question in run.questions]
    assert asked == [
        ("images", 0, ("site-1",)),
        ("unshared", 0, ("site-1",)),
        ("train", 0, ("site-1",)),
        ("unshared", 1, ("site-2",)),
        ("train", 1, ("site-1", "site-2")),
        ("score", 2, ("site-1", "site-2")),
    ]


def not_of(run: WholeFederation, shared: set[str]) -> dict[str, np.ndarray]:
    """The first model's other entries."""
    return {name: values.numpy().copy() for name, values in run.first().items() if name not in shared}


def lose(run: WholeFederation, site: str) -> None:
    (run.place / "sites" / "job" / site / "state" / "unshared.pt").unlink()


def test_a_site_that_lost_it_trains_nothing_says_so_and_is_sent_it_again(begin: Begin) -> None:
    run = begin("--share", "layers.8", "--num_rounds", "3", "--min_clients", "1")

    def lost(moment: str, question: Any) -> None:
        if (moment, question.kind, question.rounds) == ("asked", "train", 1):
            lose(run, "site-2")
            run.sites["site-2"] = run.site("site-2")  # another process

    run.on = lost
    run.run()
    asked = [(q.kind, q.rounds, q.sites) for q in run.questions]
    assert ("unshared", 2, ("site-2",)) in asked
    records = [record for record in run.records if not record.get("final")]
    assert [set(record["refused"]) for record in records] == [set(), {"site-2"}, set()]
    assert "does not hold the part of the model that rounds do not send" in records[1]["refused"]["site-2"]
    assert "is not here" in "".join(run.said)


@pytest.mark.parametrize("spoilt", ["digest", "values", "names"])
def test_a_site_trains_on_no_other_frozen_weights_than_the_servers(begin: Begin, spoilt: str) -> None:
    run = begin("--share", "layers.8")
    site, first = run.site("site-1"), run.first()
    rest = not_of(run, HEAD)
    stated = digest(rest)
    if spoilt == "digest":
        stated = "0" * 64
    elif spoilt == "values":
        rest["layers.0.bias"] = rest["layers.0.bias"] + 1
    else:
        rest.pop("layers.0.bias")
    asked = site.answer(Question("unshared", 0, ("site-1",), weights=rest, unshared=stated))
    assert asked.unshared == ""
    head = {name: values.numpy() for name, values in first.items() if name in HEAD}
    answer = site.answer(Question("train", 0, ("site-1",), ("site-1",), head, unshared=stated))
    assert answer.withheld
    assert not answer.update
    assert answer.unshared == ""


def test_no_server_puts_another_frozen_part_into_a_run_that_has_begun(begin: Begin) -> None:
    run = begin("--share", "layers.8")
    site, rest = run.site("site-1"), not_of(run, HEAD)
    other = {name: values + 1 for name, values in rest.items()}
    asked = [
        site.answer(Question("unshared", rounds, ("site-1",), weights=part, unshared=digest(part)))
        for rounds, part in ((0, other), (0, rest), (1, other))  # a run may begin anew
    ]
    assert [answer.unshared for answer in asked] == [digest(other), digest(rest), digest(rest)]
    assert "another frozen part than this run began with" in run.said[-1]
    assert run.site("site-1").local.unshared.digest == digest(rest)  # so it does in another process


def test_a_damaged_file_is_as_none(begin: Begin) -> None:
    run = begin("--share", "layers.8").run()
    path = run.place / "sites" / "job" / "site-1" / "state" / "unshared.pt"
    assert not path.exists()  # the run is over
    site, rest = run.site("site-1"), not_of(run, HEAD)
    site.answer(Question("unshared", 0, ("site-1",), weights=rest, unshared=digest(rest)))
    path.write_bytes(path.read_bytes()[:-200])
    assert run.site("site-1").local.unshared.digest == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--algorithm partial has no --share; name the layers"),
        (("--share", ""), "--algorithm partial has no --share; name the layers"),
        (("--share", "layers.8,,layers.4"), "--share is 'layers.8,,layers.4'; expected names with one comma"),
        (("--share", "layers.9"), "--share layers.9 matches no entry of the network; the nearest name is layers."),
        (("--share", "layers.8,fc"), "--share fc matches no entry of the network; expected names such as layers"),
        (("--share", "layers"), "--share layers matches all of the network, which is --algorithm fedavg; choose that"),
        (("--share", "layers.[0-4]*,layers.8"), "matches all of the network, which is --algorithm fedavg"),
        (
            ("--share", "layers.8", "--private", "layers.4"),
            "--private layers.4 matches no entry of what --share layers.8",
        ),
        (("--share", "layers.8", "--private", "layers.8"), "so nothing would be sent; name fewer layers"),
        (("--share", "layers.1.running_mean"), "matches running statistics alone; name layers with weights too"),
        (("--share", "layers.8", "--private", "layers.8.bias", "--cross_site"), "has entries that never leave a site"),
        (
            ("--algorithm", "fedavg", "--share", "layers.8"),
            "--share belongs to --algorithm partial, but --algorithm is",
        ),
        (("--algorithm", "fedavg", "--private", "layers.8"), "--private belongs to --algorithm partial, but"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(
    begin: Begin, arguments: tuple[str, ...], says: str
) -> None:
    with pytest.raises(InputError) as refused:
        begin(*arguments)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "arguments", [("--share", "*", "--private", "layers.8"), ("--share", "layers.8", "--cross_site")]
)
def test_what_can_be_meant_is_not(begin: Begin, arguments: tuple[str, ...]) -> None:
    begin(*arguments)


def test_a_model_that_lacks_a_shared_entry_is_not_trained(begin: Begin) -> None:
    run = begin("--share", "layers.8")
    site, rest, first = run.site("site-1"), not_of(run, HEAD), run.first()
    site.answer(Question("unshared", 0, ("site-1",), weights=rest, unshared=digest(rest)))
    part = {"layers.8.bias": first["layers.8.bias"].numpy()}
    answer = site.answer(Question("train", 0, ("site-1",), ("site-1",), part, unshared=digest(rest)))
    assert answer.withheld
    assert "lacks layers.8.weight; expected every entry that is shared" in run.said[-1]


def test_a_part_of_the_run_may_not_be_frozen_for_some_rounds_too() -> None:
    wanted = ["--task", "brain_mri", "--algorithm", "partial", "--share", "layer4,fc", "--freeze_encoder", "1"]
    with pytest.raises(InputError, match=r"--freeze_encoder 1 lets a part stand still.*drop one of them"):
        read_experiment(wanted)
