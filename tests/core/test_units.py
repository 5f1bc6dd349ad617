"""Sentences on patients where patients are not known."""

import pytest

from fedmed.core.units import in_unit


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("A patient of site-1, or a patient of two.", "An image of site-1, or an image of two."),
        ("Patients, not cases: 5 patients.", "Images, not cases: 5 images."),
        ("the patients' rows and each patient's", "the images' rows and each image's"),
        ("patient-7 of ward_patients is of one patient", "patient-7 of ward_patients is of one image"),
    ],
)
def test_the_word_is_exchanged_and_names_are_not(said: str, expected: str) -> None:
    assert in_unit(said, "image") == expected
    assert in_unit(said, "patient") == said
