"""The typer application: every command, in the order of `ganframe --help`."""

from __future__ import annotations

import typer

from ganframe.cli.configs import explain, presets, schema
from ganframe.cli.data import check_data, look_at_data, pack_data
from ganframe.cli.doctor import doctor
from ganframe.cli.plugins import check_plugin, new_plugin, plugins
from ganframe.cli.results import evaluate, export, report
from ganframe.cli.samples import augment, interpolate, sample, translate
from ganframe.cli.train import train

app = typer.Typer(
    name="ganframe",
    help="Train generative adversarial networks, out of plugins.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help without rich, whose import takes as long as all others
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    train,
    sample,
    augment,
    interpolate,
    translate,
    evaluate,
    report,
    export,
    presets,
    explain,
    schema,
    doctor,
):
    app.command()(command)

plugins_app = typer.Typer(help="List, write and check plugins.", rich_markup_mode=None)
plugins_app.callback(invoke_without_command=True)(plugins)
plugins_app.command("new")(new_plugin)
plugins_app.command("check")(check_plugin)
app.add_typer(plugins_app, name="plugins")

data_app = typer.Typer(help="Look at data, pack them, and check what was packed.", rich_markup_mode=None)
data_app.command("look")(look_at_data)
data_app.command("pack")(pack_data)
data_app.command("check")(check_data)
app.add_typer(data_app, name="data")
