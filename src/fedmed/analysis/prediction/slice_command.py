"""The command line of a prediction for patients' slices: the tumour, marked in the pixels of the files."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.new_scan import SERIES, PictureSlices, SeriesByChannel, picture_patients
from fedmed.analysis.prediction.outputs import check_outputs
from fedmed.analysis.prediction.slice_overlay import slice_overlay
from fedmed.analysis.prediction.slice_prediction import SlicePrediction, marked, slice_task
from fedmed.analysis.prediction.slice_report import patient_facts, slices_document, slices_text
from fedmed.analysis.prediction.volume_file import placed_bytes
from fedmed.core.cli import echo
from fedmed.core.errors import InputError
from fedmed.core.files import check_place, write_together
from fedmed.core.progress import ticking, waiting
from fedmed.data.lgg.slice_files import mask_content, mask_path

SLICE_OPTIONS = ("images", *SERIES, "output", "flips")
"""The options of this way, all of which other ways have too."""

VOLUME_MASK, OVERLAY, REPORT = "mask.nii.gz", "overlay.png", "report.json"
"""The files of a prediction beside the masks of slices."""

Scan = PictureSlices | SeriesByChannel


def predict_slices(args: argparse.Namespace, model: TrainedModel) -> None:
    """Check everything, mark the tumours, write all files, and print the report.

    Raises:
        InputError: the model is of another task, or something cannot be read or written.
    """
    slice_task(model)
    scans = scans_of(args)
    if args.output is None:
        raise InputError("--output is not given; name the folder for the masks, such as masks.")
    report = args.report or args.output / REPORT
    with waiting("the slices are read"):
        for scan in scans:
            _check_places(args, scan, scan.read().files)
    _check_report(args, report)
    contents, found = _marked(args, model, scans)
    document = slices_document(model, found, args.flips)
    contents[report] = f"{json.dumps(document, indent=2)}\n".encode()
    with waiting("the files are written"):
        for folder in sorted({path.parent for path in contents}):
            folder.mkdir(parents=True, exist_ok=True)
        write_together(contents)
    echo("\n".join([slices_text(model, document), "", str(report), str(args.output)]))


def scans_of(args: argparse.Namespace) -> Sequence[Scan]:
    """The patients that are named in one of the two ways.

    Raises:
        InputError: they are named in both ways or in none, FLAIR is missing, or there are no slices.
    """
    given = {option: path for option in SERIES if (path := getattr(args, option)) is not None}
    if bool(given) == bool(args.images):
        found = "both slices and DICOM series" if given else "neither slices nor DICOM series"
        raise InputError(
            f"{found} are given; name patients' folders of slices after the options, or the series of one patient by "
            "--flair, --t1 and --t1ce."
        )
    if not given:
        return picture_patients(args.images)
    if "flair" not in given:
        raise InputError("There is no --flair; expected the series of FLAIR, on whose grid the mask lies: name it.")
    missing = next((path for path in given.values() if not path.exists()), None)
    if missing is not None:
        raise InputError(f"{missing} does not exist; give the folder of a DICOM series.")
    return [SeriesByChannel(given)]


def mask_files(folder: Path, scan: Scan, slices: Sequence[Path]) -> list[Path]:
    """The masks of a patient in the folder of the output: one a picture, one of a series.

    Args:
        folder: of the output.
        slices: the scan's files.
    """
    own = folder / scan.name
    if isinstance(scan, SeriesByChannel):
        return [own / VOLUME_MASK]
    return [mask_path(path, own) for path in slices]


def _marked(
    args: argparse.Namespace, model: TrainedModel, scans: Sequence[Scan]
) -> tuple[dict[Path, bytes], dict[str, dict[str, Any]]]:
    """The contents of the masks and pictures, and the facts of each patient's report."""
    contents: dict[Path, bytes] = {}
    found: dict[str, dict[str, Any]] = {}
    with ticking(tqdm(scans, desc="marked", unit="patient", leave=False, delay=1)) as bar:
        for scan in bar:
            prediction = marked(model, scan.read(), flips=args.flips)
            masks = mask_files(args.output, scan, prediction.scan.files)
            overlay = args.output / scan.name / OVERLAY
            contents |= _mask_contents(prediction, masks)
            contents[overlay] = slice_overlay(prediction, f"model {model.label}, {model.weights.name}")
            found[scan.name] = patient_facts(prediction, masks, overlay)
    return contents, found


def _mask_contents(prediction: SlicePrediction, masks: Sequence[Path]) -> dict[Path, bytes]:
    affine = prediction.scan.affine
    if affine is None:
        return {path: mask_content(mask, path) for path, mask in zip(masks, prediction.tumour, strict=True)}
    voxels = prediction.tumour.transpose(2, 1, 0).astype(np.uint8)
    return {masks[0]: placed_bytes(voxels, affine, "1 tumour, 0 elsewhere")}


def _check_places(args: argparse.Namespace, scan: Scan, slices: Sequence[Path]) -> None:
    """Refuse files of a patient that cannot be written, or would replace what must stay."""
    folder = args.output / scan.name
    if args.output.is_file():
        raise InputError(f"--output {args.output} is a file; a model of slices writes a folder: name one.")
    check_place("output", folder)
    if folder.exists() and any(folder.samefile(path.parent) for path in slices):
        raise InputError(
            f"--output {args.output} would put masks beside the slices of {scan.name}, where their true ones may lie; "
            "name another folder."
        )
    for path in (*mask_files(args.output, scan, slices), folder / OVERLAY):
        if path.exists() and not args.force:
            raise InputError(f"{path} exists already; give --force to replace it, or --output another folder.")


def _check_report(args: argparse.Namespace, report: Path) -> None:
    if args.report:
        check_outputs({"report": report}, {"report": (".json",)}, (), args.force)
    elif report.exists() and not args.force:
        raise InputError(f"{report} exists already; give --force to replace it, or --output another folder.")
