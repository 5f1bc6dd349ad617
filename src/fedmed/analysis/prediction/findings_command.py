"""The command line of a prediction for 2D images that may show several findings."""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial

from fedmed.analysis.evaluation.decision_thresholds import thresholds_of
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.findings_picture import findings_picture
from fedmed.analysis.prediction.findings_report import findings_document, findings_text
from fedmed.analysis.prediction.image_command import IMAGE_OPTIONS, AnswerForm, answer
from fedmed.core.errors import InputError

FINDING_OPTIONS = (*IMAGE_OPTIONS, "finding")
"""The options that only this way has, and those of images."""


def add_finding_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :data:`FINDING_OPTIONS` that images have not."""
    group = parser.add_argument_group("findings, for a model of a task whose images may show several")
    group.add_argument(
        "--finding",
        action="append",
        metavar="NAME",
        help="finding of which --saliency shows the places; more than one by giving it again (default: those above "
        "their thresholds, else the most probable one)",
    )


def predict_findings(args: argparse.Namespace, model: TrainedModel) -> None:
    """Tell the findings of each image.

    Raises:
        InputError: there are no images, a finding is not known, or something cannot be read or written.
    """
    asked = asked_findings(args.finding or (), model.task.TARGETS)
    if asked and not args.saliency:
        raise InputError(
            "--finding would do nothing without --saliency FOLDER, whose pictures it is for; drop it or add that."
        )
    thresholds = thresholds_of(model)
    form = AnswerForm(
        partial(findings_document, model, thresholds, asked),
        partial(findings_text, model, thresholds),
        partial(findings_picture, model, thresholds, asked),
    )
    answer(args, model, form)


def asked_findings(names: Sequence[str], targets: Sequence[str]) -> tuple[int, ...]:
    """The numbers of findings that are asked for by name, in whatever case, each once.

    Raises:
        InputError: a name is not known; the sentence proposes the nearest one.
    """
    known = {target.lower(): number for number, target in enumerate(targets)}
    for name in names:
        if name.lower() not in known:
            near = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
            meant = f"did you mean {targets[known[near[0]]]}?" if near else "give one of these."
            raise InputError(f"--finding {name} is not known; expected one of {', '.join(targets)}: {meant}")
    return tuple(dict.fromkeys(known[name.lower()] for name in names))
