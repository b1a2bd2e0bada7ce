"""What is drawn or left out as one: speakers or sources where there are some, else recordings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tune_audio.evidence.predictions import Predictions

# More are pooled at random, which what is independent allows: from 250 parts a standard error is
# known to 5 %, and thousands of trials are resampled in seconds.
MOST = 250

Kind = Literal["groups", "recordings"]


@dataclass(frozen=True)
class Units:
    """Which unit each row belongs to.

    of_row: int (n,), from 0 to parts - 1. parts: how many are drawn from, at most MOST. count:
    how many groups or recordings that are. note: why they are not groups, where that matters.
    """

    of_row: np.ndarray
    parts: int
    kind: Kind
    count: int
    note: str = ""

    def draws(self, number: int, seed: int) -> np.ndarray:
        """How often each part is in each bootstrap sample, float32 (number, parts)."""
        rng = np.random.default_rng(seed)
        return rng.multinomial(self.parts, np.full(self.parts, 1 / self.parts), size=number).astype(
            np.float32
        )

    def each_left_out(self) -> np.ndarray:
        """The jackknife: all parts but one, float32 (parts, parts)."""
        return 1 - np.eye(self.parts, dtype=np.float32)

    def folds(self, number: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(Rows to judge, rows to fit on) of each fold; no part is in both."""
        number = min(number, self.parts)
        drawn = np.random.default_rng(seed).permutation(np.arange(self.parts) % number)
        fold_of = drawn[self.of_row]
        for fold in range(number):
            yield np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)


def units(predictions: Predictions) -> Units:
    """The groups of some predictions, or their recordings where there are not two groups."""
    if predictions.group is None:
        return recordings(predictions)
    found = _units(predictions.group, "groups")
    if found.count > 1:
        return found
    return recordings(predictions, "all are of 1 speaker or source: nothing is known of others")


def recordings(predictions: Predictions, note: str = "") -> Units:
    """Every recording, with all of its windows, for itself."""
    return _units(predictions.recording, "recordings", note)


def _units(of_row: np.ndarray, kind: Kind, note: str = "") -> Units:
    names, number = np.unique(of_row, return_inverse=True)
    count, parts = len(names), min(len(names), MOST)
    if count > MOST:
        number = np.random.default_rng(0).permutation(np.arange(count) % MOST)[number]
    return Units(number, parts, kind, count, note)
