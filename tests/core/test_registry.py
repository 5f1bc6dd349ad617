"""The registry: plug-ins are found by file name, and a new file is all that one needs."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fedmed.privacy
from fedmed.command_line import read_experiment
from fedmed.core import registry
from fedmed.core.errors import InputError
from fedmed.experiment import Experiment

NEW = """
from dataclasses import dataclass
from typing import ClassVar
from fedmed.core.options import option
from fedmed.privacy.base import Mechanism

@dataclass(frozen=True)
class Mine(Mechanism):
    my_strength: float = option(1.0, "how strong")
    UNIT: ClassVar[str] = "none"
    GUARANTEE: ClassVar[str] = "none"

    def filters(self):
        return []

    def statement(self):
        return "mine"

PLUGIN = Mine
"""


@pytest.fixture
def new_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "mine.py").write_text(NEW)
    (tmp_path / "helpers.py").write_text("x = 1\n")
    monkeypatch.setattr(fedmed.privacy, "__path__", [*fedmed.privacy.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield
    for name in ("mine", "helpers"):
        sys.modules.pop(f"fedmed.privacy.{name}", None)
        vars(fedmed.privacy).pop(name, None)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("task", {"brats18"}), ("algorithm", {"fedavg", "fedprox"}), ("privacy", {"none", "svt"}), ("env", {"sim"})],
)
def test_plug_ins_are_found(kind: str, expected: set[str]) -> None:
    assert expected <= set(registry.names(kind))


@pytest.mark.parametrize(
    ("kind", "name"), [("algorithm", "updates"), ("privacy", "guard"), ("env", "gpus"), ("task", "base")]
)
def test_a_module_without_a_plug_in_is_none(kind: str, name: str) -> None:
    assert name not in registry.names(kind)
    with pytest.raises(InputError):
        registry.find(kind, name)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_a_plug_in_bears_the_name_by_which_it_is_found(kind: str) -> None:
    for name in registry.names(kind):
        needed = {"gaussian": {"dp_noise_multiplier": 1.0}, "dpsgd": {"dp_noise_multiplier": 1.0}}
        needed |= {"exclude_vars": {"exclude_vars": "bias"}, "partial": {"share": "fc"}}
        assert registry.find(kind, name)(**needed.get(name, {})).name == name


def test_a_choice_is_rebuilt_from_its_name_and_options() -> None:
    plain = {"name": "fedprox", "fedproxloss_mu": 0.1}
    for _ in range(2):  # the stored description must survive its use
        assert registry.rebuilt("algorithm", plain) == registry.find("algorithm", "fedprox")(fedproxloss_mu=0.1)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        registry.find("privacy", "magic")
    assert str(caught.value).startswith("--privacy is magic;")
    assert all(name in str(caught.value) for name in registry.names("privacy"))


@pytest.mark.usefixtures("new_plugin")
def test_a_new_file_is_available_with_its_options_and_travels() -> None:
    assert "mine" in registry.names("privacy")
    assert "helpers" not in registry.names("privacy")
    experiment = read_experiment(["--privacy", "mine", "--my_strength", "3"])
    assert experiment.privacy == registry.find("privacy", "mine")(my_strength=3.0)
    assert Experiment.from_json(experiment.to_json()) == experiment


def test_the_new_file_is_gone_afterwards() -> None:
    assert "mine" not in registry.names("privacy")
