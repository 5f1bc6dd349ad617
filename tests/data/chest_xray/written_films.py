"""Small sets of chest films written to a disk, in NIH's layout."""

import functools
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from fedmed.data.chest_xray.film import Film
from fedmed.data.chest_xray.thorax import random_chest
from fedmed.data.phantoms.chest_xray_phantom import PROFILES, chest_xray_phantom

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
)
"""That of NIH's own file, whose lines end with a comma."""


@functools.cache
def pixels(number: int = 0) -> np.ndarray:
    """A film of 64 x 64 pixels."""
    rng = np.random.default_rng(number)
    return chest_xray_phantom(rng, random_chest(rng), (), PROFILES[0], edge=64)


def save(path: Path, picture: np.ndarray | Image.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path)
    return path


def write_table(root: Path, rows: Mapping[str, str], name: str = "Data_Entry_2017.csv") -> None:
    """``rows`` are the labels by the film's name; the age is 50, every third film is AP."""
    lines = []
    for number, (film, labels) in enumerate(rows.items()):
        patient, follow_up = film.split(".")[0].split("_")
        view = "AP" if number % 3 == 2 else "PA"
        lines.append(f"{film},{labels},{int(follow_up)},{int(patient)},50,F,{view},64,64,0.1,0.1,\n")
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(HEADER + "".join(lines))


def write_set(root: Path, rows: Mapping[str, str], folder: str = "images_001/images") -> None:
    """A table and a film for each row, another one each."""
    write_table(root, rows)
    for number, film in enumerate(rows):
        save(root / folder / film, pixels(number))


def dicom(values: np.ndarray, **elements: object) -> bytes:
    """A DICOM file of values in 12 bits."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, ComputedRadiographyImageStorage
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SamplesPerPixel, made.PixelRepresentation = 1, 0
    made.Rows, made.Columns = values.shape
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    made.PhotometricInterpretation = "MONOCHROME2"
    for name, value in elements.items():
        setattr(made, name, value)
    made.PixelData = values.astype(np.uint16).tobytes()
    content = BytesIO()
    made.save_as(content)
    return content.getvalue()


def film(name: str, findings: Sequence[str] = (), **about: object) -> Film:
    """A film that is on no disk; its patient is the first part of its name."""
    path = Path("/set") / f"{name}.png"
    values = {"patient": name.split("_")[0], **about}
    return Film(path, path.name, tuple(findings), **values)  # type: ignore[arg-type]
