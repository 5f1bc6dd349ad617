"""The fitness of a patient's images for a network: the findings of the audit, and what only a prediction refuses."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedmed.analysis.prediction.patient_files import PatientFiles
from fedmed.core.errors import InputError, counted
from fedmed.data.audit.case_facts import case_facts
from fedmed.data.audit.case_findings import Rules, case_findings
from fedmed.data.audit.finding import Finding
from fedmed.data.image_file import read_image

UNUSABLE = ("constant", "duplicate")
"""Findings that are warnings in a training case among hundreds, but leave a prediction without a modality."""

MOST_APART = 0.1
"""Share of the brain that each of two modalities may have and the other not. A brain 1 cm off reaches it; a modality
that was scanned over a part of the head does not, as it has nothing that the others lack."""


def check_fitness(patient: PatientFiles, rules: Rules, accept_skull: bool) -> tuple[str, ...]:
    """Look at every file to its end; gives the sentences of what is odd and can still be used.

    Args:
        patient: whose files.
        rules: the expectations of the model's task of a case.
        accept_skull: go on with images that seem not to be skull-stripped.

    Raises:
        InputError: the model cannot use the images.
    """
    images = dict(patient.images)
    found = list(case_findings(patient.name, images, None, case_facts(images, None), rules))
    refused = [finding.sentence for finding in found if finding.level == "error" or finding.check in UNUSABLE]
    if not refused:
        refused = list(_skull(found, accept_skull)) or list(_apart(patient.name, images))
    if refused:
        more = f" (and {counted(len(refused) - 1, 'error')} more)" if len(refused) > 1 else ""
        raise InputError(refused[0] + more)
    return tuple(finding.sentence for finding in found)


def apart(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """The distance of two masks of one shape: the smaller of the parts that one has alone, as a share of both."""
    both = np.count_nonzero(one | other)
    alone = min(np.count_nonzero(one & ~other), np.count_nonzero(other & ~one))
    return float(alone) / both if both else 0.0


def _skull(findings: Sequence[Finding], accepted: bool) -> Iterator[str]:
    for finding in findings:
        if finding.check == "background" and not accepted:
            yield f"{finding.sentence.removesuffix('.')}, or give --accept_skull to go on with it as it is."


def _apart(name: str, images: Mapping[str, Path]) -> Iterator[str]:
    """Two brain masks that lie beside each other, on one grid though they are."""
    masks = {modality: np.asarray(read_image(path).voxels != 0) for modality, path in images.items()}
    for (first, mask), (second, other) in combinations(masks.items(), 2):
        share = apart(mask, other)
        if share > MOST_APART:
            yield (
                f"{name}: {first} and {second} seem not to be co-registered: in {share:.0%} of the brain each has "
                f"tissue where the other has none; expected one brain in one place: register them to one another."
            )
