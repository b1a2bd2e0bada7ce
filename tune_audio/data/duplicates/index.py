"""Which recordings may share a stretch: those with several equal constellations at one distance.

Constellations are sorted, and each is linked with the few that follow it and look the same. So
time and memory grow with the number of constellations, whatever the recordings are: a tone that
fills a thousand of them makes no million of pairs, and copies, however many, form a chain.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np

from tune_audio.data.duplicates.landmarks import FRAME_BITS

LINKS = 4
FEWEST_EQUAL = 5
MOST_CANDIDATES = 16  # of each recording
# 128 MB, which is nine hours of sound; of more every second look is left out, then three of four.
MOST_CONSTELLATIONS = 16_000_000
MIXER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: spreads looks evenly
# A pair and its shift in one number: a million recordings of an hour each.
RECORDING_BITS, SHIFT_BITS = 20, 21
NO_SHIFT = 2 ** (SHIFT_BITS - 1)


class Candidate(NamedTuple):
    """Recordings first < second: frame f of the first may be frame f + shift of the second.

    `equal` constellations say so.
    """

    first: int
    second: int
    shift: int
    equal: int


class Index:
    """Constellations of all recordings, numbered as they are added; a bounded number of them."""

    def __init__(self, most: int = MOST_CONSTELLATIONS) -> None:
        self._most, self._count, self._halvings = most, 0, 0
        self._of: list[np.ndarray] = []
        self._frames: list[int] = []

    def add(self, constellations: np.ndarray, frames: int) -> None:
        """A recording of so many frames."""
        self._of.append(self._thinned(constellations))
        self._frames.append(frames)
        self._count += len(self._of[-1])
        while self._count > self._most:
            self._halvings += 1
            self._of = [self._thinned(packed) for packed in self._of]
            self._count = sum(map(len, self._of))

    def candidates(self) -> list[Candidate]:
        """Pairs of recordings to be compared, the likeliest first."""
        starts = np.cumsum([0, *self._frames])
        packed = np.concatenate([np.zeros(0, np.uint64), *self._of])
        first = 0
        for start, of_one in zip(starts[:-1], self._of, strict=True):
            packed[first : first + len(of_one)] += np.uint64(start)
            first += len(of_one)
        packed.sort()
        return _likeliest(*_counted(packed, starts))

    def _thinned(self, packed: np.ndarray) -> np.ndarray:
        """The same looks of every recording."""
        if not self._halvings:
            return packed
        mixed = (packed >> np.uint64(FRAME_BITS)) * MIXER
        return packed[mixed >> np.uint64(64 - self._halvings) == 0]


def _counted(packed: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs with their shifts, each as one number, and how many links each has: int64 (n,)."""
    found = [np.zeros(0, np.int64)]
    for step in range(1, LINKS + 1):
        at = np.flatnonzero((packed[step:] ^ packed[:-step]) >> np.uint64(FRAME_BITS) == 0)
        low = np.uint64(2**FRAME_BITS - 1)
        a, b = ((packed[at + ahead] & low).astype(np.int64) for ahead in (0, step))
        first = np.searchsorted(starts, a, side="right") - 1
        second = np.searchsorted(starts, b, side="right") - 1
        shift = (b - starts[second]) - (a - starts[first])
        keys = (((first << RECORDING_BITS) + second) << SHIFT_BITS) + shift + NO_SHIFT
        found.append(keys[first != second])
    return np.unique(np.concatenate(found), return_counts=True)


def _likeliest(keys: np.ndarray, counts: np.ndarray) -> list[Candidate]:
    """The best shift of each pair, of each recording its best pairs."""
    # A stretch that begins between two frames is found at either: the next shift counts as well.
    next_key = np.append(np.diff(keys) == 1, False)[: len(keys)]
    equal = counts + np.where(next_key, np.append(counts[1:], 0)[: len(keys)], 0)
    keys, equal = keys[equal >= FEWEST_EQUAL], equal[equal >= FEWEST_EQUAL]
    order = np.lexsort((keys, -equal))
    _, best = np.unique(keys[order] >> SHIFT_BITS, return_index=True)
    taken: Counter[int] = Counter()
    chosen = []
    for row in order[np.sort(best)]:
        pair, shift = divmod(int(keys[row]), 2**SHIFT_BITS)
        first, second = divmod(pair, 2**RECORDING_BITS)
        if max(taken[first], taken[second]) < MOST_CANDIDATES:
            taken.update((first, second))
            chosen.append(Candidate(first, second, shift - NO_SHIFT, int(equal[row])))
    return chosen
