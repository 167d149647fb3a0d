"""The metrics as wholes: results, protocols, settings that are refused, and a run on digits."""

import sys

import pytest
import torch
from ganframe_digits import Digits
from ganframe_feature_metrics import (
    CMMD,
    FID,
    MIND,
    DensityCoverage,
    Frechet,
    InceptionScore,
    KernelDistance,
    PrecisionRecall,
    cache,
)
from ganframe_perceptual import RandomConvolutions
from pydantic import ValidationError

from ganframe import Experiment, train
from ganframe.cli.main import main
from ganframe.data import Randomness, as_float
from ganframe.testing.fakes import FakeData, FakeEncoder

ENCODER = RandomConvolutions()
DISTANCES = (Frechet, KernelDistance, MIND, CMMD)


@pytest.fixture(autouse=True)
def cache_in_a_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "_IN_MEMORY", {})
    monkeypatch.setenv("GANFRAME_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def digits():
    return as_float(Digits().build().fetch(range(0, 5000, 25), Randomness(0))["real"])


def measured(config, data, images):
    metric = config.build(data)
    for part in images.split(100):
        metric.update({config.sample: part})
    return metric.compute()


@pytest.mark.parametrize("kind", DISTANCES)
def test_distances_order_digits_blurred_digits_and_noise(kind, digits):
    config = kind(encoder=ENCODER, samples=200)
    blurred = torch.nn.functional.avg_pool2d(digits, 3, stride=1, padding=1)
    noise = Randomness(0).uniform("noise", digits.shape) * 2 - 1
    found = [next(iter(measured(config, Digits(), images).values())) for images in (digits, blurred, noise)]
    assert found[0] * 3 < found[1] < found[2]


def test_samples_of_one_class_of_four_are_precise_but_cover_a_quarter():
    batch = FakeData().build().fetch(range(400), Randomness(0))
    one_class = batch["real"][batch["label"] == 1]
    precision = measured(PrecisionRecall(encoder=ENCODER, samples=100, reference_samples=400), FakeData(), one_class)
    assert precision == {"precision": 1, "recall": pytest.approx(0.25, abs=0.02)}
    density = measured(DensityCoverage(encoder=ENCODER, samples=100, reference_samples=400), FakeData(), one_class)
    assert density == {"density": pytest.approx(1, abs=0.3), "coverage": pytest.approx(0.25, abs=0.02)}


def test_frechet_is_named_after_its_encoder_and_warns_of_a_singular_covariance(digits):
    metric = Frechet(encoder=ENCODER, samples=64).build(Digits())
    metric.update({"fake": digits[:64]})
    assert list(metric.compute()) == ["random-convolutions"]
    assert metric.protocol() == {
        "encoder": "random-convolutions (channels [16, 32, 64], seed 0)",
        "features": "64",
        "reference": "64 held-out examples",
        "images": "8 bits",
        "resize": "none",
        "seed": "0",
        "warning": "64 examples for 64 features leave the covariance singular and the distance too large; "
        "take at least 65",
    }
    metric = Frechet(encoder=ENCODER, samples=65).build(Digits())
    metric.update({"fake": digits[:65]})
    assert "warning" not in metric.protocol()
    few_reals = Frechet(encoder=ENCODER, samples=65, reference_samples=64).build(Digits())
    few_reals.update({"fake": digits[:65]})
    assert "warning" in few_reals.protocol()


@pytest.mark.parametrize(
    ("config", "own"),
    [
        (KernelDistance(encoder=ENCODER), {"subsets": "100", "subset_size": "1,000"}),
        (PrecisionRecall(encoder=ENCODER), {"neighbors": "3"}),
        (DensityCoverage(encoder=ENCODER), {"neighbors": "5"}),
        (MIND(encoder=ENCODER), {"projections": "1,000"}),
        (CMMD(encoder=ENCODER), {"estimator": "biased"}),
    ],
)
def test_protocols_tell_the_settings_of_the_metric(config, own, digits):
    metric = config.model_copy(update={"resize": (14, 20), "seed": 3}).build(Digits())
    metric.update({"fake": digits[:10]})
    assert metric.protocol() == {
        "encoder": "random-convolutions (channels [16, 32, 64], seed 0)",
        "features": "64",
        "reference": "1,000 held-out examples",
        "images": "8 bits",
        "resize": "to 14 x 20, bicubic with antialiasing",
        "seed": "3",
        **own,
    }


def test_the_inception_score_reads_classes_and_no_reference():
    images = FakeData().build().fetch(range(100), Randomness(0))["real"]
    metric = InceptionScore(encoder=FakeEncoder(), classes=4, splits=2, samples=100).build(FakeData())
    metric.update({"fake": images})
    results, protocol = metric.compute(), metric.protocol()
    assert 1 < results["mean"] <= 4
    assert protocol == {
        "encoder": "stub",
        "features": "4",
        "images": "8 bits",
        "resize": "none",
        "seed": "0",
        "classes": "4",
        "splits": "2",
    }


@pytest.mark.parametrize("kind", [KernelDistance, InceptionScore])
def test_random_subsets_are_of_the_samples_not_of_their_order(kind):
    images = FakeData().build().fetch(range(200), Randomness(0))["real"]
    settings = {"subsets": 3, "subset_size": 20} if kind is KernelDistance else {"classes": 4, "splits": 5}
    config = kind(encoder=FakeEncoder(), samples=200, **settings)
    shuffled = images[torch.randperm(200, generator=Randomness(0).generator("order"))]
    assert measured(config, FakeData(), images) == pytest.approx(measured(config, FakeData(), shuffled), abs=1e-12)


@pytest.mark.parametrize("kind", [KernelDistance, InceptionScore])
def test_random_subsets_stay_the_same_when_samples_are_rounded_otherwise(kind):
    """As on another number of ranks. Some pixels are then saved as the next of the 256 levels."""
    images = FakeData().build().fetch(range(400), Randomness(0))["real"]
    other = images + 1e-6 * Randomness(0).normal("rounding", tuple(images.shape))
    settings = {"subsets": 3, "subset_size": 20} if kind is KernelDistance else {"classes": 4, "splits": 20}
    config = kind(encoder=FakeEncoder(), samples=400, **settings)
    first, again = measured(config, FakeData(), images), measured(config, FakeData(), other)
    assert first != again
    assert again == pytest.approx(first, rel=0.01)


def test_fid_is_the_frechet_distance_over_the_encoder_inception(monkeypatch, tmp_path, digits):
    with pytest.raises(ValidationError, match=r"file\n"):
        FID()
    asked = []
    monkeypatch.setattr(
        "ganframe_feature_metrics.EncoderConfig.from_value", lambda value: asked.append(value) or FakeEncoder()
    )
    file = tmp_path / "weights.safetensors"
    found = measured(FID(file=file, samples=200), Digits(), digits)
    assert asked[0] == {"type": "inception", "file": file}
    assert found == {"fid": measured(Frechet(encoder=FakeEncoder(), samples=200), Digits(), digits)["stub"]}


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Frechet, {}, "encoder\n"),
        (Frechet, {"samples": 1}, "samples\n"),
        (InceptionScore, {}, "classes\n"),
        (InceptionScore, {"classes": 10, "samples": 5}, "5 samples cannot be split into 10 parts"),
        (PrecisionRecall, {"samples": 3}, "`samples` is 3, and has to be more than `neighbors`, 3"),
        (DensityCoverage, {"reference_samples": 5}, "`reference_samples` is 5, and has to be more than `neighbors`, 5"),
        (MIND, {"resize": (0, 5)}, "resize.0\n"),
        (KernelDistance, {"subset_size": 1}, "subset_size\n"),
    ],
)
def test_settings_that_cannot_be_measured_are_refused(kind, settings, message):
    encoder = {} if message.startswith("encoder") else {"encoder": ENCODER}
    with pytest.raises(ValidationError, match=message):
        kind(**encoder, **settings)


