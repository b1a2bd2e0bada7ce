"""The file of a search: an Optuna database in SQLite."""

import sqlite3
from pathlib import Path

import optuna
import sqlalchemy

from tune_audio.machine.folders import network_file_system


def open_database(path: Path) -> optuna.storages.RDBStorage:
    """The SQLite file of a search, made if it is not there.

    With a write-ahead log that is not synced at every commit a commit takes a millisecond instead
    of the disk's thirty. A killed process loses nothing; a power cut may lose the last epochs. Such
    a log is for processes of one machine alone: on a network's file system there is none, and
    every commit waits.
    """
    journal = ("TRUNCATE", "FULL") if network_file_system(path.parent) else ("WAL", "NORMAL")

    database = optuna.storages.RDBStorage(
        f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}}
    )

    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA journal_mode={journal[0]}")
        connection.execute(f"PRAGMA synchronous={journal[1]}")

    sqlalchemy.event.listen(database.engine, "connect", configure)
    database.engine.dispose()  # so that the connections to come are all configured
    return database
