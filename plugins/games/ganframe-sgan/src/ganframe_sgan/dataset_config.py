"""Config of a data set of which only a few examples have labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, PositiveInt
from typing_extensions import override

from ganframe.config import BadInput, DatasetConfig, DataSpec

if TYPE_CHECKING:
    from ganframe.data import Dataset


class PartlyLabelled(DatasetConfig):
    """All examples of a data set without labels, and a few of them once more with labels.

    Gives `real` (all examples in turn), and for each batch random draws of `labelled` with their `label`. The held-out
    examples are those of `data`, all with labels; for them, `labelled` is the same as `real`.
    """

    type: Literal["partly-labelled"] = "partly-labelled"
    renamed: ClassVar[Mapping[str, str]] = {"labels": "num_labelled"}
    data: DatasetConfig
    """A data set that gives `real` and `label`."""
    num_labelled: PositiveInt | None = None
    """Number of labelled examples; classes differ by at most one example. All examples when left out."""
    seed: int = Field(default=0, ge=0)
    """Seed that chooses the labelled examples, independent of the seed of the run."""

    def spec(self) -> DataSpec:
        """Return the specs of `real`, `labelled` and `label`.

        Raises:
            BadInput: When the inner data set has no `real`, no class labels, or more classes than `num_labelled`.
        """
        try:
            inner = self.data.spec()
        except BadInput as problem:
            raise problem.within("data") from None
        classes = inner["label"].classes if "label" in inner else None
        if "real" not in inner or classes is None:
            remedy = f"It gives: {', '.join(f'{name} ({spec})' for name, spec in inner.items())}."
            raise BadInput(
                "the inner data set does not give `real` with class labels `label`", path=("data",), remedy=remedy
            )
        if self.num_labelled is not None and self.num_labelled < classes:
            raise BadInput(
                f"{self.num_labelled} labels are fewer than the {classes} classes",
                path=("num_labelled",),
                remedy="Label at least one example of each class.",
            )
        return {"real": inner["real"], "labelled": inner["real"], "label": inner["label"]}

    def build(self) -> Dataset:
        """Open the data.

        Raises:
            BadInput: When a class has fewer examples than have to be labelled.
        """
        from ganframe_sgan.dataset import PartlyLabelledData

        return PartlyLabelledData(self, self.spec()["label"].classes or 0)

    @override
    def held_out(self) -> DatasetConfig | None:
        inner = self.data.held_out()
        return None if inner is None else PartlyLabelled(data=inner)
