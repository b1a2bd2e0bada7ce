"""Whether there is too little to validate on for one split, and how many folds there are to be."""

import numpy as np

from tune_audio.data.clips import SPLITS
from tune_audio.data.corpus import Corpus
from tune_audio.errors import UserError
from tune_audio.training.folds import assign_folds

FOLDS = 5
# Below these a split's validation part is some 150 recordings, or three speakers: a 95 % interval
# of 0.05 to each side and more, which decides between no two good configurations.
FEW_RECORDINGS = 1_000
FEW_GROUPS = 20
LEAVE_ONE_OUT = 6  # so many groups or fewer are each left out once


def choose_folds(corpus: Corpus) -> tuple[int | None, str]:
    """How many folds `search.folds: auto` is for these recordings, and why; None for one split.

    The data set's own folds where it has them. Fewer than would be best where a label is in too
    few recordings, speakers or sources to be in every fold.
    """
    rows = np.flatnonzero(corpus.split != SPLITS.index("test"))
    recordings = len(np.unique(corpus.recording[rows]))
    groups = {corpus.group[row] for row in rows} if all(corpus.group[r] for r in rows) else set()
    counted = f"besides the test there are {recordings:,} recordings"
    if groups:
        counted += f" of {len(groups):,} speakers or sources"
    if recordings >= FEW_RECORDINGS and not 0 < len(groups) < FEW_GROUPS:
        return None, f"{counted}, enough for one split"
    official = corpus.fold[rows]
    if (official >= 0).all():
        wanted, how = len(np.unique(official)), "the data set's own"
    elif 0 < len(groups) <= LEAVE_ONE_OUT:
        wanted, how = len(groups), "each of which validates once"
    else:
        wanted, how = min(FOLDS, recordings), "every one of which validates once"
    for folds in range(wanted, 1, -1):
        try:
            assign_folds(corpus, folds)
        except UserError:
            continue
        return folds, f"{counted}: {folds} folds, {how}"
    return None, f"{counted}, which no folds with every label can share: one split"
