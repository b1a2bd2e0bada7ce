"""One recording, from a file that may be anything, to mono int16 at one rate."""

import os
import stat
import struct
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import numpy as np
import soundfile
import soxr

READABLE_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3")
# Listed too, so that a folder of them says what is wrong instead of looking empty.
OTHER_AUDIO_SUFFIXES = (".aac", ".aif", ".aiff", ".amr", ".m4a", ".mp4", ".webm", ".wma")

LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000
LONGEST_SECONDS = 3_600
LARGEST_BYTES = 2**32
BLOCK_SAMPLES = 2**20
OGG_LARGEST_PAGE = 65_307
# Without a Xing header the length of an MP3 is an estimate from its first frames.
MP3_LENGTH_TOLERANCE = 0.05


class BadAudio(Exception):
    """A recording that cannot be used; the message is the reason, without the path."""


def audio_files(folder: Path) -> list[Path]:
    """Every file below `folder` that is named like audio, sorted; hidden ones are left out.

    Symbolic links to folders below `folder` are not followed, so that a loop ends. Raises OSError
    for a folder that cannot be read.
    """
    suffixes = (*READABLE_SUFFIXES, *OTHER_AUDIO_SUFFIXES)
    found = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [
            os.path.join(parent, name)
            for name in files
            if name.lower().endswith(suffixes) and not is_hidden(name)
        ]
    return [Path(path) for path in sorted(found)]


def _raise(error: OSError) -> None:
    raise error


def is_hidden(name: str) -> bool:
    """Hidden by its name, `._x.wav` and `.DS_Store` included, or what macOS adds to archives."""
    return name.startswith(".") or name == "__MACOSX"


def open_regular(path: Path) -> FileIO:
    """The file, opened unbuffered; BadAudio when it is no regular file of a sensible size."""
    try:
        str(path).encode()
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise BadAudio("is not a regular file")
        if status.st_size == 0:
            raise BadAudio("is empty")
        if status.st_size > LARGEST_BYTES:
            raise BadAudio(f"has {status.st_size} bytes; at most {LARGEST_BYTES} are read")
        # What was a file a moment ago may be a FIFO now: opening must not wait for its writer.
        return open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb", buffering=0)
    except UnicodeEncodeError:
        raise BadAudio("has a name that is not UTF-8") from None
    except OSError as error:
        raise BadAudio(f"cannot be opened: {error.strerror}") from None


def read_audio(
    path: Path,
    *,
    sample_rate: int,
    start_seconds: float = 0.0,
    seconds: float | None = None,
    longest_seconds: float | None = None,
) -> np.ndarray:
    """Decode `seconds` from `start_seconds` (None: to the end) as mono int16 (samples,).

    Channels are averaged; what is longer than `longest_seconds` is cut to its centre. Any rate of
    4 to 384 kHz is resampled to `sample_rate` by soxr at high quality. Raises BadAudio with the
    reason when the file is no whole, finite recording of at most an hour.
    """
    with open_regular(path) as file:
        _check_container(file)
        try:
            with soundfile.SoundFile(file.fileno(), closefd=False) as sound:
                _check_header(sound)
                rate = sound.samplerate
                first, last = _frame_range(sound, start_seconds, seconds, longest_seconds)
                # A whole recording is decoded to its end: only that shows one that was cut off.
                blocks = _decode(sound, first, last, to_end=seconds is None)
                mono = np.concatenate(list(blocks))
        except (soundfile.SoundFileError, MemoryError, ValueError, RuntimeError) as error:
            raise _undecodable(error) from None
    if rate != sample_rate:
        mono = soxr.resample(mono, rate, sample_rate, "HQ")
    if not len(mono):
        raise BadAudio(f"is shorter than one sample at {sample_rate / 1000:g} kHz")
    return np.clip(np.rint(mono * 32768.0), -32768, 32767).astype(np.int16)


def duration_seconds(path: Path) -> float:
    """Length of a recording by its header, without decoding. Raises BadAudio."""
    with open_regular(path) as file:
        try:
            with soundfile.SoundFile(file.fileno(), closefd=False) as sound:
                _check_header(sound)
                return sound.frames / sound.samplerate
        except (soundfile.SoundFileError, RuntimeError) as error:
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
) -> Iterator[np.ndarray]:
    """Mono float32 blocks of frames [first, last); with `to_end` the whole file is decoded."""
    position, stop = (0, sound.frames) if to_end else (sound.seek(first), last)
    while position < stop:
        count = min(stop - position, max(1, BLOCK_SAMPLES // sound.channels))
        block = sound.read(count, dtype="float32", always_2d=True)
        if not np.isfinite(block).all():
            raise BadAudio("has samples that are NaN or infinite")
        yield block[max(0, first - position) : max(0, last - position)].mean(axis=1)
        position += len(block)
        if len(block) < count:
            break
    tolerance = MP3_LENGTH_TOLERANCE if sound.format == "MP3" else 0.0
    if position < stop * (1 - tolerance):
        raise BadAudio(f"is truncated: {position} of {stop} frames could be decoded")


def _check_container(file: FileIO) -> None:
    """BadAudio for a cut-off WAV or Ogg: libsndfile reads both as if they were just shorter."""
    size = os.fstat(file.fileno()).st_size
    magic = file.read(12)
    if magic[:4] == b"RIFF" and magic[8:] == b"WAVE":
        _check_riff(file, size)
    elif magic[:4] == b"OggS":
        file.seek(max(0, size - OGG_LARGEST_PAGE))
        tail = file.read(OGG_LARGEST_PAGE)
        page = tail[tail.rfind(b"OggS") :]
        if len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
            raise BadAudio("is truncated: its last Ogg page is incomplete")
    file.seek(0)


def _check_riff(file: FileIO, size: int) -> None:
    position = 12
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        position += 8
        if name == b"data":
            if position + length > size:
                raise BadAudio(
                    f"is truncated: its header claims {length} bytes of samples, "
                    f"the file holds {size - position}"
                )
            return
        position += length + length % 2
