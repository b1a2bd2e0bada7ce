"""How a file or a folder is put into its place so that nobody ever reads half of it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def published_folder(target: Path) -> Iterator[Path]:
    """A new folder to write into, which becomes `target`, whole and on disk, when the block ends.

    The caller holds a lock for `target`: what an earlier, killed writer left is removed, and so is
    an old `target`. When the block raises, nothing of it stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir()
    try:
        yield partial
        for path in partial.rglob("*"):
            _fsync(path)
        _fsync(partial)
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
        _fsync(target.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def publish_text(target: Path, text: str) -> None:
    """Write a small file so that a reader sees the old text or the new one, never a part."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid4().hex}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        _fsync(partial)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
