"""Metrics that are ratios of sums over clips, on thousands of samples by one product of matrices.

Each function takes what the rows of a fold say, and whose they are, and returns a `Scorer`.
"""

import numpy as np

from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.units import Units
from tune_audio.evidence.weighing import Scorer, counts, mean_of_defined, ratio


def accuracy(predictions: Predictions, rows: np.ndarray, units: Units) -> Scorer:
    found = predictions.logits[rows].argmax(axis=-1) == predictions.targets[rows]
    return _mean(found, units.of_row[rows], units.parts)


def loss(predictions: Predictions, rows: np.ndarray, units: Units) -> Scorer:
    return _mean(predictions.own_losses[rows], units.of_row[rows], units.parts)


def balanced_accuracy(predictions: Predictions, rows: np.ndarray, units: Units) -> Scorer:
    true, _, found = _label_counts(predictions, rows, units)
    return lambda weights: mean_of_defined(ratio(weights @ found, weights @ true).T)


def f1_macro(predictions: Predictions, rows: np.ndarray, units: Units) -> Scorer:
    true, called, found = _label_counts(predictions, rows, units)
    either, clips = true + called, np.bincount(units.of_row[rows], minlength=units.parts)

    def scores(weights: np.ndarray) -> np.ndarray:
        f1 = ratio(2 * (weights @ found), weights @ either)
        if predictions.several:  # all labels count, so long as there are clips
            f1 = np.where((weights @ clips)[:, None] > 0, np.nan_to_num(f1), np.nan)
        return mean_of_defined(f1.T)

    return scores


def _mean(values: np.ndarray, unit: np.ndarray, parts: int) -> Scorer:
    total, rows = np.bincount(unit, values, parts), np.bincount(unit, minlength=parts)
    return lambda weights: ratio(weights @ total, weights @ rows)


def _label_counts(
    predictions: Predictions, rows: np.ndarray, units: Units
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clips of each unit that have each label, that are called it, and both: float32 (parts, L)."""
    logits, targets = predictions.logits[rows], predictions.targets[rows]
    labels = logits.shape[1]
    if predictions.several:
        true, called = targets > 0.5, logits > 0
        cells = [np.nonzero(which) for which in (true, called, true & called)]
    else:
        called, every = logits.argmax(axis=-1), np.arange(len(rows))
        right = np.flatnonzero(called == targets)
        cells = [(every, targets), (every, called), (right, called[right])]
    unit = units.of_row[rows]
    has, called_it, both = (
        counts(unit[row], label, units.parts, labels).astype(np.float32) for row, label in cells
    )
    return has, called_it, both
