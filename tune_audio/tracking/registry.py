"""Retrained models in MLflow's registry: SPACE-FAMILY, the best of them with the alias `best`."""

import re
from contextlib import suppress
from pathlib import Path

from mlflow.exceptions import MlflowException

from tune_audio.reporting.records import TrialRecord
from tune_audio.tracking.mlflow_store import KnownRun, Store

MODEL_FOLDER = "model"  # where a retrained run keeps its saved model, among its artifacts
ALIAS = "best"


def register(
    store: Store, run: KnownRun, record: TrialRecord, space_name: str, sign: float
) -> None:
    """Keep the saved model of a retraining with its run and in the registry; may be repeated.

    sign: 1 where a larger value is better, else -1. `best` is this search's best retraining of the
    family; a newer search takes it over.
    """
    client, folder = store.client, Path(record.extra["model_folder"])
    if not folder.is_dir():  # which log_artifacts would pass over in silence
        raise FileNotFoundError(f"{record.key}: no saved model at {folder}")
    client.log_artifacts(run.id, str(folder), MODEL_FOLDER)
    kind = record.study.removeprefix("retrain")  # "-same" is no rival of one with all labels
    name = re.sub(r"[/:]", "-", f"{space_name}-{record.family}{kind}")
    with suppress(MlflowException):  # it exists; whatever else is wrong, the next line meets
        client.create_registered_model(name)
    aliases = client.get_registered_model(name).aliases
    versions = client.search_model_versions(f"run_id = '{run.id}'")
    value = -float("inf") if record.value is None else sign * record.value
    version = next((version for version in versions if version.name == name), None)
    if version is None:
        source = f"{run.artifact_uri}/{MODEL_FOLDER}"
        tags = {"tune_audio.search": store.search, "tune_audio.score": repr(float(value))}
        version = client.create_model_version(name, source, run.id, tags)
    if ALIAS in aliases:
        rival = client.get_model_version(name, aliases[ALIAS]).tags
        ours = rival.get("tune_audio.search") == store.search
        if ours and float(rival["tune_audio.score"]) >= value:
            return
    client.set_registered_model_alias(name, ALIAS, version.version)
