"""Films of every kind of file are measured: what they are known again by, their form and their border."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedmed.core.errors import InputError
from fedmed.data.audit.measured_files import measured_files
from fedmed.data.chest_xray.film import Film
from fedmed.data.chest_xray.film_facts import FilmFacts, border_of, film_facts
from tests.data.chest_xray.written_films import dicom, pixels, save


def facts_of(path: Path) -> FilmFacts:
    return film_facts(Film(path, path.name, (), "p"))


def test_a_film_is_known_again_in_every_kind_of_file(tmp_path: Path) -> None:
    grey = pixels()
    colour = Image.fromarray(grey).convert("RGBA")
    plain = facts_of(save(tmp_path / "a.png", grey))
    rgba = facts_of(save(tmp_path / "b.png", colour))
    deep = facts_of(save(tmp_path / "c.png", grey.astype(np.uint16) * 257))
    jpeg = facts_of(save(tmp_path / "d.jpg", grey))
    (tmp_path / "e.dcm").write_bytes(dicom(grey))
    (tmp_path / "f.dcm").write_bytes(dicom(4095 - grey.astype(int) * 16, PhotometricInterpretation="MONOCHROME1"))
    found = [plain, rgba, deep, jpeg, facts_of(tmp_path / "e.dcm"), facts_of(tmp_path / "f.dcm")]
    assert [each.mode for each in found] == ["L", "RGBA", "I;16", "L", "DICOM", "DICOM"]
    assert {(each.width, each.height) for each in found} == {(64, 64)}
    assert plain.perceptual is not None
    for each in found:
        assert each.orientation is not None
        assert not each.orientation.suspicious, each.mode
        assert each.perceptual is not None
        assert bin(each.perceptual[0] ^ plain.perceptual[0]).count("1") <= 2


def test_a_border_is_measured_and_air_with_noise_is_none() -> None:
    film = np.random.default_rng(0).uniform(0.2, 0.8, (50, 40)).astype(np.float32)
    assert border_of(film) == 0
    framed = film.copy()
    framed[:5] = 0
    assert border_of(framed) == pytest.approx(0.1)
    framed[:, -8:] = 1
    assert border_of(framed) == pytest.approx(0.2)
    assert border_of(np.zeros((50, 40), np.float32)) == 0


def test_films_that_cannot_be_read_have_a_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    good = save(tmp_path / "good.png", pixels())
    found = measured_files([Film(path, path.name, (), "p") for path in sorted(tmp_path.iterdir())], film_facts)
    assert set(found.facts) == {good.name}
    assert set(found.unreadable) == {"empty.png", "text.png"}
    assert all(reason.endswith(".") for reason in found.unreadable.values())
    with pytest.raises(InputError, match="is empty"):
        facts_of(tmp_path / "empty.png")
