"""Text that reaches a terminal is shown and does nothing else."""

import pytest

from fedmed.core.control_characters import harmless, has_control


@pytest.mark.parametrize("text", ["Müller 3", "脑", "a b", "½ €", "می‌خواهم", "é"])
def test_letters_of_any_script_are_no_control_characters(text: str) -> None:
    assert not has_control(text)
    assert harmless(text) == text


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\x08", "\r", "\x7f", "\x9b", "\u202e", "\u2066", "\u2028"])
def test_what_acts_on_a_terminal_is_written_out(character: str) -> None:
    assert has_control(f"a{character}b")
    shown = harmless(f"a{character}b")
    assert character not in shown
    assert shown.startswith("a\\")


def test_lines_and_tabs_stay_though_no_name_may_have_them() -> None:
    assert harmless("a\n\tb") == "a\n\tb"
    assert has_control("a\nb")
    assert has_control("a\tb")
