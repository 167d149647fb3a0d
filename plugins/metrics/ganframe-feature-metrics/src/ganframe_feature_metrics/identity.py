"""The identity of an encoder: its name in results, its text in protocols, and the hash of all that decides features."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

from torch import nn

from ganframe.config import Component, EncoderConfig


def encoder_name(config: EncoderConfig) -> str:
    """Return the name of an encoder in results: its type, and the stem of its file if it has one."""
    file = getattr(config, "file", None)
    name = config.type_name() if file is None else f"{config.type_name()}-{Path(file).stem}"
    return re.sub(r"[^\w.-]+", "-", name)


def encoder_text(config: EncoderConfig) -> str:
    """Return an encoder's type and settings for a protocol; a file as its name and the start of its sha256."""
    settings = [f"{name} {_setting_text(value)}" for name, value in config if name != "type" and value is not None]
    return f"{config.type_name()} ({', '.join(settings)})" if settings else config.type_name()


def fingerprint(config: Component, network: nn.Module) -> dict[str, Any]:
    """Return what decides the features of an encoder, as JSON.

    That is its config, the content of its files, its weights, and the versions of its package, ganframe and PyTorch.
    """
    weights = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        weights.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        weights.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return {"config": _settings(config), "weights": weights.hexdigest(), "versions": _versions(config)}


def _versions(config: Component) -> dict[str, str]:
    module = type(config).__module__.partition(".")[0]
    return {name: version(name) for name in sorted({"ganframe", "torch", *_packages_of(module)})}


@cache
def _packages_of(module: str) -> frozenset[str]:
    """Return the names of the packages that register a module's components."""
    found = entry_points(group="ganframe")
    return frozenset(each.dist.name for each in found if each.dist and each.value.partition(".")[0] == module)


def _settings(config: Component) -> dict[str, Any]:
    dumped = config.model_dump(mode="json")
    nested = {name: _settings(value) for name, value in config if isinstance(value, Component)}
    files = {name: _file_hash(value) for name, value in config if isinstance(value, Path)}
    return {**dumped, **nested, **files, "type": config.type_name()}


def _setting_text(value: object) -> str:
    if isinstance(value, Path):
        return f"{value.name} sha256 {_file_hash(value)[:12]}"
    if isinstance(value, EncoderConfig):
        return encoder_text(value)
    if isinstance(value, Component):
        return value.type_name()
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _file_hash(path: Path) -> str:
    """Return the sha256 of a file's content; of a folder, that of the names and contents of its files."""
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file())
        listed = "".join(f"{each.relative_to(path).as_posix()} {_file_hash(each)}\n" for each in files)
        return hashlib.sha256(listed.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
