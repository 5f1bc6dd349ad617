"""Sensitivity and false alarms of the check for sideways and inverted chest films, on films that are turned here.

python benchmarks/film_orientation.py FOLDER      tables in Markdown, of single films and of whole sites

Every film of the folder is taken to be upright and looked at as it is, which gives the false alarms, and in each of the
seven other forms, which gives the share that is found. Films that are in truth sideways count against the check. For
sites, films are drawn at random; one part of them is turned.
"""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.errors import InputError, counted
from fedmed.data.chest_xray.orientation import INVERTED, LEAST_LEAD, TURNS, Orientation, orientation_of, site_warnings
from fedmed.data.image_file import PICTURES
from fedmed.data.picture_pixels import picture_pixels

FORMS = [(turns, inverted) for inverted in (False, True) for turns in range(len(TURNS))]
"""Quarters to the left, and whether inverted; the first is upright."""

LEADS = (0.0, 0.05, LEAST_LEAD, 0.2)
"""Leads from which a film counts as suspicious."""

SITES, SITE_SIZES, TURNED_SHARES = 500, (20, 100), (0.05, 0.1, 0.3)
"""Sites that are drawn, the numbers of their films, and the shares of them that are turned."""


def main(arguments: Sequence[str]) -> None:
    """Print the tables of a folder."""
    args = parser().parse_args(arguments)
    paths = sorted(path for path in args.folder.rglob("*") if path.suffix.lower() in PICTURES)
    if not paths:
        raise InputError(f"{args.folder} holds no image; expected films ({', '.join(PICTURES)}).")
    with ThreadPoolExecutor(max_workers=4) as pool:
        seen = [*pool.map(lambda path: in_all_forms(picture_pixels(path, 1)[0]), paths)]
    echo(f"{counted(len(seen), 'film')} of {args.folder.name}\n\n{film_table(seen)}\n\n{site_table(seen)}")
    wrong = [path.name for path, forms in zip(paths, seen, strict=True) if forms[0].suspicious]
    echo(f"\nSuspicious as they are: {', '.join(wrong) or 'none'}")


def parser() -> Parser:
    """The command line."""
    top = Parser(description="Measure how well sideways and inverted chest films are found.")
    top.add_argument("folder", type=absolute_path, help="folder of upright films")
    return top


def in_all_forms(film: NDArray[np.float32]) -> list[Orientation]:
    """The orientation seen of a film (H, W) in each of ``FORMS``; upright with no lead where nothing is seen."""
    forms = (np.rot90(1 - film if inverted else film, turns) for turns, inverted in FORMS)
    return [orientation_of(np.ascontiguousarray(each)) or Orientation(0, False, 0.0) for each in forms]


def found(seen: Orientation, form: tuple[int, bool]) -> bool:
    """True where the form that is seen is the film's."""
    return (seen.turns, seen.inverted) == form


def film_table(seen: Sequence[Sequence[Orientation]]) -> str:
    """Shares of single films: false alarms, suspicious ones of each form, and those whose form is named right."""
    names = [" and ".join(filter(None, (TURNS[turns], INVERTED if inverted else ""))) for turns, inverted in FORMS[1:]]
    lines = ["| lead above | false alarms | " + " | ".join(names) + " |", "|---:" * (2 + len(names)) + "|"]
    for lead in LEADS:
        shares = [100 * np.mean([each[place].lead > lead for each in seen]) for place in range(len(FORMS))]
        lines.append(f"| {lead:g} | " + " | ".join(f"{share:.1f} %" for share in shares) + " |")
    right = [100 * np.mean([found(each[place], FORMS[place]) for each in seen]) for place in range(len(FORMS))]
    return "\n".join([*lines, "| form named right | " + " | ".join(f"{share:.1f} %" for share in right) + " |"])


def site_table(seen: Sequence[Sequence[Orientation]]) -> str:
    """Shares of sites with a warning, by their number of films and the share of them that lie on their left side."""
    rng = np.random.default_rng(0)
    lines = ["| films of a site | none turned | " + " | ".join(f"{100 * s:.0f} % turned" for s in TURNED_SHARES) + " |"]
    lines.append("|---:" * (2 + len(TURNED_SHARES)) + "|")
    for size in (each for each in SITE_SIZES if each <= len(seen)):
        shares = [np.mean([_is_warned(seen, size, share, rng) for _ in range(SITES)]) for share in (0, *TURNED_SHARES)]
        lines.append(f"| {size} | " + " | ".join(f"{100 * share:.1f} %" for share in shares) + " |")
    return "\n".join(lines)


def _is_warned(seen: Sequence[Sequence[Orientation]], size: int, share: float, rng: np.random.Generator) -> bool:
    drawn = rng.choice(len(seen), size=size, replace=False)
    return bool(site_warnings("site", [seen[film][1 if i < share * size else 0] for i, film in enumerate(drawn)]))


if __name__ == "__main__":
    sys.exit(run_script(main))
