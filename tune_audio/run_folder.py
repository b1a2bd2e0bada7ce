"""runs/NAME: where a search keeps all that it knows, and who may write there."""

import contextlib
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from tune_audio.errors import UserError
from tune_audio.machine.publish import publish_text

LATEST = "latest"  # names the run that was started or gone on with last


class RunFolder:
    """The files of one search, all below one folder.

    space.yaml, optuna.db, leaderboard.csv, best.yaml, skipped_files.csv, duplicates.csv; trials/
    while it runs; retrain/FAMILY-N/ with the models; audit.csv and corrections.csv of an audit.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.space = self.path / "space.yaml"
        self.database = self.path / "optuna.db"
        self.leaderboard = self.path / "leaderboard.csv"
        self.best = self.path / "best.yaml"
        self.claims = self.path / "claims.json"
        self.skipped = self.path / "skipped_files.csv"
        self.duplicates = self.path / "duplicates.csv"
        self.audit = self.path / "audit.csv"
        self.corrections = self.path / "corrections.csv"
        self.log = self.path / "search.log"  # of one that was started with --detach
        self.storage = self.path / ".storage"  # where a copy of this folder is kept
        self.trials = self.path / "trials"
        self.retrain = self.path / "retrain"

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def id(self) -> str:
        """What tells this search from every other, wherever its folder is moved to."""
        file = self.path / ".id"
        if not file.exists():
            publish_text(file, uuid.uuid4().hex)
        return file.read_text()

    @classmethod
    def create(cls, runs: Path, space: str, name: str | None) -> "RunFolder":
        """A new folder, named after the space and the time unless a name is given.

        Raises UserError as check_name.
        """
        if name is not None:
            cls.check_name(runs, name)
        run = cls(runs / (name or f"{space}-{datetime.now():%Y%m%d-%H%M%S}"))
        run.path.mkdir(parents=True, exist_ok=True)
        return run

    @classmethod
    def check_name(cls, runs: Path, name: str) -> None:
        """Raises UserError for a name that is no folder's or has a search already."""
        if name in ("", ".", "..", LATEST) or Path(name).name != name:
            raise UserError(f"--name: got {name!r}; must be the name of a folder, not {LATEST}")
        run = cls(runs / name)
        if run.space.exists():
            raise UserError(
                f"--name: {run.path} holds a search already; go on with it by "
                f"--resume {run.name}, or give another name"
            )

    @classmethod
    def find(cls, runs: Path, name: str) -> "RunFolder":
        """An existing folder: its name below `runs`, its path, or LATEST."""
        known = sorted(runs.glob("*/space.yaml"), key=lambda file: file.stat().st_mtime)
        if name == LATEST and known:
            return cls(known[-1].parent)
        for path in (runs / name, Path(name)):
            if (path / "space.yaml").exists():
                return cls(path)
        names = ", ".join(file.parent.name for file in known[-5:]) or "none yet"
        raise UserError(f"no search {name!r} in {runs}; there are: {names}")

    def is_locked(self) -> bool:
        """Whether a process is working on it."""
        try:
            with FileLock(self.path / ".lock", timeout=0):
                return False
        except Timeout:
            return True

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time continues a search."""
        try:
            with FileLock(self.path / ".lock", timeout=1):  # somebody may look at `is_locked`
                yield
        except Timeout:
            raise UserError(f"{self.path} is being run by another process; wait for it") from None
