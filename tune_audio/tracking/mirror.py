"""A search in MLflow, copied in the background: what the driver calls. Importing it is cheap.

MLflow holds a copy of the study's records, never the truth: whatever is written can be written
again without doubling a run or a metric, so a search killed at any moment and resumed leaves the
same runs as one that was not. Only the driver writes. The search waits for MLflow once, before its
first trial, to learn whether it can be written; after that, one thread writes (see mlflow_runs.py).
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tune_audio.reporting.records import TrialRecord
from tune_audio.tracking.place import check_uri, store_uri, without_password
from tune_audio.tracking.reasons import reason, refusal

Status = Literal["FINISHED", "KILLED", "FAILED"]  # as MLflow calls how a search has ended

# Trials of seconds report in bursts; gathering a moment makes one batch of many epochs.
GATHER_SECONDS = 2.0
RETRY_SECONDS = 30.0
# Each failure against a server that hangs costs its time-outs: so many in a row are enough.
STRIKES = 3
# MLflow's defaults would send usage statistics, draw over the table on screen, hold the end of a
# search for a quarter of an hour when the server is gone, and go on writing to a SQLite file that
# was moved away. What the user has set stays.
MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
SQLITE_SETTINGS = {"MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool"}


def status_of(*searched_and_retrained: Sequence[TrialRecord]) -> Status:
    """How a search that ran to its end has ended: FAILED where all trials of a kind have failed."""
    states = [{record.state for record in records} for records in searched_and_retrained]
    return "FAILED" if {"failed"} in states else "FINISHED"


class Mirror:
    """Copies trial records to MLflow in the background; `close` says what could not be copied.

    The store is MLFLOW_TRACKING_URI or else MLflow's own default, `mlflow.db` in the working
    directory, so that a plain `mlflow ui` shows it. The experiment is MLFLOW_EXPERIMENT_NAME or
    else `tune_audio`. The search is a parent run, every trial a child run, and a retraining
    another child whose model is registered as `<space>-<family>` with the alias `best`.

    Args:
        space_name: names the search's run and its models.
        search_id: the search's own for ever, through kill and resume; no other search has it.
        space: the resolved space as plain data, kept as `space.yaml`.
        metric: logged as `best/<metric>` for every trial, e.g. `best/val/accuracy`.
        direction: of the metric.
        tags: further tags for the search's run.
        say: told in a line what is done about a broken store, when copying begins to fail, and
            when it works again.

    Raises:
        UserError: the URI or the experiment cannot be one to write to.
        SurroundingsError: no server answers, or the store does not take what is written.
    """

    def __init__(
        self,
        space_name: str,
        search_id: str,
        space: Mapping[str, Any],
        *,
        metric: str,
        direction: Literal["maximize", "minimize"],
        tags: Mapping[str, str] | None = None,
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        self._uri, self._say = store_uri(), say
        check_uri(self._uri)
        settings = MLFLOW_SETTINGS | (SQLITE_SETTINGS if self._uri.startswith("sqlite") else {})
        for name, value in settings.items():
            os.environ.setdefault(name, value)
        try:
            from tune_audio.tracking.mlflow_runs import SearchRuns  # seconds

            self._runs = SearchRuns(
                self._uri,
                space_name=space_name,
                search_id=search_id,
                space=space,
                metric=metric,
                direction=direction,
                tags=tags or {},
                say=say,
            )
        except Exception as error:
            raise refusal(error, self._uri) from error
        self._pending: dict[tuple[str, str], TrialRecord] = {}
        self._lock = threading.Lock()
        self._error: Exception | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def mirror(self, record: TrialRecord) -> None:
        """Have the record copied soon; of several records of one trial only the newest."""
        if record.state != "waiting":
            with self._lock:
                self._pending[record.study, record.key] = record

    def close(
        self,
        status: Status = "FINISHED",
        summary: Mapping[str, float] | None = None,
        artifacts: Sequence[Path] = (),
        note: str = "",
    ) -> str | None:
        """Copy what is left and end the search's run, leaving no run RUNNING.

        Args:
            status: of the search. Trials that have not ended are KILLED until they are resumed.
            summary: family to its best value, logged as `best/<family>`.
            artifacts: files and folders to keep with the run; those missing are left out.
            note: Markdown that MLflow shows on the run's page; "" leaves what is there.

        Returns:
            What MLflow lacks and why, if anything; to be copied by resuming the search.
        """
        self._closing.set()
        self._thread.join()
        try:
            self._runs.end(status, summary or {}, artifacts, note)
        except Exception as error:
            self._error = error
        if self._error is None:
            return None
        lacking = f"; {len(self._pending)} of its runs wait" if self._pending else ""
        return (
            f"{without_password(self._uri)} lacks a part of this search "
            f"({reason(self._error)}{lacking})"
        )

    def _work(self) -> None:
        self._drain()
        while not self._closing.wait(RETRY_SECONDS if self._error else GATHER_SECONDS):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        """Write what is pending; what fails stays pending and is tried again later."""
        before, self._error = self._error, self._write()
        if self._closing.is_set():  # `close` says how it ends
            return
        if self._error is not None and before is None:
            self._say(
                f"{without_password(self._uri)} does not take what is written "
                f"({reason(self._error)}); the search goes on, and it is tried again"
            )
        elif self._error is None and before is not None:
            self._say(f"{without_password(self._uri)} takes what is written again")

    def _write(self) -> Exception | None:
        """Write what is pending; the last error, where there is one."""
        with self._lock:
            batch = list(self._pending.items())
        strikes, last = 0, None
        for key, record in batch:
            try:
                self._runs.write(record)
            except Exception as error:
                last = error
                strikes += 1
                if strikes == STRIKES:
                    break
                continue
            strikes = 0
            with self._lock:
                if self._pending[key] is record:
                    del self._pending[key]
        return last
