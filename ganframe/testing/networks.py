"""Checks of generators and discriminators."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganframe.config.networks import DiscriminatorConfig, EncoderConfig, GeneratorConfig
from ganframe.config.specs import TensorSpec
from ganframe.errors import BadInput
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.testing.fakes import BATCH, CLASSES, LABEL, SEEDED

SHAPES = ((3, 32, 32), (1, 28, 28), (3, 64, 64), (3, 16, 16), (3, 128, 128), (3, 256, 256), (2,), (8,), (1, 1024))
"""Samples that are tried in turn until a network accepts one."""


def fitting(
    config: GeneratorConfig | DiscriminatorConfig, condition: TensorSpec | None
) -> tuple[nn.Module, TensorSpec]:
    """The network for the first sample that it accepts."""
    problems: list[str] = []
    for shape in SHAPES:
        spec = TensorSpec(shape)
        torch.manual_seed(0)
        try:
            if isinstance(config, DiscriminatorConfig):
                return config.build(sample=spec, condition=condition), spec
            source = spec if config.starts_from == "sample" else None
            return config.build(output=spec, source=source, condition=condition), spec
        except BadInput as problem:
            problems.append(str(problem))
    raise AssertionError(f"the network accepts none of the samples {SHAPES}: {problems[-1]}")


class _Case:
    """A network with something to give it."""

    def __init__(self, config: GeneratorConfig | DiscriminatorConfig, batch: int = BATCH) -> None:
        condition = LABEL if config.conditional else None
        self.network, self.spec = fitting(config, condition)
        shape = self.spec.shape
        if isinstance(config, GeneratorConfig) and config.starts_from == "latent":
            latent: Any = self.network.latent_shape
            assert isinstance(latent, tuple), "a generator that starts from a latent says its `latent_shape`"
            self.source = SEEDED.normal("latent", (batch, *latent))
        else:
            self.source = SEEDED.uniform("sample", (batch, *shape)) * 2 - 1
        self.condition: tuple[Tensor, ...] = (torch.arange(batch) % CLASSES,) if config.conditional else ()

    def __call__(self, source: Tensor | None = None) -> Any:
        torch.manual_seed(1)  # for dropout, which some networks keep while sampling
        return self.network(self.source if source is None else source, *self.condition)


def _logits(output: DiscriminatorOutput) -> Tensor:
    return output.logits


def right_shape(config: GeneratorConfig) -> None:
    """Samples have the shape that was asked for, in float32, also for a batch of one."""
    case = _Case(config)
    made = case()
    assert made.shape == (BATCH, *case.spec.shape)
    assert made.dtype == torch.float32
    alone = _Case(config, batch=1)
    alone.network.eval()
    assert alone().shape == (1, *case.spec.shape)


def every_parameter_learns(config: GeneratorConfig) -> None:
    """Every parameter gets a gradient."""
    case = _Case(config)
    made = case()
    (made * SEEDED.normal("weights", tuple(made.shape))).sum().backward()
    _assert_gradients(case.network)


def _assert_gradients(network: nn.Module) -> None:
    bare = [name for name, each in network.named_parameters() if each.requires_grad and each.grad is None]
    assert not bare, f"no gradient: {', '.join(bare)}"


def seed_fixes_initialisation(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """The same seed gives the same parameters, another seed others."""
    first, second = _Case(config).network.state_dict(), _Case(config).network.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    torch.manual_seed(99)
    condition = LABEL if config.conditional else None
    spec = _Case(config).spec
    torch.manual_seed(99)
    if isinstance(config, DiscriminatorConfig):
        other = config.build(sample=spec, condition=condition)
    else:
        source = spec if config.starts_from == "sample" else None
        other = config.build(output=spec, source=source, condition=condition)
    assert any(not torch.equal(first[name], each) for name, each in other.state_dict().items())


def state_round_trip(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """A network that takes over another's state dict gives the same outputs."""
    case, other = _Case(config), _Case(config)
    with torch.no_grad():
        for parameter in case.network.parameters():
            parameter.add_(0.01)
    other.network.load_state_dict(case.network.state_dict())
    case.network.eval()
    other.network.eval()
    assert torch.equal(_output(case()), _output(other()))


def _output(made: Any) -> Tensor:
    return _logits(made) if isinstance(made, DiscriminatorOutput) else made


