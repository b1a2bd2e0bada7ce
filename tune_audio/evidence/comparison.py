"""Which of some models is really better, heard by the same speakers.

A difference is estimated over the same units at once (paired), so that a speaker whom all models
find hard counts for none of them. Its p comes from the jackknife with Student's t: with 5 speakers
a bootstrap's calls 15 to 18 of 100 equal models different, this 2 to 6 (benchmarks/coverage.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tune_audio.evidence.intervals import LEVEL
from tune_audio.evidence.jackknife import spread
from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.resampled import scorer
from tune_audio.evidence.units import Kind, Units
from tune_audio.evidence.weighing import Scorer
from tune_audio.training.metrics import direction


@dataclass(frozen=True)
class Difference:
    """How much better one is than another, its interval, and p of as much if they were equal.

    resampled, count, note: as in `Interval`.
    """

    better_by: float
    low: float
    high: float
    p: float
    resampled: Kind
    count: int
    note: str


@dataclass(frozen=True)
class Rival:
    """One that the winner was compared with.

    p: Holm-corrected for all that were. tied: whether it cannot be told from the winner.
    """

    name: str
    score: float
    behind: Difference
    p: float
    tied: bool


@dataclass(frozen=True)
class Comparison:
    """The winner, and its rivals by falling score."""

    winner: str
    score: float
    rivals: tuple[Rival, ...]

    @property
    def tied(self) -> list[str]:
        """Those that cannot be told from the winner."""
        return [rival.name for rival in self.rivals if rival.tied]

    def cheapest(self, costs: Mapping[str, float]) -> str:
        """Of the winner and those tied with it, the one of the lowest cost."""
        return min([self.winner, *self.tied], key=lambda name: costs[name])


def compare(candidates: Mapping[str, Predictions], metric: str, level: float = LEVEL) -> Comparison:
    """Each of some models, on the same rows, against the best of them.

    Raises UserError where the metric is not defined for these clips, ValueError for other rows.
    """
    sign = 1 if direction(metric) == "maximize" else -1
    scores = {name: one.score(metric) for name, one in candidates.items()}
    winner, *others = sorted(scores, key=lambda name: -sign * scores[name])
    behind = [difference(candidates[winner], candidates[o], metric, level) for o in others]
    corrected = holm([one.p for one in behind])
    rivals = [
        Rival(name, scores[name], one, p, tied=p > 1 - level)
        for name, one, p in zip(others, behind, corrected, strict=True)
    ]
    return Comparison(winner, scores[winner], tuple(rivals))


def difference(
    one: Predictions, other: Predictions, metric: str, level: float = LEVEL
) -> Difference:
    """How much better one is than the other by a metric, whichever way that is. Raises as above."""
    check_same_rows([one, other])
    rows, name = one.for_metric(metric)
    others, _ = other.for_metric(metric)
    sign = 1 if direction(metric) == "maximize" else -1
    found = spread(partial(_better_by, rows, others, name, sign), rows)
    by, half, over = found.estimate, found.half_width(level), found.units
    return Difference(by, by - half, by + half, found.p, over.kind, over.count, over.note)


def holm(p: Sequence[float]) -> list[float]:
    """Corrected p in the order given, so that 0.05 errs once in 20 comparisons (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p, float)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()


def check_same_rows(trials: Sequence[Predictions]) -> None:
    """Raises ValueError unless all are of the same rows in the same order."""
    for trial in trials[1:]:
        for name in ("recording", "targets"):
            if not np.array_equal(getattr(trial, name), getattr(trials[0], name)):
                raise ValueError(f"{name}: only predictions of the same rows can be compared")


def _better_by(
    one: Predictions, other: Predictions, metric: str, sign: int, units: Units
) -> Scorer:
    of_one, of_other = scorer(one, metric, units), scorer(other, metric, units)
    return lambda weights: sign * (of_one(weights) - of_other(weights))
