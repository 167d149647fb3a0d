"""Configs as YAML 1.2, overrides, and the way back to text."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ganframe import BadInput, Experiment
from ganframe.config.error_positions import read_document
from ganframe.config.load import load_experiment
from ganframe.config.presets import load_config
from ganframe.config.yaml import dump_yaml
from ganframe.plugins.discovery import installed

CONFIG = """\
game: {type: adversarial, generator: mlp, discriminator: {type: mlp, hidden: [16]}}
losses: [non-saturating, {type: hinge, weight: 2}]
data: digits
train: {images: 64}
"""


@pytest.fixture
def read(tmp_path):
    def parse(text: str) -> object:
        (tmp_path / "some.yaml").write_text(text, encoding="utf-8")
        return read_document(tmp_path / "some.yaml").data

    return parse


@pytest.fixture
def load(tmp_path):
    def with_overrides(*overrides: str) -> Experiment:
        (tmp_path / "config.yaml").write_text(CONFIG)
        return load_experiment(tmp_path / "config.yaml", overrides).experiment

    return with_overrides


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("2.0e-4", 0.0002),
        ("-.5", -0.5),
        ("1_000_000", 1000000),
        ("0777", 777),
        ("0o17", 15),
        ("0x1f", 31),
        ("no", "no"),
        ("No", "No"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("12:30", "12:30"),
        ("190:20:30", "190:20:30"),
        ("2026-11-22", "2026-11-22"),
        ("2026-11-22 10:30:00", "2026-11-22 10:30:00"),
        ("'1e-3'", "1e-3"),
        ("1.2.3", "1.2.3"),
        ("[no, 1e-3]", ["no", 0.001]),
    ],
)
def test_values_are_those_of_yaml_1_2(read, text, value):
    found = read(f"it: {text}")["it"]
    assert found == value
    assert isinstance(found, bool) == isinstance(value, bool)
    assert isinstance(found, str) == isinstance(value, str)
    assert isinstance(found, float) == isinstance(value, float)


def test_anchors_and_merges(read):
    found = read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n")
    assert dict(found["b"]) == {"x": 1, "y": 3}
    assert found["c"] is found["a"]


def test_a_merged_key_has_a_place(tmp_path):
    (tmp_path / "config.yaml").write_text(
        CONFIG + "optimizers:\n  generator: &o {type: adam, epss: 1}\n  discriminator:\n    <<: *o\n"
    )
    with pytest.raises(BadInput) as problem:
        load_experiment(tmp_path / "config.yaml")
    assert "config.yaml:6:30: optimizers.generator.epss: " in str(problem.value)
    assert "config.yaml:7:3: optimizers.discriminator.epss: " in str(problem.value)


class TestOverrides:
    """`--set a.b=c`."""

    def test_a_value(self, load):
        assert load("train.images=128").train.total_images == 128

    def test_a_value_that_was_not_given(self, load):
        assert load("train.precision=bf16", "seed=3").train.precision == "bf16"

    def test_a_section_that_was_not_given(self, load):
        assert load("train.ema.half_life_images=1e3").train.ema.half_life_images == 1000
        assert load("snapshot.count=9").snapshot.count == 9

    def test_an_entry_of_a_list(self, load):
        assert load("losses.1.weight=1e-3").losses[1].weight == 0.001

    def test_a_whole_entry(self, load):
        assert [each.type_name() for each in load("losses.0=hinge").losses] == ["hinge", "hinge"]

    def test_a_setting_of_a_shorthand(self, load):
        assert load("game.generator.hidden=[8, 9]").game.generator.hidden == (8, 9)
        assert load("losses.0.every=3").losses[0].every == 3
        assert load("data.split=held-out").data.split == "held-out"

    def test_a_component(self, load):
        changed = load("game.generator={type: mlp, latent: 3}")
        assert changed.game.generator.latent == 3

    def test_a_setting_of_the_usual_optimizer(self, load):
        (optimizer,) = load("optimizers.generator.lr=0.5").optimizers.values()
        assert (optimizer.type_name(), optimizer.lr) == ("adam", 0.5)

    def test_a_list(self, load):
        assert load("losses=[hinge]").losses == load("losses.0=hinge", "losses=[hinge]").losses

    def test_the_last_one_wins(self, load):
        assert load("seed=1", "seed=2").seed == 2

    def test_one_into_another(self, load):
        assert load("train={images: 3}", "train.batch_size=5").train.batch_size == 5

    def test_null_takes_a_setting_away(self, load):
        assert load("train.ema.half_life_images=3", "train.ema=null").train.ema is None

    def test_a_value_may_have_equals_signs(self, load):
        assert load("summary=a=b=c").summary == "a=b=c"

    def test_a_folder_may_be_called_after_a_day(self, load):
        assert load("data={type: image-folder, path: 2026-11-22}").data.path == Path("2026-11-22")

    def test_what_an_alias_stands_for_elsewhere_stays(self, tmp_path):
        file = tmp_path / "config.yaml"
        optimizers = "optimizers: {discriminator: &same {type: adam, lr: 1.0e-3, betas: [0, 0.9]}, generator: *same}"
        file.write_text(CONFIG + optimizers)
        loaded = load_experiment(file, ("optimizers.generator.lr=0.5", "optimizers.generator.betas.0=0.5"))
        mine, theirs = (loaded.experiment.optimizers[name] for name in ("generator", "discriminator"))
        assert (mine.lr, mine.betas) == (0.5, (0.5, 0.9))
        assert (theirs.lr, theirs.betas) == (1e-3, (0, 0.9))

    def test_the_others_stay(self, load):
        assert load("seed=1").differences(load()) == ["seed"]
        assert load("losses.1.weight=3").differences(load()) == ["losses.1.weight"]


# YAML takes three rare characters for line breaks, and folds them.
characters = st.text(st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029"))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | characters
    | st.sampled_from(
        ["no", "1e-3", "null", "~", "0x1f", "2026-11-22", "- a", "a: b", "#x", "", " ", "\n", "'", '"', "é"]
    )
)
names = characters.filter(bool) | st.sampled_from(["no", "1", "1.5", "true", "null", "a b", "<<", "="])
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.dictionaries(names, trees, min_size=1, max_size=4))
def test_what_is_written_reads_the_same(tmp_path, tree):
    file = tmp_path / "tree.yaml"
    file.write_bytes(dump_yaml(tree).encode())
    assert read_document(file).data == tree


@pytest.mark.parametrize("preset", sorted(installed().presets))
def test_a_preset_survives_being_written(tmp_path, preset):
    experiment = load_config(preset)
    file = tmp_path / "config.yaml"
    file.write_text(dump_yaml(experiment.dump()), encoding="utf-8")
    again = load_experiment(file).experiment
    assert again == experiment
    assert again.differences(experiment) == []


def test_differences_are_dotted_paths(load):
    changed = load(
        "train.images=65", "losses=[hinge]", "game.generator.latent=3", "evaluate={metrics: [label-agreement]}"
    )
    assert changed.differences(load()) == ["evaluate", "game.generator.latent", "losses", "train.total_images"]
