"""A copy of a run's folder on other storage, from which it goes on when this machine is lost.

The storage is a folder (of NFS, say) or what pyarrow.fs calls by a URI: s3://BUCKET/PREFIX,
gs://BUCKET/PREFIX. Its credentials are found as usual there: environment, profile, instance.
"""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow import ArrowException, fs

from tune_audio.errors import UserError
from tune_audio.machine.publish import publish_text, published_folder
from tune_audio.machine.sqlite_files import snapshot
from tune_audio.run_folder import LATEST, RunFolder

SECONDS = 30.0  # between two looks at what is new: the most that a lost machine loses
PIECE_BYTES = 8 * 2**20
BEGUN = {".writable", ".id.partial"}  # what a copy leaves that was killed before its first file


class RunCopy:
    """Keeps STORAGE/NAME as runs/NAME is, in a thread of its own, until it is closed.

    storage: a folder or a URI. say: told when copying begins to fail, and when it works again.
    Raises UserError where it cannot be written, or holds something else of that name.
    """

    def __init__(
        self, run: RunFolder, storage: str, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self.run, self.storage, self.say = run, storage, say
        self.files, self.root = _open(storage)
        self.place = f"{self.root}/{run.name}"
        self.complaint: str | None = None  # why the last look has copied nothing
        self._copied: dict[str, tuple[int, int]] = {}
        self._close = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        try:
            self._check_own()
            self.files.create_dir(self.place, recursive=True)
            with self.files.open_output_stream(f"{self.place}/.writable") as stream:
                stream.write(b"")
            self.files.delete_file(f"{self.place}/.writable")
        except (OSError, ArrowException) as error:
            raise UserError(f"--storage: {storage} cannot be written: {_line(error)}") from error
        publish_text(run.storage, storage)  # for --resume and retrain

    def _check_own(self) -> None:
        """What is there is replaced or removed: it has to be an earlier state of this run."""
        ours = self.run.id  # of all files the first to be copied
        kept = self.files.get_file_info(f"{self.place}/.id")
        if not kept.is_file:
            there = self.files.get_file_info(fs.FileSelector(self.place, allow_not_found=True))
            if others := sorted({info.base_name for info in there} - BEGUN):
                raise UserError(
                    f"--storage: {self.place} is no copy of a run, {others[0]} is in it, and what "
                    "is not the run's would be removed; give another --name or another folder"
                )
            return
        with self.files.open_input_stream(kept.path) as stream:
            if stream.readall().decode() != ours:
                raise UserError(
                    f"--storage: {self.storage} has another run {self.run.name}; give this one "
                    f"another --name, or go on with that by --resume {self.run.name} --storage "
                    f"{self.storage} where there is none of this name"
                )

    def start(self) -> None:
        """Begin to copy, and go on every SECONDS."""
        self._thread.start()

    def close(self) -> None:
        """Copy for the last time."""
        self._close.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while True:
            self._look()
            if self._close.wait(SECONDS):
                return

    def _look(self) -> None:
        before = self.complaint
        try:
            self.update()
            self.complaint = None
        except Exception as error:  # a thread that ended of it would do so in silence
            self.complaint = f"{self.storage}: {type(error).__name__}: {_line(error)}"
        if self.complaint is not None and before is None:
            self.say(f"the run's copy is behind: {self.complaint}; it is tried again")
        elif self.complaint is None and before is not None:
            self.say("the run's copy is up to date again")

    def update(self) -> None:
        """Copy what has changed since the last time; remove what is gone."""
        found = dict(_changing(self.run))
        for name, state in found.items():
            if self._copied.get(name) != state:
                self._copy(name)
                self._copied[name] = state
        for info in self.files.get_file_info(fs.FileSelector(self.place, recursive=True)):
            name = info.path.removeprefix(f"{self.place}/")
            if info.is_file and name not in found:
                self.files.delete_file(info.path)
                self._copied.pop(name, None)

    def _copy(self, name: str) -> None:
        target, source = f"{self.place}/{name}", self.run.path / name
        self.files.create_dir(target.rpartition("/")[0], recursive=True)
        with TemporaryDirectory() as folder:
            if source == self.run.database:
                source = Path(folder, source.name)
                snapshot(self.run.database, source)
            # An object takes its place when it is whole; a file does so when it is renamed.
            partial = f"{target}.partial" if self.files.type_name == "local" else target
            try:
                with open(source, "rb") as given, self.files.open_output_stream(partial) as stream:
                    shutil.copyfileobj(given, stream, PIECE_BYTES)
            except FileNotFoundError:  # a trial has ended meanwhile
                return
        if partial != target:
            self.files.move(partial, target)


def fetch(runs: Path, name: str, storage: str) -> None:
    """Bring a run that is not in `runs` from storage. Raises UserError where it is not there."""
    files, root = _open(storage)
    try:
        infos = files.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
        spaces = {i.path.split("/")[-2]: i for i in infos if i.path.endswith("/space.yaml")}
        if name == LATEST and spaces:
            name = max(spaces, key=lambda known: spaces[known].mtime_ns)
        if (runs / name / "space.yaml").exists():
            return
        if name not in spaces:
            known = ", ".join(sorted(spaces)) or "none yet"
            raise UserError(f"no search {name!r} in {storage}; there are: {known}")
        place = f"{root}/{name}/"
        with published_folder(runs / name) as partial:
            for info in infos:
                if info.is_file and info.path.startswith(place):
                    target = partial / info.path.removeprefix(place)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with files.open_input_stream(info.path) as given, open(target, "wb") as file:
                        shutil.copyfileobj(given, file, PIECE_BYTES)
    except (OSError, ArrowException) as error:
        raise UserError(f"--storage: {storage} cannot be read: {_line(error)}") from error


def _open(storage: str) -> tuple[fs.FileSystem, str]:
    """The file system of a folder or URI, and the path there."""
    given = storage if "://" in storage else str(Path(storage).expanduser().absolute())
    try:
        files, root = fs.FileSystem.from_uri(given)
    except (OSError, ArrowException) as error:
        raise UserError(
            f"--storage: got {storage!r} ({_line(error)}); must be a folder, s3://BUCKET/PREFIX "
            "or gs://BUCKET/PREFIX"
        ) from error
    return files, root.rstrip("/")


def _changing(run: RunFolder) -> Iterator[tuple[str, tuple[int, int]]]:
    """Every file of a run that another machine would need, and what changes when it does."""
    for path in sorted(run.path.rglob("*")):
        name = path.relative_to(run.path)
        if any(part.startswith(".") and part not in (".id", ".storage") for part in name.parts):
            continue  # locks, beacons, what is being written, Ray's own notes
        if path.name.startswith(f"{run.database.name}-"):
            continue  # parts of the database that its copy has in itself
        try:
            state = path.stat()
            if path == run.database:  # what is new is in its log first
                log = path.with_name(f"{path.name}-wal")
                state = log.stat() if log.exists() and log.stat().st_size else state
            if path.is_file():
                yield str(name), (state.st_mtime_ns, state.st_size)
        except FileNotFoundError:
            continue


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
