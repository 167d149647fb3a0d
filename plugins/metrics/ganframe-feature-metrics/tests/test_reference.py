"""The real images: which ones, and the cache of their features."""

from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pytest
import torch
from ganframe_feature_metrics import CMMD, MIND, Frechet, KernelDistance, PrecisionRecall, cache, identity
from ganframe_feature_metrics.cache import cache_folder
from ganframe_feature_metrics.identity import encoder_name, encoder_text
from ganframe_perceptual import VGG, RandomConvolutions
from ganframe_perceptual.vgg import write_random
from safetensors.torch import load_file, save_file

from ganframe.config import BadInput, DatasetConfig, EncoderConfig, TensorSpec
from ganframe.data import Randomness, TensorData, as_float
from ganframe.testing.fakes import FakeEncoder

ENCODER = RandomConvolutions(channels=(4,))


class Pictures(DatasetConfig):
    """30 pictures, and 20 that are held out; with `grey`, every pixel has this value."""

    type: Literal["pictures"] = "pictures"
    count: int = 30
    apart: int = 20
    seed: int = 0
    value: float | None = None

    def spec(self):
        return {"real": TensorSpec((3, 8, 8)), "other": TensorSpec((3, 8, 8))}

    def build(self):
        drawn = (Randomness(self.seed).uniform("pictures", (self.count, 3, 8, 8)) * 255).round() / 127.5 - 1
        images = drawn if self.value is None else torch.full_like(drawn, self.value)
        return TensorData({"real": images, "other": -images})

    def held_out(self):
        return Pictures(count=self.apart, apart=0, seed=1) if self.apart else None


