"""The memo of frozen prefixes: features of clips as content-addressed files on disk.

An entry (one view of one split) is a folder of shards, each one .npy file of up to SHARD_ROWS
clips. A shard is computed under its own file lock, written to a temporary name, synced and
renamed: whoever is killed leaves nothing half-written that anyone reads, and processes that need
the same entry at the same time each compute some of its shards. Readers map the files into memory,
so all trials of a node share one copy. Beside its shards an entry says how many bytes they will
be, so that those who make room count what others are still computing.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from tune_audio.machine.publish import publish_text
from tune_audio.machine.watchdog import alive

SHARD_ROWS = 128
RESERVED = "reserved_bytes"
# So often an entry may be evicted while it is computed, before its caller does without the store.
ATTEMPTS = 3
Compute = Callable[[np.ndarray], np.ndarray]  # row numbers (B,) -> features (B, ...)


@dataclass
class Entry:
    """Features of `rows` clips, float32 (rows, ...), as memory-mapped shards."""

    shards: list[np.ndarray]
    how: str  # "read" | "computed": did this process compute any of it

    @property
    def nbytes(self) -> int:
        return sum(shard.nbytes for shard in self.shards)

    def load(self) -> np.ndarray:
        """All rows in memory."""
        return np.concatenate(self.shards)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Some rows, int64 (B,), in the order asked for."""
        shard, row = np.divmod(rows, SHARD_ROWS)
        return np.stack([self.shards[s][r] for s, r in zip(shard, row, strict=True)])


class FeatureStore:
    """A size-limited folder of features that all trials of a node share.

    folder: where entries lie; made if missing.
    max_bytes: over this, the least recently used entries go. What would not fit at all, or not
        beside what others need at the same time, is not stored: `get` then answers None and the
        caller computes live.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes = Path(folder), max_bytes
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(
        self,
        key: str,
        rows: int,
        compute: Compute,
        siblings: int = 1,
    ) -> Entry | None:
        """The features under `key`, computed where they are missing.

        compute: row numbers, int64 (B,) -> float32 (B, ...); called a shard at a time.
        siblings: how many entries of this size the caller will cycle through (its views); if they
            do not fit together, storing them would only evict each other: None is returned.
        """
        entry, paths = self._paths(key, rows)
        computed = False
        for _ in range(ATTEMPTS):
            with contextlib.suppress(_Evicted):
                if not all(path.exists() for path in paths):
                    if not self._reserve(entry, rows, compute, siblings):
                        return None
                    computed |= _fill(paths, rows, compute)
                return Entry(_open(paths), "computed" if computed else "read")
        return None

    def has(self, key: str, rows: int) -> bool:
        """Whether nothing of an entry is missing."""
        return all(path.exists() for path in self._paths(key, rows)[1])

    def _paths(self, key: str, rows: int) -> tuple[Path, list[Path]]:
        entry = self.folder / key[:2] / key
        return entry, [entry / f"{i:06}.npy" for i in range(-(-rows // SHARD_ROWS))]

    def _reserve(self, entry: Path, rows: int, compute: Compute, siblings: int) -> bool:
        """Evict until an entry fits, and put down its bytes; False if it cannot."""
        if (entry / RESERVED).exists():
            return True
        expected = compute(np.arange(1)).nbytes * rows
        if expected * siblings > self.max_bytes:
            return False
        with FileLock(self.folder / ".evict.lock"):
            others = sorted(found for found in _entries(self.folder) if found[2] != entry)
            total = sum(size for _, size, _ in others) + expected
            for _, size, path in others:
                if total <= self.max_bytes:
                    break
                shutil.rmtree(path, ignore_errors=True)
                total -= size
            publish_text(entry / RESERVED, str(expected))
        return True


class _Evicted(Exception):
    """Another process has removed the entry a moment ago."""


def _open(paths: list[Path]) -> list[np.ndarray]:
    try:
        os.utime(paths[0].parent)  # the folder's time is when it was last used
        return [np.load(path, mmap_mode="r") for path in paths]
    except FileNotFoundError:
        raise _Evicted from None


def _fill(paths: list[Path], rows: int, compute: Compute) -> bool:
    """Compute the shards that are missing and not being computed by others; wait for the rest."""
    reserved = paths[0].with_name(RESERVED)
    computed = False
    waiting = [i for i, path in enumerate(paths) if not path.exists()]
    while waiting:
        progressed = False
        for i in waiting:
            with contextlib.suppress(Timeout), FileLock(f"{paths[i]}.lock", timeout=0):
                if not reserved.exists():  # the lock has made the folder anew
                    raise _Evicted
                if not paths[i].exists():
                    first = i * SHARD_ROWS
                    _write(paths[i], compute(np.arange(first, min(first + SHARD_ROWS, rows))))
                    computed = progressed = True
        waiting = [i for i in waiting if not paths[i].exists()]
        if waiting and not progressed:
            alive()
            time.sleep(0.02)
    return computed


def _write(path: Path, features: np.ndarray) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            np.save(file, np.ascontiguousarray(features, dtype=np.float32))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except FileNotFoundError:
        raise _Evicted from None


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """(time of last use, bytes that it takes or will take, folder) of every entry."""
    found = []
    for path in folder.glob("??/*"):
        with contextlib.suppress(FileNotFoundError):
            size = 0
            for file in path.iterdir():
                with contextlib.suppress(FileNotFoundError):  # its writer has renamed it
                    size += file.stat().st_size
            with contextlib.suppress(FileNotFoundError):  # an earlier version put down nothing
                size = max(size, int((path / RESERVED).read_text()))
            found.append((path.stat().st_mtime, size, path))
    return found
