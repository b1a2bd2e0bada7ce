"""The one truth about a search: an Optuna study a family, in a SQLite file beside the results.

Every trial, its epochs and its end are written here the moment they are known, and everything
else (the table on screen, the leaderboard, MLflow, the decision to stop a trial) is read from it.
So a search that was killed at any moment is resumed by opening the file again. `optuna-dashboard`
opens it, too.
"""

import json
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from tune_audio.errors import UserError
from tune_audio.metrics import direction
from tune_audio.records import TrialRecord
from tune_audio.samplers import make_pruner, make_sampler
from tune_audio.space import Family, Search

STATES = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}
# A small space runs dry: after this many repeated suggestions in a row it counts as exhausted.
PATIENCE = 64
# What the trials of a study have in common, and what is said of a change.
AGAIN = "its trials are compared with each other; start a new search"
FIXED = {
    "metric": "search.metric: got {now}; this run was started with {then}, and " + AGAIN,
    "folds": "search.folds: got {now}; this run was started with {then}, and " + AGAIN,
    "epochs": "epochs: got {now}; this run was started with {then}, and " + AGAIN,
    "corpus": "data: the recordings, their labels or their split are not those that this run was "
    "started with; give it what it had, or start a new search",
}


def open_database(path: Path) -> optuna.storages.RDBStorage:
    """The SQLite file of a search, made if it is not there.

    With a write-ahead log that is not synced at every commit a commit takes a millisecond instead
    of the disk's thirty. A killed process loses nothing; a power cut may lose the last epochs.
    """
    database = optuna.storages.RDBStorage(
        f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}}
    )

    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    sqlalchemy.event.listen(database.engine, "connect", configure)
    database.engine.dispose()  # so that the connections to come are all configured
    return database


@dataclass(frozen=True)
class Plan:
    """What one family is to run: given configurations in their order, or so many suggestions."""

    family: Family
    configurations: Sequence[Mapping[str, Any]] | None = None
    trials: int | None = None


