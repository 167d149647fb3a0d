"""Tables that were measured on GPUs: launch configurations, and where the reference is faster than the kernels.

`python -m ganframe_kernels.tune` writes them. The package ships tuned.json; the environment variable
GANFRAME_KERNELS_TUNED names a file of one's own, whose entries come first. Without an entry, a launcher takes its own
choice of a configuration, and `auto` takes the kernels.
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

from ganframe_kernels.checks import wrong
from ganframe_kernels.layout import is_channels_last

REFERENCE = "reference"
"""The one value of the table of implementations: elsewhere the kernels run."""


@dataclass(frozen=True)
class Tables:
    """What was measured.

    Attributes:
        configurations: Parameters of a launch, by key.
        implementations: REFERENCE, by the keys where it is the faster one.
    """

    configurations: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    implementations: dict[str, str] = field(default_factory=dict[str, str])

    def __or__(self, other: Tables) -> Tables:
        """These tables with the entries of the other, which take the place of entries here."""
        return Tables(self.configurations | other.configurations, self.implementations | other.implementations)

    @staticmethod
    def read(text: str, source: str) -> Tables:
        """The tables in a file's text.

        Raises:
            ValueError: The text is no such tables; the message names the source.
        """
        expected = "JSON objects `configurations` (numbers by parameter, by key) and `implementations`"
        try:
            content: Any = json.loads(text)
        except ValueError as error:
            raise wrong(source, expected, str(error)) from None
        if not isinstance(content, dict) or content.keys() != {"configurations", "implementations"}:
            raise wrong(source, expected, text[:80])
        tables = Tables(**content)
        parameters = (each for config in tables.configurations.values() for each in config.values())
        if any(type(each) is not int for each in parameters) or set(tables.implementations.values()) - {REFERENCE}:
            raise wrong(source, expected, text[:80])
        return tables

    def write(self, file: Path) -> None:
        """Write the tables, in order."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(vars(self), indent=1, sort_keys=True) + "\n", encoding="utf-8")


@dataclass
class Asked:
    """What operations looked up.

    Attributes:
        configurations: The launcher's own choice, by key.
        implementations: Keys.
    """

    configurations: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    implementations: list[str] = field(default_factory=list[str])


def load(environment: Mapping[str, str]) -> Tables:
    """The shipped tables, and those of GANFRAME_KERNELS_TUNED.

    Raises:
        ValueError: The named file is absent, or no table.
    """
    shipped = Tables.read(files("ganframe_kernels").joinpath("tuned.json").read_text("utf-8"), "tuned.json")
    name = environment.get("GANFRAME_KERNELS_TUNED")
    if not name:
        return shipped
    if not Path(name).is_file():
        raise wrong("GANFRAME_KERNELS_TUNED", "a file of `python -m ganframe_kernels.tune`", name)
    return shipped | Tables.read(Path(name).read_text("utf-8"), f"GANFRAME_KERNELS_TUNED={name}")


# Read at once: torch.compile follows the look-up, and cannot follow the reading of a file.
_tables = load(os.environ)
_asked: Asked | None = None


@contextmanager
def using(tables: Tables) -> Generator[None]:
    """Inside, these tables are looked up."""
    global _tables  # noqa: PLW0603
    before, _tables = _tables, tables
    try:
        yield
    finally:
        _tables = before


@contextmanager
def recording() -> Generator[Asked]:
    """Inside, what operations look up is noted."""
    global _asked  # noqa: PLW0603
    before, _asked = _asked, Asked()
    try:
        yield _asked
    finally:
        _asked = before


def device_name(kind: str, index: int) -> str:
    """Compute capability and Triton's version, as in "sm90 triton3.7"; without a GPU, "cpu triton3.7"."""
    major, minor = torch.cuda.get_device_capability(index) if kind == "cuda" else ("", "")
    return f"{f'sm{major}{minor}' if kind == 'cuda' else kind} triton{'.'.join(version('triton').split('.')[:2])}"


# What torch.compiler.assume_constant_result does, which would import the compiler, and Triton with it.
device_name.__dict__["_dynamo_marked_constant"] = True


def key(op: str, x: Tensor, sizes: tuple[int, ...]) -> str:
    """The name of an entry: op, device, dtype, layout, and the sizes rounded up to powers of 2, as exponents."""
    layout = "nhwc" if is_channels_last(x) else "contiguous"
    exponents = "x".join([str(_exponent(size)) for size in sizes])
    dtype = str(x.dtype).removeprefix("torch.")
    return f"{op} {device_name(x.device.type, x.device.index or 0)} {dtype} {layout} {exponents}"


def _exponent(size: int) -> int:
    """The least power of 2 that reaches the size. Comparisons, so that torch.compile guards on a range of sizes."""
    exponent = 0
    while 2**exponent < size:
        exponent += 1
    return exponent


def tuned(op: str, x: Tensor, sizes: tuple[int, ...], **heuristic: int) -> dict[str, int]:
    """The configuration for this op on x.

    Args:
        op: The kernel's name.
        x: Its main input, dense.
        sizes: What the configuration depends on.
        heuristic: What to take where the table has nothing.
    """
    if x.is_meta or (_asked is None and not _tables.configurations):
        return heuristic
    name = key(op, x, sizes)
    if _asked is not None:
        _asked.configurations[name] = heuristic
    return heuristic | _tables.configurations.get(name, {})


def reference_is_faster(op: str, x: Tensor, options: tuple[int, ...]) -> bool:
    """Whether the reference of this op on x was measured to be faster than the kernels, forward and backward.

    Args:
        op: The operation's name. What is compiled has entries of its own, since the compiler fuses the reference.
        x: Its main input.
        options: Whatever else its speed depends on, such as factors and taps.
    """
    if _asked is None and not _tables.implementations:
        return False
    name = key(f"{op}, {'compiled' if torch.compiler.is_compiling() else 'eager'}", x, (*x.shape, *options))
    if _asked is not None:
        _asked.implementations.append(name)
    return name in _tables.implementations
