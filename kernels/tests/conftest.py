"""The kernels run in Triton's interpreter unless there is a GPU; this must be decided before Triton is imported."""

from __future__ import annotations

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
