import hashlib
import http.server
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from make_archives import contents, make_files, split_archive
from make_audio import make_speech_commands

from tune_audio.data.datasets import download, esc50, fsd50k
from tune_audio.data.datasets import speech_commands as module
from tune_audio.data.datasets.download import fetch_archive, fetch_archives
from tune_audio.errors import UserError


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server on this machine: (folder it serves, its address, paths asked for)."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder, asked = tmp_path / "served", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, text: str, *values: object) -> None:
            asked.append(self.path)

    handler = partial(Handler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def listed(folder: Path) -> list[str]:
    """What is in a folder, but for the lock, which nobody can remove and be sure."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_an_archive_is_fetched_once(tmp_path, server, monkeypatch):
    served, address, asked = server
    root = make_speech_commands(tmp_path / "made", lists=True)
    archive = served / "speech_commands_v0.02.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root, arcname=".")
    monkeypatch.setattr(module, "URL", address + "/speech_commands_v{}.tar.gz")
    monkeypatch.setitem(module.SHA256, "0.02", sha256(archive))
    for _ in range(2):
        folder = module.download(tmp_path / "data")
        assert folder == tmp_path / "data" / "speech_commands_v0.02"
    assert asked == ["/speech_commands_v0.02.tar.gz"]
    assert len(module.speech_commands(folder).clips) == 160
    assert listed(tmp_path / "data") == [folder.name]


def test_another_checksum_is_refused(tmp_path, server):
    served, address, _ = server
    (served / "x.tar.gz").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"is not the official archive.*--data FOLDER"):
        fetch_archive(f"{address}/x.tar.gz", "0" * 64, tmp_path / "data", "x")
    assert not [path for path in (tmp_path / "data").rglob("*.gz")]


def evil_member(name: str, link: str | None = None) -> tuple[tarfile.TarInfo, io.BytesIO]:
    member = tarfile.TarInfo(name)
    if link is not None:
        member.type, member.linkname = tarfile.SYMTYPE, link
        return member, io.BytesIO()
    member.size = 4
    return member, io.BytesIO(b"evil")


@pytest.mark.parametrize(
    "members",
    [
        [evil_member("../outside.txt")],
        [evil_member("link", "../.."), evil_member("link/outside.txt")],
        [evil_member("fine.txt"), evil_member("passwd", "/etc/passwd")],
    ],
)
def test_an_archive_cannot_write_outside(tmp_path, server, members):
    served, address, _ = server
    with tarfile.open(served / "x.tar", "w") as tar:
        for member, data in members:
            data.seek(0)
            tar.addfile(member, data)
    with pytest.raises(UserError, match="cannot unpack"):
        fetch_archive(f"{address}/x.tar", sha256(served / "x.tar"), tmp_path / "data", "x")
    assert not list(tmp_path.rglob("outside.txt"))
    assert not (tmp_path / "data" / "x").exists()


def test_a_file_that_is_no_archive(tmp_path, server):
    served, address, _ = server
    (served / "x.tar").write_bytes(b"no archive")
    with pytest.raises(UserError, match="cannot unpack"):
        fetch_archive(f"{address}/x.tar", sha256(served / "x.tar"), tmp_path / "data", "x")


def test_no_such_page_and_no_network(tmp_path, server):
    _, address, _ = server
    with pytest.raises(UserError, match=r"cannot download.*404.*--data FOLDER"):
        fetch_archive(f"{address}/none.tar", "0" * 64, tmp_path, "x")
    with pytest.raises(UserError, match="cannot download") as caught:
        fetch_archive("http://127.0.0.1:9/x.tar", "0" * 64, tmp_path, "x")
    assert "\n" not in caught.value.message


def md5(path) -> str:
    return "md5:" + hashlib.md5(path.read_bytes()).hexdigest()


def test_zip_archives_and_parts_with_md5(tmp_path, server):
    served, address, asked = server
    made = make_files(tmp_path / "made")
    parts = split_archive(made, served, 70_000)
    with zipfile.ZipFile(served / "truth.zip", "w") as archive:
        archive.writestr("truth/dev.csv", "fname")
    archives = [
        [(f"{address}/{path.name}", md5(path)) for path in group]
        for group in (parts, [served / "truth.zip"])
    ]
    for _ in range(2):
        folder = fetch_archives(archives, tmp_path / "data", "set", page="a page")
    assert contents(folder) == {**contents(made), "truth/dev.csv": b"fname"}
    assert len(asked) == 5
    assert listed(tmp_path / "data") == ["set"]


def test_parts_that_have_arrived_are_kept(tmp_path, server):
    served, address, asked = server
    parts = split_archive(make_files(tmp_path / "made"), served, 70_000)
    archive = [(f"{address}/{path.name}", md5(path)) for path in parts]
    late = parts[2].rename(tmp_path / "late")
    with pytest.raises(UserError, match=r"cannot download a page: 404.*download a page yourself"):
        fetch_archives([archive], tmp_path / "data", "set", page="a page")
    late.rename(parts[2])
    fetch_archives([archive], tmp_path / "data", "set", page="a page")
    assert asked.count("/made.z01") == asked.count("/made.z02") == 1
    assert asked[-2:] == ["/made.z03", "/made.zip"]


def pack(served: Path, files: int = 3) -> tuple[str, str]:
    """Name and checksum of an archive of `files` files of a megabyte."""
    with tarfile.open(served / "x.tar", "w") as tar:
        for number in range(files):
            member = tarfile.TarInfo(f"{number}.bin")
            member.size = 2**20
            tar.addfile(member, io.BytesIO(os.urandom(member.size)))
    return "x.tar", sha256(served / "x.tar")


def test_of_several_processes_one_fetches(tmp_path, server, monkeypatch):
    served, address, asked = server
    name, checksum = pack(served)
    others_wait = threading.Event()
    copy = http.server.SimpleHTTPRequestHandler.copyfile

    def copy_late(handler, source, output):
        assert others_wait.wait(60)
        copy(handler, source, output)

    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "copyfile", copy_late)
    said = []
    monkeypatch.setattr(download, "say", lambda line: (said.append(line), others_wait.set()))
    with ThreadPoolExecutor(2) as pool:
        fetch = partial(fetch_archive, f"{address}/{name}", checksum, tmp_path / "data", "set")
        folders = {job.result() for job in [pool.submit(fetch) for _ in range(2)]}
    assert folders == {tmp_path / "data" / "set"} and len(asked) == 1
    assert said == ["Another process is fetching set; waiting for it."]
    assert len(listed(tmp_path / "data" / "set")) == 3 and listed(tmp_path / "data") == ["set"]


KILLED = """
import sys, tarfile, time
from pathlib import Path
from tune_audio.data.datasets import download

if sys.argv[4] == "unpacking":
    unpack = tarfile.TarFile.extractall
    def unpack_and_hang(tar, folder, **keywords):
        unpack(tar, folder, **keywords)
        time.sleep(600)
    tarfile.TarFile.extractall = unpack_and_hang
elif sys.argv[4] == "removing":
    download.shutil.rmtree = lambda *given, **keywords: time.sleep(600)
download.fetch_archive(sys.argv[1], sys.argv[2], Path(sys.argv[3]), "set")
"""


@pytest.mark.parametrize(
    ("when", "left"),
    [
        ("downloading", ".set.archives/tmp*"),
        ("unpacking", ".set.partial/2.bin"),
        ("removing", "set/2.bin"),
    ],
)
def test_what_a_killed_process_left_is_removed(tmp_path, server, monkeypatch, when, left):
    served, address, asked = server
    name, checksum = pack(served)
    whole = http.server.SimpleHTTPRequestHandler.copyfile

    def half(handler, source, output):
        output.write(source.read(2**20))
        output.flush()
        time.sleep(600)

    if when == "downloading":
        monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "copyfile", half)
    data = tmp_path / "data"
    command = [sys.executable, "-c", KILLED, f"{address}/{name}", checksum, str(data), when]
    root = str(Path(download.__file__).parents[3])
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": root})
    until = time.monotonic() + 60
    while not any(path.stat().st_size for path in data.glob(left)):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "copyfile", whole)
    fetch_archive(f"{address}/{name}", checksum, data, "set")
    assert listed(data) == ["set"] and listed(data / "set") == ["0.bin", "1.bin", "2.bin"]
    # What had arrived whole is not fetched again.
    assert len(asked) == (2 if when == "downloading" else 1)


def test_esc50_and_fsd50k_where_they_are_published(monkeypatch, tmp_path):
    """What is asked for; nothing is downloaded."""
    asked = []
    for data_set in (esc50, fsd50k):
        monkeypatch.setattr(
            data_set, "fetch_archives", lambda *given, page: asked.append(given) or tmp_path
        )
        data_set.download(tmp_path)
    (esc, _, _), (fsd, _, name) = asked
    assert len(esc) == 1 and esc[0][0][0].endswith("/ESC-50-master.zip")
    assert [len(parts) for parts in fsd] == [6, 2, 1] and name == "FSD50K"
    urls = [url for parts in fsd for url, _ in parts]
    assert all(url.startswith("https://zenodo.org/records/4060432/files/FSD50K.") for url in urls)
    # The .zip is the last part of a split archive.
    assert [parts[-1][0].rsplit(".", 1)[1] for parts in fsd] == ["zip", "zip", "zip"]
    sums = [checksum for parts in (*esc, *fsd) for _, checksum in parts]
    assert len(set(sums)) == 10 and all(len(checksum) == 36 for checksum in sums)
