"""Whether two stretches are the same sound, told by their samples."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from tune_audio.data.duplicates.landmarks import HOP_SAMPLES, RATE

FEWEST_SAMPLES = RATE // 20
SLACK_SAMPLES = 4 * HOP_SAMPLES
LAGS = np.arange(-SLACK_SAMPLES, SLACK_SAMPLES + 1)
# Noise half a sample late is hardly like itself. So correlations are looked at every eighth of a
# sample, three samples around the highest, by a sinc over 27 samples on both sides.
FINE, TAPS = np.arange(-24, 25) / 8, np.arange(-27, 28)
APART = FINE[:, None] - TAPS
SINC = (np.sinc(APART) * np.cos(np.pi / 62 * APART) ** 2).astype(np.float32)
LOWEST_HERTZ, HIGHEST_HERTZ = 100.0, 3_600.0
# Every tenth of a second that is heard, which is not 20 dB softer than the loudest, has to agree.
# Two recordings that share a noise, but not the words in it, do not.
PIECE_SAMPLES, HEARD = RATE // 10, 10 ** (-20 / 10)
# Among 4,482 spoken words, those that a speaker says twice reach 0.60; what ogg, opus and mp3 make
# of one keeps 0.80 down to 24 kbit/s.
LEAST_CORRELATION = 0.75
# A steady tone is like every other of its pitch: how many frequencies, in effect, there must be.
FEWEST_FREQUENCIES = 24.0


@dataclass(frozen=True, slots=True)
class Match:
    """Two stretches that are the same sound, the second `lag_samples` late.

    `correlation` is that of the tenth of a second that agrees least, negative where one of them
    is upside down.
    """

    lag_samples: float
    correlation: float


def match(a: np.ndarray, b: np.ndarray) -> Match | None:
    """How two waveforms (samples,) at RATE agree, of which one may be SLACK_SAMPLES late.

    None where they only sound alike.
    """
    whole = round(_lag(a, b)[0]) if len(a) >= FEWEST_SAMPLES else 0
    a, b = a[max(0, -whole) :], b[max(0, whole) :]
    length = min(len(a), len(b))
    if length < FEWEST_SAMPLES:
        return None
    a, b = a[:length], b[:length]
    lag, alike, frequencies = _lag(a, b)
    sign = float(np.sign(alike))
    least = float((_agreement(a, b, lag) * sign).min(initial=abs(alike)))
    if least < LEAST_CORRELATION or frequencies < FEWEST_FREQUENCIES:
        return None
    return Match(whole + lag, least * sign)


def _weights(count: int) -> np.ndarray:
    """Of the frequencies of so many samples: those by which recordings are compared."""
    hertz = np.arange(count // 2 + 1) * (RATE / count)
    compared = (hertz > LOWEST_HERTZ) & (hertz < HIGHEST_HERTZ)
    return (compared * np.sqrt(hertz / 1_000)).astype(np.float32)


def _lag(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """How many samples `b` is late, how alike they are then, and by how many frequencies.

    Magnitudes are compressed to their square roots: a hum that is louder than all else, and that
    every recording of a room has, does not decide.
    """
    count = next_fast_len(len(a) + SLACK_SAMPLES, real=True)
    weights, taper = _weights(count), np.hanning(len(a) + 2)[1:-1].astype(np.float32)
    spectra = [rfft(waveform * taper, count) * weights for waveform in (a, b)]
    spectra = [spectrum / np.sqrt(np.abs(spectrum) + 1e-9) for spectrum in spectra]
    cross = np.conj(spectra[0]) * spectra[1]
    products = irfft(cross, count)
    whole = int(np.abs(products[LAGS]).argmax()) - SLACK_SAMPLES
    products = SINC @ products[whole + TAPS]
    best = np.abs(products).argmax()
    powers = [(np.abs(spectrum) ** 2).sum() for spectrum in spectra]
    # The half of a spectrum that is kept has half of the power.
    alike = products[best] * count / 2 / max(np.sqrt(powers[0] * powers[1]), 1e-12)
    power = np.abs(cross)
    frequencies = power.sum() ** 2 / max((power**2).sum(), 1e-24)
    return float(whole + FINE[best]), float(alike), float(frequencies)


def _agreement(a: np.ndarray, b: np.ndarray, lag: float) -> np.ndarray:
    """Correlation of each piece that is heard in either, where `b` is `lag` samples late."""
    count = next_fast_len(len(a) + SLACK_SAMPLES, real=True)
    weights = _weights(count)
    early = np.exp(2j * np.pi / count * lag * np.arange(len(weights))).astype(np.complex64)
    a = irfft(rfft(a, count) * weights, count)[: len(a)]
    b = irfft(rfft(b, count) * weights * early, count)[: len(b)]
    pieces = max(1, len(a) // PIECE_SAMPLES)
    cuts = np.linspace(0, len(a), pieces, endpoint=False).astype(np.int64)
    power_a, power_b, product = (np.add.reduceat(x, cuts) for x in (a * a, b * b, a * b))
    heard = (power_a >= HEARD * power_a.max()) | (power_b >= HEARD * power_b.max())
    return (product / np.maximum(np.sqrt(power_a * power_b), 1e-12))[heard]
