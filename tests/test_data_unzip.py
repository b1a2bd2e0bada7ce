import io
import shutil
import struct
import subprocess
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import pytest

from tune_audio.data.unzip import unzip


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


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("part_bytes", [70_000, 31_000, 10**6])
def test_a_split_archive(tmp_path, part_bytes, zip64):
    made = make_files(tmp_path / "made")
    parts = split_archive(made, tmp_path, part_bytes, zip64=zip64)
    assert len(parts) == {70_000: 4, 31_000: 8, 10**6: 1}[part_bytes]
    unzip(parts, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(made)


@pytest.mark.skipif(not shutil.which("zip"), reason="Info-ZIP is not installed")
def test_an_archive_that_info_zip_has_split(tmp_path):
    made = make_files(tmp_path / "made")
    subprocess.run(
        ["zip", "-q", "-r", "-s", "64k", tmp_path / "x.zip", "."], cwd=made, check=True, timeout=60
    )
    parts = [*sorted(tmp_path.glob("x.z0?")), tmp_path / "x.zip"]
    assert len(parts) > 3
    unzip(parts, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(made)


def test_damaged_and_missing_parts(tmp_path):
    parts = split_archive(make_files(tmp_path / "made"), tmp_path, 70_000)
    with pytest.raises(BadZipFile):
        unzip([parts[0], *parts[2:]], tmp_path / "out")
    data = bytearray(parts[1].read_bytes())
    data[len(data) // 2] ^= 0xFF
    parts[1].write_bytes(data)
    with pytest.raises((BadZipFile, OSError)):
        unzip(parts, tmp_path / "out")


def test_members_stay_inside(tmp_path):
    with ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../outside.txt", "evil")
        archive.writestr("/tmp/../absolute.txt", "evil")
    unzip([tmp_path / "evil.zip"], tmp_path / "deep" / "out")
    found = [path for path in tmp_path.rglob("*.txt") if path.is_file()]
    assert len(found) == 2
    assert all(path.is_relative_to(tmp_path / "deep" / "out") for path in found)
