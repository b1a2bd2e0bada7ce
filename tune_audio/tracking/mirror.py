"""A search in MLflow, copied in the background: what the driver calls. Importing it is cheap.

MLflow holds a copy of the study's records, never the truth: whatever is written can be written
again without doubling a run or a metric, so a search killed at any moment and resumed leaves the
same runs as one that was not. Only the driver writes, from one thread: the search never waits
for MLflow, whose import and a new store's migrations take seconds (see mlflow_runs.py).
"""

import os
import re
import ssl
import textwrap
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tune_audio.errors import UserError
from tune_audio.reporting.records import TrialRecord

if TYPE_CHECKING:
    from tune_audio.tracking.mlflow_runs import SearchRuns

Status = Literal["FINISHED", "KILLED", "FAILED"]  # as MLflow calls how a search has ended

# Trials of seconds report in bursts; gathering a moment makes one batch of many epochs.
GATHER_SECONDS = 2.0
RETRY_SECONDS = 30.0
# Each failure against a server that hangs costs its time-outs: so many in a row are enough.
STRIKES = 3
SERVER_CHECK_SECONDS = 5.0
# MLflow's defaults would send usage statistics, draw over the table on screen, and hold the end
# of a search for a quarter of an hour when the server is gone. What the user has set stays.
MLFLOW_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


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

    Raises:
        UserError: the tracking server does not answer, or the URI is a folder of files.
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
    ) -> None:
        self._uri = os.environ.get("MLFLOW_TRACKING_URI") or _default_uri()
        _check_uri(self._uri)

        def connect() -> "SearchRuns":
            from tune_audio.tracking.mlflow_runs import SearchRuns

            return SearchRuns(
                self._uri,
                space_name=space_name,
                search_id=search_id,
                space=space,
                metric=metric,
                direction=direction,
                tags=tags or {},
            )

        self._connect: Callable[[], SearchRuns] = connect
        self._runs: SearchRuns | None = None
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
            One line if MLflow lacks something, else None.
        """
        self._closing.set()
        self._thread.join()
        if self._runs is not None:
            try:
                self._runs.end(status, summary or {}, artifacts, note)
            except Exception as error:
                self._error = error
        if self._error is None:
            return None
        reason = textwrap.shorten(str(self._error), 200, placeholder=" …")
        return (
            f"MLflow at {_without_password(self._uri)} lacks a part of this search "
            f"({len(self._pending)} trials are waiting); resuming the search copies it. It said: "
            f"{_without_password(reason)}"
        )

    def _work(self) -> None:
        self._drain()
        while not self._closing.wait(RETRY_SECONDS if self._error else GATHER_SECONDS):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        """Write what is pending; what fails stays pending and is tried again later."""
        self._error = None
        try:
            if self._runs is None:
                for name, value in MLFLOW_SETTINGS.items():
                    os.environ.setdefault(name, value)
                self._runs = self._connect()
        except Exception as error:
            self._error = error
            return
        with self._lock:
            batch = list(self._pending.items())
        strikes = 0
        for key, record in batch:
            try:
                self._runs.write(record)
            except Exception as error:
                self._error = error
                strikes += 1
                if strikes == STRIKES:
                    return
                continue
            strikes = 0
            with self._lock:
                if self._pending[key] is record:
                    del self._pending[key]


def _default_uri() -> str:
    path = str(Path.cwd() / "mlflow.db")
    return "sqlite:///" + path.replace("%", "%25").replace("?", "%3F")


def _check_uri(uri: str) -> None:
    """Find now, not at the end of a night, that a store cannot be written to."""
    scheme = uri.partition(":")[0] if ":" in uri else ""
    if scheme in ("", "file"):
        raise UserError(
            f"MLFLOW_TRACKING_URI: '{uri}' is a folder of files, which MLflow 3 no longer writes; "
            "give sqlite:////…/mlflow.db or https://…, or unset it for ./mlflow.db"
        )
    if scheme not in ("http", "https"):
        return
    address = re.sub(r"//[^/@]*@", "//", uri).rstrip("/") + "/health"
    problem: str | BaseException | None = None
    try:
        urllib.request.urlopen(address, timeout=SERVER_CHECK_SECONDS).close()
    except urllib.error.HTTPError as error:  # 401 and 403 are answers, too: MLflow will log in
        problem = f"it answers {error.code}" if error.code >= 500 else None
    except urllib.error.URLError as error:
        # Which certificates to trust is told to MLflow by its own variables.
        problem = None if isinstance(error.reason, ssl.SSLError) else error.reason
    except (OSError, ValueError) as error:
        problem = error
    if problem is not None:
        raise UserError(
            f"MLFLOW_TRACKING_URI: no MLflow server at {_without_password(uri)} ({problem}); start "
            "it (mlflow server), correct the address, or unset it for ./mlflow.db"
        )


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//***@", text)
