"""bfloat16 is taken where the hardware multiplies it, and refused on a CPU that would emulate it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fedmed.core import precision as precision_module
from fedmed.core.errors import InputError
from fedmed.core.precision import autocast, check_precision, computes_in_bf16

CPU, GPU = torch.device("cpu"), torch.device("cuda")
HERE = Path(__file__).resolve().parents[2]
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
"""An AVX2 CPU, imitated by any that has more."""


@pytest.mark.parametrize("lacking", ["_cpu_multiplies_bf16", "_onednn_takes_bf16"])
def test_a_cpu_that_emulates_it_is_refused_with_what_to_do(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_module, lacking, lambda: False)
    assert not computes_in_bf16(CPU)
    with pytest.raises(
        InputError, match=r"bf16 was given, but the CPU .* emulates .* expected .* give --precision fp32"
    ):
        check_precision("bf16", CPU)


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_other_arithmetic_is_accepted_there(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_module, "_cpu_multiplies_bf16", lambda: False)
    check_precision(precision, CPU)
    assert not autocast(precision, CPU)._enabled


def test_it_is_accepted_where_it_is_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_cpu_multiplies_bf16", "_onednn_takes_bf16"):
        monkeypatch.setattr(precision_module, name, lambda: True)
    check_precision("bf16", CPU)
    check_precision("bf16", GPU)


def test_job_py_refuses_it_before_anything_is_made(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "job.py"), "--precision", "bf16", "--artifacts", str(tmp_path / "runs")]
    command += ["--dataset_base_dir", str(tmp_path), "--datalist_json_path", str(tmp_path)]
    ended = subprocess.run(command, env={**os.environ, **AVX2}, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        "error: --precision bf16 was given, but the CPU of this machine (AVX2) only emulates"
    )
    assert list(tmp_path.iterdir()) == []


def test_auto_is_fp32_there() -> None:
    code = "from torch import device; from fedmed.core.precision import autocast; "
    code += "print(autocast('auto', device('cpu'))._enabled)"
    environment = {**os.environ, **AVX2, "PYTHONPATH": str(HERE / "src")}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert said.stdout.strip() == "False"
