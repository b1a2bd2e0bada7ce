"""A trial's epochs as one figure: the value of its best one, over as many folds as are done."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple


class Best(NamedTuple):
    """The best epoch of a trial so far.

    value: the mean over its folds. epoch: from 1, the same in every fold, and the last of equals.
    folds: how many of them it is the mean of; 1 where there is one split.
    """

    value: float
    epoch: int
    folds: int


def best(rows: Sequence[Mapping[str, Any]], metric: str, *, maximize: bool) -> Best | None:
    """The best epoch by a metric; None before the first.

    rows: of all epochs, fold after fold. A fold that is still being trained counts only if it is
    the first: the mean of other folds is known at the epochs that all of them have. None, too,
    where nothing validated.
    """
    folds: dict[int, list[float]] = {}
    for row in rows:
        if metric not in row:
            return None
        folds.setdefault(row.get("fold", 0), []).append(row[metric])
    curves = [curve for curve in folds.values() if len(curve) == len(folds[0])]
    if not curves:
        return None
    means = [mean(values) for values in zip(*curves, strict=True)]
    value = (max if maximize else min)(means)
    return Best(value, len(means) - means[::-1].index(value), len(curves))
