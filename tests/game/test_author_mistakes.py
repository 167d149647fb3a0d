"""Mistakes of plugin authors, one at a time: the message names the mistake, its place and a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from line_game import (
    JudgeConfig,
    Line,
    LineConfig,
    Maker,
    MakerConfig,
    Square,
    SquareLoss,
    batch,
    begin,
)
from torch import Tensor, nn

from ganframe import BadInput, RunFailed, hookimpl
from ganframe.config.component_kinds import AugmentationConfig, DatasetConfig, MetricConfig
from ganframe.config.tensor_specs import TensorSpec
from ganframe.config.terms import LabelPolicyConfig, LossConfig, RegularizerConfig
from ganframe.data.open_data import open_dataset, read_specs
from ganframe.game.contest import Contest
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.game import Game
from ganframe.game.latents import draw_latents
from ganframe.game.makers import tensors
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.turn import Turn
from ganframe.training.idle_players import IdlePlayers
from ganframe.training.plugin_hooks import RunHooks

HERE = Path(__file__)
ONE = batch([0.5, 1.0], [0.25, 1.0])


def game_of(base: type[Game] = Line, **attributes: Any) -> LineConfig:
    """The config of the game on a line with other attributes, which its `__init__` does not set."""
    cls = type("Mistaken", (base,), attributes)

    class MistakenConfig(LineConfig):
        type: Literal["mistaken"] = "mistaken"  # pyright: ignore[reportIncompatibleVariableOverride]

        def build(self, data: Any) -> Game:
            game = cls(self, data)
            for name in ("turns", "contests"):
                if name in attributes:
                    setattr(game, name, attributes[name])
            return game

    return MistakenConfig()


def message(build: Callable[[], object]) -> str:
    with pytest.raises(BadInput) as raised:
        build()
    assert raised.value.exit_code == 2
    text = str(raised.value)
    assert "\n" not in raised.value.message
    return text.replace(str(HERE), "here.py")


def refused(game: LineConfig, **parts: Any) -> str:
    """The message with which a game is refused before its first step."""
    return message(lambda: begin(game=game, **parts))


def stepped(game: LineConfig | None = None, data: Any = ONE, **parts: Any) -> str:
    """The message with which the first step ends."""
    trainer = begin([data], **({} if game is None else {"game": game}), **parts)
    return message(trainer.step)


JUDGING, MAKING = Turn("judging", ("judge",)), Turn("making", ("maker",))
FAKE = Contest("judge", real="real", fake="fake")


# Names that do not fit.


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"contests": (Contest("judge", real="real", fake="fak"),)},
         "the contest 'judge' names the tensor 'fak', which the game does not have\n  Did you mean 'fake'? It has: "),
        ({"contests": (Contest("judge", real="rael", fake="fake"),)}, "'judge' names the tensor 'rael', which the"),
        ({"contests": (Contest("judge", "real", "fake", real_condition="real"),)},
         "`real_condition` of the contest 'judge' is 'real', and the spec of 'judge' has no condition\n  Give both"),
        ({"contests": (Contest("judge", real="real", fake="fake", replay="replaid"),)}, "names the tensor 'replaid'"),
        ({"contests": (Contest("jugde", real="real", fake="fake"),)},
         "the contest 'jugde' names the player 'jugde', which player_specs() does not have\n  Did you mean 'judge'?"),
        ({"contests": (Contest("judge", "real", "fake", generators=("make",)),)},
         "the contest 'judge' names the player 'make', which player_specs() does not have\n  Did you mean 'maker'?"),
        ({"contests": (Contest("judge", "real", "fake", generators="maker"),)},  # pyright: ignore[reportArgumentType]
         "`generators` of the contest 'judge' is 'maker'\n  Write a tuple: `('maker',)`."),
        ({"contests": (Contest("maker", "real", "fake"),)},
         "'maker', the discriminator of the contest 'maker', is a MakerConfig\n  The config of its player spec has to"),
        ({"contests": (Contest("judge", "real", "real"),)}, "both sides of the contest 'judge' are 'real'\n  Name the"),
        ({"contests": (FAKE, Contest("judge", "real", "latent"))},
         "two contests are called 'judge'\n  Name each: `Contest(..., name=\"first\")`."),
        ({"contests": Contest("judge", "real", "fake")}, "`contests` is Contest(discriminator='judge'"),
        ({"turns": (JUDGING, Turn("making", ("makr",)))},
         "the turn 'making' names the player 'makr', which player_specs() does not have\n  Did you mean 'maker'?"),
        ({"turns": (JUDGING, Turn("making", "maker"))},  # pyright: ignore[reportArgumentType]
         "`players` of the turn 'making' is 'maker'\n  Write a tuple: `('maker',)`."),
        ({"turns": (JUDGING, Turn("making", ()))}, "the turn 'making' has no players\n  Name those that train in it."),
        ({"turns": (JUDGING, Turn("making", ("maker", "maker")))}, "the turn 'making' names the player 'maker' twice"),
        ({"turns": (JUDGING, Turn("judging", ("maker",)))}, "two turns are called 'judging'\n  Give each turn a name"),
        ({"turns": (JUDGING, Turn("making", ("maker",), repeats=0))}, "the turn 'making' has 0 repeats\n  Set "),
        ({"turns": ()}, "it has no turns\n  Add one, such as"),
        ({"turns": (Turn("judging", ("maker",)), MAKING)},
         "the discriminator of a contest 'judge' is in no turn, so it never trains\n  Name it in `players` of a turn, "
         "or freeze it"),
        ({"turns": (JUDGING, Turn("making", ("judge",)))}, "the player 'maker' is in no turn, so it"),
        ({"output": "fak"}, "`output` names the tensor 'fak', which the game does not have\n  Did you mean 'fake'?"),
        ({"output": ("fake",)}, "`output` is ('fake',)\n  Set it to the name of the tensor that sampling returns."),
        ({"output": None}, "it has no `output`\n  Set it to the name of the tensor that sampling returns."),
        ({"pictures": ("fakes",)}, "`pictures` names the tensor 'fakes', which the game does not have"),
        ({"pictures": "fake"}, "`pictures` is 'fake'\n  Set it to a tuple of names, such as `pictures = (\"real\",)`."),
        ({"inputs": "real"}, "`inputs` is 'real'\n  Set it to a tuple of names, such as `inputs = (\"real\",)`."),
    ],
)  # fmt: skip
def test_a_name_of_a_game_that_does_not_fit_is_refused_before_the_first_step(
    attributes: dict[str, Any], expected: str
) -> None:
    text = refused(game_of(**attributes))
    assert "game: the game Mistaken: " in text
    assert expected in text


def test_the_place_of_the_game_s_class_is_named() -> None:
    class Mine(Line):
        output = "fak"

    line = next(i for i, text in enumerate(HERE.read_text().splitlines(), 1) if "class Mine(Line)" in text)
    assert refused(game_of(Mine)).startswith(f"here.py:{line}: game: the game Mistaken: ")


class NoStart(Line):
    def __init__(self, config: LineConfig, data: Any) -> None:
        self.contests, self.turns = (FAKE,), (JUDGING, MAKING)


def test_a_game_that_skips_its_base_is_refused() -> None:
    assert "its `__init__` does not call that of `Game`\n  Call `super().__init__(data)` in it." in refused(
        game_of(NoStart)
    )


# Makers.


def maker(function: Callable[..., Any], *names: str) -> Any:
    function.__qualname__ = f"Mistaken.{function.__name__}"
    return tensors(*(names or (function.__name__,)))(function)


def fake(self: Game, game_round: Any) -> Any:
    return self.players["maker"](game_round["latent"])


def test_two_makers_of_one_tensor_are_refused() -> None:
    def other(self: Game, game_round: Any) -> Any:
        return fake(self, game_round)

    text = refused(game_of(fake=maker(fake), other=maker(other, "fake", "more")))
    assert "two makers of Mistaken make the tensor 'fake'\n  Rename one of them." in text


def test_a_maker_that_is_overridden_without_a_mark_is_refused() -> None:
    class Plain(Line):
        def fake(self, game_round: Any) -> Tensor:
            return game_round["latent"]

    text = refused(game_of(Plain))
    assert "Plain.fake replaces the maker of 'fake', but is not marked as one\n  Mark it with `@tensor`, too." in text


def test_a_method_that_is_not_marked_is_named() -> None:
    class Unmarked(Line):
        output = "latest"

        def latest(self, game_round: Any) -> Tensor:
            return game_round["fake"]

    assert "names the tensor 'latest', which the game does not have\n  Mark the method `latest` with" in refused(
        game_of(Unmarked)
    )


def test_a_maker_of_a_tensor_of_the_data_is_refused() -> None:
    def latent(self: Game, game_round: Any) -> Tensor:
        return torch.zeros(game_round.size, 1)

    text = refused(game_of(latent=maker(latent)))
    assert "Mistaken.latent makes 'latent', which the data set gives too\n  The data set gives: real, latent." in text


def test_a_maker_that_takes_no_round_is_refused() -> None:
    def second(self: Game) -> Tensor:
        return self.players["maker"](torch.zeros(2, 1))

    assert "Mistaken.second() is given 1 argument (the round), which its signature does not take" in refused(
        game_of(second=maker(second))
    )


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda latent: latent[:1], "returned 1 rows for 2 examples for the tensor 'fake' in the turn 'judging'"),
        (lambda latent: latent.mean(), "returned a single number for 2 examples for the tensor 'fake'"),
        (lambda latent: None, "returned None for the tensor 'fake' in the turn 'judging'"),
        (lambda latent: latent.tolist(), "returned no tensor but list for the tensor 'fake' in the turn 'judging'"),
        (lambda latent: (latent, latent[:1]), "returned 1 rows for 2 examples for the tensor 'fake'"),
        (lambda latent: {"fak": latent}, "returned a mapping of 'fak', and not a tuple or mapping of 'fake'"),
    ],
)
def test_a_maker_of_something_else_is_named(made: Callable[[Tensor], Any], expected: str) -> None:
    def fake(self: Game, game_round: Any) -> Any:
        return made(self.players["maker"](game_round["latent"]))

    text = stepped(game_of(fake=maker(fake)))
    assert re.match(r"here\.py:\d+: losses\.0: Mistaken\.fake ", text)
    assert expected in text


def test_makers_in_a_circle_are_named() -> None:
    def fake(self: Game, game_round: Any) -> Any:
        return game_round["second"]

    def second(self: Game, game_round: Any) -> Any:
        return game_round["third"] + 1

    def third(self: Game, game_round: Any) -> Any:
        return game_round["second"] + 1

    text = stepped(game_of(fake=maker(fake), second=maker(second), third=maker(third)))
    assert (
        "Mistaken.second makes a tensor that depends on itself: 'second' which reads 'third' which reads 'second'\n"
        "  Let one of these makers read another tensor."
    ) in text


def test_a_maker_that_reads_what_there_is_not_is_named() -> None:
    def fake(self: Game, game_round: Any) -> Any:
        return self.players["maker"](game_round["latnet"])

    text = stepped(game_of(fake=maker(fake)))
    assert "Mistaken.fake reads the tensor 'latnet', which the game Mistaken does not have\n  Did you mean 'la" in text


def test_a_maker_that_calls_who_there_is_not_is_named() -> None:
    def fake(self: Game, game_round: Any) -> Any:
        return self.players["makre"](game_round["latent"])

    assert "the game Mistaken has no player 'makre'\n  Did you mean 'maker'? It has: maker, judge." in stepped(
        game_of(fake=maker(fake))
    )


def test_an_error_of_a_maker_says_where_it_was_raised() -> None:
    def fake(self: Game, game_round: Any) -> Any:
        return game_round["latent"] @ torch.zeros(5)

    trainer = begin([ONE], game=game_of(fake=maker(fake)))
    with pytest.raises(RuntimeError) as raised:
        trainer.step()
    assert raised.value.__notes__ == [
        "in Mistaken.fake, the maker of 'fake'",
        "in the term 'square' of the turn 'judging'",
    ]


def test_what_a_round_does_not_have_is_not_in_it() -> None:
    seen = list[Any]()

    def fake(self: Game, game_round: Any) -> Any:
        seen.append(("latnet" in game_round, game_round.get("latnet", 3), "third" in game_round, game_round.made()))
        return self.players["maker"](game_round["latent"])

    def third(self: Game, game_round: Any) -> Any:
        raise AssertionError("nobody reads it")

    begin([ONE], game=game_of(fake=maker(fake), third=maker(third))).step()
    assert [each[:3] for each in seen] == [(False, 3, True)] * 2


def test_data_without_a_tensor_of_its_spec_is_named() -> None:
    text = stepped(data={"real": torch.zeros(2, 1)})
    assert "Line.fake reads the tensor 'latent', which is in the specs of the data, but not in the batch" in text


# Players.


class Specs(Line):
    given: Any = None

    def player_specs(self) -> Any:
        return super().player_specs() | (self.given or {})


class Bare(MakerConfig):
    type: Literal["bare"] = "bare"  # pyright: ignore[reportIncompatibleVariableOverride]
    network: Any = None

    def build(self, **given: Any) -> Any:
        if isinstance(self.network, Exception):
            raise self.network
        return self.network


class BareJudge(JudgeConfig):
    type: Literal["bare"] = "bare"  # pyright: ignore[reportIncompatibleVariableOverride]
    network: Any = None

    def build(self, **given: Any) -> Any:
        return self.network


POINT = TensorSpec((1,))


def with_players(**given: Any) -> LineConfig:
    return game_of(Specs, given=given)


class Says(nn.Module):
    """A judge with an answer of its own making."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.answer = answer

    def forward(self, sample: Tensor) -> Any:
        return self.answer(self.weight * sample)


class NoForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))


class WrongLatent(nn.Linear):
    latent_shape = "three"

    def __init__(self) -> None:
        super().__init__(1, 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"maker": MakerConfig()}, "player_specs() gives MakerConfig for the player 'maker'\n  Return a mapping from"),
        ({"maker": PlayerSpec(MakerConfig(), "maker", POINT)},  # pyright: ignore[reportArgumentType]
         "`path` of the spec of 'maker' is 'maker', and no tuple\n  Write `('maker',)`."),
        ({"maker": PlayerSpec(Bare(), ("maker",), POINT)},
         "maker: `build` of the generator Bare returned None, not a Module"),
        ({"maker": PlayerSpec(Bare(network=Maker), ("maker",), POINT)},
         "maker: `build` of the generator Bare returned the class Maker, not an object of it"),
        ({"maker": PlayerSpec(Bare(network=ValueError("no such width")), ("maker",), POINT)},
         "maker: `build` of the generator Bare failed: ValueError: no such width\n  With GANFRAME_TRACEBACK=1"),
        ({"maker": PlayerSpec(Bare(network=WrongLatent()), ("maker",), POINT)},
         "the generator 'maker' (WrongLatent) has the `latent_shape` 'three', no tuple of sizes\n  Set it in"),
        ({"judge": PlayerSpec(BareJudge(network=NoForward()), ("judge",), POINT)},
         "the network of 'judge', NoForward, has no method `forward`"),
        ({"judge": PlayerSpec(JudgeConfig(), ("judge",), POINT, None, POINT)},
         "`real_condition` of the contest 'judge' is none, and the spec of 'judge' has a condition\n  Give both"),
        ({"second": PlayerSpec(MakerConfig(), ("maker",), POINT)},
         "the player 'second' is in no turn, so it never trains\n  Name it in `players` of a turn, or freeze it: "),
    ],
)  # fmt: skip
def test_a_player_that_does_not_fit_is_refused_before_the_first_step(given: dict[str, Any], expected: str) -> None:
    assert expected in refused(with_players(**given))


