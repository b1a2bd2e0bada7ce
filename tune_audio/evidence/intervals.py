"""Where a score probably lies for speakers, or sources, that were not heard.

The interval is the jackknife's with Student's t (`jackknife`), on a scale on which a score has no
bounds: logits where it lies between 0 and 1, logarithms where it is lowered and positive. Half a
recording right and half a one wrong are added before, so that what is all right has an interval.

How often, in %, a 95 % interval of the accuracy held the accuracy for new speakers, in
benchmarks/coverage.py: 10 to 100 recordings of each speaker, accuracies of 0.7, 0.9 and 0.98,
speakers who differ by 0, 0.5 and 1 on the scale of logits; lowest and highest of these nine, of
600 each.

| speakers                   | 3      | 5     | 10    | 20     | 40     |
|----------------------------|--------|-------|-------|--------|--------|
| percentile bootstrap       | 67-78  | 76-86 | 86-90 | 88-94  | 91-95  |
| BCa bootstrap              | 65-73  | 76-87 | 87-90 | 90-94  | 91-95  |
| bootstrap-t                | 83-94  | 91-97 | 92-97 | 93-96  | 94-96  |
| two-stage bootstrap        | 79-98  | 84-99 | 90-99 | 91-100 | 94-100 |
| t of the speakers' means   | 84-97  | 84-96 | 89-96 | 90-96  | 90-95  |
| wild bootstrap-t           | 81-89  | 85-94 | 88-96 | 89-96  | 91-96  |
| this                       | 93-100 | 93-98 | 93-98 | 93-97  | 94-97  |
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit, logit, ndtri

from tune_audio.evidence.jackknife import Spread, spread
from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.resampled import scorer
from tune_audio.evidence.units import Kind
from tune_audio.training.metrics import direction

LEVEL = 0.95
METHOD = "jackknife-t"
# Means over the labels that occur, each of which few clips put too high: a mAP of 35 labels with 5
# clips each was 0.29 on real speech where thousands of clips had 0.15. No interval mends that.
BIASED_BY_FEW = ("balanced_accuracy", "f1_macro", "map")
FEW = 20


@dataclass(frozen=True)
class Interval:
    """A score and what it may truly be.

    resampled: whether over groups (speakers, sources) or over recordings, and count, how many.
    note: what it does not say, or "".
    """

    score: float
    low: float
    high: float
    resampled: Kind
    count: int
    level: float = LEVEL
    method: str = METHOD
    note: str = ""


def interval(predictions: Predictions, metric: str, level: float = LEVEL) -> Interval:
    """The interval of one of `training.metrics.names()`.

    Raises UserError where the metric is not defined for these clips.
    """
    rows, name = predictions.for_metric(metric)
    found = spread(partial(scorer, rows, name), rows)
    half, note = found.half_width(level), of_few_clips(rows, name)
    return around(found, found.estimate, half, direction(metric), level, note=note)


def of_few_clips(rows: Predictions, name: str) -> str:
    """What to say of a metric of METRICS where most labels have few clips, or ""."""
    if name not in BIASED_BY_FEW:
        return ""
    labels = rows.logits.shape[1]
    clips = (
        (rows.targets > 0.5).sum(axis=0)
        if rows.several
        else np.bincount(rows.targets, minlength=labels)
    )
    few = int((clips < FEW).sum())
    if few <= labels / 2:
        return ""
    return f"{few} of {labels} labels have fewer than {FEW} clips, with which {name} looks too good"


def around(
    found: Spread,
    centre: float,
    half_width: float,
    better: str,
    level: float,
    method: str = METHOD,
    note: str = "",
) -> Interval:
    """The interval around a centre, on the scale that suits it; the centre is always in it."""
    low, high = _ends(found, centre, half_width, better, level)
    over = found.units
    ends = min(low, centre), max(high, centre)
    notes = "; ".join(said for said in (over.note, note) if said)
    return Interval(centre, *ends, over.kind, over.count, level, method, notes)


def _ends(
    found: Spread, centre: float, half: float, better: str, level: float
) -> tuple[float, float]:
    both = np.array([-half, half])
    if better == "maximize" and 0 <= centre <= 1:
        clips = _worth_recordings(found)
        inner = (centre * clips + 0.5) / (clips + 1)
        if found.half_width(level) == 0:  # all are right: the binomial law says what may yet vary
            possible = ndtri(0.5 + level / 2) * np.sqrt(inner * (1 - inner) / clips)
            both = np.array([-1, 1]) * np.hypot(half, possible)
        low, high = expit(logit(inner) + both / (inner * (1 - inner)))
    elif better == "minimize" and centre > 0:
        low, high = centre * np.exp(both / centre)
    else:
        low, high = centre + both
    return float(low), float(high)


def _worth_recordings(found: Spread) -> float:
    """How many recordings' share of right ones would vary as much: of an accuracy, their number.

    An area under a curve, of as many recordings, is known far more finely near 1.
    """
    share = found.estimate * (1 - found.estimate)
    if share <= 0 or found.error_of_recordings == 0:
        return found.recordings
    return share / found.error_of_recordings**2
