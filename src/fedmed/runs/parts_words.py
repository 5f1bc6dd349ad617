"""The text on the screen about the parts of a network that a run shares, and those that it does not."""

from collections.abc import Mapping
from typing import Any

import torch

from fedmed.core.entries import Entries
from fedmed.core.weights import payload
from fedmed.experiment import Experiment
from fedmed.networks.encoder_names import first_of

HOW = {"shared": "a message", "private": "at each site", "frozen": "sent once"}


def parts_words(experiment: Experiment) -> list[tuple[str, str]]:
    """Name of each part of the experiment's network, with its entries, parameters, bytes and share of all bytes.

    None where the network is shared whole.
    """
    with torch.random.fork_rng(devices=[]):
        model = experiment.task.build_model()
    parts = experiment.algorithm.parts(model)
    if not parts.unshared:
        return []
    found = {"shared": parts.shared, "private": parts.private, "frozen": parts.frozen}
    state = model.state_dict()
    return [(title, _told(entries, state, HOW[title])) for title, entries in found.items() if entries.names]


def _told(entries: Entries, state: Mapping[str, Any], how: str) -> str:
    """``38 of 218 entries (fc.weight, ...), 13,121,550 parameters, 52.53 MB a message, 61.6% of 85.2 MB``."""
    size, whole = (payload({name: state[name] for name in names}) for names in (entries.names, state))
    parameters = sum(state[name].numel() for name in entries.trainable)
    return (
        f"{len(entries.names)} of {len(state)} entries{first_of(entries.names)}, {parameters:,} parameters, "
        f"{size / 1e6:.4g} MB {how}, {size / whole:.1%} of {whole / 1e6:.4g} MB"
    )
