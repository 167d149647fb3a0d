"""Tiny models with random weights, saved by transformers itself, for tests."""

from __future__ import annotations

import json
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
    """Write a DINOv2 of 16 features and return its folder; empty without transformers."""
    try:
        from transformers import Dinov2Config, Dinov2Model
    except ImportError:
        return folder
    return _save(folder, Dinov2Model, Dinov2Config(**{key: _VISION[key] for key in _VISION if key[:5] != "inter"}))


def write_clip(folder: Path) -> Path:
    """Write a CLIP of 12 features and return its folder; empty without transformers."""
    try:
        from transformers import CLIPConfig, CLIPModel
    except ImportError:
        return folder
    return _save(folder, CLIPModel, CLIPConfig(projection_dim=12, vision_config=_VISION, text_config=_TEXT))


def _save(folder: Path, model: Any, config: Any) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSING), encoding="utf-8")
    return folder
