"""k-fold cross-validation inside a trial: one model a fold, all advancing together.

So the scheduler sees a mean over the folds after every epoch, and stops a bad configuration as
early as in a single split.
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
    """Several learners as one: an epoch is an epoch of each, its row the mean of theirs.

    make: (fold of every row, the fold that validates) -> Learner.
    """

    def __init__(
        self, make: Callable[[tuple[np.ndarray, int]], Learner], assigned: np.ndarray
    ) -> None:
        self.learners = [make((assigned, fold)) for fold in range(assigned.max() + 1)]

    @property
    def epoch(self) -> int:
        return self.learners[0].epoch

    @property
    def model(self) -> nn.Sequential:
        """One of the models; they differ in their weights only."""
        return self.learners[0].model

    def train_epoch(self) -> dict[str, Any]:
        """The mean of the folds' rows; NAME_sd is the standard deviation of a `val/` metric."""
        rows = [learner.train_epoch() for learner in self.learners]
        merged = {"epoch": rows[0]["epoch"], "prefix": rows[0]["prefix"]}
        for name in [name for name in rows[0] if name not in merged]:
            values = [row[name] for row in rows]
            merged[name] = sum(values) if name == "epoch_seconds" else mean(values)
            if name.startswith("val/"):
                merged[f"{name}_sd"] = stdev(values)
        return merged

    def validation_scores(self) -> dict[str, float]:
        """The mean of the folds' metrics, of those that each of them defines, and NAME_sd."""
        folds = [learner.validation_scores() for learner in self.learners]
        merged: dict[str, float] = {}
        for name in [name for name in folds[0] if all(name in fold for fold in folds)]:
            values = [fold[name] for fold in folds]
            merged |= {name: mean(values), f"{name}_sd": stdev(values)}
        return merged

    def state_dict(self) -> dict[str, Any]:
        return {"folds": [learner.state_dict() for learner in self.learners]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for learner, of_fold in zip(self.learners, state["folds"], strict=True):
            learner.load_state_dict(of_fold)
