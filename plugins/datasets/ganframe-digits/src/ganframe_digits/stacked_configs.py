"""Configs of stacked digits and of the modes that samples of them cover."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import DatasetConfig, DataSpec, EncoderConfig, MetricConfig, TensorSpec, within

if TYPE_CHECKING:
    from ganframe.data import Dataset
    from ganframe.game import Metric


class StackedDigits(DatasetConfig):
    """Three random handwritten digits as the red, green and blue of an image 28 x 28: 1,000 classes, 000 to 999."""

    paper = "StackedMNIST: Metz et al. 2017, arXiv:1611.02163, section 3.3.1; size as in Lin et al. 2018"
    type: Literal["stacked-digits"] = "stacked-digits"
    split: Literal["train", "held-out"] = "train"
    """Which digits to stack: the 5,000 to train on, or the 1,000 that are held out."""
    examples: PositiveInt = 128_000
    """Number of stacks."""
    seed: int = Field(default=0, ge=0)
    """Seed of the digits of each stack."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"examples": 2000}

    def spec(self) -> DataSpec:
        """Return the specs of `real` (3 x 28 x 28) and `label`, the number of three digits, that of red first."""
        return {"real": TensorSpec((3, 28, 28)), "label": TensorSpec((), 1000, tuple(f"{n:03d}" for n in range(1000)))}

    @override
    def build(self) -> Dataset:
        from ganframe_digits.stacked import StackedData

        return StackedData(self)

    def held_out(self) -> DatasetConfig | None:
        """Return a config of as many stacks of held-out digits; None for the held-out ones themselves."""
        return self.model_copy(update={"split": "held-out"}) if self.split == "train" else None


class StackedModes(MetricConfig):
    """Modes of stacked digits that samples cover, and how evenly they cover them.

    Results: `modes`, the number of classes, of 1,000, that at least one sample has; and `kl`, KL(classes of samples ||
    uniform) in nats. A perfect sampler has 1,000 modes and a `kl` of 0.0194 ± 0.0009 over 26,000 samples.
    """

    paper = "Metz et al. 2017, arXiv:1611.02163, section 3.3.1; Lin et al. 2018, arXiv:1712.04086, section 4.2"
    type: Literal["stacked-modes"] = "stacked-modes"
    samples: int = Field(default=26_000, ge=1)
    """Number of samples to measure."""
    sample: str = "fake"
    """Name of the tensor that is measured: images with three channels."""
    classifier: EncoderConfig
    """The network that classifies each channel; its last activation is the logits `(B, 10)`, such as
    `{type: lenet-digits, layers: [logits]}`."""

    @classmethod
    @override
    def example(cls, folder: Path) -> dict[str, Any]:
        return {"classifier": {"type": "lenet-digits", "layers": ["logits"]}}

    @classmethod
    @override
    def example_data(cls) -> DatasetConfig | None:
        return StackedDigits(examples=2000)

    @override
    def tensors(self) -> tuple[str, ...]:
        return (self.sample,)

    @override
    def perfect_bounds(self) -> Mapping[str, tuple[float, float]]:
        """Return bounds for 2,000 stacks: 865 modes and a KL of 0.28 on average, for a perfect classifier."""
        return {"modes": (830, 900), "kl": (0.2, 0.35)}

    @override
    def build(self, data: DatasetConfig) -> Metric:
        from ganframe_digits.stacked_modes import ModeCounts

        with within("classifier"):
            return ModeCounts(self, self.classifier.build())
