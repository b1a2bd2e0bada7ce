import hashlib
import http.server
import io
import tarfile
import threading
from functools import partial

import pytest
from make_audio import make_speech_commands

from tune_audio.data import speech_commands as module
from tune_audio.data.download import fetch_archive
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
    assert [path.name for path in (tmp_path / "data").iterdir()] == [folder.name]


def test_another_checksum_is_refused(tmp_path, server):
    served, address, _ = server
    (served / "x.tar.gz").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"is not the official archive.*--data FOLDER"):
        fetch_archive(f"{address}/x.tar.gz", "0" * 64, tmp_path / "data", "x")
    assert list((tmp_path / "data").iterdir()) == []


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
