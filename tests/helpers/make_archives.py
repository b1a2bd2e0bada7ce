"""ZIP archives of random files, whole and split into parts."""

import io
import struct
from pathlib import Path
from zipfile import ZipFile

import numpy as np


def make_files(folder: Path, count: int = 12) -> Path:
    random = np.random.default_rng(0)
    for number in range(count):
        path = folder / "audio" / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.bytes(20_000 + number) + bytes(5_000))
    (folder / "empty.txt").touch()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def split_archive(
    folder: Path, target: Path, part_bytes: int, *, zip64: bool = False
) -> list[Path]:
    """A split ZIP of `folder` as APPNOTE 8.5 has it, cut wherever a part is full.

    With `zip64` the end is as Info-ZIP writes it when the parts are larger than 4 GiB together.
    """
    buffer = io.BytesIO()
    buffer.write(b"PK\7\10")  # marks the first part
    with ZipFile(buffer, "a", compression=8) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))
    data = bytearray(buffer.getvalue())
    end = data.rfind(b"PK\5\6")
    size, start = struct.unpack_from("<LL", data, end + 12)
    start += end - start - size  # zipfile counts from the archive's own first byte
    # The central directory and the end stay in one part, so only what is before is cut.
    cuts = list(range(0, start, part_bytes))
    position = start
    while position < end:
        offset = struct.unpack_from("<L", data, position + 42)[0]
        part = max(i for i, cut in enumerate(cuts) if cut <= offset)
        struct.pack_into("<H", data, position + 34, part)
        struct.pack_into("<L", data, position + 42, offset - cuts[part])
        position += 46 + sum(struct.unpack_from("<HHH", data, position + 28))
    last = len(cuts) - 1
    offset = start - cuts[last]
    struct.pack_into("<HH", data, end + 4, last, last)
    struct.pack_into("<L", data, end + 16, offset)
    if zip64:
        count, where = struct.unpack_from("<H", data, end + 10)[0], end - cuts[last]
        end64 = (b"PK\6\6", 44, 45, 45, last, last, count, count, size, offset)
        locator = (b"PK\6\7", last, where, last + 1)
        data[end:end] = struct.pack("<4sQ2H2L4Q", *end64) + struct.pack("<4sLQL", *locator)
        struct.pack_into("<4H2L", data, end + 80, *[0xFFFF] * 4, *[0xFFFFFFFF] * 2)
    parts = []
    for number, cut in enumerate(cuts):
        ending = "zip" if number == last else f"z{number + 1:02}"
        parts.append(target / f"made.{ending}")
        parts[-1].write_bytes(data[cut : None if number == last else cuts[number + 1]])
    return parts
