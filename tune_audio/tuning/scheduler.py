"""Ray Tune asks here whether a trial goes on; the pruner of its family's Optuna study answers."""

from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from tune_audio.tuning.searcher import StudySearcher


class StudyScheduler(FIFOScheduler):
    """One ASHA (or whatever `search.scheduler` says) a family.

    A slow starter competes with its own kind only. The rungs lie in the family's study, so they
    are the same after a resume.
    """

    def __init__(self, searcher: StudySearcher) -> None:
        super().__init__()
        self.searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as in StudySearcher

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Tune tells its searcher that a trial has failed, and only us of what."""
        file = trial.error_file  # what Ray has said of it
        self.searcher.died(trial.trial_id, Path(file).read_text() if file else "")

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        stop = self.searcher.report(trial.trial_id, result["epochs"])
        return TrialScheduler.STOP if stop else TrialScheduler.CONTINUE
