"""From chosen clips to the files of a corpus.

Decoding runs in threads, not processes: libsndfile and soxr work without Python's lock.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tune_audio.data.audio import Block, joined, peak_beyond_1, read_blocks
from tune_audio.data.audio_file import BadAudio
from tune_audio.data.clips import Clip, Decoding
from tune_audio.data.columns import columns
from tune_audio.data.progress import Track
from tune_audio.data.selection import Selection
from tune_audio.escaping import printable

# What is decoded and not yet written: it bounds memory, whatever the size of the data set.
CLIPS_IN_FLIGHT = 256
LONGEST_NOISE_SECONDS = 600.0


class _Job(NamedTuple):
    clip: Clip
    longest_seconds: float
    full_scale: float


def write_corpus(
    folder: Path, selection: Selection, decoding: Decoding, *, threads: Executor, track: Track
) -> None:
    """Decode the selection into `samples.int16`, `tables.npz` and `corpus.json` in `folder`.

    What cannot be decoded becomes an entry of `skipped`, with its reason.
    """
    names = [*selection.names, *selection.noise_names]
    clip_samples = round(decoding.clip_seconds * decoding.sample_rate)
    lengths = np.zeros(len(names), dtype=np.int64)
    skipped: dict[str, str] = {}
    loud: dict[str, float] = {}
    with (folder / "samples.int16").open("wb") as file:
        jobs = _jobs(selection, decoding, threads)
        decoded = track(_decode_all(jobs, decoding, threads), "Decoding", len(names))
        for row, block in enumerate(decoded):
            name = printable(names[row])
            if isinstance(block, BadAudio):
                skipped.setdefault(name, str(block))
                continue
            if block.peak > 1:
                loud[name] = max(block.peak, loud.get(name, 0.0))
            file.write(block.samples.tobytes())
            lengths[row] = len(block.samples)
        # A reader may take clip_samples from the start of any clip.
        file.write(bytes(2 * clip_samples))
    about = {
        "clip_samples": clip_samples,
        "sample_rate": decoding.sample_rate,
        "peak": decoding.peak,
        "total_samples": int(lengths.sum()) + clip_samples,
        "skipped": list(skipped.items()),
        "loud": loud,
    }
    _write_tables(folder, selection, lengths, about)


def _jobs(selection: Selection, decoding: Decoding, threads: Executor) -> list[_Job]:
    clips = [*selection.clips, *selection.noise]
    scales: dict[Path, float] = {}
    if decoding.peak == "normalise":  # of whole recordings, before any clip is cut from one
        paths = list({clip.path: None for clip in clips})
        scales = dict(zip(paths, threads.map(_full_scale, paths), strict=True))
    longest = [decoding.clip_seconds] * len(selection.clips)
    longest += [LONGEST_NOISE_SECONDS] * len(selection.noise)
    return [
        _Job(clip, seconds, scales.get(clip.path, 1.0))
        for clip, seconds in zip(clips, longest, strict=True)
    ]


def _full_scale(path: Path) -> float:
    try:
        return peak_beyond_1(path)
    except BadAudio:
        return 1.0  # decoding it tells why it is none


def _decode_all(
    jobs: Iterable[_Job], decoding: Decoding, threads: Executor
) -> Iterator[Block | BadAudio]:
    """Results in the order of the jobs, a bounded number of them ahead of the reader."""
    pending: deque[Future[Block | BadAudio]] = deque()
    for job in jobs:
        pending.append(threads.submit(_decode, job, decoding.sample_rate))
        if len(pending) == CLIPS_IN_FLIGHT:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _decode(job: _Job, sample_rate: int) -> Block | BadAudio:
    try:
        blocks = read_blocks(
            job.clip.path,
            sample_rate=sample_rate,
            start_seconds=job.clip.start_seconds,
            seconds=job.clip.seconds,
            longest_seconds=job.longest_seconds,
            full_scale=job.full_scale,
        )
        return joined(blocks)
    except BadAudio as reason:
        return reason


def _write_tables(
    folder: Path, selection: Selection, lengths: np.ndarray, about: dict[str, Any]
) -> None:
    starts = np.cumsum(lengths) - lengths
    count = len(selection.clips)
    read = np.flatnonzero(lengths[:count])
    noise = count + np.flatnonzero(lengths[count:])
    clips = [selection.clips[row] for row in read]
    np.savez(
        folder / "tables.npz",
        start=starts[read],
        length=lengths[read],
        noise_start=starts[noise],
        noise_length=lengths[noise],
        **columns(selection, read),
    )
    about |= {
        "labels": selection.labels,
        "multi_label": selection.multi_label,
        "group": [clip.group or "" for clip in clips],
        "names": [selection.names[row] for row in read],
    }
    (folder / "corpus.json").write_text(json.dumps(about), encoding="utf-8")
