"""The arithmetic of a network: float32, or bfloat16 where the hardware multiplies it itself."""

import platform

import torch

from fedmed.core.errors import InputError


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The arithmetic of forward passes: ``bf16``, ``fp32``, or ``auto`` for bf16 where it is a gain."""
    use = precision == "bf16" or (precision == "auto" and computes_in_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=use)


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse to train in bfloat16 on a CPU that emulates it, where a step may take minutes.

    Raises:
        InputError: that is asked for.
    """
    if precision == "bf16" and device.type == "cpu" and not computes_in_bf16(device):
        raise InputError(
            f"--precision bf16 was given, but the CPU of this machine ({torch.backends.cpu.get_cpu_capability()}) only "
            "emulates bfloat16, many times slower than fp32; expected one that multiplies it (avx512_bf16, AMX, bf16 "
            "of ARM) or a GPU: give --precision fp32, or auto, which is fp32 here."
        )


def computes_in_bf16(device: torch.device) -> bool:
    """True where the hardware multiplies bfloat16 numbers itself, so that autocast is a gain."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return _cpu_multiplies_bf16() and _onednn_takes_bf16()


def _cpu_multiplies_bf16() -> bool:
    """True where the processor says so; of others than x86 the word of oneDNN is enough."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return True
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _onednn_takes_bf16() -> bool:
    """True where the library of the convolutions says so; its variable ONEDNN_MAX_CPU_ISA may hold it back."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