def test_a_run_on_digits_is_measured_and_measured_again(tmp_path, monkeypatch, capsys):
    encoder = {"type": "random-convolutions", "channels": [8]}
    kinds = ("frechet", "kernel-distance", "precision-recall", "density-coverage", "mind", "cmmd")
    network = {"type": "mlp", "hidden": [16]}
    experiment = Experiment(
        game={"type": "adversarial", "generator": network, "discriminator": network},
        losses=["non-saturating"],
        data="digits",
        train={"total_images": 32, "batch_size": 16, "device": "cpu"},
        evaluate={"metrics": [{"type": kind, "encoder": encoder, "samples": 40} for kind in kinds]},
    )
    folder = train(experiment, out=tmp_path / "run")
    names = [
        "frechet/random-convolutions",
        "kernel-distance/mean",
        "precision-recall/recall",
        "density-coverage/coverage",
        "mind/distance",
        "cmmd/distance",
    ]
    assert all(f'"{name}"' in folder.metrics.read_text() for name in names)
    assert folder.protocols()["mind"]["reference"] == "40 held-out examples"
    monkeypatch.setattr(sys, "argv", ["ganframe", "evaluate", str(folder.path)])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out
    assert all(f"{name}: " in said for name in names)
    assert (
        "how frechet was measured: samples 40, encoder random-convolutions (channels [8], seed 0), features 8" in said
    )