class Storage:
    """The studies of one search (`study="search"`) or of one retraining (`study="retrain"`).

    Opening an existing file continues it: trials that were running are handed out again first.

    corpus: the fingerprint of what is trained on; None where results are only read.
    Raises UserError where an existing study was started with other data, epochs, metric or folds:
    its trials could not be compared with those to come, and might have trained on what now tests.
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
    ) -> None:
        self.study, self.search, self.epochs = study, search, epochs
        self.plans = {plan.family.name: plan for plan in plans}
        self.maximize = direction(search.metric) == "maximize"
        self._fixed = {"metric": search.metric, "folds": search.folds, "epochs": epochs}
        self._fixed = self._fixed | {"corpus": corpus} if corpus else {}
        database = open_database(path)
        self._studies = {name: self._open(database, plan) for name, plan in self.plans.items()}
        self._trials: dict[str, optuna.Trial] = {}
        self._records: dict[str, TrialRecord] = {}
        for family, study_of in self._studies.items():
            for frozen in study_of.get_trials(deepcopy=False):
                if frozen.state == TrialState.RUNNING and "params" not in frozen.user_attrs:
                    # Killed in the middle of its suggestions: what is fixed is not among them.
                    study_of.tell(frozen.number, state=TrialState.FAIL)
                elif frozen.state != TrialState.WAITING and _was_run(frozen):
                    self._remember(family, optuna.Trial(study_of, frozen._trial_id), frozen)
        self._unfinished = [r.key for r in self.records() if r.state == "running"]
        self._exhausted: set[str] = set()

    def _open(self, database: optuna.storages.BaseStorage, plan: Plan) -> optuna.Study:
        study = optuna.create_study(
            storage=database,
            study_name=f"{self.study}/{plan.family.name}",
            load_if_exists=True,
            direction="maximize" if self.maximize else "minimize",
            pruner=make_pruner(self.search, self.epochs),
        )
        self._check_fixed(study)
        known = study.get_trials(deepcopy=False)
        # Another seed at every opening: the same one would suggest the same trials again.
        seed = zlib.crc32(f"{self.search.seed} {study.study_name} {len(known)}".encode())
        study.sampler = make_sampler(self.search.sampler, seed)
        queued = [trial.user_attrs.get("params") for trial in known]
        for configuration in map(_as_stored, plan.configurations or ()):
            if configuration not in queued:
                study.enqueue_trial({}, {"params": configuration})
        return study

    def _check_fixed(self, study: optuna.Study) -> None:
        """What all trials of a study have in common is what it was started with."""
        started = study.user_attrs.get("fixed", {})
        for name, value in self._fixed.items():
            if started.get(name, value) != value:
                raise UserError(FIXED[name].format(now=value, then=started[name]))
        if started | self._fixed != started:
            study.set_user_attr("fixed", started | self._fixed)

    def _remember(self, family: str, trial: optuna.Trial, frozen: FrozenTrial) -> TrialRecord:
        attributes = frozen.user_attrs
        epochs = [attributes[name] for name in sorted(attributes) if name.startswith("epoch ")]
        record = TrialRecord(
            study=self.study,
            family=family,
            number=frozen.number,
            params=attributes["params"],
            state=STATES[frozen.state],
            value=self._best(epochs),
            epochs=epochs,
            extra=attributes.get("extra", {}),
        )
        self._records[record.key], self._trials[record.key] = record, trial
        return record

    def _best(self, epochs: Sequence[Mapping[str, Any]]) -> float | None:
        values = [row[self.search.metric] for row in epochs]
        return (max if self.maximize else min)(values, default=None)

    # What is to be run.

    def next(self) -> TrialRecord | None:
        """The next trial to run, with what it has done so far; None if there are no more.

        Trials left running by a killed search come first, then the family with the fewest.
        """
        if self._unfinished:
            return self._records[self._unfinished.pop(0)]
        while families := [name for name in self.plans if name not in self._exhausted]:
            family = min(families, key=self._started)
            if self._started(family) < self.totals()[family] and (record := self._ask(family)):
                return record
            self._exhausted.add(family)
        return None

    def totals(self) -> dict[str, int]:
        """How many trials each family has when all are run."""
        return {
            name: len(self._studies[name].get_trials(deepcopy=False))
            if plan.trials is None
            else plan.trials
            for name, plan in self.plans.items()
        }

    def finished(self) -> bool:
        """Whether every trial has ended and there are no more to hand out."""
        totals = self.totals()
        return all(record.state != "running" for record in self.records()) and all(
            name in self._exhausted or self._started(name) >= totals[name] for name in self.plans
        )

    def _started(self, family: str) -> int:
        return sum(record.family == family for record in self._records.values())

    def _ask(self, family: str) -> TrialRecord | None:
        study = self._studies[family]
        for _ in range(PATIENCE):
            trial = study.ask()
            params = trial.user_attrs.get("params") or self._suggest(family, trial)
            twin = self._twin(family, params)
            if twin is None:
                trial.set_user_attr("params", params)
                return self._remember(family, trial, study.get_trials(deepcopy=False)[trial.number])
            # What was run is not run again: its result is told once more, for the sampler to learn.
            trial.set_user_attr("repeats", twin.key)
            state = TrialState.PRUNED if twin.value is None else None
            study.tell(trial, twin.value, state)
        return None

    def _suggest(self, family: str, trial: optuna.Trial) -> dict[str, Any]:
        try:
            return _as_stored(self.plans[family].family.suggest(trial))
        except ValueError as error:  # Optuna's samplers know a parameter by its first choices
            self._studies[family].tell(trial, state=TrialState.FAIL)
            raise UserError(
                f"models.{family}: its choices are not those this search was started with; "
                f"start a new one, or use sampler: grid, which may grow ({error})"
            ) from error

    def _twin(self, family: str, params: Mapping[str, Any]) -> TrialRecord | None:
        mine = (record for record in self._records.values() if record.family == family)
        return next((record for record in mine if record.params == params), None)

    # What trials report.

    def report(self, key: str, epochs: Sequence[dict[str, Any]]) -> bool:
        """Write down the epochs of a trial that are not known yet; True if it should stop.

        epochs: all rows from the first epoch on, so that a lost report is made up by the next.
        """
        record, trial = self._records[key], self._trials[key]
        for row in epochs[len(record.epochs) :]:
            trial.set_user_attr(f"epoch {row['epoch']:06}", row)
            trial.report(row[self.search.metric], row["epoch"])
            record = replace(record, epochs=[*record.epochs, row])
        self._records[key] = replace(record, value=self._best(record.epochs))
        return trial.should_prune()

    def finish(self, key: str, error: str | None = None, **extra: Any) -> None:
        """Write down a trial's end: complete, stopped before its last epoch, or failed.

        A second end of the same trial changes nothing.
        """
        record, trial = self._records[key], self._trials[key]
        if record.state != "running":
            return
        if error is not None or record.value is None:
            state, extra = TrialState.FAIL, extra | {"error": error or "it ended without a result"}
        elif len(record.epochs) < self.epochs:
            state = TrialState.PRUNED
        else:
            state = TrialState.COMPLETE
        trial.set_user_attr("extra", extra)
        value = record.value if state == TrialState.COMPLETE else None
        self._studies[record.family].tell(trial.number, value, state)
        self._records[key] = replace(record, state=STATES[state], extra=extra)

    def record(self, key: str) -> TrialRecord:
        """What is known of one trial."""
        return self._records[key]

    def records(self) -> list[TrialRecord]:
        """All trials handed out so far, family by family, in their order."""
        order = {name: i for i, name in enumerate(self.plans)}
        return sorted(self._records.values(), key=lambda r: (order[r.family], r.number))


def _was_run(trial: FrozenTrial) -> bool:
    return "params" in trial.user_attrs and "repeats" not in trial.user_attrs


def _as_stored(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they come back from the database: tuples are lists there."""
    return json.loads(json.dumps(params))
