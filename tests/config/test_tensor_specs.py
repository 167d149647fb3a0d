"""Specs of tensors, before any tensor is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from ganframe.config import BadInput, DiscriminatorTransform, GeneratorConfig, GeneratorTransform, TensorSpec
from ganframe.config.tensor_specs import TensorKind
from ganframe.runs.folder import DATA_SPEC, RunFolder


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (TensorSpec((), classes=3), "label"),
        (TensorSpec((2,), classes=3), "other"),
        (TensorSpec((5, 8, 12)), "image"),
        (TensorSpec((2, 100), sample_rate=8000), "sound"),
        (TensorSpec((2, 100)), "series"),
        (TensorSpec((1,)), "number"),
        (TensorSpec((2,)), "points"),
        (TensorSpec((3,)), "vector"),
        (TensorSpec(()), "other"),
        (TensorSpec((1, 2, 3, 4)), "other"),
    ],
)
def test_the_kind_of_a_tensor_follows_from_its_spec(spec: TensorSpec, kind: TensorKind) -> None:
    assert spec.kind == kind


def test_a_class_is_called_by_its_name_or_else_its_number() -> None:
    assert TensorSpec((), 2, ("cat", "dog")).class_name(1) == "dog"
    assert TensorSpec((), 2).class_name(1) == "1"
    assert str(TensorSpec((2, 100), sample_rate=8000)) == "2 x 100 at 8000 Hz"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": (), "classes": 3, "class_names": ("a", "b")}, "there are 2 names for 3 classes"),
        ({"shape": (4,), "class_names": ("a",)}, "there are 1 names for 0 classes"),
        ({"shape": (), "classes": 2, "class_names": ("a", "a")}, "two classes have the name 'a'"),
        ({"shape": (), "classes": 1, "class_names": ("",)}, "'' is no name of a class"),
        ({"shape": (), "classes": 1, "class_names": ("\x1b]52;c;aGk=\x07",)}, "is no name of a class"),
        ({"shape": (100,), "sample_rate": 8000}, "a sound is channels x samples"),
        ({"shape": (1, 100), "sample_rate": 0}, "a sound is channels x samples"),
    ],
)
def test_names_and_rates_that_fit_no_tensor_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        TensorSpec(**settings)
    spec = TensorSpec(())
    vars(spec).update(settings)  # as a file could have it
    (tmp_path / "data.json").write_bytes(DATA_SPEC.dump_json({"real": spec}))
    with pytest.raises(BadInput, match=message) as problem:
        RunFolder(tmp_path).data()
    assert problem.value.place == str(tmp_path / "data.json")


def test_a_run_folder_keeps_names_and_rates_and_may_have_none_of_them(tmp_path: Path) -> None:
    spec = {"real": TensorSpec((1, 8), sample_rate=100), "label": TensorSpec((), 2, ("low", "high"))}
    (tmp_path / "data.json").write_bytes(DATA_SPEC.dump_json(spec))
    assert RunFolder(tmp_path).data() == spec
    (tmp_path / "data.json").write_text('{"label": {"shape": [], "classes": 2}}')
    assert RunFolder(tmp_path).data() == {"label": TensorSpec((), 2)}


class Sized(GeneratorConfig):
    type: Literal["sized"] = "sized"
    latent: int = 64


class FromSample(Sized):
    type: Literal["from-sample"] = "from-sample"  # pyright: ignore[reportIncompatibleVariableOverride]
    starts_from = "sample"


class Unsized(GeneratorConfig):
    type: Literal["unsized"] = "unsized"


class Styled(GeneratorConfig):
    type: Literal["styled"] = "styled"

    def latent_specs(self) -> dict[str, TensorSpec]:
        return {"latent": TensorSpec((8,)), "noise": TensorSpec((1, 4, 4))}


class Changed(GeneratorTransform):
    type: Literal["changed"] = "changed"


def test_a_config_tells_its_latents_before_the_network_is_built() -> None:
    assert Sized().latent_specs() == {"latent": TensorSpec((64,))}
    assert Sized(latent=3).latent_spec() == TensorSpec((3,))
    assert FromSample().latent_specs() == Unsized().latent_specs() == {}
    assert Styled().latent_spec("noise") == TensorSpec((1, 4, 4))
    assert Changed.model_construct(of=Styled()).latent_spec("noise") == TensorSpec((1, 4, 4))
    with pytest.raises(BadInput, match="'unsized' does not tell the shape of 'latent'") as problem:
        Unsized().latent_spec()
    assert problem.value.remedy == "Use a network whose config tells its latents."
    with pytest.raises(BadInput, match="'styled' does not tell the shape of 'mood'") as problem:
        Styled().latent_spec("mood")
    assert problem.value.remedy == "Its latents are: latent, noise."


def test_a_transform_takes_several_conditions_only_if_it_says_so() -> None:
    assert not DiscriminatorTransform.several_conditions
    assert not Changed.several_conditions
