"""The notebooks run from their first cell to their last, on generated images."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests import scripts

NOTEBOOKS = scripts.ROOT / "notebooks"

FORKED = """
import subprocess
from pathlib import Path
from tests import scripts

def forked(command, **_):
    return scripts.run(Path(command[1]), *command[2:], cwd=Path.cwd())

subprocess.run = forked
"""
"""The first cell here: the scripts that the notebook starts do not wait for their libraries again."""


def test_the_walk_through_brain_mri_ends_with_a_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTEBOOK_WORK", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(scripts.ROOT))
    for name in ("ROUNDS", "EPOCHS", "HEADS"):
        monkeypatch.setenv(name, "2" if name == "HEADS" else "1")
    notebook = nbformat.read(NOTEBOOKS / "brain_mri.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # what is stored would grow old
    notebook.cells.insert(0, nbformat.v4.new_code_cell(FORKED))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    for expected in ("Hill Hospital", "site-3", "val_accuracy", "no_tumor", "best_epoch"):
        assert expected in text
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3
