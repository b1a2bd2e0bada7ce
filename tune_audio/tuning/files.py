"""Files of the driver's host, read and written from hosts that share no storage with it."""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

PIECE_BYTES = 32 * 2**20  # of a file in one message


class Files:
    """Reads and writes on the driver's host, below given folders only.

    written: the folder below which files may also be written. read: the others.
    All but `listing` raise PermissionError for a file that is elsewhere.
    """

    def __init__(self, written: str, read: Sequence[str]) -> None:
        self.written = Path(written).resolve()
        self.folders = [self.written, *(Path(folder).resolve() for folder in read)]

    def listing(self, folder: str) -> dict[str, tuple[int, int]]:
        """Every file below a folder, by its path there: its bytes, and when it was written."""
        root = self._known(folder)
        files = (path for path in sorted(root.rglob("*")) if path.is_file())
        return {str(path.relative_to(root)): state_of(path) for path in files}

    def size(self, file: str) -> int | None:
        """A file's bytes; None if it is not there."""
        path = self._known(file)
        return path.stat().st_size if path.is_file() else None

    def read(self, file: str, start: int, size: int) -> bytes:
        """A piece of a file; a shorter one at its end."""
        with open(self._known(file), "rb") as stream:
            stream.seek(start)
            return stream.read(size)

    def write(self, file: str, sender: str, start: int, piece: bytes) -> None:
        """Put a piece of a file where nobody takes it for the file."""
        partial = self._partial(file, sender)
        partial.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "r+b" if start else "wb") as stream:
            stream.seek(start)
            stream.write(piece)

    def publish(self, file: str, sender: str) -> None:
        """All pieces are there: the file takes its place, whole."""
        partial = self._partial(file, sender)
        with open(partial, "rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(self._known(file))

    def _partial(self, file: str, sender: str) -> Path:
        path = self._known(file)
        if not path.is_relative_to(self.written):
            raise PermissionError(f"{file}: is only read")
        return path.with_name(f".{path.name}.{sender}.partial")

    def _known(self, file: str) -> Path:
        path = Path(file).resolve()
        if not any(path.is_relative_to(folder) for folder in self.folders):
            raise PermissionError(f"{file}: is in none of the folders that trials may read")
        return path


def state_of(file: Path) -> tuple[int, int]:
    """A file's bytes, and when it was written, in nanoseconds: what changes when it does."""
    state = file.stat()
    return state.st_size, state.st_mtime_ns


@dataclass(frozen=True)
class Served:
    """The driver's files as a worker reaches them: an actor, and a file that only its storage has.

    Its methods raise what those of `Files` raise, and ConnectionError where the driver's host does
    not answer.
    """

    actor: Any
    beacon: str

    def seen_from_here(self) -> bool:
        """Whether this host sees the driver's folders itself."""
        return Path(self.beacon).exists()

    def listing(self, folder: str) -> dict[str, tuple[int, int]]:
        """As `Files.listing`."""
        return _answer(self.actor.listing.remote(folder))

    def fetch(self, source: str, size: int, target: Path) -> None:
        """Bring a file of so many bytes; the next piece is on its way while one is written."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as stream:
            coming = self.actor.read.remote(source, 0, PIECE_BYTES)
            for start in range(0, size, PIECE_BYTES):
                piece = _answer(coming)
                if start + PIECE_BYTES < size:
                    coming = self.actor.read.remote(source, start + PIECE_BYTES, PIECE_BYTES)
                stream.write(piece)
        if target.stat().st_size != size:
            raise OSError(f"{source}: {target.stat().st_size} of {size} bytes have come")

    def send(self, stream: BinaryIO, target: str) -> Iterator[None]:
        """Send a file in pieces, one an item; it takes its place when the last one is there."""
        sender, start = uuid4().hex, 0
        while (piece := stream.read(PIECE_BYTES)) or start == 0:
            _answer(self.actor.write.remote(target, sender, start, piece))
            start += len(piece)
            yield
            if not piece:
                break
        _answer(self.actor.publish.remote(target, sender))


def _answer(promise: Any) -> Any:
    try:
        return ray.get(promise)
    except RayTaskError:
        raise  # of the error that the actor has raised, too
    except RayError as error:
        raise ConnectionError("the driver's host does not answer") from error


@contextlib.contextmanager
def serve(written: Path, read: Sequence[Path | str]) -> Iterator[Served]:
    """Let hosts that do not see these folders read and write them while the block lasts."""
    written.mkdir(parents=True, exist_ok=True)
    for left in written.glob(".*.beacon"):  # by a driver that was killed
        left.unlink(missing_ok=True)
    beacon = written / f".{uuid4().hex}.beacon"
    beacon.touch()
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(Files)
    files = actor.options(num_cpus=0, max_concurrency=8, scheduling_strategy=here).remote(
        str(written), [str(folder) for folder in read]
    )
    try:
        yield Served(files, str(beacon))
    finally:
        ray.kill(files)
        beacon.unlink(missing_ok=True)


class Sending:
    """One file on its way to the driver's host, in a thread of its own."""

    def __init__(self, served: Served, file: Path, target: str) -> None:
        self._stream = open(file, "rb")  # noqa: SIM115 - stays what it is when replaced meanwhile
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(served, target), daemon=True)
        self._thread.start()

    def _run(self, served: Served, target: str) -> None:
        try:
            with self._stream:
                for _ in served.send(self._stream, target):
                    if self._stopped.is_set():
                        return
        except Exception as error:
            self._error = error

    def ended(self) -> bool:
        """Whether the file is there. Raises what has kept it from getting there."""
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Do without what has not been sent yet."""
        self._stopped.set()
        self._thread.join()