@pytest.fixture(autouse=True)
def cache_in_a_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "_IN_MEMORY", {})
    monkeypatch.setenv("GANFRAME_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def encoded(monkeypatch):
    """The number of images in each forward pass over images of the reference."""
    passes = []
    plain = type(ENCODER.build()).forward
    monkeypatch.setattr(
        "ganframe_perceptual.random_convolutions.Network.forward",
        lambda self, images: passes.append(len(images)) or plain(self, images),
    )
    return passes


def measured(config, data, images=None):
    metric = config.build(data)
    metric.update({"fake": as_float(data.build().fetch(range(8), Randomness(0))["real"]) if images is None else images})
    results = metric.compute()
    return results, metric.protocol()


def features(config, data, device="cpu"):
    metric = config.build(data)
    return metric.reference.features(metric.extractor, torch.device(device))


def files(tmp_path):
    return sorted((tmp_path / "cache" / "features").glob("*"))


@pytest.mark.parametrize(
    ("settings", "data", "text"),
    [
        ({}, Pictures(), "20 held-out examples"),
        ({}, Pictures(apart=0), "30 training examples"),
        ({"reference": "training"}, Pictures(), "30 training examples"),
        ({"reference": "held-out"}, Pictures(), "20 held-out examples"),
        ({"reference_samples": 5}, Pictures(), "5 held-out examples"),
        ({"reference_samples": 100}, Pictures(), "20 held-out examples"),
        ({"samples": 7}, Pictures(), "7 held-out examples"),
        ({"samples": 7, "reference_samples": 9, "reference": "training"}, Pictures(), "9 training examples"),
    ],
)
def test_the_protocol_names_the_examples_that_were_compared_with(settings, data, text):
    assert measured(MIND(encoder=ENCODER, **settings), data)[1]["reference"] == text


def test_features_are_those_of_the_examples_in_their_order():
    network = ENCODER.build()
    held_out = Pictures().held_out().build().tensors["real"]
    torch.testing.assert_close(features(MIND(encoder=ENCODER), Pictures()), network(held_out)[0].mean(dim=(2, 3)))
    other = features(MIND(encoder=ENCODER, real="other"), Pictures())
    torch.testing.assert_close(other, network(-held_out)[0].mean(dim=(2, 3)))


def test_a_part_of_the_examples_is_drawn_by_the_seed():
    few = [MIND(encoder=ENCODER, reference_samples=6, seed=seed).build(Pictures()).reference for seed in (0, 0, 1)]
    assert few[0].indices == few[1].indices != few[2].indices
    assert len(set(few[0].indices)) == 6
    assert few[0].indices != list(range(6))


def test_what_the_data_lacks_is_refused_when_the_metric_is_built():
    with pytest.raises(BadInput, match=r"reference: the data has no held-out examples"):
        MIND(encoder=ENCODER, reference="held-out").build(Pictures(apart=0))
    with pytest.raises(BadInput, match=r"real: the data has no 'target'\n  It has: real, other"):
        MIND(encoder=ENCODER, real="target").build(Pictures())
    with pytest.raises(BadInput, match=r"encoder.file: there is no file 'nowhere"):
        MIND(encoder=VGG(file=Path("nowhere.safetensors"))).build(Pictures())
    with pytest.raises(BadInput, match=r"neighbors: the reference has 3 examples"):
        measured(PrecisionRecall(encoder=ENCODER), Pictures(apart=3))


def test_several_metrics_encode_the_reference_once(encoded, tmp_path):
    for config in (MIND, CMMD, Frechet):
        features(config(encoder=ENCODER), Pictures())
    assert len(encoded) == 1
    assert len(files(tmp_path)) == 1


def test_another_process_reads_the_features_from_the_file(encoded, monkeypatch):
    first = features(MIND(encoder=ENCODER), Pictures())
    monkeypatch.setattr(cache, "_IN_MEMORY", {})
    assert torch.equal(features(MIND(encoder=ENCODER), Pictures()), first)
    # Four examples, filled up to a whole batch, are encoded anew to see whether the file is still right.
    assert len(encoded) == 2


def test_features_of_an_encoder_whose_code_has_changed_are_computed_again(monkeypatch, tmp_path):
    """Also those of weights that the config does not name, such as the data that an ONNX file refers to."""
    first = features(MIND(encoder=ENCODER), Pictures())
    network = "ganframe_perceptual.random_convolutions.Network"
    plain = type(ENCODER.build()).forward
    monkeypatch.setattr(f"{network}.forward", lambda self, images: tuple(1.01 * each for each in plain(self, images)))
    monkeypatch.setattr(cache, "_IN_MEMORY", {})
    for _ in range(2):
        torch.testing.assert_close(features(MIND(encoder=ENCODER), Pictures()), 1.01 * first)
        monkeypatch.setattr(cache, "_IN_MEMORY", {})
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("package", ["ganframe", "torch", "ganframe-perceptual"])
def test_another_version_of_a_package_has_a_key_of_its_own(package, monkeypatch, tmp_path):
    features(MIND(encoder=ENCODER), Pictures())
    monkeypatch.setattr(identity, "version", lambda name: "999" if name == package else version(name))
    features(MIND(encoder=ENCODER), Pictures())
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("kind", [Frechet, KernelDistance, MIND])
def test_a_single_real_is_refused(kind):
    with pytest.raises(BadInput, match="reference: the data has 1 held-out examples to compare with, and it takes 2"):
        measured(kind(encoder=ENCODER), Pictures(apart=1))


@pytest.mark.parametrize("kind", [Frechet, KernelDistance, MIND])
def test_samples_of_half_precision_are_measured(kind):
    images = Pictures().build().tensors["real"]
    results, _ = measured(kind(encoder=ENCODER), Pictures(), images.bfloat16())
    assert results == measured(kind(encoder=ENCODER), Pictures(), images.bfloat16().float())[0]


@pytest.mark.parametrize(
    ("config", "data"),
    [
        (MIND(encoder=RandomConvolutions(channels=(5,))), Pictures()),
        (MIND(encoder=RandomConvolutions(channels=(4,), seed=1)), Pictures()),
        (MIND(encoder=ENCODER, resize=(6, 6)), Pictures()),
        (MIND(encoder=ENCODER, real="other"), Pictures()),
        (MIND(encoder=ENCODER, reference="training"), Pictures()),
        (MIND(encoder=ENCODER, reference_samples=19), Pictures()),
        (MIND(encoder=ENCODER), Pictures(apart=19)),
    ],
)
def test_whatever_changes_the_features_has_a_key_of_its_own(config, data, encoded, tmp_path):
    features(MIND(encoder=ENCODER), Pictures())
    features(config, data)
    assert len(encoded) == 2
    assert len(files(tmp_path)) == 2


def test_what_does_not_change_the_features_shares_a_key(encoded):
    features(MIND(encoder=ENCODER), Pictures())
    features(MIND(encoder=ENCODER, seed=3, projections=10, sample="average"), Pictures(count=40))
    assert len(encoded) == 1


def test_the_content_of_a_file_counts_not_its_name(tmp_path):
    weights = write_random(tmp_path / "a.safetensors", 16, 1)
    settings = {"layers": ("relu1_1",)}
    config = MIND(encoder=VGG(file=weights, **settings))
    first = features(config, Pictures())
    copy = tmp_path / "b.safetensors"
    copy.write_bytes(weights.read_bytes())
    assert torch.equal(features(MIND(encoder=VGG(file=copy, **settings)), Pictures()), first)
    assert len(files(tmp_path)) == 1
    save_file({name: 2 * value for name, value in load_file(weights).items()}, weights)
    assert not torch.equal(features(config, Pictures()), first)
    assert len(files(tmp_path)) == 2


def test_weights_that_no_setting_names_count_too(monkeypatch, tmp_path):
    """As when a package ships other weights in its next version."""
    features(MIND(encoder=FakeEncoder()), Pictures())
    build = FakeEncoder.build

    def built(self):
        network = build(self)
        network.classify.bias.data += 1
        return network

    monkeypatch.setattr(FakeEncoder, "build", built)
    features(MIND(encoder=FakeEncoder()), Pictures())
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "text", "other", "folder"])
def test_a_damaged_file_is_computed_again(damage, monkeypatch, tmp_path, encoded):
    first = features(MIND(encoder=ENCODER), Pictures())
    (file,) = files(tmp_path)
    content = file.read_bytes()
    if damage == "other":
        save_file({"something": torch.zeros(3)}, file)
    elif damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        changed = content[:-1] + bytes([content[-1] ^ 1])
        file.write_bytes({"cut": content[:-4], "changed": changed, "empty": b"", "text": b"hello"}[damage])
    monkeypatch.setattr(cache, "_IN_MEMORY", {})
    assert torch.equal(features(MIND(encoder=ENCODER), Pictures()), first)
    assert len(encoded) == 2
    assert damage == "folder" or file.read_bytes() == content


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch, encoded):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("GANFRAME_CACHE", str(tmp_path / "file" / "cache"))
    for _ in range(2):
        features(MIND(encoder=ENCODER), Pictures())
    assert len(encoded) == 1