def test_a_judge_that_takes_no_condition_although_its_config_says_so_is_refused() -> None:
    class Conditional(JudgeConfig):
        type: Literal["conditional"] = "conditional"  # pyright: ignore[reportIncompatibleVariableOverride]
        conditional = True

    judge = PlayerSpec(Conditional(), ("judge",), POINT, condition=POINT)
    contest = Contest("judge", real="real", fake="fake", real_condition="real", fake_condition="real")
    text = refused(game_of(Specs, given={"judge": judge}, contests=(contest,)))
    assert (
        "Judge.forward(sample) is given 2 arguments (the samples, their condition), which its signature does not take"
        in text
    )


def test_a_frozen_player_needs_no_turn() -> None:
    frozen = PlayerSpec(Bare(network=Maker().requires_grad_(False)), ("maker",), POINT)
    begin([ONE], game=with_players(teacher=frozen)).step()


def test_a_turn_in_which_nothing_can_train_is_refused() -> None:
    frozen = PlayerSpec(Bare(network=Maker().requires_grad_(False)), ("maker",), POINT)
    text = refused(with_players(maker=frozen))
    assert "nothing is left to train in the turn 'making', which trains maker" in text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda x: x.flatten(), "returned Tensor\n  Return `ganframe.game.DiscriminatorOutput(logits)`."),
        (lambda x: None, "returned NoneType\n  Return `ganframe.game.DiscriminatorOutput(logits)`."),
        (lambda x: DiscriminatorOutput(x.flatten()[:1]), "returned a tensor of shape (1,) as the logits of 2 samples"),
        (lambda x: DiscriminatorOutput(x.mean()), "returned a tensor of shape () as the logits of 2 samples"),
        (lambda x: DiscriminatorOutput(None), "returned NoneType as the logits of 2 samples\n  Logits are a tensor"),
        (
            lambda x: DiscriminatorOutput.of_heads([DiscriminatorOutput(x.flatten())]),
            "returned 1 heads, and its `head_names` has 0\n  Name each head in the attribute `head_names`",
        ),
    ],
)
def test_an_output_of_another_kind_is_named(answer: Callable[[Tensor], Any], expected: str) -> None:
    text = stepped(with_players(judge=PlayerSpec(BareJudge(network=Says(answer)), ("judge",), POINT)))
    assert "the discriminator 'judge' (" in text
    assert expected in text
    assert text.startswith("here.py:")


