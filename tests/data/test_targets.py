"""Targets: classes by name or number, and a digest that tells any two apart."""

from pathlib import Path
from typing import Any

import pytest

from fedmed.core.errors import InputError
from fedmed.data.targets import Target, class_numbers, target_digest

CLASSES = ("normal", "glioma", "meningioma")


@pytest.mark.parametrize(("target", "number"), [("normal", 0), ("meningioma", 2), (1, 1), (("glioma",), 1)])
def test_one_class_has_one_number(target: Target, number: int) -> None:
    assert class_numbers(target, CLASSES) == (number,)


@pytest.mark.parametrize(
    ("target", "numbers"), [((), ()), (("meningioma", 0), (0, 2)), ((2, 1, 0), (0, 1, 2)), ("glioma", (1,))]
)
def test_several_classes_come_in_ascending_order(target: Target, numbers: tuple[int, ...]) -> None:
    assert class_numbers(target, CLASSES, several=True) == numbers


@pytest.mark.parametrize("target", ["Normal", 3, -1, (), (0, 1), Path("mask.png")])
def test_a_target_that_is_not_exactly_one_class_is_refused(target: Target) -> None:
    with pytest.raises(InputError, match=r"expected one class of normal, glioma, meningioma .*correct the list"):
        class_numbers(target, CLASSES)


def test_a_class_that_is_called_as_a_number_is_found_by_its_name() -> None:
    assert class_numbers("1", ("0", "1")) == (1,)


def test_a_digest_is_that_of_the_contents(tmp_path: Path) -> None:
    for name, content in (("a.png", b"1"), ("b.png", b"1"), ("c.png", b"2")):
        (tmp_path / name).write_bytes(content)
    one, same, other = (target_digest(tmp_path / name) for name in ("a.png", "b.png", "c.png"))
    assert one == same != other
    targets: list[Any] = ["1", 1, (1,), (), (1, 2), (2, 1), "a.png"]
    assert len({target_digest(target) for target in targets}) == len(targets)


def test_a_target_that_cannot_be_read_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png cannot be read"):
        target_digest(tmp_path / "gone.png")
