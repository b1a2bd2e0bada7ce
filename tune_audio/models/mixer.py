"""A convolutional mixer over patches of log-mel: the other architecture that report D wished."""

from collections import OrderedDict
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from tune_audio.errors import UserError
from tune_audio.features.spectrograms import LogMel, centred_frames


class Residual(nn.Sequential):
    """What its layers make of x, added to x."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def activated(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.GELU(), nn.BatchNorm2d(convolution.out_channels)]


class ConvMixer(nn.Sequential):
    """ConvMixer (Trockman & Kolter 2022, arXiv:2201.09792) on log-mel instead of an image.

    Waveform (B, clip_samples) in [-1, 1) -> logits (B, num_labels). A convolution makes
    patches of patch_size mel bins x patch_size frames; depth times, a depthwise convolution mixes
    places (with a residual) and a pointwise one mixes channels, each with GELU and batch norm;
    global average; linear.

    Raises UserError for clips or mel_bins smaller than a patch.
    """

    def __init__(
        self,
        num_labels: int,
        clip_samples: int,
        sample_rate: int,
        *,
        mel_bins: Annotated[int, Gt(0)] = 64,
        width: Annotated[int, Gt(0)] = 128,
        depth: Annotated[int, Gt(0)] = 6,
        kernel_size: Literal[3, 5, 7, 9] = 5,
        patch_size: Annotated[int, Gt(0)] = 4,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    ):
        frames = centred_frames(clip_samples, sample_rate)
        if patch_size > min(mel_bins, frames):
            raise UserError(
                f"conv_mixer: a patch_size of {patch_size} does not fit in {mel_bins} mel bins x "
                f"{frames} frames; set patch_size to {min(mel_bins, frames)} or less"
            )
        patches = nn.Conv2d(1, width, kernel_size=patch_size, stride=patch_size)
        super().__init__(
            OrderedDict(
                log_mel=LogMel(sample_rate, mel_bins),
                normalise=nn.BatchNorm1d(mel_bins),
                patches=nn.Sequential(nn.Unflatten(1, (1, mel_bins)), *activated(patches)),
                mixer=nn.Sequential(*(mixer_layer(width, kernel_size) for _ in range(depth))),
                average=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
                dropout=nn.Dropout(dropout),
                classifier=nn.Linear(width, num_labels),
            )
        )


def mixer_layer(width: int, kernel_size: int) -> nn.Sequential:
    """(B, width, rows, columns) -> the same shape."""
    depthwise = nn.Conv2d(width, width, kernel_size, groups=width, padding="same")
    pointwise = nn.Conv2d(width, width, kernel_size=1)
    return nn.Sequential(Residual(*activated(depthwise)), *activated(pointwise))
