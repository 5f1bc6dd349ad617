"""One HTML page that holds everything that it shows: no network, no script."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATE = "page.html"


@dataclass(frozen=True)
class Text:
    """A paragraph; a warning stands out."""

    text: str
    warning: bool = False
    kind: str = "text"


@dataclass(frozen=True)
class Listing:
    """Sentences, one under another."""

    items: Sequence[str]
    kind: str = "listing"


@dataclass(frozen=True)
class Table:
    """A table of texts; the first column is its rows' headings."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    kind: str = "table"

    @classmethod
    def of(cls, caption: str, frame: pd.DataFrame) -> "Table":
        """A table from a frame of texts and whole numbers."""
        return cls(caption, [str(name) for name in frame.columns], [[str(v) for v in row] for row in frame.to_numpy()])


@dataclass(frozen=True)
class Picture:
    """A PNG with a caption in words."""

    caption: str
    png: bytes
    kind: str = "picture"

    @property
    def source(self) -> str:
        """The picture as a data URL, as the page holds it."""
        return f"data:image/png;base64,{b64encode(self.png).decode('ascii')}"


Part = Text | Listing | Table | Picture


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    parts: Sequence[Part]

    @property
    def anchor(self) -> str:
        """The name by which the contents link to the section."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split())


def render(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The page. Everything in it is text: what a name holds is shown, never interpreted."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(TEMPLATE).render(title=title, subtitle=subtitle, sections=sections)
