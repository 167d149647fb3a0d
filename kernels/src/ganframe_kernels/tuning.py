"""Tables measured on GPUs: launch configurations, and where the reference is faster than the kernels.

`python -m ganframe_kernels.tune` writes them. The package ships tuned.json; the environment variable
GANFRAME_KERNELS_TUNED names a file of your own, whose entries come first. Without an entry, a launcher takes its own
default configuration, and `auto` takes the kernels.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganframe_kernels.checks import value_error
from ganframe_kernels.layout import is_channels_last

REFERENCE = "reference"
"""The only value in the table of implementations; without an entry the kernels run."""


@dataclass(frozen=True)
class Tables:
    """The measured results.

    Attributes:
        configurations: Launch parameters, by key.
        implementations: REFERENCE, by the keys where it is faster.
    """

    configurations: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    implementations: dict[str, str] = field(default_factory=dict[str, str])

    def __or__(self, other: Tables) -> Tables:
        """Return these tables with the entries of the other, which replace entries here."""
        return Tables(self.configurations | other.configurations, self.implementations | other.implementations)

    @staticmethod
    def read(text: str, source: str) -> Tables:
        """Return the tables in a file's text.

        Raises:
            ValueError: The text does not hold tables; the message names the source.
        """
        expected = "JSON objects `configurations` (numbers by parameter, by key) and `implementations`"
        try:
            content: Any = json.loads(text)
        except ValueError as error:
            raise value_error(source, expected, str(error)) from None
        if not isinstance(content, dict) or content.keys() != {"configurations", "implementations"}:
            raise value_error(source, expected, text[:80])
        tables = Tables(**content)
        parameters = (value for config in tables.configurations.values() for value in config.values())
        if any(type(value) is not int for value in parameters) or set(tables.implementations.values()) - {REFERENCE}:
            raise value_error(source, expected, text[:80])
        return tables

    def write(self, file: Path) -> None:
        """Write the tables, sorted by key."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(vars(self), indent=1, sort_keys=True) + "\n", encoding="utf-8")


@dataclass
class Asked:
    """The lookups that operations made.

    Attributes:
        configurations: The launcher's default configuration, by key.
        implementations: Keys.
    """

    configurations: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    implementations: list[str] = field(default_factory=list[str])


def load(environment: Mapping[str, str]) -> Tables:
    """Return the shipped tables, joined with those of GANFRAME_KERNELS_TUNED.

    Raises:
        ValueError: The named file is missing, or does not hold tables.
    """
    shipped = Tables.read(files("ganframe_kernels").joinpath("tuned.json").read_text("utf-8"), "tuned.json")
    name = environment.get("GANFRAME_KERNELS_TUNED")
    if not name:
        return shipped
    if not Path(name).is_file():
        raise value_error("GANFRAME_KERNELS_TUNED", "a file of `python -m ganframe_kernels.tune`", name)
    return shipped | Tables.read(Path(name).read_text("utf-8"), f"GANFRAME_KERNELS_TUNED={name}")


# Read on import: torch.compile traces the lookup, and cannot trace reading a file.
_tables = load(os.environ)
_asked: Asked | None = None


@contextmanager
def using(tables: Tables) -> Generator[None]:
    """Use these tables in this context."""
    global _tables  # noqa: PLW0603  the tables in use belong to the process
    before, _tables = _tables, tables
    try:
        yield
    finally:
        _tables = before


@contextmanager
def recording() -> Generator[Asked]:
    """Record what operations look up in this context."""
    global _asked  # noqa: PLW0603  one recording at a time in a process
    before, _asked = _asked, Asked()
    try:
        yield _asked
    finally:
        _asked = before


def device_name(kind: str, index: int) -> str:
    """Return the compute capability and Triton's version, as in "sm90 triton3.7"; without a GPU, "cpu triton3.7"."""
    major, minor = torch.cuda.get_device_capability(index) if kind == "cuda" else ("", "")
    return f"{f'sm{major}{minor}' if kind == 'cuda' else kind} triton{'.'.join(version('triton').split('.')[:2])}"


# As torch.compiler.assume_constant_result does, which would import the compiler, and Triton with it.
device_name.__dict__["_dynamo_marked_constant"] = True


def key(op: str, x: Tensor, sizes: tuple[int, ...]) -> str:
    """Return the key of an entry: op, device, dtype, layout, and the sizes rounded up to powers of 2, as exponents."""
    layout = "nhwc" if is_channels_last(x) else "contiguous"
    exponents = "x".join([str(_exponent(size)) for size in sizes])
    dtype = str(x.dtype).removeprefix("torch.")
    return f"{op} {device_name(x.device.type, x.device.index or 0)} {dtype} {layout} {exponents}"


def _exponent(size: int) -> int:
    """Return the least e with 2**e >= size, by comparisons, so that torch.compile guards on a range of sizes."""
    exponent = 0
    while 2**exponent < size:
        exponent += 1
    return exponent


def tuned(op: str, x: Tensor, sizes: tuple[int, ...], **heuristic: int) -> dict[str, int]:
    """Return the launch configuration for this op on x.

    Args:
        op: The kernel's name.
        x: Its main input, dense.
        sizes: The sizes that the configuration depends on.
        heuristic: The configuration to take where the table has no entry.
    """
    if x.is_meta or (_asked is None and not _tables.configurations):
        return heuristic
    name = key(op, x, sizes)
    if _asked is not None:
        _asked.configurations[name] = heuristic
    return heuristic | _tables.configurations.get(name, {})


def reference_is_faster(op: str, x: Tensor, options: tuple[int, ...]) -> bool:
    """Return whether the reference of this op on x was measured to be faster than the kernels, forward and backward.

    Args:
        op: The operation's name. Compiled calls have entries of their own, since the compiler fuses the reference.
        x: Its main input.
        options: Other numbers that its speed depends on, such as factors and taps.
    """
    if _asked is None and not _tables.implementations:
        return False
    name = key(f"{op}, {'compiled' if torch.compiler.is_compiling() else 'eager'}", x, (*x.shape, *options))
    if _asked is not None:
        _asked.implementations.append(name)
    return name in _tables.implementations
