"""The game of SGAN."""

from __future__ import annotations

from torch import Tensor

from ganframe.config import BadInput, DataSpec
from ganframe.game import Contest, Game, PlayerSpec, Round, Turn, tensor
from ganframe_sgan import SGANGame


class SemiSupervised(Game):
    """Generator against discriminator. That the discriminator classifies is a term's business: `classification`."""

    inputs = ("real", "labelled", "label")
    output = "fake"
    pictures = ("fake",)
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", players=("discriminator",)), Turn("generator", players=("generator",)))

    def __init__(self, config: SGANGame, data: DataSpec) -> None:
        self.config = config
        super().__init__(data)
        if config.share_round:
            raise BadInput(
                "class logits are made for the discriminator's turn, so its round cannot be shared",
                path=("share_round",),
                remedy="Leave the setting out.",
            )
        _check_classes(config, data)

    def player_specs(self) -> dict[str, PlayerSpec]:
        """Who plays."""
        sample = self.data["real"]
        return {
            "generator": PlayerSpec(self.config.generator, ("generator",), sample),
            "discriminator": PlayerSpec(self.config.discriminator, ("discriminator",), sample),
        }

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        """Draws from N(0, 1), in the shape that the generator declares."""
        return game_round.randomness.normal(
            "latent", (game_round.size, *self.players["generator"].latent_shape), game_round.device
        )

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """What the generator makes of the latents."""
        return self.players["generator"](game_round["latent"])

    @tensor
    def class_logits(self, game_round: Round) -> Tensor | None:
        """Which class the discriminator sees in each labelled example."""
        return game_round.discriminate("discriminator", game_round["labelled"]).class_logits


def _check_classes(config: SGANGame, data: DataSpec) -> None:
    name = config.discriminator.type_name()
    classes, known = data["label"].classes, getattr(config.discriminator, "classes", None)
    if "class_logits" not in config.discriminator.provides or known is None:
        message = f"{name!r} does not classify, but this game needs class logits"
        raise BadInput(message, path=("discriminator",), remedy="Use the discriminator `sgan`.")
    if known != classes:
        raise BadInput(
            f"{name!r} tells {known} classes apart, but the data's label is {data['label']}",
            path=("discriminator", "classes"),
            remedy="Set it to the data's number of classes.",
        )
