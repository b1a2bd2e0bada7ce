"""What is wrong with a recording, by its samples alone: silent, clipped, or cut off at its end.

It is told only where physics leaves little doubt. Sound that fades is not cut off, nor is noise
that is as loud throughout; a loud peak is not clipped, however slow it is.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["silent", "clipped", "cut off"]

FULL_SCALE = 2**15
# Of 16 bits the lowest four: -66 dB, far below the noise of any microphone that was switched on.
SILENT_STEPS = 16
# A stretch at the highest or lowest value, of so many samples, beside which the wave leaves it by
# so many steps within one: a round peak that looks flat at 16 bits leaves it by a few.
FLAT_SAMPLES, FLAT_EDGE_STEPS, FLAT_STRETCHES = 3, 16, 3
# What was turned down after it was clipped still is; below this it may be coarse, not clipped.
CLIPPED_FROM = 0.25
FRAME_SECONDS = 0.02
# It ends within so many decibels of its loudest frame, and was quieter by so many before.
END_DECIBELS, RANGE_DECIBELS = 6.0, 30.0
END_FRAMES = 3


@dataclass(frozen=True)
class Flaw:
    """kind: what is wrong; reason: a sentence with numbers."""

    kind: Kind
    reason: str


def flaws(samples: np.ndarray, sample_rate: int) -> list[Flaw]:
    """What is wrong with a recording, int16 (n,) at `sample_rate` Hz, n > 0."""
    wave = samples.astype(np.int32)
    steps = int(wave.max() - wave.min())
    if steps <= SILENT_STEPS:
        level = "all samples are equal" if steps == 0 else f"it moves by {steps} of 65,536 steps"
        return [Flaw("silent", f"There is nothing to hear: {level}.")]
    return [flaw for flaw in (_clipped(wave), _cut_off(wave, sample_rate)) if flaw]


def _clipped(wave: np.ndarray) -> Flaw | None:
    """Waves with a flat top or bottom, in several places."""
    stretches, flat, level = 0, 0, 0.0
    for side in (wave, -wave):
        top = int(side.max())
        if top < CLIPPED_FROM * FULL_SCALE:
            continue
        at_top = np.concatenate([[False], side >= top - 1, [False]])
        first, after = np.flatnonzero(np.diff(at_top)).reshape(-1, 2).T
        inside = (first > 0) & (after < len(side)) & (after - first >= FLAT_SAMPLES)
        first, after = first[inside], after[inside]
        left = np.minimum(top - side[first - 1], top - side[after])
        lengths = (after - first)[left >= FLAT_EDGE_STEPS]
        stretches, flat = stretches + len(lengths), flat + int(lengths.sum())
        level = max(level, top / FULL_SCALE) if len(lengths) else level
    if stretches < FLAT_STRETCHES:
        return None
    share = flat / len(wave)
    return Flaw(
        "clipped",
        f"Its peaks are cut flat at {level:.0%} of full scale: {stretches:,} stretches, "
        f"{share:.2%} of it.",
    )


def _cut_off(wave: np.ndarray, sample_rate: int) -> Flaw | None:
    """A sound that is there to the very end, of a recording that has quiet parts."""
    frame = round(FRAME_SECONDS * sample_rate)
    count = len(wave) // frame
    if count <= 2 * END_FRAMES:
        return None
    frames = wave[len(wave) - count * frame :].reshape(count, frame) / FULL_SCALE
    power = np.maximum((frames**2).mean(axis=1), 1 / FULL_SCALE**2)
    levels = 10 * np.log10(power)
    loudest = levels.max()
    last, quiet = levels[-END_FRAMES:].min(), levels[:-END_FRAMES].min()
    if last < loudest - END_DECIBELS or quiet > loudest - RANGE_DECIBELS:
        return None
    return Flaw(
        "cut off",
        f"It ends while it sounds: its last {1000 * END_FRAMES * FRAME_SECONDS:.0f} ms are "
        f"{loudest - last:.0f} dB below its loudest, its quietest {loudest - quiet:.0f} dB.",
    )
