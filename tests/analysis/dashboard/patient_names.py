"""Names that no page may show, as lists, folders and DICOM files have them."""

PATIENTS = ("DOE^JANE", "Roe_Richard", "MRN-4711-0815", "van der Meer, Jan")
NAMES = {"site-1": ("DOE^JANE_t1", "Roe_Richard_2"), "site-2": ("MRN-4711-0815 scan", "van der Meer, Jan")}
TRACES = (b"doe", b"jane", b"roe", b"richard", b"4711", b"meer", b"19470229", b"mercy hospital", b"/srv/clinic")
"""Parts of the names, in small letters, none of which may be on a page."""


def traces_in(text: str | bytes) -> list[bytes]:
    """The parts of names that a text holds."""
    low = (text.encode() if isinstance(text, str) else text).lower()
    return [trace for trace in TRACES if trace in low]
