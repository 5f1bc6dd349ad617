"""The options of an attack on a run by some of its own sites, for the study of what an algorithm withstands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from fedmed.core.errors import InputError
from fedmed.core.options import expect, expect_positive, option

AttackName = Literal["none", "sign_flip", "scaled", "gaussian", "label_flip", "ipm", "alie", "min_max"]

STRENGTHS: Mapping[str, float] = {"sign_flip": 1.0, "scaled": 10.0, "gaussian": 10.0, "ipm": 10.0}
"""The strengths of attacks that have a usual one."""

UNDER_ATTACK = "under attack"
"""The words by which whoever opens a model knows that some sites attacked its training."""

MOST_STRENGTH = 1e6
"""More would say nothing further, and leave the range of a network's numbers."""


@dataclass(frozen=True)
class Attack:
    """An attack, for study only: on the updates at the server, or on the labels at the site."""

    attack: AttackName = option(
        "none",
        "for study only, with --env sim or pool: the attackers' updates times -S (sign_flip) or S (scaled), noise of S "
        "times their length (gaussian), -S times the honest mean (ipm), that mean minus S standard deviations (alie), "
        "as far from it as honest ones lie apart (min_max); or honest training on flipped labels (label_flip)",
    )
    attackers: str | None = option(None, "the sites that attack, with commas between them")
    attack_strength: float | None = option(
        None, "S (default: 1 for sign_flip, 10 for scaled, gaussian and ipm; none for alie, which needs one)"
    )

    def __post_init__(self) -> None:
        self._expect_whole()
        if self.attack_strength is not None:
            has_one = self.attack in (*STRENGTHS, "alie")
            expect(has_one, "attack_strength", self.attack_strength, f"none with --attack {self.attack}")
            expect_positive("attack_strength", self.attack_strength, MOST_STRENGTH)
        elif self.attack == "alie":
            raise InputError(
                "--attack alie has no --attack_strength; give the number of standard deviations, such as 1.5, since "
                "the paper's own formula gives 0 for one attacker of five."
            )
        if not all(self.sites) or len(set(self.sites)) < len(self.sites):
            raise InputError(f"--attackers is {self.attackers!r:.80}; expected names, each once, with a comma between.")

    def _expect_whole(self) -> None:
        """Refuse an attack without attackers, and the reverse."""
        if self.attack == "none" and self.attackers is not None:
            raise InputError(f"--attackers {self.attackers} is given without --attack; give --attack too, or drop it.")
        if self.attack != "none" and self.attackers is None:
            raise InputError(f"--attack {self.attack} has no --attackers; name the sites, such as --attackers site-2.")

    @property
    def is_on(self) -> bool:
        return self.attack != "none"

    @property
    def sites(self) -> tuple[str, ...]:
        """The attackers' names."""
        return () if self.attackers is None else tuple(name.strip() for name in self.attackers.split(","))

    @property
    def strength(self) -> float:
        """The strength that holds; 0 of an attack that has none."""
        return STRENGTHS.get(self.attack, 0.0) if self.attack_strength is None else self.attack_strength

    def check_sites(self, sites: Sequence[str]) -> None:
        """Refuse attackers that are no sites of the run, and a run without an honest one.

        Raises:
            InputError: there are such.
        """
        for name in self.sites:
            if name not in sites:
                near = get_close_matches(name, sites, n=1, cutoff=0.0)[0]
                raise InputError(f"--attackers names {name:.80}, which is no site; the nearest name is {near}.")
        if self.is_on and len(self.sites) >= len(sites):
            raise InputError(
                f"--attackers names {len(self.sites)} of {len(sites)} sites, and nobody would be honest; name fewer."
            )

    def statement(self) -> str:
        """The attack in words: ``sign_flip (strength 1) at site-2, for study only``; empty where there is none."""
        if not self.is_on:
            return ""
        strength = f" (strength {self.strength:g})" if self.strength else ""
        return f"{self.attack}{strength} at {', '.join(self.sites)}, for study only"
