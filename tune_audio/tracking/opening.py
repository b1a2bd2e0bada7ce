"""MLflow's store opened: made where it is not there, set aside where it was left half made."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from uuid import uuid4

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
from sqlalchemy import NullPool, create_engine, inspect, make_url

from tune_audio.errors import SurroundingsError, UserError
from tune_audio.tracking.place import OR_ELSE, without_password
from tune_audio.tracking.reasons import reason, sqlite_name

STILL_SECONDS = 10.0  # who makes the tables of a file writes to it all the time
# What a store has that nobody has written to.
UNUSED = {"alembic_version", "workspaces", "experiments", "experiment_tags"}


def open_client(uri: str, say: Callable[[str], object]) -> MlflowClient:
    """A client of the store, which is tried out first: MLflow itself would try for two minutes.

    A file is made whole or not at all. The tables of one that a kill or a full disk has left half
    made are completed by MLflow if it can do so; else the file is set aside if it holds nothing.

    say: is told what was set aside. Raises UserError for what is no store, SurroundingsError where
    broken tables hold something, and what MLflow, SQLAlchemy and the system raise.
    """
    file = _file(uri)
    if file is None:
        _reach(uri)
        return _client(uri)
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):  # two who make its tables at once break it
        if not file.exists() or (file.is_file() and file.stat().st_size == 0):
            _make(uri, file)
        _reach(uri)
        try:
            return _client(uri)
        except Exception as error:
            if not _of_tables(error):
                raise
            return _instead(uri, file, error, say)


def _instead(uri: str, file: Path, error: Exception, say: Callable[[str], object]) -> MlflowClient:
    """A client in spite of tables that MLflow cannot complete."""
    if time.time() - file.stat().st_mtime < STILL_SECONDS:
        time.sleep(STILL_SECONDS)  # `mlflow ui`, say, may be making them at this moment
        with suppress(Exception):
            return _client(uri)
    if held := _held(file):
        raise SurroundingsError(
            f"MLflow at {uri}: its tables are not as this MLflow has them ({reason(error)}), and "
            f"it holds {held}; copy it, then try `mlflow db upgrade {uri}`, name another store in "
            "MLFLOW_TRACKING_URI, or go on with --no-mlflow"
        ) from error
    names = (file.with_name(f"{file.name}.broken-{number}") for number in count(1))
    aside = next(name for name in names if not name.exists())
    for part in ("-journal", "-wal", "-shm", ""):  # of one database
        with suppress(FileNotFoundError):
            file.with_name(file.name + part).rename(f"{aside}{part}")
    _make(uri, file)
    say(f"{file} was left half made and held no run: it is {aside.name} now, a new one is made")
    return _client(uri)


def _client(uri: str) -> MlflowClient:
    try:
        return MlflowClient(tracking_uri=uri)
    except UnsupportedModelRegistryStoreURIException as error:
        raise UserError(
            f"MLFLOW_TRACKING_URI: got '{without_password(uri)}'; must begin with http://, "
            f"https://, sqlite:/// or another database's name; or {OR_ELSE}"
        ) from error


def _file(uri: str) -> Path | None:
    """The file of a store that is one by its path."""
    database = make_url(uri).database if uri.startswith("sqlite:///") else None
    return None if database is None or database.startswith((":", "file:")) else Path(database)


def _reach(uri: str) -> None:
    """Look into a database once. Raises SQLAlchemy's errors."""
    if uri.partition(":")[0].partition("+")[0] in DATABASE_ENGINES:
        inspect(create_engine(uri, poolclass=NullPool)).get_table_names()


def _make(uri: str, file: Path) -> None:
    """A store with its tables, which appears in its place when it is whole."""
    for left in file.parent.glob(f".{file.name}.*.partial*"):  # by one that was killed
        left.unlink()
    partial = file.with_name(f".{file.name}.{uuid4().hex}.partial")
    place = make_url(uri).set(database=str(partial))
    try:
        MlflowClient(tracking_uri=place.render_as_string(hide_password=False))
        partial.replace(file)
    finally:
        for left in (partial, Path(f"{partial}-journal")):
            left.unlink(missing_ok=True)


def _of_tables(error: Exception) -> bool:
    """Whether a database can be read and written, but its tables are not what they should be."""
    # No code says that a schema's version is not the right one.
    other_version = isinstance(error, MlflowException) and "database schema" in str(error)
    return other_version or sqlite_name(error) == "SQLITE_ERROR"


def _held(file: Path) -> str:
    """What of somebody's a database holds; "" for nothing."""
    with closing(sqlite3.connect(file)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        rows = {
            table: database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
            for (table,) in tables.fetchall()
            if table not in UNUSED and not table.startswith("sqlite_")
        }
    if rows.get("runs"):
        return f"{rows['runs']} runs"
    return ", ".join(table for table, number in rows.items() if number)
