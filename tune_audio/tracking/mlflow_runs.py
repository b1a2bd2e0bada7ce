"""The runs of one search in MLflow: a parent for it, a child for every trial and retraining.

Writing is idempotent: what a kill interrupted is found by its tags and completed, what is there
already is not written again. A run's status is always its last word, so a run that has ended
lacks nothing.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from numbers import Real
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from ruamel.yaml import YAML

from tune_audio.reporting.records import TrialRecord
from tune_audio.tracking.mlflow_store import KnownRun, Store, now_ms
from tune_audio.tracking.registry import register

STATUS = {"running": "RUNNING", "complete": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
NOTE = "mlflow.note.content"  # shown as Markdown on a run's page
# MLflow refuses more than 1000 entries or 100 params in one batch.
MOST_METRICS, MOST_PARAMS = 800, 100
LONGEST_VALUE = 2000


class SearchRuns:
    """What `tune_audio.tracking.mirror.Mirror` writes, and its arguments.

    Every method may be repeated without harm.
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
        self._space_name, self._metric = space_name, metric
        self._sign = 1.0 if direction == "maximize" else -1.0
        self._store = Store(uri, search_id)
        self._client = self._store.client
        self._children = self._store.find_runs()
        known = self._children.pop((None, None), None)
        self._parent = known or self._store.create_run(
            space_name, {"tune_audio.space": space_name, **tags}, now_ms()
        )
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
        now = now_ms()
        best = [
            Metric(_metric_name(f"best/{family}"), float(value), now, len(self._children))
            for family, value in summary.items()
        ]
        tags = [RunTag(NOTE, note)] if note else []
        self._client.log_batch(self._parent.id, metrics=best, tags=tags)
        for path in artifacts:
            if path.is_dir():
                self._client.log_artifacts(self._parent.id, str(path), path.name)
            elif path.exists():
                self._client.log_artifact(self._parent.id, str(path))
        self._client.set_terminated(self._parent.id, status)

    def _create_child(self, record: TrialRecord) -> KnownRun:
        name = record.key
        if record.study == "retrain":
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
