"""How high recordings reach, and so which sample rate keeps what is to be heard in them."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tune_audio.data.audio import peak_beyond_1, read_audio, read_header
from tune_audio.data.audio_file import BadAudio
from tune_audio.data.clips import Listing

LOWEST_RATE = 16_000  # what speech is usually recorded and models are trained at
RATES = (LOWEST_RATE, 32_000, 44_100, 48_000)
RECORDINGS_PER_LABEL = 12
MOST_LISTENED_TO = 240
LONGEST_SECONDS = 10.0
FRAME_SAMPLES = 2048
# Above the frequency that a recording reaches it has less power than this, of the whole and of
# full scale: a hundred-thousandth of it, or the noise of 16 bits.
NOTHING, SILENCE = 1e-5, 1e-9
# What a tenth of all recordings reach is to be heard, and what half of those of one label reach.
QUANTILE = 0.9
# A rate that loses so little at the top loses nothing: 44.1 kHz for what reaches 22.07.
ENOUGH = 0.98


@dataclass(frozen=True)
class Bandwidth:
    """How high the recordings of a data set reach, by some of each label.

    `rate` is the sample rate that keeps it, `hertz` what is to be kept and `label` of which label
    that is; `above` of `listened` recordings reach above half of LOWEST_RATE.
    """

    rate: int
    hertz: float
    label: str
    above: int
    listened: int


def measure(listing: Listing) -> Bandwidth:
    """Listen to at most 240 recordings of a data set, an even number of each label."""
    of_label: dict[str, dict[Path, None]] = defaultdict(dict)
    for clip in listing.clips:
        of_label[min(clip.labels)].setdefault(clip.path)
    each = max(1, min(RECORDINGS_PER_LABEL, MOST_LISTENED_TO // len(of_label)))
    chosen = [
        (label, path)
        for label, paths in of_label.items()
        for path in list(paths)[:: -(-len(paths) // each)]
    ]
    with ThreadPoolExecutor() as threads:
        heard = list(threads.map(lambda pair: _reach(pair[1]), chosen))
    usable = [(label, *found) for (label, _), found in zip(chosen, heard, strict=True) if found]
    if not usable:  # decoding tells why
        return Bandwidth(LOWEST_RATE, 0.0, "", 0, 0)
    return _decide(usable)


def _decide(usable: list[tuple[str, int, float]]) -> Bandwidth:
    """usable: (label, sample rate, hertz reached) of every recording that was listened to."""
    labels, rates, reached = zip(*usable, strict=True)
    hertz = np.array(reached)
    typical = {
        label: float(np.median(hertz[np.array(labels) == label])) for label in dict.fromkeys(labels)
    }
    highest = max(typical, key=typical.__getitem__)
    needed = max(typical[highest], float(np.quantile(hertz, QUANTILE)))
    commonest = max(set(rates), key=rates.count)
    known = [rate for rate in sorted({*RATES, commonest}) if LOWEST_RATE <= rate <= max(rates)]
    known = known or [LOWEST_RATE]
    rate = next((rate for rate in known if rate / 2 >= ENOUGH * needed), known[-1])
    above = int((hertz > LOWEST_RATE / 2).sum())
    return Bandwidth(rate, needed, highest, above, len(usable))


def _reach(path: Path) -> tuple[int, float] | None:
    """Sample rate of a recording, and the frequency above which there is nothing to hear in it."""
    try:
        rate = read_header(path).sample_rate
        if rate <= LOWEST_RATE:
            return rate, rate / 2
        # What is clipped has overtones that nobody recorded.
        stretch = {"longest_seconds": LONGEST_SECONDS, "full_scale": peak_beyond_1(path)}
        samples = read_audio(path, sample_rate=rate, **stretch)
    except BadAudio:
        return None
    waveform = np.pad(samples / 2.0**15, (0, -len(samples) % FRAME_SAMPLES))
    # Hann windows, so that a tone does not leak into all frequencies.
    frames = waveform.reshape(-1, FRAME_SAMPLES) * np.hanning(FRAME_SAMPLES)
    power = (np.abs(np.fft.rfft(frames)) ** 2).sum(axis=0)
    power *= (waveform**2).sum() / max(power.sum(), 1e-30) / len(waveform)  # as that of the samples
    from_above = np.cumsum(power[::-1])[::-1]
    heard = np.flatnonzero(from_above > max(NOTHING * from_above[0], SILENCE))
    return rate, (heard[-1] + 1) * rate / FRAME_SAMPLES if len(heard) else 0.0
