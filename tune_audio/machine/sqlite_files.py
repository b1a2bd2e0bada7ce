"""SQLite's files looked at from outside: what is wrong with one, and a copy of it as it is."""

import sqlite3
from contextlib import closing
from pathlib import Path

LOCK_SECONDS = 60.0  # how long to wait for another process that writes
# By the beginning of SQLite's name for an error.
REASONS = {
    "SQLITE_FULL": "the disk is full; make room",
    "SQLITE_BUSY": "another program has it locked; close what has it open",
    "SQLITE_LOCKED": "another program has it locked; close what has it open",
    "SQLITE_READONLY": "it cannot be written: a read-only disk, or somebody else's file",
    "SQLITE_CANTOPEN": "it cannot be opened: its folder is gone, read-only or somebody else's",
    "SQLITE_PERM": "it cannot be opened: it is somebody else's file",
    "SQLITE_IOERR": "its disk does not read or write",
    "SQLITE_CORRUPT": "it is damaged",
    "SQLITE_NOTADB": "it is damaged",
}


def reason(path: Path, error: BaseException | None) -> str | None:
    """What SQLite's error means for who has the file; None for what is no fault of the disk."""
    name = getattr(error, "sqlite_errorname", "")
    for known, meaning in REASONS.items():
        if name.startswith(known):
            return f"{meaning} ({error})" if path.exists() else "it is gone"
    return None


def fault(path: Path, table: str) -> str | None:
    """What is wrong with a file that should have a table; None if nothing is, or if it is locked.

    Every page is read: a second for some gigabytes.
    """
    if not path.exists():
        return "it is gone"
    try:
        with closing(_opened(path)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                return f"it is damaged ({found})"
            tables = database.execute("SELECT name FROM sqlite_master WHERE name = ?", (table,))
            return None if tables.fetchone() else "it is empty"
    except sqlite3.OperationalError:  # not readable now: said by whoever needs it
        return None
    except sqlite3.DatabaseError as error:
        return f"it is damaged ({error})"


def snapshot(path: Path, target: Path) -> None:
    """Copy a database as it is at one moment, whoever writes to it. Raises sqlite3.Error."""
    with closing(_opened(path)) as ours, closing(sqlite3.connect(target)) as copy:
        ours.backup(copy)


def _opened(path: Path) -> sqlite3.Connection:
    """Unlike sqlite3.connect it makes no file where there is none."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=LOCK_SECONDS)
