"""The quorum of a round: the sites that were asked, those that have answered, and what is missing for it to count."""

from collections.abc import Iterable, Mapping

from fedmed.core.errors import counted

NO_ROUND = "The run cannot go on:"


NOT_AWAITED = "it had not answered when the round ended"
"""The reason of a site that nobody waits for any longer since another one failed."""


class RoundFailed(RuntimeError):
    """A round has too few answers; the message begins with :data:`NO_ROUND` and names who is missing and why."""


class RoundQuorum:
    """One round's quorum.

    Args:
        sites: who is asked.
        absent: who is not, and why.
        needed: how many usable updates are enough; None where every site must answer.
    """

    def __init__(
        self, sites: Iterable[str], absent: Mapping[str, str] | None = None, needed: int | None = None
    ) -> None:
        self.sites = tuple(sorted(sites))
        self.absent = dict(absent or {})
        self.needed = needed
        self._answered: set[str] = set()

    def answered(self, site: str) -> None:
        """Note that a site has answered, whatever it said."""
        self._answered.add(site)

    def failed(self, site: str, why: str) -> None:
        """Note that a site will not answer."""
        self.answered(site)
        self.absent[site] = why

    @property
    def is_broken(self) -> bool:
        """True where every site must answer and one cannot."""
        return self.needed is None and bool(self.absent)

    @property
    def awaited(self) -> list[str]:
        """The sites that were asked and have not answered."""
        return [site for site in self.sites if site not in self._answered]

    def close(self, why: Mapping[str, str]) -> None:
        """Nobody is waited for any longer: who has not answered is absent from now on."""
        for site in self.awaited:
            self.failed(site, why[site])

    def require(self, round_name: str, usable: int, refused: Mapping[str, str]) -> None:
        """Accept the round or end the run.

        Args:
            round_name: for the message.
            usable: how many updates can be used.
            refused: whose cannot, and why.

        Raises:
            RoundFailed: more are needed.
        """
        if self._is_met(usable):
            return
        needs = "an answer of every site"
        if self.needed is not None:
            needs = f"{counted(self.needed, 'usable update')} and has {usable}"
        reasons = self._reasons({**refused, **self.absent})
        raise RoundFailed(f"{NO_ROUND} {round_name} needs {needs}" + (f" ({reasons})." if reasons else "."))

    def _is_met(self, usable: int) -> bool:
        return not self.absent if self.needed is None else usable >= self.needed

    def _reasons(self, found: Mapping[str, str]) -> str:
        """Each site with its reason, without those who were merely not waited for where others are to blame."""
        guilty = {site: why for site, why in found.items() if why != NOT_AWAITED} or found
        return "; ".join(f"{site}: {why}" for site, why in sorted(guilty.items()))
