"""What Ray Tune is told on the way, and what is told of it: trouble, changes, lost hosts."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune import Callback, Stopper

from tune_audio.reporting.ranking import Ranking
from tune_audio.reporting.records import TrialRecord
from tune_audio.training.kept import FILE as PREDICTIONS
from tune_audio.training.metrics import direction
from tune_audio.tuning.searcher import StudySearcher
from tune_audio.tuning.storage import Storage
from tune_audio.tuning.trial import CHECKPOINT, HANGING

MOST_STOPPED = 20  # trials a family whose predictions are kept although they were stopped


def clear_up(trial_folder: Path) -> None:
    """Remove what an ended trial needs no more; predictions, a model, an error are kept."""
    for file in (trial_folder / CHECKPOINT, *trial_folder.glob(".*.partial")):
        file.unlink(missing_ok=True)
    hanging = trial_folder / HANGING
    if hanging.exists() and not hanging.stat().st_size:  # whoever wrote it was killed
        hanging.unlink()
    with contextlib.suppress(OSError):
        trial_folder.rmdir()


def keep_some(storage: Storage, family: str, folder: Path) -> None:
    """Remove what all but the best stopped trials of a family have said of their clips."""
    stopped = [r for r in storage.records() if r.family == family and r.state == "stopped"]
    order = Ranking(stopped, storage.search.metric, direction(storage.search.metric)).order
    for record in order[MOST_STOPPED:]:
        (folder / record.key / PREDICTIONS).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (folder / record.key).rmdir()


@contextlib.contextmanager
def memory_kills_known() -> Iterator[None]:
    """While this lasts a trial that Ray's memory monitor has killed is one whose worker died.

    Tune knows errors of actors and of their tasks; the monitor's is neither, and ends the run.
    """
    with contextlib.ExitStack() as patches:
        for name in ("_actor_start_failed", "_actor_task_failed"):
            known = getattr(RayActorManager, name)
            patches.callback(setattr, RayActorManager, name, known)
            setattr(RayActorManager, name, _with_known_errors(known))
        yield


def _with_known_errors(method: Callable[..., None]) -> Callable[..., None]:
    def known(error: Any) -> Any:
        if not isinstance(error, OutOfMemoryError):
            return error
        return RayActorError(error_msg=str(error).partition("\n")[0])

    def told(*given: Any, **named: Any) -> None:
        method(*map(known, given), **{name: known(value) for name, value in named.items()})

    return told


class Trouble(Stopper):
    """Stops the run, its trials unfinished, when the surroundings keep one from going on.

    Every other would meet the same.
    """

    def __init__(self, searcher: StudySearcher) -> None:
        self.searcher = searcher

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.searcher.trouble is not None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as in StudySearcher


class Watch(Callback):
    """Tells the driver's listeners of every change; clears up after a trial's end."""

    def __init__(
        self, searcher: StudySearcher, folder: Path, on_change: Callable[[TrialRecord], None]
    ) -> None:
        self.searcher, self.storage = searcher, searcher.storage
        self.folder, self.on_change = folder, on_change

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as in StudySearcher

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.searcher.started(trial.config["key"])
        self._changed(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._changed(trial)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._ended(trial)

    def _changed(self, trial: Any) -> None:
        self.on_change(self.storage.record(trial.config["key"]))

    def _ended(self, trial: Any) -> None:
        record = self.storage.record(trial.config["key"])
        if record.state != "running":  # else it is repeated
            clear_up(self.folder / record.key)
        if record.state == "stopped":
            keep_some(self.storage, record.family, self.folder)
        self._changed(trial)
