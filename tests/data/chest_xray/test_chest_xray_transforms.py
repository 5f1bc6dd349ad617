"""The transforms of chest films: one input whatever the file is, and random ones that leave the heart on its side."""

from pathlib import Path

import monai.transforms as mt
import numpy as np
import torch
from PIL import Image

from fedmed.data.chest_xray import chest_xray_transforms
from fedmed.data.prepared import picture_transforms
from fedmed.data.prepared.cache import Caching
from tests.data.chest_xray.written_films import dicom, pixels, save


def test_the_heart_stays_on_its_side_and_most_of_it_in_the_film() -> None:
    film = torch.zeros(1, 64, 64)
    film[:, 30:50, 34:52] = 1
    transform = mt.Compose(chest_xray_transforms.training(64))
    made = []
    for seed in range(40):
        transform.set_random_state(seed)
        made.append(torch.as_tensor(transform({"image": film.clone()})["image"]) > 0.5)
    for each in made:
        columns = each[0].nonzero()[:, 1].float()
        assert each.shape == (1, 64, 64)
        assert float(columns.mean()) > 34
        assert 250 < int(each.sum()) < 500
    assert len({each.numpy().tobytes() for each in made}) > 20


def test_every_kind_of_file_gives_the_same_input(tmp_path: Path) -> None:
    grey = pixels()
    save(tmp_path / "a.png", grey)
    save(tmp_path / "b.png", Image.fromarray(grey).convert("RGBA"))
    save(tmp_path / "c.png", grey.astype(np.uint16) * 257)
    (tmp_path / "d.dcm").write_bytes(dicom(grey))
    (tmp_path / "e.dcm").write_bytes(dicom(4095 - grey.astype(int) * 16, PhotometricInterpretation="MONOCHROME1"))
    for channels in (1, 3):
        prepare = mt.Compose(picture_transforms.deterministic(48, channels, Caching()))
        made = [prepare({"image": [str(path)], "label": ()})["image"] for path in sorted(tmp_path.iterdir())]
        assert made[0].shape == (channels, 48, 48)
        assert torch.equal(made[1], made[0])
        for each in made[2:]:  # stretched over their own range
            assert float(torch.corrcoef(torch.stack([each.flatten(), made[0].flatten()]))[0, 1]) > 0.999
