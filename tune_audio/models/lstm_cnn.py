"""LSTM-CNN, report A's third family: convolutions find patterns, an LSTM remembers them."""

from collections import OrderedDict
from typing import Annotated

from annotated_types import Ge, Le, Lt
from torch import Tensor, nn

from tune_audio.features.spectrograms import LogMel
from tune_audio.models.attention import TimeTokens


class LSTMCNN(nn.Sequential):
    """Waveform (B, clip_samples) -> logits (B, num_labels), trained from scratch.

    Log-mel; a batch normalisation of each mel bin, which stands for the data set's mean and
    deviation; two convolutions over time, each halving it; an LSTM over what are then frames of
    40 ms; the maximum of each of its outputs over time, normalised; a linear layer.
    """

    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        sample_rate: int,
        *,
        mel_bins: Annotated[int, Ge(8), Le(128)] = 64,
        channels: Annotated[int, Ge(1)] = 128,
        hidden_size: Annotated[int, Ge(1)] = 96,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.3,
    ):
        super().__init__(
            OrderedDict(
                log_mel=LogMel(sample_rate, mel_bins),
                normalise=nn.BatchNorm1d(mel_bins),
                convolutions=nn.Sequential(
                    convolution(mel_bins, channels), convolution(channels, channels)
                ),
                tokens=TimeTokens(),
                lstm=nn.LSTM(channels, hidden_size, batch_first=True),
                maximum=MaxOverTime(),
                # not batch normalisation, which fails on a last batch of a single clip
                layernorm=nn.LayerNorm(hidden_size),
                dropout=nn.Dropout(dropout),
                classifier=nn.Linear(hidden_size, num_labels),
            )
        )


def convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    """(B, in_channels, frames) -> (B, out_channels, frames // 2)."""
    return nn.Sequential(
        nn.Conv1d(in_channels, out_channels, kernel_size=5, padding=2, bias=False),
        nn.BatchNorm1d(out_channels),
        # maximum and ReLU commute, and after pooling there is half as much to rectify
        nn.MaxPool1d(2),
        nn.ReLU(),
    )


class MaxOverTime(nn.Module):
    """Of an LSTM's answer: (outputs (B, frames, hidden_size), state) -> (B, hidden_size)."""

    def forward(self, answer: tuple[Tensor, tuple[Tensor, Tensor]]) -> Tensor:
        outputs, _ = answer
        return outputs.amax(dim=1)
