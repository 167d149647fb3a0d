"""Games: the networks, tensors and optimizer steps of a training method, and the objective that it minimises.

Plugins import from here what the objects that their configs build need, such as `Game`, `Round` and `SeparableLoss`.
"""

from ganframe.distributed.collectives import gather, mean_over_ranks, sum_over_ranks
from ganframe.distributed.shard import Shard, this_shard
from ganframe.errors import BadInput
from ganframe.game.contest import Contest, Side
from ganframe.game.contest_regularizer import ContestRegularizer
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.encoder_inputs import as_rgb
from ganframe.game.frozen_weights import load_frozen_weights
from ganframe.game.game import Game
from ganframe.game.gradient_penalty import GradientPenalty
from ganframe.game.initialization import init_normal
from ganframe.game.latents import Prior, draw_latents
from ganframe.game.makers import tensor, tensors
from ganframe.game.objective import ObjectiveValue
from ganframe.game.player_spec import PlayerSpec
from ganframe.game.protocols import (
    Augmentation,
    Balancer,
    Discriminator,
    Encoder,
    Generator,
    LabelPolicy,
    Loss,
    Metric,
    Optimizer,
    Regularizer,
    TurnCondition,
)
from ganframe.game.round import Round
from ganframe.game.samples import Sample, map_parts, per_example, sample_parts
from ganframe.game.separable_loss import SeparableLoss
from ganframe.game.turn import Turn
from ganframe.game.wrapper import Wrapper
from ganframe.randomness import Randomness

__all__ = [
    "Augmentation",
    "BadInput",
    "Balancer",
    "Contest",
    "ContestRegularizer",
    "Discriminator",
    "DiscriminatorOutput",
    "Encoder",
    "Game",
    "Generator",
    "GradientPenalty",
    "LabelPolicy",
    "Loss",
    "Metric",
    "ObjectiveValue",
    "Optimizer",
    "PlayerSpec",
    "Prior",
    "Randomness",
    "Regularizer",
    "Round",
    "Sample",
    "SeparableLoss",
    "Shard",
    "Side",
    "Turn",
    "TurnCondition",
    "Wrapper",
    "as_rgb",
    "draw_latents",
    "gather",
    "init_normal",
    "load_frozen_weights",
    "map_parts",
    "mean_over_ranks",
    "per_example",
    "sample_parts",
    "sum_over_ranks",
    "tensor",
    "tensors",
    "this_shard",
]