def test_an_error_of_a_judge_names_it() -> None:
    def fails(sample: Tensor) -> Any:
        raise ValueError("too small")

    trainer = begin([ONE], game=with_players(judge=PlayerSpec(BareJudge(network=Says(fails)), ("judge",), POINT)))
    with pytest.raises(ValueError, match="too small") as raised:
        trainer.step()
    assert raised.value.__notes__[0].startswith(f"in the discriminator 'judge', {HERE}:")


def test_latents_for_who_there_is_not_are_refused() -> None:
    def fake(self: Game, game_round: Any) -> Any:
        return self.players["maker"](draw_latents(game_round))

    assert ": losses.0: the game Mistaken has no player 'generator'\n  It has: maker, judge." in stepped(
        game_of(fake=maker(fake))
    )


# Terms and other parts.


class Of(LossConfig):
    """A loss of any object."""

    type: Literal["of"] = "of"
    live: Any = None

    def build(self) -> Any:
        return self.live


class RegularizerOf(RegularizerConfig):
    type: Literal["of"] = "of"
    side = "both"
    live: Any = None

    def build(self) -> Any:
        return self.live


class Unbuilt(LossConfig):
    type: Literal["unbuilt"] = "unbuilt"


class Fails(LossConfig):
    type: Literal["fails"] = "fails"

    def build(self) -> Any:
        return {}["margin"]


