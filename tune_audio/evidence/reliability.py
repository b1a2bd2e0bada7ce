"""Whether a model is right as often as it says: the reliability diagram and its one number.

The expected calibration error is that of Guo et al. 2017: 15 bins of equal width of the highest
probability, the mean over clips of |how often right - how sure| of their bin. Where a clip may
have several labels, each of its labels' probabilities is such a claim.

The number is more than 0 also for a model that is calibrated exactly, by the luck of few clips:
`by_chance` is what it would be then.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from tune_audio.evidence.intervals import LEVEL, Interval, around
from tune_audio.evidence.jackknife import spread
from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.units import Units
from tune_audio.evidence.weighing import Scorer, counts, ratio

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Claims with a probability from low to high: how many, how sure and how often right."""

    low: float
    high: float
    claims: int
    sure: float
    right: float


@dataclass(frozen=True)
class Reliability:
    """The expected calibration error, what chance alone makes of it, and the bins with claims."""

    error: Interval
    by_chance: float
    bins: tuple[Bin, ...]


def reliability(predictions: Predictions, level: float = LEVEL) -> Reliability:
    """How far what a model says of itself can be believed."""
    sure, right, bin_of, _ = _claims(predictions)
    claims = np.bincount(bin_of, minlength=BINS)
    with_claims = np.flatnonzero(claims)
    sums = [np.bincount(bin_of, of, BINS) for of in (sure, right)]
    bins = tuple(
        Bin(i / BINS, (i + 1) / BINS, int(claims[i]), *(float(s[i] / claims[i]) for s in sums))
        for i in with_claims
    )
    # In a bin, right - sure is then nearly normal, with a mean distance from 0 of sqrt(2 / pi) sd.
    variance = np.bincount(bin_of, sure * (1 - sure), BINS)
    by_chance = float(np.sqrt(2 / np.pi * variance).sum() / len(sure))
    found = spread(partial(_error, predictions), predictions)
    half = found.half_width(level)
    return Reliability(around(found, found.estimate, half, "minimize", level), by_chance, bins)


def _error(predictions: Predictions, units: Units) -> Scorer:
    sure, right, bin_of, row = _claims(predictions)
    unit = units.of_row[row]
    cell = unit * BINS + bin_of
    gap = np.bincount(cell, right - sure, units.parts * BINS).reshape(units.parts, BINS)
    claims = counts(unit, np.zeros_like(unit), units.parts, 1)[:, 0]
    return lambda weights: ratio(np.abs(weights @ gap).sum(axis=1), weights @ claims)


def _claims(
    predictions: Predictions,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each claim its probability, whether it is true, its bin, and its row, (claims,) each."""
    chances, targets = predictions.chances, predictions.targets
    rows = np.arange(len(chances))
    if predictions.several:
        rows = np.repeat(rows, chances.shape[1])
        sure, right = chances.ravel(), (targets > 0.5).ravel()
    else:
        sure, right = chances.max(axis=1), chances.argmax(axis=1) == targets
    bin_of = np.minimum((sure * BINS).astype(int), BINS - 1)
    return sure, right, bin_of, rows
