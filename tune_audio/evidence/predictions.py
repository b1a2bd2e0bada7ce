"""What a trial said of the validation clips, small enough to keep for every trial."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tune_audio.data.corpus import Corpus
from tune_audio.training.evaluation import Evaluation, logits_of
from tune_audio.training.metrics import CLIP, METRICS, probabilities, score


@dataclass(frozen=True)
class Predictions:
    """One trial's answers, a row a window, in the order that all trials of a search share.

    logits: float (n, L); those that were kept are as `training.kept.rounded` has them. targets:
    int64 (n,), or multi-hot (n, L). recording: int (n,), equal for the windows of one recording.
    group: int (n,), the speaker or source of each row, with a number of its own for one that has
    none; None where the data set names none. fold: int (n,), the fold whose model answered for a
    row; None without cross-validation. losses: float (n,), the log loss of each row.
    """

    logits: np.ndarray
    targets: np.ndarray
    recording: np.ndarray
    group: np.ndarray | None = None
    fold: np.ndarray | None = None
    losses: np.ndarray | None = None

    def __post_init__(self) -> None:
        rows = len(self.logits)
        for name in ("targets", "recording", "group", "fold", "losses"):
            given = getattr(self, name)
            if given is not None and len(given) != rows:
                raise ValueError(f"{name}: {len(given)} rows, but logits have {rows}")

    @property
    def several(self) -> bool:
        """Whether a clip may have several labels."""
        return self.targets.ndim == 2

    @cached_property
    def chances(self) -> np.ndarray:
        """Probabilities, float64 (n, L): softmax where a clip has one label, else sigmoid."""
        return probabilities(self.targets, self.logits)

    @cached_property
    def by_clip(self) -> "Predictions":
        """The same, a row a recording in rising order: its windows' probabilities are averaged."""
        whole = Evaluation(self.targets, self.logits, 0.0, self.recording).by_clip
        first = np.unique(self.recording, return_index=True)[1]
        group, fold = (None if of is None else of[first] for of in (self.group, self.fold))
        return Predictions(whole.logits, whole.targets, whole.recording, group, fold)

    def take(self, rows: np.ndarray) -> "Predictions":
        """Some rows, (m,), alone."""
        optional = (None if of is None else of[rows] for of in (self.group, self.fold, self.losses))
        group, fold, losses = optional
        own = self.logits[rows], self.targets[rows], self.recording[rows]
        return Predictions(*own, group=group, fold=fold, losses=losses)

    def saying(self, chances: np.ndarray) -> "Predictions":
        """Other answers to the same rows: probabilities (n, L), whose loss is the log loss."""
        losses = log_losses(self.targets, chances)
        return replace(self, logits=logits_of(self.targets, chances), losses=losses)

    def for_metric(self, metric: str) -> tuple["Predictions", str]:
        """The rows that a metric of `training.metrics.names()` judges, and its name in METRICS."""
        name = metric.removeprefix("val/")
        if name.startswith(CLIP):
            return self.by_clip, name.removeprefix(CLIP)
        return self, name

    def score(self, metric: str) -> float:
        """The metric as the search has it: of all rows, or the mean of the folds' own.

        Raises UserError for a metric that these clips do not define.
        """
        rows, name = self.for_metric(metric)
        return float(np.mean([rows._score(name, own) for own in rows.fold_rows()]))

    def fold_rows(self) -> list[np.ndarray]:
        """The rows of each fold; all rows where there are none."""
        if self.fold is None:
            return [np.arange(len(self.logits))]
        return [np.flatnonzero(self.fold == number) for number in np.unique(self.fold)]

    def _score(self, name: str, rows: np.ndarray) -> float:
        if METRICS[name].function is None:
            return float(np.mean(self.own_losses[rows], dtype=np.float64))
        return score(name, self.targets[rows], self.logits[rows])

    @property
    def own_losses(self) -> np.ndarray:
        if self.losses is None:
            raise ValueError("loss: the rows' own losses were not kept with the predictions")
        return self.losses


def of_corpus(
    corpus: Corpus, rows: np.ndarray, logits: np.ndarray, fold: np.ndarray | None = None
) -> Predictions:
    """What was said, float (n, L), of some rows of a corpus, int (n,)."""
    targets = corpus.targets[rows]
    group = None
    if any(corpus.group[row] for row in rows):
        names = [corpus.group[row] or f"/{corpus.recording[row]}" for row in rows]
        group = np.unique(names, return_inverse=True)[1]
    losses = log_losses(targets, probabilities(targets, logits))
    return Predictions(logits, targets, corpus.recording[rows], group, fold, losses)


def averaged(trials: Sequence[Predictions]) -> Predictions:
    """What trials say together of the same rows in the same order: their mean probabilities."""
    return trials[0].saying(np.mean([trial.chances for trial in trials], axis=0))


def log_losses(targets: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """The log loss of each row's probabilities, (n,): of its label, or the mean of its labels'."""
    least = np.finfo(chances.dtype).tiny
    logs = np.log(np.maximum(chances, least))
    if targets.ndim == 1:
        return -logs[np.arange(len(targets)), targets]
    return -np.where(targets > 0.5, logs, np.log(np.maximum(1 - chances, least))).mean(axis=1)
