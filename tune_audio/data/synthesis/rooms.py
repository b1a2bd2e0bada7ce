"""Rooms, microphones and noises for synthetic speech: numpy and scipy, randomness as an argument.

Everything works on float waveforms at 16 kHz; levels are powers relative to the speech (dB).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from scipy.signal import butter, fftconvolve, firwin, resample_poly, sosfilt

from tune_audio.data.synthesis import SAMPLE_RATE

Noise = Callable[[Generator, int], np.ndarray]


@dataclass(frozen=True, slots=True)
class Conditions:
    """How hard a synthetic data set is to hear.

    The defaults make hyperparameters matter as on recorded speech (report A, table 4.1): on four
    words, a thousand clips each, an LSTM-CNN reaches 0.89 with Adam at 1e-3, 0.8 at 1e-2 and 1e-4.
    """

    snr_db: tuple[float, float] = (-5.0, 15.0)  # of a clip, uniform; a speaker adds N(0, 4) dB
    room_probability: float = 0.5  # of a speaker to sit in a room that echoes
    clipping_probability: float = 0.1  # of a clip
    shift_seconds: float = 0.08  # standard deviation of the word's place around the centre


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all clips of a speaker share: the microphone, the room and how loud it is there."""

    low_hz: float
    high_hz: float
    tilt: float
    rt60_seconds: float
    direct_to_reverberant_db: float
    snr_offset_db: float

    @classmethod
    def draw(cls, rng: Generator, conditions: Conditions) -> "Surroundings":
        echoes = rng.random() < conditions.room_probability
        rt60_seconds = rng.uniform(0.1, 0.7)
        return cls(
            low_hz=rng.uniform(60, 350),
            high_hz=rng.uniform(2500, 7800),
            tilt=rng.uniform(-0.6, 0.6),
            rt60_seconds=rt60_seconds if echoes else 0.0,
            direct_to_reverberant_db=rng.uniform(0, 15),
            snr_offset_db=rng.normal(0, 4),
        )


def unit_power(waveform: np.ndarray) -> np.ndarray:
    return waveform / (np.sqrt(np.mean(waveform**2)) + 1e-9)


def trim(waveform: np.ndarray, threshold: float = 0.01) -> np.ndarray:
    """Cut what is below a hundredth of the peak off both ends."""
    loud = np.flatnonzero(np.abs(waveform) > threshold * np.abs(waveform).max())
    return waveform[loud[0] : loud[-1] + 1]


@lru_cache(maxsize=64)
def _resampling_filter(up: int, down: int) -> np.ndarray:
    # scipy designs this filter anew on every call, which costs more than filtering a word with it
    widest = max(up, down)
    return firwin(20 * widest + 1, 1 / widest, window=("kaiser", 5.0))


def resample(waveform: np.ndarray, ratio: float) -> np.ndarray:
    """Change the number of samples by a ratio, in fiftieths so that filters can be shared."""
    up, down = round(50 * ratio), 50
    divisor = np.gcd(up, down)
    up, down = up // divisor, down // divisor
    return resample_poly(waveform, up, down, window=_resampling_filter(up, down))


def microphone(waveform: np.ndarray, low_hz: float, high_hz: float, tilt: float) -> np.ndarray:
    """Second-order band-pass and a one-tap spectral tilt (positive: brighter)."""
    high_hz = min(max(high_hz, 4 * low_hz), 0.49 * SAMPLE_RATE)
    sections = butter(2, [low_hz, high_hz], "bandpass", fs=SAMPLE_RATE, output="sos")
    filtered = sosfilt(sections, waveform)
    filtered[1:] -= tilt * filtered[:-1]
    return filtered


