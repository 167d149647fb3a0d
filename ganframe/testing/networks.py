"""Checks of generators, discriminators and encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from ganframe.config.networks import DiscriminatorConfig, EncoderConfig, GeneratorConfig
from ganframe.config.tensor_specs import SampleSpec, TensorSpec
from ganframe.errors import BadInput
from ganframe.game.discriminator_output import DiscriminatorOutput
from ganframe.game.samples import Sample, map_parts, sample_parts
from ganframe.testing.fakes import BATCH, LABEL, RANDOMNESS, grown, random_sample

IMAGE, VECTOR = TensorSpec((3, 32, 32)), TensorSpec((8,))
SHAPES = ((3, 32, 32), (1, 28, 28), (3, 64, 64), (3, 16, 16), (3, 128, 128), (3, 256, 256), (2,), (8,), (1, 1024))
"""Shapes of samples to try, in this order. A network is tested with the first that it accepts."""
PAIRS = ((IMAGE, VECTOR), (IMAGE, IMAGE), (VECTOR, IMAGE), (VECTOR, VECTOR))
"""Pairs to try after `SHAPES`: the two tensors of a discriminator's sample, or a generator's source and output."""


def _build_arguments(
    config: GeneratorConfig | DiscriminatorConfig, condition: TensorSpec | None
) -> Iterator[dict[str, Any]]:
    """Yield the arguments of `build` to try: those of `example_specs`, or else `SHAPES` and `PAIRS`."""
    given = config.example_specs()
    if given is not None:
        yield {"condition": None, **given}
        return
    samples: list[SampleSpec] = [*map(TensorSpec, SHAPES), *PAIRS]
    for sample in samples:
        if isinstance(config, DiscriminatorConfig):
            yield {"sample": sample, "condition": condition}
        elif config.starts_from == "sample":
            source, output = sample if isinstance(sample, tuple) else (sample, sample)
            yield {"output": output, "source": source, "condition": condition}
        elif not isinstance(sample, tuple):
            yield {"output": sample, "source": None, "condition": condition}


def build_for_first_fit(
    config: GeneratorConfig | DiscriminatorConfig, condition: TensorSpec | None
) -> tuple[nn.Module, Mapping[str, Any]]:
    """Build the network with the first specs that it accepts, and return it with the arguments of `build`.

    Args:
        config: The config of the network.
        condition: The spec of the condition, unless `example_specs` of the config has another; None if unconditional.

    Raises:
        AssertionError: When the network accepts none of the specs.
    """
    problems: list[str] = []
    for arguments in _build_arguments(config, condition):
        torch.manual_seed(0)
        try:
            build: Any = config.build
            return grown(build(**arguments)), arguments
        except BadInput as problem:
            problems.append(str(problem))
    raise AssertionError(
        f"the network accepts none of the specs that the kit tries; return its own from `example_specs` of the config. "
        f"The last refusal: {problems[-1]}"
    )


class _NetworkCase:
    """A network built from a config, with a batch of inputs for it.

    Attributes:
        network: The network.
        arguments: The arguments of `build`.
        source: The first argument of `forward`: latents or samples.
        condition: The other arguments of `forward`: the condition, if the network takes one.
    """

    def __init__(self, config: GeneratorConfig | DiscriminatorConfig, batch: int = BATCH) -> None:
        self.network, self.arguments = build_for_first_fit(config, LABEL if config.conditional else None)
        source: SampleSpec | None = self.arguments["sample" if isinstance(config, DiscriminatorConfig) else "source"]
        self.source: Any = self._latents(config, batch) if source is None else random_sample("sample", source, batch)
        condition: SampleSpec | None = self.arguments["condition"]
        self.condition: tuple[Sample, ...] = ()
        if condition is not None:
            self.condition = (random_sample("condition", condition, batch),)

    def _latents(self, config: Any, batch: int) -> Any:
        known = config.latent_specs()
        latent: Any = getattr(self.network, "latent_shape", known["latent"].shape if "latent" in known else None)
        assert isinstance(latent, tuple), (
            "a generator that starts from a latent needs a tuple `latent_shape`, or `latent_specs` of its config"
        )
        return RANDOMNESS.normal("latent", (batch, *latent))

    def __call__(self, source: Any = None) -> Any:
        torch.manual_seed(1)  # for dropout, which some networks keep active while sampling
        return self.network(self.source if source is None else source, *self.condition)


def _logits(output: DiscriminatorOutput) -> Tensor:
    return output.logits


def _made(output: Any) -> list[Tensor]:
    """Return all tensors that a generator returned: its sample, and any others."""
    made: Any = list(output.values()) if isinstance(output, Mapping) else output
    return [part for each in made for part in sample_parts(each)] if isinstance(made, (tuple, list)) else [made]


def right_shape(config: GeneratorConfig) -> None:
    """Samples have the requested shape and dtype float32, even if the batch has one example.

    A generator may return several tensors, as a tuple or by name. All must have the batch axis first, and one must be
    the sample.
    """
    for size in (BATCH, 1):
        case = _NetworkCase(config, batch=size)
        if size == 1:
            case.network.eval()
        made, expected = _made(case()), (size, *case.arguments["output"].shape)
        shapes = [tuple(each.shape) for each in made]
        assert expected in shapes, f"the network was asked for {expected} and made {shapes}"
        assert all(shape[:1] == (size,) for shape in shapes), f"of {size} examples, the network made {shapes}"
        assert made[shapes.index(expected)].dtype == torch.float32, "samples must be float32"


def latents_are_told(config: GeneratorConfig) -> None:
    """If `latent_specs()` of the config has the latent, its shape equals `latent_shape` of the network."""
    told = config.latent_specs().get("latent")
    if told is None:
        return
    assert config.starts_from == "latent", "`latent_specs` tells a latent, but the network starts from a sample"
    built = getattr(_NetworkCase(config).network, "latent_shape", told.shape)
    assert told.shape == built, f"`latent_specs` tells {told.shape}, but `latent_shape` is {built}"


def every_parameter_learns(config: GeneratorConfig) -> None:
    """Every trainable parameter gets a gradient from the samples."""
    case = _NetworkCase(config)
    made = [each for each in _made(case()) if each.requires_grad]
    assert made, "what the network makes does not depend on its parameters"
    weighted = [(each * RANDOMNESS.normal("weights", tuple(each.shape))).sum() for each in made]
    torch.stack(weighted).sum().backward()
    _assert_gradients(case.network)


def _assert_gradients(network: nn.Module) -> None:
    parameters = network.named_parameters()
    missing = [name for name, parameter in parameters if parameter.requires_grad and parameter.grad is None]
    assert not missing, (
        f"no gradient: {', '.join(missing)}. Leave them out, freeze them (`requires_grad_(False)`), or where only a "
        "term calls them, let the test expect this failure and say so: `conformance(package, {check: reason})`"
    )


def seed_fixes_initialisation(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """Networks built from the same seed have the same initial parameters; another seed gives others."""
    first, second = _NetworkCase(config).network.state_dict(), _NetworkCase(config).network.state_dict()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different, f"not fixed by torch's global seed: {', '.join(different)}"
    arguments, build = _NetworkCase(config).arguments, cast(Any, config.build)
    torch.manual_seed(99)
    other: nn.Module = build(**arguments)
    changed = any(not torch.equal(first[name], tensor) for name, tensor in other.state_dict().items())
    assert changed, "another seed gives the same parameters: draw them from torch's global random state"


def state_round_trip(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """A second network that loads the state dict of the first returns the same."""
    case, other = _NetworkCase(config), _NetworkCase(config)
    with torch.no_grad():
        for parameter in case.network.parameters():
            parameter.add_(0.01)
    other.network.load_state_dict(case.network.state_dict())
    case.network.eval()
    other.network.eval()
    assert torch.equal(_tensor(case()), _tensor(other())), (
        "the outputs differ, so the state dict is not all: register tensors as parameters or buffers"
    )


def _tensor(output: Any) -> Tensor:
    """Return the numbers that a network returned as a matrix, with one row for each example."""
    made = [_logits(output)] if isinstance(output, DiscriminatorOutput) else _made(output)
    return torch.cat([each.reshape(len(each), -1).float() for each in made], dim=1)


def deterministic_in_eval(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """In eval mode, the same input and seed give the same output, and `forward` does not change the state dict."""
    case = _NetworkCase(config)
    case.network.eval()
    before = {name: tensor.clone() for name, tensor in case.network.state_dict().items()}
    assert torch.equal(_tensor(case()), _tensor(case())), (
        "two passes differ: draw nothing in eval mode, or from torch's seed"
    )
    changed = [name for name, tensor in case.network.state_dict().items() if not torch.equal(before[name], tensor)]
    assert not changed, f"a forward pass in eval mode changes {', '.join(changed)}: update them only while training"


def labels_if_conditional(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """The output of a conditional network depends on the condition; an unconditional network works without one."""
    case = _NetworkCase(config)
    if not case.condition:
        case()
        return
    case.network.eval()
    with torch.no_grad():
        for parameter in case.network.parameters():
            parameter.add_(RANDOMNESS.normal("nudge", tuple(parameter.shape)) * 0.1)  # an embedding may start at 0
    before = _tensor(case())
    case.condition = (map_parts(case.condition[0], lambda part: part.roll(1, 0)),)
    assert not torch.equal(before, _tensor(case())), (
        "the condition makes no difference: use it, or set `conditional = False`"
    )


def compiles(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """In eval mode, the outputs are the same with `torch.compile` as without it."""
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
    """Under bf16 autocast, the outputs differ from those in float32 by less than 5% of their norm."""
    case = _NetworkCase(config)
    case.network.eval()
    with torch.no_grad():
        expected = _tensor(case())
        with torch.autocast("cpu", torch.bfloat16):
            found = _tensor(case()).float()
    scale = expected.norm() + 1e-3 * expected.numel() ** 0.5
    difference = float((found - expected).norm() / scale)
    assert difference < 0.05, f"bf16 differs by {difference:.1%}: compute what needs it in float32, outside of autocast"


def leading_batch_axis(config: DiscriminatorConfig) -> None:
    """Logits, features and class logits have the batch axis first, even if the batch has one example.

    `provides` of the config names exactly the optional outputs that the network returns: `features`, `class_logits`.
    """
    for size in (BATCH, 1):
        case = _NetworkCase(config, batch=size)
        case.network.eval()
        output: DiscriminatorOutput = case()
        names = getattr(case.network, "head_names", ())
        assert len(output.heads) == len(names), f"{len(output.heads)} heads, but `head_names` is {names}"
        for each in (output, *output.heads):
            tensors = [each.logits, *each.features, *([] if each.class_logits is None else [each.class_logits])]
            rows = [len(tensor) for tensor in tensors]
            assert set(rows) == {size}, f"of {size} samples, the logits, features and class logits have {rows} rows"
        has_class_logits = output.class_logits is not None
        assert ("features" in config.provides) == bool(output.features), "`provides` is wrong about features"
        assert ("class_logits" in config.provides) == has_class_logits, "`provides` is wrong about class_logits"


def input_untouched(config: DiscriminatorConfig) -> None:
    """`forward` does not change the sample in place."""
    case = _NetworkCase(config)
    before = map_parts(case.source, Tensor.clone)
    case()
    same = all(torch.equal(*pair) for pair in zip(sample_parts(before), sample_parts(case.source), strict=True))
    assert same, "the network writes into its sample: use operations that make a new tensor"


def double_backward(config: DiscriminatorConfig) -> None:
    """The gradient of a gradient penalty reaches the parameters.

    Not checked if `supports_double_backward` is False.
    """
    if not config.supports_double_backward:
        return
    case = _NetworkCase(config)
    samples = [part.requires_grad_() for part in sample_parts(case.source) if part.is_floating_point()]
    output: DiscriminatorOutput = case()
    gradients = torch.autograd.grad(output.logits.sum(), samples, create_graph=True, materialize_grads=True)
    torch.stack([gradient.square().sum() for gradient in gradients]).sum().backward()
    reached = [parameter.grad for parameter in case.network.parameters() if parameter.grad is not None]
    assert any(bool(grad.any()) for grad in reached), (
        "no parameter is reached: use operations with second derivatives, or set `supports_double_backward = False`"
    )


def batch_order_does_not_matter(config: DiscriminatorConfig) -> None:
    """The logits of a sample do not depend on its place in the batch.

    Not checked if `batch_coupled` is True.
    """
    if config.batch_coupled:
        return
    case = _NetworkCase(config)
    for module in case.network.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)):
            module.eval()
    # In training mode `forward` may change buffers, such as the vectors of spectral normalisation.
    before = {name: tensor.clone() for name, tensor in case.network.state_dict().items()}
    with torch.no_grad():
        output = _logits(case())
        case.network.load_state_dict(before)
        case.condition = tuple(map_parts(condition, _flipped) for condition in case.condition)
        flipped = _logits(case(map_parts(case.source, _flipped)))
    torch.testing.assert_close(
        output, flipped.flip(0), rtol=1e-4, atol=1e-5, msg=lambda text: f"set `batch_coupled = True`? {text}"
    )


def _flipped(part: Tensor) -> Tensor:
    return part.flip(0)


def frozen_features(config: EncoderConfig) -> None:
    """Activations are finite, have the batch axis first, and are the same for the same samples.

    The samples get a gradient through the encoder, unless its config says that it is not `differentiable`; its
    parameters do not.
    """
    network = config.build()
    assert not network.training, "an encoder must be in eval mode"
    for spec in config.example_specs():
        sample = (RANDOMNESS.uniform("sample", (BATCH, *spec.shape)) * 2 - 1).requires_grad_()
        features: tuple[Tensor, ...] = network(sample)
        assert isinstance(features, tuple), "an encoder must return a tuple of activations"
        assert features, "an encoder must return at least one activation"
        assert all(len(feature) == BATCH for feature in features), "activations must have the batch axis first"
        assert all(bool(feature.isfinite().all()) for feature in features), "activations must be finite"
        same = all(torch.equal(*pair) for pair in zip(features, network(sample), strict=True))
        assert same, "activations must be the same for the same samples"
        if not config.differentiable:
            continue
        torch.stack([feature.square().sum() for feature in features]).sum().backward()
        reached = sample.grad is not None and bool(sample.grad.any())
        assert reached, "the samples must get a gradient: do not use `torch.no_grad` in `forward`"
    assert not any(parameter.requires_grad for parameter in network.parameters()), "an encoder must be frozen"


def grows_in_stages(config: GeneratorConfig | DiscriminatorConfig) -> None:
    """A network with a method `grow` makes or takes images at the resolution of each stage.

    It is grown to half the resolution and then to the full resolution, with `fade` at 0.5. New layers must get a
    gradient.
    """
    case = _NetworkCase(config)
    if not hasattr(case.network, "grow"):
        return
    build: Any = config.build
    network = build(**case.arguments)
    known: set[str] = set()
    for downscale in (2, 1):
        network.grow(downscale)
        assert hasattr(network, "fade"), "a network that grows needs an attribute `fade`, which is set before each step"
        network.fade = 0.5
        parameters = dict(network.named_parameters())
        new = parameters.keys() - known
        assert new, f"grow({downscale}) added no parameters"
        known = set(parameters)
        source: Tensor = case.source
        if isinstance(config, DiscriminatorConfig):
            made: Tensor = network(avg_pool2d(source, downscale), *case.condition).logits
        else:
            made = network(source, *case.condition)
            *_, height, width = case.arguments["output"].shape
            expected = (height // downscale, width // downscale)
            assert made.shape[-2:] == expected, f"after grow({downscale}), images are {tuple(made.shape[-2:])}"
        made.square().sum().backward()
        missing = sorted(name for name in new if parameters[name].grad is None)
        assert not missing, f"after grow({downscale}), no gradient reaches {', '.join(missing)}"


_NETWORK_CHECKS = {
    "grows in stages": grows_in_stages,
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
