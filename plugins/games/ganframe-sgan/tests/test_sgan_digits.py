"""The preset trains: digits are recognised far above chance from 100 labels."""

import pytest

from ganframe import load_config, train
from ganframe.runs.logs import read_log


@pytest.mark.slow
def test_digits_are_recognised_from_a_hundred_labels(tmp_path):
    folder = train(load_config("sgan-digits"), out=tmp_path / "run")
    assert read_log(folder.metrics)[-1]["classification-accuracy/accuracy"] > 0.85
