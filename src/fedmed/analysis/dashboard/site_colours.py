"""One colour a site, the same on every page and in every run."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from matplotlib.colors import to_hex

from fedmed.runs.training_curves import COLOURS, DASHES, line_style

PLOTLY_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}

STYLES = len(COLOURS) * len(DASHES)
"""Sites that look different: so many colours that the colour-blind tell apart, and so many kinds of line."""

MEAN = "#7f7f7f"
"""Of a mean over sites: legible on white and on black."""


class SiteStyle(NamedTuple):
    """The look of a site's lines and points."""

    colour: str  # as #rrggbb
    dash: str  # as plotly calls it


def site_styles(names: Iterable[str]) -> Mapping[str, SiteStyle]:
    """The style of each site, which follows from its name: ``site-3`` has the third, another name one by its digest.

    Where two of the names would have the same style, the later one in the alphabet has the next that is free.
    """
    taken: dict[int, str] = {}
    for name in sorted(set(names), key=lambda each: (_number(each) is None, _number(each), each)):
        wished = _place(name)
        place = next((p % STYLES for p in range(wished, wished + STYLES) if p % STYLES not in taken), wished)
        taken[place if place not in taken else len(taken) + STYLES] = name
    return {name: style_of(place) for place, name in taken.items()}


def _number(name: str) -> int | None:
    found = re.search(r"(\d{1,6})$", name)
    return int(found[1]) if found else None


def _place(name: str) -> int:
    number = _number(name)
    digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    return (digest if number is None else max(0, number - 1)) % STYLES


def style_of(place: int) -> SiteStyle:
    """The style of the n-th line, from 0, as pictures on paper have it too."""
    style = line_style(place)
    return SiteStyle(to_hex(style["color"]), PLOTLY_DASHES[style["linestyle"]])
