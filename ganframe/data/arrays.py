"""Arrays from `.npz` files."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from ganframe.errors import BadInput

LARGEST_ARRAYS = 2**31
"""Bytes that the arrays of a file may take once they are unpacked."""


def read_arrays(file: Path, *names: str) -> list[np.ndarray]:
    """Arrays of an `.npz` file, none of them of Python objects.

    Args:
        file: The file.
        names: Which arrays.

    Raises:
        BadInput: When the file is missing, is none of that kind, lacks an array, or has more than `LARGEST_ARRAYS`.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            size = sum(each.file_size for each in packed.infolist())
        if size > LARGEST_ARRAYS:
            raise ValueError(f"they take {size:,} bytes")
        with np.load(file, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except (OSError, ValueError, LookupError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as problem:
        raise BadInput(f"these arrays cannot be read: {problem}", place=str(file)) from None