class OneArgument:
    def discriminator(self, real: Any) -> Tensor:
        return real.logits.mean()

    generator = discriminator


class OnlyDiscriminator:
    def discriminator(self, real: Any, fake: Any) -> Tensor:
        return real.logits.mean()


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (Unbuilt(), "losses.0: the loss Unbuilt has no method `build`\n  Define it: it returns the live object."),
        (Of(), "losses.0: `build` of the loss Of returned None, which has no method `discriminator` or `generator`"),
        (Of(live=SquareLoss), "losses.0: `build` of the loss Of returned the class SquareLoss, not an object of it"),
        (Of(live=OnlyDiscriminator()), "Of returned an OnlyDiscriminator, which has no method `generator`"),
        (Of(live=OneArgument()), "OneArgument.discriminator(real) is given 2 arguments, which its"),
        (Fails(), "losses.0: `build` of the loss Fails failed: KeyError: 'margin'\n  With GANFRAME_TRACEBACK=1"),
    ],
)
def test_a_loss_that_cannot_be_used_is_refused_before_the_first_step(loss: LossConfig, expected: str) -> None:
    text = refused(LineConfig(), losses=(loss,))
    assert expected in text
    assert text.startswith("here.py:")


class Valued:
    def __init__(self, value: Callable[[Tensor], Any]) -> None:
        self.value = value

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Any:
        return self.value(fake.logits)

    generator = discriminator

    def forward(self, game_round: Any) -> Any:
        return self.value(game_round["fake"])


