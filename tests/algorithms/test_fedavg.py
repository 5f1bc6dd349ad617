"""FedAvg: the weighted mean at the server and nothing beside training at a site."""

import numpy as np
import torch
from nvflare.app_common.abstract.fl_model import FLModel

from fedmed.algorithms.fedavg import FedAvg
from fedmed.algorithms.updates import weighted_mean


def test_the_server_takes_the_mean_weighted_by_steps() -> None:
    updates = [{"x": np.array([1.0, 2.0])}, {"x": np.array([4.0, -1.0])}]
    combined = FedAvg().combine(updates, [2, 1])
    assert combined["x"].tolist() == [2.0, 1.0]
    assert np.array_equal(combined["x"], weighted_mean(updates, [2, 1])["x"])


def test_a_site_does_nothing_beside_training() -> None:
    model = torch.nn.Linear(2, 2)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    hook = FedAvg().hook()
    hook.start_round(model, FLModel(params={}, meta={}))
    assert hook.penalty(model) == 0
    hook.after_step(model)
    assert hook.finish_round(model) == {}
    received, own = dict(model.state_dict()), before
    assert hook.starting_weights(received, own) is received
    assert hook.outgoing(own, received) is own
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
