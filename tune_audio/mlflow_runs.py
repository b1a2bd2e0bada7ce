"""The runs of one search in one MLflow store. The only file that imports mlflow (seconds).

Writing is idempotent: what a kill interrupted is found by its tags and completed, what is there
already is not written again. A run's status is always its last word, so a run that has ended
lacks nothing.
"""

import hashlib
import io
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import zip_longest
from numbers import Real
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from ruamel.yaml import YAML

from tune_audio.errors import UserError
from tune_audio.records import TrialRecord

STATUS = {"running": "RUNNING", "complete": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
MODEL_FOLDER = "model"  # where a retrained run keeps its saved model, among its artifacts
ALIAS = "best"
# MLflow refuses more than 1000 entries or 100 params in one batch.
MOST_METRICS, MOST_PARAMS = 800, 100
LONGEST_VALUE = 2000


@dataclass
class _Run:
    """What the store has of a run, so that only what is new is written."""

    id: str
    artifact_uri: str
    start_ms: int
    status: str
    state: str | None  # None: nothing but the run itself was written
    epochs: int


class SearchRuns:
    """A parent run for the search and a child for every trial and retraining, found or created.

    Arguments as of `tune_audio.tracking.Mirror`. Every method may be repeated without harm.
    """

    def __init__(
        self,
        uri: str,
        *,
        space_name: str,
        search_id: str,
        space: Mapping[str, Any],
        metric: str,
        direction: str,
        tags: Mapping[str, str],
    ) -> None:
        # Hashed, because MLflow's filter language has no way to quote a quotation mark.
        self._search = hashlib.sha256(search_id.encode()).hexdigest()[:16]
        self._space_name, self._metric = space_name, metric
        self._sign = 1.0 if direction == "maximize" else -1.0
        for noisy in ("mlflow", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        with _alone_in(uri):
            self._client = MlflowClient(tracking_uri=uri)
            self._experiment = self._find_experiment()
        self._children = self._find_runs()
        parent = self._children.pop((None, None), None)
        self._parent = parent or self._create(space_name, dict(tags), _now_ms())
        if self._parent.status != "RUNNING":
            self._client.update_run(self._parent.id, status="RUNNING")
        text = io.StringIO()
        YAML(pure=True).dump(dict(space), text)
        self._client.log_text(self._parent.id, text.getvalue(), "space.yaml")

    def write(self, record: TrialRecord) -> None:
        """Bring the run of a trial or a retraining, created if need be, to what the record says."""
        key = (record.study, record.key)
        if key not in self._children:
            self._children[key] = self._create_child(record)
        run = self._children[key]
        status = STATUS[record.state]
        last = int(record.epochs[-1]["epoch"]) if record.epochs else 0
        if (run.status, run.state) == (status, record.state) and run.epochs >= last:
            return
        if run.status != "RUNNING" and status == "RUNNING":
            self._client.update_run(run.id, status=status)
        self._log(record, run)
        if record.state == "complete" and "model_folder" in record.extra:
            self._register(record, run)
        if status != "RUNNING":
            self._client.set_terminated(run.id, status)
        run.status, run.state, run.epochs = status, record.state, max(last, run.epochs)

    def end(self, status: str, summary: Mapping[str, float], artifacts: Iterable[Path]) -> None:
        """End the search's own run, and as KILLED whatever trial has not ended."""
        for run in self._children.values():
            if run.status == "RUNNING":
                self._client.set_terminated(run.id, "KILLED")
                run.status = "KILLED"
        now = _now_ms()
        best = [
            Metric(_metric_name(f"best/{family}"), float(value), now, len(self._children))
            for family, value in summary.items()
        ]
        self._client.log_batch(self._parent.id, metrics=best)
        for path in artifacts:
            if path.is_dir():
                self._client.log_artifacts(self._parent.id, str(path), path.name)
            elif path.exists():
                self._client.log_artifact(self._parent.id, str(path))
        self._client.set_terminated(self._parent.id, status)

    def _find_experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "tune_audio"
        if self._client.get_experiment_by_name(name) is None:
            with suppress(MlflowException):  # another search may create it at this very moment
                return self._client.create_experiment(name)
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage == "deleted":
            raise UserError(
                f"MLFLOW_EXPERIMENT_NAME: the experiment '{name}' is deleted or cannot be made; "
                "restore it in MLflow or name another"
            )
        return experiment.experiment_id

    def _find_runs(self) -> dict[tuple[str | None, str | None], _Run]:
        """The search's runs by (study, trial); its own run is (None, None)."""
        found: dict[tuple[str | None, str | None], _Run] = {}
        mine = f"tags.`tune_audio.search` = '{self._search}'"
        token = None
        while token != "":
            page = self._client.search_runs([self._experiment], mine, page_token=token)
            for run in page:
                tags = run.data.tags
                found[tags.get("tune_audio.study"), tags.get("tune_audio.trial")] = _known(run)
            token = page.token or ""
        return found

    def _create(self, name: str, tags: Mapping[str, str], start_ms: int) -> _Run:
        tags = {
            "mlflow.source.name": "tune_audio",
            "tune_audio.search": self._search,
            "tune_audio.space": self._space_name,
            **tags,
        }
        return _known(self._client.create_run(self._experiment, start_ms, tags, name))

    def _create_child(self, record: TrialRecord) -> _Run:
        name = record.key
        if record.study == "retrain":
            again = f" {record.number}" if record.number else ""
            name = f"retrain {record.family}{again}"
        tags = {
            "mlflow.parentRunId": self._parent.id,
            "tune_audio.study": record.study,
            "tune_audio.trial": record.key,
            "tune_audio.family": record.family,
        }
        spent = sum(epoch.get("epoch_seconds", 0.0) for epoch in record.epochs)
        return self._create(name, tags, _now_ms() - int(1000 * spent))

    def _log(self, record: TrialRecord, run: _Run) -> None:
        """Params once, then the epochs that are not there yet, then the tags that say so."""
        metrics = self._metrics(record, run)
        params = []
        if run.state is None:
            params = [
                Param(_metric_name(name), str(value)[:LONGEST_VALUE])
                for name, value in {"family": record.family, **record.params}.items()
            ]
        for some_metrics, some_params in zip_longest(
            _chunks(metrics, MOST_METRICS), _chunks(params, MOST_PARAMS), fillvalue=()
        ):
            self._client.log_batch(run.id, metrics=some_metrics, params=some_params)
        last = int(record.epochs[-1]["epoch"]) if record.epochs else 0
        tags = {"state": record.state, "epochs": str(max(last, run.epochs))}
        if "error" in record.extra:
            tags["error"] = str(record.extra["error"])[:LONGEST_VALUE]
        self._client.log_batch(
            run.id, tags=[RunTag(f"tune_audio.{name}", value) for name, value in tags.items()]
        )

    def _metrics(self, record: TrialRecord, run: _Run) -> list[Metric]:
        # Times follow from the run's start, so that MLflow knows a repeated metric for the same.
        metrics, at_ms, step = [], run.start_ms, 0
        for epoch in record.epochs:
            step = int(epoch["epoch"])
            at_ms += int(1000 * epoch.get("epoch_seconds", 0.0))
            if step > run.epochs:
                metrics += _numbers(epoch, at_ms, step, without="epoch")
        if record.value is not None:
            metrics.append(Metric(f"best/{self._metric}", float(record.value), at_ms, step))
        if record.state != "running":
            metrics += _numbers(record.extra, at_ms, step)
        return metrics

    def _register(self, record: TrialRecord, run: _Run) -> None:
        """Keep the saved model with its run and in the registry.

        `best` is this search's best retraining of the family; a newer search takes it over.
        """
        folder = Path(record.extra["model_folder"])
        if not folder.is_dir():  # which log_artifacts would pass over in silence
            raise FileNotFoundError(f"{record.key}: no saved model at {folder}")
        self._client.log_artifacts(run.id, str(folder), MODEL_FOLDER)
        kind = record.study.removeprefix("retrain")  # "-same" is no rival of one with all labels
        name = re.sub(r"[/:]", "-", f"{self._space_name}-{record.family}{kind}")
        with suppress(MlflowException):  # it exists; whatever else is wrong, the next line meets
            self._client.create_registered_model(name)
        aliases = self._client.get_registered_model(name).aliases
        versions = self._client.search_model_versions(f"run_id = '{run.id}'")
        value = -float("inf") if record.value is None else self._sign * record.value
        version = next((version for version in versions if version.name == name), None)
        if version is None:
            source = f"{run.artifact_uri}/{MODEL_FOLDER}"
            tags = {"tune_audio.search": self._search, "tune_audio.score": repr(float(value))}
            version = self._client.create_model_version(name, source, run.id, tags)
        if ALIAS in aliases:
            rival = self._client.get_model_version(name, aliases[ALIAS]).tags
            ours = rival.get("tune_audio.search") == self._search
            if ours and float(rival["tune_audio.score"]) >= value:
                return
        self._client.set_registered_model_alias(name, ALIAS, version.version)


@contextmanager
def _alone_in(uri: str) -> Iterator[None]:
    """Two processes that create the tables of one sqlite file at once break it: one at a time."""
    if not uri.startswith("sqlite:///"):
        yield
        return
    database = Path(unquote(uri.removeprefix("sqlite:///").partition("?")[0]))
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(database.with_name(f".{database.name}.lock")):
        yield


def _known(run: Run) -> _Run:
    tags = run.data.tags
    return _Run(
        id=run.info.run_id,
        artifact_uri=run.info.artifact_uri,
        start_ms=run.info.start_time,
        status=run.info.status,
        state=tags.get("tune_audio.state"),
        epochs=int(tags.get("tune_audio.epochs", 0)),
    )


def _numbers(row: Mapping[str, Any], at_ms: int, step: int, without: str = "") -> list[Metric]:
    return [
        Metric(_metric_name(name), float(value), at_ms, step)
        for name, value in row.items()
        if isinstance(value, Real) and not isinstance(value, bool) and name != without
    ]


def _metric_name(name: str) -> str:
    """With a stand-in for every character that MLflow's metrics and params may not have."""
    return re.sub(r"[^\w\-./ :]", "_", name)


def _chunks(items: Sequence[Any], most: int) -> list[Sequence[Any]]:
    return [items[start : start + most] for start in range(0, len(items), most)]


def _now_ms() -> int:
    return int(time.time() * 1000)
