"""The one real test: whole searches as a user starts them, one left alone and one killed thrice."""

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tune_audio.models.saved import load_model

SPACE = """
data: {{name: folder, root: {root}, split: [0.6, 0.2, 0.2], clip_seconds: 0.5}}
train: {{epochs: 6, batch_size: 8}}
search: {{sampler: grid, scheduler: none}}
params: {{lr: [1e-2, 1e-3], augment: [none, noise]}}
models:
  wide: {{model: lstm_cnn, channels: 16, hidden_size: 16}}
  narrow: {{model: lstm_cnn, channels: 4, hidden_size: 4}}
"""
EPOCHS = 2 * 4 * 6  # families x configurations x epochs
RETRAIN_EPOCHS = 2 * 6
LIMIT_SECONDS = 240


@pytest.fixture(scope="module")
def place(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "space.yaml").write_text(SPACE.format(root=tones))
    return folder


def start(place: Path, *arguments: str) -> subprocess.Popen:
    environment = os.environ | {"TUNE_AUDIO_CACHE": str(place / "cache")}
    # The package may be run from its folder without being installed.
    root = str(Path(__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "tune_audio.search", *arguments],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, output
    return output


def kill_after(place: Path, epochs: int, *arguments: str) -> None:
    """Start a search and kill -9 its driver when so many epochs are written down."""
    process, until = start(place, *arguments), time.monotonic() + LIMIT_SECONDS
    while count_epochs(place / "runs" / "killed" / "optuna.db") < epochs:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def count_epochs(database: Path) -> int:
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            query = "SELECT count(*) FROM trial_intermediate_values"
            return connection.execute(query).fetchone()[0]
    except sqlite3.OperationalError:  # not there yet
        return 0


def leaderboard(run: Path) -> dict[str, tuple[str, ...]]:
    """Trial -> what must not depend on whether the search was killed."""
    with open(run / "leaderboard.csv") as file:
        rows = list(csv.DictReader(file))
    return {row["trial"]: (row["lr"], row["augment"], row["val/accuracy"]) for row in rows}


def test_a_search_killed_three_times_ends_as_one_left_alone(place):
    output = finish(start(place, "--space", "space.yaml", "--name", "alone"))
    for table in ("Leaderboard", "Best val/accuracy by lr", "their retraining"):
        assert table in output
    kill_after(place, EPOCHS // 6, "--space", "space.yaml", "--name", "killed")
    kill_after(place, EPOCHS // 2, "--resume", "killed")
    kill_after(place, EPOCHS + RETRAIN_EPOCHS // 3, "--resume", "killed")
    finish(start(place, "--resume", "killed"))

    alone, killed = place / "runs" / "alone", place / "runs" / "killed"
    assert leaderboard(killed) == leaderboard(alone)
    assert len(leaderboard(alone)) == 8
    assert (killed / "best.yaml").read_text() == (alone / "best.yaml").read_text()
    assert count_epochs(killed / "optuna.db") == EPOCHS + RETRAIN_EPOCHS  # nothing ran twice
    for run in (alone, killed):
        assert not (run / "trials").exists()  # nothing is left of the trials but their results
        for family in ("wide", "narrow"):
            _, config = load_model(run / "retrain" / f"{family}-0" / "model")
            assert config["labels"] == ["high", "low", "middle"]
    same = [r / "retrain" / "wide-0" / "predictions.csv" for r in (alone, killed)]
    assert same[0].read_text() == same[1].read_text()
    check_mlflow(place)


def check_mlflow(place: Path) -> None:
    """Both searches have one run each, one a trial and one a retraining; none goes on."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{place / 'mlflow.db'}")
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=1000)
    assert len(runs) == 2 * (1 + 8 + 2)
    assert {run.info.status for run in runs} == {"FINISHED"}
    trials = [run for run in runs if run.data.tags.get("tune_audio.study") == "search"]
    for run in trials:
        history = client.get_metric_history(run.info.run_id, "val/loss")
        assert [point.step for point in history] == list(range(1, 7))


def test_a_mistake_is_a_line_and_exit_code_2(place):
    mistakes = [
        (["--space", "space.yaml", "--set", "params.lrr=1"], "did you mean lr"),
        (["--space", "no_such_space"], "no search space is named"),
        (["--space", "space.yaml", "--data", "nowhere"], "is not a folder"),
        (["--resume", "nothing"], "no search 'nothing'"),
        ([], "give either --space"),
    ]
    started = [(start(place, *arguments), told) for arguments, told in mistakes]
    for process, told in started:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 2, output
        assert told in output and "Traceback" not in output
