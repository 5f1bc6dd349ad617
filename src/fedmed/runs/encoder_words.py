"""The text on the screen about a part of the network that comes pretrained or trains apart from the rest."""

from collections.abc import Mapping
from typing import Any

from fedmed.networks.encoder_names import first_of


def encoder_words(pretrained: Mapping[str, Any], told: str) -> str:
    """The file of weights with what of it fits, and how the encoder trains; empty where nothing is to be said.

    Args:
        pretrained: of :meth:`fedmed.tasks.base.Task.pretrained_facts`.
        told: of :meth:`fedmed.tasks.base.Task.training_told`.
    """
    return "; ".join([*(_pretrained(pretrained) if pretrained else ()), *([told] if told else ())])


def _pretrained(facts: Mapping[str, Any]) -> list[str]:
    lists = [f"{len(names)} {title}{first_of(names)}" for title, names in
             (("left out", facts["left_out"]), ("missing", facts["missing"]))]  # fmt: skip
    loaded = f"{facts['loaded']} entries loaded"
    return [f"pretrained by {facts['file']}, {', '.join([loaded, *lists])}", *facts["adapted"]]
