"""The file of a search: an Optuna database in SQLite."""

import sqlite3
from pathlib import Path

import optuna
import sqlalchemy
from sqlalchemy.engine import ExceptionContext

from tune_audio.errors import SurroundingsError
from tune_audio.machine.folders import network_file_system
from tune_audio.machine.sqlite_files import LOCK_SECONDS, reason


def open_database(path: Path) -> optuna.storages.RDBStorage:
    """The SQLite file of a search, made if it is not there.

    With a write-ahead log that is not synced at every commit a commit takes a millisecond instead
    of the disk's thirty. A killed process loses nothing; a power cut may lose the last epochs. Such
    a log is for processes of one machine alone: on a network's file system there is none, and
    every commit waits.

    Raises SurroundingsError, now and by whatever is done with it later, where the disk is full or
    read-only, the file locked, damaged or gone.
    """
    journal = ("TRUNCATE", "FULL") if network_file_system(path.parent) else ("WAL", "NORMAL")
    try:
        database = optuna.storages.RDBStorage(
            f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}}
        )
    except sqlalchemy.exc.DBAPIError as error:
        raise explained(path, error.orig) or error from error

    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA journal_mode={journal[0]}")
        connection.execute(f"PRAGMA synchronous={journal[1]}")

    def explain(context: ExceptionContext) -> None:
        if known := explained(path, context.original_exception):
            raise known from context.original_exception

    sqlalchemy.event.listen(database.engine, "connect", configure)
    sqlalchemy.event.listen(database.engine, "handle_error", explain)
    database.engine.dispose()  # so that the connections to come are all configured
    return database


def explained(path: Path, error: BaseException | None) -> SurroundingsError | None:
    """A line for SQLite's error; None for what is no fault of the disk."""
    known = reason(path, error)
    return SurroundingsError(f"{path}: {known}") if known else None