VALUES = [
    (
        lambda x: x.flatten(),
        "Valued returned a tensor of shape (2,) in the turn 'judging'\n  A term returns",
    ),
    (lambda x: None, "Valued returned NoneType in the turn 'judging'"),
    (lambda x: x.mean().item(), "Valued returned float in the turn 'judging'"),
]


@pytest.mark.parametrize(("value", "expected"), VALUES)
@pytest.mark.parametrize("contests", [1, 2])
def test_a_loss_that_is_no_number_is_named(value: Any, expected: str, contests: int) -> None:
    text = stepped(LineConfig(weights=(1.0, 0.5)[:contests]), losses=(Of(live=Valued(value)),))
    assert re.match(r"here\.py:\d+: losses\.0: ", text)
    assert expected in text


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_a_regularizer_that_is_no_number_is_named(value: Any, expected: str) -> None:
    text = stepped(regularizers=(RegularizerOf(live=Valued(value)),))
    assert re.match(r"here\.py:\d+: regularizers\.0: ", text)
    assert expected in text


def test_a_turn_whose_terms_are_all_detached_is_refused() -> None:
    text = stepped(losses=(Of(live=Valued(lambda x: x.detach().mean())),))
    assert text.startswith("losses: no term of the turn 'judging' gives a gradient to its players: of\n  A term has to")


class Policy(LabelPolicyConfig):
    type: Literal["policy"] = "policy"

    def build(self) -> Any:
        return lambda target: target


class Augments(AugmentationConfig):
    type: Literal["augments"] = "augments"

    def build(self) -> Any:
        return lambda sample, generator: sample


class NoMetric(MetricConfig):
    type: Literal["none"] = "none"

    def tensors(self) -> tuple[str, ...]:
        return ("fake",)

    def build(self, data: Any) -> Any:
        return None


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (
            {"losses": (Square(label_policies=(Policy(),)),)},
            "losses.0.label_policies.0: `build` of the label",
        ),
        (
            {"augmentations": (Augments(),)},
            "augmentations.0: `build` of the augmentation Augments returned a",
        ),
    ],
)
def test_another_part_that_cannot_be_used_is_refused(parts: dict[str, Any], expected: str) -> None:
    assert expected in refused(LineConfig(), **parts)


class NoData(DatasetConfig):
    type: Literal["none"] = "none"

    def spec(self) -> Any:
        return {"real": (1,), "latent": (1,)}

    def build(self) -> Any:
        return [1, 2]


def test_data_without_specs_or_without_a_method_is_refused() -> None:
    text = refused(LineConfig(), data=NoData())
    assert "data: `spec` of the dataset NoData returned {'real': (1,), 'latent': (1,)}\n  Return a `TensorSpec`" in text
    for shape in ([1], "1", (-1,), (0,)):
        specs: Any = {"real": TensorSpec(shape)}  # pyright: ignore[reportArgumentType]
        assert "SpecsOf returned {'real': TensorSpec(shape=" in message(
            lambda specs=specs: read_specs(SpecsOf(specs=specs))
        )
    assert "`build` of the dataset NoData returned a list, which has no method `fetch`" in message(
        lambda: open_dataset(NoData())
    )


class SpecsOf(DatasetConfig):
    type: Literal["specs-of"] = "specs-of"
    specs: Any = None

    def spec(self) -> Any:
        return self.specs


class NoGame(LineConfig):
    type: Literal["no-game"] = "no-game"  # pyright: ignore[reportIncompatibleVariableOverride]

    def build(self, data: Any) -> Any:
        Line(self, data)


def test_a_game_that_is_not_returned_is_named() -> None:
    text = refused(NoGame())
    assert re.match(r"here\.py:\d+: game: `build` of the game NoGame returned None, not a Game", text)


def test_a_play_that_returns_no_value_is_named() -> None:
    class Forgets(Line):
        def play(self, game_round: Any, objective: Any) -> Any:
            objective(game_round)

    assert "Forgets.play returned NoneType\n  Return `objective(game_round)`" in stepped(game_of(Forgets))


# Hooks.


class Misnames:
    @hookimpl
    def on_step_end(self, run: Any, stepp: int) -> None:
        """Have an argument that there is not."""


class Raises:
    @hookimpl
    def on_step_end(self) -> None:
        raise ValueError("no such colour")


def test_an_argument_that_a_hook_does_not_have_is_named() -> None:
    text = message(lambda: RunHooks(Misnames()))
    assert re.match(r"here\.py:\d+: Misnames: the hook on_step_end has no argument 'stepp'; it has: run, ", text)


def test_a_hook_that_fails_is_named_with_its_place() -> None:
    with pytest.raises(RunFailed) as raised:
        RunHooks(Raises()).call("on_step_end", run=None, step=1, scalars={})
    assert re.search(r"'Raises' failed in on_step_end: ValueError: no such colour \(.*es\.py:\d+\)$", str(raised.value))


# Players that never move.


def test_a_player_that_no_term_moves_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    second = PlayerSpec(MakerConfig(), ("maker",), POINT)
    turns = (JUDGING, Turn("making", ("maker", "second")))
    trainer = begin([ONE, ONE], game=game_of(Specs, given={"second": second}, turns=turns))
    trainer.step()
    assert capsys.readouterr().err == (
        "the player 'second' never moves: no term of the turn 'making' gives it a gradient (square). "
        "Add one, or freeze it.\n"
    )
    trainer.step()
    assert capsys.readouterr().err == ""


def test_a_lazy_term_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    class OfSecond(RegularizerConfig):
        type: Literal["of-second"] = "of-second"

        def build(self) -> Any:
            class Weight:
                def forward(self, game_round: Any) -> Tensor:
                    return game_round.game.players["second"].weight * 1

            return Weight()

    second = PlayerSpec(MakerConfig(), ("maker",), POINT)
    game = game_of(Specs, given={"second": second}, turns=(JUDGING, Turn("making", ("maker", "second"))))
    trainer = begin([ONE] * 4, game=game, regularizers=(OfSecond(from_images=4),))
    for _ in range(4):
        trainer.step()
    assert capsys.readouterr().err == ""


