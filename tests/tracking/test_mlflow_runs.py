"""A search that was killed anywhere and resumed leaves in MLflow what one that was not leaves."""

import sys
from contextlib import suppress

import pytest
from mlflow_records import METRIC, die_before_write, open_mirror, runs_of, start_python, trial

from tune_audio.tracking import mirror as tracking


def test_mirroring_a_finished_search_again_changes_nothing(store):
    def mirrored():
        mirror = open_mirror()
        mirror.mirror(trial(0))
        mirror.mirror(trial(1, state="failed", count=2, extra={"error": "no"}))
        assert mirror.close() is None
        runs = runs_of(store)
        points = [
            (point.key, point.step, point.timestamp, point.value)
            for name in runs["cnn-0"].data.metrics
            for point in store.get_metric_history(runs["cnn-0"].info.run_id, name)
        ]
        return points, {name: run.info.end_time for name, run in runs.items() if name != "speech4"}

    assert mirrored() == mirrored()


def resume_and_check(store):
    mirror = open_mirror()
    mirror.mirror(trial(0))
    mirror.mirror(trial(1, count=4))
    assert mirror.close() is None
    runs = runs_of(store)
    assert {name: run.info.status for name, run in runs.items()} == dict.fromkeys(
        ("speech4", "cnn-0", "cnn-1"), "FINISHED"
    )
    for name, count in (("cnn-0", 3), ("cnn-1", 4)):
        assert runs[name].data.params["lr"] == "0.001"
        for metric in (METRIC, "val/loss", "train/loss"):
            history = store.get_metric_history(runs[name].info.run_id, metric)
            assert [point.step for point in history] == [*range(1, count + 1)], (name, metric)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("number", range(1, 11))
def test_an_end_before_any_write_leaves_nothing_double_and_nothing_running(
    store, monkeypatch, number
):
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "GATHER_SECONDS", 0.01)
        die_before_write(number, sys.exit, patch.setattr)  # ends the writing thread in silence
        with suppress(SystemExit):  # of those that are made before there is one
            mirror = open_mirror()
            mirror.mirror(trial(0))
            mirror.mirror(trial(1, state="running", count=2))
            mirror._thread.join(timeout=30)
            assert not mirror._thread.is_alive()
    resume_and_check(store)


def test_a_killed_driver_leaves_nothing_double_and_nothing_running(store, tmp_path):
    code = """
        import os
        from mlflow_records import die_before_write, open_mirror, trial
        die_before_write(9, lambda: os._exit(9), setattr)
        mirror = open_mirror()
        mirror.mirror(trial(0))
        mirror.mirror(trial(1, state="running", count=2))
        mirror.close()
    """
    driver = start_python(code, folder=tmp_path)
    said, _ = driver.communicate()
    assert driver.returncode == 9, said
    running = [name for name, run in runs_of(store).items() if run.info.status == "RUNNING"]
    assert sorted(running) == ["cnn-1", "speech4"]
    resume_and_check(store)


def test_an_interrupted_search_is_killed_and_runs_again_when_resumed(store):
    mirror = open_mirror()
    mirror.mirror(trial(0, state="running", count=1))
    mirror.close("KILLED")
    assert {run.info.status for run in runs_of(store).values()} == {"KILLED"}
    mirror = open_mirror()
    mirror.mirror(trial(0))
    mirror.close()
    assert {run.info.status for run in runs_of(store).values()} == {"FINISHED"}


def test_two_processes_may_create_one_store_at_once(tmp_path):
    code = """
        import sys
        from mlflow_records import open_mirror, trial
        mirror = open_mirror(sys.argv[1])
        mirror.mirror(trial(0))
        sys.exit(mirror.close())
    """
    writers = [start_python(code, name, folder=tmp_path) for name in ("one", "other")]
    said = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], said
    assert said == ["", ""]  # and nothing of alembic's or MLflow's own on the screen
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tune_audio")
    assert len(client.search_runs([experiment.experiment_id])) == 4
