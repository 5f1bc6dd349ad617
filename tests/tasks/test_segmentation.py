"""The steps that tasks of segmentation share: mirrored copies, windows, rows, and the names of cases in errors."""

import pytest
import torch
from torch import nn

from fedmed.core.errors import InputError
from fedmed.tasks.scoring.metric import Row
from fedmed.tasks.segmentation import by_windows, check_size, mean_over_flips, naming, rows_of


def test_copies_are_mirrored_back_before_the_mean() -> None:
    image = torch.randn(1, 1, 4, 5, 6)
    assert torch.allclose(mean_over_flips(lambda x: 2 * x, image, (2, 3, 4)), 2 * image)


@pytest.mark.parametrize(("axes", "copies"), [((), 1), ((2,), 2), ((2, 3, 4), 8)])
def test_every_set_of_axes_is_mirrored_once(axes: tuple[int, ...], copies: int) -> None:
    seen = []

    def predict(image: torch.Tensor) -> torch.Tensor:
        seen.append(image)
        return image

    mean_over_flips(predict, torch.arange(8.0).reshape(1, 1, 2, 2, 2), axes)
    assert len({tuple(image.flatten().tolist()) for image in seen}) == len(seen) == copies


def test_a_prediction_of_nan_is_refused_with_the_cases_name() -> None:
    with pytest.raises(InputError, match="case-7: The network's prediction holds NaN"), naming("case-7"):
        mean_over_flips(lambda x: x / 0 * 0, torch.ones(1, 1, 2, 2, 2), ())


@pytest.mark.parametrize("size", [(6, 5, 4), (16, 16, 16), (20, 9, 33)])
@pytest.mark.parametrize("blend", ["constant", "gaussian"])
def test_windows_give_every_voxel_its_own_output(size: tuple[int, int, int], blend: str) -> None:
    class Doubling(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return 2 * image

    image = torch.randn(1, 2, *size)
    assert torch.allclose(by_windows(Doubling(), image, (16, 16, 16), blend), 2 * image, atol=1e-5)


def test_rows_are_a_number_of_a_target() -> None:
    assert rows_of("a", {"dice": [0.5, 0.25]}, ("x", "y")) == [Row("a", "x", "dice", 0.5), Row("a", "y", "dice", 0.25)]


@pytest.mark.parametrize("size", [(16, 16), (12, 16, 16), (0, 16, 16)])
def test_sizes_that_the_network_cannot_take_are_refused(size: tuple[int, ...]) -> None:
    check_size("roi_size", (16, 8, 8), 8, 16)
    with pytest.raises(InputError, match="--roi_size is"):
        check_size("roi_size", size, 8, 16)
