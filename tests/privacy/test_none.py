"""No mechanism: nothing is filtered, and the summary says so."""

from fedmed.privacy.none import NoPrivacy


def test_nothing_is_filtered_and_nothing_is_promised() -> None:
    assert not NoPrivacy().acts_on_updates
    assert (NoPrivacy.UNIT, NoPrivacy.GUARANTEE) == ("none", "none")
    assert NoPrivacy().statement().startswith("none:")
    assert "unprotected" in NoPrivacy().statement()
