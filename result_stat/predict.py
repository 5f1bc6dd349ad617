"""A prediction for new images by the model of a finished run: the class or the findings of 2D images, or a tumour in a
patient's volumes or slices.

python result_stat/predict.py --model artifacts/run-001 --report classes.json --saliency pictures a.png b.dcm
python result_stat/predict.py --model artifacts/run-004 --saliency pictures --finding Effusion film.dcm
python result_stat/predict.py --model artifacts/run-001 --input CASE_DIR --output seg.nii.gz --overlay seg.png
python result_stat/predict.py --model model.pt --t1ce a.nii --t1 b.nii --t2 c.nii --flair d.nii --output seg.nii.gz
python result_stat/predict.py --model artifacts/run-003 --output masks PATIENT_FOLDER ...
python result_stat/predict.py --model artifacts/run-003 --output masks --flair SERIES --t1 SERIES --t1ce SERIES
python result_stat/predict.py --model artifacts/run-001 --export bundle DIR

The model's task chooses the way.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

ARGUMENTS = sys.argv[1:]
if __name__ == "__main__":  # FLARE, when it is imported, takes --export out of the command line as an option of its own
    del sys.argv[1:]

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.errors import InputError
from fedmed.core.progress import importing, waiting

with importing(__name__):
    from fedmed.analysis.evaluation.trained_model import DEFAULT_TASK, TrainedModel, open_model
    from fedmed.analysis.prediction.findings_command import FINDING_OPTIONS, add_finding_options, predict_findings
    from fedmed.analysis.prediction.image_command import IMAGE_OPTIONS, add_image_options, predict_images
    from fedmed.analysis.prediction.patient_command import PATIENT_OPTIONS, add_patient_options, predict_patient
    from fedmed.analysis.prediction.slice_command import SLICE_OPTIONS, predict_slices
    from fedmed.tasks.base import ImageClassifier, SliceVolumes, Task

OPTIONS = (*PATIENT_OPTIONS, *FINDING_OPTIONS)
"""The options of a prediction that not every way has."""


def main(arguments: Sequence[str]) -> None:
    """Predict and write, or export."""
    args = parser().parse_intermixed_args(arguments)
    if args.export:
        export(args)
    else:
        predict(args)


def parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--model", type=absolute_path, required=True, metavar="RUN|PT", help="run folder or .pt file")
    parser.add_argument("--which", choices=("best", "last"), help="of a run folder (default: best)")
    parser.add_argument("--task", help=f"task of a .pt file that lies in no run (default: {DEFAULT_TASK})")
    parser.add_argument("--report", type=absolute_path, metavar="JSON", help="the results, and what they came from")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    add_image_options(parser)
    add_finding_options(parser)
    add_patient_options(parser)
    other = parser.add_argument_group("instead of a prediction")
    other.add_argument("--export", nargs=2, metavar=("bundle", "DIR"), help="write the model as a MONAI bundle")
    return parser


def predict(args: argparse.Namespace) -> None:
    """Open the model and go the way of its task.

    Raises:
        InputError: the model cannot be opened, options of another way are given, or the prediction cannot be made.
    """
    with waiting("the model is read"):
        model = opened(args)
    own, does, way = way_of(model.task)
    idle = [name for name in OPTIONS if name not in own and getattr(args, name)]
    if idle:
        option = "IMAGE" if idle[0] == "images" else f"--{idle[0]}"
        raise InputError(f"{option} would do nothing: {model.label} is a model of {model.task.name}, which {does}.")
    way(args, model)


def way_of(task: Task) -> tuple[Sequence[str], str, Callable[[argparse.Namespace, TrainedModel], None]]:
    """The options of a task's predictions, what it does in words, and how its models predict."""
    if isinstance(task, ImageClassifier) and task.findings:
        return FINDING_OPTIONS, "tells the findings of 2D images", predict_findings
    if isinstance(task, ImageClassifier):
        return IMAGE_OPTIONS, "classifies 2D images", predict_images
    if isinstance(task, SliceVolumes):
        return SLICE_OPTIONS, "marks a tumour in slices", predict_slices
    return PATIENT_OPTIONS, "segments volumes and classifies no image", predict_patient


def opened(args: argparse.Namespace) -> TrainedModel:
    """The model that is named.

    Raises:
        InputError: there is none, --which is given with a file, or --task with a run.
    """
    if args.which and args.model.is_file():
        raise InputError(f"--which {args.which} chooses a model of a run, but --model is a file; drop one.")
    if args.task and not args.model.is_file():
        raise InputError("--task is for files of weights, and a run states its own; leave it out.")
    return open_model(args.model, args.which or "best", args.task or DEFAULT_TASK)


def export(args: argparse.Namespace) -> None:
    """Write the model for others to run.

    Raises:
        InputError: it is of no kind that is known, or options of a prediction are given.
    """
    kind, place = args.export
    if kind != "bundle":
        raise InputError(f"--export {kind} is not known; expected --export bundle DIR.")
    idle = [name for name in (*OPTIONS, "report") if getattr(args, name)]
    if idle:
        option = "IMAGE" if idle[0] == "images" else f"--{idle[0]}"
        raise InputError(f"--export predicts nothing, so {option} would do nothing; drop one of them.")
    from fedmed.analysis.bundle.bundle_export import export_bundle

    export_bundle(opened(args), absolute_path(place), args.force)
    echo(str(absolute_path(place)))


if __name__ == "__main__":
    sys.exit(run_script(main, ARGUMENTS))
