"""What a model says of some clips, and how good that is: by window and by whole clip."""

import contextlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tune_audio.errors import UserError
from tune_audio.training.metrics import CLIP, METRICS, probabilities, score


@dataclass(frozen=True)
class Evaluation:
    """A model's answers for one split.

    targets: int64 (n,), or multi-hot float32 (n, labels). logits: float32 (n, labels). loss: the
    one it is trained with, without label smoothing. recording: int64 (n,), equal for the windows
    that were cut from one recording. rows: int64 (n,), of the corpus.
    """

    targets: np.ndarray
    logits: np.ndarray
    loss: float
    recording: np.ndarray
    rows: np.ndarray | None = None

    @property
    def has_windows(self) -> bool:
        """Whether some recordings were cut into several windows."""
        return len(np.unique(self.recording)) < len(self.recording)

    def usual(self, metric: str) -> list[str]:
        """The metrics to report besides the loss: the chosen one, and accuracy where it is one."""
        accuracies = [] if self.targets.ndim == 2 else ["accuracy"]
        if self.has_windows:
            accuracies += [CLIP + name for name in accuracies]
        return list(dict.fromkeys([*accuracies, metric]))

    def score(self, metric: str) -> float:
        """A metric of METRICS; with `clip_` before its name, of whole clips."""
        if metric == "loss":
            return self.loss
        if metric.startswith(CLIP):
            return self.by_clip.score(metric.removeprefix(CLIP))
        return score(metric, self.targets, self.logits)

    def scores(self) -> dict[str, float]:
        """Every metric that these clips define: by window, and by clip where there are windows."""
        several = self.targets.ndim == 2
        names = [name for name, m in METRICS.items() if m.multi_label or not several]
        if self.has_windows:
            names += [CLIP + name for name in names if METRICS[name].function]
        scores = {}
        for name in names:
            with contextlib.suppress(UserError):  # no label has both clips with it and without it
                scores[name] = self.score(name)
        return scores

    @cached_property
    def by_clip(self) -> "Evaluation":
        """The same, a row a recording in rising order: its windows' probabilities are averaged.

        Logits float64 where there are windows; else those that the model gave.
        """
        clips, first, clip = np.unique(self.recording, return_index=True, return_inverse=True)
        logits = self._averaged(clip) if self.has_windows else self.logits[first]
        return Evaluation(self.targets[first], logits, self.loss, clips)

    def _averaged(self, clip: np.ndarray) -> np.ndarray:
        """The logits that have the mean probabilities of each clip, for metrics take logits.

        clip: which one each row belongs to, from 0.
        """
        chances = probabilities(self.targets, self.logits)
        mean = np.zeros((clip.max() + 1, chances.shape[1]))
        np.add.at(mean, clip, chances)
        mean /= np.bincount(clip)[:, None]
        return logits_of(self.targets, mean)


def logits_of(targets: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Probabilities, float64 (n, L), as logits: the reverse of `metrics.probabilities`."""
    # Bounded only where float64 has 0 or 1: a wider bound makes ties of confident clips.
    logs = np.log(np.maximum(chances, np.finfo(float).tiny))
    return logs if targets.ndim == 1 else logs - np.log1p(-np.minimum(chances, 1 - 2**-53))
