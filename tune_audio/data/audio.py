"""One recording, from a file that may be anything, to mono int16 at one rate."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr

from tune_audio.data.audio_file import BadAudio, check_container, check_format, open_regular
from tune_audio.machine.error_stream import error_stream

LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000
LONGEST_SECONDS = 3_600
# So much of a file is decoded at a time; libsndfile makes a little else of an MP3 in other pieces.
BLOCK_SAMPLES = 2**20
PIECE_SAMPLES = 2**16  # and so much of that is resampled, which may make 48 times as much of it
# Without a Xing header the length of an MP3 is an estimate from its first frames.
MP3_LENGTH_TOLERANCE = 0.05
FLOATS = ("FLOAT", "DOUBLE")
# Integers of 32 bits that were saved as floats without being scaled reach it; no converter gives
# more. A square of what lies far beyond, such as 1e38, is no float32 any more.
LOUDEST = 2.0**31


class Header(NamedTuple):
    """What the file of a recording says of it; `format` and `subtype` as libsndfile names them."""

    seconds: float
    sample_rate: int
    channels: int
    format: str
    subtype: str


class Block(NamedTuple):
    """A stretch of a recording as it is heard, mono int16 (samples,).

    `peak` is the largest magnitude among the samples of the file that were decoded for it, where
    these are floats; above 1, beyond full scale, they are clipped. 0 for all other files.
    """

    samples: np.ndarray
    peak: float


def read_blocks(
    path: Path,
    *,
    sample_rate: int,
    start_seconds: float = 0.0,
    seconds: float | None = None,
    longest_seconds: float | None = None,
    full_scale: float = 1.0,
) -> Iterator[Block]:
    """Decode `seconds` from `start_seconds` (None: to the end), a block at a time.

    Channels are averaged; what is longer than `longest_seconds` is cut to its centre. Any rate of
    4 to 384 kHz is resampled to `sample_rate` by soxr at high quality. What the file has as
    `full_scale` becomes 1. Raises BadAudio with the reason, at the latest in place of the last
    block, when the file is no whole, finite recording of at most an hour.
    """
    with open_regular(path) as file:
        check_container(file)
        with _opened(file) as sound:
            first, last = _frame_range(sound, start_seconds, seconds, longest_seconds)
            # A whole recording is decoded to its end: only that shows one that was cut off.
            decoded = _decode(sound, first, last, to_end=seconds is None)
            count = 0
            for mono, peak in _resampled(decoded, sound.samplerate, sample_rate):
                mono *= np.float32(32768.0 / full_scale)
                np.clip(np.rint(mono, out=mono), -32768, 32767, out=mono)
                yield Block(mono.astype(np.int16), peak)
                count += len(mono)
    if not count:
        raise BadAudio(f"is shorter than one sample at {sample_rate / 1000:g} kHz")


def joined(blocks: Iterable[Block]) -> Block:
    """All blocks of a recording as one."""
    samples, peaks = zip(*blocks, strict=True)
    return Block(np.concatenate(samples), max(peaks))


def read_audio(path: Path, *, sample_rate: int, **stretch: Any) -> np.ndarray:
    """All that `read_blocks` makes of a recording, as mono int16 (samples,). Raises BadAudio."""
    return joined(read_blocks(path, sample_rate=sample_rate, **stretch)).samples


def peak_beyond_1(path: Path) -> float:
    """The largest magnitude of a recording of floats that go beyond 1; 1 for all others.

    Raises BadAudio. Only files of floats are decoded for it.
    """
    if read_header(path).subtype not in FLOATS:
        return 1.0
    with open_regular(path) as file, _opened(file) as sound:
        blocks = _decode(sound, 0, sound.frames, to_end=True)
        return max(1.0, *(peak for _, peak in blocks))


def read_header(path: Path) -> Header:
    """What a recording is, without decoding it. Raises BadAudio."""
    with open_regular(path) as file, _opened(file) as sound:
        seconds = sound.frames / sound.samplerate
        return Header(seconds, sound.samplerate, sound.channels, sound.format, sound.subtype)


def duration_seconds(path: Path) -> float:
    """Length of a recording by its header. Raises BadAudio."""
    return read_header(path).seconds


@contextmanager
def _opened(file: FileIO) -> Iterator[soundfile.SoundFile]:
    """The file as libsndfile sees it; what it raises while it is open becomes BadAudio."""
    check_format(file)
    try:
        with error_stream.silenced():
            sound = soundfile.SoundFile(file.fileno(), closefd=False)
        with sound:
            _check_header(sound)
            yield sound
    except (soundfile.SoundFileError, MemoryError, ValueError, RuntimeError) as error:
        raise _undecodable(error) from None


def _undecodable(error: Exception) -> BadAudio:
    """What libsndfile says without "Error opening 3", for the path is told by others."""
    reason = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    return BadAudio(f"cannot be decoded: {reason.rstrip('.')}")


def _check_header(sound: soundfile.SoundFile) -> None:
    if not LOWEST_RATE <= sound.samplerate <= HIGHEST_RATE:
        raise BadAudio(
            f"has a sample rate of {sound.samplerate} Hz; {LOWEST_RATE} to {HIGHEST_RATE} are read"
        )
    if sound.frames <= 0:
        raise BadAudio("has no samples")
    seconds = sound.frames / sound.samplerate
    if seconds > LONGEST_SECONDS:
        raise BadAudio(f"claims {seconds:.0f} seconds; at most {LONGEST_SECONDS} are read")


def _frame_range(
    sound: soundfile.SoundFile,
    start_seconds: float,
    seconds: float | None,
    longest_seconds: float | None,
) -> tuple[int, int]:
    rate = sound.samplerate
    first = round(start_seconds * rate)
    last = sound.frames if seconds is None else min(sound.frames, first + round(seconds * rate))
    if first >= last:
        raise BadAudio(f"ends before second {start_seconds:g}, where a clip should start")
    if longest_seconds is not None and last - first > (longest := round(longest_seconds * rate)):
        first += (last - first - longest) // 2
        last = first + longest
    return first, last


def _decode(
    sound: soundfile.SoundFile, first: int, last: int, *, to_end: bool
) -> Iterator[tuple[np.ndarray, float]]:
    """Mono float32 blocks of frames [first, last) and the peaks of what was decoded for them.

    With `to_end` the whole file is decoded.
    """
    floats = sound.subtype in FLOATS
    with error_stream.silenced():
        position, stop = (0, sound.frames) if to_end else (sound.seek(first), last)
    while position < stop:
        count = min(stop - position, max(1, BLOCK_SAMPLES // sound.channels))
        with error_stream.silenced():
            block = sound.read(count, dtype="float32", always_2d=True)
        if not np.isfinite(block).all():
            raise BadAudio("has samples that are NaN or infinite")
        peak = float(np.abs(block).max(initial=0.0)) if floats else 0.0
        if peak > LOUDEST:
            raise BadAudio(f"has samples of up to {peak:.2g}, which is no sound: 1 is full scale")
        yield block[max(0, first - position) : max(0, last - position)].mean(axis=1), peak
        position += len(block)
        if len(block) < count:
            break
    tolerance = MP3_LENGTH_TOLERANCE if sound.format == "MP3" else 0.0
    if position < stop * (1 - tolerance):
        raise BadAudio(f"is truncated: {position} of {stop} frames could be decoded")


def _resampled(
    blocks: Iterable[tuple[np.ndarray, float]], rate: int, sample_rate: int
) -> Iterator[tuple[np.ndarray, float]]:
    """The same samples at another rate as resampling all of them at once gives, to the last bit."""
    if rate == sample_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
    for mono, peak in blocks:
        for first in range(0, max(1, len(mono)), PIECE_SAMPLES):
            yield stream.resample_chunk(mono[first : first + PIECE_SAMPLES]), peak
    yield stream.resample_chunk(np.empty(0, np.float32), last=True), 0.0
