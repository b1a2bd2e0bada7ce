"""From chosen clips to the files of a corpus.

Decoding runs in threads, not processes: libsndfile and soxr work without Python's lock.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np

from tune_audio.data.audio import BadAudio, read_audio
from tune_audio.data.clips import Clip
from tune_audio.data.columns import columns
from tune_audio.data.progress import Track
from tune_audio.data.selection import Selection
from tune_audio.escaping import printable

# What is decoded and not yet written: it bounds memory, whatever the size of the data set.
CLIPS_IN_FLIGHT = 256
LONGEST_NOISE_SECONDS = 600.0


def write_corpus(
    folder: Path,
    selection: Selection,
    *,
    clip_seconds: float,
    sample_rate: int,
    threads: Executor,
    track: Track,
) -> None:
    """Decode the selection into `samples.int16`, `tables.npz` and `corpus.json` in `folder`.

    A clip longer than `clip_seconds` is cut to its centre. What cannot be decoded becomes an entry
    of `skipped`, with its reason.
    """
    clips = [(clip, clip_seconds) for clip in selection.clips]
    noise = [(piece, LONGEST_NOISE_SECONDS) for piece in selection.noise]
    names = [*selection.names, *selection.noise_names]
    clip_samples = round(clip_seconds * sample_rate)
    lengths = np.zeros(len(names), dtype=np.int64)
    skipped: dict[str, str] = {}
    with (folder / "samples.int16").open("wb") as file:
        jobs = [*clips, *noise]
        decoded = track(_decode_all(jobs, sample_rate, threads), "Decoding", len(names))
        for row, samples in enumerate(decoded):
            if isinstance(samples, BadAudio):
                skipped.setdefault(printable(names[row]), str(samples))
                continue
            file.write(samples.tobytes())
            lengths[row] = len(samples)
        # A reader may take clip_samples from the start of any clip.
        file.write(bytes(2 * clip_samples))
    _write_tables(folder, selection, clip_samples, sample_rate, lengths, skipped)


def _decode_all(
    jobs: Iterable[tuple[Clip, float]], sample_rate: int, threads: Executor
) -> Iterator[np.ndarray | BadAudio]:
    """Results in the order of the jobs, a bounded number of them ahead of the reader."""
    pending: deque[Future[np.ndarray | BadAudio]] = deque()
    for clip, longest_seconds in jobs:
        pending.append(threads.submit(_decode, clip, sample_rate, longest_seconds))
        if len(pending) == CLIPS_IN_FLIGHT:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _decode(clip: Clip, sample_rate: int, longest_seconds: float) -> np.ndarray | BadAudio:
    try:
        return read_audio(
            clip.path,
            sample_rate=sample_rate,
            start_seconds=clip.start_seconds,
            seconds=clip.seconds,
            longest_seconds=longest_seconds,
        )
    except BadAudio as reason:
        return reason


def _write_tables(
    folder: Path,
    selection: Selection,
    clip_samples: int,
    sample_rate: int,
    lengths: np.ndarray,
    skipped: dict[str, str],
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
    about = {
        "labels": selection.labels,
        "multi_label": selection.multi_label,
        "clip_samples": clip_samples,
        "sample_rate": sample_rate,
        "total_samples": int(lengths.sum()) + clip_samples,
        "group": [clip.group or "" for clip in clips],
        "names": [selection.names[row] for row in read],
        "skipped": list(skipped.items()),
    }
    (folder / "corpus.json").write_text(json.dumps(about), encoding="utf-8")
