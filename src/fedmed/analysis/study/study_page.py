"""A study as one HTML page that holds its tables and its picture."""

from collections.abc import Sequence

from fedmed.analysis.comparison.table_document import Block
from fedmed.analysis.report.report_page import Listing, Part, Picture, Section, Table, render


def page(blocks: Sequence[Block], png: bytes, caption: str) -> str:
    """The HTML.

    Args:
        blocks: of the Markdown page; the first one's title is the page's.
        png: the picture.
        caption: of the picture.
    """
    first, *others = blocks
    sections = [Section("Scores and ranks", [Picture(caption, png)])]
    return render(first.title, " ".join(first.items), [*sections, *map(_section, others)])


def _section(block: Block) -> Section:
    parts: list[Part] = [] if block.table is None else [Table.of("", block.table)]
    return Section(block.title, [*parts, *([Listing(block.items)] if block.items else [])])
