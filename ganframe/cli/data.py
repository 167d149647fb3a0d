"""`ganframe data` and its subcommands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ganframe.cli.options import ConfigArgument, SetOption, path_option
from ganframe.cli.output import new_path, print_line, print_table, progress
from ganframe.config.arguments import user_path
from ganframe.errors import RunFailed, within

SourceArgument = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A folder of images, a YAML file, or the name of a preset.")
]
PackedArgument = Annotated[Path, typer.Argument(parser=user_path, metavar="PACKED", help="A folder of packed data.")]


def pack_data(
    source: SourceArgument,
    out: Annotated[Path, typer.Argument(parser=user_path, metavar="OUT", help="The folder to make.")],
    overrides: SetOption = [],
    workers: Annotated[int, typer.Option(min=0, help="Processes that decode; 0 decodes in this one.")] = 0,
) -> None:
    """Decode and resize all images once, for the data set `packed`.

    Of a config, its `data` are packed, those that its `held_out_share` holds out too: the same share of the packed data
    holds the same examples out. A folder of images is `{type: image-folder, path: SOURCE}`, and
    --set data.resolution=128 --set data.with_labels=true set more of it.
    """
    from ganframe.config.data_source import load_data

    loaded = load_data(source, overrides)
    from ganframe.config.held_out_share import SplitDatasetConfig
    from ganframe.data.open_data import open_dataset, read_specs
    from ganframe.data.packing import pack

    new_path(out, option="OUT")
    with loaded.document.errors():
        with within("data"):
            data, share = loaded.data, 0.0
            if isinstance(data, SplitDatasetConfig) and data.split == "train":
                share = data.held_out_share
                data = data.model_copy(update={"held_out_share": 0.0})
            dataset, specs = open_dataset(data), read_specs(data)
        with progress("examples") as show:
            index = pack(dataset, specs, out, data=data.type_name(), workers=workers, progress=show)
    print_line(f"{index.examples:,} of {len(dataset):,} examples in {out}")
    held_out = f", held_out_share: {share:g}" if share else ""
    path = json.dumps(str(out), ensure_ascii=False)  # YAML reads it alike
    print_line(f"train    data: {{type: packed, path: {path}{held_out}}}")


def look_at_data(
    config: ConfigArgument,
    overrides: SetOption = [],
    out: Annotated[Path, path_option(help="The .png file.")] = Path("look.png"),
    count: Annotated[int, typer.Option(min=1, help="How many examples.")] = 32,
) -> None:
    """Draw the first examples of a run, as networks get them and as discriminators see them.

    Discriminators see them through the augmentations of the config, as these are at the start of a run.
    """
    from ganframe.config.presets import load

    loaded = load(config, overrides)
    from ganframe.evaluation.data_look import look

    new_path(out, ".png")
    with loaded.document.errors():
        found = look(loaded.experiment, count)
    files, not_drawn = found.draw(out)
    for title, text in (*found.summary.lines(found.specs), *found.summary.left_out_lines()):
        print_line(f"{title}: {text}")
    for name, text in found.class_counts().items():
        print_line(f"drawn, by {name}: {text}")
    print_table(("tensor", "what", "range"), found.ranges())
    if not_drawn:
        print_line(f"not drawn: {', '.join(not_drawn)}")
    for file in files:
        print_line(str(file))


def check_data(packed: PackedArgument) -> None:
    """Compare packed data with their hashes, and say where they are damaged."""
    from ganframe.data.packed_folder import PackedFolder

    folder = PackedFolder(packed)
    folder.sources()
    damaged, done, total = 0, 0, sum(folder.array(name).nbytes for name in folder.specs)
    with progress("bytes") as show:
        for size, place in folder.find_damage():
            done += size
            show(done, total)
            if place:
                damaged += 1
                print_line(f"damaged  {place}")
    if damaged:
        raise RunFailed(f"{damaged} blocks are damaged; copy {packed} again, or pack the data again")
    print_line(f"sound: {folder.index.examples:,} examples, {total:,} bytes")
