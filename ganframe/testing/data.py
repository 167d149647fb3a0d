"""Checks of data sets, augmentations and metrics."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from ganframe.config.component_kinds import AugmentationConfig, DatasetConfig, MetricConfig
from ganframe.data.class_labels import class_labels
from ganframe.data.identity import file_names
from ganframe.data.loader import BatchLoader, Shard
from ganframe.data.sampler import EpochShuffleSampler
from ganframe.data.summary import summarize
from ganframe.data.tensor_data import images_as_floats
from ganframe.game.protocols import Metric
from ganframe.testing.fakes import BATCH, CPU, RANDOMNESS, FakeData


def examples_match_the_spec(config: DatasetConfig) -> None:
    """Examples have the names, shapes and ranges of the spec.

    Labels are int64; other tensors are float32 and finite, and images are in [-1, 1]. Images may also be uint8.
    """
    spec, dataset = config.spec(), config.build()
    assert len(dataset) > 0, "the data set has no example: return settings of one from `example` of the config"
    batch = images_as_floats(dataset.fetch([0, len(dataset) - 1], RANDOMNESS))
    assert batch.keys() == spec.keys(), f"`fetch` gives {', '.join(batch)}, and `spec` {', '.join(spec)}"
    for name, tensor in batch.items():
        assert tensor.shape == (2, *spec[name].shape), f"{name!r} is {tuple(tensor.shape)}, the spec says {spec[name]}"
        classes = spec[name].classes
        if classes is not None:
            assert tensor.dtype == torch.int64, f"{name!r} is {tensor.dtype}; class labels are int64"
            assert bool(((tensor >= 0) & (tensor < classes)).all()), f"{name!r} leaves 0 to {classes - 1}"
        else:
            assert tensor.dtype == torch.float32, f"{name!r} is {tensor.dtype}, not float32; set `classes` of a label"
            assert bool(tensor.isfinite().all()), f"{name!r} is not finite"
            in_range = spec[name].kind not in ("image", "sound") or float(tensor.abs().max()) <= 1
            assert in_range, f"{name!r} leaves [-1, 1], the range of images and sounds: scale it"


def left_out_is_named(config: DatasetConfig) -> None:
    """If there is a method `left_out`, it returns lists of names, by the reason why these were left out."""
    summarize(config.build())


def picklable(config: DatasetConfig) -> None:
    """A pickled copy of the data set, as loader workers get it, returns the same examples."""
    dataset = config.build()
    # Workers get their copies in this way. Unpickling is safe here, because the bytes do not come from a file.
    copy = pickle.loads(pickle.dumps(dataset))
    own, copied = dataset.fetch([0], RANDOMNESS), copy.fetch([0], RANDOMNESS)
    assert all(torch.equal(own[name], copied[name]) for name in own), "a pickled copy gives other examples"


def seeded_order(config: DatasetConfig) -> None:
    """The same seed gives the same batches, even if loading starts at a later batch."""
    dataset = config.build()
    loader = BatchLoader(dataset, 2, RANDOMNESS, CPU).starting_at(0)
    batches = [next(loader) for _ in range(3)]
    third = next(BatchLoader(config.build(), 2, RANDOMNESS, CPU).starting_at(2))
    same = all(torch.equal(batches[2][name], third[name]) for name in third)
    assert same, "the third batch differs: `fetch` may draw from the randomness that it is given, and from no other"


def files_are_named(config: DatasetConfig) -> None:
    """If there is a method `file_names`, it returns relative paths, the same ones if the data set is built again."""
    names = file_names(config.build())
    if names is None:
        return
    assert names == file_names(config.build()), "`file_names` differs when the data set is built again: sort the names"
    absolute = next((name for name in names if Path(name).is_absolute()), None)
    assert absolute is None, f"{absolute!r} changes when the data are moved: name files relative to their folder"


def labels_match_the_examples(config: DatasetConfig) -> None:
    """A method `labels`, if there is one, gives the class labels that the examples have."""
    specs, dataset = config.spec(), config.build()
    if not hasattr(dataset, "labels"):
        return
    batch = dataset.fetch(range(len(dataset)), RANDOMNESS)
    for name in (name for name, spec in specs.items() if spec.kind == "label"):
        same = torch.equal(class_labels(dataset, specs, name), batch[name])
        assert same, f"`labels` and `fetch` differ in {name!r}"


def shards_are_disjoint_and_complete(config: DatasetConfig) -> None:
    """In one epoch, two ranks together draw every example exactly once."""
    length = len(config.build())
    samplers = [EpochShuffleSampler(length, 1, RANDOMNESS, Shard(rank, 2)) for rank in range(2)]
    drawn = [samplers[position % 2].batch(position // 2)[0] for position in range(length)]
    assert sorted(drawn) == list(range(length))


def _samples(config: AugmentationConfig, name: str = "sample") -> Tensor:
    return RANDOMNESS.uniform(name, (BATCH, *config.example_specs().shape)) * 2 - 1


def _augment(config: AugmentationConfig, sample: Tensor) -> Tensor:
    augmentation: nn.Module = config.build()
    return augmentation(sample, RANDOMNESS.generator("augmentation"))


def off_is_the_identity(config: AugmentationConfig) -> None:
    """With its `identity_settings`, the augmentation does not change the samples."""
    assert config.identity_settings, "`identity_settings` gives the settings at which the augmentation is the identity"
    off = config.model_copy(update=dict(config.identity_settings))
    same = torch.equal(_augment(off, _samples(config)), _samples(config))
    assert same, f"the samples change with `identity_settings`, {dict(config.identity_settings)}"


def differentiable(config: AugmentationConfig) -> None:
    """The samples get a finite gradient through the augmentation."""
    sample = _samples(config).requires_grad_()
    _augment(config, sample).square().sum().backward()
    assert sample.grad is not None, "the samples get no gradient: do not detach them"
    assert bool(sample.grad.isfinite().all()), "the gradient of the samples is not finite"


def samples_independent(config: AugmentationConfig) -> None:
    """Changing the first sample does not change the results for the other samples of the batch.

    Not checked if `batch_coupled` is True.
    """
    if config.batch_coupled:
        return
    sample, other = _samples(config), _samples(config)
    other[0] = _samples(config, "other")[0]
    same = torch.equal(_augment(config, sample)[1:], _augment(config, other)[1:])
    assert same, "the other samples change: if they should, set `batch_coupled = True`"


def seeded(config: AugmentationConfig) -> None:
    """The same seed gives the same result, and the result has the shape of the samples."""
    changed = _augment(config, _samples(config))
    assert changed.shape == _samples(config).shape, f"samples became {tuple(changed.shape)}"
    same = torch.equal(changed, _augment(config, _samples(config)))
    assert same, "two calls differ: draw from the generator that is given, and from no other"


def _perfect_samples(config: MetricConfig) -> tuple[DatasetConfig, dict[str, Tensor]]:
    data = config.example_data() or FakeData()
    dataset = data.build()
    count = min(len(dataset), 2000)
    return data, config.perfect_samples(images_as_floats(dataset.fetch(range(count), RANDOMNESS)))


def _chunks(tensors: dict[str, Tensor], size: int) -> Iterator[dict[str, Tensor]]:
    for start in range(0, len(next(iter(tensors.values()))), size):
        yield {name: tensor[start : start + size] for name, tensor in tensors.items()}


def _measure(config: MetricConfig, data: DatasetConfig, tensors: dict[str, Tensor], size: int) -> Metric:
    metric = config.build(data)
    for chunk in _chunks(tensors, size):
        metric.update(chunk)
    return metric


def identity_is_the_optimum(config: MetricConfig) -> None:
    """The results for the metric's `perfect_samples` are within its `perfect_bounds`."""
    data, tensors = _perfect_samples(config)
    results = _measure(config, data, tensors, 100).compute()
    bounds = config.perfect_bounds()
    assert bounds, "`perfect_bounds` gives the bounds for perfect samples"
    for name, (low, high) in bounds.items():
        assert low <= results[name] <= high, f"{name} is {results[name]}, not in [{low}, {high}]"


