"""An encoder that comes from a file, stands still for some rounds or trains at its own rate, in a task that has one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.messages import Answer, Question
from fedmed.core.names import STATE_VARIABLE
from fedmed.core.weights import Weights
from fedmed.data.phantoms.brain_mri_phantom import demo_brain_mri
from fedmed.experiment import Experiment
from fedmed.runs.encoder_words import encoder_words
from fedmed.runs.preflight import checked
from fedmed.runs.run_folder import RunFolder
from fedmed.site.local_training import LocalSite
from fedmed.site.site import Site
from fedmed.site.site_events import SiteEvents
from fedmed.tasks.brain_mri import BrainMri
from fedmed.tasks.lgg import Lgg
from model import ImageResNet

Arrays = dict[str, np.ndarray]

NOISE = ("--batch_size", "1", "--norm", "group", "--dp_noise_multiplier", "1", "--insecure_seeded_noise")
HEAD = {"fc.weight", "fc.bias"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brain") / "set"
    demo_brain_mri(folder, sites=2, cases=1, validation=1, test=1)
    return folder


@pytest.fixture(autouse=True)
def _kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "kept"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file as torchvision writes it: three channels and a thousand classes."""
    torch.manual_seed(5)
    torch.save(ImageResNet(18, 3, 1000).state_dict(), tmp_path / "resnet18.pth")
    return tmp_path / "resnet18.pth"


def experiment(demo: Path, *arguments: str) -> Experiment:
    data = ["--dataset_base_dir", str(demo), "--datalist_json_path", str(demo / "datalist"), "--n_clients", "2"]
    short = ["--num_rounds", "3", "--image_size", "64", "--batch_size", "2", "--precision", "fp32", "--cache_gb", "0"]
    return read_experiment(["--task", "brain_mri", *data, *short, *arguments])


class Silent:
    def add_scalar(self, tag: str, scalar: float, global_step: int) -> None: ...


def site_of(made: Experiment) -> Site:
    return Site(LocalSite(made, "site-1"), SiteEvents("site-1", "job", Silent()), print)


def trained(site: Site, rounds: int, sent: Arrays) -> Answer:
    answer = site.answer(Question("train", rounds, ("site-1", "site-2"), training=("site-1", "site-2"), weights=sent))
    assert not answer.withheld
    return answer


def first(made: Experiment) -> Arrays:
    return {name: values.numpy() for name, values in made.task.first_model(0).state_dict().items()}


def changed(answer: Answer) -> set[str]:
    return {name for name, values in answer.update.items() if np.any(values != 0)}


def moments(site: Site) -> int:
    """Parameters that the optimiser keeps something of."""
    return sum(bool(state) for state in site.local.optimizer.state.values())


@pytest.mark.parametrize("algorithm", ["fedavg", "fedprox"])
def test_a_frozen_encoder_sends_zeros_and_then_trains(demo: Path, algorithm: str) -> None:
    """Batch normalisation's statistics stand still too, and the optimiser has no moments of what did not train."""
    made = experiment(demo, "--freeze_encoder", "1", "--algorithm", algorithm)
    site, sent = site_of(made), first(made)
    assert changed(trained(site, 0, sent)) == HEAD
    assert moments(site) == len(HEAD)
    second = changed(trained(site, 1, sent))
    assert {"conv1.weight", "layer4.1.bn2.running_mean", "bn1.num_batches_tracked", "fc.weight"} <= second
    assert moments(site) == len(list(site.local.model.parameters()))


