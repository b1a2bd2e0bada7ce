"""All pairs of recordings that are equal, copies, or cut from one another."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
import soundfile
import soxr

from tune_audio.data.audio import duration_seconds, read_audio
from tune_audio.data.audio_file import BadAudio
from tune_audio.data.duplicates.components import Components
from tune_audio.data.duplicates.index import Candidate, Index
from tune_audio.data.duplicates.landmarks import HOP_SAMPLES, RATE, constellations
from tune_audio.data.duplicates.match import SLACK_SAMPLES, match
from tune_audio.data.duplicates.pairs import Kind, Pair
from tune_audio.data.progress import Track

BLOCK_SECONDS = 60  # a whole number of hops at RATE; so much of a long recording is in memory
LONGEST_SECONDS = 30.0  # of what two recordings share, so much is compared
# They must share this much, or nearly half of the shorter one. Less is a jingle, a room, a noise
# that was mixed into both, and would chain a data set into one.
SHARED_SECONDS, SHARED_PART = 0.5, 0.45
WHOLE = 0.9  # from so much of a recording on it is all of it
SILENT_STEPS = 2  # of 16 bits between the lowest and the highest sample
BATCH = 256


@dataclass(frozen=True, slots=True)
class _Heard:
    name: str
    path: Path
    digest: bytes
    seconds: float


def find_pairs(files: Mapping[str, Path], threads: Executor, track: Track) -> list[Pair]:
    """Pairs that connect all recordings that belong together; not every pair there is.

    files: name -> path. What is silent or cannot be read belongs to nothing. Two recordings that
    are cut from one, and have no stretch in common, cannot be told by what is in them.
    """
    heard = track(threads.map(_listen, files, files.values()), "Comparing recordings", len(files))
    first: dict[bytes, _Heard] = {}
    pairs, index = [], Index()
    for found in heard:
        if found is None:
            continue
        recording, seen = found
        same = first.setdefault(recording.digest, recording)
        if same is not recording:
            pairs.append(Pair(same.name, recording.name, "equal", 0.0, 1.0))
            continue
        index.add(seen, int(recording.seconds * RATE) // HOP_SAMPLES + 2)
    different = list(first.values())
    return pairs + _matching(different, index.candidates(), threads)


def _listen(name: str, path: Path) -> tuple[_Heard, np.ndarray] | None:
    """A recording and its constellations; None for one that is silent or cannot be read.

    Decoding lists those with their reasons.
    """
    digest, seconds, packed = blake2b(digest_size=16), 0.0, [np.zeros(0, np.uint64)]
    lowest, highest = np.iinfo(np.int16).max, np.iinfo(np.int16).min
    try:
        for rate, samples in _blocks(path):
            digest.update(str(rate).encode() + samples.tobytes())
            lowest, highest = min(lowest, samples.min()), max(highest, samples.max())
            waveform = soxr.resample(samples / np.float32(2**15), rate, RATE, "HQ")
            # The frame stands in the lowest bits.
            packed.append(constellations(waveform) + np.uint64(seconds * RATE / HOP_SAMPLES))
            seconds += len(samples) / rate
    except (BadAudio, soundfile.SoundFileError, RuntimeError, OSError):
        return None
    if int(highest) - int(lowest) <= SILENT_STEPS:
        return None
    return _Heard(name, path, digest.digest(), seconds), np.concatenate(packed)


def _blocks(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Its own sample rate, and int16 (samples,) at it, for each minute. Raises BadAudio."""
    seconds = duration_seconds(path)
    rate = soundfile.info(path).samplerate
    for start in range(0, max(1, math.ceil(seconds)), BLOCK_SECONDS):
        yield (
            rate,
            read_audio(path, sample_rate=rate, start_seconds=start, seconds=BLOCK_SECONDS),
        )


def _matching(
    heard: Sequence[_Heard], candidates: Sequence[Candidate], threads: Executor
) -> list[Pair]:
    together: Components[int] = Components()
    found = []
    for start in range(0, len(candidates), BATCH):
        batch = [
            candidate
            for candidate in candidates[start : start + BATCH]
            if not together.same(candidate.first, candidate.second)
        ]
        for candidate, pair in zip(
            batch, threads.map(partial(_compare, heard), batch), strict=True
        ):
            if pair is not None:
                together.join(candidate.first, candidate.second)
                found.append(pair)
    return found


def _compare(heard: Sequence[_Heard], candidate: Candidate) -> Pair | None:
    a, b = heard[candidate.first], heard[candidate.second]
    late = candidate.shift * HOP_SAMPLES / RATE  # seconds by which b has it later than a
    begin, end = _shared(a, b, late)
    if end - begin + SLACK_SAMPLES / RATE < _needed(a, b):
        return None
    middle, length = (begin + end) / 2, min(end - begin, LONGEST_SECONDS)
    begin = round((middle - length / 2) * RATE) / RATE  # on a sample of both
    try:
        found = match(
            *(
                read_audio(path, sample_rate=RATE, start_seconds=start, seconds=length)
                / np.float32(2**15)
                for path, start in ((a.path, begin), (b.path, max(0.0, begin + late)))
            )
        )
    except BadAudio:
        return None
    if found is None:
        return None
    late += found.lag_samples / RATE
    begin, end = _shared(a, b, late)
    if end - begin < _needed(a, b):
        return None
    wholes = sum(end - begin >= WHOLE * recording.seconds for recording in (a, b))
    kind: Kind = ("overlap", "part", "copy")[wholes]
    return Pair(a.name, b.name, kind, round(0.0 - late, 4), round(found.correlation, 4))


def _shared(a: _Heard, b: _Heard, late: float) -> tuple[float, float]:
    """The seconds of `a` that `b` has, too, where it has them later."""
    return max(0.0, -late), min(a.seconds, b.seconds - late)


def _needed(a: _Heard, b: _Heard) -> float:
    return min(SHARED_SECONDS, SHARED_PART * min(a.seconds, b.seconds))
