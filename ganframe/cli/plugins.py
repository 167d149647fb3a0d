"""`ganframe plugins` and its subcommands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ganframe.cli.options import path_option
from ganframe.cli.output import console, print_line
from ganframe.errors import RunFailed
from ganframe.plugins.discovery import installed
from ganframe.plugins.scaffold import PackageKind, write_plugin


def plugins(context: typer.Context) -> None:
    """List the installed plugins, and every component type with its package, summary and publication."""
    if context.invoked_subcommand:
        return
    rows = [
        (
            plugin.name,
            plugin.package,
            plugin.version,
            f"BROKEN: {plugin.error}; {plugin.location()}" if plugin.error else plugin.location(),
        )
        for plugin in installed().plugins
    ]
    # Not a rich table, which breaks lines: paths must stay whole, so that they can be copied or piped.
    lines = [("plugin", "package", "version", "loaded from"), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print_line("   ".join(map(str.ljust, line, widths)).rstrip())
    kind = ""
    for cls, package in installed().registry:
        if cls.kind != kind:
            kind = cls.kind
            console.print(f"\n[bold]{kind}[/]")
        source = f" [dim]{escape(cls.paper)}[/]" if cls.paper else ""
        console.print(f"  {cls.type_name()} [dim]({package})[/] {escape(cls.summary())}{source}", soft_wrap=True)


def new_plugin(
    name: Annotated[str, typer.Argument(help="Name of the package: my-gan.")],
    out: Annotated[Path, path_option(help="The folder in which to make it.")] = Path(),
    kind: Annotated[
        PackageKind, typer.Option(help="What the package supplies; by default a generator, a discriminator and a loss.")
    ] = PackageKind.DEFAULT,
    first_party: Annotated[
        bool, typer.Option("--first-party", help="Name it ganframe-NAME, as the packages of this repository.")
    ] = False,
) -> None:
    """Write a new plugin package.

    The new package can be installed, passes the conformance kit, and has a preset that trains.
    """
    package = write_plugin(name, out, kind=kind, first_party=first_party)
    print_line(f"wrote    {package.folder}")
    print_line(f"install  pip install -e {package.folder}")
    print_line(f"check    ganframe plugins check {package.folder.name}")
    print_line(f"train    ganframe train {package.preset}")


def check_plugin(package: Annotated[str, typer.Argument(help="An installed distribution or module.")]) -> None:
    """Run the conformance kit over everything that a package registers."""
    from ganframe.testing import run_checks

    failures = 0
    for result in run_checks(package):
        failures += result.error is not None
        mark = "[green]ok  [/]" if result.error is None else "[red]FAIL[/]"
        console.print(f"{mark} {escape(result.name)}", soft_wrap=True)
        if result.error is not None:
            print_line(f"     {result.error}")
    if failures:
        raise RunFailed(f"{failures} checks failed")
