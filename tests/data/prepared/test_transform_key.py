"""The text of a transform: the same in every process, and another one for whatever makes other results."""

import linecache
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch

from fedmed.data.brats.brats_transforms import prepared
from fedmed.data.prepared import transform_key as module
from fedmed.data.prepared.transform_key import transforms_text

SRC = Path(__file__).resolve().parents[3] / "src"


def spacing(*mm: float, mode: str = "bilinear") -> Any:
    return mt.Spacingd("image", pixdim=mm, mode=mode)


DIFFERENT = {
    "spacing": ([spacing(1, 1, 1)], [spacing(1, 1, 2)]),
    "interpolation": ([spacing(1, 1, 1)], [spacing(1, 1, 1, mode="nearest")]),
    "keys": ([mt.ToTensord("image")], [mt.ToTensord("label")]),
    "class": ([mt.ToTensord("image")], [mt.ToNumpyd("image")]),
    "order": ([mt.ToTensord("a"), mt.ToNumpyd("a")], [mt.ToNumpyd("a"), mt.ToTensord("a")]),
    "number": ([mt.ToTensord("a")], [mt.ToTensord("a"), mt.ToTensord("a")]),
    "type": ([mt.CastToTyped("a", dtype=torch.uint8)], [mt.CastToTyped("a", dtype=torch.int16)]),
    "array": ([mt.NormalizeIntensity(np.zeros(2))], [mt.NormalizeIntensity(np.ones(2))]),
    "enhancing label": (
        [mt.ConvertToMultiChannelBasedOnBratsClasses(et_label=4)],
        [mt.ConvertToMultiChannelBasedOnBratsClasses(et_label=3)],
    ),
    "function": ([mt.Lambda(np.abs)], [mt.Lambda(np.sqrt)]),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_other_work_has_another_text(one: list[Any], other: list[Any]) -> None:
    assert transforms_text(one) != transforms_text(other)
    assert transforms_text(one) == transforms_text(one)


@pytest.mark.parametrize("library", module.LIBRARIES)
def test_another_version_of_a_library_is_another_text(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now, real = transforms_text(prepared()), module.version
    patched: Callable[[str], str] = lambda name: "99.9" if name == library else real(name)  # noqa: E731
    monkeypatch.setattr(module, "version", patched)
    assert transforms_text(prepared()) != now


def test_another_text_of_our_own_transform_changes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for factor in (2, 3):
        module._digest.cache_clear()
        sys.modules.pop("own_transform", None)
        text = f"class Own:\n    def __call__(self, x):\n        return {factor} * x\n"
        (tmp_path / "own_transform.py").write_text(text)
        linecache.clearcache()
        found.append(transforms_text([__import__("own_transform").Own()]))
    assert found[0] != found[1]


@pytest.mark.parametrize(
    "odd", [mt.Lambda(lambda x: x), object(), mt.RandFlip(prob=0.5)], ids=["lambda", "bare object", "random transform"]
)
def test_what_has_no_dependable_text_is_refused(odd: Any) -> None:
    with pytest.raises(TypeError):
        transforms_text([odd])


def test_it_is_the_same_in_every_process() -> None:
    script = (
        "from fedmed.data.brats.brats_transforms import prepared; "
        "from fedmed.data.prepared.transform_key import transforms_text; print(transforms_text(prepared()))"
    )
    variables = {**os.environ, "PYTHONPATH": str(SRC), "PYTHONHASHSEED": "123"}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout == transforms_text(prepared()) + "\n"
    assert " at 0x" not in done.stdout
