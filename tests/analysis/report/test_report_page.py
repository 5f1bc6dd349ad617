"""The page shows what it is given, interprets nothing of it and asks no network for anything."""

from html.parser import HTMLParser

import pandas as pd

from fedmed.analysis.report.report_page import Listing, Picture, Section, Table, Text, render

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


class Seen(HTMLParser):
    """What a browser would make of a page: its tags, what they refer to, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_kind_of_part_is_shown() -> None:
    frame = pd.DataFrame({"site": ["a"], "cases": [3]})
    parts = [Text("plain"), Text("mind", warning=True), Listing(["one", "two"]), Table.of("numbers", frame)]
    page = render("run-1", "a run", [Section("Some things", [*parts, Picture("a picture", PNG)])])
    seen = Seen(page)
    for word in ("run-1", "a run", "Some things", "plain", "one", "two", "numbers", "site", "3", "a picture"):
        assert word in seen.text
    assert 'class="warning">mind' in page
    assert page.startswith("<!doctype html>")


def test_nothing_is_fetched_from_elsewhere() -> None:
    seen = Seen(render("r", "s", [Section("Curves & more", [Picture("p", PNG)])]))
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in seen.sources)
    assert "script" not in seen.tags
    assert "link" not in seen.tags


def test_names_are_shown_and_not_interpreted() -> None:
    evil = "<script>alert(1)</script>"
    parts = [Text(evil), Listing([evil]), Table(evil, (evil,), ((evil,),)), Picture(f'"{evil}', PNG)]
    seen = Seen(render(evil, evil, [Section(evil, parts)]))
    assert "script" not in seen.tags
    assert seen.text.count(evil) >= 8


def test_the_contents_lead_to_the_sections() -> None:
    page = render("r", "s", [Section("Best & worst", [])])
    assert 'href="#best-worst"' in page
    assert 'id="best-worst"' in page
