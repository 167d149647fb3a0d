"""Features of reference images, kept in memory and in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

TOLERANCE = 1e-4
"""Largest difference of stored features from computed ones, relative to the largest feature."""

_IN_MEMORY: dict[str, Tensor] = {}


def cached(key: str, compute: Callable[[], Tensor], first: Callable[[], Tensor]) -> Tensor:
    """Return the features with this key; compute and keep them if there are none yet.

    A file that is damaged, or whose first features are no longer what the encoder computes, is computed again. A folder
    that cannot be written is no error: it only costs time.

    Args:
        key: A hash of all that decides the features.
        compute: Computes the features `(N, D)`.
        first: Computes the features of the first examples, `(n, D)`.
    """
    if key not in _IN_MEMORY:
        file = cache_folder() / "features" / f"{key}.safetensors"
        features = _read(file)
        if features is None or not _agree(features, first()):
            features = compute()
            with contextlib.suppress(OSError, SafetensorError):
                _write(file, features)
        _IN_MEMORY[key] = features
    return _IN_MEMORY[key]


def cache_folder() -> Path:
    """Return the user's cache folder: $GANFRAME_CACHE, or else `ganframe` in $XDG_CACHE_HOME or in ~/.cache."""
    named = os.environ.get("GANFRAME_CACHE")
    if named:
        return Path(named).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "ganframe"


def _agree(stored: Tensor, computed: Tensor) -> bool:
    """Return whether stored features begin with computed ones, up to the rounding of another machine."""
    begin = stored[: len(computed)]
    return begin.shape == computed.shape and bool((begin - computed).abs().max() <= TOLERANCE * computed.abs().max())


def _read(file: Path) -> Tensor | None:
    """Return the features of a file; None if there is no such file or its content is not what was written."""
    try:
        if not file.is_file():
            return None
        with safe_open(file, framework="pt") as stored:
            features, checksum = stored.get_tensor("features"), (stored.metadata() or {}).get("sha256")
    except (OSError, SafetensorError):
        return None
    return features if checksum == _checksum(features) else None


def _write(file: Path, features: Tensor) -> None:
    """Write a file under a name of its own and rename it: other processes may write the same features."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        draft = Path(folder) / file.name
        save_file({"features": features}, draft, metadata={"sha256": _checksum(features)})
        draft.replace(file)


def _checksum(features: Tensor) -> str:
    return hashlib.sha256(features.contiguous().numpy().tobytes()).hexdigest()
