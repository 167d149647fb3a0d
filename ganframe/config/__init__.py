"""Configs, as users write them: components, kinds, schedules, specs, experiments, YAML. Does not import torch.

A plugin's module of configs imports from here everything that it needs of the core.
"""

from ganframe.config.component import Component
from ganframe.config.component_kinds import (
    KINDS,
    AugmentationConfig,
    BalancerConfig,
    DatasetConfig,
    GameConfig,
    LoggerConfig,
    MetricConfig,
    OptimizerConfig,
    TurnConditionConfig,
)
from ganframe.config.experiment import Best, Checkpoint, Ema, Evaluate, Experiment, Snapshot, Train
from ganframe.config.growth import Growth, Stage
from ganframe.config.hook_markers import has_hooks, hookimpl
from ganframe.config.network_transforms import DiscriminatorTransform, GeneratorTransform, built_from
from ganframe.config.networks import DiscriminatorConfig, EncoderConfig, GeneratorConfig, GeneratorInput
from ganframe.config.schedules import (
    Bounds,
    ScheduleConfig,
    Scheduled,
    initial_value,
    scheduled_settings,
    value_at,
)
from ganframe.config.settings import RunLength, Settings
from ganframe.config.tensor_specs import DataSpec, SampleSpec, TensorSpec, parts
from ganframe.config.terms import LabelPolicyConfig, LossConfig, RegularizerConfig, TermConfig, ZeroCase
from ganframe.config.weights import Freeze, WeightSource
from ganframe.errors import BadInput, within

__all__ = [
    "KINDS",
    "AugmentationConfig",
    "BadInput",
    "BalancerConfig",
    "Best",
    "Bounds",
    "Checkpoint",
    "Component",
    "DataSpec",
    "DatasetConfig",
    "DiscriminatorConfig",
    "DiscriminatorTransform",
    "Ema",
    "EncoderConfig",
    "Evaluate",
    "Experiment",
    "Freeze",
    "GameConfig",
    "GeneratorConfig",
    "GeneratorInput",
    "GeneratorTransform",
    "Growth",
    "LabelPolicyConfig",
    "LoggerConfig",
    "LossConfig",
    "MetricConfig",
    "OptimizerConfig",
    "RegularizerConfig",
    "RunLength",
    "SampleSpec",
    "ScheduleConfig",
    "Scheduled",
    "Settings",
    "Snapshot",
    "Stage",
    "TensorSpec",
    "TermConfig",
    "Train",
    "TurnConditionConfig",
    "WeightSource",
    "ZeroCase",
    "built_from",
    "has_hooks",
    "hookimpl",
    "initial_value",
    "parts",
    "scheduled_settings",
    "value_at",
    "within",
]
