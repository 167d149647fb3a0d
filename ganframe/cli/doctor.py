"""`ganframe doctor`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import metadata

import typer
from rich.markup import escape

from ganframe.cli.output import console
from ganframe.plugins.discovery import installed


def check_installation() -> Iterator[tuple[bool, str]]:
    """Yield findings about the installation, each as a pair: whether it is good, and a sentence."""
    yield True, f"Python {sys.version.split()[0]}"
    yield from _check_torch()
    # Found by its module, because builds of Triton for other platforms have other distribution names.
    suppliers = metadata.packages_distributions().get("triton")
    yield (
        True,
        f"Triton {metadata.version(suppliers[0])}" if suppliers else "Triton is not installed; nothing here needs it",
    )
    for plugin in installed().plugins:
        if plugin.error:
            yield False, f"plugin {plugin.name!r} ({plugin.package} {plugin.version}, {plugin.module}): {plugin.error}"
    registry = installed().registry
    loaded = sum(1 for plugin in installed().plugins if not plugin.error)
    yield True, f"{loaded} plugins with {len(registry.classes)} component types, {len(installed().presets)} presets"


def _check_torch() -> Iterator[tuple[bool, str]]:
    try:
        import torch  # here, because a broken torch is one of the findings
    except ImportError as problem:
        yield False, f"PyTorch cannot be imported: {problem}. Install it: pip install torch"
        return
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    yield True, f"PyTorch {torch.__version__} on {device}"
    try:
        compiled = torch.compile(lambda x: x + 1)
        compiled(torch.zeros(2))
        yield True, "torch.compile works"
    except Exception as problem:
        yield (
            False,
            f"torch.compile fails ({type(problem).__name__}); leave `train.compile` off, or install a C++ compiler",
        )


def doctor() -> None:
    """Say what this installation can do and what is wrong with it."""
    findings = list(check_installation())
    for ok, text in findings:
        console.print(f"{'[green]ok  [/]' if ok else '[red]bad [/]'} {escape(text)}", soft_wrap=True)
    if not all(ok for ok, _ in findings):
        raise typer.Exit(1)
