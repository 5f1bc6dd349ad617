"""Signs of life: from the start of a job to its end, and FLARE reports no death of a site that can be spared."""

import inspect
import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLMetaKey, ReservedKey
from nvflare.apis.fl_context import FLContext, FLContextManager
from nvflare.apis.job_launcher_spec import JobReturnCode
from nvflare.apis.workspace import Workspace
from nvflare.fuel.data_event.utils import set_scope_property
from nvflare.private.fed.client.client_run_manager import ClientRunManager
from nvflare.private.fed.utils.fed_utils import get_return_code

from fedmed.core.names import HEARTBEAT_TOKEN, HEARTBEAT_TOPIC
from fedmed.environments.flare.heartbeat import Heartbeat
from fedmed.server.heartbeats import Heartbeats


class Line:
    """A site's way to its server, where they are noted; it may be cut."""

    def __init__(self, heartbeats: Heartbeats, folder: Path) -> None:
        (folder / "startup").mkdir()
        (folder / "local").mkdir()
        (folder / "job-1").mkdir()
        self.heartbeats, self.folder, self.signs, self.cut = heartbeats, folder, 0, False
        self.contexts = FLContextManager(
            engine=self, identity_name="site-1", job_id="job-1", public_stickers={}, private_stickers={}
        )

    def new_context(self) -> FLContext:
        return self.contexts.new_context()

    def get_workspace(self) -> Workspace:
        return Workspace(str(self.folder), "site-1")

    def send_aux_request(self, **asked: Any) -> dict[str, Any]:
        inspect.signature(ClientRunManager.send_aux_request).bind(self, **asked)  # as FLARE's own engine
        self.signs += 1
        if self.cut:
            raise ConnectionError("the line is cut")
        assert asked["topic"] == HEARTBEAT_TOPIC
        assert asked["request"].get_header(HEARTBEAT_TOKEN) == "secret"
        self.heartbeats.heard(asked["fl_ctx"].get_identity_name(), 0.0)
        return {}


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def line(tmp_path: Path) -> Line:
    set_scope_property("site-1", FLMetaKey.AUTH_TOKEN, "secret")  # as FLARE's client does once it is registered
    return Line(Heartbeats(1.0, 0.0), tmp_path)


def test_a_site_gives_signs_until_its_job_ends_be_the_line_cut_for_a_while(line: Line) -> None:
    presence = Heartbeat(0.01, spared=False)
    with line.new_context() as context:
        presence.handle_event(EventType.START_RUN, context)
        wait_until(lambda: line.signs >= 3)
        line.cut, line.signs = True, 0
        wait_until(lambda: line.signs >= 3)
        line.cut, line.signs = False, 0
        wait_until(lambda: line.signs >= 3)
        presence.handle_event(EventType.END_RUN, context)
    time.sleep(0.1)  # for one that was under way
    ended = line.signs
    time.sleep(0.1)
    assert line.signs == ended
    assert list(line.heartbeats._heard) == ["site-1"]


def test_between_two_signs_it_waits(line: Line) -> None:
    presence = Heartbeat(60.0, spared=False)
    with line.new_context() as context:
        presence.handle_event(EventType.START_RUN, context)
        wait_until(lambda: line.signs == 1)
        time.sleep(0.1)
        presence.handle_event(EventType.END_RUN, context)
    assert line.signs == 1


@pytest.mark.parametrize(("spared", "code"), [(True, JobReturnCode.UNKNOWN), (False, -9)])
def test_the_death_of_a_site_is_reported_unless_it_can_be_spared(line: Line, spared: bool, code: int) -> None:
    presence = Heartbeat(60.0, spared)
    with line.new_context() as context:
        assert context.get_prop(ReservedKey.ENGINE) is line
        presence.handle_event(EventType.START_RUN, context)
        presence.handle_event(EventType.END_RUN, context)
    killed = SimpleNamespace(poll=lambda: -9)  # the site's process, to FLARE's client
    assert get_return_code(killed, "job-1", str(line.folder), logging.getLogger()) == code
