"""Characters that act on a terminal instead of being shown: escapes, and marks that turn the direction of reading."""

import re

_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
_ACTS = re.compile(f"[{_CONTROL}]")
_ANY = re.compile(f"[{_CONTROL}\t\n]")


def has_control(text: str) -> bool:
    """True where a text of one line holds such a character, a tab or a line's end."""
    return _ANY.search(text) is not None


def harmless(text: str) -> str:
    """The text with such characters written as Python writes them; lines and tabs stay."""
    return _ACTS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
