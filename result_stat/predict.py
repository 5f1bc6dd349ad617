"""A new patient's tumour, segmented by the model of a finished run.

python result_stat/predict.py --model artifacts/run-001 --input CASE_DIR --output seg.nii.gz --overlay seg.png
python result_stat/predict.py --model model.pt --t1ce a.nii --t1 b.nii --t2 c.nii --flair d.nii --output seg.nii.gz
python result_stat/predict.py --model artifacts/run-001 --export bundle DIR
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

ARGUMENTS = sys.argv[1:]
if __name__ == "__main__":  # FLARE, when it is imported, takes --export out of the command line as an option of its own
    del sys.argv[1:]

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.errors import InputError
from fedmed.core.files import write_together
from fedmed.core.progress import importing, waiting

with importing(__name__):
    from fedmed.analysis.evaluation.trained_model import TrainedModel, open_model
    from fedmed.analysis.prediction.fitness import check_fitness
    from fedmed.analysis.prediction.native_grid import brain_tumour_task
    from fedmed.analysis.prediction.outputs import check_outputs
    from fedmed.analysis.prediction.patient_files import PatientFiles, files_by_name, named_files
    from fedmed.analysis.prediction.patient_prediction import ENDINGS, contents, predicted
    from fedmed.analysis.prediction.prediction_report import as_text
    from fedmed.data.brats.brats_layout import DEFAULT_SCHEME, LABEL_SCHEMES, MODALITIES, label_scheme
    from fedmed.data.brats.case_picture import FORMATS

OF_A_PREDICTION = ("input", *MODALITIES, *ENDINGS, "label_scheme", "flips", "accept_skull")


def main(arguments: Sequence[str]) -> None:
    """Predict and write, or export."""
    args = parser().parse_args(arguments)
    if args.export:
        export(args)
    else:
        predict(args)


def parser() -> Parser:
    """The command line."""
    parser = Parser(description="A new patient's tumour, segmented by a model.", allow_abbrev=False)
    parser.add_argument("--model", type=absolute_path, required=True, metavar="RUN|PT", help="run folder or .pt file")
    parser.add_argument("--which", choices=("best", "last"), help="of a run folder (default: best)")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    patient = parser.add_argument_group("the patient, by --input or by four options")
    patient.add_argument(
        "--input", type=absolute_path, nargs="+", metavar="PATH",
        help="case folder, or four files, with names that end as in BraTS 2018 (_t1ce ...) or 2023 (-t1c ...)",
    )  # fmt: skip
    for modality in MODALITIES:
        patient.add_argument(f"--{modality}", type=absolute_path, metavar="FILE", help="a file of any name")
    patient.add_argument("--accept_skull", action="store_true", help="go on with images that seem not skull-stripped")
    results = parser.add_argument_group("the results, in the grid of the t1ce")
    results.add_argument("--output", type=absolute_path, metavar="NIFTI", help="segmentation, .nii or .nii.gz")
    results.add_argument("--label_scheme", choices=tuple(LABEL_SCHEMES), help=f"(default: {DEFAULT_SCHEME})")
    results.add_argument("--flips", action="store_true", help="average over mirrored copies; eight times as long")
    results.add_argument("--probabilities", type=absolute_path, metavar="NIFTI", help="4D: TC, WT, ET, as float32")
    results.add_argument("--report", type=absolute_path, metavar="JSON", help="volumes, and what they came from")
    results.add_argument("--overlay", type=absolute_path, metavar="PICTURE", help=f"three planes, {', '.join(FORMATS)}")
    other = parser.add_argument_group("instead of a patient")
    other.add_argument("--export", nargs=2, metavar=("bundle", "DIR"), help="write the model as a MONAI bundle")
    return parser


def predict(args: argparse.Namespace) -> None:
    """Check everything, segment, write all files, and print the report."""
    if args.output is None:
        raise InputError("--output is not given; name the segmentation to be written, such as seg.nii.gz.")
    outputs = {option: path for option in ENDINGS if (path := getattr(args, option)) is not None}
    patient = patient_of(args)
    check_outputs(outputs, ENDINGS, patient.images.values(), args.force)
    with waiting(f"{patient.name}: the model and the images are read"):
        model = opened(args)
        brain_tumour_task(model)
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


def opened(args: argparse.Namespace) -> TrainedModel:
    """The model that is named.

    Raises:
        InputError: there is none, or --which is given with a file.
    """
    if args.which and args.model.is_file():
        raise InputError(f"--which {args.which} chooses a model of a run, but --model is a file; drop one.")
    return open_model(args.model, args.which or "best")


def export(args: argparse.Namespace) -> None:
    """Write the model for others to run.

    Raises:
        InputError: it is of no kind that is known, or options of a prediction are given.
    """
    kind, place = args.export
    if kind != "bundle":
        raise InputError(f"--export {kind} is not known; expected --export bundle DIR.")
    idle = [name for name in OF_A_PREDICTION if getattr(args, name)]
    if idle:
        raise InputError(f"--export predicts nothing, so --{idle[0]} would do nothing; drop one of them.")
    from fedmed.analysis.bundle.bundle_export import export_bundle

    export_bundle(opened(args), absolute_path(place), args.force)
    echo(str(absolute_path(place)))


if __name__ == "__main__":
    sys.exit(run_script(main, ARGUMENTS))