def deterministic_in_eval(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """In eval mode the same input and seed give the same output, and the state stays as it was."""
    case = _Case(config)
    case.network.eval()
    before = {name: each.clone() for name, each in case.network.state_dict().items()}
    assert torch.equal(_output(case()), _output(case()))
    assert all(torch.equal(before[name], each) for name, each in case.network.state_dict().items())


def labels_if_conditional(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """Another label changes the output of a conditional network; one that is not says so in its class."""
    if not config.conditional:
        _Case(config)()
        return
    case = _Case(config)
    case.network.eval()
    with torch.no_grad():
        for parameter in case.network.parameters():
            parameter.add_(SEEDED.normal("nudge", tuple(parameter.shape)) * 0.1)  # past an embedding that starts at 0
    before = _output(case())
    case.condition = ((case.condition[0] + 1) % CLASSES,)
    assert not torch.equal(before, _output(case())), "the label makes no difference"


def compiles(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """Traced by torch.compile, the network gives the same outputs."""
    case = _Case(config)
    case.network.eval()
    with torch.no_grad():
        expected = _output(case())
        torch.compiler.reset()
        traced = torch.compile(case.network, backend="aot_eager")
        torch.manual_seed(1)
        found = _output(traced(case.source, *case.condition))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def bf16_agrees(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """Under bf16 autocast the outputs differ by at most a twentieth of their norm."""
    case = _Case(config)
    case.network.eval()
    with torch.no_grad():
        expected = _output(case())
        with torch.autocast("cpu", torch.bfloat16):
            found = _output(case()).float()
    scale = expected.norm() + 1e-3 * expected.numel() ** 0.5
    assert float((found - expected).norm() / scale) < 0.05


def leading_batch_axis(config: DiscriminatorConfig) -> None:
    """Everything in a verdict has the batch first, also for a batch of one, and what the class promises is there."""
    for size in (BATCH, 1):
        case = _Case(config, batch=size)
        case.network.eval()
        output: DiscriminatorOutput = case()
        tensors = [output.logits, *output.features, *([] if output.class_logits is None else [output.class_logits])]
        assert all(len(each) == size for each in tensors)
        assert ("features" in config.provides) == bool(output.features), "`gives` and the verdict disagree on features"
        assert ("class_logits" in config.provides) == (output.class_logits is not None), (
            "`gives` and the verdict disagree"
        )


def input_untouched(config: DiscriminatorConfig) -> None:
    """Judging does not change the sample."""
    case = _Case(config)
    before = case.source.clone()
    case()
    assert torch.equal(before, case.source)


def double_backward(config: DiscriminatorConfig) -> None:
    """The gradient of a gradient penalty reaches the parameters, where the class promises second order."""
    if not config.supports_double_backward:
        return
    case = _Case(config)
    sample = case.source.requires_grad_()
    output: DiscriminatorOutput = case()
    (slope,) = torch.autograd.grad(output.logits.sum(), sample, create_graph=True)
    slope.square().sum().backward()
    reached = [each for each in case.network.parameters() if each.grad is not None and bool(each.grad.any())]
    assert reached, "no parameter is reached"


def samples_judged_alone(config: DiscriminatorConfig) -> None:
    """The order of the batch does not matter, unless the class says that samples are coupled."""
    if config.batch_coupled:
        return
    case = _Case(config)
    for module in case.network.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)):
            module.eval()
    # A forward pass in training mode may leave a state behind, such as that of a power iteration.
    before = {name: each.clone() for name, each in case.network.state_dict().items()}
    with torch.no_grad():
        straight = _logits(case())
        case.network.load_state_dict(before)
        case.condition = tuple(each.flip(0) for each in case.condition)
        turned = _logits(case(case.source.flip(0)))
    torch.testing.assert_close(straight, turned.flip(0), rtol=1e-4, atol=1e-5)


def frozen_features(config: EncoderConfig) -> None:
    """Activations have the batch first and are the same each time; only the sample gets a gradient."""
    network = config.build()
    assert not network.training, "an encoder is in eval mode"
    for shape in ((3, 64, 64), (1, 28, 28)):
        sample = (SEEDED.uniform("sample", (BATCH, *shape)) * 2 - 1).requires_grad_()
        features: tuple[Tensor, ...] = network(sample)
        assert isinstance(features, tuple), "an encoder gives a tuple of activations"
        assert features
        assert all(len(each) == BATCH and bool(each.isfinite().all()) for each in features)
        assert all(torch.equal(each, again) for each, again in zip(features, network(sample), strict=True))
        torch.stack([each.square().sum() for each in features]).sum().backward()
        assert sample.grad is not None
        assert bool(sample.grad.any())
    assert not any(each.requires_grad for each in network.parameters()), "an encoder is frozen"


_BOTH = {
    "the seed fixes the initialisation": seed_fixes_initialisation,
    "state round trip": state_round_trip,
    "deterministic in eval mode": deterministic_in_eval,
    "labels used if and only if conditional": labels_if_conditional,
    "compile agrees": compiles,
    "bf16 agrees": bf16_agrees,
}

CHECKS = {
    "generator": {
        "shape, dtype and batch of one": right_shape,
        "every parameter gets a gradient": every_parameter_learns,
        **_BOTH,
    },
    "discriminator": {
        "leading batch axis": leading_batch_axis,
        "input untouched": input_untouched,
        "double backward reaches the parameters": double_backward,
        "order of the batch does not matter": samples_judged_alone,
        **_BOTH,
    },
    "encoder": {"frozen activations": frozen_features},
}
