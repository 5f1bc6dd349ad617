"""The privacy that a run's mechanism stated for each site, read from the run's ledger if there is one."""

from typing import Any, NamedTuple

from fedmed.privacy.ledger import LEDGER, last_of_each, read_ledger
from fedmed.runs.run_folder import RunFolder


class SiteSpending(NamedTuple):
    """A site's last ledger entry: (epsilon, delta) over the whole run; None where the mechanism is heuristic."""

    site: str
    round: int
    epsilon: float | None
    delta: float | None


class StatedPrivacy(NamedTuple):
    """The mechanism's own declaration and the last ledger entry of each site."""

    name: str
    unit: str
    guarantee: str
    spent: tuple[SiteSpending, ...]

    def of_patients(self, site: str | None = None) -> tuple[float, float] | None:
        """(epsilon, delta) for a patient of ``site``, or of the site that spent most; None for another unit.

        An image is in a patient's place where patients are not known.
        """
        if self.unit not in ("patient", "image"):
            return None
        known = [
            (each.epsilon, each.delta)
            for each in self.spent
            if each.epsilon is not None and each.delta is not None and site in (None, each.site)
        ]
        return max(known, default=None)


def stated_privacy_of(run: RunFolder) -> StatedPrivacy | None:
    """The run's stated privacy, or None where it has no ledger.

    Raises:
        InputError: the ledger cannot be read, or was edited.
    """
    path = run.path / LEDGER
    if not path.is_file():
        return None
    ledger = read_ledger(path)
    last = last_of_each(ledger.entries)
    spent = tuple(SiteSpending(site, each.round, each.epsilon_total, each.delta) for site, each in sorted(last.items()))
    mechanism = ledger.mechanism
    return StatedPrivacy(mechanism["name"], mechanism["unit"], mechanism["guarantee"], spent)


def in_words(stated: StatedPrivacy | None) -> str:
    """Lines to print under a table of attacks."""
    if stated is None:
        return f"The run has no {LEDGER}, so no privacy was promised that these attacks could be held against."
    lines = [f"promised by {stated.name} (unit: {stated.unit}): {stated.guarantee}"]
    for each in stated.spent:
        if each.epsilon is None:
            lines.append(f"  {each.site}, round {each.round}: no epsilon, the mechanism is heuristic")
        else:
            at = "" if each.delta is None else f" at delta {each.delta:g}"
            lines.append(f"  {each.site}, round {each.round}: epsilon {each.epsilon:.4g}{at}")
    return "\n".join(lines)


def as_json(stated: StatedPrivacy | None) -> dict[str, Any] | None:
    """JSON values of the stated privacy."""
    if stated is None:
        return None
    return {**stated._asdict(), "spent": [each._asdict() for each in stated.spent]}
