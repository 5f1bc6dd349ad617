"""The command line of a prediction for 2D images: their classes, and the places that speak for them.

Tasks of one class an image and tasks of any number of findings differ in the form of the answer alone.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.image_prediction import ImagePrediction, check_images, classified, image_classifier
from fedmed.analysis.prediction.image_report import images_document, images_text
from fedmed.analysis.prediction.outputs import check_outputs
from fedmed.analysis.prediction.saliency import SaliencyMaps, saliency_picture
from fedmed.core.cli import absolute_path, echo
from fedmed.core.errors import InputError
from fedmed.core.files import check_place, write_together
from fedmed.core.progress import ticking, waiting
from fedmed.data.picture_file import read_picture

IMAGE_OPTIONS = ("images", "saliency")
"""The options that only this way has."""

ENDINGS = {"report": (".json",)}


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :data:`IMAGE_OPTIONS`."""
    group = parser.add_argument_group("images, for a model of a task that classifies them or marks slices")
    group.add_argument(
        "images",
        nargs="*",
        type=absolute_path,
        metavar="IMAGE",
        help="PNG, JPEG, TIFF or DICOM of one frame; for lgg patients' folders of slices, or slices",
    )
    group.add_argument("--saliency", type=absolute_path, metavar="FOLDER", help="a picture an image, with Grad-CAM")


class AnswerForm(NamedTuple):
    """The form in which predictions are told.

    Attributes:
        document: the report as JSON values, of the predictions and the picture of each image.
        text: the report as a person reads it.
        picture: a PNG of one prediction, by the maps.
    """

    document: Callable[[Sequence[ImagePrediction], Mapping[Path, Path]], dict[str, Any]]
    text: Callable[[Sequence[ImagePrediction]], str]
    picture: Callable[[SaliencyMaps, ImagePrediction], bytes]


def predict_images(args: argparse.Namespace, model: TrainedModel) -> None:
    """Tell the class of each image.

    Raises:
        InputError: there are no images, or something cannot be read or written.
    """
    answer(
        args, model, AnswerForm(partial(images_document, model), partial(images_text, model), partial(_picture, model))
    )


def answer(args: argparse.Namespace, model: TrainedModel, form: AnswerForm) -> None:
    """Check everything, classify, write all files, and print the report.

    Raises:
        InputError: there are no images, or something cannot be read or written.
    """
    if not args.images:
        raise InputError(f"No image is given, and {model.label} classifies images; name some after the options.")
    check_outputs({"report": args.report} if args.report else {}, ENDINGS, args.images, args.force)
    pictures = saliency_files(args.images, args.saliency, args.force) if args.saliency else {}
    with waiting(f"{len(args.images)} images are read"):
        check_images(args.images)
    found, contents = _classified(model, args.images, pictures, form)
    if args.report:
        contents[args.report] = f"{json.dumps(form.document(found, pictures), indent=2)}\n".encode()
    if args.saliency:
        args.saliency.mkdir(parents=True, exist_ok=True)
    write_together(contents)
    written = [str(path) for path in (args.report, args.saliency) if path]
    echo("\n".join([form.text(found), *([""] if written else []), *written]))


def _classified(
    model: TrainedModel, images: Sequence[Path], pictures: Mapping[Path, Path], form: AnswerForm
) -> tuple[list[ImagePrediction], dict[Path, bytes]]:
    """The prediction of each image, and the contents of the pictures that are to be made of some."""
    maps = SaliencyMaps(model) if pictures else None
    found: list[ImagePrediction] = []
    contents: dict[Path, bytes] = {}
    with ticking(tqdm(images, desc="classified", unit="image", leave=False, delay=1)) as bar:
        for path in bar:
            found.append(classified(model, path))
            if maps is not None:
                contents[pictures[path]] = form.picture(maps, found[-1])
    return found, contents


def saliency_files(images: Sequence[Path], folder: Path, force: bool) -> dict[Path, Path]:
    """The picture of each image in a folder, ``<name of the image>.png``.

    Raises:
        InputError: two would be one, one is there, or the folder cannot be written.
    """
    if folder.is_file():
        raise InputError(f"--saliency {folder} is a file; give a folder.")
    check_place("saliency", folder)
    files = {path: folder / f"{path.name}.png" for path in images}
    for name, count in Counter(path.name for path in files).items():
        if count > 1:
            raise InputError(f"{count} images are called {name}; give pictures of one name at a time to --saliency.")
    for path in files.values():
        if path.exists() and not force:
            raise InputError(f"{path} exists already; give --force to replace it, or --saliency another folder.")
    return files


def _picture(model: TrainedModel, maps: SaliencyMaps, found: ImagePrediction) -> bytes:
    image = image_classifier(model).new_image(found.path)
    title = f"{found.path.name}: {model.task.TARGETS[found.decided]}, confidence {found.confidence:.1%}"
    return saliency_picture(
        read_picture(found.path), image.numpy(), maps.of(image, found.decided), f"{title} ({model.label})"
    )
