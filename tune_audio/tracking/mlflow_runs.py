"""The runs of one search in MLflow: a parent for it, a child for every trial and retraining.

Writing is idempotent: what a kill interrupted is found by its tags and completed, what is there
already is not written again. A run's status is always its last word, so a run that has ended
lacks nothing.
"""

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from numbers import Real
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from ruamel.yaml import YAML

from tune_audio.reporting.records import TrialRecord
from tune_audio.tracking.mlflow_store import KnownRun, Store, now_ms
from tune_audio.tracking.reasons import refusal
from tune_audio.tracking.registry import register

STATUS = {"running": "RUNNING", "complete": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
NOTE = "mlflow.note.content"  # shown as Markdown on a run's page
# MLflow refuses more than 1000 entries or 100 params in one batch.
MOST_METRICS, MOST_PARAMS = 800, 100
LONGEST_VALUE = 2000


class SearchRuns:
    """What `tune_audio.tracking.mirror.Mirror` writes, and its arguments.

    Every method may be repeated without harm. Making one raises what is wrong with the store: its
    parent run is written to in every way but a metric. What could not begin leaves no run.
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
        say: Callable[[str], object],
    ) -> None:
        self._space_name, self._metric = space_name, metric
        self._sign = 1.0 if direction == "maximize" else -1.0
        self._store = Store(uri, search_id, say)
        self._client = self._store.client
        self._children = self._store.find_runs()
        known = self._children.pop((None, None), None)
        self._parent = known or self._store.create_run(space_name, {}, now_ms())
        try:
            self._begin(space, {"tune_audio.space": space_name, **tags})
        except BaseException:  # no search begins: no run of one is to be seen
            with suppress(Exception):
                if known is None:
                    self._client.delete_run(self._parent.id)
                else:
                    self._client.update_run(known.id, status=known.status)
            raise

    def _begin(self, space: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Write to the search's own run what all others are written by, but for a metric."""
        if self._parent.status != "RUNNING":
            self._client.update_run(self._parent.id, status="RUNNING")
        self._client.log_batch(self._parent.id, tags=[RunTag(*tag) for tag in tags.items()])
        text = io.StringIO()
        YAML(pure=True).dump(dict(space), text)
        try:
            self._client.log_text(self._parent.id, text.getvalue(), "space.yaml")
        except Exception as error:
            raise refusal(error, self._parent.artifact_uri, "MLflow's artifacts") from error

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
            register(self._store, run, record, self._space_name, self._sign)
        if status != "RUNNING":
            self._client.set_terminated(run.id, status)
        run.status, run.state, run.epochs = status, record.state, max(last, run.epochs)

    def end(
        self, status: str, summary: Mapping[str, float], artifacts: Iterable[Path], note: str
    ) -> None:
        """End the search's own run, and as KILLED whatever trial has not ended."""
        for run in self._children.values():
            if run.status == "RUNNING":
                self._client.set_terminated(run.id, "KILLED")
                run.status = "KILLED"
        tags = [RunTag(NOTE, note)] if note else []
        self._client.log_batch(self._parent.id, metrics=self._new_best(summary), tags=tags)
        for path in artifacts:
            if path.is_dir():
                self._client.log_artifacts(self._parent.id, str(path), path.name)
            elif path.exists():
                self._client.log_artifact(self._parent.id, str(path))
        self._client.set_terminated(self._parent.id, status)

    def _new_best(self, summary: Mapping[str, float]) -> list[Metric]:
        """The best of each family after so many runs, if that is not there already."""
        now, step, new = now_ms(), len(self._children), []
        for family, value in summary.items():
            name = _metric_name(f"best/{family}")
            points = self._client.get_metric_history(self._parent.id, name)
            if (step, float(value)) not in [(point.step, point.value) for point in points]:
                new.append(Metric(name, float(value), now, step))
        return new

    def _create_child(self, record: TrialRecord) -> KnownRun:
        name = record.key
        if record.study.startswith("retrain"):
            again = f" {record.number}" if record.number else ""
            name = f"retrain {record.family}{again}"
        tags = {
            "mlflow.parentRunId": self._parent.id,
            "tune_audio.space": self._space_name,
            "tune_audio.study": record.study,
            "tune_audio.trial": record.key,
            "tune_audio.family": record.family,
        }
        return self._store.create_run(name, tags, now_ms() - int(1000 * record.seconds))

    def _log(self, record: TrialRecord, run: KnownRun) -> None:
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

    def _metrics(self, record: TrialRecord, run: KnownRun) -> list[Metric]:
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