def test_a_term_that_moves_nobody_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    trainer = begin(
        [ONE, ONE], regularizers=(RegularizerOf(live=Valued(lambda x: x.detach().mean()), turns=("making",)),)
    )
    trainer.step()
    trainer.step()
    assert capsys.readouterr().err == (
        "the term 'of' moves no player: its value in the turn 'making' does not depend on what trains there\n"
    )


def test_after_the_first_look_at_a_turn_nothing_is_looked_at() -> None:
    trainer = begin([ONE])
    trainer.step()
    looked = IdlePlayers(trainer.objective, 0)
    active: Any = trainer.objective.active_terms(trainer.game.turns[0], trainer.game.progress)
    value: Any = type("Value", (), {"terms": {"square": torch.ones((), requires_grad=True)}})()
    looked.look(trainer.game.turns[0], active, [value], {})
    nothing: Any = None
    looked.look(trainer.game.turns[0], nothing, nothing, nothing)


# On the command line.

DUEL = """
from typing import Literal

from ganframe import hookimpl
from ganframe_adversarial import AdversarialGame


class Duel(AdversarialGame):
    'A duel.'

    type: Literal["duel"] = "duel"

    def build(self, data):
        from ganframe.game import tensor
        from ganframe_adversarial.game import Adversarial

        class Live(Adversarial):
            @tensor
            def fake(self, game_round):
                MISTAKE

        return Live(self, data)


@hookimpl
def register_components(register):
    register(Duel)
"""

CONFIG = """
game: {type: duel, generator: {type: mlp, hidden: [4]}, discriminator: {type: mlp, hidden: [4]}}
losses: [non-saturating]
data: ring
train: {total_images: 16, batch_size: 8, device: cpu}
"""


@pytest.fixture
def duel(fake_plugin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Installs a package with a game whose maker has a mistake, and writes a config of it."""
    monkeypatch.setenv("GANFRAME_LOAD_PLUGINS", "duel,adversarial,mlp,minimax,gaussians")

    def install(mistake: str) -> Path:
        fake_plugin("duel", DUEL.replace("MISTAKE", mistake), distribution="my-duel")
        config = tmp_path / "config.yaml"
        config.write_text(CONFIG)
        return config

    return install


def test_an_exception_of_an_author_is_one_sentence_with_its_place(cli: Any, duel: Any, tmp_path: Path) -> None:
    outcome = cli("train", duel('return game_round["latent"] / self.width'), "--out", tmp_path / "run")
    file = tmp_path / "site" / "duel" / "__init__.py"
    line = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if "self.width" in text)
    assert outcome.code == 1
    assert outcome.err == (
        f"error: my-duel: {file}:{line}: AttributeError: 'Live' object has no attribute 'width'; in "
        "Live.fake, the maker of 'fake'; in the term 'non-saturating' of the turn 'discriminator'\n"
        "  With GANFRAME_TRACEBACK=1 in the environment, the traceback is shown.\n"
    )


def test_the_traceback_is_shown_on_demand(cli: Any, duel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANFRAME_TRACEBACK", "1")
    with pytest.raises(AttributeError, match="no attribute 'width'"):
        cli("train", duel("return self.width"), "--out", tmp_path / "run")


def test_a_mistake_that_is_known_is_bad_input(cli: Any, duel: Any, tmp_path: Path) -> None:
    outcome = cli("explain", duel('return game_round["latnet"]'))
    assert outcome.code == 2
    assert "losses.0: Live.fake reads the tensor 'latnet', which the game Live does not" in outcome.err
    assert ": my-duel: " in outcome.err
    assert "Did you mean 'latent'?" in outcome.err
