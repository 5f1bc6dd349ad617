"""The rounds of a run as a strip of segments, in HTML without a script."""

from collections import Counter
from collections.abc import Sequence
from html import escape

from fedmed.analysis.dashboard.round_card import Kind

MOST = 60
"""Segments of a strip; of more rounds each stands for several."""

LOOKS: dict[Kind, str] = {
    "complete": "background:#0072b2",
    "without a site": "background:#e69f00",
    "does not count": "background:#d55e00",
    "goes on": "background:repeating-linear-gradient(45deg,#0072b2 0 5px,#56b4e9 5px 10px)",
    "to come": "border:1px solid #808080",
}
"""Colours that the colour-blind tell apart; the round that goes on is striped, one to come is empty."""

WORST_FIRST: tuple[Kind, ...] = ("does not count", "without a site", "goes on", "complete", "to come")


def segments_html(rounds: Sequence[Kind]) -> str:
    """The strip, with its meaning in words for those who do not see it, and a key of the kinds that it shows."""
    size = max(1, -(-len(rounds) // MOST))
    groups = [rounds[start : start + size] for start in range(0, len(rounds), size)]
    kinds = [next(kind for kind in WORST_FIRST if kind in group) for group in groups]
    counts = Counter(rounds)
    words = ", ".join(f"{counts[kind]} {kind}" for kind in LOOKS if counts[kind])
    bars = "".join(
        f'<span title="{escape(_title(number, size, len(rounds), kind))}" '
        f'style="flex:1 1 0;min-width:2px;height:14px;border-radius:3px;box-sizing:border-box;{LOOKS[kind]}"></span>'
        for number, kind in enumerate(kinds)
    )
    key = "".join(
        f'<span style="display:inline-flex;align-items:center;gap:5px;margin-right:14px">'
        f'<span style="width:12px;height:12px;border-radius:3px;box-sizing:border-box;{LOOKS[kind]}"></span>'
        f"{counts[kind]} {kind}</span>"
        for kind in LOOKS
        if counts[kind]
    )
    return (
        f'<div role="img" aria-label="rounds: {escape(words)}" style="display:flex;gap:2px">{bars}</div>'
        f'<div style="font-size:0.85rem;opacity:0.85;margin-top:6px">{key}</div>'
    )


def _title(number: int, size: int, of: int, kind: Kind) -> str:
    first, last = number * size + 1, min(of, (number + 1) * size)
    return f"round {first}: {kind}" if first == last else f"rounds {first} to {last}: {kind}"
