import io
import random
import shutil
import subprocess
import tarfile
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import pytest
from make_archives import contents, make_files, split_archive

from tune_audio.data.datasets.download import untar
from tune_audio.data.datasets.unzip import unzip


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


SMALL = {f"dog/{n}.wav": bytes(range(n, 200 + n)) for n in range(3)} | {"meta.csv": b"a,b\n"}


def small_zip(method: int) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", method) as archive:
        for name, data in SMALL.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def small_tar(method: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{method}") as archive:
        for name, data in SMALL.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
            member = tarfile.TarInfo(f"link{kind!r}")
            member.type, member.linkname = kind, "dog/0.wav"
            archive.addfile(member)
    return buffer.getvalue()


def mutants(data: bytes, seed: int, count: int = 150) -> list[bytes]:
    """Cut off somewhere, or with a few bytes changed, more often near the end: the directory."""
    draw, made = random.Random(seed), []
    for _ in range(count):
        mutant = bytearray(data[: draw.randrange(len(data))] if draw.random() < 0.1 else data)
        for _ in range(draw.choice((1, 1, 2, 5, 30)) if mutant else 0):
            first = draw.choice((0, len(mutant) // 2))
            mutant[draw.randrange(first, len(mutant))] = draw.choice((0, 255, draw.randrange(256)))
        made.append(bytes(mutant))
    return made


def only_inside(folder: Path) -> bool:
    return {path.name for path in folder.iterdir()} <= {"x", "deep", "x.z01"} and {
        path.name for path in (folder / "deep").iterdir()
    } <= {"out"}


@pytest.mark.parametrize("method", [0, 8, 12, 14])  # stored, deflate, bzip2, LZMA
def test_a_damaged_zip_is_bad_or_unpacked_and_nothing_else(tmp_path, method):
    found = set()
    for mutant in mutants(small_zip(method), seed=method):
        (tmp_path / "x").write_bytes(mutant)
        shutil.rmtree(tmp_path / "deep", ignore_errors=True)
        (tmp_path / "deep").mkdir()
        try:
            unzip([tmp_path / "x"], tmp_path / "deep" / "out")
        except BadZipFile as error:
            assert str(error).startswith("x: ") and len(str(error)) > 5
            found.add(type(error.__cause__).__name__)
        assert only_inside(tmp_path)
    # What zipfile made of them: more than it promises.
    assert found - {"BadZipFile", "NoneType"}


@pytest.mark.parametrize("method", ["", "gz", "bz2", "xz"])
def test_a_damaged_tar_is_bad_or_unpacked_and_nothing_else(tmp_path, method):
    for mutant in mutants(small_tar(method), seed=1):
        (tmp_path / "x").write_bytes(mutant)
        shutil.rmtree(tmp_path / "deep", ignore_errors=True)
        (tmp_path / "deep").mkdir()
        try:
            untar(tmp_path / "x", tmp_path / "deep" / "out")
        except tarfile.TarError as error:
            assert str(error).startswith("x: ") and len(str(error)) > 5
        assert only_inside(tmp_path)


def test_a_damaged_part_of_a_split_archive(tmp_path):
    made = make_files(tmp_path / "made", count=2)
    first, last = split_archive(made, tmp_path, 31_000)
    for mutant in mutants(last.read_bytes()[-600:], seed=2):
        (tmp_path / "x.zip").write_bytes(last.read_bytes()[:-600] + mutant)
        try:
            unzip([first, tmp_path / "x.zip"], tmp_path / "out")
        except BadZipFile as error:
            assert str(error).startswith("x.zip: ")


def test_an_encrypted_archive_says_so(tmp_path):
    data = bytearray(small_zip(0))
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.find(signature) + offset] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(BadZipFile, match=r"x\.zip: .*encrypted"):
        unzip([tmp_path / "x.zip"], tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_no_fault_of_the_archive(tmp_path):
    (tmp_path / "x.zip").write_bytes(small_zip(8))
    (tmp_path / "out").touch()
    with pytest.raises(OSError):
        unzip([tmp_path / "x.zip"], tmp_path / "out")
