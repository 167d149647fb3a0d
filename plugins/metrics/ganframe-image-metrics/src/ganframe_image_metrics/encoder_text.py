"""An encoder as text, for what a metric says of how it measured."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ganframe.config import EncoderConfig

HASH = 12
"""Number of digits of the sha256 of a file that are told."""


def describe(encoder: EncoderConfig) -> str:
    """Return the type of an encoder and its settings that are not at their defaults: `vgg (depth 19)`.

    A file is told by its name and the start of its sha256.
    """
    settings = encoder.model_dump(mode="json", exclude={"type"}, exclude_defaults=True)
    given = ", ".join(f"{name} {_text(getattr(encoder, name), value)}" for name, value in settings.items())
    return f"{encoder.type_name()} ({given})" if given else encoder.type_name()


def _text(value: object, plain: object) -> str:
    if isinstance(value, Path) and value.is_file():
        with value.open("rb") as file:
            return f"{value.name} sha256 {hashlib.file_digest(file, 'sha256').hexdigest()[:HASH]}"
    return str(plain)
