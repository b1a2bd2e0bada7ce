"""Any metric on thousands of samples of the units at once.

A sample is a weight for each unit: how often it was drawn, or 0 where it is left out. What most
metrics need of the clips are sums over them, so that all samples are one product of matrices:
(samples, units) @ (units, sums). The others are computed sample by sample, on repeated rows.
"""

from collections.abc import Callable

import numpy as np

from tune_audio.errors import UserError
from tune_audio.evidence import counted, ranked
from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.units import Units
from tune_audio.evidence.weighing import Scorer, mean_of_defined
from tune_audio.training.metrics import METRICS, score

Make = Callable[[Predictions, np.ndarray, Units], Scorer]

# A metric's function -> the same of all samples, and how many of them are worth their time.
COUNTED: dict[str | None, tuple[Make, int]] = {
    "tune_audio.training.metrics:accuracy": (counted.accuracy, 2000),
    "tune_audio.training.metrics:balanced_accuracy": (counted.balanced_accuracy, 2000),
    "tune_audio.training.metrics:f1_macro": (counted.f1_macro, 2000),
}
FAST: dict[str | None, tuple[Make, int]] = COUNTED | {
    None: (counted.loss, 2000),
    "tune_audio.training.metrics:auc_roc": (ranked.area, 500),
    "tune_audio.training.metrics:mean_average_precision": (ranked.average_precision, 500),
}


def scorer(predictions: Predictions, metric: str, units: Units) -> Scorer:
    """A metric of METRICS as a function of the units' weights: the mean over folds that have any.

    predictions: the rows that the metric judges, see `Predictions.for_metric`, as are the units.
    """
    make, _ = _way(metric)
    folds = [make(predictions, rows, units) for rows in predictions.fold_rows()]
    return lambda weights: mean_of_defined(np.stack([fold(weights) for fold in folds]))


def draws(metric: str) -> int:
    """How many bootstrap samples of a metric of METRICS are worth their time."""
    return _way(metric)[1]


def is_counted(metric: str) -> bool:
    """Whether a metric of METRICS depends on nothing but what a model says of each clip."""
    return METRICS[metric].function in COUNTED


def _way(metric: str) -> tuple[Make, int]:
    return FAST.get(METRICS[metric].function) or (sample_by_sample(metric), 200)


def sample_by_sample(metric: str) -> Make:
    """Any metric that has a function: its rows are repeated as often as their unit was drawn."""

    def make(predictions: Predictions, rows: np.ndarray, units: Units) -> Scorer:
        targets, logits = predictions.targets[rows], predictions.logits[rows]
        unit = units.of_row[rows]

        def one(weights: np.ndarray) -> float:
            drawn = np.repeat(np.arange(len(rows)), weights[unit].astype(int))
            if not len(drawn):
                return np.nan
            try:
                return score(metric, targets[drawn], logits[drawn])
            except UserError:  # these clips do not define it
                return np.nan

        return lambda weights: np.array([one(sample) for sample in weights])

    return make
