"""What a trial says of its validation clips at its best epoch: kept, for claims made later."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tune_audio.training.curve import best
from tune_audio.training.evaluation import Evaluation

FILE = "predictions.npz"
# Folds are joined at the epoch that is best on average, which is known at the end: until then all
# epochs are kept, unless they take more than this.
MOST_BYTES = 128_000_000


class Kept:
    """Validation logits of a trial by fold and epoch, as many as may still be needed.

    metric: e.g. "val/accuracy", by which the best epoch is found.
    """

    def __init__(self, metric: str, *, maximize: bool) -> None:
        self.metric, self.maximize = metric, maximize
        self._rows: dict[int, Tensor] = {}  # by fold
        self._logits: dict[int, dict[int, Tensor]] = {}  # by fold and its epoch, from 1
        self._none = False  # are kept of this trial

    def add(self, rows: Sequence[Mapping[str, Any]], evaluation: Evaluation) -> bool:
        """Keep what was said in the last epoch; whether the best of the trial is another now.

        rows: of all epochs so far. evaluation: of the validation clips after the last.
        """
        fold = rows[-1].get("fold", 0)
        epoch = sum(row.get("fold", 0) == fold for row in rows)
        assert evaluation.rows is not None
        logits = rounded(evaluation.logits, several=evaluation.targets.ndim == 2)
        self._rows[fold] = torch.from_numpy(evaluation.rows)
        self._logits.setdefault(fold, {})[epoch] = torch.from_numpy(logits)
        found = best(rows, self.metric, maximize=self.maximize)
        assert found is not None
        if "fold" not in rows[-1]:
            self._logits[0] = {e: kept for e, kept in self._logits[0].items() if e == found.epoch}
            return found.epoch == epoch
        self._bound()
        return found.folds == fold + 1 and (fold > 0 or found.epoch == epoch)

    def _bound(self) -> None:
        kept = [logits for epochs in self._logits.values() for logits in epochs.values()]
        if sum(logits.nbytes for logits in kept) > MOST_BYTES:
            self.give_up()

    def give_up(self) -> None:
        """Keep and write none: not all that would have to be joined are there."""
        self._none = True
        self._logits.clear()

    def write(self, rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
        """Put the best epoch's logits into FILE, whole or not at all.

        logits: float16 (n, labels), as `rounded` has them; row: int64 (n,), of the corpus; fold:
        int64 (n,), by which it was validated; epoch: the one they are of, from 1.
        """
        found = best(rows, self.metric, maximize=self.maximize)
        if found is None or self._none:
            return
        folds = range(found.folds)
        partial = folder / f".{FILE}.partial"
        with open(partial, "wb") as file:
            np.savez(
                file,
                logits=np.concatenate([self._logits[f][found.epoch].numpy() for f in folds]),
                row=np.concatenate([self._rows[f].numpy() for f in folds]),
                fold=np.concatenate([np.full(len(self._rows[f]), f) for f in folds]),
                epoch=found.epoch,
            )
        os.replace(partial, folder / FILE)

    def state_dict(self) -> dict[str, Any]:
        return {
            "rows": self._rows,
            "logits": self._logits,
            "none": self._none,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._rows, self._logits = state["rows"], state["logits"]
        self._none = state["none"]


def rounded(logits: np.ndarray, *, several: bool) -> np.ndarray:
    """Logits (n, L) in two bytes each, float16, so that no answer changes.

    Of one label a clip, the highest becomes 0, which softmax does not notice: what comes close to
    it is then told from it as finely as float32 had it. Of several, a sign stays as it is.
    """
    if not several:
        logits = logits - logits.max(axis=-1, keepdims=True)
    furthest = np.finfo(np.float16).max
    return np.clip(logits, -furthest, furthest).astype(np.float16)
