"""One family's Optuna study: asked for configurations, told how they fared."""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tune_audio.errors import UserError
from tune_audio.reporting.records import TrialRecord
from tune_audio.space import Family, Search
from tune_audio.training.metrics import direction
from tune_audio.tuning.samplers import blind_draws, make_pruner, make_sampler

STATES = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}
# A small space runs dry: after this many repeated suggestions in a row it counts as exhausted.
PATIENCE = 64
INSTEAD = "instead of"  # attribute of a trial: the number of the failed one that it replaces
# What the trials of a study have in common, and what is said of a change.
AGAIN = "its trials are compared with each other; start a new search"
FIXED = {
    "metric": "search.metric: got {now}; this run was started with {then}, and " + AGAIN,
    "folds": "search.folds: got {now}; this run was started with {then}, and " + AGAIN,
    "epochs": "epochs: got {now}; this run was started with {then}, and " + AGAIN,
    "corpus": "data: the recordings, their labels or their split are not those that this run was "
    "started with; give it what it had, or start a new search",
}


@dataclass(frozen=True)
class Plan:
    """What one family is to run: given configurations in their order, or so many suggestions."""

    family: Family
    configurations: Sequence[Mapping[str, Any]] | None = None
    trials: int | None = None


class FamilyStudy:
    """The trials of one family, in an Optuna study `STUDY/FAMILY` that is made or gone on with.

    fixed: what all of its trials have in common, by the names of FIXED. Raises UserError where an
    existing study was started with something else: its trials could not be compared with those to
    come, and might have trained on what now tests.
    retry_failed: every trial that failed gets a new one in its place.
    """

    def __init__(
        self,
        database: optuna.storages.BaseStorage,
        study: str,
        plan: Plan,
        search: Search,
        epochs: int,
        fixed: Mapping[str, Any],
        retry_failed: bool = False,
    ) -> None:
        self.name, self.plan, self.search, self.epochs = study, plan, search, epochs
        self.maximize = direction(search.metric) == "maximize"
        self.records: dict[str, TrialRecord] = {}  # of the trials that were handed out, by key
        self.exhausted = False
        self._trials: dict[str, optuna.Trial] = {}
        self._study = optuna.create_study(
            storage=database,
            study_name=f"{study}/{plan.family.name}",
            load_if_exists=True,
            direction=direction(search.metric),
            pruner=make_pruner(search, epochs),
        )
        self._check_fixed(fixed)
        known = self._all()
        # Another seed at every opening: the same one would suggest the same trials again.
        seed = zlib.crc32(f"{search.seed} {self._study.study_name} {len(known)}".encode())
        self._study.sampler = make_sampler(search.sampler, seed)
        queued = [trial.user_attrs.get("params") for trial in known]
        for configuration in map(_as_stored, plan.configurations or ()):
            if configuration not in queued:
                self._study.enqueue_trial({}, {"params": configuration})
        if retry_failed:
            self._queue_failed()
        self._replaced = {trial.user_attrs.get(INSTEAD) for trial in self._all()}
        for frozen in self._all():
            if frozen.state == TrialState.RUNNING and "params" not in frozen.user_attrs:
                # Killed in the middle of its suggestions: what is fixed is not among them.
                self._study.tell(frozen.number, state=TrialState.FAIL)
            elif frozen.state != TrialState.WAITING and self._counts(frozen):
                self._remember(optuna.Trial(self._study, frozen._trial_id), frozen)

    def _check_fixed(self, fixed: Mapping[str, Any]) -> None:
        started = self._study.user_attrs.get("fixed", {})
        for name, value in fixed.items():
            if started.get(name, value) != value:
                raise UserError(FIXED[name].format(now=value, then=started[name]))
        if started | fixed != started:
            self._study.set_user_attr("fixed", started | fixed)

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _queue_failed(self) -> None:
        """Optuna's trials have one end: a failed one is run again as another, in its place."""
        replaced = {trial.user_attrs.get(INSTEAD) for trial in self._all()}
        for trial in self._all():
            failed = trial.state == TrialState.FAIL and "params" in trial.user_attrs
            if failed and trial.number not in replaced:
                given = {} if trial.params else {"params": trial.user_attrs["params"]}
                self._study.enqueue_trial(trial.params, {INSTEAD: trial.number} | given)

    def _counts(self, trial: FrozenTrial) -> bool:
        """Whether it is a trial of its own: not a repeated suggestion, nor one run anew."""
        attributes = trial.user_attrs
        run = "params" in attributes and "repeats" not in attributes
        return run and trial.number not in self._replaced

    def _remember(self, trial: optuna.Trial, frozen: FrozenTrial) -> TrialRecord:
        attributes = frozen.user_attrs
        epochs = [attributes[name] for name in sorted(attributes) if name.startswith("epoch ")]
        record = TrialRecord(
            study=self.name,
            family=self.plan.family.name,
            number=frozen.number,
            params=attributes["params"],
            state=STATES[frozen.state],
            value=self._best(epochs),
            epochs=epochs,
            extra=attributes.get("extra", {}),
        )
        self.records[record.key], self._trials[record.key] = record, trial
        return record

    def _best(self, epochs: Sequence[Mapping[str, Any]]) -> float | None:
        values = [row[self.search.metric] for row in epochs]
        return (max if self.maximize else min)(values, default=None)

    # What is to be run.

    @property
    def total(self) -> int:
        """How many trials it has when all are run."""
        if self.plan.trials is not None:
            return self.plan.trials
        return sum(trial.number not in self._replaced for trial in self._all())

    @property
    def draws_blindly(self) -> bool:
        """Whether its next trial is drawn without regard to the results of the others."""
        given = self.plan.configurations is not None
        return given or len(self.records) < blind_draws(self.search.sampler)

    @property
    def finished(self) -> bool:
        """Whether every trial has ended and there are no more to hand out."""
        ended = all(record.state != "running" for record in self.records.values())
        return ended and (self.exhausted or len(self.records) >= self.total)

    def ask(self) -> TrialRecord | None:
        """A new trial; None if there are no more."""
        if len(self.records) < self.total:
            for _ in range(PATIENCE):
                trial = self._study.ask()
                params = trial.user_attrs.get("params") or self._suggest(trial)
                twin = next((r for r in self.records.values() if r.params == params), None)
                if twin is None:
                    trial.set_user_attr("params", params)
                    return self._remember(trial, self._all()[trial.number])
                # What was run is not run again: its result is told once more, to be learned from.
                trial.set_user_attr("repeats", twin.key)
                state = TrialState.PRUNED if twin.value is None else None
                self._study.tell(trial, twin.value, state)
        self.exhausted = True
        return None

    def _suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        try:
            return _as_stored(self.plan.family.suggest(trial))
        except ValueError as error:  # Optuna's samplers know a parameter by its first choices
            self._study.tell(trial, state=TrialState.FAIL)
            raise UserError(
                f"models.{self.plan.family.name}: its choices are not those this search was "
                f"started with; start a new one, or use sampler: grid, which may grow ({error})"
            ) from error

    # What trials report.

    def report(self, key: str, epochs: Sequence[dict[str, Any]]) -> bool:
        """Write down the epochs of a trial that are not known yet; True if it should stop."""
        record, trial = self.records[key], self._trials[key]
        for row in epochs[len(record.epochs) :]:
            trial.set_user_attr(f"epoch {row['epoch']:06}", row)
            trial.report(row[self.search.metric], row["epoch"])
            record = replace(record, epochs=[*record.epochs, row])
        self.records[key] = replace(record, value=self._best(record.epochs))
        return trial.should_prune()

    def finish(self, key: str, error: str | None, extra: Mapping[str, Any]) -> None:
        """Write down a trial's end; a second end of the same trial changes nothing."""
        record, trial = self.records[key], self._trials[key]
        if record.state != "running":
            return
        if error is not None or record.value is None:
            state, extra = TrialState.FAIL, {**extra, "error": error or "it ended without a result"}
        elif len(record.epochs) < self.epochs:
            state = TrialState.PRUNED
        else:
            state = TrialState.COMPLETE
        trial.set_user_attr("extra", extra)
        value = record.value if state == TrialState.COMPLETE else None
        self._study.tell(trial.number, value, state)
        self.records[key] = replace(record, state=STATES[state], extra=dict(extra))


def _as_stored(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as they come back from the database: tuples are lists there."""
    return json.loads(json.dumps(params))
