"""The preset trains: 100 labels are enough to classify digits far above chance."""

import pytest

from ganframe import load_config, train
from ganframe.runs.logs import read_log


@pytest.mark.slow
def test_a_hundred_labels_are_enough_to_classify_digits(tmp_path):
    folder = train(load_config("sgan-digits"), out=tmp_path / "run")
    assert read_log(folder.metrics)[-1]["classification-accuracy/accuracy"] > 0.85
