"""The precision of forward passes."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context of forward passes for a `train.precision`.

    Args:
        precision: `auto` is bf16 where the device computes in it natively, and fp32 where it would be emulated, which
            takes several times as long.
        device: Where the players are.
    """
    bf16 = precision == "bf16" or (precision == "auto" and _has_native_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def _has_native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch 2.7 has no public way to ask.
    return torch.cpu._is_avx512_bf16_supported()  # pyright: ignore[reportPrivateUsage]
