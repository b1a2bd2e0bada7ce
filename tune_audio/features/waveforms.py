"""Stages that turn a waveform into another one, as a pretrained backbone wants it."""

import math

import torch
from torch import Tensor, nn

from tune_audio.errors import UserError
from tune_audio.features._torchaudio import torchaudio

# A ratio of rates needs a filter for each of so many phases; 44,101 to 16,000 would need 16,000.
MOST_PHASES = 1_000


class Resample(nn.Module):
    """Another sample rate: (B, T) -> (B, ceil(T x after / before)), by a windowed sinc.

    Raises UserError for rates in no small ratio.
    """

    def __init__(self, before: int, after: int):
        super().__init__()
        if after // math.gcd(before, after) > MOST_PHASES:
            raise UserError(
                f"data.sample_rate: got {before}, and a model here needs {after}, to which it is "
                "in no small ratio; set data.sample_rate to 16000, 22050, 32000, 44100 or 48000"
            )
        self.before, self.after = before, after

    def forward(self, waveform: Tensor) -> Tensor:
        return torchaudio.functional.resample(waveform, self.before, self.after)

    def samples(self, clip_samples: int) -> int:
        """How long a clip is afterwards."""
        return -(-clip_samples * self.after // self.before)

    def extra_repr(self) -> str:
        return f"before={self.before}, after={self.after}"


class ZeroMeanUnitVariance(nn.Module):
    """Each clip to mean 0 and variance 1: (B, T) -> (B, T), as Wav2Vec2FeatureExtractor does.

    The variance is that of the population, plus 1e-7, so that silence stays silence.
    """

    def forward(self, waveform: Tensor) -> Tensor:
        variance, mean = torch.var_mean(waveform, dim=-1, correction=0, keepdim=True)
        return (waveform - mean) / torch.sqrt(variance + 1e-7)

    def extra_repr(self) -> str:
        return "epsilon=1e-7"
