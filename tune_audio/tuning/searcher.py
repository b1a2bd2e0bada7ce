"""Ray Tune asks here for the next trial; the families' Optuna studies answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from tune_audio.reporting.records import TrialRecord
from tune_audio.tuning.storage import Storage

# A worker that dies (killed for memory, its node lost) is started again this many times.
RESTARTS = 2


class StudySearcher(Searcher):
    """Hands out the storage's trials and tells it how they ended.

    It has no state of its own: what Ray would save of it is in the storage already.
    """

    def __init__(
        self, storage: Storage, configure: Callable[[TrialRecord], dict[str, Any]]
    ) -> None:
        super().__init__()
        self.storage, self.configure = storage, configure
        self._keys: dict[str, str] = {}  # Ray's trial id -> our trial's key

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        record = self.storage.next()
        if record is None:
            return Searcher.FINISHED
        self._keys[trial_id] = record.key
        return self.configure(record)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        key, result = self._keys[trial_id], result or {}
        if error:
            self.storage.finish(key, f"its worker died {RESTARTS + 1} times (out of memory?)")
        elif result.get("done"):
            self.storage.report(key, result["epochs"])
            self.storage.finish(key, result["error"], **dict(result["extra"]))
        # Otherwise the user interrupted the run: the trial stays unfinished, to be resumed.

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles what a run is made of to restore it; we open the storage again

    def save(self, checkpoint_path: str | Path) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str | Path) -> None:
        """Nothing to restore."""
