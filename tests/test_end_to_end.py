"""The one real test: whole searches as a user starts them, one left alone and one killed thrice."""

import csv
import ipaddress
import signal
import time
from pathlib import Path

import pytest
from listening import listening_addresses
from searches import EPOCHS, LIMIT_SECONDS, RETRAIN_EPOCHS, SPACE, count_epochs, finish, start

from tune_audio.models.saved import load_model


@pytest.fixture(scope="module")
def place(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "space.yaml").write_text(SPACE.format(root=tones))
    return folder


def kill_after(place: Path, epochs: int, *arguments: str) -> None:
    """Start a search and kill -9 its driver when so many epochs are written down."""
    process, until = start(place, *arguments), time.monotonic() + LIMIT_SECONDS
    while count_epochs(place / "runs" / "killed" / "optuna.db") < epochs:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.02)
    addresses = listening_addresses(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # Ray's daemons and workers are there, and open to nobody but this machine.
    assert addresses and all(ipaddress.ip_address(a).is_loopback for a in addresses), addresses


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
        assert {file.name for file in (run / "trials").rglob("*.*")} == {"predictions.npz"}
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
