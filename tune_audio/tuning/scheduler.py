"""Ray Tune asks here whether a trial goes on; the pruner of its family's Optuna study answers."""

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_audio.tuning.storage import Storage


class StudyScheduler(FIFOScheduler):
    """One ASHA (or whatever `search.scheduler` says) a family.

    A slow starter competes with its own kind only. The rungs lie in the family's study, so they
    are the same after a resume.
    """

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.storage = storage

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as in StudySearcher

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        stop = self.storage.report(trial.config["key"], result["epochs"])
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE
