"""The classes on a page: figures as the evaluation holds them, matrices with shares of their rows, and calibration."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fedmed.analysis.evaluation.class_figures import CLASSES, class_document
from fedmed.analysis.evaluation.evaluation_folder import DOCUMENT_KEYS, LONG_COLUMNS, EvaluationFolder
from fedmed.analysis.report import report_sections
from fedmed.analysis.report.class_section import class_section, decided_classes
from fedmed.analysis.report.confusion_picture import confusion_picture
from fedmed.analysis.report.reliability_picture import reliability_picture
from fedmed.analysis.report.report_page import Picture, Table
from fedmed.tasks.base import Row
from fedmed.tasks.scoring.classification_metrics import ACCURACY, AUROC, class_rows

NAMES = ("glioma", "no_tumor", "pituitary")
SCORED = {
    ("A", "a"): ((0.7, 0.2, 0.1), 0),
    ("A", "b"): ((0.1, 0.8, 0.1), 0),
    ("B", "c"): ((0.05, 0.9, 0.05), 1),
    ("B", "d"): ((0.3, 0.6, 0.1), 1),
}
"""The scores and the true class of four cases at two sites; the third class has no case."""


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text of the figures that are saved from now on."""
    found: list[str] = []
    save = Figure.savefig

    def keep(self: Figure, *arguments: object, **named: object) -> None:
        found.extend(text.get_text() for axes in self.axes for text in [*axes.texts, axes.title])
        save(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", keep)
    return found


def table() -> pd.DataFrame:
    rows = [
        ("run", site, *row)
        for (site, case), (score, truth) in SCORED.items()
        for row in class_rows(case, NAMES, score, truth)
    ]
    return pd.DataFrame(rows, columns=list(LONG_COLUMNS))


def evaluated(path: Path, **about: object) -> EvaluationFolder:
    folder = EvaluationFolder(path)
    facts = {**dict.fromkeys(DOCUMENT_KEYS, ""), **about}
    folder.begin(facts)
    folder.finish(table(), pd.DataFrame(), facts)
    return folder


def test_the_section_has_the_figures_of_every_class_and_two_pictures(tmp_path: Path, texts: list[str]) -> None:
    section = class_section(evaluated(tmp_path / "e", **{CLASSES: class_document(table(), NAMES)}))
    assert section is not None
    tables = [part for part in section.parts if isinstance(part, Table)]
    assert [part.caption for part in tables] == [f"class by class, {name}" for name in ("all cases", "A", "B")]
    by_class = {row[0]: row[1:] for row in tables[0].rows}
    assert by_class["glioma"][:4] == ["2", "1.0000", "0.5000", "0.6667"]
    assert by_class["pituitary"] == ["0", *["n/a"] * 4]
    assert len([part for part in section.parts if isinstance(part, Picture)]) == 2
    assert texts.count("all, 4 cases") == texts.count("A, 2 cases") == 1
    assert "1\n50%" in texts  # of two gliomas
    assert "2\n100%" in texts
    assert "-" in texts  # of a class without a case
    assert any("4 decisions, 75.0% right\nmean confidence 75.0%" in text for text in texts)


def test_an_evaluation_without_classes_has_no_section(tmp_path: Path) -> None:
    assert class_section(evaluated(tmp_path / "e")) is None


def test_each_case_is_listed_with_its_truth_decision_and_confidence(tmp_path: Path) -> None:
    assert decided_classes(table())["A", "b"] == ("glioma", "no_tumor", 0.8)
    folder = evaluated(tmp_path / "e", **{CLASSES: class_document(table(), NAMES)})
    (listed,) = report_sections.cases(folder, (ACCURACY, AUROC), []).parts
    assert isinstance(listed, Table)
    assert listed.columns == ("case", "site", "truth", "decision", "confidence", "probability of the truth")
    assert listed.rows[0] == ["b", "A", "glioma", "no_tumor", "0.8000", "0.1000"]  # and not a mean over the classes
    assert listed.rows[-1][:2] == ["c", "B"]


@pytest.mark.parametrize("groups", [1, 2, 4, 9])
def test_any_number_of_matrices_is_drawn(groups: int, texts: list[str]) -> None:
    matrices = {f"site {number}": np.eye(3, dtype=np.int64) * number for number in range(groups)}
    picture = Image.open(BytesIO(confusion_picture(matrices, NAMES)))
    assert picture.width < 3000
    assert sum("cases" in text for text in texts) == groups


def test_a_model_that_is_as_right_as_confident_has_no_calibration_error(texts: list[str]) -> None:
    right = [class_rows(f"r{n}", ("x", "y"), (0.8, 0.2), 0) for n in range(8)]
    wrong = [class_rows(f"w{n}", ("x", "y"), (0.8, 0.2), 1) for n in range(2)]
    rows: list[Row] = [row for case in (*right, *wrong) for row in case]
    assert reliability_picture(rows).startswith(b"\x89PNG")
    assert any("10 decisions, 80.0% right\nmean confidence 80.0%" in text for text in texts)
    assert any("calibration error 0.0000 (15 bins)" in text for text in texts)
