"""The memo of frozen prefixes: features of clips as content-addressed files on disk.

An entry (one view of one split) is a folder of shards, each one .npy file of up to SHARD_ROWS
clips. A shard is computed under its own file lock, written to a temporary name, synced and
renamed: whoever is killed leaves nothing half-written that anyone reads, and processes that need
the same entry at the same time each compute some of its shards. Readers map the files into memory,
so all trials of a node share one copy.
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

SHARD_ROWS = 128


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
    max_bytes: over this, the least recently used entries go. What would not fit at all is not
        stored: `get` then answers None and the caller computes live.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes = Path(folder), max_bytes
        self.folder.mkdir(parents=True, exist_ok=True)

    def get(
        self,
        key: str,
        rows: int,
        compute: Callable[[np.ndarray], np.ndarray],
        siblings: int = 1,
    ) -> Entry | None:
        """The features under `key`, computed where they are missing.

        compute: row numbers, int64 (B,) -> float32 (B, ...); called a shard at a time.
        siblings: how many entries of this size the caller will cycle through (its views); if they
            do not fit together, storing them would only evict each other: None is returned.
        """
        entry = self.folder / key[:2] / key
        count = -(-rows // SHARD_ROWS)
        paths = [entry / f"{i:06}.npy" for i in range(count)]
        computed = False
        if not all(path.exists() for path in paths):
            if not entry.exists() and not self._make_room(rows, compute, siblings):
                return None
            entry.mkdir(parents=True, exist_ok=True)
            computed = _fill(paths, rows, compute)
        with contextlib.suppress(FileNotFoundError):
            os.utime(entry)  # the folder's time is when it was last used
        try:
            shards = [np.load(path, mmap_mode="r") for path in paths]
        except FileNotFoundError:  # evicted by another process a moment ago
            return self.get(key, rows, compute, siblings)
        return Entry(shards, "computed" if computed else "read")

    def _make_room(self, rows: int, compute: Callable, siblings: int) -> bool:
        """Evict until a new entry fits; False if it cannot."""
        row_bytes = compute(np.arange(1)).nbytes
        if row_bytes * rows * siblings > self.max_bytes:
            return False
        with FileLock(self.folder / ".evict.lock"):
            entries = sorted(_entries(self.folder), key=lambda entry: entry[0])
            total = sum(size for _, size, _ in entries) + row_bytes * rows
            for _, size, path in entries:
                if total <= self.max_bytes:
                    break
                shutil.rmtree(path, ignore_errors=True)
                total -= size
        return True


def _fill(paths: list[Path], rows: int, compute: Callable[[np.ndarray], np.ndarray]) -> bool:
    """Compute the shards that are missing and not being computed by others; wait for the rest."""
    computed = False
    waiting = [i for i, path in enumerate(paths) if not path.exists()]
    while waiting:
        progressed = False
        for i in waiting:
            with contextlib.suppress(Timeout), FileLock(f"{paths[i]}.lock", timeout=0):
                if not paths[i].exists():
                    first = i * SHARD_ROWS
                    _write(paths[i], compute(np.arange(first, min(first + SHARD_ROWS, rows))))
                    computed = progressed = True
        waiting = [i for i in waiting if not paths[i].exists()]
        if waiting and not progressed:
            time.sleep(0.02)
    return computed


def _write(path: Path, features: np.ndarray) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        np.save(file, np.ascontiguousarray(features, dtype=np.float32))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """(time of last use, bytes, folder) of every entry."""
    found = []
    for path in folder.glob("??/*"):
        with contextlib.suppress(FileNotFoundError):
            size = sum(file.stat().st_size for file in path.iterdir())
            found.append((path.stat().st_mtime, size, path))
    return found
