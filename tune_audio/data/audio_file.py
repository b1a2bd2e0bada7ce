"""Files of recordings: which there are, and whether one is whole and of a sensible size."""

import os
import stat
import struct
from io import FileIO
from pathlib import Path

READABLE_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3")
# Listed too, so that a folder of them says what is wrong instead of looking empty.
OTHER_AUDIO_SUFFIXES = (".aac", ".aif", ".aiff", ".amr", ".m4a", ".mp4", ".webm", ".wma")
# How the files begin that libsndfile is given: WAV, AIFF, NIST's, FLAC and Ogg. It has parsers of
# twenty other formats, whatever a file is called; CVE-2025-52194 is in one, in every release.
BEGINNINGS = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"NIST", b"fLaC", b"OggS")
MOST_TAGS = 8  # of ID3, before a recording: a file may have gigabytes of empty ones
LARGEST_BYTES = 2**32
OGG_LARGEST_PAGE = 65_307


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


def check_format(file: FileIO) -> None:
    """BadAudio for a file of a format that is not read. An MP3 is known by its first frame."""
    for _ in range(MOST_TAGS + 1):
        magic = file.read(10)
        if magic[:3] != b"ID3":
            break
        size = 0  # of the tag, in digits of 7 bits; libsndfile skips it, too
        for digit in magic[6:]:
            size = size << 7 | digit & 0x7F
        file.seek(size, os.SEEK_CUR)
    file.seek(0)
    frame = magic[:1] == b"\xff" and magic[1:2] >= b"\xe0"
    if not frame and magic[:4] not in BEGINNINGS:
        raise BadAudio("cannot be decoded: is no WAV, AIFF, FLAC, Ogg or MP3 file")


def check_container(file: FileIO) -> None:
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
