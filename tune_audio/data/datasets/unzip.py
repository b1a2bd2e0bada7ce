"""ZIP archives, also ones that were split into name.z01, name.z02, ..., name.zip.

The names of records and the section numbers are those of PKWARE's APPNOTE.TXT 6.3.10.
"""

import io
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile, ZipInfo

from tune_audio.data.datasets.damage import told_as

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# 4.3.16 end of central directory: signature, its part, the directory's part, entries in this part,
# entries, the directory's size, its offset in its part, length of the comment
END = struct.Struct("<4s4H2LH")
END_SIGNATURE = b"PK\5\6"
LARGEST_END_BYTES = END.size + 65_535  # with the longest comment
# 4.3.15 ZIP64 locator: signature, part and offset of the ZIP64 end, number of parts
LOCATOR = struct.Struct("<4sLQL")
LOCATOR_SIGNATURE = b"PK\6\7"
# 4.3.14 ZIP64 end: signature, size, versions, its part, the directory's part, entries in this
# part, entries, the directory's size, its offset in its part
END64 = struct.Struct("<4sQ2H2L4Q")
END64_SIGNATURE = b"PK\6\6"


def unzip(parts: Sequence[Path], folder: Path) -> None:
    """Unpack the archive into `folder`; `parts` are its files in order, the .zip one last.

    Nothing is written outside of `folder`. Raises BadZipFile, whatever is wrong with the archive,
    and OSError, whatever is with the disk.
    """
    with told_as(BadZipFile, parts[-1].name):
        if len(parts) == 1:
            with ZipFile(parts[0]) as archive:
                archive.extractall(folder)
        else:
            _unzip_split(parts, folder)


def _unzip_split(parts: Sequence[Path], folder: Path) -> None:
    """Python's zipfile reads no split archives: it refuses them, or takes an offset within a part
    for one within the archive. So it is given a directory without parts, and then true offsets.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in parts]
        directory = _central_directory(_JoinedFiles(files))
        tail = END.pack(END_SIGNATURE, 0, 0, 0, 0, len(directory), 0, 0)
        joined = _JoinedFiles([*files, io.BytesIO(directory + tail)])
        archive = stack.enter_context(ZipFile(io.BufferedReader(joined)))
        for entry in archive.infolist():
            # zipfile has added where it found the directory, as in an archive with a prefix
            offset = entry.header_offset - joined.starts[-1]
            archive.extract(_at(entry, joined.starts[entry.volume] + offset), folder)


def _central_directory(joined: "_JoinedFiles") -> bytes:
    tail = joined.read_at(max(0, joined.size - LARGEST_END_BYTES), LARGEST_END_BYTES)
    end = tail.rfind(END_SIGNATURE)
    if end < 0 or len(tail) - end < END.size:
        raise BadZipFile("it has no end of central directory: the last part is damaged")
    _, own, part, _, _, size, offset, _ = END.unpack_from(tail, end)
    count = own + 1
    locator = tail[max(0, end - LOCATOR.size) : end]
    if locator.startswith(LOCATOR_SIGNATURE) and len(locator) == LOCATOR.size:
        _, part64, offset64, count = LOCATOR.unpack(locator)
    if count != len(joined.starts):
        raise BadZipFile(f"it was split into {count} parts, but there are {len(joined.starts)}")
    if locator.startswith(LOCATOR_SIGNATURE):
        record = joined.read_at(joined.starts[part64] + offset64, END64.size)
        if not record.startswith(END64_SIGNATURE):
            raise BadZipFile("its ZIP64 end of central directory is damaged")
        *_, part, _, _, size, offset = END64.unpack(record)
    return joined.read_at(joined.starts[part] + offset, size)


def _at(entry: ZipInfo, offset: int) -> ZipInfo:
    """The entry at another offset. A new one, for zipfile keeps more than one offset in its own."""
    moved = ZipInfo(entry.filename, entry.date_time)
    for name in ("compress_type", "flag_bits", "CRC", "compress_size", "file_size"):
        setattr(moved, name, getattr(entry, name))
    moved.header_offset = offset
    return moved


class _JoinedFiles(io.RawIOBase):
    """Several files read as one; `starts` are the offsets at which they begin."""

    def __init__(self, files: Sequence[io.BufferedIOBase]) -> None:
        sizes = [file.seek(0, io.SEEK_END) for file in files]
        *self.starts, self.size = accumulate(sizes, initial=0)
        self._files = files
        self._position = 0

    def read_at(self, offset: int, count: int) -> bytes:
        self.seek(offset)
        blocks = bytearray()
        while block := self.read(count - len(blocks)):
            blocks += block
        return bytes(blocks)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if self._position >= self.size:
            return 0
        part = max(i for i, start in enumerate(self.starts) if start <= self._position)
        file = self._files[part]
        file.seek(self._position - self.starts[part])
        count = file.readinto(buffer)
        self._position += count
        return count
