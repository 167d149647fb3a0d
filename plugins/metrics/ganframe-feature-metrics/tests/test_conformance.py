"""The conformance kit over everything that the package registers."""

import pytest
from ganframe_feature_metrics import FID

from ganframe.testing import conformance
from ganframe.testing.fakes import FakeEncoder

test_conformance = conformance("ganframe_feature_metrics")


@pytest.fixture(autouse=True)
def quick_inception(monkeypatch):
    """`fid` over the stand-in encoder: the real network takes minutes on a CPU."""
    monkeypatch.setattr(FID, "encoder_config", lambda self: FakeEncoder())
    monkeypatch.setattr(FID, "example", lambda folder: {"file": folder / "inception.safetensors"})


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GANFRAME_CACHE", str(tmp_path))
