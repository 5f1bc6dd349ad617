"""What a run's privacy mechanism promised of each site's patients, read from the run's ledger if it kept one."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from fedmed.errors import InputError
from fedmed.run_folder import RunFolder

LEDGER = "privacy_ledger"


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
        InputError: the ledger cannot be read.
    """
    path = run.path / f"{LEDGER}.json"
    if not path.is_file():
        return None
    document = run.read_json(LEDGER)
    try:
        mechanism = document["mechanism"]
        last = {entry["site"]: _spent(entry) for entry in sorted(document["entries"], key=lambda each: each["round"])}
        return Promise(
            mechanism["name"], mechanism["unit"], mechanism["guarantee"], tuple(last[s] for s in sorted(last))
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no ledger as runs write it ({error!r}); copy it from the run anew.") from error


def in_words(promise: Promise | None) -> str:
    """Lines beside a table of attacks."""
    if promise is None:
        return f"The run has no {LEDGER}.json, so no privacy was promised that these attacks could be held against."
    lines = [f"promised by {promise.name} (unit: {promise.unit}): {promise.guarantee}"]
    for each in promise.spent:
        if each.epsilon is None:
            lines.append(f"  {each.site}, round {each.round}: no epsilon, the mechanism is heuristic")
        else:
            at = "" if each.delta is None else f" at delta {each.delta:g}"
            lines.append(f"  {each.site}, round {each.round}: epsilon {each.epsilon:.4g}{at}")
    return "\n".join(lines)


def _spent(entry: Mapping[str, Any]) -> Spent:
    return Spent(str(entry["site"]), int(entry["round"]), *(_number(entry.get(k)) for k in ("epsilon_total", "delta")))


def _number(value: Any) -> float | None:
    """A finite number that is not negative, else None: an infinite epsilon promises nothing."""
    number = None if value is None else float(value)
    return number if number is not None and math.isfinite(number) and number >= 0 else None


def as_json(promise: Promise | None) -> Any:
    """As JSON values."""
    if promise is None:
        return None
    return {**promise._asdict(), "spent": [each._asdict() for each in promise.spent]}