def room_response(
    rng: Generator, rt60_seconds: float, direct_to_reverberant_db: float
) -> np.ndarray:
    """Impulse response: the direct sound, then from 2 ms on noise that decays by 60 dB in rt60."""
    samples = int(SAMPLE_RATE * min(rt60_seconds, 0.6))
    decay_db = -60 * np.arange(samples) / (SAMPLE_RATE * rt60_seconds)
    tail = rng.standard_normal(samples) * 10 ** (decay_db / 20)
    tail *= 10 ** (-direct_to_reverberant_db / 20) / np.sqrt(np.sum(tail**2))
    tail[: SAMPLE_RATE // 500] = 0
    tail[0] = 1
    return tail


def _shaped(shape: Callable[[np.ndarray, Generator], np.ndarray]) -> Noise:
    """A noise whose amplitude spectrum is shape(frequencies in Hz, rng)."""

    def noise(rng: Generator, samples: int) -> np.ndarray:
        spectrum = np.fft.rfft(rng.standard_normal(samples))
        frequencies = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
        return unit_power(np.fft.irfft(spectrum * shape(frequencies, rng), samples))

    return noise


def _pink(frequencies: np.ndarray, rng: Generator) -> np.ndarray:
    return 1 / np.sqrt(np.maximum(frequencies, 1))


def _brown(frequencies: np.ndarray, rng: Generator) -> np.ndarray:
    return 1 / np.maximum(frequencies, 1)


def _band(frequencies: np.ndarray, rng: Generator) -> np.ndarray:
    centre_hz = np.exp(rng.uniform(np.log(80), np.log(7200)))
    return np.exp(-0.5 * ((frequencies - centre_hz) / 480) ** 2)


def white(rng: Generator, samples: int) -> np.ndarray:
    return unit_power(rng.standard_normal(samples))


def hum(rng: Generator, samples: int) -> np.ndarray:
    """Eleven harmonics of 50 or 60 Hz mains over a little noise."""
    mains_hz = rng.choice([50, 60])
    seconds = np.arange(samples) / SAMPLE_RATE
    waveform = 0.05 * rng.standard_normal(samples)
    for harmonic in range(1, 12):
        phase = rng.uniform(0, 2 * np.pi)
        waveform += np.sin(2 * np.pi * mains_hz * harmonic * seconds + phase) / harmonic
    return unit_power(waveform)


def tap(rng: Generator, samples: int) -> np.ndarray:
    """Running water: noise whose level jumps every 25 ms."""
    level = np.repeat(rng.standard_normal(samples // 400 + 1), 400)[:samples]
    return unit_power(pink(rng, samples) * (1 + 0.7 * level))


pink, brown, band = _shaped(_pink), _shaped(_brown), _shaped(_band)

# Babble is not here: it is speech, which the caller has and this file has not.
NOISES = {"white": white, "pink": pink, "brown": brown, "band": band, "hum": hum, "tap": tap}
NOISE_PROBABILITIES = {
    **{"white": 0.12, "pink": 0.2, "brown": 0.1, "band": 0.12, "hum": 0.08, "tap": 0.13},
    "babble": 0.25,
}


def excerpt(rng: Generator, recording: np.ndarray, samples: int) -> np.ndarray:
    start = rng.integers(0, len(recording) - samples + 1)
    return unit_power(recording[start : start + samples])


def place(rng: Generator, word: np.ndarray, samples: int, shift_seconds: float) -> np.ndarray:
    """The word around the centre of a silent clip, shifted at random; what overhangs is cut off."""
    start = (samples - len(word)) // 2 + round(rng.normal(0, shift_seconds) * SAMPLE_RATE)
    # at least two thirds of what fits must be heard, or the label is a lie
    slack = min(len(word), samples) // 3
    start = int(
        np.clip(start, min(0, samples - len(word)) - slack, max(0, samples - len(word)) + slack)
    )
    clip = np.zeros(samples)
    clip[max(0, start) : start + len(word)] = word[max(0, -start) : samples - start]
    return clip


def record(
    rng: Generator,
    word: np.ndarray,
    surroundings: Surroundings,
    conditions: Conditions,
    babble: np.ndarray,
) -> np.ndarray:
    """A dry word as a cheap microphone hears it somewhere: int16 (16000,).

    In this order: microphone, room, place in the clip, noise, clipping, level.
    """
    word = microphone(word, surroundings.low_hz, surroundings.high_hz, surroundings.tilt)
    if surroundings.rt60_seconds:
        response = room_response(
            rng, surroundings.rt60_seconds, surroundings.direct_to_reverberant_db
        )
        word = fftconvolve(word, response)[: len(word) + SAMPLE_RATE // 4]
    clip = place(rng, unit_power(word), SAMPLE_RATE, conditions.shift_seconds)
    kind = rng.choice(list(NOISE_PROBABILITIES), p=list(NOISE_PROBABILITIES.values()))
    noise = (
        excerpt(rng, babble, SAMPLE_RATE) if kind == "babble" else NOISES[kind](rng, SAMPLE_RATE)
    )
    snr_db = rng.uniform(*conditions.snr_db) + surroundings.snr_offset_db
    clip += noise * 10 ** (-snr_db / 20)
    if rng.random() < conditions.clipping_probability:
        limit = np.quantile(np.abs(clip), rng.uniform(0.8, 0.98))
        clip = np.clip(clip, -limit, limit)
    peak = 10 ** (rng.uniform(-26, -3) / 20)
    return np.rint(clip * (peak * 32767 / np.abs(clip).max())).astype(np.int16)
