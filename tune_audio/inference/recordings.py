"""Recordings of any length, heard by a model of short clips in overlapping windows."""

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tune_audio.data.audio import Block, peak_beyond_1, read_blocks
from tune_audio.data.audio_file import BadAudio
from tune_audio.data.clips import Peak
from tune_audio.data.progress import Track, untracked
from tune_audio.data.windows import window_starts
from tune_audio.inference.classifier import BATCH, Classifier

AHEAD_SAMPLES = 2**20  # of a recording, decoded while what comes before them is heard
ENDLESS_SECONDS = 1e9


class Heard(NamedTuple):
    """Recordings that could be used, and the probabilities (n, L) of their labels.

    `bad` has (path, reason) of the others, `loud` the peaks of those used that go beyond ±1.
    """

    paths: list[Path]
    probabilities: np.ndarray
    bad: list[tuple[Path, str]]
    loud: dict[Path, float]


def predict_files(
    classifier: Classifier,
    paths: Sequence[Path],
    track: Track = untracked,
) -> Heard:
    """What a model says of recordings. The probabilities of a recording's windows are averaged.

    No recording is held in memory whole. track: see `data.progress.tracking`.
    """
    sums, counts = np.zeros((len(paths), len(classifier.labels))), np.zeros(len(paths), dtype=int)
    peaks = np.zeros(len(paths))
    reasons: dict[int, str] = {}

    def samples_of(row: int, blocks: Iterable[Block]) -> Iterator[np.ndarray]:
        for block in blocks:
            peaks[row] = max(peaks[row], block.peak)
            yield block.samples

    def windows() -> Iterator[tuple[int, np.ndarray]]:
        decoded = _decoded(paths, classifier.sample_rate, classifier.peak)
        for row, blocks in enumerate(track(decoded, "Listening", len(paths))):
            heard = samples_of(row, blocks)
            try:
                for window in cut(heard, classifier.clip_samples, classifier.sample_rate):
                    yield row, window
            except BadAudio as reason:  # perhaps after some of it was heard
                reasons[row] = str(reason)

    waiting = windows()
    while batch := list(itertools.islice(waiting, BATCH)):
        rows, waveforms = zip(*batch, strict=True)
        np.add.at(sums, list(rows), classifier.probabilities(np.stack(waveforms)))
        np.add.at(counts, list(rows), 1)
    usable = np.array([row for row in range(len(paths)) if row not in reasons], dtype=int)
    return Heard(
        [paths[row] for row in usable],
        sums[usable] / counts[usable, None],
        [(paths[row], reason) for row, reason in reasons.items()],
        {paths[row]: float(peaks[row]) for row in usable if peaks[row] > 1},
    )


def cut(blocks: Iterable[np.ndarray], clip_samples: int, sample_rate: int) -> Iterator[np.ndarray]:
    """float32 windows (clip_samples,) in [-1, 1) of a recording, which comes as int16 (samples,).

    A shorter recording is followed by zeros, and of one less than a quarter longer the centre is
    taken, as in `Corpus.waveforms`. A longer one is covered by windows that start every half clip,
    where a corpus without windows has its centre alone.
    """

    def starts_of(seconds: float) -> Iterator[int]:
        clip = clip_samples / sample_rate
        return (round(s * sample_rate) for s in window_starts(seconds, clip, clip / 2))

    def window(start: int) -> np.ndarray:
        part = heard[start - offset :][:clip_samples]
        waveform = np.zeros(clip_samples, dtype=np.float32)
        waveform[: len(part)] = part * np.float32(2.0**-15)
        return waveform

    # What is kept of the recording begins at `offset`. Where the last windows start is known once
    # it has ended; those that end a clip before what has come so far stand where they always do.
    heard, offset, count = np.empty(0, dtype=np.int16), 0, 0
    regular = starts_of(ENDLESS_SECONDS)
    start = next(regular)
    for block in blocks:
        heard = np.concatenate([heard, block])
        kept = offset
        while offset + len(heard) >= start + 2 * clip_samples:
            yield window(start)
            kept, start, count = start, next(regular), count + 1
        heard, offset = heard[kept - offset :], kept
    length = offset + len(heard)
    starts = list(starts_of(length / sample_rate))
    if len(starts) == 1:
        starts = [max(0, length - clip_samples) // 2]
    yield from map(window, starts[count:])


def _decoded(paths: Sequence[Path], sample_rate: int, peak: Peak) -> Iterator[Iterator[Block]]:
    """Each recording as its blocks, which raise BadAudio; the next few begin to be decoded."""
    count = os.cpu_count() or 1
    with ThreadPoolExecutor(count) as threads:
        ahead: deque[Iterator[Block]] = deque()
        for path in paths:
            ahead.append(_ahead(_blocks(path, sample_rate, peak), threads))
            if len(ahead) > 2 * count:
                yield ahead.popleft()
        yield from ahead


def _blocks(path: Path, sample_rate: int, peak: Peak) -> Iterator[Block]:
    full_scale = peak_beyond_1(path) if peak == "normalise" else 1.0
    yield from read_blocks(path, sample_rate=sample_rate, full_scale=full_scale)


def _ahead(blocks: Iterator[Block], threads: Executor) -> Iterator[Block]:
    """The blocks, of which one thread decodes some while those before them are used."""

    def some() -> tuple[list[Block], bool]:
        found: list[Block] = []
        for block in blocks:
            found.append(block)
            if sum(len(b.samples) for b in found) >= AHEAD_SAMPLES:
                return found, False
        return found, True

    def all_of(coming: Future[tuple[list[Block], bool]]) -> Iterator[Block]:
        ended = False
        while not ended:
            found, ended = coming.result()
            if not ended:
                coming = threads.submit(some)
            yield from found

    return all_of(threads.submit(some))
