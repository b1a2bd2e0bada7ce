"""Why MLflow does not take what is written: what is wrong, and what mends it, in a line."""

import errno
import sqlite3
import textwrap
from collections.abc import Iterator

from tune_audio.errors import SurroundingsError, UserError
from tune_audio.tracking.place import without_password

MEND = "mend that"
NO_MLFLOW = "ENDPOINT_NOT_FOUND"  # as MLflow calls a 404 without a reason of its own
FULL = ("the disk is full", "free some room on it")
READ_ONLY = ("it is read-only", "make it writable")
# By what SQLite, the system and MLflow call it. What SQLite calls it begins so.
SQLITE = {
    "SQLITE_FULL": FULL,
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_CANTOPEN": ("it cannot be opened as a file", MEND),
    "SQLITE_NOTADB": ("the file is not a database", "move it away"),
    "SQLITE_CORRUPT": ("the database is damaged", "move it away"),
    "SQLITE_BUSY": ("another program keeps it locked", "end that or wait for it"),
}
SYSTEM = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: READ_ONLY}
MLFLOW = {
    "UNAUTHENTICATED": (
        "it answers 401, it does not know who asks",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    ),
    "PERMISSION_DENIED": (
        "it answers 403, this user may not write",
        "name an experiment of yours in MLFLOW_EXPERIMENT_NAME",
    ),
    NO_MLFLOW: ("it answers 404, as no MLflow server does", "correct the address"),
}


def refusal(error: Exception, place: str, what: str = "MLflow") -> UserError:
    """The line that ends a command before its first trial. place: what does not work."""
    if isinstance(error, UserError):
        return error
    wrong, mend = _explained(error)
    kind = UserError if getattr(error, "error_code", "") == NO_MLFLOW else SurroundingsError
    return kind(
        f"{what} at {without_password(place)}: {wrong}; {mend}, name another store in "
        "MLFLOW_TRACKING_URI, or go on with --no-mlflow"
    )


def reason(error: Exception) -> str:
    """What is wrong, in a few words."""
    return _explained(error)[0]


def sqlite_name(error: BaseException) -> str:
    """SQLite's name for what lies behind an error, "SQLITE_FULL" say; "" if it is another's."""
    behind = (e for e in _chain(error) if isinstance(e, sqlite3.Error))
    return next((getattr(e, "sqlite_errorname", "") for e in behind), "")


def _explained(error: Exception) -> tuple[str, str]:
    """(what is wrong, what mends it)"""
    name = sqlite_name(error)
    for start, explained in SQLITE.items():
        if name.startswith(start):
            return explained
    for behind in _chain(error):
        if isinstance(behind, OSError) and behind.errno is not None:
            wrong, mend = SYSTEM.get(behind.errno, (behind.strerror or str(behind), MEND))
            return wrong + (f" ({behind.filename})" if behind.filename else ""), mend
        if isinstance(behind, ModuleNotFoundError):
            return f"it needs the Python package {behind.name}", "install that"
    code = getattr(error, "error_code", None)
    if code in MLFLOW:
        return MLFLOW[code]
    # MLflow's own words for what a database or a connection said are a paragraph.
    *_, first = _chain(error)
    said = first if code is not None or isinstance(first, sqlite3.Error) else error
    text = " ".join(without_password(str(said)).split()).partition(". ")[0]
    return textwrap.shorten(text, 200, placeholder=" …") or type(error).__name__, MEND


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
