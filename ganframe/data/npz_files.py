"""Arrays from `.npz` files."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from ganframe.errors import BadInput

LARGEST_ARRAYS = 2**31
"""The largest total size of the arrays of a file, in bytes, after unpacking."""


def read_arrays(file: Path, *names: str) -> list[np.ndarray]:
    """Return the named arrays of an `.npz` file, in the order of `names`.

    Raises:
        BadInput: When the file is missing, is not an `.npz` file, lacks an array of these names, has Python objects in
            such an array, or unpacks to more than `LARGEST_ARRAYS` bytes.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST_ARRAYS:
            raise ValueError(f"they take {size:,} bytes")
        with np.load(file, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except (OSError, ValueError, LookupError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as problem:
        raise BadInput(f"these arrays cannot be read: {problem}", place=str(file)) from None
