"""Training from a config: check the config, create or reopen the run folder, start or resume the run, run the loop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ganframe.config.experiment import Experiment
from ganframe.config.hook_markers import has_hooks
from ganframe.config.settings import synonyms
from ganframe.data.open_data import open_dataset
from ganframe.distributed.collectives import broadcast_text
from ganframe.distributed.notices import print_notice
from ganframe.distributed.process_group import fail_together, process_group
from ganframe.distributed.shard import is_main_process, this_shard
from ganframe.errors import BadInput, ConfigPath, within
from ganframe.plugins.author_code import build_live, name_of, source_of
from ganframe.randomness import preserve_global_randomness
from ganframe.runs.checkpoint_files import checkpoint_errors, list_checkpoints
from ganframe.runs.folder import RunFolder, default_folder
from ganframe.runs.logs import read_log
from ganframe.training.assembly import Assembly, assemble, generator_players
from ganframe.training.compilation import check_compiler, compile_players
from ganframe.training.ema import AveragedPlayers, describe_frozen_average, make_averages
from ganframe.training.loop import run_loop
from ganframe.training.loop_callbacks import MakeCallbacks
from ganframe.training.plugin_hooks import RunHooks
from ganframe.training.run_state import Run
from ganframe.training.save_and_restore import restore
from ganframe.training.warm_start import fill_players


def train_experiment(
    experiment: Experiment,
    *,
    out: Path | None,
    resume: bool,
    allow_changes: Collection[str],
    name: str,
    hooks: Sequence[object],
    make_callbacks: MakeCallbacks,
) -> RunFolder:
    """Train a config, for `ganframe.train`.

    Args:
        experiment: The config.
        out: The run folder; `runs/NAME-TIME/` when None.
        resume: Whether to resume the run in `out` from its latest checkpoint, instead of starting a new run.
        allow_changes: Settings, as dotted paths, in which the config may differ from that of the resumed run.
        name: The `NAME` in the default run folder.
        hooks: Objects with methods marked `@ganframe.hookimpl`.
        make_callbacks: Makes the callbacks of the loop.

    Returns:
        The run folder.
    """
    with process_group():
        # All that a bad config can make fail is built before the folder of a new run is created, some only to check it.
        with fail_together():
            folder = _reopen(experiment, out, allow_changes) if resume else None
            assembly = assemble(experiment)
            if folder is None or not list_checkpoints(folder.checkpoints):
                fill_players(experiment, assembly.game, assembly.game.trained_players)
            _check_batch_size(experiment)
            assembly.optimizers()
            RunHooks(*hooks)
            if experiment.train.compile:
                check_compiler()
            with within("data"):
                dataset = open_dataset(experiment.data)
            callbacks = make_callbacks(experiment, dataset)
            loggers = _build_loggers(experiment) if is_main_process() else []
        with fail_together():
            folder = folder or _create(assembly, out or default_folder(name))
        with preserve_global_randomness(assembly.device):
            run = _start(experiment, folder, assembly, [*loggers, *hooks])
            if resume:
                with fail_together(), checkpoint_errors(folder.checkpoints):
                    restore(run)
                if is_main_process():
                    folder.adopt(experiment, assembly.game.data)
                    for change in folder.change_environment():
                        print_notice("this run goes on under other versions", change)
            run_loop(run, dataset, callbacks)
    return folder


def _build_loggers(experiment: Experiment) -> list[object]:
    built = list[object]()
    for index, logger in enumerate(experiment.loggers):
        with within("loggers", index):
            built.append(build_live(logger))
            if not has_hooks(built[-1]):
                message = f"`build` of the logger {name_of(type(logger))} returned an object without hooks"
                remedy = "Mark its methods, such as `on_step_end`, with `@ganframe.hookimpl`."
                raise BadInput(message, place=source_of(built[-1]), remedy=remedy)
    return built


def _check_batch_size(experiment: Experiment) -> None:
    """Refuse a batch that the ranks cannot share equally."""
    world_size = this_shard().world_size
    sizes: dict[ConfigPath, int | None] = {("train", "batch_size"): experiment.train.batch_size}
    for index, stage in enumerate(experiment.growth.stages if experiment.growth else ()):
        sizes["growth", "stages", index, "batch_size"] = stage.batch_size
    for path, size in sizes.items():
        if size is not None and size % world_size:
            fitting = [count * world_size for count in (size // world_size, size // world_size + 1) if count]
            message = f"a batch of {size} cannot be shared equally by {world_size} processes"
            raise BadInput(message, path=path, remedy=f"Say {' or '.join(map(str, fitting))}.")


def _create(assembly: Assembly, path: Path) -> RunFolder:
    """Create the folder of a new run in the main process, and return it in every process."""
    path = Path(broadcast_text(str(path)))
    if not is_main_process():
        return RunFolder(path)
    return RunFolder.create(path, assembly.experiment, assembly.game.data)


def _reopen(experiment: Experiment, out: Path | None, allow_changes: Collection[str]) -> RunFolder:
    """Return the folder of the run to resume; refuse a config that differs in more than `allow_changes`."""
    if out is None:
        raise BadInput("--resume needs the run folder", remedy="Add --out RUN.")
    folder = RunFolder.open(out)
    changed = folder.experiment().differences(experiment)
    refused = [path for path in changed if not any(_covers(allowed, path) for allowed in allow_changes)]
    if refused:
        raise BadInput(
            f"the config differs from that of the run in: {', '.join(refused)}",
            place=str(folder.path / "config.yaml"),
            remedy="Resume with the config of the run, start a new run with another --out, or say "
            + " ".join(f"--allow-changes {path}" for path in refused)
            + ".",
        )
    # Malformed files are refused here, before any file of the run is changed.
    for log in (folder.scalars, folder.metrics):
        read_log(log, max_lines=1000)
    folder.environment()
    folder.data()
    return folder


def _covers(allowed: str, path: str) -> bool:
    """Return whether a path is the allowed path or lies under it; the allowed path may use former names of settings."""
    keys, allowed_keys = path.split("."), allowed.split(".")
    return len(keys) >= len(allowed_keys) and all(
        key in synonyms(allowed_key) for key, allowed_key in zip(keys, allowed_keys, strict=False)
    )


def _start(experiment: Experiment, folder: RunFolder, assembly: Assembly, listeners: Sequence[object]) -> Run:
    averages = make_averages(generator_players(assembly.game), experiment.train, assembly.images_per_step)
    if frozen := describe_frozen_average(experiment.train):
        print_notice("averages that cannot move", frozen)
    if assembly.sharded:
        _shard(assembly, averages)
    if experiment.train.compile:
        compile_players(assembly.game)
    return Run(
        experiment=experiment,
        folder=folder,
        assembly=assembly,
        optimizers=assembly.optimizers(),
        averages=averages,
        hooks=RunHooks(*assembly.listeners(), *listeners),
    )


def _shard(assembly: Assembly, averages: AveragedPlayers | None) -> None:
    from ganframe.distributed.fsdp import shard  # takes as long to import as the rest of ganframe

    for network in (*assembly.game.players.values(), *(averages.players.values() if averages else ())):
        shard(network, assembly.device)
    assembly.game.set_players(assembly.game.players)
