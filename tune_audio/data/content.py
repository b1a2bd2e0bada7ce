"""The name of a corpus: a hash of what is in its files, and a quick way to the same hash.

Two keys. The content key hashes every byte of every recording. The status key hashes sizes, times
and inodes, which takes milliseconds, and the cache remembers which content key it led to. Setting
a file's modification time back does not hide a change: ctime cannot be set.
"""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import soundfile
import soxr

from tune_audio.data.audio_file import BadAudio, open_regular
from tune_audio.data.clips import SPLITS, Decoding
from tune_audio.data.progress import Track
from tune_audio.data.selection import Selection

CORPUS_FORMAT = 2
# A file changed twice within a tick of the file system's clock looks unchanged after the first;
# 2 s is the coarsest clock in use (FAT).
CLOCK_TICK_SECONDS = 2.0


@dataclass(frozen=True)
class Status:
    """What the file system says of the recordings, without opening them."""

    key: str
    settled: bool  # False: a file is so new that it could still change without being seen


def recordings(selection: Selection) -> dict[str, Path]:
    """Every file that the selection is cut from, once, by its name."""
    names = [*selection.noise_names, *selection.names]
    clips = [*selection.noise, *selection.clips]
    return {name: clip.path for name, clip in zip(names, clips, strict=True)}


def describe(selection: Selection, decoding: Decoding) -> str:
    """Digest of everything but the recordings that decides what a corpus holds."""
    lines = [
        repr((CORPUS_FORMAT, decoding.sample_rate, decoding.clip_seconds, selection.labels)),
        repr((selection.multi_label, selection.windows)),
        # Another decoder or resampler may give other samples for the same bytes.
        repr((soundfile.__libsndfile_version__, soxr.__libsoxr_version__, SPLITS)),
    ]
    if decoding.peak != "keep":  # runs that know of no other go on
        lines.append(repr(decoding.peak))
    for name, noise in zip(selection.noise_names, selection.noise, strict=True):
        lines.append(repr((name, noise.start_seconds, noise.seconds)))
    for name, clip, part in zip(selection.names, selection.clips, selection.split, strict=True):
        where = (name, clip.start_seconds, clip.seconds, int(part))
        lines.append(repr((*where, clip.labels, clip.group, clip.fold)))
    return _digest(lines)


def status_of(files: Mapping[str, Path], description: str) -> Status:
    """The status key; two calls agree when no file was touched between them."""
    now, newest = time.time(), 0.0
    lines = [description]
    for name, path in files.items():
        try:
            status = os.stat(path)
        except OSError as error:
            lines.append(repr((name, error.errno)))
            continue
        newest = max(newest, status.st_mtime, status.st_ctime)
        times = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        lines.append(repr((name, *times)))
    return Status(_digest(lines), settled=newest < now - CLOCK_TICK_SECONDS)


def content_key(
    files: Mapping[str, Path],
    description: str,
    threads: Executor,
    track: Track,
) -> str:
    """Hash of the description and of the bytes of all files, 32 hexadecimal digits."""
    hashes = track(threads.map(_file_digest, files.values()), "Checking recordings", len(files))
    lines = [repr(pair) for pair in zip(files, hashes, strict=True)]
    return _digest([description, *lines])


def _file_digest(path: Path) -> str:
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()
    except (BadAudio, OSError) as error:
        return f"unreadable: {error}"


def _digest(lines: Sequence[str]) -> str:
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
