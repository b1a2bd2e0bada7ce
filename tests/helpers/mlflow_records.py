"""Records and processes for the tests of what is kept in MLflow."""

import itertools
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

from tune_audio.reporting.records import TrialRecord
from tune_audio.tracking.mirror import Mirror

METRIC = "val/accuracy"
WRITES = ("create_run", "log_batch", "set_terminated", "update_run", "log_text")
HELPERS = Path(__file__).parent


def epochs(count, start=0.5):
    return [
        {
            "epoch": number,
            "train/loss": 1.0 / number,
            "val/loss": 1.2 / number,
            METRIC: start + 0.01 * number,
            "epoch_seconds": 1.5,
            "prefix": "read",
        }
        for number in range(1, count + 1)
    ]


def trial(number, state="complete", count=3, **changes):
    rows = epochs(count)
    return TrialRecord(
        study="search",
        family="cnn",
        number=number,
        params={"lr": 1e-3, "batch_size": 32, "augment": None},
        state=state,
        value=rows[-1][METRIC] if rows else None,
        epochs=rows,
        **changes,
    )


def retraining(folder, number=0, value=0.9):
    extra = {
        "test/accuracy": 0.87,
        "trainable_parameters": 36_522,
        "frozen_parameters": 0,
        "model_folder": folder,
    }
    return replace(trial(number), study="retrain", value=value, extra=extra)


def open_mirror(search_id="a search", **changes):
    return Mirror(
        "speech4",
        search_id,
        {"data": {"labels": ["yes", "no"]}, "params": {"lr": [1e-3]}},
        metric=METRIC,
        direction="maximize",
        **changes,
    )


def start_python(code, *arguments, folder=HELPERS, within=()):
    """A process that finds the package and this file, installed or not, and no MLflow settings.

    within: a command and arguments of it, to which those of the process are added.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    return subprocess.Popen(
        [*within, sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": os.pathsep.join([str(HELPERS.parents[1]), str(HELPERS)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def runs_of(client):
    """All runs by name; a doubled name is an error."""
    experiment = client.get_experiment_by_name("tune_audio")
    runs = client.search_runs([experiment.experiment_id])
    names = [run.info.run_name for run in runs]
    assert len(names) == len(set(names)), names
    return {run.info.run_name: run for run in runs}


def die_before_write(number, die, patch):
    """Let the process writing to MLflow end just before its write of this number, from 1."""
    from mlflow import MlflowClient

    calls = itertools.count(1)

    def mortal(method):
        def call(*arguments, **options):
            if next(calls) == number:
                die()
            return method(*arguments, **options)

        return call

    for name in WRITES:
        patch(MlflowClient, name, mortal(getattr(MlflowClient, name)))
