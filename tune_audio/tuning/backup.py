"""A copy of a run's database beside it, so that damage costs minutes and not the run."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from tune_audio.errors import SurroundingsError, UserError
from tune_audio.machine.sqlite_files import fault, snapshot
from tune_audio.tuning.database import explained

TABLE = "studies"  # what Optuna's databases have
MOST_OF_TIME = 0.05  # that copying may take: of a large database not every trial's end has one


class Backup:
    """Keeps `.NAME.backup` beside a database; `keep` is called at each trial's end."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.path = backup_of(database)
        self._next = 0.0  # not before: in seconds of the monotonic clock

    def keep(self) -> None:
        """Copy the database as it is now, unless the last copy was too dear for one so soon.

        Raises SurroundingsError where that fails; the copy that was there stays.
        """
        started = time.monotonic()
        if started < self._next:
            return
        partial = self.path.with_name(f"{self.path.name}.partial")
        try:
            partial.unlink(missing_ok=True)
            snapshot(self.database, partial)
            if wrong := fault(partial, TABLE):  # pages are copied as they are
                raise SurroundingsError(f"{self.database}: {wrong}")
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, self.path)
        except (sqlite3.Error, OSError) as error:
            known = explained(self.database, error)
            raise known or SurroundingsError(f"{self.path}: {error}") from error
        ended = time.monotonic()
        self._next = ended + (ended - started) / MOST_OF_TIME


def backup_of(database: Path) -> Path:
    """Where the copy of a database lies: hidden, for nobody is to write there."""
    return database.with_name(f".{database.name}.backup")


def restore_if_damaged(database: Path, say: Callable[[str], None]) -> None:
    """Put the copy in the place of a run's database that is damaged, empty or gone.

    What was there is kept under another name. say: told what was done, in a line.
    Raises UserError where there is no copy that can be read.
    """
    wrong = fault(database, TABLE)
    if wrong is None:
        return
    copy = backup_of(database)
    if fault(copy, TABLE) is not None:
        raise UserError(
            f"{database}: {wrong}, and there is no copy of it, so nothing is known of its trials; "
            "bring it back from where you keep copies (--storage), or start a new search"
        )
    aside = _set_aside(database)
    partial = database.with_name(f".{database.name}.partial")
    shutil.copy(copy, partial)
    os.replace(partial, database)
    when = datetime.fromtimestamp(copy.stat().st_mtime)
    kept = f" (what was there is {aside.name})" if aside else ""
    say(
        f"{database}: {wrong}; its copy of {when:%Y-%m-%d %H:%M} goes on in its place{kept}, and "
        "what has ended since then is run again"
    )


def _set_aside(database: Path) -> Path | None:
    """Rename a database and what belongs to it; None if there was nothing."""
    number = 1
    while (aside := database.with_name(f"{database.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm"):  # of the damaged one: the copy is whole without
        with suppress(FileNotFoundError):
            os.replace(f"{database}{suffix}", f"{aside}{suffix}")
    with suppress(FileNotFoundError):
        os.replace(database, aside)
        return aside
    return None
