"""Report E's CNN on the raw waveform."""

from collections import OrderedDict
from typing import Annotated, Literal

from annotated_types import Ge, Lt
from torch import nn

from tune_audio.errors import UserError

CHANNELS = 32


def waveform_convolutions(dropout: float, activation: Literal["none", "relu"]) -> nn.Sequential:
    """Report E's convolutions: (B, clip_samples) -> (B, 32, convolved_samples(clip_samples))."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, -1))]
    in_channels = 1
    for channels, kernel, pool in (
        (128, 7, nn.MaxPool1d(2)),
        (64, 5, nn.MaxPool1d(2)),
        (CHANNELS, 3, nn.AvgPool1d(2)),
    ):
        layers += [
            nn.Conv1d(in_channels, channels, kernel, stride=2, padding=kernel // 2),
            nn.BatchNorm1d(channels),
            *([nn.ReLU()] if activation == "relu" else []),
            nn.Dropout(dropout),
            pool,
        ]
        in_channels = channels
    return nn.Sequential(*layers)


def convolved_samples(clip_samples: int, model: str) -> int:
    """Length that the convolutions leave of a clip, a 64th; UserError if nothing."""
    length = clip_samples
    for _ in range(3):
        length = (length + 1) // 2 // 2
    if length < 1:
        raise UserError(
            f"{model}: clips of {clip_samples} samples are too short for its convolutions; "
            "set data.clip_seconds to 0.01 or more"
        )
    return length


class CNNRaw(nn.Sequential):
    """Report E's CNN: 128,682 trainable parameters for 10 labels and clips of 16,000 samples.

    Waveform (B, clip_samples) in [-1, 1) -> logits (B, num_labels). Convolutions 1 ->
    128 -> 64 -> 32 (kernels 7, 5, 3, stride 2), each with batch norm, dropout and a pooling of 2
    (maximum, maximum, average); linear over 32 x 250. The report lists no activation, so that the
    two max-poolings are all that is not linear: activation="relu" puts one after each batch norm.
    On windows of 1 s of ESC-10 the report has 42 % (4-fold).

    Its kernels are in samples, so at another rate than the report's 16 kHz they are other times.

    Raises UserError for clips shorter than 43 samples.
    """

    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        sample_rate: int,
        *,
        activation: Literal["none", "relu"] = "none",
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.5,
    ):
        length = convolved_samples(clip_samples, "cnn_raw")
        super().__init__(
            OrderedDict(
                convolutions=waveform_convolutions(dropout, activation),
                head=nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * length, num_labels)),
            )
        )