def test_it_follows_from_the_round_alone(demo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another process of the site, or a round that is trained again, freezes as the first did, to the bit."""
    made = experiment(demo, "--freeze_encoder", "2")
    whole, sent = site_of(made), first(made)
    in_one_go = [trained(whole, rounds, sent).update for rounds in range(3)]
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "other"))
    for rounds, expected in enumerate(in_one_go):
        again = trained(site_of(made), rounds, sent).update
        assert all(np.array_equal(values, expected[name]) for name, values in again.items())
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "third"))
    unfrozen = site_of(made)
    for rounds in (0, 1, 2, 1):
        last = trained(unfrozen, rounds, sent)
    assert changed(last) == HEAD


def test_measured_statistics_of_a_frozen_encoder_are_its_own(demo: Path) -> None:
    made = experiment(demo, "--freeze_encoder", "1")
    sent = first(made)
    for rounds, still in ((1, True), (2, False)):
        answer = site_of(made).answer(Question("statistics", rounds, ("site-1", "site-2"), weights=sent))
        assert "bn1.running_mean" in answer.update
        assert (not changed(answer)) is still


@pytest.mark.parametrize("mechanism", [["dpsgd"], ["gaussian"]], ids="".join)
def test_noise_covers_what_trains_and_nothing_else(demo: Path, mechanism: list[str]) -> None:
    """Frozen weights get no noise, and once they train they get it like all others."""
    made = experiment(demo, "--freeze_encoder", "1", "--privacy", *mechanism, *NOISE)
    site, sent = site_of(made), first(made)
    answer = trained(site, 0, sent)
    assert changed(answer) == HEAD
    assert set(answer.update) == set(sent)
    assert len(changed(trained(site, 1, sent))) > 50


def test_a_private_step_of_a_frozen_network_clips_and_counts_the_rest_alone(demo: Path) -> None:
    """The clip is the norm of the head's gradient; a frozen encoder must not use it up."""
    made = experiment(demo, "--freeze_encoder", "1", "--privacy", "dpsgd", "--dp_max_grad_norm", "1e-3", *NOISE)
    site, sent = site_of(made), first(made)
    seen: list[float] = []
    private: Any = site.local.private
    optimizer_of = private._optimizer

    def watched(source: Any) -> Any:
        optimizer = optimizer_of(source)
        step = optimizer.clip_and_accumulate

        def clip_and_accumulate() -> None:
            step()
            seen.append(float(torch.cat([p.summed_grad.flatten() for p in optimizer.params]).norm()))
            assert sum(p.numel() for p in optimizer.params) == 512 * 4 + 4

        optimizer.clip_and_accumulate = clip_and_accumulate
        return optimizer

    private._optimizer = watched
    trained(site, 0, sent)
    assert seen
    assert max(seen) > 0.5e-3  # the whole clip is the head's


def test_a_change_of_frozen_weights_never_leaves(demo: Path) -> None:
    made = experiment(demo, "--freeze_encoder", "1", "--privacy", "gaussian", *NOISE)
    site, sent = site_of(made), first(made)
    own_model = site.local.own_model

    def drifted() -> Weights:
        return {**own_model(), "conv1.weight": own_model()["conv1.weight"] + 1e-6}

    site.local.own_model = drifted  # type: ignore[method-assign]
    question = Question("train", 0, ("site-1",), training=("site-1",), weights=sent)
    assert site.answer(question).withheld


def test_the_encoder_trains_at_its_own_rate(demo: Path) -> None:
    """Adam's first steps are as long as the rate, so that one epoch's change shows the rate."""
    made = experiment(demo, "--encoder_rate", "0.01", "--learning_rate", "0.01", "--weight_decay", "0")
    site = site_of(made)
    steps = len(site.local.batches)
    update = trained(site, 0, first(made)).update
    assert np.abs(update["conv1.weight"]).max() <= 1.01 * steps * 1e-4
    assert np.abs(update["fc.weight"]).max() > steps * 1e-3
    groups = site.local.optimizer.param_groups
    assert sorted(group["lr"] for group in groups) == [1e-4, 1e-2]
    assert sum(len(group["params"]) for group in groups) == len(list(site.local.model.parameters()))


def test_a_run_begins_with_the_files_weights_and_no_site_needs_them(demo: Path, weights: Path) -> None:
    made = experiment(demo, "--pretrained", str(weights))
    state, found = torch.load(weights), first(made)
    assert np.array_equal(found["layer3.1.conv2.weight"], state["layer3.1.conv2.weight"].numpy())
    assert np.array_equal(found["fc.weight"], first(experiment(demo))["fc.weight"])
    travelling = made.to_json(travelling=True)
    assert weights.name not in travelling
    assert str(weights) in made.to_json()
    there = Experiment.from_json(travelling)
    assert there.task == BrainMri(image_size=64)
    assert json.loads(travelling)["task"]["freeze_encoder"] == 0


def test_the_record_and_the_screen_say_what_was_loaded(demo: Path, weights: Path) -> None:
    facts = checked(experiment(demo, "--pretrained", str(weights)), None).pretrained
    assert facts["file"] == "resnet18.pth"
    assert facts["loaded"] == 120
    words = encoder_words(facts, BrainMri(freeze_encoder=5, encoder_rate=0.1).training_told(5))
    assert words == (
        "pretrained by resnet18.pth, 120 entries loaded, 2 left out (fc.bias, fc.weight), 0 missing; conv1.weight "
        "summed over RGB for one channel; never trains, as it is frozen for 5 rounds of 5"
    )
    assert encoder_words({}, BrainMri().training_told(5)) == ""
    assert BrainMri(freeze_encoder=2, encoder_rate=0.1).training_told(5) == (
        "frozen for rounds 1 to 2, 0.1 of the others' learning rate"
    )


def test_a_file_that_does_not_fit_is_refused_before_anything_starts(demo: Path, tmp_path: Path, weights: Path) -> None:
    deeper = experiment(demo, "--pretrained", str(weights), "--network", "resnet34", "--artifacts", str(tmp_path / "a"))
    with pytest.raises(InputError, match="another depth"):
        checked(deeper, None)
    assert not (tmp_path / "a").exists()


def test_a_run_goes_on_with_the_weights_that_it_began_with_alone(demo: Path, tmp_path: Path, weights: Path) -> None:
    made, folder = experiment(demo, "--pretrained", str(weights)), RunFolder.create(tmp_path, "run")
    folder.write_experiment(made)
    folder.write_json("model_meta", {"pretrained": made.task.pretrained_facts()})
    assert checked(made, folder).pretrained["file"] == weights.name
    torch.save(ImageResNet(18).state_dict(), weights)
    with pytest.raises(InputError, match=r"resnet18\.pth of --pretrained holds other weights than when run-001 began"):
        checked(made, folder)


@pytest.mark.parametrize(
    ("option", "value"),
    [("freeze_encoder", "-1"), ("encoder_rate", "0"), ("encoder_rate", "1.5"), ("encoder_rate", "nan")],
)
def test_values_out_of_range_are_refused(demo: Path, option: str, value: str) -> None:
    with pytest.raises(InputError, match=f"--{option} is {value}"):
        experiment(demo, f"--{option}", value)


@pytest.mark.parametrize("network", ["transunet", "transunet_r50_b16"])
def test_a_transunet_of_slices_has_an_encoder_and_the_unet_has_none(network: str) -> None:
    assert Lgg(network=network, freeze_encoder=3, encoder_rate=0.1).is_frozen(3)
    with pytest.raises(InputError, match="--freeze_encoder is 3; expected no such option for the network unet"):
        Lgg(freeze_encoder=3)


@pytest.mark.parametrize("option", [{"pretrained": Path("w")}, {"freeze_encoder": 1}, {"encoder_rate": 0.5}])
def test_a_network_without_encoder_refuses_its_options(monkeypatch: pytest.MonkeyPatch, option: dict[str, Any]) -> None:
    monkeypatch.setattr(ImageResNet, "ENCODER", ())
    with pytest.raises(InputError, match=r"resnet18, which has no encoder: drop the option"):
        BrainMri(**option)


def test_a_task_without_encoder_has_no_such_options() -> None:
    with pytest.raises(InputError, match="freeze_encoder"):
        read_experiment(["--task", "brats18", "--freeze_encoder", "1"])
