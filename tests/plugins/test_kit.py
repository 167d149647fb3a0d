"""Checks of the conformance kit that fail: what each says of a component that breaks its rule."""

from __future__ import annotations

from typing import Literal

import pytest

from ganframe.config import DataSpec, TensorSpec
from ganframe.game import Game
from ganframe.testing.fakes import FakeGameConfig, FakeGenerator
from ganframe.testing.games import build_playable_game, names_are_known
from ganframe.testing.networks import latents_are_told


class Liar(FakeGenerator):
    type: Literal["liar"] = "liar"  # pyright: ignore[reportIncompatibleVariableOverride]

    def latent_specs(self) -> dict[str, TensorSpec]:
        return {"latent": TensorSpec((4,))}


def test_a_config_tells_the_latent_that_its_network_has() -> None:
    latents_are_told(FakeGenerator())
    latents_are_told(FakeGenerator(from_sample=True))
    with pytest.raises(AssertionError, match=r"`latent_specs` tells \(4,\), but `latent_shape` is \(3,\)"):
        latents_are_told(Liar())
    with pytest.raises(AssertionError, match="but the network starts from a sample"):
        latents_are_told(Liar(from_sample=True))


class Named(FakeGameConfig):
    type: Literal["named"] = "named"  # pyright: ignore[reportIncompatibleVariableOverride]
    label: str | None = None
    sampling_inputs: tuple[str, ...] | None = None
    translations: tuple[tuple[str, str], ...] = ()

    def build(self, data: DataSpec) -> Game:
        game = super().build(data)
        game.label, game.sampling_inputs, game.translations = self.label, self.sampling_inputs, self.translations
        assert "label" in data
        return game


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label": "labels"}, "unknown: {.labels.}"),
        ({"label": "real"}, "'real' is no class label"),
        ({"sampling_inputs": ("noise",)}, "unknown: {'noise'}"),
        ({"translations": (("real", "fakes"),)}, "unknown: {'fakes'}"),
    ],
)
def test_a_game_names_what_there_is(settings: dict[str, object], message: str) -> None:
    good = Named(label="label", sampling_inputs=("real",), translations=(("real", "fake"),))
    names_are_known(good)
    assert build_playable_game(good).label_spec() == ("label", TensorSpec((), classes=4))
    with pytest.raises(AssertionError, match=message):
        names_are_known(good.model_copy(update=settings))
