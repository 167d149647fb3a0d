"""Configs, as users write them in YAML or Python. Importing this does not import torch.

Plugins import from here everything that the modules with their config classes need.
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
from ganframe.config.held_out_share import OTHER_SPLIT, SplitDatasetConfig
from ganframe.config.hook_markers import has_hooks, hookimpl
from ganframe.config.image_data import ImageDatasetConfig
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
    "OTHER_SPLIT",
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
    "ImageDatasetConfig",
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
    "SplitDatasetConfig",
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
