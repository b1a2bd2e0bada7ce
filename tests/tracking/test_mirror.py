"""What MLflow holds must be what the records say, whatever was killed in between."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow_records import METRIC, open_mirror, retraining, runs_of, start_python, trial

from tune_audio.tracking import mirror as tracking


def test_importing_it_does_not_import_mlflow():
    code = "import sys, tune_audio.tracking.mirror; print('mlflow' in sys.modules)"
    assert start_python(code).communicate()[0] == "False\n"


def test_a_search_is_a_parent_with_a_child_a_trial(store, tmp_path):
    (tmp_path / "leaderboard.csv").write_text("rank\n")
    mirror = open_mirror(tags={"author": "someone"})
    for record in (
        trial(0),
        trial(1, state="stopped", count=1),
        trial(2, state="failed", count=0, extra={"error": "loss became NaN"}),
        trial(3, state="waiting", count=0),
    ):
        mirror.mirror(record)
    files = [tmp_path / "leaderboard.csv", tmp_path / "absent.csv"]
    assert mirror.close("FINISHED", {"cnn": 0.53}, files, note="**best** cnn-0") is None

    runs = runs_of(store)
    assert set(runs) == {"speech4", "cnn-0", "cnn-1", "cnn-2"}
    parent = runs["speech4"]
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["author"] == "someone"
    assert parent.data.metrics == {"best/cnn": 0.53}
    assert parent.data.tags["mlflow.note.content"] == "**best** cnn-0"
    experiment = store.get_experiment(parent.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    kept = {file.path for file in store.list_artifacts(parent.info.run_id)}
    assert kept == {"leaderboard.csv", "space.yaml"}

    complete = runs["cnn-0"]
    assert complete.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert complete.data.params == {
        "family": "cnn",
        "lr": "0.001",
        "batch_size": "32",
        "augment": "None",
    }
    history = store.get_metric_history(complete.info.run_id, METRIC)
    assert [(m.step, m.value) for m in history] == [(1, 0.51), (2, 0.52), (3, 0.53)]
    assert complete.data.metrics["best/val/accuracy"] == 0.53
    assert "epoch" not in complete.data.metrics and "prefix" not in complete.data.metrics
    assert complete.info.end_time - complete.info.start_time >= 3 * 1500  # as long as its epochs

    assert runs["cnn-1"].info.status == "FINISHED"
    assert runs["cnn-1"].data.tags["tune_audio.state"] == "stopped"
    assert runs["cnn-2"].info.status == "FAILED"
    assert runs["cnn-2"].data.tags["tune_audio.error"] == "loss became NaN"


def test_the_space_is_kept_so_that_it_reads_back(store):
    from ruamel.yaml import YAML

    open_mirror().close()
    run_id = runs_of(store)["speech4"].info.run_id
    path = store.download_artifacts(run_id, "space.yaml")
    read = YAML(typ="safe", pure=True).load(Path(path))
    assert read == {"data": {"labels": ["yes", "no"]}, "params": {"lr": [1e-3]}}


def test_epochs_are_added_as_they_come_and_updates_of_a_trial_are_merged(store, monkeypatch):
    monkeypatch.setattr(tracking, "GATHER_SECONDS", 0.05)
    mirror = open_mirror()
    for count in range(1, 6):
        mirror.mirror(trial(0, state="running", count=count))
        time.sleep(0.06)
    mirror.mirror(trial(0, count=8))
    assert mirror.close() is None
    run = runs_of(store)["cnn-0"]
    assert [m.step for m in store.get_metric_history(run.info.run_id, METRIC)] == [*range(1, 9)]


def test_two_searches_keep_apart(store):
    for search_id in ("one", "another'one"):
        mirror = open_mirror(search_id)
        mirror.mirror(trial(0))
        mirror.close()
    experiment = store.get_experiment_by_name("tune_audio")
    runs = store.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["cnn-0", "cnn-0", "speech4", "speech4"]
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs} - {None}
    assert len(parents) == 2


def test_more_than_mlflow_takes_in_one_batch_is_written(store):
    record = trial(0, count=700)
    record = replace(record, params={f"p{number}": number for number in range(230)})
    mirror = open_mirror()
    mirror.mirror(record)
    assert mirror.close() is None
    run = runs_of(store)["cnn-0"]
    assert len(run.data.params) == 231
    assert len(store.get_metric_history(run.info.run_id, "val/loss")) == 700


@pytest.fixture
def model_folder(tmp_path):
    folder = tmp_path / "saved model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(range(256)))
    (folder / "config.json").write_text('{"model": "cnn"}')
    return folder


def test_a_retraining_registers_a_model_that_loads_back(store, model_folder, tmp_path):
    from mlflow.artifacts import download_artifacts

    for _ in range(2):
        mirror = open_mirror()
        mirror.mirror(trial(0))
        mirror.mirror(retraining(model_folder))
        assert mirror.close() is None
    run = runs_of(store)["retrain cnn"]
    assert run.data.metrics["test/accuracy"] == 0.87
    assert run.data.metrics["trainable_parameters"] == 36_522
    [version] = store.search_model_versions("name = 'speech4-cnn'")
    assert version.run_id == run.info.run_id
    fetched = download_artifacts(
        artifact_uri="models:/speech4-cnn@best",
        dst_path=str(tmp_path / "fetched"),
        tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}",
    )
    for path in model_folder.iterdir():
        assert (Path(fetched) / path.name).read_bytes() == path.read_bytes()


def test_best_is_the_best_retraining_and_a_newer_search_takes_it_over(store, model_folder):
    def best():
        version = store.get_model_version_by_alias("speech4-cnn", "best")
        return store.get_run(version.run_id).info.run_name

    mirror = open_mirror("first")
    for number, value in enumerate((0.8, 0.9, 0.7)):
        mirror.mirror(retraining(model_folder, number, value))
    assert mirror.close() is None
    assert best() == "retrain cnn 1"
    mirror = open_mirror("second")
    mirror.mirror(retraining(model_folder, 0, value=0.6))
    mirror.close()
    assert best() == "retrain cnn"


def test_one_broken_record_hides_no_other_and_is_named_at_the_end(store, tmp_path):
    mirror = open_mirror()
    mirror.mirror(retraining(tmp_path / "no such folder"))
    mirror.mirror(trial(0))
    complaint = mirror.close()
    assert "no saved model" in complaint and "1 of its runs wait" in complaint
    runs = runs_of(store)
    assert runs["cnn-0"].info.status == "FINISHED"
    assert "RUNNING" not in {run.info.status for run in runs.values()}


def wait_until(said, number):
    until = time.monotonic() + 60
    while len(said) < number:
        assert time.monotonic() < until, said
        time.sleep(0.02)


def test_a_store_that_goes_away_is_told_once_and_had_again_when_it_is_back(
    store, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(tracking, "GATHER_SECONDS", 0.02)
    monkeypatch.setattr(tracking, "RETRY_SECONDS", 0.02)
    database, said = tmp_path / "mlflow.db", []
    mirror = open_mirror(say=said.append)
    database.rename(tmp_path / "away")
    database.mkdir()
    for number in range(3):
        mirror.mirror(trial(number))
    wait_until(said, 1)
    time.sleep(0.5)  # it is tried again, and not told again
    database.rmdir()
    (tmp_path / "away").rename(database)
    wait_until(said, 2)
    assert mirror.close() is None
    assert ["cannot be opened" in line for line in said] == [True, False]
    assert {name: run.info.status for name, run in runs_of(store).items()} == dict.fromkeys(
        ("speech4", "cnn-0", "cnn-1", "cnn-2"), "FINISHED"
    )
    assert capfd.readouterr() == ("", "")  # nothing of MLflow's own on the screen


def test_a_store_that_stays_away_is_told_at_the_end_and_has_all_when_resumed(store, tmp_path):
    mirror = open_mirror()
    (tmp_path / "mlflow.db").rename(tmp_path / "away")
    (tmp_path / "mlflow.db").mkdir()
    mirror.mirror(trial(0))
    complaint = mirror.close()
    assert "cannot be opened as a file; 1 of its runs wait" in complaint and "\n" not in complaint
    (tmp_path / "mlflow.db").rmdir()
    (tmp_path / "away").rename(tmp_path / "mlflow.db")
    mirror = open_mirror()
    mirror.mirror(trial(0))
    assert mirror.close() is None
    assert {run.info.status for run in runs_of(store).values()} == {"FINISHED"}


def test_the_best_has_a_point_whenever_there_are_more_trials_and_no_other(store):
    def points():
        run_id = runs_of(store)["speech4"].info.run_id
        return [(point.step, point.value) for point in store.get_metric_history(run_id, "best/cnn")]

    for _ in range(2):
        mirror = open_mirror()
        mirror.mirror(trial(0))
        assert mirror.close("FINISHED", {"cnn": 0.1 + 0.2}) is None
        assert points() == [(1, 0.1 + 0.2)]
    mirror = open_mirror()
    mirror.mirror(trial(1))
    assert mirror.close("FINISHED", {"cnn": 0.1 + 0.2}) is None
    assert points() == [(1, 0.1 + 0.2), (2, 0.1 + 0.2)]


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ([("failed", "failed"), ()], "FAILED"),
        ([("failed", "stopped", "complete"), ()], "FINISHED"),
        ([("complete",), ("failed", "failed")], "FAILED"),
        ([("complete",), ("failed", "complete")], "FINISHED"),
    ],
)
def test_a_search_has_failed_where_all_its_trials_or_retrainings_have(states, status):
    kinds = [[trial(0, state=state) for state in kind] for kind in states]
    assert tracking.status_of(*kinds) == status
