"""The unit of a task's data in sentences: a patient, or an image where nobody knows whose the images are."""

import re
from typing import Literal

Unit = Literal["patient", "image"]
"""Whose cases belong together, as a list's ``patient`` says: a patient's, or an image with its copies."""


def in_unit(text: str, unit: Unit) -> str:
    """A sentence on patients, said of ``unit``; names that hold the word, such as ``patient-7``, stay."""
    if unit == "patient":
        return text
    with_article = re.sub(r"\b([Aa]) patient(?![\w-])", rf"\1n {unit}", text)
    other = re.sub(r"(?<![\w-])patient(s?)(?![\w-])", rf"{unit}\1", with_article)
    return re.sub(r"(?<![\w-])Patient(s?)(?![\w-])", rf"{unit.capitalize()}\1", other)
