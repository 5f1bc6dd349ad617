"""What a run's privacy mechanism promised of each site's patients, read from the run's ledger if it kept one."""

from typing import Any, NamedTuple

from fedmed.privacy.ledger import LEDGER, last_of_each, read_ledger
from fedmed.runs.run_folder import RunFolder


class Spent(NamedTuple):
    """A site's last entry: (epsilon, delta) over the whole run; None where the mechanism is heuristic."""

    site: str
    round: int
    epsilon: float | None
    delta: float | None


class Promise(NamedTuple):
    """The mechanism in its own words, and what each site spent."""

    name: str
    unit: str
    guarantee: str
    spent: tuple[Spent, ...]

    def of_patients(self, site: str | None = None) -> tuple[float, float] | None:
        """(epsilon, delta) for a patient of ``site``, or of the site that spent most; None without a promise."""
        if "patient" not in self.unit.lower():
            return None
        known = [
            (each.epsilon, each.delta)
            for each in self.spent
            if each.epsilon is not None and each.delta is not None and site in (None, each.site)
        ]
        return max(known, default=None)


def promise_of(run: RunFolder) -> Promise | None:
    """The run's ledger in short, or None where it has none.

    Raises:
        InputError: the ledger cannot be read, or was edited.
    """
    path = run.path / LEDGER
    if not path.is_file():
        return None
    ledger = read_ledger(path)
    last = last_of_each(ledger.entries)
    spent = tuple(Spent(site, each.round, each.epsilon_total, each.delta) for site, each in sorted(last.items()))
    mechanism = ledger.mechanism
    return Promise(mechanism["name"], mechanism["unit"], mechanism["guarantee"], spent)


def in_words(promise: Promise | None) -> str:
    """Lines beside a table of attacks."""
    if promise is None:
        return f"The run has no {LEDGER}, so no privacy was promised that these attacks could be held against."
    lines = [f"promised by {promise.name} (unit: {promise.unit}): {promise.guarantee}"]
    for each in promise.spent:
        if each.epsilon is None:
            lines.append(f"  {each.site}, round {each.round}: no epsilon, the mechanism is heuristic")
        else:
            at = "" if each.delta is None else f" at delta {each.delta:g}"
            lines.append(f"  {each.site}, round {each.round}: epsilon {each.epsilon:.4g}{at}")
    return "\n".join(lines)


def as_json(promise: Promise | None) -> Any:
    """As JSON values."""
    if promise is None:
        return None
    return {**promise._asdict(), "spent": [each._asdict() for each in promise.spent]}