def test_no_draft_stays_behind(tmp_path):
    features(MIND(encoder=ENCODER), Pictures())
    assert [each.suffix for each in files(tmp_path)] == [".safetensors"]


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("GANFRAME_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("GANFRAME_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/ganframe")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "ganframe"


class Folder(EncoderConfig):
    """An encoder with a folder, a nested encoder and no file."""

    type: Literal["folder"] = "folder"
    path: Path
    inner: EncoderConfig
    name: str | None = None

    def build(self):
        return self.inner.build()


def test_files_of_folders_and_of_nested_encoders_count(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"1")
    config = MIND(encoder=Folder(path=folder, inner=ENCODER))
    features(config, Pictures())
    (folder / "a.bin").write_bytes(b"2")
    features(config, Pictures())
    assert len(files(tmp_path)) == 2
    assert encoder_text(config.encoder).startswith("folder (path weights sha256 ")
    assert encoder_text(config.encoder).endswith(", inner random-convolutions (channels [4], seed 0))")


def test_names_and_texts_of_encoders(tmp_path):
    file = write_random(tmp_path / "my weights.v2.safetensors", 16, 1)
    config = VGG(file=file, layers=("relu1_1",))
    assert encoder_name(config) == "vgg-my-weights.v2"
    assert encoder_name(ENCODER) == "random-convolutions"
    assert encoder_text(ENCODER) == "random-convolutions (channels [4], seed 0)"
    import hashlib

    start = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    assert encoder_text(config) == f'vgg (file my weights.v2.safetensors sha256 {start}, depth 16, layers ["relu1_1"])'
    assert encoder_text(FakeEncoder()) == "stub"
