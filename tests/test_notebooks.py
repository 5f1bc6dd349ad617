"""The notebooks run from their first cell to their last, on generated images."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def test_the_walk_through_brain_mri_ends_with_a_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTEBOOK_WORK", str(tmp_path))
    for name in ("ROUNDS", "EPOCHS", "HEADS"):
        monkeypatch.setenv(name, "2" if name == "HEADS" else "1")
    notebook = nbformat.read(NOTEBOOKS / "brain_mri.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # what is stored would grow old
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    for expected in ("Hill Hospital", "site-3", "val_accuracy", "no_tumor", "best_epoch"):
        assert expected in text
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3
