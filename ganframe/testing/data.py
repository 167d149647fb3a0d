"""Checks of data sets, augmentations and metrics."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganframe.config.kinds import AugmentationConfig, DatasetConfig, MetricConfig
from ganframe.data.loader import BatchLoader, Shard
from ganframe.data.sampler import EpochShuffleSampler
from ganframe.game.protocols import Metric
from ganframe.testing.fakes import BATCH, CPU, SEEDED, FakeData


def examples_match_the_spec(config: DatasetConfig) -> None:
    """Examples have the names, shapes, ranges and dtypes that the spec says."""
    spec, dataset = config.spec(), config.build()
    assert len(dataset) > 0
    batch = dataset.fetch([0, len(dataset) - 1], SEEDED)
    assert batch.keys() == spec.keys()
    for name, each in batch.items():
        assert each.shape == (2, *spec[name].shape), f"{name!r} is {tuple(each.shape)}, the spec says {spec[name]}"
        classes = spec[name].classes
        if classes is not None:
            assert each.dtype == torch.int64
            assert bool(((each >= 0) & (each < classes)).all())
        else:
            assert each.dtype == torch.float32
            assert bool(each.isfinite().all())
            assert len(spec[name].shape) != 3 or float(each.abs().max()) <= 1, f"{name!r} leaves [-1, 1]"


def picklable(config: DatasetConfig) -> None:
    """A loader worker gets the same examples."""
    dataset = config.build()
    # As a worker gets it: bytes that this line makes itself, never those of a file.
    copy = pickle.loads(pickle.dumps(dataset))
    mine, theirs = (each.fetch([0], SEEDED) for each in (dataset, copy))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def seeded_order(config: DatasetConfig) -> None:
    """The same seed gives the same batches, also when begun in the middle."""
    dataset = config.build()
    whole = BatchLoader(dataset, 2, SEEDED, CPU).starting_at(0)
    first = [next(whole) for _ in range(3)]
    later = next(BatchLoader(config.build(), 2, SEEDED, CPU).starting_at(2))
    assert all(torch.equal(first[2][name], later[name]) for name in later)


def shards_are_disjoint_and_complete(config: DatasetConfig) -> None:
    """Over an epoch, two ranks draw every example once."""
    length = len(config.build())
    orders = [EpochShuffleSampler(length, 1, SEEDED, Shard(rank, 2)) for rank in range(2)]
    drawn = [orders[position % 2].batch(position // 2)[0] for position in range(length)]
    assert sorted(drawn) == list(range(length))


def _images(name: str = "sample") -> Tensor:
    return SEEDED.uniform(name, (BATCH, 3, 16, 16)) * 2 - 1


def _augmented(config: AugmentationConfig, sample: Tensor) -> Tensor:
    augmentation: nn.Module = config.build()
    return augmentation(sample, SEEDED.generator("augmentation"))


def off_is_the_identity(config: AugmentationConfig) -> None:
    """Turned off, the sample stays as it is."""
    assert config.identity_settings, "`off` gives the settings at which the augmentation is the identity"
    assert torch.equal(_augmented(config.model_copy(update=dict(config.identity_settings)), _images()), _images())


def differentiable(config: AugmentationConfig) -> None:
    """The gradient reaches the sample."""
    sample = _images().requires_grad_()
    _augmented(config, sample).square().sum().backward()
    assert sample.grad is not None
    assert bool(sample.grad.isfinite().all())


def samples_independent(config: AugmentationConfig) -> None:
    """Another first sample changes nothing in the rest of the batch."""
    sample, other = _images(), _images()
    other[0] = _images("other")[0]
    assert torch.equal(_augmented(config, sample)[1:], _augmented(config, other)[1:])


def seeded(config: AugmentationConfig) -> None:
    """The same draws give the same change, and the shape is kept."""
    changed = _augmented(config, _images())
    assert changed.shape == _images().shape
    assert torch.equal(changed, _augmented(config, _images()))


def _perfect(config: MetricConfig) -> tuple[DatasetConfig, dict[str, Tensor]]:
    data = config.example_data() or FakeData()
    dataset = data.build()
    count = min(len(dataset), 2000)
    return data, config.perfect_samples(dataset.fetch(range(count), SEEDED))


def _chunks(tensors: dict[str, Tensor], size: int) -> Iterator[dict[str, Tensor]]:
    for start in range(0, len(next(iter(tensors.values()))), size):
        yield {name: each[start : start + size] for name, each in tensors.items()}


def _filled(config: MetricConfig, data: DatasetConfig, tensors: dict[str, Tensor], size: int) -> Metric:
    metric = config.build(data)
    for chunk in _chunks(tensors, size):
        metric.update(chunk)
    return metric


def identity_is_the_optimum(config: MetricConfig) -> None:
    """Perfect samples get the results that the class bounds."""
    data, tensors = _perfect(config)
    results = _filled(config, data, tensors, 100).compute()
    bounds = config.perfect_bounds()
    assert bounds, "`perfect_bounds` gives the bounds for perfect samples"
    for name, (low, high) in bounds.items():
        assert low <= results[name] <= high, f"{name} is {results[name]}, not in [{low}, {high}]"


def _assert_same(first: dict[str, float], second: dict[str, float]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert abs(value - second[name]) <= 1e-6 * max(1.0, abs(value)), f"{name}: {value} and {second[name]}"


def batches_and_order_do_not_matter(config: MetricConfig) -> None:
    """Other batches and another order give the same results."""
    data, tensors = _perfect(config)
    turned = {name: each.flip(0) for name, each in tensors.items()}
    _assert_same(_filled(config, data, tensors, 100).compute(), _filled(config, data, turned, 37).compute())


def halves_merge(config: MetricConfig) -> None:
    """Two halves that are merged equal the whole."""
    data, tensors = _perfect(config)
    middle = len(next(iter(tensors.values()))) // 3
    first, second = ({n: e[part] for n, e in tensors.items()} for part in (slice(None, middle), slice(middle, None)))
    merged = _filled(config, data, first, 50)
    merged.merge(_filled(config, data, second, 50))
    _assert_same(merged.compute(), _filled(config, data, tensors, 100).compute())


CHECKS = {
    "dataset": {
        "examples match the spec": examples_match_the_spec,
        "picklable for workers": picklable,
        "seeded order": seeded_order,
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
