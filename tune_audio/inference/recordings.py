"""Recordings of any length, heard by a model of short clips in overlapping windows."""

import itertools
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tune_audio.data.audio import BadAudio, read_audio
from tune_audio.data.progress import Track, untracked
from tune_audio.data.windows import window_starts
from tune_audio.inference.classifier import BATCH, Classifier


def predict_files(
    classifier: Classifier,
    paths: Sequence[Path],
    track: Track = untracked,
) -> tuple[list[Path], np.ndarray, list[tuple[Path, str]]]:
    """Paths that could be used, probabilities (n, L) of those, and (path, reason) of the others.

    The probabilities of a recording's windows are averaged. track: see `data.progress.tracking`.
    """
    sums, counts = np.zeros((len(paths), len(classifier.labels))), np.zeros(len(paths), dtype=int)
    bad: list[tuple[Path, str]] = []

    decoded = _decoded(paths, classifier.sample_rate)
    clip_samples, rate = classifier.clip_samples, classifier.sample_rate

    def windows() -> Iterator[tuple[int, np.ndarray]]:
        for row, samples in enumerate(track(decoded, "Listening", len(paths))):
            if isinstance(samples, BadAudio):
                bad.append((paths[row], str(samples)))
            else:
                yield from ((row, window) for window in cut(samples, clip_samples, rate))

    waiting = windows()
    while batch := list(itertools.islice(waiting, BATCH)):
        rows, waveforms = zip(*batch, strict=True)
        np.add.at(sums, list(rows), classifier.probabilities(np.stack(waveforms)))
        np.add.at(counts, list(rows), 1)
    usable = np.flatnonzero(counts)
    return [paths[int(i)] for i in usable], sums[usable] / counts[usable, None], bad


def cut(samples: np.ndarray, clip_samples: int, sample_rate: int) -> Iterator[np.ndarray]:
    """float32 windows (clip_samples,) in [-1, 1) of a recording, int16 (samples,).

    A shorter recording is followed by zeros, and of one less than a quarter longer the centre is
    taken, as in `Corpus.waveforms`. A longer one is covered by windows that start every half clip,
    where a corpus without windows has its centre alone.
    """
    length, clip = len(samples) / sample_rate, clip_samples / sample_rate
    starts = [round(s * sample_rate) for s in window_starts(length, clip, clip / 2)]
    if len(starts) == 1:
        starts = [max(0, len(samples) - clip_samples) // 2]
    for start in starts:
        heard = samples[start : start + clip_samples]
        window = np.zeros(clip_samples, dtype=np.float32)
        window[: len(heard)] = heard * np.float32(2.0**-15)
        yield window


def _decoded(paths: Sequence[Path], sample_rate: int) -> Iterator[np.ndarray | BadAudio]:
    """Recordings or why they cannot be used, in order; decoded a few ahead, not all at once."""
    count = os.cpu_count() or 1
    with ThreadPoolExecutor(count) as threads:
        ahead: deque[Future[np.ndarray | BadAudio]] = deque()
        for path in paths:
            ahead.append(threads.submit(_decode, path, sample_rate))
            if len(ahead) > 2 * count:
                yield ahead.popleft().result()
        yield from (future.result() for future in ahead)


def _decode(path: Path, sample_rate: int) -> np.ndarray | BadAudio:
    try:
        return read_audio(path, sample_rate=sample_rate)
    except BadAudio as reason:
        return reason
