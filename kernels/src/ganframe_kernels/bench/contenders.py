"""The contenders that are timed: a function in eager mode, compiled, and with kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch._dynamo import config as dynamo
from torch._functorch import config as functorch

OPERATIONS = ("eager", "compile", "compile, graphs", "kernels")
"""Contenders for an operation; NVIDIA's is added where its path is given."""

STEPS = ("eager", "compile", "kernels", "kernels, compile")
"""Contenders for a whole step."""

GRAPHS = ("compile, graphs", "kernels, graphs")
"""Additional contenders for a step that is bound by launches: compiled, with CUDA graphs."""


def prepared(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return the function as the contender calls it, in its implementation."""
    if name.endswith("compile"):
        function = torch.compile(function, fullgraph=True)
    elif name.endswith("graphs"):
        function = torch.compile(function, fullgraph=True, mode="reduce-overhead")

    def call(*arguments: Any) -> Any:
        with implementation("auto" if name.startswith("kernels") else "reference"):
            return function(*arguments)

    return call


@contextmanager
def compiling() -> Generator[None, None, None]:
    """Allow compiled functions to differentiate, and their backward to run repeatedly, in this context."""
    with dynamo.patch(trace_autograd_ops=True), functorch.patch(donated_buffer=False):
        yield


@contextmanager
def implementation(name: str) -> Generator[None, None, None]:
    """Set GANFRAME_KERNELS to this value in the context."""
    before = os.environ.get("GANFRAME_KERNELS")
    os.environ["GANFRAME_KERNELS"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["GANFRAME_KERNELS"]
        else:
            os.environ["GANFRAME_KERNELS"] = before
