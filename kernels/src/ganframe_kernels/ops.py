"""Every operation: call it, and the best implementation for the device, the dtype and the mode runs."""

from __future__ import annotations

from ganframe_kernels.bias_act import bias_act

__all__ = ["bias_act"]
