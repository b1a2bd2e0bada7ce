"""What lies in the cache: how large it is, how long it has not been used, and how it goes.

All of it can be made or fetched again, so all may be removed but what a running search reads.
"""

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

# Kinds of what is cached, and where its entries lie below the cache's folder.
KINDS = {
    "features": "features/??/*",
    "corpora": "corpora/" + "[0-9a-f]" * 32,
    "duplicates": "duplicates/" + "[0-9a-f]" * 32,
    "synthetic": "synthetic/made-*",
    "measurements": "measurements/*",
    "datasets": "datasets/*",
    "pretrained": "pretrained/" + "[0-9a-f]" * 32,
}

# Cached features, and decoded audio, may each take this share of what is free on their disk.
DISK_SHARE = 0.5
USED = ("corpora",)  # what workers open again and again while a search runs


@dataclass(frozen=True, order=True)
class Entry:
    """One thing in the cache. `used`: when it was last used, in seconds since 1970."""

    used: float
    size_bytes: int
    path: Path
    kind: str = ""


def entries(cache: Path, kinds: Iterable[str] = KINDS) -> list[Entry]:
    """What there is of some kinds, what has not been used for the longest time first."""
    return sorted(
        Entry(path.stat().st_mtime, _size_bytes(path), path, kind)
        for kind in kinds
        for path in cache.glob(KINDS[kind])
        if path.is_dir() and not path.name.startswith(".")
    )


def remove(entry: Entry) -> bool:
    """Remove an entry whole, so that nobody finds a part of it; False where it is in use."""
    with FileLock(_gate(entry.path)) if entry.kind in USED else contextlib.nullcontext():
        if entry.kind in USED and _is_in_use(_users(entry.path)):
            return False
        going = entry.path.with_name(f".{entry.path.name}.{uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            entry.path.rename(going)
        shutil.rmtree(going, ignore_errors=True)
    return True


def make_room(kept: Sequence[Entry], most_bytes: int) -> None:
    """Remove what has not been used for the longest time until no more than so much is left."""
    total = sum(entry.size_bytes for entry in kept)
    for entry in sorted(kept):
        if total <= most_bytes:
            return
        if remove(entry):
            total -= entry.size_bytes


def most_bytes(kind: str, cache_gb: float | None, cache: Path) -> int:
    """How much of a kind of KINDS is kept: what was asked for, or half of what is free."""
    if cache_gb is not None:
        return int(cache_gb * 1e9)
    cache.mkdir(parents=True, exist_ok=True)
    used = sum(entry.size_bytes for entry in entries(cache, [kind]))
    return int(DISK_SHARE * (shutil.disk_usage(cache).free + used))


@contextmanager
def in_use(corpus: Path) -> Iterator[None]:
    """While this lasts, `remove` leaves a corpus where it is, in whatever process it is called.

    A file of one's own beside it is locked; the lock of a killed process is gone with it.
    """
    mark = FileLock(_users(corpus) / uuid4().hex)
    with FileLock(_gate(corpus)):
        Path(mark.lock_file).parent.mkdir(exist_ok=True)
        mark.acquire()
    try:
        yield
    finally:
        mark.release()
        Path(mark.lock_file).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others use it, too
            Path(mark.lock_file).parent.rmdir()


def _users(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.users")


def _gate(folder: Path) -> Path:
    """Held while one looks who uses a folder, or begins to."""
    return folder.parent / ".use.lock"


def _is_in_use(users: Path) -> bool:
    for mark in users.iterdir() if users.is_dir() else ():
        try:
            with FileLock(mark, timeout=0):
                mark.unlink(missing_ok=True)  # of a process that was killed
        except Timeout:
            return True
    return False


def _size_bytes(folder: Path) -> int:
    size = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # removed at this moment
            size += file.stat().st_size if file.is_file() else 0
    return size


def age(entry: Entry) -> float:
    """Seconds since it was last used."""
    return max(0.0, time.time() - entry.used)


def human(size_bytes: float) -> str:
    """A size as people say it: 1.2 GB."""
    for unit in ("bytes", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"
