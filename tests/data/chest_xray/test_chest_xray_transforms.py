"""The random transforms of chest films: mild ones, after which the heart is still on its side."""

import monai.transforms as mt
import torch

from fedmed.data.chest_xray import chest_xray_transforms


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
