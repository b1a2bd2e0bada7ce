"""Augmentations by name, and those of waveforms: tensor in, new tensor out.

A clip draws only from its own generator, so what happens to it does not depend on its batch; what
is expensive is then done for the whole batch at once. Names are joined by +: "noise+time_mask".
Those of spectrograms are in spec_augment.py.
"""

import difflib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tune_audio.errors import UserError

Domain = Literal["waveform", "spectrogram"]


class Augmentation(NamedTuple):
    """Where an augmentation's function is, and what it changes."""

    function: str
    domain: Domain = "waveform"


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation("tune_audio.features.augment:none"),
    "noise": Augmentation("tune_audio.features.augment:noise"),
    "time_mask": Augmentation("tune_audio.features.augment:time_mask"),
    "time_shift": Augmentation("tune_audio.features.augment:time_shift"),
    "gain": Augmentation("tune_audio.features.augment:gain"),
    "speed": Augmentation("tune_audio.features.augment:speed"),
    "frequency_mask": Augmentation(
        "tune_audio.features.spec_augment:frequency_mask", "spectrogram"
    ),
    "frame_mask": Augmentation("tune_audio.features.spec_augment:frame_mask", "spectrogram"),
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


def functions(names: str, domain: Domain) -> list[Callable[..., Tensor]]:
    """The functions of those of the named augmentations that are of a domain, in their order.

    Raises UserError for an unknown name.
    """
    chosen = [AUGMENTATIONS[name] for name in check_names(names)]
    return [pkgutil.resolve_name(a.function) for a in chosen if a.domain == domain]


def augment(
    names: str,
    waveforms: Tensor,
    generators: Sequence[np.random.Generator],
    sample_rate: int,
    noise: Sequence[np.ndarray] = (),
) -> Tensor:
    """Apply the named augmentations of waveforms in turn: (B, T) -> (B, T), the input unchanged.

    generators: one a clip. noise: background recordings, int16, at the same rate. Those of
    spectrograms are passed over: `spec_augment.augment_features` applies them to what the model
    makes of this.
    Raises UserError for an unknown name.
    """
    for function in functions(names, "waveform"):
        waveforms = function(waveforms, generators, sample_rate=sample_rate, noise=noise)
    return waveforms


def none(
    waveforms: Tensor,
    generators: Sequence[np.random.Generator],
    *,
    sample_rate: int,
    noise: Sequence[np.ndarray] = (),
) -> Tensor:
    """The waveforms as they are."""
    return waveforms


