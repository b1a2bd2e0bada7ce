"""Metrics of ranks on many samples at once: what they need of the clips are counts, too.

A label's clips are looked at from each probability that one of its own clips has, its thresholds:
how many clips of each unit stand above, or below. That never changes from sample to sample, only
the units' weights do.
"""

from collections.abc import Callable

import numpy as np

from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.units import Units
from tune_audio.evidence.weighing import Scorer, counts, mean_of_defined, ratio

# Samples at a time, so that what is computed of a label stays near the processor.
TOGETHER = 250


def average_precision(predictions: Predictions, rows: np.ndarray, units: Units) -> Scorer:
    """mAP: the precision at each threshold, weighed by the label's clips there."""
    return _mean_over_labels(_average_precision, predictions, rows, units)


def area(predictions: Predictions, rows: np.ndarray, units: Units) -> Scorer:
    """The area under the ROC curve: of pairs of clips with and without, those in right order."""
    return _mean_over_labels(_area, predictions, rows, units)


def _average_precision(
    unit: np.ndarray, truth: np.ndarray, chance: np.ndarray, parts: int
) -> Scorer:
    own, passed = _from_thresholds(unit, truth, chance, parts)
    above = _cumulated(passed[:, ::-1])[:, :-1]  # falling thresholds
    own = np.ascontiguousarray(own[:, ::-1])

    def scores(weights: np.ndarray) -> np.ndarray:
        here = weights @ own
        found = here.cumsum(axis=1)
        total = found[:, -1].copy()
        found /= np.maximum(weights @ above, 1)
        return ratio(np.einsum("st,st->s", here, found), total)

    return scores


def _area(unit: np.ndarray, truth: np.ndarray, chance: np.ndarray, parts: int) -> Scorer:
    own, passed = _from_thresholds(unit, truth, chance, parts)
    tied = ~truth & np.isin(chance, chance[truth])
    passed[:, 1:] -= own
    below = _cumulated(passed)[:, :-1]  # do not reach a threshold; of those that stand on it, half
    thresholds = np.unique(chance[truth])
    equal = counts(unit[tied], np.searchsorted(thresholds, chance[tied]), parts, len(thresholds))
    below, others = below + equal.astype(np.float32) / 2, passed.sum(axis=1)

    def scores(weights: np.ndarray) -> np.ndarray:
        here = weights @ own
        pairs = here.sum(axis=1) * (weights @ others)
        return ratio(np.einsum("st,st->s", here, weights @ below), pairs)

    return scores


def _from_thresholds(
    unit: np.ndarray, truth: np.ndarray, chance: np.ndarray, parts: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of each unit, float32: the label's clips at each of T rising thresholds, (parts, T); and the
    clips that reach none, the first, the first two, ... but no more of them, (parts, T + 1).
    """
    thresholds = np.unique(chance[truth])
    reached = np.searchsorted(thresholds, chance, side="right")
    own = counts(unit[truth], reached[truth] - 1, parts, len(thresholds))
    all_clips = counts(unit, reached, parts, len(thresholds) + 1)
    return own.astype(np.float32), all_clips.astype(np.float32)


def _cumulated(each: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(each.cumsum(axis=1))


def _mean_over_labels(
    make: Callable[[np.ndarray, np.ndarray, np.ndarray, int], Scorer],
    predictions: Predictions,
    rows: np.ndarray,
    units: Units,
) -> Scorer:
    targets, chances = predictions.targets[rows], predictions.chances[rows]
    unit = units.of_row[rows]
    each = np.arange(chances.shape[1])
    own = targets > 0.5 if predictions.several else targets[:, None] == each
    labels = [make(unit, own[:, i], chances[:, i], units.parts) for i in each if own[:, i].any()]

    def scores(weights: np.ndarray) -> np.ndarray:
        pieces = np.split(weights, range(TOGETHER, len(weights), TOGETHER))
        if not labels:
            return np.full(len(weights), np.nan)
        return np.concatenate([mean_of_defined(np.stack([f(p) for f in labels])) for p in pieces])

    return scores
