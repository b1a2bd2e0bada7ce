"""The one truth about a search: an Optuna study a family, in a SQLite file beside the results.

Every trial, its epochs and its end are written here the moment they are known, and everything
else (the table on screen, the leaderboard, MLflow, the decision to stop a trial) is read from it.
So a search that was killed at any moment is resumed by opening the file again. `optuna-dashboard`
opens it, too.
"""

from collections.abc import Container, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tune_audio.reporting.records import TrialRecord
from tune_audio.space import Search
from tune_audio.training.metrics import direction
from tune_audio.tuning.backup import Backup
from tune_audio.tuning.database import open_database
from tune_audio.tuning.family_study import FamilyStudy, Plan

EPOCHS = 10  # as long as so many of its family's usual ones: no step in that time is no progress
UNKNOWN = 6  # times search.hanging_seconds, where none is known yet


class Storage:
    """The studies of one search (`study="search"`) or of one retraining (`study="retrain"`).

    Opening an existing file continues it: trials that were running are handed out again first.

    corpus: the fingerprint of what is trained on; None where results are only read.
    retry_failed: run the configurations that failed once more.
    Raises UserError where the file was made with other data, epochs, metric or folds;
    SurroundingsError, as whatever writes later, where the file cannot be read or written.
    """

    def __init__(
        self,
        path: Path,
        plans: Sequence[Plan],
        search: Search,
        *,
        epochs: int,
        study: str = "search",
        corpus: str | None = None,
        retry_failed: bool = False,
    ) -> None:
        self.study, self.search, self.epochs = study, search, epochs
        self.plans = {plan.family.name: plan for plan in plans}
        self.maximize = direction(search.metric) == "maximize"
        fixed = {"metric": search.metric, "folds": search.folds, "epochs": epochs}
        fixed |= {"corpus": corpus} if corpus else {}
        database = open_database(path)
        self._families = {
            name: FamilyStudy(database, study, plan, search, epochs, fixed, retry_failed)
            for name, plan in self.plans.items()
        }
        self._family_of = {record.key: record.family for record in self.records()}
        self._unfinished = [r.key for r in self.records() if r.state == "running"]
        self._backup = Backup(path)

    def next(self, families: Container[str] | None = None) -> TrialRecord | None:
        """The next trial to run, with what it has done so far; None if there are no more.

        Trials left running by a killed search come first, then the family with the fewest.
        families: only of these.
        """
        wanted = [name for name in self.plans if families is None or name in families]
        for key in self._unfinished:
            if self._family_of[key] in wanted:
                self._unfinished.remove(key)
                return self.record(key)
        while left := [f for f in map(self._families.__getitem__, wanted) if not f.exhausted]:
            if record := min(left, key=lambda family: len(family.records)).ask():
                self._family_of[record.key] = record.family
                return record
        return None

    def repeat(self, key: str) -> None:
        """Hand out a running trial once more, as if its process had been killed."""
        self._unfinished.append(key)

    def patience_seconds(self, family: str) -> float:
        """How long a trial of a family may do no step before it counts as hanging."""
        trials = self._families[family].records.values()
        known = [row.get("epoch_seconds", 0.0) for trial in trials for row in trial.epochs]
        if not known:
            return UNKNOWN * self.search.hanging_seconds
        return max(self.search.hanging_seconds, EPOCHS * median(known))

    def totals(self) -> dict[str, int]:
        """How many trials each family has when all are run."""
        return {name: family.total for name, family in self._families.items()}

    @property
    def exhausted(self) -> bool:
        """Whether there are no more trials to hand out."""
        return not self._unfinished and all(f.exhausted for f in self._families.values())

    def draws_blindly(self, family: str) -> bool:
        """Whether a family's next trial is drawn without regard to results."""
        return self._families[family].draws_blindly

    def finished(self) -> bool:
        """Whether every trial has ended and there are no more to hand out."""
        return all(family.finished for family in self._families.values())

    def report(self, key: str, epochs: Sequence[dict[str, Any]]) -> bool:
        """Write down the epochs of a trial that are not known yet; True if it should stop.

        epochs: all rows from the first epoch on, so that a lost report is made up by the next.
        """
        return self._families[self._family_of[key]].report(key, epochs)

    def finish(self, key: str, error: str | None = None, **extra: Any) -> None:
        """Write down a trial's end: complete, stopped before its last epoch, or failed.

        A second end of the same trial changes nothing.
        """
        self._families[self._family_of[key]].finish(key, error, extra)
        self._backup.keep()

    def record(self, key: str) -> TrialRecord:
        """What is known of one trial."""
        return self._families[self._family_of[key]].records[key]

    def records(self) -> list[TrialRecord]:
        """All trials handed out so far, family by family, in their order."""
        return [
            record
            for family in self._families.values()
            for record in sorted(family.records.values(), key=lambda record: record.number)
        ]
