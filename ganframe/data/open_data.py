"""From the config of a data set to its specs and to the open data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ganframe.config.component_kinds import DatasetConfig
from ganframe.config.tensor_specs import DataSpec, TensorSpec
from ganframe.data.dataset import Dataset
from ganframe.errors import BadInput
from ganframe.plugins.author_code import author_code, build_live, name_of, source_of


def open_dataset(config: DatasetConfig) -> Dataset:
    """Open the data set of a config.

    Raises:
        BadInput: When the data is missing or cannot be read, or the config builds no data set.
    """
    return build_live(config, methods={"__len__": 0, "fetch": 2})


def read_specs(config: DatasetConfig) -> DataSpec:
    """Return the specs of the tensors of a data set, by name.

    Raises:
        BadInput: When the data is missing or cannot be read, or the config gives no specs.
    """
    owner = f"`spec` of the dataset {name_of(type(config))}"
    with author_code(owner, type(config).spec):
        specs: Any = config.spec()
    if isinstance(specs, Mapping) and all(map(_has_shape, specs.values())):
        return specs
    what = f"{type(specs).__name__}" if not isinstance(specs, Mapping) else f"{dict(specs)!r}"
    remedy = 'Return a `TensorSpec` for each tensor, such as `{"real": TensorSpec((3, 32, 32))}`.'
    raise BadInput(f"{owner} returned {what}", place=source_of(type(config).spec), remedy=remedy)


def _has_shape(spec: Any) -> bool:
    """Return whether this is a spec with a shape: a tuple of sizes."""
    shape: Any = spec.shape if isinstance(spec, TensorSpec) else None
    return isinstance(shape, tuple) and all(isinstance(side, int) and side > 0 for side in cast(tuple[Any, ...], shape))
