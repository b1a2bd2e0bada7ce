"""One MLflow store, as far as it holds the runs of one search."""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from tune_audio.errors import UserError
from tune_audio.tracking.opening import open_client

# Which of its views MLflow's page opens the experiment in.
KIND = ("mlflow.experimentKind", "custom_model_development")


@dataclass
class KnownRun:
    """What the store has of a run, so that only what is new is written."""

    id: str
    artifact_uri: str
    start_ms: int
    status: str
    state: str | None  # None: nothing but the run itself was written
    epochs: int


class Store:
    """The experiment of a store and, in it, the runs that are tagged as of one search.

    search_id: the search's own for ever. say: as `open_client`'s.
    Raises UserError for an experiment that is deleted, and what `open_client` and MLflow raise.
    """

    def __init__(self, uri: str, search_id: str, say: Callable[[str], object]) -> None:
        # Hashed, because MLflow's filter language has no way to quote a quotation mark.
        self.search = hashlib.sha256(search_id.encode()).hexdigest()[:16]
        for noisy in ("mlflow", "alembic"):  # what fails is told in a line, not in a traceback
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        self.client = open_client(uri, say)
        self._experiment = self._find_experiment()

    def find_runs(self) -> dict[tuple[str | None, str | None], KnownRun]:
        """The search's runs by (study, trial); its own run is (None, None)."""
        found: dict[tuple[str | None, str | None], KnownRun] = {}
        mine = f"tags.`tune_audio.search` = '{self.search}'"
        token: str | None = None
        while token != "":
            page = self.client.search_runs([self._experiment], mine, page_token=token)
            for run in page:
                tags = run.data.tags
                found[tags.get("tune_audio.study"), tags.get("tune_audio.trial")] = _known(run)
            token = page.token or ""
        return found

    def create_run(self, name: str, tags: Mapping[str, str], start_ms: int) -> KnownRun:
        """A run of the search, with these tags besides those that all of its runs have."""
        tags = {"mlflow.source.name": "tune_audio", "tune_audio.search": self.search, **tags}
        return _known(self.client.create_run(self._experiment, start_ms, tags, name))

    def _find_experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "tune_audio"
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            try:
                self.client.create_experiment(name)
            except MlflowException:  # another search may have created it at this very moment
                if self.client.get_experiment_by_name(name) is None:
                    raise
            experiment = self.client.get_experiment_by_name(name)
        if experiment.lifecycle_stage == "deleted":
            raise UserError(
                f"MLFLOW_EXPERIMENT_NAME: the experiment '{name}' is deleted; restore it in "
                "MLflow, name another, or go on with --no-mlflow"
            )
        if KIND[0] not in experiment.tags:
            self.client.set_experiment_tag(experiment.experiment_id, *KIND)
        return experiment.experiment_id


def _known(run: Run) -> KnownRun:
    tags = run.data.tags
    return KnownRun(
        id=run.info.run_id,
        artifact_uri=run.info.artifact_uri,
        start_ms=run.info.start_time,
        status=run.info.status,
        state=tags.get("tune_audio.state"),
        epochs=int(tags.get("tune_audio.epochs", 0)),
    )


def now_ms() -> int:
    return int(time.time() * 1000)
