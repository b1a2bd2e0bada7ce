"""Ray Tune asks here for the next trial; the families' Optuna studies answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from tune_audio.reporting.records import TrialRecord
from tune_audio.tuning.packing import Packing
from tune_audio.tuning.storage import Storage

# A worker that dies (killed for memory, its node lost) is started again this many times.
RESTARTS = 2


class StudySearcher(Searcher):
    """Hands out the storage's trials and tells it how they ended.

    It has no state of its own: what Ray would save of it is in the storage already.
    """

    def __init__(
        self,
        storage: Storage,
        configure: Callable[[TrialRecord], dict[str, Any]],
        packing: Packing,
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.storage, self.configure, self.packing, self.say = storage, configure, packing, say
        self._running: set[str] = set()
        self._keys: dict[str, str] = {}  # Ray's trial id -> our trial's key

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        record = self.storage.next()
        if record is None:  # there will be none; or, for now, as long as one may be repeated
            may_come_back = any(map(self.packing.may_be_repeated, self._running))
            return None if may_come_back else Searcher.FINISHED
        self._keys[trial_id] = record.key
        self._running.add(record.key)
        return self.configure(record)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        key, result = self._keys[trial_id], result or {}
        self._running.discard(key)
        if error:
            self.storage.finish(key, f"its worker died {RESTARTS + 1} times (out of memory?)")
        elif result.get("out_of_memory") and self._repeats(key):
            self.storage.repeat(key)
        elif result.get("done"):
            self.storage.report(key, result["epochs"])
            self.storage.finish(key, result["error"], **dict(result["extra"]))
        # Otherwise the user interrupted the run: the trial stays unfinished, to be resumed.

    def _repeats(self, key: str) -> bool:
        """Whether a trial that ran out of GPU memory gets more of it, and then another chance."""
        told = self.packing.out_of_memory(key, self.storage.record(key).family)
        if told is not None:
            self.say(told)
        return told is not None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles what a run is made of to restore it; we open the storage again

    def save(self, checkpoint_path: str | Path) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str | Path) -> None:
        """Nothing to restore."""
