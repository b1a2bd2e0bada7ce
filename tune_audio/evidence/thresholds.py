"""How sure a model with several labels a clip has to be of each label before it says so.

`inference.thresholds` is another rule, that of one label a clip: when none of them is believed.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.special import logit

from tune_audio.evidence.calibration import FOLDS
from tune_audio.evidence.intervals import LEVEL, Interval, interval
from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.units import units

# Of fewer clips with a label the best threshold is that of these clips, and of no others.
FEWEST = 10
USUAL = 0.5


@dataclass(frozen=True)
class LabelThresholds:
    """A label is given where its probability is above its threshold; 1 means never.

    too_few: the labels that are left at 0.5, of fewer than FEWEST clips.
    """

    chances: tuple[float, ...]
    too_few: tuple[int, ...]

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Logits (n, L) moved so that a label is given where its logit is above 0.

        So every metric that asks for that can be computed of them.
        """
        return logits.astype(np.float64) - np.nan_to_num(logit(self.chances))


@dataclass(frozen=True)
class Tuned:
    """Thresholds of all clips, and what they are worth on speakers they were not chosen on.

    before: macro F1 at 0.5. after, precision, recall: cross-fitted; the last two of all labels
    given, NaN where none is.
    """

    thresholds: LabelThresholds
    before: Interval
    after: Interval
    precision: float
    recall: float


def tune(
    predictions: Predictions,
    *,
    precision: float | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> Tuned:
    """Thresholds with the highest F1 of each label, or the most found at a wanted precision.

    predictions: calibrated ones where the model is; of several labels a clip.
    """
    if not predictions.several:
        raise ValueError("thresholds of labels: only where a clip may have several")
    find = partial(_found, precision=precision)
    moved = np.empty(predictions.logits.shape)
    for held, rest in units(predictions).folds(FOLDS, seed):
        moved[held] = find(predictions.take(rest)).apply(predictions.logits[held])
    crossed = replace(predictions, logits=moved, losses=None)
    given, true = moved > 0, predictions.targets > 0.5
    right = (given & true).sum()
    return Tuned(
        thresholds=find(predictions),
        before=interval(predictions, "f1_macro", level),
        after=interval(crossed, "f1_macro", level),
        precision=float(right / given.sum()) if given.any() else np.nan,
        recall=float(right / true.sum()) if true.any() else np.nan,
    )


def _found(predictions: Predictions, precision: float | None) -> LabelThresholds:
    own = predictions.targets > 0.5
    clips = own.sum(axis=0)
    pick: Callable[[np.ndarray, np.ndarray], int] = (
        _best_f1 if precision is None else partial(_most_at, precision)
    )
    chances = [
        _threshold(own[:, i], predictions.chances[:, i], pick) if clips[i] >= FEWEST else USUAL
        for i in range(own.shape[1])
    ]
    return LabelThresholds(tuple(chances), tuple(np.flatnonzero(clips < FEWEST).tolist()))


def _threshold(
    own: np.ndarray, chances: np.ndarray, pick: Callable[[np.ndarray, np.ndarray], int]
) -> float:
    """Halfway between the last clip that is given the label and the first that is not."""
    order = np.argsort(-chances, kind="stable")
    falling, right = chances[order], own[order].cumsum()
    ends = np.flatnonzero(np.diff(falling, append=-1.0))  # the last of clips that are equally sure
    given = pick(right[ends], ends + 1)
    if given < 0:
        return 1.0
    last = ends[given]
    below = falling[last + 1] if last + 1 < len(falling) else 0.0
    middle = (falling[last] + below) / 2
    return float(middle if middle < falling[last] else below)


def _best_f1(right: np.ndarray, given: np.ndarray) -> int:
    return int(np.argmax(right / (given + right[-1])))


def _most_at(precision: float, right: np.ndarray, given: np.ndarray) -> int:
    """Where the most are given that are right so often; -1 where they never are."""
    good = np.flatnonzero(right / given >= precision)
    return int(good[-1]) if len(good) else -1
