"""Report C's 1-D CNN over the frames of MFCC or log-mel features."""

from collections import OrderedDict
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from tune_audio.errors import UserError
from tune_audio.features._torchaudio import torchaudio
from tune_audio.features.spectrograms import LogMel, centred_frames

CONV_CHANNELS = (32, 64, 128)


class Cepstrum(nn.Module):
    """Orthonormal DCT-II of log-mel frames, which makes MFCC of them.

    (B, mel_bins, frames) -> (B, coefficients, frames)
    """

    dct: Tensor

    def __init__(self, mel_bins: int, coefficients: int):
        super().__init__()
        dct = torchaudio.functional.create_dct(coefficients, mel_bins, norm="ortho")
        self.register_buffer("dct", dct.T.contiguous(), persistent=False)

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.dct @ log_mel

    def extra_repr(self) -> str:
        return f"mel_bins={self.dct.shape[1]}, coefficients={self.dct.shape[0]}"


def frame_features(
    features: Literal["mfcc", "log_mel"], feature_channels: int, sample_rate: int
) -> OrderedDict[str, nn.Module]:
    """The stages before report C's networks: (B, clip_samples) -> (B, feature_channels, frames).

    mfcc takes the first feature_channels coefficients of 64 mel bins (or of feature_channels
    bins, if those are more).
    """
    mel_bins = max(64, feature_channels) if features == "mfcc" else feature_channels
    stages = OrderedDict[str, nn.Module](log_mel=LogMel(sample_rate, mel_bins))
    if features == "mfcc":
        stages["mfcc"] = Cepstrum(mel_bins, feature_channels)
    return stages


def frame_convolutions(in_channels: int) -> nn.Sequential:
    """Three 1-D convolutions over time: (B, in_channels, frames) -> (B, 128, frames // 8)."""
    layers: list[nn.Module] = []
    for channels in CONV_CHANNELS:
        layers += [
            nn.Conv1d(in_channels, channels, kernel_size=3, padding=1),
            nn.BatchNorm1d(channels),
            # the same as after the ReLU, which is monotonic, for half the work
            nn.MaxPool1d(2),
            nn.ReLU(),
        ]
        in_channels = channels
    return nn.Sequential(*layers)


def convolved_frames(clip_samples: int, sample_rate: int, model: str) -> int:
    """How many frames LogMel and the three poolings leave of a clip; UserError if none."""
    frames = centred_frames(clip_samples, sample_rate) // 2 ** len(CONV_CHANNELS)
    if frames < 1:
        raise UserError(
            f"{model}: clips of {clip_samples / sample_rate:g} s are too short for its three "
            "poolings; set data.clip_seconds to 0.1 or more"
        )
    return frames


class CNNMel(nn.Sequential):
    """Convolutions over time, averaged: report C's CNN, 36,522 trainable parameters for 10 labels.

    Waveform (B, clip_samples) in [-1, 1) -> logits (B, num_labels). 40 feature channels
    -> 32 -> 64 -> 128, kernel 3, batch norm, ReLU, max-pool 2; global average; linear. On ESC-10
    the report has 54.9 % (one split) and 59.75 % (4-fold).

    Raises UserError for clips shorter than 70 ms.
    """

    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        sample_rate: int,
        *,
        features: Literal["mfcc", "log_mel"] = "mfcc",
        feature_channels: Annotated[int, Gt(0)] = 40,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ):
        convolved_frames(clip_samples, sample_rate, "cnn_mel")
        stages = frame_features(features, feature_channels, sample_rate)
        stages["convolutions"] = frame_convolutions(feature_channels)
        stages["average"] = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten())
        stages["head"] = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(CONV_CHANNELS[-1], num_labels)
        )
        super().__init__(stages)
