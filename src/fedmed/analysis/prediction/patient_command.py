"""The command line of a prediction for a patient of BraTS: the tumour, segmented on the grid of the patient's files."""

import argparse

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.fitness import check_fitness
from fedmed.analysis.prediction.native_grid import brain_tumour_task
from fedmed.analysis.prediction.new_scan import SERIES
from fedmed.analysis.prediction.outputs import check_outputs
from fedmed.analysis.prediction.patient_files import PatientFiles, files_by_name, named_files
from fedmed.analysis.prediction.patient_prediction import ENDINGS, contents, predicted
from fedmed.analysis.prediction.prediction_report import as_text
from fedmed.core.cli import absolute_path, echo
from fedmed.core.errors import InputError
from fedmed.core.files import write_together
from fedmed.core.progress import waiting
from fedmed.data.brats.brats_layout import DEFAULT_SCHEME, LABEL_SCHEMES, MODALITIES, label_scheme
from fedmed.data.brats.case_picture import FORMATS

PATIENT_OPTIONS = (
    *("input", *MODALITIES, "accept_skull", "output", "label_scheme", "flips"),
    *(option for option in ENDINGS if option not in ("output", "report")),
)
"""The options that only this way has."""


def add_patient_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :data:`PATIENT_OPTIONS`."""
    patient = parser.add_argument_group("a patient, for a model of brats18, by --input or by four options")
    patient.add_argument(
        "--input", type=absolute_path, nargs="+", metavar="PATH",
        help="case folder, or four files, with names that end as in BraTS 2018 (_t1ce ...) or 2023 (-t1c ...)",
    )  # fmt: skip
    for modality in MODALITIES:
        told = "a file of any name" + ("; of lgg a DICOM series' folder" if modality in SERIES else "")
        patient.add_argument(f"--{modality}", type=absolute_path, metavar="PATH", help=told)
    patient.add_argument("--accept_skull", action="store_true", help="go on with images that seem not skull-stripped")
    results = parser.add_argument_group("a patient's results, in the grid of the t1ce; of lgg in that of each slice")
    results.add_argument(
        "--output", type=absolute_path, metavar="PATH", help="segmentation, .nii or .nii.gz; of lgg a folder"
    )
    results.add_argument("--label_scheme", choices=tuple(LABEL_SCHEMES), help=f"(default: {DEFAULT_SCHEME})")
    results.add_argument(
        "--flips", action="store_true", help="average over mirrored copies; of volumes eight times as long"
    )
    results.add_argument("--probabilities", type=absolute_path, metavar="NIFTI", help="4D: TC, WT, ET, as float32")
    results.add_argument("--overlay", type=absolute_path, metavar="PICTURE", help=f"three planes, {', '.join(FORMATS)}")


def predict_patient(args: argparse.Namespace, model: TrainedModel) -> None:
    """Check everything, segment, write all files, and print the report.

    Raises:
        InputError: the model is of another task, or something cannot be read or written.
    """
    brain_tumour_task(model)
    if args.output is None:
        raise InputError("--output is not given; name the segmentation to be written, such as seg.nii.gz.")
    outputs = {option: path for option in ENDINGS if (path := getattr(args, option)) is not None}
    patient = patient_of(args)
    check_outputs(outputs, ENDINGS, patient.images.values(), args.force)
    with waiting(f"{patient.name}: the images are read"):
        warnings = check_fitness(patient, model.task.rules(None), args.accept_skull)
    echo(f"{patient.name}: {model.label}, {model.weights.name} on {model.device}")
    with waiting(f"{patient.name} is segmented"):
        prediction = predicted(patient, model, label_scheme(args.label_scheme), warnings, flips=args.flips)
    with waiting("the files are written"):
        write_together(contents(prediction, outputs))
    echo(f"\n{as_text(prediction)}\n\n{chr(10).join(map(str, outputs.values()))}")


def patient_of(args: argparse.Namespace) -> PatientFiles:
    """The files that are named in one of the two ways.

    Raises:
        InputError: they are named in both ways or in none, or cannot be used.
    """
    given = {modality: path for modality in MODALITIES if (path := getattr(args, modality)) is not None}
    if bool(given) == bool(args.input):
        found = "both --input and" if given else "neither --input nor"
        raise InputError(
            f"{found} options of single modalities are given; name the patient's files in one of these ways."
        )
    return named_files(given) if given else files_by_name(args.input)
