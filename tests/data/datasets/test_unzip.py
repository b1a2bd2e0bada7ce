import shutil
import subprocess
from zipfile import BadZipFile, ZipFile

import pytest
from make_archives import contents, make_files, split_archive

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
