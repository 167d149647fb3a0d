"""Explanation of a config before training: data, players, named tensors, contests, terms, turns and cost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from ganframe.config.arguments import check_type
from ganframe.config.component import Component
from ganframe.config.component_kinds import BalancerConfig, OptimizerConfig
from ganframe.config.experiment import Evaluate, Experiment, Train, metric_names
from ganframe.config.growth import Growth
from ganframe.config.schedules import ScheduleConfig
from ganframe.config.tensor_specs import MAX_LISTED_CLASSES, DataSpec, parts
from ganframe.config.terms import TermConfig
from ganframe.config.without_effect import describe_without_effect
from ganframe.data.summary import DataSummary, named_classes
from ganframe.game.active_terms import Term
from ganframe.game.contest import Contest
from ganframe.game.loss_term import LossTerm
from ganframe.training.assembly import Assembly, assemble, augmentations_by_discriminator
from ganframe.training.trial_turns import take_trial_turns
from ganframe.training.warm_start import fill_players

Table = list[tuple[str, ...]]


@dataclass
class Explanation:
    """A description of a config: its summary, tables of text, and its cost.

    Attributes:
        summary: The summary of the config.
        tables: The tables by title; the first row of each is its header.
        cost: The cost of a step and of the run, in one sentence.
        warnings: Settings that are probably mistakes, each in one sentence.
    """

    summary: str
    tables: dict[str, Table]
    cost: str
    warnings: list[str]


def explain(experiment: Experiment) -> Explanation:
    """Build the objects of a config, and describe them after a dry run of each turn (optimizer step) on two examples.

    Raises:
        BadInput: When the parts of the config do not fit together.
    """
    check_type("experiment", experiment, Experiment, "an Experiment, as `load_config` returns it")
    assembly = assemble(experiment, torch.device("cpu"))
    fill_players(experiment, assembly.game, assembly.game.trained_players)
    trial = take_trial_turns(assembly)
    train = experiment.train
    tables = {
        "data": _data(experiment, trial.data.examples),
        **_contents(trial.data, assembly.game.data),
        **_balanced_classes(assembly, trial.labels),
        "players": _players(assembly),
        "named tensors": _tensors(assembly, trial.shapes),
        "contests": _contests(assembly.game.contests),
        "terms": _terms(assembly),
        "turns": _turns(assembly),
    }
    if experiment.balancers:
        tables["balancers"] = _balancers(experiment)
    if experiment.augmentations:
        tables["augmentations"] = _augmentations(assembly)
    if experiment.growth is not None:
        tables["stages"] = _stages(experiment.growth, train, assembly.game.data)
    if experiment.evaluate is not None:
        tables["evaluation"] = _evaluation(experiment.evaluate, train)
    steps = -(-train.total_images // assembly.images_per_step)
    step_operations = trial.operations * assembly.batch_size * train.gradient_accumulation_steps
    cost = (
        f"{steps:,} steps of {assembly.images_per_step} images; {_with_unit(step_operations)} operations a step, "
        f"{_with_unit(step_operations * steps)} in all (multiplications and additions of matrix products)"
    )
    if experiment.growth is not None:
        cost += "; parameters, shapes and cost are those of stage 0"
    return Explanation(experiment.summary, tables, cost, describe_without_effect(experiment, assembly.run_length()))


def _shape_text(shape: Any) -> str:
    if shape and isinstance(shape[0], tuple):
        return " and ".join(_shape_text(part) for part in shape)
    return " x ".join(str(side) for side in cast(tuple[int, ...], shape)) or "scalar"


def _data(experiment: Experiment, examples: int) -> Table:
    epochs = experiment.train.total_images / examples
    return [("data set", "examples", "epochs"), (experiment.data.type_name(), f"{examples:,}", f"{epochs:,.1f}")]


def _contents(summary: DataSummary, specs: DataSpec) -> dict[str, Table]:
    """Return tables of the names of classes, and of what was left out of the data; empty tables are left out."""
    classes: Table = [("tensor", "classes"), *named_classes(specs).items()]
    left_out: Table = [("count", "what", "names")]
    left_out += [(f"{each.count:,}", reason, str(each)) for reason, each in summary.left_out.items()]
    return {title: rows for title, rows in (("classes", classes), ("left out", left_out)) if len(rows) > 1}


def _balanced_classes(assembly: Assembly, labels: Tensor | None) -> dict[str, Table]:
    """Return a table of how often the examples of each class are seen; none if classes are not balanced."""
    train = assembly.experiment.train
    if labels is None or train.balance_classes is None:
        return {}
    spec = assembly.game.data[train.balance_classes]
    numbers, counts = labels.unique(return_counts=True)
    rows: Table = [("class", "examples", "times each is seen")]
    for number, count in zip(numbers.tolist()[:MAX_LISTED_CLASSES], counts.tolist(), strict=False):
        seen = train.total_images / len(numbers) / count
        rows.append((spec.class_name(number), f"{count:,}", f"{seen:,.1f}"))
    if len(numbers) > MAX_LISTED_CLASSES:
        rows.append((f"and {len(numbers) - MAX_LISTED_CLASSES:,} more", "", ""))
    return {"balanced classes": rows}


def _players(assembly: Assembly) -> Table:
    rows: Table = [("player", "type", "takes or makes", "weights", "parameters")]
    for name, spec in assembly.game.player_specs().items():
        count = sum(parameter.numel() for parameter in assembly.game.players[name].parameters())
        sample = " and ".join(map(str, parts(spec.sample)))
        given = () if spec.condition is None else parts(spec.condition)
        condition = f", given {' and '.join(map(str, given))}" if given else ""
        weights = _weights(assembly.experiment, name, spec.frozen)
        rows.append((name, spec.config.type_name(), sample + condition, weights, f"{count:,}"))
    return rows


def _weights(experiment: Experiment, player: str, frozen: bool) -> str:
    """Describe where the initial weights of a player and its parts come from, and which of them do not train."""
    notes = ["frozen" if frozen else "train"]
    for part, source in experiment.init_from.items():
        if part.partition(".")[0] == player:
            start = "start" if part == player else f"{part} starts"
            notes.append(f"{start} from {source.describe()}")
    for config in experiment.freeze:
        if config.part.partition(".")[0] == player:
            until = "" if config.until_images is None else f" until {config.until_images:,} images"
            notes.append(f"{config.part} frozen{until}")
    return "; ".join(notes)


def _tensors(assembly: Assembly, shapes: dict[str, Any]) -> Table:
    game = assembly.game
    rows: Table = [("tensor", "shape", "from")]
    first_of: dict[str, str] = {}
    for name in game.names:
        origin = "the data"
        if name in game.makers:
            maker = game.makers[name]
            first = first_of.setdefault(maker, name)
            description = (getattr(type(game), maker).__doc__ or "").partition("\n")[0]
            origin = description if first == name else f"made with {first}"
        rows.append((name, _shape_text(shapes[name]) if name in shapes else "not asked for", origin))
    return rows


def _contests(contests: tuple[Contest, ...]) -> Table:
    rows: Table = [("contest", "real", "fake", "discriminator")]
    for contest in contests:
        fake = contest.fake if contest.replay is None else f"{contest.fake} (own turn: {contest.replay})"
        rows.append((contest.name, contest.real, fake, contest.discriminator))
    return rows


def _terms(assembly: Assembly) -> Table:
    rows: Table = [("term", "weight", "when", "reads", "turns")]
    for term in assembly.objective.terms:
        if isinstance(term, LossTerm):
            names = term.config.contests or [contest.name for contest in assembly.game.contests]
            reads = ", ".join([f"contests {', '.join(names)}", *term.needs.tensors])
        else:
            sides = [f"{side} of each contest" for side in sorted(term.needs.grad_wrt_sides)]
            reads = ", ".join([*term.needs.tensors, *sides]) or "its contests"
        turns = [turn.name for turn in assembly.game.turns if term.joins(assembly.game, turn)]
        weight = _weight(term, turns, assembly.experiment)
        rows.append((term.name, weight, _when(term.config), reads, ", ".join(turns)))
    return rows


def _weight(term: Term, turns: list[str], experiment: Experiment) -> str:
    """Return the weight of a term as text, and the types of the balancers that may replace it."""
    balancers = experiment.balancers
    rules = [balancers[turn].type_name() for turn in turns if turn in balancers and term.name in balancers[turn].terms]
    return ", ".join([_value(term.config.weight, experiment.train.total_images), *dict.fromkeys(rules)])


def _when(config: TermConfig) -> str:
    """Return when a term takes part, as text: `each 16th turn, from 20,000 images`."""
    texts = [] if config.every == 1 else [f"each {config.every}th turn"]
    if config.from_images:
        texts.append(f"from {config.from_images:,} images")
    if config.until_images is not None:
        texts.append(f"until {config.until_images:,} images")
    return ", ".join(texts) or "always"


def _stages(growth: Growth, train: Train, data: DataSpec) -> Table:
    rows: Table = [("stage", "from images", "height x width", "fades in over", "batch size")]
    sides = next(spec.shape[1:] for spec in data.values() if spec.kind == "image")
    for number, stage in enumerate(growth.stages):
        size = " x ".join(str(side // stage.downscale) for side in sides)
        batch_size = str(stage.batch_size or train.batch_size)
        rows.append((str(number), f"{stage.from_images:,}", size, f"{stage.fade_images:,} images", batch_size))
    return rows


def _balancers(experiment: Experiment) -> Table:
    rows: Table = [("balancer of", "type", "gradients at", "weighs", "settings")]
    for turn, config in experiment.balancers.items():
        settings = _settings(config, _given(config) - set(BalancerConfig.model_fields), experiment.train.total_images)
        rows.append((turn, config.type_name(), config.at, ", ".join(config.terms), settings))
    return rows


def _augmentations(assembly: Assembly) -> Table:
    configs, total = assembly.experiment.augmentations, assembly.experiment.train.total_images
    by_discriminator = augmentations_by_discriminator(configs, assembly.augmentations, assembly.game)
    rows: Table = [("augmentation", "seen by", "settings")]
    for index, config in enumerate(configs):
        names = [name for name, own in by_discriminator.items() if index in dict(own)]
        rows.append((config.type_name(), ", ".join(names), _settings(config, _given(config) - {"contests"}, total)))
    return rows


def _evaluation(evaluate: Evaluate, train: Train) -> Table:
    """Return which metrics are measured when, which checkpoint is the best, and when a run ends early."""
    metrics = ", ".join(
        f"{name} ({config.samples:,} samples)"
        for name, config in zip(metric_names(evaluate.metrics), evaluate.metrics, strict=True)
    )
    measured = "at the end" if evaluate.every_images is None else f"every {evaluate.every_images:,} images"
    best, patience = evaluate.best, None if evaluate.best is None else evaluate.best.patience
    kept = "not kept" if best is None else f"the {best.goal} {best.result}"
    ends = f"after {train.total_images:,} images"
    if patience is not None:
        ends += f", or after {patience} measurements without a better one"
    return [("metrics", "measured", "best checkpoint", "the run ends"), (metrics, measured, kept, ends)]


def _turns(assembly: Assembly) -> Table:
    total = assembly.experiment.train.total_images
    rows: Table = [("turn", "trains", "taken", "minimises", "optimizer")]
    for turn in assembly.game.turns:
        conditions = assembly.turn_conditions
        taken = _component(conditions[turn.name][0], total) if turn.name in conditions else "in each step"
        terms = " + ".join(term.name for term in assembly.objective.terms_of(turn))
        name = turn.name if turn.repeats == 1 else f"{turn.name} ({turn.repeats} times)"
        plans = [plan for plan in assembly.turn_optimizers() if plan.turn == turn.name]
        texts = [_optimizer(plan.config, total) for plan in plans]
        if len(plans) > 1:
            texts = [f"{', '.join(plan.parameters)}: {text}" for plan, text in zip(plans, texts, strict=True)]
        owners = ", ".join(owner for owner, parameters in assembly.parameters(turn).items() if parameters)
        rows.append((name, owners, taken, terms, "; ".join(texts)))
    return rows


def _component(config: Component, total: int) -> str:
    """Return a component as text, with the settings that are not at their defaults: `every (steps 5)`."""
    settings = _settings(config, _given(config), total)
    return f"{config.type_name()} ({settings})" if settings else config.type_name()


def _optimizer(config: OptimizerConfig, total: int) -> str:
    """Return an optimizer as text, with its learning rate and the settings of its parameter groups."""
    texts = [_settings(config, {"lr"}, total)]
    if config.clip_gradient_norm is not None:
        texts.append(f"gradient norm at most {config.clip_gradient_norm:g}")
    texts += [f"{name}: {_settings(config.of_group(name), own, total, ' and ')}" for name, own in config.groups.items()]
    return f"{config.type_name()} ({', '.join(texts)})"


def _given(config: Component) -> set[str]:
    """Return the names of the settings of a component that are not at their defaults."""
    fields = type(config).model_fields.items()
    return {name for name, field in fields if getattr(config, name) != field.get_default(call_default_factory=True)}


def _settings(config: Component, names: Collection[str], total: int, between: str = ", ") -> str:
    """Return some settings of a component as text, in their order in its class: `steps 5, p 0.5`."""
    return between.join(f"{name} {_value(value, total)}" for name, value in config if name in names)


def _value(value: object, total: int) -> str:
    """Return a setting as text.

    Args:
        value: A number, a schedule, a component, or a list of these, which is joined by slashes.
        total: The number of real examples of the whole run.
    """
    if isinstance(value, ScheduleConfig):
        return f"{value.type_name()} {value.at(0, total):g} to {value.at(total, total):g} over the run"
    if isinstance(value, Component):
        return _component(value, total)
    if isinstance(value, (list, tuple)):
        return "/".join(_value(each, total) for each in cast(Sequence[object], value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_unit(operations: float) -> str:
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if operations >= size:
            return f"{operations / size:.3g} {unit}"
    return f"{operations:,.0f}"
