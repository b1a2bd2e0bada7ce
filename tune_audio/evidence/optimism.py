"""What the winner of many trials is worth: the best of many scores is partly luck.

Bootstrap bias-corrected cross-validation, BBC-CV (Tsamardinos, Greasidou & Borboudakis 2018): the
search's choice is repeated on bootstrap samples of the validation's speakers, and what it chooses
is scored on those that a sample left out. Nothing is trained again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from tune_audio.errors import UserError
from tune_audio.evidence.comparison import check_same_rows
from tune_audio.evidence.intervals import LEVEL, Interval, around, interval, of_few_clips
from tune_audio.evidence.jackknife import spread
from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.resampled import draws, scorer
from tune_audio.evidence.units import units
from tune_audio.evidence.weighing import mean_of_defined, ratio
from tune_audio.training.metrics import direction

METHOD = "BBC-CV, jackknife-t"


@dataclass(frozen=True)
class Corrected:
    """The winner's score as it stands and as it is worth.

    winner: its place among the trials. draws: samples that it was corrected with.
    """

    winner: int
    raw: Interval
    corrected: Interval
    trials: int
    draws: int

    @property
    def optimism(self) -> float:
        """How much better the raw score looks, mostly more than 0 where a score is raised."""
        return self.raw.score - self.corrected.score


def correct(
    trials: Iterable[Predictions],
    metric: str,
    *,
    seed: int = 0,
    level: float = LEVEL,
) -> Corrected:
    """The best of some trials, with its score corrected for having been chosen.

    trials: all whose predictions are kept, those stopped early too, on the same rows. But for the
    best so far each is let go, so that a generator may read thousands from disk one by one.

    The corrected interval is the winner's own around its corrected score, widened by the
    correction, which is about as uncertain as it is large.

    Raises:
        UserError: the metric is not defined for these clips, or in no sample.
        ValueError: the trials are not of the same rows, or there is none.
    """
    sign = 1 if direction(metric) == "maximize" else -1
    totals: list[float] = []
    inside, outside = [], []
    for trial in trials:
        rows, name = trial.for_metric(metric)
        if not totals:
            first, over = trial, units(rows)
            drawn = over.draws(draws(name), seed)
            left_out = (drawn == 0).astype(np.float32)
        check_same_rows([first, trial])
        scores = scorer(rows, name, over)
        inside.append((sign * scores(drawn)).astype(np.float32))
        outside.append((sign * scores(left_out)).astype(np.float32))
        totals.append(sign * float(scores(np.ones((1, over.parts), np.float32))[0]))
        if totals[-1] == max(totals):
            winner = trial
    if not totals:
        raise ValueError("trials: there is none")
    raw = interval(winner, metric, level)
    worth = sign * _worth(np.stack(inside), np.stack(outside), np.array(totals))
    return Corrected(
        winner=totals.index(max(totals)),
        raw=raw,
        corrected=_moved(winner, metric, worth, level),
        trials=len(totals),
        draws=len(drawn),
    )


def _worth(inside: np.ndarray, outside: np.ndarray, whole: np.ndarray) -> float:
    """The mean score outside of a sample, (trials, samples), of those that are best inside it.

    whole: the trials' scores on all clips, (trials,), which is what each one's outside is on
    average but for the samples' uneven sizes: these are set right, so that a lone trial keeps its.
    """
    outside = outside - (mean_of_defined(outside.T) - whole)[:, None]
    inside = np.where(np.isnan(inside), -np.inf, inside)
    best = (inside == inside.max(axis=0)) & ~np.isnan(outside)
    of_samples = ratio(np.where(best, outside, 0).sum(axis=0), best.sum(axis=0))
    worth = float(mean_of_defined(of_samples))
    if np.isnan(worth):
        raise UserError(
            "the winner's corrected score: the metric is defined in no sample of the clips; take "
            "another"
        )
    return worth


def _moved(winner: Predictions, metric: str, worth: float, level: float) -> Interval:
    rows, name = winner.for_metric(metric)
    own = spread(partial(scorer, rows, name), rows)
    half = float(np.hypot(own.half_width(level), own.estimate - worth))
    note = of_few_clips(rows, name)
    return around(own, worth, half, direction(metric), level, METHOD, note)
