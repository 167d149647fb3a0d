"""Training from a config: build everything, create or reopen the run folder, start or resume the run, run the loop."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

from ganframe.config.experiment import Experiment
from ganframe.config.hook_markers import has_hooks
from ganframe.config.without_effect import describe_without_effect
from ganframe.data.class_labels import labels_to_balance
from ganframe.data.identity import DataIdentity, identify
from ganframe.data.open_data import open_dataset
from ganframe.data.summary import summarize
from ganframe.distributed.collectives import broadcast_text
from ganframe.distributed.notices import print_notice
from ganframe.distributed.process_group import fail_together, process_group
from ganframe.distributed.shard import is_main_process, this_shard
from ganframe.errors import BadInput, ConfigPath, within
from ganframe.plugins.author_code import build_live, name_of, source_of
from ganframe.randomness import preserve_global_randomness
from ganframe.runs.best_measurement import BestMeasurement
from ganframe.runs.checkpoint_files import checkpoint_errors, list_checkpoints
from ganframe.runs.folder import FolderTaken, RunFolder, default_folder
from ganframe.runs.lock import Owner, held, locked, this_process
from ganframe.runs.logs import read_log
from ganframe.training.assembly import Assembly, assemble, generator_players
from ganframe.training.compilation import check_compiler, compile_players
from ganframe.training.ema import AveragedPlayers, make_averages
from ganframe.training.identity import allowing, not_allowed, note_allowed_changes, refuse_changes, say_log_problems
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
    break_lock: bool = False,
    name: str,
    hooks: Sequence[object],
    make_callbacks: MakeCallbacks,
) -> RunFolder:
    """Start or resume a run and train it to its end; this implements `ganframe.train`.

    Args:
        experiment: The config.
        out: The run folder; if None, `runs/NAME-TIME/`.
        resume: Whether to resume the run in `out` from its latest checkpoint, instead of starting a new run.
        allow_changes: Settings, as dotted paths, in which the config may differ from that of the resumed run; `data`
            also allows other data.
        break_lock: Whether to resume a run that a process of another machine seems to be training.
        name: The `NAME` in the default run folder.
        hooks: Objects with methods marked `@ganframe.hookimpl`.
        make_callbacks: Makes the callbacks of the loop.

    Returns:
        The run folder.

    Raises:
        BadInput: When the config, the data or the run to resume cannot be used.
        RunFailed: When the run has to end early.
        KeyboardInterrupt: After SIGINT.
    """
    with process_group(), ExitStack() as until_the_end:
        with fail_together():
            folder = _reopen(experiment, out, allow_changes) if resume else None
            if folder is not None and is_main_process():
                until_the_end.enter_context(locked(folder.path, break_lock=break_lock))
        # Everything that a bad config can make fail is built before the run folder is created; some of it only as a
        # check.
        with fail_together():
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
                data = identify(dataset, assembly.game.data)
                summary = summarize(dataset)
            labels_to_balance(experiment.train.balance_classes, dataset, assembly.game.data)
            callbacks = make_callbacks(experiment, dataset)
            loggers = _build_loggers(experiment) if is_main_process() else []
        with fail_together():
            if folder is None and is_main_process():
                owner = this_process()
                folder = _create(assembly, out, name, owner)
                until_the_end.enter_context(held(folder.path, owner))
        folder = RunFolder(Path(broadcast_text(str(folder.path) if folder else "")))
        with preserve_global_randomness(assembly.device):
            run = _start(experiment, folder, assembly, data, [*loggers, *hooks])
            if resume:
                with fail_together(), checkpoint_errors(folder.checkpoints):
                    restore(run, check=lambda step: refuse_changes(run, step, allow_changes))
                if is_main_process():
                    folder.adopt(experiment, assembly.game.data)
                    note_allowed_changes(run)
                    for change in folder.change_environment():
                        print_notice("this run goes on under other versions", change)
                    say_log_problems(run)
            if is_main_process():
                folder.save_data_summary(summary)
            for title, names in summary.left_out_lines():
                print_notice(title, names)
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
    """Refuse a batch size that is not divisible by the number of ranks."""
    world_size = this_shard().world_size
    sizes: dict[ConfigPath, int | None] = {("train", "batch_size"): experiment.train.batch_size}
    for index, stage in enumerate(experiment.growth.stages if experiment.growth else ()):
        sizes["growth", "stages", index, "batch_size"] = stage.batch_size
    for path, size in sizes.items():
        if size is not None and size % world_size:
            fitting = [count * world_size for count in (size // world_size, size // world_size + 1) if count]
            message = f"a batch of {size} cannot be shared equally by {world_size} processes"
            raise BadInput(message, path=path, remedy=f"Say {' or '.join(map(str, fitting))}.")


def _create(assembly: Assembly, out: Path | None, name: str, owner: Owner) -> RunFolder:
    """Create the folder of a new run; if `out` is None, under the first free default name."""
    while True:
        try:
            return RunFolder.create(out or default_folder(name), assembly.experiment, assembly.game.data, owner)
        except FolderTaken:
            if out is not None:
                raise


def _reopen(experiment: Experiment, out: Path | None, allow_changes: Collection[str]) -> RunFolder:
    """Return the folder of the run to resume; refuse a config that differs in more than `allow_changes`."""
    if out is None:
        raise BadInput("--resume needs the run folder", remedy="Add --out RUN.")
    folder = RunFolder.open(out)
    refused = not_allowed(folder.experiment().differences(experiment), allow_changes)
    if refused:
        raise BadInput(
            f"the config differs from that of the run in: {', '.join(refused)}",
            place=str(folder.path / "config.yaml"),
            remedy="Resume with the config of the run, start a new run with another --out, or say "
            f"{allowing(refused)}.",
        )
    # Malformed files are refused here, before any file of the run is changed.
    for log in (folder.scalars, folder.metrics):
        read_log(log, max_lines=1000)
    folder.environment()
    if not_allowed(["data"], allow_changes):
        folder.check_data()
    return folder


def _start(
    experiment: Experiment, folder: RunFolder, assembly: Assembly, data: DataIdentity, listeners: Sequence[object]
) -> Run:
    averages = make_averages(generator_players(assembly.game), experiment.train, assembly.images_per_step)
    for setting in describe_without_effect(experiment, assembly.run_length()):
        print_notice("without effect", setting)
    if assembly.sharded:
        _shard(assembly, averages)
    if experiment.train.compile:
        compile_players(assembly.game)
    evaluate = experiment.evaluate
    return Run(
        experiment=experiment,
        folder=folder,
        assembly=assembly,
        optimizers=assembly.optimizers(),
        averages=averages,
        hooks=RunHooks(*assembly.listeners(), *listeners),
        best=None
        if evaluate is None or evaluate.best is None
        else BestMeasurement.none_yet(evaluate.best, evaluate.metrics),
        data=data,
    )


def _shard(assembly: Assembly, averages: AveragedPlayers | None) -> None:
    from ganframe.distributed.fsdp import shard  # takes as long to import as the rest of ganframe

    for network in (*assembly.game.players.values(), *(averages.players.values() if averages else ())):
        shard(network, assembly.device)
    assembly.game.set_players(assembly.game.players)
