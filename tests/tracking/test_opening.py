"""A store whose making was ended: completed, or set aside if nothing is lost by it."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow_records import open_mirror, runs_of, start_python, trial

from tune_audio.errors import SurroundingsError
from tune_audio.tracking import opening

# Ends before the statement of that number, of some 1700, by which a store's tables are made.
DIE = """
    import itertools, os, sys
    from mlflow import MlflowClient
    from mlflow_records import open_mirror
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    numbers, last = itertools.count(1), int(sys.argv[2])

    @event.listens_for(Engine, "before_cursor_execute")
    def die(*_):
        if next(numbers) == last:
            os._exit(9)

    if sys.argv[1] == "MLflow":
        MlflowClient(tracking_uri=f"sqlite:///{os.getcwd()}/mlflow.db")
    else:
        open_mirror()
"""


def ended(folder, maker, statement):
    process = start_python(DIE, maker, str(statement), folder=folder)
    said, _ = process.communicate()
    assert process.returncode == 9, said


@pytest.fixture(autouse=True)
def nobody_else_makes_it(monkeypatch):
    monkeypatch.setattr(opening, "STILL_SECONDS", 0.0)


def use(said):
    """A search in the store of this folder; its runs."""
    from mlflow import MlflowClient

    mirror = open_mirror(say=said.append)
    mirror.mirror(trial(0))
    assert mirror.close("FINISHED", {"cnn": 0.5}) is None
    runs = runs_of(MlflowClient(tracking_uri=f"sqlite:///{os.getcwd()}/mlflow.db"))
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    return sorted(runs)


def files(folder):
    return {path.name for path in folder.iterdir()} - {".mlflow.db.lock", "mlruns"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def test_what_we_make_is_whole_or_not_there(folder):
    ended(folder, "we", 500)
    (left,) = files(folder)
    assert left.startswith(".mlflow.db.") and left.endswith(".partial")
    said = []
    assert use(said) == ["cnn-0", "speech4"]
    assert files(folder) == {"mlflow.db"} and said == []


@pytest.mark.parametrize("statement", [200, 580])
def test_what_mlflow_left_half_made_is_completed_or_set_aside(folder, statement):
    ended(folder, "MLflow", statement)
    assert files(folder) >= {"mlflow.db"}
    said = []
    assert use(said) == ["cnn-0", "speech4"]
    aside = files(folder) - {"mlflow.db"}
    assert [name for line in said for name in aside if name in line] == sorted(aside)


def break_tables(database):
    """As an upgrade that was ended leaves them: some new ones, and the mark of an old version."""
    with closing(sqlite3.connect(database)) as opened:
        names = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        opened.execute(f'DROP TABLE "{names[-1][0]}"')
        opened.execute("DELETE FROM alembic_version")
        opened.commit()


@pytest.fixture
def database(folder, empty_store):
    """A store that this process has not opened, for MLflow looks at its tables only once."""
    return Path(shutil.copy(empty_store, folder / "mlflow.db"))


@pytest.fixture
def used_database(database, monkeypatch):
    """The same, holding a search."""
    elsewhere = database.rename(database.with_name("elsewhere.db"))
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}")
        open_mirror().close()
    database.with_name(".elsewhere.db.lock").unlink()
    return elsewhere.rename(database)


def test_what_is_set_aside_replaces_nothing(database):
    last_year = database.with_name("mlflow.db.broken-1")
    last_year.write_text("of last year")
    break_tables(database)
    said = []
    assert use(said) == ["cnn-0", "speech4"]
    assert len(said) == 1 and "mlflow.db.broken-2" in said[0] and "\n" not in said[0]
    assert last_year.read_text() == "of last year"
    assert database.with_name("mlflow.db.broken-2").read_bytes().startswith(b"SQLite format 3")


def test_what_somebody_else_is_making_is_waited_for(database, empty_store, monkeypatch):
    waited, said = [], []

    def complete(seconds):
        waited.append(seconds)
        shutil.copy(empty_store, database)

    break_tables(database)
    monkeypatch.setattr(opening, "STILL_SECONDS", 60.0)
    with monkeypatch.context() as patch:
        patch.setattr(opening.time, "sleep", complete)
        assert use(said) == ["cnn-0", "speech4"]
    assert files(database.parent) == {"mlflow.db"} and said == [] and waited == [60.0]


def test_what_holds_runs_stays_where_it_is(used_database):
    break_tables(used_database)
    with pytest.raises(SurroundingsError, match="it holds 1 runs"):
        open_mirror()
    assert files(used_database.parent) == {"mlflow.db"}
    with closing(sqlite3.connect(used_database)) as opened:
        assert opened.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def test_a_store_of_another_version_of_mlflow_is_told_so(used_database):
    with closing(sqlite3.connect(used_database)) as opened:
        opened.execute("UPDATE alembic_version SET version_num = 'of a later year'")
        opened.commit()
    with pytest.raises(SurroundingsError, match="found version of a later year"):
        open_mirror()
    assert files(used_database.parent) == {"mlflow.db"}