def _assert_close(first: dict[str, float], second: dict[str, float]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert abs(value - second[name]) <= 1e-6 * max(1.0, abs(value)), f"{name}: {value} and {second[name]}"


def batches_and_order_do_not_matter(config: MetricConfig) -> None:
    """The results do not depend on the batch size and the order of the examples."""
    data, tensors = _perfect_samples(config)
    reversed_order = {name: tensor.flip(0) for name, tensor in tensors.items()}
    _assert_close(_measure(config, data, tensors, 100).compute(), _measure(config, data, reversed_order, 37).compute())


def halves_merge(config: MetricConfig) -> None:
    """Two metrics, each updated with a part of the examples and then merged, give the results for all examples."""
    data, tensors = _perfect_samples(config)
    middle = len(next(iter(tensors.values()))) // 3
    first = {name: tensor[:middle] for name, tensor in tensors.items()}
    second = {name: tensor[middle:] for name, tensor in tensors.items()}
    merged = _measure(config, data, first, 50)
    merged.merge(_measure(config, data, second, 50))
    _assert_close(merged.compute(), _measure(config, data, tensors, 100).compute())


CHECKS = {
    "dataset": {
        "examples match the spec": examples_match_the_spec,
        "what is left out is named": left_out_is_named,
        "picklable for workers": picklable,
        "seeded order": seeded_order,
        "files are named": files_are_named,
        "labels match the examples": labels_match_the_examples,
        "rank shards disjoint and complete": shards_are_disjoint_and_complete,
    },
    "augmentation": {
        "off is the identity": off_is_the_identity,
        "differentiable": differentiable,
        "samples independent": samples_independent,
        "seeded": seeded,
    },
    "metric": {
        "identical sets give the optimum": identity_is_the_optimum,
        "batch size and order do not matter": batches_and_order_do_not_matter,
        "two merged halves equal the whole": halves_merge,
    },
}
