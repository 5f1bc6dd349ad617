"""FedAvg: the weighted mean at the server and nothing beside training at a site."""

import numpy as np
import pytest
import torch

from fedmed.algorithms.averaging import weighted_mean
from fedmed.algorithms.base import Contribution, ServerSetup, SiteSetup
from fedmed.algorithms.fedavg import FedAvg
from fedmed.core.settings import AggregationWeights


def contribution(site: str, values: list[float], steps: float) -> Contribution:
    return Contribution(site, {"x": np.array(values)}, steps, cases=99)


def test_the_server_takes_the_mean_weighted_by_steps() -> None:
    contributions = [contribution("a", [1.0, 2.0], 2), contribution("b", [4.0, -1.0], 1)]
    server = FedAvg().server(ServerSetup({"x": (2,)}, rounds=1, sites=2))
    combined = server.combine(contributions)
    assert combined["x"].tolist() == [2.0, 1.0]
    assert np.array_equal(combined["x"], weighted_mean([each.update for each in contributions], [2, 1])["x"])


@pytest.mark.parametrize(
    ("by", "weights"),
    [("auto", [4, 9]), ("steps", [4, 9]), ("cases", [16, 144]), ("sqrt_cases", [4, 12]), ("uniform", [1, 1])],
)
def test_sites_count_by_what_the_experiment_says(by: AggregationWeights, weights: list[float]) -> None:
    found = [Contribution("a", {"x": np.array([1.0])}, 4, 16), Contribution("b", {"x": np.array([0.0])}, 9, 144)]
    side = FedAvg().server(ServerSetup({"x": (1,)}, rounds=1, sites=2, weights=by))
    assert side.combine(found)["x"].item() == pytest.approx(weights[0] / sum(weights))


def test_the_server_sends_expects_and_remembers_nothing_more() -> None:
    server = FedAvg().server(ServerSetup({"x": (2,)}, rounds=1, sites=2))
    assert server.message() == server.expected_extras() == server.state() == {}
    assert (FedAvg.RESULT, FedAvg.SENDS_EXTRAS) == ("global", "")
    assert FedAvg().parts(torch.nn.BatchNorm1d(2)).unshared == ()


def test_a_site_does_nothing_beside_training() -> None:
    model = torch.nn.Linear(2, 2)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    side = FedAvg().site(SiteSetup(model, torch.optim.SGD(model.parameters(), lr=1.0), 1.0, cases=3))
    side.start_round({})
    assert side.penalty() == 0
    side.after_step()
    assert side.extras() == side.state() == {}
    received, own = dict(model.state_dict()), before
    assert side.starting_weights(received, own) is received
    assert side.outgoing(own, received) is own
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
