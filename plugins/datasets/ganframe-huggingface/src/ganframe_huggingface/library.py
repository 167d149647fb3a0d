"""The library `datasets`, which is imported when a data set is read."""

from __future__ import annotations

from typing import Any

from ganframe import BadInput


def import_datasets() -> Any:
    """Return the library.

    Raises:
        BadInput: When it is not installed.
    """
    try:
        import datasets
    except ImportError as problem:
        message = f"a data set of Hugging Face needs the package `datasets`: {problem}"
        raise BadInput(message, remedy='pip install "ganframe-huggingface[datasets]"') from None
    return datasets
