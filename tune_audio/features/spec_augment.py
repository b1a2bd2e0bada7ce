"""SpecAugment (Park et al. 2019, arXiv:1904.08779), without its time warping.

Masks on what a model hears: they act on the output of the stage that makes a spectrogram, between
it and the rest of the frozen prefix, so that a masked clip is cached as any other view of it. Such
a stage says so itself:

    axes: ("mel", "time") or ("time", "mel"), those of its output (B, ..., ...)
    zero_mean: whether 0 is the mean of its values, as after normalising by a data set's mean

A mask is the mean: 0 where zero_mean, else that of the clip's own spectrogram.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from tune_audio.errors import UserError
from tune_audio.features.augment import AUGMENTATIONS, functions, stretches


def spectrogram_stage(names: str, stages: nn.Sequential) -> nn.Module | None:
    """The stage after which the named augmentations of spectrograms act; None if none is named.

    Raises UserError if no stage makes a spectrogram.
    """
    if not functions(names, "spectrogram"):
        return None
    for stage in stages:
        if hasattr(stage, "axes"):
            return stage
    allowed = ", ".join(name for name, a in AUGMENTATIONS.items() if a.domain == "waveform")
    raise UserError(
        f"augment: got {names!r}, but this model makes no spectrogram that could be masked; "
        f"allowed: {allowed}, or several joined by +"
    )


def augment_features(
    names: str,
    features: Tensor,
    generators: Sequence[np.random.Generator],
    stage: nn.Module,
) -> Tensor:
    """Apply the named augmentations of spectrograms in turn to the output of `stage`.

    The shape stays, the input is unchanged. generators: one a clip.
    """
    spectrograms = features if stage.axes == ("mel", "time") else features.mT
    fill = spectrograms.mean(dim=(1, 2)) * (not stage.zero_mean)
    for function in functions(names, "spectrogram"):
        spectrograms = function(spectrograms, generators, fill=fill)
    return spectrograms if stage.axes == ("mel", "time") else spectrograms.mT


def frequency_mask(
    spectrograms: Tensor,
    generators: Sequence[np.random.Generator],
    *,
    fill: Tensor,
    max_fraction: float = 0.375,
) -> Tensor:
    """Mask neighbouring mel bins of each clip: (B, mel_bins, frames), filled with `fill`, (B,).

    How many is drawn uniformly from 0 to max_fraction of them, then which. The default is what AST
    trains with on AudioSet, 48 of 128 (Gong et al. 2021, arXiv:2104.01778).
    """
    mask = stretches(generators, spectrograms.shape[1], max_fraction)
    return _filled(spectrograms, mask[:, :, None], fill)


def frame_mask(
    spectrograms: Tensor,
    generators: Sequence[np.random.Generator],
    *,
    fill: Tensor,
    max_fraction: float = 0.1875,
) -> Tensor:
    """Mask neighbouring frames of each clip: (B, mel_bins, frames), filled with `fill`, (B,).

    SpecAugment's time mask; report A's, of the waveform, is `augment.time_mask`. How many is drawn
    uniformly from 0 to max_fraction of them, then which. The default is what AST trains with on
    AudioSet, 192 of 1024.
    """
    mask = stretches(generators, spectrograms.shape[2], max_fraction)
    return _filled(spectrograms, mask[:, None, :], fill)


def _filled(spectrograms: Tensor, mask: Tensor, fill: Tensor) -> Tensor:
    return spectrograms.where(~mask.to(spectrograms.device), fill[:, None, None])
