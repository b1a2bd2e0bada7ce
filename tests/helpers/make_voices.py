"""Sounds that are as different from each other as spoken words are."""

import numpy as np
import soxr
from make_audio import RATE
from scipy.signal import lfilter

SYLLABLE_SECONDS = 0.25


def voice(seed: int, seconds: float = 1.0, noise: float = 0.003) -> np.ndarray:
    """Syllables of gliding pitch in drawn resonances, and some noise: float64 (samples,)."""
    random = np.random.default_rng(seed)
    parts = [_syllable(random) for _ in range(round(seconds / SYLLABLE_SECONDS))]
    spoken = np.concatenate(parts)[: round(seconds * RATE)]
    return 0.5 * spoken / np.abs(spoken).max() + noise * random.standard_normal(len(spoken))


def _syllable(random: np.random.Generator) -> np.ndarray:
    count = round(SYLLABLE_SECONDS * RATE)
    pitch = np.geomspace(*random.uniform(80, 300, 2), count)
    pulses = np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0)
    sound = pulses + random.uniform(0.02, 0.3) * random.standard_normal(count)
    for hertz in random.uniform((250, 800, 2_000), (800, 2_000, 3_500)):
        turn, damping = 2 * np.pi * hertz / RATE, 1 - random.uniform(100, 300) / RATE
        sound = lfilter([1], [1, -2 * damping * np.cos(turn), damping**2], sound)
    return sound / np.abs(sound).max() * np.hanning(count) ** random.uniform(0.3, 1)


def resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    return soxr.resample(samples, RATE, rate, "HQ")
