"""Searches and retrainings as they are typed, with MLflow, without it, and where it is broken."""

import pytest
from mlflow_records import runs_of
from one_after_another import run_in_this_process

from tune_audio import driver
from tune_audio.cli import INTERRUPTED
from tune_audio.errors import SurroundingsError, UserError
from tune_audio.retrain import retrain
from tune_audio.search import search

SPACE = """
data: {{name: folder, root: {root}, split: [0.6, 0.2, 0.2], clip_seconds: 0.5}}
train: {{epochs: 2, batch_size: 16, optimizer: sgd}}
search: {{sampler: grid, scheduler: none}}
params: {{lr: [1e-2, 1e-3]}}
models:
  small: {{model: lstm_cnn, channels: 4, hidden_size: 4}}
retrain: {{labels: same}}
"""
NEW = ("--space", "space.yaml", "--name", "one")
AGAIN = ("--resume", "one")
WITHOUT = "--no-mlflow"
ALL = {"space", "small-0", "small-1", "retrain small"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def place(store, tmp_path, tones, cache, monkeypatch):
    """A folder with a space and an empty store; what is run in it is run in this process."""
    monkeypatch.setenv("TUNE_AUDIO_CACHE", str(cache))
    run_in_this_process(monkeypatch.setattr)
    (tmp_path / "space.yaml").write_text(SPACE.format(root=tones))
    return tmp_path


def run(*arguments, command=search):
    return command.main(list(arguments), standalone_mode=False)


def points(store, name):
    return len(store.get_metric_history(runs_of(store)["space"].info.run_id, name))


def test_a_search_without_mlflow_is_there_when_it_is_resumed_with_it(place, store, capsys):
    (place / "mlflow.db").rename(place / "away")
    assert run(*NEW, WITHOUT) == 0
    assert run(*AGAIN, WITHOUT) == 0
    said = capsys.readouterr().out
    assert "Next:" in said and "MLflow" not in said and "mlflow ui" not in said
    assert not {path.name for path in place.iterdir()} & {"mlflow.db", "mlruns"}

    (place / "away").rename(place / "mlflow.db")
    for _ in range(2):
        assert run(*AGAIN) == 0
        runs = runs_of(store)
        assert set(runs) == ALL and {run.info.status for run in runs.values()} == {"FINISHED"}
        assert points(store, "best/small") == 1  # a finished search that is resumed adds none
    assert "mlflow ui  " in capsys.readouterr().out


def test_retraining_what_mlflow_does_not_know_yet_tells_it_of_the_search_too(place, store):
    assert run(*NEW, "--no-retrain", WITHOUT) == 0
    assert run("one", WITHOUT, command=retrain) == 0
    with pytest.raises(AttributeError):
        runs_of(store)  # not even the experiment is there
    assert run("one", command=retrain) == 0
    assert set(runs_of(store)) == ALL


def test_a_broken_store_ends_a_search_before_it_begins(place, capsys):
    (place / "mlflow.db").write_text("somebody's notes")
    with pytest.raises(SurroundingsError, match="is not a database"):
        run(*NEW)
    assert not (place / "runs" / "one" / "space.yaml").exists()
    assert "trials" not in capsys.readouterr().out
    assert run(*NEW, "--no-retrain", WITHOUT) == 0
    assert (place / "mlflow.db").read_text() == "somebody's notes"


def test_what_does_not_search_does_not_try_mlflow(place, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nothing://here")
    monkeypatch.setattr("tune_audio.tuning.dry_run.show", lambda *_: None)
    assert run(*NEW, "--dry-run") == 0
    with pytest.raises(UserError, match="nothing://here"):
        run(*NEW)


def test_a_search_whose_trials_all_fail_has_failed(place, store):
    assert run(*NEW, "--no-retrain", "--set", "params.lr=1e38,1e37") == 0
    assert {run.info.status for run in runs_of(store).values()} == {"FAILED"}


def test_an_interrupted_search_is_killed(place, store, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(driver.Progress, "update", interrupt)
        assert run(*NEW) == INTERRUPTED
    assert {run.info.status for run in runs_of(store).values()} == {"KILLED"}
