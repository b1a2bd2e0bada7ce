"""k-fold cross-validation inside a trial: a model a fold, one fold after the other.

More folds are to a scheduler what more epochs are: all trials begin with the first fold, and what
survives its epochs goes on to the others.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from statistics import mean, stdev
from typing import Any

import numpy as np
from torch import nn

from tune_audio.data.clips import SPLITS
from tune_audio.data.corpus import Corpus
from tune_audio.errors import UserError
from tune_audio.training.evaluation import Evaluation
from tune_audio.training.learner import Learner

MOST_LABELS_SHOWN = 5


def assign_folds(corpus: Corpus, folds: int, seed: int = 0) -> np.ndarray:
    """The fold of every row, int64 (n,), from 0; -1 for what is for the test.

    The data set's own folds where it has them. Else drawn, stratified by label, with the windows
    of a recording and the clips of a group (speaker, source) in one fold.

    Raises:
        UserError: the data set's own folds are not so many, it has too few groups, or a label, of
            which a clip has one, would be missing in a fold.
    """
    assigned = np.full(len(corpus), -1, np.int64)
    rows = np.flatnonzero(corpus.split != SPLITS.index("test"))
    official = corpus.fold[rows]
    if (official >= 0).all():
        names, numbers = np.unique(official, return_inverse=True)
        if len(names) != folds:
            raise UserError(
                f"search.folds: got {folds}; besides the test, the data set has {len(names)} folds"
                f" of its own ({', '.join(map(str, names))})"
            )
        assigned[rows] = numbers
    else:
        assigned[rows] = _drawn(corpus, rows, folds, seed)
    # Few speakers of several labels each may leave one out, however many there are of it.
    _check_labels(corpus, rows, assigned[rows].tolist(), "folds with them", folds)
    return assigned


def _drawn(corpus: Corpus, rows: np.ndarray, folds: int, seed: int) -> np.ndarray:
    groups = [corpus.group[row] or f"recording {corpus.recording[row]}" for row in rows]
    if len(set(groups)) < folds:
        raise UserError(
            f"search.folds: got {folds}; the {len(rows)} clips that are not for the test come from "
            f"only {len(set(groups))} speakers or sources, which folds do not share"
        )
    _check_labels(corpus, rows, groups, "recordings or speakers", folds)
    if len(set(groups)) == folds:  # leave one group out
        return np.unique(groups, return_inverse=True)[1]
    drawn = np.empty(len(rows), np.int64)
    for fold, (_, validating) in enumerate(_splitter(corpus, folds, seed, rows, groups)):
        drawn[validating] = fold
    return drawn


def _check_labels(
    corpus: Corpus, rows: np.ndarray, units: list[Hashable], kind: str, needed: int
) -> None:
    """UserError where a label is in fewer units than there are folds; of one label a clip."""
    if corpus.multi_label:
        return
    units_of = defaultdict(set)
    for target, unit in zip(corpus.targets[rows], units, strict=True):
        units_of[corpus.labels[target]].add(unit)
    few = [f"{label} {len(of)}" for label, of in units_of.items() if len(of) < needed]
    if few:
        shown = ", ".join(few[:MOST_LABELS_SHOWN]) + (", …" if len(few) > MOST_LABELS_SHOWN else "")
        raise UserError(
            f"search.folds: got {needed}; every fold needs clips of every label, but besides the "
            f"test there are too few {kind}: {shown}. Have fewer folds or none, give these labels "
            "more clips, or leave them out"
        )


def _splitter(
    corpus: Corpus, folds: int, seed: int, rows: np.ndarray, groups: list[str]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    if corpus.multi_label:
        return GroupKFold(folds, shuffle=True, random_state=seed).split(rows, groups=groups)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return splitter.split(rows, corpus.targets[rows], groups)


class CrossValidation:
    """Learners of several folds, one after the other: each an epoch at a time, to its last.

    So a scheduler that stops a trial after its first fold has paid for no other, and only one model
    is in memory.

    make: (fold of every row, the fold that validates) -> Learner. epochs: of each fold.
    """

    def __init__(
        self,
        make: Callable[[tuple[np.ndarray, int]], Learner],
        assigned: np.ndarray,
        epochs: int,
    ) -> None:
        self.make, self.assigned, self.epochs = make, assigned, epochs
        self._scores: list[dict[str, float]] = []  # of every fold after its last epoch
        self._begin(0)

    def _begin(self, fold: int) -> None:
        self.fold, self.learner = fold, self.make((self.assigned, fold))

    @property
    def epoch(self) -> int:
        """Of all folds together."""
        return self.fold * self.epochs + self.learner.epoch

    @property
    def model(self) -> nn.Sequential:
        """One of the models; they differ in their weights only."""
        return self.learner.model

    @property
    def validation(self) -> Evaluation | None:
        """What was said of the fold's own clips after its last epoch."""
        return self.learner.validation

    def train_epoch(self) -> dict[str, Any]:
        """Train the fold's next epoch, or the next fold's first; its row, with its `fold` from 0.

        `epoch` goes on over all folds.
        """
        if self.learner.epoch == self.epochs:
            self._begin(self.fold + 1)
        row = self.learner.train_epoch()
        if self.learner.epoch == self.epochs:
            self._scores.append(self.learner.validation_scores())
        return row | {"epoch": self.epoch, "fold": self.fold}

    def validation_scores(self) -> dict[str, float]:
        """The mean of the folds' metrics, of those that each of them defines, and NAME_sd."""
        merged: dict[str, float] = {}
        for name in [n for n in self._scores[0] if all(n in fold for fold in self._scores)]:
            values = [fold[name] for fold in self._scores]
            merged |= {name: mean(values), f"{name}_sd": stdev(values)}
        return merged

    def state_dict(self) -> dict[str, Any]:
        state = self.learner.state_dict()
        return {"fold": self.fold, "learner": state, "scores": self._scores}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._begin(state["fold"])
        self.learner.load_state_dict(state["learner"])
        self._scores = state["scores"]
