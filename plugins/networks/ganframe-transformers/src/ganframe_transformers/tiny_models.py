"""Tiny models with random weights, saved by transformers itself, for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

PREPROCESSING = {
    "do_resize": True,
    "size": {"shortest_edge": 32},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 28, "width": 28},
    "do_rescale": True,
    "do_normalize": True,
    "image_mean": [0.48, 0.46, 0.41],
    "image_std": [0.27, 0.26, 0.28],
}
"""Content of `preprocessor_config.json`: like that of the published models, but small."""
_VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 7,
}
_TEXT = {
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "vocab_size": 10,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}


def write_dinov2(folder: Path) -> Path:
    """Write a DINOv2 of 16 features and return its folder; nothing is written if transformers is not installed."""
    settings = {name: value for name, value in _VISION.items() if name != "intermediate_size"}
    return _write(folder, "Dinov2", settings)


def write_clip(folder: Path) -> Path:
    """Write a CLIP of 12 features and return its folder; nothing is written if transformers is not installed."""
    return _write(folder, "CLIP", {"projection_dim": 12, "vision_config": _VISION, "text_config": _TEXT})


def _write(folder: Path, name: str, settings: Mapping[str, Any]) -> Path:
    try:
        import transformers  # pyright: ignore[reportMissingImports]
    except ImportError:
        return folder
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = getattr(transformers, f"{name}Config")(**settings)
        getattr(transformers, f"{name}Model")(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING), encoding="utf-8")
    return folder
