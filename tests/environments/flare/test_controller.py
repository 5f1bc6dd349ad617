"""The server's controller: a heartbeat is a sign of the site that sent it, whatever it says."""

import pytest
from nvflare.apis.fl_constant import ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable

from fedmed.core.names import HEARTBEAT_TOPIC
from fedmed.core.timing import TIMING
from fedmed.environments.flare.controller import GuardedFedAvg
from fedmed.server.heartbeats import Heartbeats


@pytest.fixture
def controller() -> GuardedFedAvg:
    """Of two sites that nobody has heard for longer than a start takes."""
    made = GuardedFedAvg(
        num_clients=2, num_rounds=1, key_metric="val_dice", task={"name": "brats18"}, split_validation=False
    )
    moments = iter([0.0])
    made._heartbeats = Heartbeats(30.0, lambda: next(moments, TIMING.site_start_s + 1))
    return made


def test_a_message_of_a_site_is_a_sign_of_that_site_alone(controller: GuardedFedAvg) -> None:
    peer, context = FLContext(), FLContext()
    peer.set_prop(ReservedKey.IDENTITY_NAME, "site-2", private=False)
    context.set_peer_context(peer)
    assert controller._heartbeats.lost(["site-1", "site-2"]) == ["site-1", "site-2"]
    assert controller._take_heartbeat(HEARTBEAT_TOPIC, Shareable(), context).get_return_code() == ReturnCode.OK
    assert controller._heartbeats.lost(["site-1", "site-2"]) == ["site-1"]
