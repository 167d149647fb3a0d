"""The size of a safetensors file according to its header, which is checked before anything else is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter

from ganframe.errors import BadInput
from ganframe.files import open_regular

LENGTH_BYTES = 8
"""Number of bytes at the start of a safetensors file that hold the length of its header."""

MAX_HEADER_BYTES = 8 * 2**20
"""Maximum size of a header, in bytes; it has about 150 bytes for each tensor."""

_HEADER: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


def read_size(path: Path, what: str = "this file") -> int:
    """Return the size of a safetensors file in bytes, after checking it against the file's header.

    Args:
        path: The file.
        what: The words for the file in the error.

    Raises:
        BadInput: When the file is missing or not a regular file, its header is missing or too large, or the size is
            not that in the header.
    """
    with open_regular(path, what=what) as file:
        size = file.seek(0, 2)
        file.seek(0)
        said = _size_by_header(file)
    if said is None:
        raise BadInput(f"{what} is not in the safetensors format: it has no header", place=str(path))
    if said != size:
        message = f"the content of this file has changed since it was written: it has {size:,} bytes and not {said:,}"
        raise BadInput(message, place=str(path))
    return size


def _size_by_header(file: BinaryIO) -> int | None:
    """Return the size of a file according to its header; None if the header is not valid."""
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if length > MAX_HEADER_BYTES:
        return None
    try:
        tensors = _HEADER.validate_json(file.read(length))
        ends = [int(each["data_offsets"][1]) for name, each in tensors.items() if name != "__metadata__"]
    except (ValueError, TypeError, LookupError, OverflowError):
        return None
    return LENGTH_BYTES + length + max(ends, default=0)
