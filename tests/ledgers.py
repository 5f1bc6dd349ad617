"""Privacy ledgers made by hand, whose epsilon is known."""

from typing import Any

from fedmed.privacy.ledger import Entry, Ledger


def entry(site: str, number: int, epsilon: float | None, delta: float | None = 1e-5) -> Entry:
    """A site's round in which so much was spent in all."""
    return Entry(site, number, epsilon, epsilon, epsilon, delta)


def ledger(unit: str, guarantee: str, *entries: Entry) -> dict[str, Any]:
    """A run's ledger as its file has it."""
    mechanism = {"name": "by hand", "unit": unit, "guarantee": guarantee, "assumptions": [], "parameters": {}}
    return Ledger("run-001", mechanism, list(entries)).document()
