"""The institutions of the lower-grade glioma set, TCGA's tissue source sites, by the code in their patients' names."""

from collections.abc import Mapping
from typing import Any

INSTITUTIONS: Mapping[str, str] = {
    "CS": "Thomas Jefferson University",
    "DU": "Henry Ford Hospital",
    "EZ": "University of North Carolina",
    "FG": "Case Western",
    "HT": "Case Western - St Joes",
}
"""The names as in TCGA's own table of codes."""


def institution_facts(code: str) -> dict[str, Any]:
    """The facts that the list of an institution's site states of it; of an unknown one the code alone."""
    return {"name": INSTITUTIONS.get(code, code), "code": code}
