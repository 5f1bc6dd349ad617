"""From files to volumes that lie alike: axes to the right, to the front and up, and voxels of 1 mm."""

from collections.abc import Sequence
from typing import Any

import monai.transforms as mt

from fedmed.data.prepared.compact import KEYS
from fedmed.data.prepared.file_loader import file_loader


def oriented(keys: Sequence[str] = KEYS) -> list[Any]:
    """MONAI's transforms from paths to (C, X, Y, Z), RAS at 1 mm; can be inverted.

    Args:
        keys: ``image``, interpolated linearly, and where there is one ``label``, by the nearest voxel.
    """
    return [
        file_loader(keys, "NibabelReader"),
        mt.EnsureChannelFirstd(keys),
        mt.Spacingd(keys, pixdim=(1.0, 1.0, 1.0), mode=("bilinear", "nearest")[: len(keys)]),
        mt.Orientationd(keys, axcodes="RAS", labels=None),
    ]
