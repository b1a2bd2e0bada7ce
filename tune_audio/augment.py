"""Augmentations of waveforms: tensor in, new tensor out, randomness from a generator a clip.

A clip draws only from its own generator, so what happens to it does not depend on its batch; what
is expensive is then done for the whole batch at once. Names are joined by +: "noise+time_mask".
"""

import difflib
import pkgutil
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tune_audio.data.clips import SAMPLE_RATE
from tune_audio.errors import UserError

AUGMENTATIONS: dict[str, str] = {
    "none": "tune_audio.augment:none",
    "noise": "tune_audio.augment:noise",
    "time_mask": "tune_audio.augment:time_mask",
}

# Amplitude falls with frequency to this power: white, pink and brown noise.
COLOURS = (0.0, -0.5, -1.0)
# Below hearing and the mel bins, where brown noise would else put nearly all of its power.
LOWEST_COLOURED_HZ = 20.0


def check_names(names: str) -> list[str]:
    """The augmentations in "noise+time_mask". Raises UserError for one that does not exist."""
    parts = names.split("+")
    for name in parts:
        if name not in AUGMENTATIONS:
            close = difflib.get_close_matches(name, AUGMENTATIONS, n=1)
            nearest = f"did you mean {close[0]}? " if close else ""
            raise UserError(
                f"augment: got {names!r}, no such augmentation: {name!r}; {nearest}"
                f"Allowed: {', '.join(AUGMENTATIONS)}, or several joined by +."
            )
    return parts


def augment(
    names: str,
    waveforms: Tensor,
    generators: Sequence[np.random.Generator],
    noise: Sequence[np.ndarray] = (),
) -> Tensor:
    """Apply the named augmentations in turn: (B, T) -> (B, T), float32, the input unchanged.

    generators: one a clip. noise: background recordings, int16 at 16 kHz.
    Raises UserError for an unknown name.
    """
    for name in check_names(names):
        function = pkgutil.resolve_name(AUGMENTATIONS[name])
        waveforms = function(waveforms, generators, noise=noise)
    return waveforms


def none(
    waveforms: Tensor,
    generators: Sequence[np.random.Generator],
    *,
    noise: Sequence[np.ndarray] = (),
) -> Tensor:
    """The waveforms as they are."""
    return waveforms


def noise(
    waveforms: Tensor,
    generators: Sequence[np.random.Generator],
    *,
    noise: Sequence[np.ndarray] = (),
    snr_low_db: float = 5.0,
    snr_high_db: float = 25.0,
) -> Tensor:
    """Add background noise (report A's BN) at a signal-to-noise ratio drawn uniformly in dB.

    The noise is a stretch of one of the recordings in `noise`; where there is none, white, pink or
    brown noise. Powers are means over the whole clip; sums are not clipped to [-1, 1). To a silent
    clip, or from a silent stretch, nothing is added.
    """
    snr_db = [generator.uniform(snr_low_db, snr_high_db) for generator in generators]
    draw = _recorded if len(noise) else _coloured
    added = draw(generators, waveforms.shape[-1], noise).to(waveforms.device)
    wanted = torch.tensor(snr_db, dtype=torch.float32, device=waveforms.device)
    power_ratio = _power(waveforms) / _power(added) / 10 ** (wanted / 10)
    gain = torch.where(_power(added) > 0, power_ratio, 0).sqrt()
    return waveforms + gain[:, None] * added


def time_mask(
    waveforms: Tensor,
    generators: Sequence[np.random.Generator],
    *,
    noise: Sequence[np.ndarray] = (),
    max_fraction: float = 0.25,
) -> Tensor:
    """Set a stretch of each clip to zero (report A's TM: time masking of the audio signal).

    Its length is drawn uniformly from 0 to max_fraction of the clip, then its place.
    """
    samples = waveforms.shape[-1]
    lengths = [int(g.integers(int(max_fraction * samples) + 1)) for g in generators]
    starts = [
        int(g.integers(samples - length + 1)) for g, length in zip(generators, lengths, strict=True)
    ]
    start = torch.tensor(starts, device=waveforms.device)[:, None]
    stop = start + torch.tensor(lengths, device=waveforms.device)[:, None]
    sample = torch.arange(samples, device=waveforms.device)
    return waveforms.masked_fill((start <= sample) & (sample < stop), 0.0)


def _power(waveforms: Tensor) -> Tensor:
    """Mean square: (B, T) -> (B,)."""
    return waveforms.square().mean(dim=-1)


def _recorded(
    generators: Sequence[np.random.Generator], samples: int, recordings: Sequence[np.ndarray]
) -> Tensor:
    """A stretch of a drawn recording for each generator, (B, samples); a short one is repeated."""
    stretches = np.empty((len(generators), samples), dtype=np.int16)
    for stretch, generator in zip(stretches, generators, strict=True):
        recording = recordings[generator.integers(len(recordings))]
        start = generator.integers(max(len(recording) - samples, 0) + 1)
        stretch[:] = np.resize(recording[start : start + samples], samples)
    return torch.from_numpy(stretches).float() / 2**15


def _coloured(
    generators: Sequence[np.random.Generator], samples: int, recordings: Sequence[np.ndarray]
) -> Tensor:
    """White, pink or brown noise for each generator, (B, samples), at no particular level."""
    colours = np.array([COLOURS[generator.integers(len(COLOURS))] for generator in generators])
    white = [generator.standard_normal(samples, dtype=np.float32) for generator in generators]
    spectrum = torch.fft.rfft(torch.from_numpy(np.stack(white)))
    hertz = torch.fft.rfftfreq(samples, 1 / SAMPLE_RATE).clamp(min=LOWEST_COLOURED_HZ)
    shape = hertz ** torch.from_numpy(colours).float()[:, None]
    return torch.fft.irfft(spectrum * shape, n=samples)