def noise(
    waveforms: Tensor,
    generators: Sequence[np.random.Generator],
    *,
    sample_rate: int,
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
    samples = waveforms.shape[-1]
    added = (
        _recorded(generators, samples, noise)
        if len(noise)
        else _coloured(generators, samples, sample_rate)
    ).to(waveforms.device)
    wanted = torch.tensor(snr_db, dtype=torch.float32, device=waveforms.device)
    power_ratio = _power(waveforms) / _power(added) / 10 ** (wanted / 10)
    gain = torch.where(_power(added) > 0, power_ratio, 0).sqrt()
    return waveforms + gain[:, None] * added


def time_mask(
    waveforms: Tensor,
    generators: Sequence[np.random.Generator],
    *,
    sample_rate: int,
    noise: Sequence[np.ndarray] = (),
    max_fraction: float = 0.25,
) -> Tensor:
    """Set a stretch of each clip to zero (report A's TM: time masking of the audio signal).

    Its length is drawn uniformly from 0 to max_fraction of the clip, then its place.
    """
    mask = stretches(generators, waveforms.shape[-1], max_fraction)
    return waveforms.masked_fill(mask.to(waveforms.device), 0.0)


def time_shift(
    waveforms: Tensor,
    generators: Sequence[np.random.Generator],
    *,
    sample_rate: int,
    noise: Sequence[np.ndarray] = (),
    max_seconds: float = 0.1,
) -> Tensor:
    """Move each clip by up to max_seconds to either side; zeros follow where it has left.

    The default is that of TensorFlow's Speech Commands example (Warden 2018, arXiv:1804.03209).
    """
    most = round(max_seconds * sample_rate)
    shifts = torch.tensor([int(g.integers(-most, most + 1)) for g in generators])
    samples = waveforms.shape[-1]
    source = torch.arange(samples, device=waveforms.device) - shifts[:, None].to(waveforms.device)
    moved = waveforms.gather(-1, source.clamp(0, samples - 1))
    return torch.where((source >= 0) & (source < samples), moved, 0.0)


def gain(
    waveforms: Tensor,
    generators: Sequence[np.random.Generator],
    *,
    sample_rate: int,
    noise: Sequence[np.ndarray] = (),
    max_db: float = 6.0,
) -> Tensor:
    """Make each clip louder or softer by up to max_db, uniformly in dB; nothing is clipped.

    A model that brings every clip to the same level, as wav2vec2 does, does not notice.
    """
    gain_db = [generator.uniform(-max_db, max_db) for generator in generators]
    factor = 10 ** (torch.tensor(gain_db, dtype=torch.float32, device=waveforms.device) / 20)
    return waveforms * factor[:, None]


def speed(
    waveforms: Tensor,
    generators: Sequence[np.random.Generator],
    *,
    sample_rate: int,
    noise: Sequence[np.ndarray] = (),
    slowest: float = 0.9,
    fastest: float = 1.1,
) -> Tensor:
    """Play each clip slower or faster about its middle, by a factor drawn uniformly.

    Pitch follows (speed perturbation, Ko et al. 2015). The length stays: a faster clip has zeros
    on both sides, a slower one loses both ends. Samples between samples are interpolated linearly,
    which dampens what is close to half the sample rate.
    """
    drawn = [generator.uniform(slowest, fastest) for generator in generators]
    factor = torch.tensor(drawn, dtype=torch.float32, device=waveforms.device)[:, None]
    last = waveforms.shape[-1] - 1
    from_middle = torch.arange(last + 1, device=waveforms.device) - last / 2
    position = last / 2 + factor * from_middle
    before = position.long().clamp(0, max(last - 1, 0))
    after = (before + 1).clamp(max=last)
    between = torch.lerp(
        waveforms.gather(-1, before), waveforms.gather(-1, after), position - before
    )
    return torch.where((position >= 0) & (position <= last), between, 0.0)


def stretches(generators: Sequence[np.random.Generator], size: int, max_fraction: float) -> Tensor:
    """One stretch of `size` places for each generator: bool (B, size), true in it.

    Its length is drawn uniformly from 0 to max_fraction of the places, then where it starts.
    """
    lengths = [int(g.integers(int(max_fraction * size) + 1)) for g in generators]
    starts = [
        int(g.integers(size - length + 1)) for g, length in zip(generators, lengths, strict=True)
    ]
    start, place = torch.tensor(starts)[:, None], torch.arange(size)
    return (start <= place) & (place < start + torch.tensor(lengths)[:, None])


def _power(waveforms: Tensor) -> Tensor:
    """Mean square: (B, T) -> (B,)."""
    return waveforms.square().mean(dim=-1)


def _recorded(
    generators: Sequence[np.random.Generator], samples: int, recordings: Sequence[np.ndarray]
) -> Tensor:
    """A stretch of a drawn recording for each generator, (B, samples); a short one is repeated."""
    stretches = np.empty((len(generators), samples), dtype=np.int16)
    for stretch, generator in zip(stretches, generators, strict=True):
        recording = recordings[int(generator.integers(len(recordings)))]
        start = generator.integers(max(len(recording) - samples, 0) + 1)
        stretch[:] = np.resize(recording[start : start + samples], samples)
    return torch.from_numpy(stretches).float() / 2**15


def _coloured(generators: Sequence[np.random.Generator], samples: int, sample_rate: int) -> Tensor:
    """White, pink or brown noise for each generator, (B, samples), at no particular level."""
    colours = np.array([COLOURS[generator.integers(len(COLOURS))] for generator in generators])
    white = [generator.standard_normal(samples, dtype=np.float32) for generator in generators]
    spectrum = torch.fft.rfft(torch.from_numpy(np.stack(white)))
    hertz = torch.fft.rfftfreq(samples, 1 / sample_rate).clamp(min=LOWEST_COLOURED_HZ)
    shape = hertz ** torch.from_numpy(colours).float()[:, None]
    return torch.fft.irfft(spectrum * shape, n=samples)
