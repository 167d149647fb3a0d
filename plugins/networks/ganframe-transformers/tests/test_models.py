"""DINOv2 and CLIP of tiny folders, against transformers' own models and image processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ganframe_transformers import Clip, Dinov2
from ganframe_transformers.preprocessing import read
from ganframe_transformers.tiny_models import write_clip, write_dinov2
from PIL import Image
from safetensors.torch import load_file, save_file

from ganframe import BadInput

transformers: Any = pytest.importorskip(
    "transformers", reason="transformers, an optional dependency of 165 MB, is not installed"
)

PIXELS = torch.randint(60, 200, (2, 3, 40, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
SAMPLE = PIXELS / 127.5 - 1


@pytest.fixture
def dinov2(tmp_path: Path) -> Path:
    return write_dinov2(tmp_path / "dinov2")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip")


def test_dinov2_gives_the_class_token(dinov2: Path):
    model = transformers.Dinov2Model.from_pretrained(dinov2).eval()
    expected = model(pixel_values=read(dinov2)(SAMPLE)).last_hidden_state[:, 0]
    (found,) = Dinov2(path=dinov2).build()(SAMPLE)
    assert found.shape == (2, 16)
    torch.testing.assert_close(found, expected)


def test_clip_gives_the_projected_embedding_of_images(clip: Path):
    model = transformers.CLIPModel.from_pretrained(clip).eval()
    tokens = model.vision_model(pixel_values=read(clip)(SAMPLE)).pooler_output
    (found,) = Clip(path=clip).build()(SAMPLE)
    assert found.shape == (2, 12)
    torch.testing.assert_close(found, tokens @ model.visual_projection.weight.T)


def test_images_are_prepared_as_transformers_prepares_them(clip: Path):
    """Pillow rounds to bytes, after the rows too: a difference of 2 of 255, over deviations of 0.26."""
    processor = transformers.CLIPImageProcessorPil.from_pretrained(clip)
    pictures = [Image.fromarray(each.permute(1, 2, 0).numpy()) for each in PIXELS]
    expected = processor(pictures, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(read(clip)(SAMPLE), expected, atol=2 / 255 / 0.26, rtol=0)


def test_grey_images_are_repeated(dinov2: Path):
    network = Dinov2(path=dinov2).build()
    torch.testing.assert_close(network(SAMPLE[:, :1])[0], network(SAMPLE[:, :1].expand(-1, 3, -1, -1))[0])


def test_a_model_of_another_type_is_refused(dinov2: Path):
    with pytest.raises(BadInput, match=r"path: .*its model type is 'dinov2', not 'clip'"):
        Clip(path=dinov2).build()


def test_missing_weights_are_refused_instead_of_drawn_at_random(dinov2: Path):
    weights = load_file(dinov2 / "model.safetensors")
    del weights["layernorm.weight"]
    save_file(weights, dinov2 / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match=r"path: .*weights are missing: layernorm\.weight"):
        Dinov2(path=dinov2).build()


def test_pickles_are_not_read(dinov2: Path):
    torch.save(load_file(dinov2 / "model.safetensors"), dinov2 / "pytorch_model.bin")
    (dinov2 / "model.safetensors").unlink()
    with pytest.raises(BadInput, match=r"path: there is no \*\.safetensors in"):
        Dinov2(path=dinov2).build()


def test_code_in_the_folder_is_not_run(dinov2: Path):
    settings = json.loads((dinov2 / "config.json").read_text())
    (dinov2 / "evil.py").write_text("raise SystemExit('code of the folder ran')")
    changed = settings | {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    (dinov2 / "config.json").write_text(json.dumps(changed))
    with pytest.raises(BadInput, match=r"path: .*cannot be used"):
        Dinov2(path=dinov2).build()


def test_an_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match=r"path: there is no config\.json in .*\n  It needs the folder of a clip model"):
        Clip(path=tmp_path).build()
