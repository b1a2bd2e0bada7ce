"""Everyday sounds made by rule: noise, clicks and harmonics, shaped in time.

No recording is imitated; they are only as like the real thing as it takes to try a search on. Each
is `sound(source, take, seconds)`: what identifies the source (a dog's size, an engine's speed) is
drawn from `source`, what differs each time it is heard from `take`. All return float waveforms of
16,000 samples a second, of any level.
"""

import numpy as np
from numpy.random import Generator
from scipy.signal import butter, sosfilt

from tune_audio.data.synthesis import SAMPLE_RATE
from tune_audio.data.synthesis.rooms import brown, pink, white


def dog(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """Barks: short bursts of falling, rough pitch, a few in a row."""
    hertz, length, every = source.uniform([250, 0.1, 0.3], [900, 0.25, 0.9])
    waveform = np.zeros(_samples(seconds))
    for start in _repeats(take, seconds, every, jitter=0.3)[: take.integers(1, 7)]:
        t = _time(length)
        contour = hertz * (1 + 0.5 * np.sin(np.pi * t / length)) * (1 - 0.3 * t / length)
        bark = _harmonics(take, contour, 8) + 0.4 * take.standard_normal(len(t))
        _add(waveform, bark * np.sin(np.pi * t / length) ** 0.5, start)
    return waveform


def rooster(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """A crow of four syllables, the last one long and falling."""
    hertz, tempo = source.uniform([400, 0.8], [750, 1.3])
    waveform = np.zeros(_samples(seconds))
    start = take.uniform(0, max(0.05, seconds - 2.2))
    for length, low, high in ((0.15, 0.8, 1), (0.12, 1, 1.2), (0.25, 1.2, 1.5), (0.9, 1.6, 0.9)):
        t = _time(length * tempo)
        contour = hertz * np.linspace(low, high, len(t)) * (1 + 0.02 * np.sin(2 * np.pi * 9 * t))
        _add(waveform, _harmonics(take, contour, 12) * np.hanning(len(t)) ** 0.3, start)
        start += length * tempo + 0.04
    return waveform


def rain(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """High, steady noise and single drops."""
    low_hz, drops_a_second, drop_level = source.uniform([400, 20, 1], [2000, 200, 6])
    waveform = _band(white(take, _samples(seconds)), low_hz, 7500)
    return waveform + _clicks(take, seconds, drops_a_second, 0.002, (2000, 6000)) * drop_level


def sea_waves(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """Noise that swells and ebbs every few seconds, brighter when loud."""
    period, depth, hiss = source.uniform([3, 0.5, 0.1], [8, 0.95, 0.7])
    phase = 2 * np.pi * (_time(seconds) / period + take.uniform())
    swell = 1 - depth * (0.5 + 0.5 * np.sin(phase)) ** 0.7
    samples = len(swell)
    return pink(take, samples) * swell + hiss * white(take, samples) * swell**3


def crackling_fire(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """Irregular dry clicks over a low rumble."""
    rate, rumble = source.uniform([5, 0.02], [40, 0.3])
    clicks = _clicks(take, seconds, rate, source.uniform(0.001, 0.006), (800, 7000))
    return clicks + rumble * brown(take, len(clicks))


def crying_baby(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """Wails of rising and falling, trembling pitch, with breaths between."""
    hertz, length, tremble = source.uniform([320, 0.6, 5], [560, 1.3, 9])
    waveform = np.zeros(_samples(seconds))
    for start in _repeats(take, seconds, length + 0.35, jitter=0.15):
        t = _time(length * take.uniform(0.8, 1.1))
        arch = np.hanning(len(t))
        contour = hertz * (1 + 0.25 * arch) * (1 + 0.03 * np.sin(2 * np.pi * tremble * t))
        _add(waveform, _harmonics(take, contour, 10) * arch**0.4, start)
    return waveform


def sneezing(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """A gasp that grows, then a burst of noise; once or twice."""
    gasp, burst, low_hz = source.uniform([0.2, 0.12, 500], [0.6, 0.35, 1500])
    waveform = np.zeros(_samples(seconds))
    for start in _repeats(take, seconds, gasp + burst + 1.2, jitter=0.4)[: take.integers(1, 3)]:
        t = _time(gasp)
        breath = _band(white(take, len(t)), 300, 2500)
        _add(waveform, 0.15 * breath * (t / gasp) ** 2, start)
        t = _time(burst * 2)
        _add(
            waveform,
            _band(white(take, len(t)), low_hz, 7000) * np.exp(-t / burst * 3),
            start + gasp,
        )
    return waveform


def clock_tick(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """Two ringing clicks in turn, as regular as a clock."""
    period = source.choice([0.2, 0.25, 0.5, 1.0])
    pitches, decay = source.uniform(1200, 5500, 2), source.uniform(0.003, 0.02)
    waveform = np.zeros(_samples(seconds))
    for number, start in enumerate(np.arange(take.uniform(0, period), seconds, period)):
        t = _time(0.08)
        tick = np.sin(2 * np.pi * pitches[number % 2] * t) + 0.3 * take.standard_normal(len(t))
        _add(waveform, tick * np.exp(-t / decay) * (1.0, 0.7)[number % 2], start)
    return waveform


def helicopter(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """Low noise that a rotor chops, and the whine of its turbine."""
    blades_hz, sharpness, whine_hz = source.uniform([9, 2, 400], [24, 8, 1500])
    t = _time(seconds)
    chop = (0.5 + 0.5 * np.sin(2 * np.pi * (blades_hz * t + take.uniform()))) ** sharpness
    low = _band(white(take, len(t)), 40, 900)
    return low * chop + 0.05 * np.sin(2 * np.pi * whine_hz * t) + 0.1 * pink(take, len(t))


def chainsaw(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """A rough motor of some hundred hertz that is revved."""
    hertz, rev = source.uniform([80, 0.2], [160, 1.2])
    t = _time(seconds)
    revving = 1 + rev * (
        0.5 + 0.5 * np.sin(2 * np.pi * (t * take.uniform(0.2, 0.6) + take.uniform()))
    )
    rough = 1 + 0.03 * take.standard_normal(len(t) // 400 + 1).repeat(400)[: len(t)]
    return _harmonics(take, hertz * revving * rough, 24) + 0.5 * _band(
        white(take, len(t)), 1000, 7000
    )


def siren(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """A tone that wails up and down, or jumps between two pitches."""
    low_hz, ratio, period = source.uniform([400, 1.3, 0.4], [900, 2.2, 4])
    cycle = np.sin(2 * np.pi * (_time(seconds) / period + take.uniform()))
    shape = np.sign(cycle) if source.random() < 0.3 else cycle
    return _harmonics(take, low_hz * ratio ** (0.5 + 0.5 * shape), 5)


def engine(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """A slow motor: low harmonics and puffs of noise in step."""
    hertz, puff = source.uniform([18, 0.1], [60, 0.8])
    t = _time(seconds)
    pitch = np.full(len(t), hertz * take.uniform(0.9, 1.1))
    puffs = np.maximum(0, np.sin(2 * np.pi * hertz / 2 * t)) ** 4
    return _harmonics(take, pitch, 20) + puff * puffs * _band(white(take, len(t)), 100, 3000)


def wind(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """Low noise in gusts."""
    cutoff_hz, gusts = source.uniform([200, 0.5], [900, 3])
    t = _time(seconds)
    knots = take.uniform(0.1, 1, int(seconds * gusts) + 3)
    level = np.interp(t * gusts, np.arange(len(knots)), knots)
    return _band(pink(take, len(t)), 30, cutoff_hz) * level**1.5


def guitar(source: Generator, take: Generator, seconds: float) -> np.ndarray:
    """Plucked notes of a pentatonic scale: decaying harmonics."""
    root_hz, every, decay = source.uniform([110, 0.15, 0.3], [330, 0.6, 1.2])
    waveform = np.zeros(_samples(seconds))
    for start in _repeats(take, seconds, every, jitter=0.05):
        hertz = root_hz * 2 ** (take.choice([0, 2, 4, 7, 9, 12]) / 12)
        t = _time(2 * decay)
        for harmonic in range(1, 9):
            partial = np.sin(2 * np.pi * hertz * harmonic * t) / harmonic
            _add(waveform, partial * np.exp(-t * harmonic**0.5 / decay), start)
    return waveform


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def _time(seconds: float) -> np.ndarray:
    return np.arange(max(2, _samples(seconds))) / SAMPLE_RATE


def _band(waveform: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    sections = butter(2, [low_hz, high_hz], "bandpass", fs=SAMPLE_RATE, output="sos")
    return sosfilt(sections, waveform)


def _harmonics(rng: Generator, hertz: np.ndarray, count: int) -> np.ndarray:
    """The first harmonics of a pitch contour, falling by 1/n, none above 7.5 kHz."""
    phase = 2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE
    waveform = np.zeros(len(hertz))
    for n in range(1, count + 1):
        waveform += np.where(n * hertz < 7500, np.sin(n * phase + rng.uniform(0, 6)) / n, 0)
    return waveform


def _clicks(
    rng: Generator, seconds: float, rate: float, decay: float, band_hz: tuple[float, float]
) -> np.ndarray:
    """Decaying bursts at random times, `rate` a second, of very different levels."""
    waveform = np.zeros(_samples(seconds))
    t = _time(6 * decay)
    for start in rng.uniform(0, seconds, rng.poisson(rate * seconds)):
        tone = np.sin(2 * np.pi * rng.uniform(*band_hz) * t) + rng.standard_normal(len(t))
        _add(waveform, tone * np.exp(-t / decay) * rng.pareto(3), start)
    return waveform


def _repeats(rng: Generator, seconds: float, every: float, jitter: float) -> np.ndarray:
    starts = np.arange(rng.uniform(0, min(every, seconds / 2)), seconds, every)
    return np.maximum(0, starts + rng.uniform(-jitter, jitter, len(starts)) * every / 2)


def _add(waveform: np.ndarray, event: np.ndarray, start_seconds: float) -> None:
    first = round(start_seconds * SAMPLE_RATE)
    room = max(0, len(waveform) - first)
    waveform[first : first + len(event)] += event[:room]
