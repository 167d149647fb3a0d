"""Training from a config: makes or reopens the run folder, trains, saves, measures, reports."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path

import torch

from ganframe.config.experiment import Experiment
from ganframe.data.dataset import Dataset
from ganframe.data.loader import BatchLoader
from ganframe.data.quarantine import Quarantine
from ganframe.distributed import collectives as distributed
from ganframe.distributed.notices import print_notice
from ganframe.errors import BadInput, NotFinite, within, writing
from ganframe.evaluation.metrics import Evaluation
from ganframe.evaluation.pictures import draw, drawable
from ganframe.evaluation.report import write_report
from ganframe.evaluation.sampling import sampling_mode, sampling_round
from ganframe.randomness import Randomness
from ganframe.runs.checkpoints import checkpoint_errors
from ganframe.runs.folder import RunFolder, default_folder
from ganframe.runs.logs import read_log
from ganframe.training.assembly import Assembly, assemble, generator_players
from ganframe.training.checkpointing import check_finite, restore, roll_back, save_checkpoint
from ganframe.training.ema import AveragedPlayers
from ganframe.training.hooks import listens, run_manager
from ganframe.training.run import Run
from ganframe.training.stop_request import EvaluationAborted, StopRequest
from ganframe.training.trainer import Trainer, is_due, private_randomness

VARIANTS = 64
"""In how many ways the players of one class may be called until those that are new are no longer compiled."""


def train(
    experiment: Experiment,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    allow_changes: Collection[str] = (),
    name: str = "run",
    hooks: Sequence[object] = (),
) -> RunFolder:
    """Train what a config describes.

    Args:
        experiment: The config.
        out: The run folder; `runs/NAME-TIME/` when None. An existing run is never overwritten.
        resume: Go on with the run in `out` from its last checkpoint. Interrupted by SIGINT or SIGTERM, a run saves one
            at the end of its step.
        allow_changes: Settings, as dotted paths, in which the config may differ from that of the run that goes on;
            `train` stands for all that is under it.
        name: What the default folder is called after.
        hooks: Objects with `ganframe.hookimpl` methods that take part in this run.

    Returns:
        The run folder.

    Raises:
        BadInput: When the config, the data, the folder or the checkpoint cannot be used.
        RunFailed: When the run cannot go on, such as after a loss that is not finite.
    """
    with distributed.process_group():
        # All that can be refused is built before the folder of a new run is made.
        with distributed.fail_together():
            folder = _reopened(experiment, out, allow_changes) if resume else None
            assembly = assemble(experiment)
            _check_shares(experiment)
            assembly.optimizers()
            run_manager(*hooks)
            if experiment.train.compile:
                _check_compiler()
            metrics = experiment.evaluate.metrics if experiment.evaluate else ()
            with within("data"):
                dataset = experiment.data.build()
                held_out = experiment.data.held_out() if metrics else None
                measured = dataset if held_out is None else held_out.build()
            evaluation = Evaluation(metrics, experiment.data, experiment.seed, measured)
            loggers = _loggers(experiment) if distributed.is_main_process() else []
        with distributed.fail_together():
            folder = folder or _created(assembly, Path(out) if out else default_folder(name))
        with private_randomness(assembly.device):
            run = _start(experiment, folder, assembly, [*loggers, *hooks])
            if resume:
                with distributed.fail_together(), checkpoint_errors(folder.checkpoints):
                    restore(run)
                if distributed.is_main_process():
                    folder.adopt(experiment, assembly.game.data)
                    _note_versions(folder)
            _train(run, dataset, evaluation)
    return folder


def _loggers(experiment: Experiment) -> list[object]:
    built = list[object]()
    for index, logger in enumerate(experiment.loggers):
        with within("loggers", index):
            built.append(logger.build())
    return built


def _check_shares(experiment: Experiment) -> None:
    """Refuse a batch that the ranks cannot share equally."""
    size, world_size = experiment.train.batch_size, distributed.this_shard().world_size
    if size % world_size:
        sizes = [count * world_size for count in (size // world_size, size // world_size + 1) if count]
        raise BadInput(
            f"a batch of {size} cannot be shared equally by {ranks} processes",
            path=("train", "batch_size"),
            remedy=f"Say {' or '.join(map(str, sizes))}.",
        )


def _check_compiler() -> None:
    """Refuse to compile where nothing can."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # noqa: PLC0415  only a run that compiles needs it
    from torch._inductor.exc import InvalidCxxCompiler  # noqa: PLC0415

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        remedy = "Install one, such as g++, or leave it off."
        raise BadInput("there is no C++ compiler here", path=("train", "compile"), remedy=remedy) from None


