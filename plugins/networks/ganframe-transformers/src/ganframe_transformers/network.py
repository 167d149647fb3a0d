"""Models of transformers as encoders."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ganframe.game import BadInput, as_rgb
from ganframe_transformers.preprocessing import Preprocessing, read


class Network(nn.Module):
    """A model with its preprocessing, frozen and in eval mode.

    Args:
        name: The type of the encoder, for messages.
        model: The model.
        features: Returns the features `(B, D)` in the model's output.
        preprocessing: The preparation of images.
    """

    def __init__(
        self, name: str, model: nn.Module, features: Callable[[Any], Tensor], preprocessing: Preprocessing
    ) -> None:
        super().__init__()
        self.name, self.model = name, model
        self._features, self._preprocessing = features, preprocessing
        self.requires_grad_(False).eval()

    def forward(self, sample: Tensor) -> tuple[Tensor]:
        """Return the features `(B, D)` of images `(B, 1 or 3, H, W)` in [-1, 1].

        Raises:
            BadInput: When the sample is not such an image.
        """
        images = self._preprocessing(as_rgb(sample, self.name))
        return (self._features(self.model(pixel_values=images)),)


def load(name: str, folder: Path) -> Network:
    """Return the model of a folder.

    Args:
        name: `dinov2` or `clip`.
        folder: The folder.

    Raises:
        BadInput: When transformers is missing, or the folder lacks a file, has a model of another type or weights that
            do not fit.
    """
    try:
        import transformers  # pyright: ignore[reportMissingImports]
    except ImportError:
        remedy = "pip install 'ganframe-transformers[transformers]'"
        raise BadInput(f"the encoder {name!r} needs transformers, which is not installed", remedy=remedy) from None
    for pattern in ("config.json", "*.safetensors"):
        if not any(folder.glob(pattern)):
            remedy = f"It needs the folder of a {name} model, saved with safetensors."
            raise BadInput(f"there is no {pattern} in {str(folder)!r}", path=("path",), remedy=remedy)
    preprocessing = read(folder)
    with _quiet(transformers), _refusals(folder):
        config: Any = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if config.model_type not in (name, f"{name}_vision_model"):
            raise ValueError(f"its model type is {config.model_type!r}, not {name!r}")
        if name == "dinov2":
            model = _pretrained(transformers.Dinov2Model, folder, config)
            return Network(name, model, lambda output: output.pooler_output, preprocessing)
        if config.model_type == "clip":
            # The config of the image half has a projection of its own, which need not be that of the weights.
            config.vision_config.projection_dim = config.projection_dim
            config = config.vision_config
        model = _pretrained(transformers.CLIPVisionModelWithProjection, folder, config)
        return Network(name, model, lambda output: output.image_embeds, preprocessing)


def _pretrained(cls: Any, folder: Path, config: Any) -> nn.Module:
    """Return a model with the weights of a folder.

    Raises:
        ValueError: When weights are missing, which transformers would draw at random.
    """
    model, found = cls.from_pretrained(
        folder,
        config=config,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
    )
    missing = sorted(found["missing_keys"])
    if missing:
        raise ValueError(f"weights are missing: {', '.join(missing[:3])}")
    return model.float()


@contextmanager
def _quiet(transformers: Any) -> Generator[None]:
    """Keep transformers from printing reports and progress: what matters is checked."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _refusals(folder: Path) -> Generator[None]:
    """Raise what transformers raises about a folder as BadInput."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as problem:
        reason = (str(problem).splitlines() or [""])[0]
        message = f"{str(folder)!r} cannot be used: {reason}"
        raise BadInput(message, path=("path",), remedy="Download or save the model again.") from None
