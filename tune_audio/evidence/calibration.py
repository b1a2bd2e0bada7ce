"""Probabilities that can be believed: a model's logits rescaled on clips it was not trained on.

Temperature scaling has one number for all labels, vector scaling two for each (Guo et al. 2017).
Neither changes which clips are right by much; what they lower is the log loss. Which of them, or
none, is chosen by what it does for speakers that it was not fitted on.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, softmax

from tune_audio.evidence.intervals import LEVEL
from tune_audio.evidence.jackknife import spread
from tune_audio.evidence.predictions import Predictions, log_losses
from tune_audio.evidence.reliability import Reliability, reliability
from tune_audio.evidence.units import Units, units
from tune_audio.evidence.weighing import Scorer, ratio

FOLDS = 5
# Fewer recordings say more about themselves than about the model.
FEWEST = 50
# How far, by their standard deviation, a label's numbers are expected from all labels' own: what
# keeps a label of three clips near the others.
SCALE_SPREAD, SHIFT_SPREAD = 0.3, 1.0


@dataclass(frozen=True)
class Calibration:
    """scale * logits + shift, of L numbers each; a temperature is 1 / scale where all are one.

    Of one label a clip the logits are log-probabilities, log_softmax, whatever the model adds.
    """

    kind: str
    scale: tuple[float, ...]
    shift: tuple[float, ...]

    def apply(self, logits: np.ndarray, *, several: bool) -> np.ndarray:
        """Calibrated logits, float64 (n, L), of a model's."""
        return np.asarray(self.scale) * _inputs(logits, several) + np.asarray(self.shift)


@dataclass(frozen=True)
class Calibrated:
    """What to do to a model's logits, and what it does.

    calibration: fitted on all clips, or None where it is best left alone, and reason says why.
    before, after: after is cross-fitted, every clip's calibration being fitted on other speakers.
    """

    calibration: Calibration | None
    reason: str
    before: Reliability
    after: Reliability


Fit = Callable[[Predictions], Calibration]


def calibrate(
    predictions: Predictions,
    level: float = LEVEL,
    seed: int = 0,
    *,
    changing: bool = True,
) -> Calibrated:
    """The calibration that helps most on clips that it was not fitted on, if any does.

    predictions: of clips that the model was not trained on. changing: also vector scaling, which
    changes a few answers; a temperature changes none, so that a tested score stays true. A
    calibration is taken where it lowers the log loss, cross-fitted, by more than its standard
    error, and vector scaling where it does so against temperature scaling.
    """
    before = reliability(predictions, level)
    recordings = len(np.unique(predictions.recording))
    if recordings < FEWEST:
        reason = f"{recordings} recordings are too few to calibrate on; {FEWEST} are needed"
        return Calibrated(None, reason, before, before)
    fit, best = None, predictions
    for candidate in (temperature, vector) if changing else (temperature,):
        crossed = cross_fitted(candidate, predictions, seed)
        gain = spread(partial(_gain, best, crossed), predictions)
        if gain.estimate > max(gain.error, gain.error_of_recordings):
            fit, best = candidate, crossed
    if fit is None:
        reason = "no calibration lowers the log loss of speakers or recordings it was not fitted on"
        return Calibrated(None, reason, before, before)
    return Calibrated(fit(predictions), "", before, reliability(best, level))


def temperature(predictions: Predictions) -> Calibration:
    """One scale for all labels, with the lowest log loss."""
    x, y = _inputs(predictions.logits, predictions.several), _multi_hot(predictions)

    def loss(log_scale: float) -> float:
        return _loss(np.exp(log_scale) * x, y, predictions.several)

    found = minimize_scalar(loss, bounds=(-3, 3), method="bounded")
    labels = x.shape[1]
    return Calibration("temperature", (float(np.exp(found.x)),) * labels, (0.0,) * labels)


def vector(predictions: Predictions) -> Calibration:
    """A scale and a shift for each label, with the lowest log loss near the temperature's."""
    several = predictions.several
    x, y = _inputs(predictions.logits, several), _multi_hot(predictions)
    common = np.log(temperature(predictions).scale)

    def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        apart, shift = numbers.reshape(2, -1)
        scale = np.exp(common + apart)
        logits = scale * x + shift
        wrong = (expit(logits) if several else softmax(logits, axis=1)) - y
        penalty = ((apart / SCALE_SPREAD) ** 2 + (shift / SHIFT_SPREAD) ** 2).sum() / 2
        slopes = [(wrong * x).sum(axis=0) * scale + apart / SCALE_SPREAD**2]
        slopes += [wrong.sum(axis=0) + shift / SHIFT_SPREAD**2]
        return float(_loss(logits, y, several) + penalty), np.concatenate(slopes)

    found = minimize(loss, np.zeros(2 * x.shape[1]), jac=True, method="L-BFGS-B").x
    apart, shift = found.reshape(2, -1)
    return Calibration("vector", tuple(np.exp(common + apart).tolist()), tuple(shift.tolist()))


def cross_fitted(fit: Fit, predictions: Predictions, seed: int = 0) -> Predictions:
    """The predictions with each clip calibrated by what was fitted on other units' clips."""
    logits = np.empty(predictions.logits.shape)
    for held, rest in units(predictions).folds(FOLDS, seed):
        fitted = fit(predictions.take(rest))
        logits[held] = fitted.apply(predictions.logits[held], several=predictions.several)
    return replace(predictions, logits=logits, losses=None)


def _gain(before: Predictions, after: Predictions, units: Units) -> Scorer:
    """How much lower the mean log loss of a clip is after than before."""
    was, is_now = (log_losses(of.targets, of.chances) for of in (before, after))
    gain = np.bincount(units.of_row, was - is_now, units.parts)
    rows = np.bincount(units.of_row, minlength=units.parts)
    return lambda weights: ratio(weights @ gain, weights @ rows)


def _inputs(logits: np.ndarray, several: bool) -> np.ndarray:
    logits = logits.astype(np.float64)
    return logits if several else log_softmax(logits, axis=1)


def _loss(logits: np.ndarray, y: np.ndarray, several: bool) -> float:
    """The sum of all log losses."""
    if several:
        return float((np.logaddexp(0, logits) - y * logits).sum())
    return -float((y * log_softmax(logits, axis=1)).sum())


def _multi_hot(predictions: Predictions) -> np.ndarray:
    if predictions.several:
        return (predictions.targets > 0.5).astype(float)
    return np.eye(predictions.logits.shape[1])[predictions.targets]