def _created(assembly: Assembly, path: Path) -> RunFolder:
    """The folder of a new run, which the main process makes."""
    path = Path(distributed.broadcast_text(str(path)))
    if not distributed.is_main_process():
        return RunFolder(path)
    return RunFolder.create(path, assembly.experiment, assembly.game.data)


def _reopened(experiment: Experiment, out: Path | str | None, allow_changes: Collection[str]) -> RunFolder:
    if out is None:
        raise BadInput("--resume needs the run folder", remedy="Add --out RUN.")
    folder = RunFolder.open(Path(out))
    changed = folder.experiment().differences(experiment)
    refused = [path for path in changed if not any(f"{path}.".startswith(f"{key}.") for key in allow_changes)]
    if refused:
        raise BadInput(
            f"the config differs from that of the run in: {', '.join(refused)}",
            place=str(folder.path / "config.yaml"),
            remedy="Resume with the config of the run, start a new run with another --out, or say "
            + " ".join(f"--allow-changes {path}" for path in refused)
            + ".",
        )
    # What cannot be read is refused before anything is changed.
    for log in (folder.scalars, folder.metrics):
        read_log(log, most=1000)
    folder.environment()
    return folder


def _note_versions(folder: RunFolder) -> None:
    for change in folder.change_environment():
        print_notice("this run goes on under other versions", change)


def _start(experiment: Experiment, folder: RunFolder, assembly: Assembly, hooks: Sequence[object]) -> Run:
    averages = None
    if experiment.train.ema is not None:
        averages = AveragedPlayers(
            generator_players(assembly.game), 0.5 ** (assembly.images_per_step / experiment.train.ema.half_life_images)
        )
    if assembly.sharded:
        _shard(assembly, averages)
    if experiment.train.compile:
        _compile(assembly)
    return Run(
        experiment=experiment,
        folder=folder,
        assembly=assembly,
        optimizers=assembly.optimizers(),
        averages=averages,
        hooks=run_manager(*_listeners(assembly), *hooks),
    )


def _compile(assembly: Assembly) -> None:
    # All players of a class share PyTorch's limit on variants (dtypes, frozen or not, training or not). What is met
    # beyond it runs uncompiled, by slightly other numbers, and what that is would depend on where a run was resumed.
    limits = torch._dynamo.config  # pyright: ignore[reportPrivateUsage]
    limits.recompile_limit = max(limits.recompile_limit, VARIANTS)
    for player in assembly.game.players.values():
        player.compile()


def _shard(assembly: Assembly, averages: AveragedPlayers | None) -> None:
    from ganframe.distributed.fsdp import shard  # noqa: PLC0415  takes as long as the rest of ganframe

    for network in (*assembly.game.players.values(), *(averages.players.values() if averages else ())):
        shard(network, assembly.device)
    assembly.game.set_players(assembly.game.players)


def _listeners(assembly: Assembly) -> list[object]:
    """The live objects that take part in the hooks, each once."""
    return list({id(live): live for _, live in assembly.components() if listens(live)}.values())


