"""What a run spent of its privacy, as its ledger says."""

from dataclasses import dataclass

from fedmed.core.errors import InputError
from fedmed.privacy.ledger import LEDGER, last_of_each, read_ledger
from fedmed.runs.run_folder import RunFolder


@dataclass(frozen=True)
class Spent:
    """Whose presence a run hides, with what guarantee, and what the site that spent most has spent."""

    unit: str
    guarantee: str
    epsilon: float | None  # None: the mechanism has none
    delta: float | None


def spent(run: RunFolder) -> Spent:
    """What a run's privacy ledger says; a run without a ledger is one of a mechanism without an epsilon.

    Raises:
        InputError: the ledger cannot be read, or a run with a formal guarantee has none.
    """
    privacy, path = run.experiment().privacy, run.path / LEDGER
    if not path.is_file():
        if privacy.GUARANTEE == "formal":
            raise InputError(f"{path} is not there, though {privacy.name} is formal; give a run that kept its ledger.")
        return Spent(privacy.UNIT, privacy.GUARANTEE, None, None)
    ledger = read_ledger(path)
    last = last_of_each(ledger.entries).values()
    known = [(e.epsilon_total, e.delta) for e in last if e.epsilon_total is not None]
    epsilon, delta = max(known, key=lambda pair: pair[0], default=(None, None))
    return Spent(ledger.mechanism["unit"], ledger.mechanism["guarantee"], epsilon, delta)
