"""Ray Tune asks here for the next trial; the families' Optuna studies answer."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from tune_audio.costs.packing import Packing
from tune_audio.errors import SurroundingsError
from tune_audio.reporting.records import TrialRecord
from tune_audio.tuning.cluster import Slots
from tune_audio.tuning.storage import Storage

# A worker that dies (killed for memory, its node lost) is started again this many times.
RESTARTS = 2
HANGING_RESTARTS = 1  # one that hangs takes its time before it dies
# Ray's words for why a worker has died.
HOST_LOST = "node has died"
MEMORY_FULL = "running low on memory"
DISK_FULL = "No space left on device"
# One trial waits for a machine to be free. More, where machines are added to a cluster for those
# that wait, as long as nothing is to be learned from the trials that run.
MOST_WAITING = 64


class StudySearcher(Searcher):
    """Hands out the storage's trials and tells it how they ended.

    It has no state of its own: what Ray would save of it is in the storage already.
    """

    def __init__(
        self,
        storage: Storage,
        configure: Callable[[TrialRecord], dict[str, Any]],
        packing: Packing,
        *,
        may_grow: bool,
        say: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.storage, self.configure, self.packing, self.say = storage, configure, packing, say
        self.may_grow, self.slots = may_grow, Slots()
        self.trouble: str | None = None  # why no trial can go on now, whatever its configuration
        self._handed_out: dict[str, TrialRecord] = {}  # by Ray's trial id; until they end
        self._why: dict[str, str] = {}  # workers died, by Ray's trial id
        self._deaths: Counter[str] = Counter()  # by our trial's key, as all that follows
        self._hangs: Counter[str] = Counter()
        self._patience: dict[str, float] = {}  # seconds without a step before it counts as hanging
        self._signs: dict[str, float] = {}  # when it was heard of last, by the monotonic clock
        self._fewer = 0  # trials at once than there is room for: with more, memory was full

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        record = None
        with self._noticing_trouble():
            record = None if self.trouble else self.storage.next(self._with_room())
        if self.trouble is not None:
            return Searcher.FINISHED
        if record is None:  # there is no room, or one that runs may have to start again: ask later
            return None if self._handed_out or not self.storage.exhausted else Searcher.FINISHED
        self._handed_out[trial_id] = record
        config = self.configure(record)
        self._patience[record.key] = config["patience_seconds"]
        self._signs[record.key] = time.monotonic()
        return config

    def report(self, trial_id: str, epochs: Sequence[dict[str, Any]]) -> bool:
        """Write down a running trial's epochs so far; True if it should stop."""
        key = self._handed_out[trial_id].key
        self._signs[key] = time.monotonic()
        with self._noticing_trouble():
            return self.storage.report(key, epochs)
        return False

    def started(self, key: str) -> None:
        """A trial that was handed out has found room and begins."""
        self._signs[key] = time.monotonic()

    @contextmanager
    def _noticing_trouble(self) -> Iterator[None]:
        try:
            yield
        except SurroundingsError as error:
            self.trouble = self.trouble or error.message

    def died(self, trial_id: str, why: str) -> None:
        """A trial's worker has died; on_trial_complete follows. why: Ray's words."""
        self._why[trial_id] = why

    def _with_room(self) -> set[str]:
        """Families of which one more trial may run or wait.

        Each is counted with those that need the same, so that one whose machine is not there yet
        does not keep the others waiting.
        """
        handed_out = Counter(self._need(record.family) for record in self._handed_out.values())
        return {f for f in self.storage.plans if handed_out[self._need(f)] < self._most(f)}

    def _most(self, family: str) -> int:
        blindly = self.may_grow and self.storage.draws_blindly(family)
        room = self.slots.of(self.packing.need(family)) + (MOST_WAITING if blindly else 1)
        return max(1, room - self._fewer)

    def _need(self, family: str) -> tuple[tuple[str, float], ...]:
        return tuple(sorted(self.packing.need(family).items()))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        key = self._handed_out.pop(trial_id).key
        with self._noticing_trouble():
            self._ended(key, self._why.pop(trial_id, ""), result or {}, error)

    def _ended(self, key: str, why: str, result: dict[str, Any], error: bool) -> None:
        if error:
            if DISK_FULL in why:
                self.trouble = self.trouble or f"{key}: {DISK_FULL}"
            elif self._starts_again(key, why):
                self.storage.repeat(key)
            else:
                self.storage.finish(key, self._given_up(key, why))
        elif result.get("trouble"):
            self.trouble = self.trouble or f"{key} on {result['host']}: {result['trouble']}"
        elif result.get("out_of_memory") and self._repeats(key):
            self.storage.repeat(key)
        elif result.get("done"):
            self.storage.report(key, result["epochs"])
            self.storage.finish(key, result["error"], **dict(result["extra"]))
        # Otherwise the user interrupted the run: the trial stays unfinished, to be resumed.

    def _starts_again(self, key: str, why: str) -> bool:
        """Whether a trial whose worker has died is handed out once more."""
        if HOST_LOST in why:
            return True  # that was not the trial's doing
        if MEMORY_FULL in why and self._handed_out:
            self._fewer += 1
            self.say(f"{key}: memory was full; it starts again, with fewer trials at once")
            return True
        if self._hung(key):
            self._hangs[key] += 1
            return self._hangs[key] <= HANGING_RESTARTS
        self._deaths[key] += 1
        return self._deaths[key] <= RESTARTS

    def _hung(self, key: str) -> bool:
        """Whether a trial's worker, now dead, was silent for so long that it has ended itself."""
        return time.monotonic() - self._signs[key] >= self._patience[key]

    def _given_up(self, key: str, why: str) -> str:
        host = next((f" on {e['host']}" for e in self.storage.record(key).epochs[-1:]), "")
        if MEMORY_FULL in why:
            return f"too much for the memory{host}, even alone: try a smaller batch_size or model"
        if self._hung(key):
            seconds = f"{self._patience[key]:.0f} seconds"
            return f"it hangs: {HANGING_RESTARTS + 1} times no step in {seconds}{host}"
        return f"its worker died {RESTARTS + 1} times{host}"

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
