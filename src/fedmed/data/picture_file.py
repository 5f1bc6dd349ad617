"""A 2D picture that a person hands in, decoded, whatever its file is: PNG, JPEG, TIFF or DICOM."""

from pathlib import Path

from PIL import Image as PillowImage

from fedmed.core.errors import InputError
from fedmed.data.dicom_slice import dicom_slice
from fedmed.data.image_file import PICTURES, content_of, decoded_picture, has_dicom_word

DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
"""The endings, in lower case, of DICOM files; those that begin with DICOM's word may have any name."""


def read_picture(path: Path) -> PillowImage.Image:
    """The picture in the mode of its file; of a DICOM file as a viewer shows it, in the mode ``L`` or ``RGB``.

    Raises:
        InputError: the file is missing, damaged or of another kind, or holds several pages or frames.
    """
    content = content_of(path)
    ending = path.suffix.lower()
    if has_dicom_word(content) or ending in DICOM_ENDINGS:
        return PillowImage.fromarray(dicom_slice(path, content))
    if ending in PICTURES:
        return decoded_picture(path, content)
    raise InputError(
        f"{path} is no 2D image that can be read; expected {', '.join(PICTURES)} or DICOM: export it as one."
    )