def _train(run: Run, dataset: Dataset, evaluation: Evaluation) -> None:
    interruption = StopRequest()
    trainer: Trainer | None = None
    try:
        run.hooks.hook.on_run_start(run=run)
        if run.experiment.train.on_nonfinite == "rollback" and not run.resumed:
            save_checkpoint(run)
        trainer = Trainer(run, _batches(run, dataset))
        with interruption:
            if not run.evaluation_done:
                _complete_step(run, run.images - trainer.images_per_step, dataset, evaluation, interruption)
            while not trainer.done():
                before = run.images
                try:
                    trainer.step()
                    _complete_step(run, before, dataset, evaluation, interruption)
                except NotFinite as problem:
                    roll_back(run, problem)
                    trainer.close()
                    trainer = Trainer(run, _batches(run, dataset))
    except BaseException as problem:
        # What fails after a failure, such as once a disk is full, is not to stand in front of it.
        with contextlib.suppress(Exception):
            run.hooks.hook.on_run_end(run=run, error=problem)
        if distributed.is_main_process() and not interruption.at_once:
            with contextlib.suppress(Exception):
                write_report(run.folder)
        raise
    finally:
        if trainer is not None:
            trainer.close()
    run.hooks.hook.on_run_end(run=run, error=None)
    if distributed.is_main_process():
        write_report(run.folder)


def _complete_step(run: Run, before: int, dataset: Dataset, evaluation: Evaluation, interruption: StopRequest) -> None:
    """Draw, measure and save what is due after a step.

    Args:
        run: The run.
        before: Images seen before the step.
        dataset: The data.
        evaluation: What to measure.
        interruption: Whether the run was asked to end: it does so with a checkpoint, and leaves a measurement that is
            under way for when it goes on.
    """
    experiment = run.experiment
    tenth = max(experiment.train.images // 10, 1)
    done = run.images >= experiment.train.images
    measure_every = (experiment.evaluate and experiment.evaluate.every_images) or experiment.train.images
    draws = done or is_due(experiment.snapshot.every_images or tenth, before, run.images)
    measures = experiment.evaluate is not None and (done or is_due(measure_every, before, run.images))
    saves = done or not run.evaluation_done or is_due(experiment.checkpoint.every_images or tenth, before, run.images)
    if draws or measures:
        check_finite(run)
    run.evaluation_done = True
    if draws:
        snapshot(run, dataset)
    if measures:
        try:
            results = evaluation.measure(run.sampling_game(), run.device, interruption.leave_off)
        except EvaluationAborted:
            run.evaluation_done = False
        else:
            run.hooks.hook.on_evaluation(run=run, step=run.step, results=results)
    if saves or interruption.is_asked():
        save_checkpoint(run)
    if (not done or not run.evaluation_done) and interruption.is_asked():
        interruption.go()


def _batches(run: Run, dataset: Dataset) -> BatchLoader:
    """The batches of a run; after a rollback those that are yet to come differ from those that were."""
    train, shard = run.experiment.train, distributed.this_shard()
    randomness = Randomness(run.experiment.seed).at("data", *(["rollback", run.rollbacks] if run.rollbacks else []))
    quarantine = Quarantine(run.folder.quarantine(shard.rank))
    return BatchLoader(dataset, train.batch_size // shard.world_size, randomness, run.device, train.workers, shard, quarantine)


def snapshot(run: Run, dataset: Dataset) -> None:
    """Draw what the averaged players make of the same inputs each time, where it is something to look at."""
    game = run.sampling_game()
    randomness = Randomness(run.experiment.seed).at("snapshot")
    with sampling_mode(game, randomness, run.device):
        game_round = sampling_round(game, lambda: dataset, run.experiment.snapshot.count, randomness, run.device)
        tensors = {name: game_round[name] for name in game.pictures}
    if not distributed.is_main_process() or not drawable(tensors):
        return
    picture = run.folder.pictures / f"{run.step:09d}.png"
    with writing(picture.parent):
        picture.parent.mkdir(exist_ok=True)  # not its parents: a run whose folder has vanished is over
    draw(tensors, picture)
    draw(tensors, run.folder.samples)
    run.hooks.hook.on_snapshot(run=run, step=run.step, tensors=tensors, picture=picture)
