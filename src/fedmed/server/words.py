"""Words that came from a site, as a record, a log or a screen may hold them."""

MOST_CHARACTERS = 1000


def in_short(text: str, most: int = MOST_CHARACTERS) -> str:
    """One line of printable characters, cut off after so many."""
    line = " ".join(text[: 4 * most].split())
    shown = "".join(character if character.isprintable() else "?" for character in line)
    return shown if len(shown) <= most else shown[: most - 3] + "..."
