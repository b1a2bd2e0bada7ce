"""How far an estimate may be off: it is computed once without each unit (the jackknife).

A bootstrap's percentiles of 5 speakers hold the truth 80 times in 100, not 95: 5 speakers differ
less than those who were not heard. Student's t with units - 1 degrees of freedom makes up for it,
with the delete-one jackknife's standard error (Efron & Stein 1981), which holds for any metric.
What speakers have in common by chance must not make it narrower than recordings alone allow: the
wider of the two counts. See `intervals` for the coverage.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from tune_audio.errors import UserError
from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.units import Units, recordings, units
from tune_audio.evidence.weighing import Scorer


@dataclass(frozen=True)
class Spread:
    """An estimate, with its standard errors over units and over recordings.

    freedom: degrees of freedom of the first.
    """

    estimate: float
    units: Units
    recordings: int
    error: float
    freedom: int
    error_of_recordings: float

    def half_width(self, level: float) -> float:
        """Half of the interval that holds the truth with a probability of `level`."""
        tail = 0.5 + level / 2
        return max(
            float(stdtrit(self.freedom, tail)) * self.error,
            float(ndtri(tail)) * self.error_of_recordings,
        )

    @property
    def p(self) -> float:
        """Of an estimate as far from 0 where the truth is 0; 1 where nothing varies."""
        far = abs(self.estimate)
        if far == 0 or max(self.error, self.error_of_recordings) == 0:
            return 1.0
        with np.errstate(divide="ignore"):
            by_units = 2 * float(stdtr(self.freedom, -np.divide(far, self.error)))
            by_recordings = 2 * float(ndtr(-np.divide(far, self.error_of_recordings)))
        return max(by_units, by_recordings)


def spread(estimate: Callable[[Units], Scorer], predictions: Predictions) -> Spread:
    """The spread of whatever can be computed with weights for the units of some predictions.

    Raises UserError where the clips do not define the estimate, or there is only one recording.
    """
    over, alone = units(predictions), recordings(predictions)
    if alone.count < 2:
        raise UserError("an interval: got 1 recording; at least 2 are needed")
    scores = estimate(over)
    whole = float(scores(np.ones((1, over.parts), np.float32))[0])
    if np.isnan(whole):
        raise UserError("an interval: the metric is not defined for these clips; take another")
    error, freedom = _error(scores(over.each_left_out()), whole)
    if over.kind == "recordings":
        return Spread(whole, over, alone.count, error, freedom, error)
    of_recordings, _ = _error(estimate(alone)(alone.each_left_out()), whole)
    return Spread(whole, over, alone.count, error, freedom, of_recordings)


def _error(without: np.ndarray, whole: float) -> tuple[float, int]:
    """Standard error and degrees of freedom, of the scores without each unit."""
    defined = without[~np.isnan(without)]
    count = len(defined)
    if count < 2:
        raise UserError(
            "an interval: the metric is not defined without one of the speakers or sources; take "
            "another metric, or more of them"
        )
    return float(np.sqrt((count - 1) / count * ((defined - whole) ** 2).sum())), count - 1
