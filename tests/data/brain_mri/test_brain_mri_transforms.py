"""The random transforms of brain MR pictures: mild deformations."""

import monai.transforms as mt
import torch

from fedmed.data.brain_mri import brain_mri_transforms


def test_random_transforms_keep_shape_and_most_of_the_picture() -> None:
    image = torch.zeros(1, 64, 64)
    image[:, 16:48, 16:48] = 1
    transform = mt.Compose(brain_mri_transforms.training(64))
    made = []
    for seed in range(20):
        transform.set_random_state(seed)
        made.append(torch.as_tensor(transform({"image": image.clone()})["image"]))
    assert all(each.shape == (1, 64, 64) and each.dtype == torch.float32 for each in made)
    assert len({tuple(each.flatten().tolist()) for each in made}) > 15
    inside = [float(each[0, 24:40, 24:40].mean() - each[0, :4].mean()) for each in made]
    assert min(inside) > 0.5
