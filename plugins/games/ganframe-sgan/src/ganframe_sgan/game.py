"""The game of SGAN."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from ganframe.config import BadInput, DataSpec
from ganframe.game import Contest, Game, PlayerSpec, Round, Turn, draw_latents, tensor
from ganframe_sgan import SGANGame


class SemiSupervised(Game):
    """Generator against discriminator. The term `classification` makes the discriminator classify.

    References:
        Odena 2016, arXiv:1606.01583; Salimans et al. 2016, arXiv:1606.03498, section 5.
    """

    inputs = ("real", "labelled", "label")
    output = "fake"
    pictures = ("fake",)
    sampling_inputs = ("latent",)
    contests = (Contest("discriminator", real="real", fake="fake"),)
    turns = (Turn("discriminator", players=("discriminator",)), Turn("generator", players=("generator",)))

    def __init__(self, config: SGANGame, data: DataSpec) -> None:
        self.config = config
        super().__init__(data)
        if config.share_round:
            raise BadInput(
                "class logits carry gradients to the discriminator, so turns cannot share a round",
                path=("share_round",),
                remedy="Leave the setting out.",
            )
        _check_classes(config, data)

    @override
    def player_specs(self) -> dict[str, PlayerSpec]:
        sample = self.data["real"]
        return {
            "generator": PlayerSpec(self.config.generator, ("generator",), sample),
            "discriminator": PlayerSpec(self.config.discriminator, ("discriminator",), sample),
        }

    @tensor
    def latent(self, game_round: Round) -> Tensor:
        """Draw from N(0, 1), `(B, *latent_shape)`."""
        return draw_latents(game_round)

    @tensor
    def fake(self, game_round: Round) -> Tensor:
        """Return G(z)."""
        return self.players["generator"](game_round["latent"])

    @tensor
    def class_logits(self, game_round: Round) -> Tensor | None:
        """Return the discriminator's class logits of the labelled examples."""
        return game_round.discriminate("discriminator", game_round["labelled"]).class_logits


def _check_classes(config: SGANGame, data: DataSpec) -> None:
    name = config.discriminator.type_name()
    classes = getattr(config.discriminator, "classes", None)
    if "class_logits" not in config.discriminator.provides or classes is None:
        message = f"{name!r} does not classify, but this game needs class logits"
        raise BadInput(message, path=("discriminator",), remedy="Use the discriminator `sgan`.")
    if classes != data["label"].classes:
        raise BadInput(
            f"{name!r} has {classes} classes, but the data's label is {data['label']}",
            path=("discriminator", "classes"),
            remedy="Set it to the data's number of classes.",
        )
