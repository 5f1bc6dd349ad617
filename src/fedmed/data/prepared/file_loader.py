"""MONAI's loading of files by a named reader, without warnings of readers that are not asked for."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import monai.transforms as mt

# beside pydicom MONAI makes a reader for a GPU's decoder, whatever reader is named, and warns where there is none
logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)


def file_loader(keys: Sequence[str] | str, reader: str, **options: Any) -> mt.LoadImaged:
    """The transform from paths to arrays.

    Args:
        keys: of the items' paths.
        reader: the class of MONAI's, such as ``NibabelReader``.
        options: of the reader.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader")
        return mt.LoadImaged(keys, reader=reader, **options)
