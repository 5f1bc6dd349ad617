"""Who is there: when the server last heard of each site."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply

TOPIC = "fedmed.environments.flare.heartbeat"
"""Under which sites give signs of life (see presence.py)."""

START_S = 300.0
"""What a site may take at least, from the start of a job, until its first sign: it imports, and reads its lists."""


class Attendance:
    """Notes signs of life, in threads of FLARE, and says who has given none for too long.

    Args:
        silence_s: seconds; 0 where sites give no signs, so that none is ever lost.
        clock: seconds from some moment on.
    """

    def __init__(self, silence_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.silence_s, self._clock = silence_s, clock
        self._began = clock()
        self._heard: dict[str, float] = {}

    def heard(self, site: str) -> None:
        """A sign of life, of whatever kind."""
        self._heard[site] = self._clock()

    def silent_s(self, site: str) -> float:
        """Seconds since the last sign."""
        return self._clock() - self._heard.get(site, self._began)

    def lost(self, sites: Iterable[str]) -> list[str]:
        """Those of ``sites`` that have been silent for too long."""
        return [site for site in sites if self.silence_s and self.silent_s(site) > self._patience(site)]

    def _patience(self, site: str) -> float:
        return self.silence_s if site in self._heard else max(self.silence_s, START_S)

    def take_sign(self, topic: str, request: Shareable, fl_ctx: FLContext) -> Shareable:
        """FLARE's handler for messages of :data:`TOPIC`."""
        peer: Any = fl_ctx.get_peer_context()
        self.heard(str(peer.get_identity_name()))
        return make_reply(ReturnCode.OK)
