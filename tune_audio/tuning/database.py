"""The file of a search: an Optuna database in SQLite."""

import sqlite3
from pathlib import Path

import optuna
import sqlalchemy


def open_database(path: Path) -> optuna.storages.RDBStorage:
    """The SQLite file of a search, made if it is not there.

    With a write-ahead log that is not synced at every commit a commit takes a millisecond instead
    of the disk's thirty. A killed process loses nothing; a power cut may lose the last epochs.
    """
    database = optuna.storages.RDBStorage(
        f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}}
    )

    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    sqlalchemy.event.listen(database.engine, "connect", configure)
    database.engine.dispose()  # so that the connections to come are all configured
    return database
