"""The precision of forward passes."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the autocast context in which forward passes run.

    Args:
        precision: The setting `train.precision`. `auto` is bf16 on a device with native bf16, else fp32, because
            emulated bf16 is several times slower.
        device: The device of the players.
    """
    bf16 = precision == "bf16" or (precision == "auto" and _has_native_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def _has_native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch 2.7 has no public function for this.
    return torch.cpu._is_avx512_bf16_supported()  # pyright: ignore[reportPrivateUsage]
