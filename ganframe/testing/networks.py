"""Checks of generators, discriminators and encoders."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ganframe.config.networks import DiscriminatorConfig, EncoderConfig, GeneratorConfig
from ganframe.config.tensor_specs import TensorSpec
from ganframe.errors import BadInput
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.testing.fakes import BATCH, CLASSES, LABEL, RANDOMNESS

SHAPES = ((3, 32, 32), (1, 28, 28), (3, 64, 64), (3, 16, 16), (3, 128, 128), (3, 256, 256), (2,), (8,), (1, 1024))
"""Shapes of samples, in the order in which they are tried; a network is checked with the first that it accepts."""


def build_for_first_fit(
    config: GeneratorConfig | DiscriminatorConfig, condition: TensorSpec | None
) -> tuple[nn.Module, TensorSpec]:
    """Build the network for the first of `SHAPES` that it accepts, and return it with the spec of its samples.

    Raises:
        AssertionError: When the network accepts none of `SHAPES`.
    """
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
    raise AssertionError(f"the network accepts none of the sample shapes {SHAPES}: {problems[-1]}")


class _NetworkCase:
    """A network built from a config, with a batch of inputs for it."""

    def __init__(self, config: GeneratorConfig | DiscriminatorConfig, batch: int = BATCH) -> None:
        condition = LABEL if config.conditional else None
        self.network, self.spec = build_for_first_fit(config, condition)
        shape = self.spec.shape
        if isinstance(config, GeneratorConfig) and config.starts_from == "latent":
            latent: Any = self.network.latent_shape
            assert isinstance(latent, tuple), "a generator that starts from a latent needs a tuple `latent_shape`"
            self.source = RANDOMNESS.normal("latent", (batch, *latent))
        else:
            self.source = RANDOMNESS.uniform("sample", (batch, *shape)) * 2 - 1
        self.condition: tuple[Tensor, ...] = (torch.arange(batch) % CLASSES,) if config.conditional else ()

    def __call__(self, source: Tensor | None = None) -> Any:
        torch.manual_seed(1)  # for dropout, which some networks keep active while sampling
        return self.network(self.source if source is None else source, *self.condition)


def _logits(output: DiscriminatorOutput) -> Tensor:
    return output.logits


def right_shape(config: GeneratorConfig) -> None:
    """Samples have the requested shape and the dtype float32, also in a batch of one example."""
    case = _NetworkCase(config)
    output = case()
    assert output.shape == (BATCH, *case.spec.shape)
    assert output.dtype == torch.float32
    single = _NetworkCase(config, batch=1)
    single.network.eval()
    assert single().shape == (1, *case.spec.shape)


def latents_are_told(config: GeneratorConfig) -> None:
    """The latent that `latent_specs()` of the config tells, if it tells it, is the `latent_shape` of the network."""
    told = config.latent_specs().get("latent")
    if told is None:
        return
    assert config.starts_from == "latent", "`latent_specs` tells a latent, but the network starts from a sample"
    built = getattr(_NetworkCase(config).network, "latent_shape", told.shape)
    assert told.shape == built, f"`latent_specs` tells {told.shape}, but `latent_shape` is {built}"


def every_parameter_learns(config: GeneratorConfig) -> None:
    """Every trainable parameter gets a gradient from the samples."""
    case = _NetworkCase(config)
    output = case()
    (output * RANDOMNESS.normal("weights", tuple(output.shape))).sum().backward()
    _assert_gradients(case.network)


def _assert_gradients(network: nn.Module) -> None:
    parameters = network.named_parameters()
    missing = [name for name, parameter in parameters if parameter.requires_grad and parameter.grad is None]
    assert not missing, f"no gradient: {', '.join(missing)}"


def seed_fixes_initialisation(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """Networks built from the same seed have the same initial parameters; another seed gives different ones."""
    first, second = _NetworkCase(config).network.state_dict(), _NetworkCase(config).network.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    torch.manual_seed(99)
    condition = LABEL if config.conditional else None
    spec = _NetworkCase(config).spec
    torch.manual_seed(99)
    if isinstance(config, DiscriminatorConfig):
        other = config.build(sample=spec, condition=condition)
    else:
        source = spec if config.starts_from == "sample" else None
        other = config.build(output=spec, source=source, condition=condition)
    assert any(not torch.equal(first[name], tensor) for name, tensor in other.state_dict().items())


def state_round_trip(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """A second network that loads the state dict of the first gives the same outputs."""
    case, other = _NetworkCase(config), _NetworkCase(config)
    with torch.no_grad():
        for parameter in case.network.parameters():
            parameter.add_(0.01)
    other.network.load_state_dict(case.network.state_dict())
    case.network.eval()
    other.network.eval()
    assert torch.equal(_tensor(case()), _tensor(other()))


def _tensor(output: Any) -> Tensor:
    return _logits(output) if isinstance(output, DiscriminatorOutput) else output


def deterministic_in_eval(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """In eval mode the same input and seed give the same output, and a forward pass does not change the state dict."""
    case = _NetworkCase(config)
    case.network.eval()
    before = {name: tensor.clone() for name, tensor in case.network.state_dict().items()}
    assert torch.equal(_tensor(case()), _tensor(case()))
    assert all(torch.equal(before[name], tensor) for name, tensor in case.network.state_dict().items())


def labels_if_conditional(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """Other labels change the output of a conditional network; an unconditional network works without labels."""
    if not config.conditional:
        _NetworkCase(config)()
        return
    case = _NetworkCase(config)
    case.network.eval()
    with torch.no_grad():
        for parameter in case.network.parameters():
            parameter.add_(RANDOMNESS.normal("nudge", tuple(parameter.shape)) * 0.1)  # an embedding may start at 0
    before = _tensor(case())
    case.condition = ((case.condition[0] + 1) % CLASSES,)
    assert not torch.equal(before, _tensor(case())), "the label makes no difference"


def compiles(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """In eval mode the network gives the same outputs with `torch.compile` as without it."""
    case = _NetworkCase(config)
    case.network.eval()
    with torch.no_grad():
        expected = _tensor(case())
        torch.compiler.reset()
        compiled = torch.compile(case.network, backend="aot_eager")
        torch.manual_seed(1)
        found = _tensor(compiled(case.source, *case.condition))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def bf16_agrees(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """Under bf16 autocast the outputs differ from those in float32 by less than 5 % of their norm."""
    case = _NetworkCase(config)
    case.network.eval()
    with torch.no_grad():
        expected = _tensor(case())
        with torch.autocast("cpu", torch.bfloat16):
            found = _tensor(case()).float()
    scale = expected.norm() + 1e-3 * expected.numel() ** 0.5
    assert float((found - expected).norm() / scale) < 0.05


def leading_batch_axis(config: DiscriminatorConfig) -> None:
    """Every output has the batch axis first, also in a batch of one example.

    `provides` names the optional outputs that the network returns, and no others: `features`, `class_logits`.
    """
    for size in (BATCH, 1):
        case = _NetworkCase(config, batch=size)
        case.network.eval()
        output: DiscriminatorOutput = case()
        tensors = [output.logits, *output.features, *([] if output.class_logits is None else [output.class_logits])]
        assert all(len(tensor) == size for tensor in tensors)
        has_class_logits = output.class_logits is not None
        assert ("features" in config.provides) == bool(output.features), "`provides` is wrong about features"
        assert ("class_logits" in config.provides) == has_class_logits, "`provides` is wrong about class_logits"


def input_untouched(config: DiscriminatorConfig) -> None:
    """A forward pass does not change the sample in place."""
    case = _NetworkCase(config)
    before = case.source.clone()
    case()
    assert torch.equal(before, case.source)


def double_backward(config: DiscriminatorConfig) -> None:
    """The gradient of a gradient penalty reaches the parameters.

    Not checked where `supports_double_backward` is False.
    """
    if not config.supports_double_backward:
        return
    case = _NetworkCase(config)
    sample = case.source.requires_grad_()
    output: DiscriminatorOutput = case()
    (gradient,) = torch.autograd.grad(output.logits.sum(), sample, create_graph=True)
    gradient.square().sum().backward()
    gradients = [parameter.grad for parameter in case.network.parameters() if parameter.grad is not None]
    assert any(bool(grad.any()) for grad in gradients), "no parameter is reached"


def batch_order_does_not_matter(config: DiscriminatorConfig) -> None:
    """The same examples in another order have the same logits.

    Not checked where `batch_coupled` is True.
    """
    if config.batch_coupled:
        return
    case = _NetworkCase(config)
    for module in case.network.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)):
            module.eval()
    # A forward pass in training mode may change buffers, such as the vectors of spectral normalisation.
    before = {name: tensor.clone() for name, tensor in case.network.state_dict().items()}
    with torch.no_grad():
        output = _logits(case())
        case.network.load_state_dict(before)
        case.condition = tuple(condition.flip(0) for condition in case.condition)
        flipped = _logits(case(case.source.flip(0)))
    torch.testing.assert_close(output, flipped.flip(0), rtol=1e-4, atol=1e-5)


def frozen_features(config: EncoderConfig) -> None:
    """Activations are finite, have the batch axis first, and are the same for the same samples.

    The samples get a gradient through the encoder; its parameters do not.
    """
    network = config.build()
    assert not network.training, "an encoder must be in eval mode"
    for shape in ((3, 64, 64), (1, 28, 28)):
        sample = (RANDOMNESS.uniform("sample", (BATCH, *shape)) * 2 - 1).requires_grad_()
        features: tuple[Tensor, ...] = network(sample)
        assert isinstance(features, tuple), "an encoder must return a tuple of activations"
        assert features
        assert all(len(feature) == BATCH and bool(feature.isfinite().all()) for feature in features)
        assert all(torch.equal(*pair) for pair in zip(features, network(sample), strict=True))
        torch.stack([feature.square().sum() for feature in features]).sum().backward()
        assert sample.grad is not None
        assert bool(sample.grad.any())
    assert not any(parameter.requires_grad for parameter in network.parameters()), "an encoder must be frozen"


_NETWORK_CHECKS = {
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
        "the config tells the latent of the network": latents_are_told,
        "every parameter gets a gradient": every_parameter_learns,
        **_NETWORK_CHECKS,
    },
    "discriminator": {
        "leading batch axis": leading_batch_axis,
        "input untouched": input_untouched,
        "double backward reaches the parameters": double_backward,
        "order of the batch does not matter": batch_order_does_not_matter,
        **_NETWORK_CHECKS,
    },
    "encoder": {"frozen activations": frozen_features},
}
