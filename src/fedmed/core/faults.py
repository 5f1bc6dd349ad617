"""What a round does about sites that die, are late, or send what cannot be used."""

from dataclasses import dataclass

from fedmed.core.options import expect, expect_at_least, option

SIGNS_PER_SILENCE = 6
"""How often a site gives a sign of life within the time after which it counts as lost."""


@dataclass(frozen=True)
class Faults:
    """By default every site must answer in every round, and a run without one of them ends."""

    min_clients: int | None = option(
        None, "usable updates that a round needs; a site that dies, fails or is late is left out (default: all answer)"
    )
    round_timeout: int | None = option(
        None, "seconds after which a round waits for no more answers (default: for ever)"
    )
    site_silence: float = option(
        120.0, "seconds without a sign of life after which a site counts as lost, until it is heard again"
    )
    max_update_ratio: float = option(
        100.0, "refuse an update that is more times larger than the median of the other sites'; 0 refuses none"
    )

    def __post_init__(self) -> None:
        for name in ("min_clients", "round_timeout"):
            if getattr(self, name) is not None:
                expect_at_least(name, getattr(self, name), 1)
        expect(
            1 <= self.site_silence < 86_400, "site_silence", self.site_silence, "a number of seconds from 1 to 86400"
        )
        ratio = self.max_update_ratio
        expect(ratio == 0 or 1 < ratio < float("inf"), "max_update_ratio", ratio, "0, or a finite number above 1")

    def check_sites(self, sites: int) -> None:
        """Refuse to wait for more sites than there are.

        Raises:
            InputError: ``min_clients`` is above their number.
        """
        given = self.min_clients
        expect(given is None or given <= sites, "min_clients", given, f"at most the {sites} sites of the run")

    def spares(self, sites: int) -> bool:
        """Whether a round may end without one of so many sites."""
        return self.min_clients is not None and self.min_clients < sites

    @property
    def sign_every_s(self) -> float:
        """Seconds from one sign of life of a site to its next."""
        return self.site_silence / SIGNS_PER_SILENCE
