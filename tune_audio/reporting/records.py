"""What is known of one trial: the row that tables, figures and MLflow are made of."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

ENDED = ("complete", "stopped", "failed")  # the states that a trial does not leave


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a search or one retraining, as its study's storage has it.

    `epochs` holds one dict an epoch: `epoch` (from 1), `train/loss`, `train/accuracy`,
    `val/loss`, `val/accuracy`, `epoch_seconds` and how the frozen prefix was had; with folds, which
    follow each other, also `fold` (from 0).
    """

    study: str  # "search" | "retrain"
    family: str  # the key under `models:` in the space
    number: int  # in its family's study, from 0
    params: dict[str, Any]
    state: str  # "waiting" | "running" | "complete" | "stopped" | "failed"
    value: float | None  # the search metric at its best epoch so far
    epochs: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The trial's name in tables, folders and MLflow, e.g. `lstm_cnn-7`."""
        return f"{self.family}-{self.number}"

    @property
    def folds(self) -> int:
        """How many folds its value is the mean of; 1 where there is one split."""
        counts = Counter(row.get("fold", 0) for row in self.epochs)
        return sum(count == counts[0] for count in counts.values())

    @property
    def seconds(self) -> float:
        """The wall-clock time of its epochs."""
        return sum(epoch.get("epoch_seconds", 0.0) for epoch in self.epochs)
