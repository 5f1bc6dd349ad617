"""The times at which the server last heard of each site."""

from collections.abc import Iterable

from fedmed.core.timing import TIMING


class Heartbeats:
    """Notes signs of life and names the sites that have given none for too long.

    Args:
        silence_s: seconds; 0 where sites send no heartbeats, so that none is ever lost.
        now: seconds from some moment on, as everywhere below.
    """

    def __init__(self, silence_s: float, now: float) -> None:
        self.silence_s = silence_s
        self._began = now
        self._heard: dict[str, float] = {}

    def heard(self, site: str, now: float) -> None:
        """Note a sign of life, of whatever kind."""
        self._heard[site] = now

    def silent_s(self, site: str, now: float) -> float:
        """Seconds since the last sign."""
        return now - self._heard.get(site, self._began)

    def lost(self, sites: Iterable[str], now: float) -> list[str]:
        """Those of ``sites`` that have been silent for too long."""
        return [site for site in sites if self.silence_s and self.silent_s(site, now) > self._patience(site)]

    def _patience(self, site: str) -> float:
        return self.silence_s if site in self._heard else max(self.silence_s, TIMING.site_start_s)
