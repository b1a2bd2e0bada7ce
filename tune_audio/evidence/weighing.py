"""What scores of weighted units are made of: a weight for each unit of each sample."""

from collections.abc import Callable

import numpy as np

# Weights (samples, units) -> scores (samples,), NaN where a sample does not define the metric.
Scorer = Callable[[np.ndarray], np.ndarray]


def mean_of_defined(values: np.ndarray) -> np.ndarray:
    """The mean over the first axis of what is not NaN; NaN where all are."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, NaN where whole is 0."""
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def counts(unit: np.ndarray, column: np.ndarray, parts: int, columns: int) -> np.ndarray:
    """How often each unit (n,) stands with each column (n,): int (parts, columns)."""
    return np.bincount(unit * columns + column, minlength=parts * columns).reshape(parts, columns)
