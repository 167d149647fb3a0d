"""NVIDIA's own operations, from a clone that the user has."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from ganframe_kernels.checks import value_error

WHERE = {
    "bias_act": ("bias_act",),
    "upfirdn2d": ("filter2d", "upsample2d", "downsample2d"),
    "conv2d_resample": ("conv2d_resample",),
    "fma": ("fma",),
    "filtered_lrelu": ("filtered_lrelu",),
}
"""Functions by module of `torch_utils.ops`; filtered_lrelu came with StyleGAN3."""


def functions(folder: Path) -> SimpleNamespace:
    """Return the functions, by name, without those that this version of the code lacks.

    They are under NVIDIA's licence, which forbids commercial use, and are compiled with nvcc when first called.

    Args:
        folder: The folder that holds `torch_utils`: a clone of stylegan2-ada-pytorch or stylegan3.

    Raises:
        ValueError: It does not hold `torch_utils`.
    """
    operations = folder / "torch_utils" / "ops"
    if not operations.is_dir():
        raise value_error("nvidia", "the folder that holds torch_utils", folder)
    sys.path.insert(0, str(folder))
    try:
        present = {module: names for module, names in WHERE.items() if (operations / f"{module}.py").is_file()}
        loaded = {module: import_module(f"torch_utils.ops.{module}") for module in present}
    finally:
        sys.path.remove(str(folder))
    return SimpleNamespace(**{name: getattr(loaded[module], name) for module in present for name in present[module]})
