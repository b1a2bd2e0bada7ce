"""Report B's ConvS2S: a convolutional encoder with gated linear units, read by attention."""

import math
from collections import OrderedDict
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from tune_audio.features.spectrograms import LogMel, centred_frames
from tune_audio.models.attention import sinusoidal_positions


class GatedConvolution(nn.Module):
    """A convolution over time, a gated linear unit and a residual: (B, width, T) -> (B, width, T).

    Halves of the variance come from input and unit, so that their sum is scaled by sqrt(0.5)
    (Gehring et al. 2017, section 3.2).
    """

    def __init__(self, width: int, kernel_size: int, dropout: float):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.convolution = nn.Conv1d(width, 2 * width, kernel_size, padding="same")
        # section 3.5: a gated linear unit quarters the variance of its input, dropout raises it
        deviation = math.sqrt(4 * (1 - dropout) / (kernel_size * width))
        nn.init.normal_(self.convolution.weight, std=deviation)
        assert self.convolution.bias is not None  # torch leaves it out on request alone
        nn.init.zeros_(self.convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        return (x + F.glu(self.convolution(self.dropout(x)), dim=1)) * math.sqrt(0.5)


class Encoder(nn.Module):
    """Embedded frames and what the gated convolutions make of them.

    (B, mel_bins, frames) -> (B, 2, width, frames): encoder outputs z, and z + embedded input, the
    keys and the values of ConvS2S's attention (section 3.3).
    """

    positions: Tensor

    def __init__(
        self,
        mel_bins: int,
        frames: int,
        width: int,
        num_layers: int,
        kernel_size: int,
        dropout: float,
    ):
        super().__init__()
        self.embedding = nn.Conv1d(mel_bins, width, kernel_size=1)
        positions = sinusoidal_positions(frames, width).T.contiguous()
        self.register_buffer("positions", positions, persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.convolutions = nn.Sequential(
            *(GatedConvolution(width, kernel_size, dropout) for _ in range(num_layers))
        )

    def forward(self, features: Tensor) -> Tensor:
        embedded = self.dropout(self.embedding(features) + self.positions)
        encoded = self.convolutions(embedded)
        return torch.stack([encoded, encoded + embedded], dim=1)


class AttentionPooling(nn.Module):
    """One step of attention by learned queries: (B, 2, width, T) -> (B, num_queries * width)."""

    def __init__(self, width: int, num_queries: int):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(num_queries, width) / math.sqrt(width))

    def forward(self, encoded: Tensor) -> Tensor:
        keys, values = encoded.unbind(dim=1)
        weights = torch.softmax(self.queries @ keys, dim=-1)
        return (weights @ values.transpose(1, 2)).flatten(1)

    def extra_repr(self) -> str:
        return f"queries={tuple(self.queries.shape)}"


class ConvS2S(nn.Sequential):
    """The encoder and attention of ConvS2S (Gehring et al. 2017, arXiv:1705.03122) as a classifier.

    Waveform (B, clip_samples) in [-1, 1) -> logits (B, num_labels). Log-mel frames are
    embedded and given positions; num_layers convolutions with gated linear units encode them; where
    the original's decoder asks for every word in turn, learned queries ask once for the clip.

    Report B trained its ConvS2S with mean squared error and cross-entropy and several optimizers;
    those belong to the search space. Two of its seven runs collapsed to one class.
    """

    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        sample_rate: int,
        *,
        mel_bins: Annotated[int, Gt(0)] = 64,
        width: Annotated[int, Gt(0)] = 96,
        num_layers: Annotated[int, Gt(0)] = 4,
        kernel_size: Literal[3, 5, 7] = 5,
        num_queries: Annotated[int, Gt(0)] = 2,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ):
        frames = centred_frames(clip_samples, sample_rate)
        super().__init__(
            OrderedDict(
                log_mel=LogMel(sample_rate, mel_bins),
                normalise=nn.BatchNorm1d(mel_bins),
                encoder=Encoder(mel_bins, frames, width, num_layers, kernel_size, dropout),
                attention=AttentionPooling(width, num_queries),
                dropout=nn.Dropout(dropout),
                classifier=nn.Linear(num_queries * width, num_labels),
            )
        )
