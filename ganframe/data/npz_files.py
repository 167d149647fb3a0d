"""Arrays from `.npz` files."""

from __future__ import annotations

import lzma
import math
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ganframe.errors import BadInput

LARGEST_ARRAYS = 2**31
"""The largest total size of the arrays of a file, in bytes, after unpacking."""

_UNREADABLE = (
    *(OSError, ValueError, LookupError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    RuntimeError,  # of an encrypted member or an unknown compression
)


def read_arrays(file: Path, *names: str) -> list[np.ndarray]:
    """Return the named arrays of an `.npz` file, in the order of `names`.

    Raises:
        BadInput: When the file is missing, is not an `.npz` file, lacks an array of these names, has Python objects or
            anything else than an array under such a name, or unpacks to more than `LARGEST_ARRAYS` bytes.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > LARGEST_ARRAYS:
                raise ValueError(f"they take {size:,} bytes")
            for name in names:
                _check_member(archive, name)
        with file.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except _UNREADABLE as problem:
        raise BadInput(f"these arrays cannot be read: {problem}", place=str(file)) from None


def _check_member(archive: zipfile.ZipFile, name: str) -> None:
    """Compare what the header of an array says with the size of the member, before memory is set aside for it.

    Raises:
        ValueError: When the member is no array, or has another size.
    """
    member = next((each for each in (name, f"{name}.npy") if each in archive.NameToInfo), None)
    if member is None:
        return  # numpy says so
    with archive.open(member) as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
            raise ValueError(f"{name!r} is no array of numpy")
        file.seek(0)
        major, _ = np.lib.format.read_magic(file)
        read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}.get(major)
        if read_header is None:
            raise ValueError(f"{name!r} has the format {major}, which is not read")
        shape, _, dtype = read_header(file)
        stored = archive.NameToInfo[member].file_size - file.tell()
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize != stored:
            raise ValueError(f"{name!r} says that it is {dtype} {shape}, which is not its size")
