"""Draw the rooms of the package and the imports between them, from the code itself: ``python docs/draw_rooms.py``."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

import grimp
import matplotlib

matplotlib.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

PLACES = {
    "command_line": (-3.6, 0), "analysis": (3.6, 0),
    "environments": (-1.6, -1),
    "runs": (1.0, -2),
    "server": (-3.6, -3), "site": (3.6, -3),
    "experiment": (0.4, -4),
    "tasks": (-4.4, -5), "algorithms": (0, -5), "privacy": (4.4, -5),
    "data": (-2.2, -6), "networks": (4.4, -6),
    "core": (1.6, -7),
}  # fmt: skip
"""The rooms by column and layer, from the top down as in .importlinter: a room imports from those below it."""

FOUNDATION = "core"
"""Every room imports it, so its arrows are left out."""

PICTURE = HERE.parent / "figs" / "rooms.png"
WIDE, HIGH = 2.6, 0.8


def main() -> None:
    """Write the picture."""
    graph = grimp.build_graph("fedmed")
    figure, axes = plt.subplots(figsize=(11, 11))
    places = {room: (column, 1.9 * layer) for room, (column, layer) in PLACES.items()}
    for importer in places:
        for imported in places:
            count = _imports(graph, importer, imported) if imported not in (importer, FOUNDATION) else 0
            if count:
                _arrow(axes, places[importer], places[imported], count)
    for room, place in places.items():
        _box(axes, room, place, _files(graph, room))
    axes.set(xlim=(-6.2, 6.2), ylim=(-14.4, 1))
    axes.text(-6, -14.2, "Arrows: imports, thicker where there are more. Every room imports core.", fontsize=10)
    axes.axis("off")
    figure.savefig(PICTURE, dpi=110, bbox_inches="tight")
    print(f"{PICTURE}: {sum(_files(graph, room) for room in places)} files")


def _modules(graph: grimp.ImportGraph, room: str) -> set[str]:
    return {f"fedmed.{room}", *graph.find_descendants(f"fedmed.{room}")}


def _files(graph: grimp.ImportGraph, room: str) -> int:
    """Files of a room, without those that only make a folder a package."""
    return sum(not graph.find_children(module) for module in _modules(graph, room))


def _imports(graph: grimp.ImportGraph, importer: str, imported: str) -> int:
    """Import statements from one room to another."""
    below = _modules(graph, imported)
    return sum(len(graph.find_modules_directly_imported_by(module) & below) for module in _modules(graph, importer))


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], count: int) -> None:
    up = end[1] >= start[1]  # never drawn while the linter's contract holds
    style = {"arrowstyle": "-|>", "color": "crimson" if up else "0.45", "lw": 0.4 + count**0.5 / 4, "alpha": 0.75}
    bend = 0.08 if abs(start[1] - end[1]) > 2.5 else 0.0
    axes.annotate(
        "", (end[0], end[1] + HIGH / 2), (start[0], start[1] - HIGH / 2),
        arrowprops={**style, "connectionstyle": f"arc3,rad={bend if start[0] >= 0 else -bend}"},
    )  # fmt: skip


def _box(axes: Axes, room: str, place: tuple[float, float], files: int) -> None:
    corner = place[0] - WIDE / 2, place[1] - HIGH / 2
    axes.add_patch(plt.Rectangle(corner, WIDE, HIGH, facecolor="#dbe9f6", edgecolor="#1f4e79", zorder=3))
    axes.text(*place, f"{room}\n{files} file{'s' * (files != 1)}", ha="center", va="center", fontsize=11, zorder=4)


if __name__ == "__main__":
    main()
