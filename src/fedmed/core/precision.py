"""The arithmetic of a network: float32, or bfloat16 where the hardware multiplies it itself."""

import torch


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The arithmetic of forward passes: ``bf16``, ``fp32``, or ``auto`` for bf16 where it is a gain."""
    use = precision == "bf16" or (precision == "auto" and computes_in_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=use)


def computes_in_bf16(device: torch.device) -> bool:
    """True where the hardware multiplies bfloat16 numbers itself, so that autocast is a gain."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
