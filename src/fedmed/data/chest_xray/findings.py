"""The 14 findings of NIH's ChestX-ray14, in the order of CheXNet's lists and of the network's outputs."""

from collections.abc import Sequence
from difflib import get_close_matches

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)

NO_FINDING = "No Finding"
"""Stands alone in NIH's tables where none of the findings applies; such a film's list of findings is empty."""

SEPARATOR = "|"
"""Between the findings of one film in NIH's tables."""


def nearest_finding(name: str) -> str:
    """The name among the findings and :data:`NO_FINDING` that is most like ``name``."""
    known = {each.casefold(): each for each in (*FINDINGS, NO_FINDING)}
    return known[get_close_matches(name.casefold(), [*known], n=1, cutoff=0.0)[0]]


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Known findings in the order of :data:`FINDINGS`."""
    return tuple(name for name in FINDINGS if name in names)
