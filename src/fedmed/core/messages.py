"""The messages between the server and a site, whatever carries them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Kind = Literal["images", "unshared", "statistics", "train", "score"]
"""Keyed hashes of a site's images; to keep the part of the model that no round sends; the running statistics of the
weights on its training cases; a round of training, before which the weights are scored; scores alone."""


@dataclass(frozen=True)
class Question:
    """The server's message to sites.

    Attributes:
        kind: the answer that is asked for.
        rounds: how many rounds made the weights.
        sites: the sites that are asked, in the order of their names.
        training: those of them that train, in a round; the others score.
        weights: the global model's entries that sites share, or the other ones in an ``unshared`` question; none
            where images are asked for.
        shares: by site (i, n), the part of the validation cases that it scores; all of them where it is not named.
        extras: arrays that the algorithm's server side sends.
        rate_factor: the share of each learning rate with which the round trains, above 0 and at most 1.
        unshared: the digest of the entries that no round sends; empty where all are shared.
    """

    kind: Kind
    rounds: int
    sites: tuple[str, ...]
    training: tuple[str, ...] = ()
    weights: Mapping[str, Any] = field(default_factory=dict)
    shares: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    rate_factor: float = 1.0
    unshared: str = ""


@dataclass(frozen=True)
class Answer:
    """A site's answer. The server takes nothing in it for granted.

    Attributes:
        update: differences of the weights' entries by name, of running statistics alone where they were asked for;
            none where the site did not train.
        steps: optimiser steps of the round.
        cases: training cases, where their number may leave the site.
        metrics: figures by name.
        entry: the privacy ledger's entry of the round, as JSON values.
        extras: arrays that the algorithm's site side sends.
        images: keyed hashes of images, where they were asked for.
        withheld: True where the site trained and lets nothing of it out.
        unshared: the digest of the entries that no round sends, as the site has them, empty where it has none; None
            where the answer does not say.
    """

    update: Mapping[str, Any] = field(default_factory=dict)
    steps: Any = None
    cases: Any = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    entry: Any = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    images: Any = None
    withheld: bool = False
    unshared: Any = None
