"""The JSON schema accepts what the configs accept, and points at what they refuse."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from ganframe.config.component_kinds import KINDS
from ganframe.config.experiment import Train
from ganframe.config.field_docstrings import field_docstrings
from ganframe.config.json_schema import json_schema
from ganframe.config.presets import load_config
from ganframe.config.settings import Settings
from ganframe.plugins.discovery import installed

CONFIG = {
    "game": {"type": "adversarial", "generator": "mlp", "discriminator": {"type": "mlp", "hidden": [16]}},
    "losses": ["non-saturating", {"type": "hinge", "label_policies": ["soft-labels"], "weight": 0.5}],
    "data": "digits",
    "optimizers": {"generator": {"type": "adam", "lr": {"type": "linear", "start": 1, "end": 0}, "betas": [0, 0.9]}},
    "train": {"total_images": 64, "ema": {"half_life_images": 100}},
}


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def plain(path):
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("preset", sorted(installed().presets))
def test_presets_are_valid(validator, preset):
    validator.validate(plain(installed().presets[preset][0]))
    validator.validate(load_config(preset).dump())
    validator.validate(load_config(preset).model_dump(mode="json"))


def test_a_config_with_shorthands_and_schedules_is_valid(validator):
    validator.validate(CONFIG)


def test_aliases_are_types(validator):
    for cls, _ in installed().registry:
        if cls.kind == "loss":
            for name in (cls.type_name(), *cls.aliases):
                validator.validate(CONFIG | {"losses": [name, {"type": name, "weight": 2}]})


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"loses": []}, []),
        ({"data": "digitz"}, ["data"]),
        ({"data": {"split": "train"}}, ["data"]),
        ({"data": {"type": "digits", "splt": "train"}}, ["data"]),
        ({"data": {"type": "digits", "split": "trian"}}, ["data"]),
        ({"data": "hinge"}, ["data"]),
        ({"losses": "hinge"}, ["losses"]),
        ({"losses": [{"type": "hinge", "label_policies": ["hinge"]}]}, ["losses", 0]),
        ({"train": {}}, ["train"]),
        ({"train": {"total_images": 0}}, ["train", "total_images"]),
        ({"train": {"total_images": "many"}}, ["train", "total_images"]),
        ({"train": {"total_images": 1, "precision": "fp8"}}, ["train", "precision"]),
        ({"optimizers": {"generator": {"type": "adam", "lr": {"type": "linear"}}}}, ["optimizers", "generator"]),
        ({"optimizers": {"generator": {"type": "adam", "lr": "fast"}}}, ["optimizers", "generator"]),
    ],
)
def test_what_configs_refuse_is_invalid(validator, change, where):
    assert [list(error.absolute_path) for error in validator.iter_errors(CONFIG | change)] == [where]


@pytest.mark.parametrize("section", ["game", "data", "train"])
def test_required_sections(validator, section):
    (error,) = validator.iter_errors({key: value for key, value in CONFIG.items() if key != section})
    assert f"'{section}' is a required property" in error.message


def test_editors_can_show_what_each_setting_is(validator):
    definitions = validator.schema["$defs"]
    for cls, package in installed().registry:
        definition = definitions[f"{cls.kind}/{cls.type_name()}"]
        assert definition["description"] == f"{cls.summary()} ({package})"
        for name in cls.model_fields.keys() - {"type"}:
            assert definition["properties"][name]["description"]


def test_a_setting_is_described_by_its_docstring():
    class Warmth(Settings):
        """How warm it is."""

        degrees: int = 3
        """In degrees Celsius;
        not below absolute zero."""
        wind: float | None = None
        bare: bool = False
        """Whether it snows."""

    described = {name: each.get("description") for name, each in Warmth.model_json_schema()["properties"].items()}
    degrees = "In degrees Celsius;\nnot below absolute zero."
    assert described == {"degrees": degrees, "wind": None, "bare": "Whether it snows."}
    train = json_schema()["$defs"]["Train"]["properties"]
    assert train["batch_size"]["description"] == field_docstrings(Train)["batch_size"] != ""


def test_every_kind_is_there_even_if_nothing_of_it_is_installed(monkeypatch, fresh_plugins):
    monkeypatch.setenv("GANFRAME_LOAD_PLUGINS", "")
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert {base.kind for base in KINDS} <= set(schema["$defs"])
    (error,) = Draft202012Validator(schema["$defs"]["augmentation"] | {"$defs": schema["$defs"]}).iter_errors("noise")
    assert error.message


def test_models_of_the_same_name_in_two_plugins_stay_apart(fake_plugin):
    source = """\
        from typing import Literal
        from ganframe import hookimpl
        from ganframe.config.component_kinds import MetricConfig
        from ganframe.config.settings import Settings

        class Part(Settings):
            '''A part.'''
            {field}: int

        class Config(MetricConfig):
            '''A metric.'''
            type: Literal["{name}"] = "{name}"
            parts: tuple[Part, ...] = ()

        @hookimpl
        def register_components(register):
            register(Config)
        """
    fake_plugin("toy-one", source.format(field="height", name="one"))
    fake_plugin("toy-two", source.format(field="width", name="two"))
    validator = Draft202012Validator(json_schema())
    for name, field in (("one", "height"), ("two", "width")):
        validator.validate(CONFIG | {"evaluate": {"metrics": [{"type": name, "parts": [{field: 3}]}]}})
        assert not validator.is_valid(CONFIG | {"evaluate": {"metrics": [{"type": name, "parts": [{"depth": 3}]}]}})


def test_the_command_prints_it(cli, tmp_path):
    printed = cli("schema")
    assert (printed.code, printed.err) == (0, "")
    assert json.loads(printed.out) == json_schema()
    written = cli("schema", "--out", tmp_path / "new" / "ganframe.config.schema.json")
    assert written.out == f"{tmp_path / 'new' / 'ganframe.config.schema.json'}\n"
    assert (tmp_path / "new" / "ganframe.config.schema.json").read_text() == printed.out


def test_an_older_schema_is_replaced(cli, tmp_path, monkeypatch, fresh_plugins):
    file = tmp_path / "ganframe.config.schema.json"
    monkeypatch.setenv("GANFRAME_LOAD_PLUGINS", "digits")
    assert cli("schema", "--out", file).code == 0
    before = file.read_text()
    monkeypatch.delenv("GANFRAME_LOAD_PLUGINS")
    installed.cache_clear()
    assert cli("schema", "--out", file).code == 0
    assert file.read_text() == cli("schema").out != before
