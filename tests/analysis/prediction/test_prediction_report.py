"""What is told of a prediction, on the screen and as JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fedmed.analysis.prediction.native_grid import painted
from fedmed.analysis.prediction.patient_files import files_by_name
from fedmed.analysis.prediction.prediction_report import Prediction, as_text, document
from fedmed.data.brats.brats_layout import label_scheme
from fedmed.data.image_file import read_image


def test_everything_that_the_numbers_depend_on_is_told(patient: Callable[..., tuple[Path, np.ndarray]]) -> None:
    """Of a core of 8 voxels, half of which lie outside the whole tumour; voxels of 0.002 ml."""
    folder, _ = patient(np.diag([1.0, 1, 2, 1]), (30, 30, 20))
    files, scheme = files_by_name([folder]), label_scheme("brats2018")
    found = np.zeros((3, 30, 30, 20), np.float32)
    found[0, :8, 0, 0] = 0.6
    found[1, 4:20, 0, 0] = 0.9
    found[2, 25, 0, 0] = 0.5  # not above a half
    labels = painted(found > 0.5, scheme)
    told = Prediction(
        files, "run-7", Path("w.pt"), "ab12", True, scheme, read_image(files.reference), found, labels, ("It is odd.",)
    )
    assert told.outside() == {"TC outside WT": 4, "ET outside TC": 0}
    text = as_text(told)
    for line in ("patient: 30 x 30 x 20 voxels of 1 x 1 x 2 mm, labels of brats2018", "warning: It is odd."):
        assert line in text.splitlines()
    for part in ("run-7, w.pt, SHA-256 ab12", "whole tumour          0.04  9.5, 0.0, 0.0", "4 voxels of TC outside WT"):
        assert part in text
    written = json.loads(json.dumps(document(told, {"output": Path("/x/seg.nii")})))
    assert written["outputs"] == {"output": "/x/seg.nii"}
    assert list(written["inputs"]) == ["t1ce", "t1", "t2", "flair"]
    assert written["regions"]["TC"] == {"voxels": 8, "ml": 0.016, "centre_mm": [3.5, 0, 0], "empty": False}
    assert written["regions"]["ET"] == {"voxels": 0, "ml": 0, "centre_mm": None, "empty": True}
    assert written["flips"] is True
    assert written["warnings"] == ["It is odd."]
