"""Sounds as files and as spectrograms."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping

import torch
from torch import Tensor

from ganframe.config.tensor_specs import DataSpec

WINDOW = 512
"""The largest number of samples in a window of a spectrogram."""

RANGE_DB = 80.0
"""Range of a spectrogram below its largest value, in decibels."""


def sample_rates(data: DataSpec, tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the samples per second of those tensors that are sounds, by name.

    A tensor `(B, C, T)` that a game makes counts as a sound if the data has a sound of the same shape. If the data has
    no tensor of that shape, a sound with the same number of channels suffices.

    Args:
        data: The specs of the tensors of the data, by name.
        tensors: Named tensors with the batch axis first.
    """
    rates: dict[str, int] = {}
    for name, tensor in tensors.items():
        shape = tuple(tensor.shape[1:])
        same_shape = [spec for spec in data.values() if spec.shape == shape]
        same_channels = [spec for spec in data.values() if spec.kind == "sound" and spec.shape[:1] == shape[:1]]
        found = [data[name]] if name in data else same_shape or same_channels
        rate = next((spec.sample_rate for spec in found if spec.sample_rate is not None), None)
        if rate is not None and len(shape) == 2:
            rates[name] = rate
    return rates


def wav_file(sounds: Tensor, sample_rate: int) -> bytes:
    """Return a WAV file with 16 bits a sample, in which a quarter of a second separates the sounds.

    Args:
        sounds: `(B, C, T)`; values beyond [-1, 1] are cut.
        sample_rate: Samples per second.
    """
    silence = torch.zeros(sounds.shape[1], sample_rate // 4)
    pieces = [piece for sound in sounds.float().cpu() for piece in (silence, sound)][1:]
    numbers = (torch.cat(pieces, dim=1).nan_to_num().clamp(-1, 1) * 32767).round().to(torch.int16)
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(len(numbers))
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(numbers.T.contiguous().numpy().astype("<i2").tobytes())
    return stream.getvalue()


def spectrogram(sound: Tensor) -> Tensor:
    """Return the spectrogram of a sound in decibels below its largest value, `(frequencies, windows)`.

    The channels are averaged. Windows overlap by three quarters; frequencies go evenly from 0 to half the sample rate.

    Args:
        sound: `(C, T)`.
    """
    mono = sound.float().mean(0)
    size = min(WINDOW, 1 << (len(mono).bit_length() - 1))
    window = torch.hann_window(size)
    transform = torch.stft(
        mono, size, max(1, size // 4), window=window, center=True, pad_mode="constant", return_complex=True
    )
    decibels = 20 * (transform.abs() + 1e-10).log10()
    return (decibels - decibels.max()).clamp(min=-RANGE_DB)
