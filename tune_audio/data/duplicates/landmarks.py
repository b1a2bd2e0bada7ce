"""What a recording is found again by: constellations of three peaks of its spectrogram.

After Wang (2003, "An industrial-strength audio search algorithm"), with triples of peaks instead
of pairs: they are so rarely alike by chance that one recording is looked up among 100,000 without
comparing it with each. Peaks stay where they are when a recording is made softer, compressed or
cut elsewhere; a peak at a cut, or one that a codec drops, costs some triples of hundreds.
"""

import numpy as np
from scipy.fft import rfft
from scipy.ndimage import maximum_filter1d

RATE = 8_000  # Hz of what is compared: codecs keep what lies below 4 kHz best
HOP_SAMPLES = 64
FRAME_SAMPLES = 512
HANN = np.hanning(FRAME_SAMPLES + 1)[:-1].astype(np.float32)
# 62 Hz to 3.9 kHz: below there is hum, above it resamplers differ.
BINS = slice(4, 250)
# A peak is the highest within 40 ms and 78 Hz of it, and one of the 8 highest within 128 ms.
NEAR_FRAMES, NEAR_BINS = 11, 11
AROUND_FRAMES, MOST_AROUND = 16, 8
SILENCE = 1e-3  # as high a peak is made by a tone of a quarter of a step of 16 bits
FOLLOWING = 6  # each peak makes triples with two of so many that follow
LONGEST_FRAMES = 64  # between the first and the last of three
# Frequencies in steps of 31 Hz and times in steps of 16 ms, so that a peak may move a little.
BINS_A_STEP = FRAMES_A_STEP = 2
FREQUENCY_BITS, TIME_BITS = 7, 5
LOOK_BITS = 3 * FREQUENCY_BITS + 2 * TIME_BITS
FRAME_BITS = 64 - LOOK_BITS  # of the frame at which a constellation begins
SECOND, THIRD = np.triu_indices(FOLLOWING, 1)


def constellations(waveform: np.ndarray) -> np.ndarray:
    """Constellations of a waveform (samples,) in [-1, 1) at RATE: uint64 (n,), n = 0 for silence.

    Each is what it looks like, in the upper LOOK_BITS, and the frame at which it begins; there is
    a frame every HOP_SAMPLES.
    """
    frames, bins = _peaks(waveform)
    count = len(frames)
    # Beyond the last peak there are some that are too far away to count.
    frames = np.append(frames, np.full(FOLLOWING, np.iinfo(np.int32).max))
    bins = np.append(bins, np.zeros(FOLLOWING, np.int64)) // BINS_A_STEP
    first = np.arange(count)[:, None]
    second, third = first + 1 + SECOND, first + 1 + THIRD
    to_second = (frames[second] - frames[first]) // FRAMES_A_STEP
    to_third = (frames[third] - frames[first]) // FRAMES_A_STEP
    packed = np.broadcast_to(bins[first], to_third.shape).astype(np.uint64)
    for values, bits in (
        (bins[second], FREQUENCY_BITS),
        (bins[third], FREQUENCY_BITS),
        (to_second, TIME_BITS),
        (to_third, TIME_BITS),
        (frames[first], FRAME_BITS),
    ):
        packed = (packed << np.uint64(bits)) | values.astype(np.uint64)
    return packed[frames[third] - frames[first] < LONGEST_FRAMES]


def _peaks(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames and bins (n,) of a spectrogram's peaks, in the order of frames."""
    padded = np.pad(waveform.astype(np.float32), FRAME_SAMPLES // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME_SAMPLES)[::HOP_SAMPLES]
    heights = np.abs(rfft(frames * HANN, axis=1))[:, BINS]
    highest = maximum_filter1d(maximum_filter1d(heights, NEAR_BINS, axis=1), NEAR_FRAMES, axis=0)
    at, bins = np.nonzero((heights == highest) & (heights > SILENCE))
    kept = _among_the_highest(at, heights[at, bins])
    return at[kept], bins[kept]


def _among_the_highest(at: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """bool (n,): peaks with fewer than MOST_AROUND higher ones around them; `at` is sorted.

    Compared with its neighbours alone, a peak is judged alike in every cut of a recording.
    """
    if not len(at):
        return np.zeros(0, bool)
    first = np.searchsorted(at, at - AROUND_FRAMES)
    last = np.searchsorted(at, at + AROUND_FRAMES, side="right")
    around = first[:, None] + np.arange((last - first).max())
    higher = heights[np.minimum(around, len(at) - 1)] > heights[:, None]
    return (higher & (around < last[:, None])).sum(axis=1) < MOST_AROUND
