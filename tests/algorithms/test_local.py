"""Every site alone: it goes on from its own weights, and nothing of them reaches the server."""

import numpy as np
import pytest
import torch

from fedmed.algorithms.base import Contribution, ServerSetup, SiteSetup, SiteSide
from fedmed.algorithms.local import Local
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError

RECEIVED, OWN = {"w": torch.zeros(3)}, {"w": torch.arange(3.0)}


@pytest.fixture
def side() -> SiteSide:
    model = torch.nn.Linear(1, 1)
    return Local().site(SiteSetup(model, torch.optim.SGD(model.parameters(), lr=1.0), 1.0, cases=1))


def test_a_round_begins_with_the_sites_own_weights_once_there_are_any(side: SiteSide) -> None:
    assert side.starting_weights(RECEIVED, None) is RECEIVED
    assert side.starting_weights(RECEIVED, OWN) is OWN


def test_what_is_sent_differs_by_nothing_from_what_came(side: SiteSide) -> None:
    sent = side.outgoing(OWN, RECEIVED)
    assert all(not (sent[name] - RECEIVED[name]).any() for name in RECEIVED)


def test_the_server_adds_nothing_whatever_is_sent() -> None:
    sent = [np.ones((2, 3), np.float32), np.full((2, 3), 5, np.float32)]
    contributions = [Contribution(str(i), {"w": values}, steps=i + 1, cases=1) for i, values in enumerate(sent)]
    combined = Local().server(ServerSetup({"w": (2, 3)}, rounds=1, sites=2)).combine(contributions)
    assert combined["w"].dtype == np.float32
    assert combined["w"].shape == (2, 3)
    assert not combined["w"].any()


def test_the_result_is_each_sites_own_model() -> None:
    assert Local().has_own_models
    assert not Local().has_global_model


@pytest.mark.parametrize("privacy", ["--enable_dp", "--privacy gaussian --dp_clip 1 --dp_noise_multiplier 1"])
def test_a_privacy_mechanism_would_do_nothing_and_is_refused(privacy: str) -> None:
    with pytest.raises(InputError, match=r"--algorithm local sends no update, so --privacy (svt|gaussian) would"):
        read_experiment(["--algorithm", "local", *privacy.split()])


def test_weights_of_sites_would_do_nothing_and_are_refused() -> None:
    with pytest.raises(InputError, match="--algorithm local averages nothing, so --aggregation_weights uniform would"):
        read_experiment(["--algorithm", "local", "--aggregation_weights", "uniform"])
