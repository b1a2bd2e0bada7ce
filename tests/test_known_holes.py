"""make lint asks for known holes where somebody answers, and goes on where nobody does."""

import importlib.util
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "audit.py"
OLD = {"requests": "2.19.1"}  # what is asked first, to see whether anything is known
NOBODY = "pip-audit: skipped: 127.0.0.1 does not answer\n"


class Index(ThreadingHTTPServer):
    """Answers as OSV does; it knows of one hole, in one version of each of some packages."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.affected: dict[str, str] = OLD
        self.fixed: list[str] = []
        self.asked = 0
        self.silent = False


class Answer(BaseHTTPRequestHandler):
    server: Index
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += 1
        if self.server.silent:
            return  # the connection stays
        name, answer = asked["package"]["name"], {}
        if asked["version"] == self.server.affected.get(name):
            events = [{"introduced": "0"}, *({"fixed": version} for version in self.server.fixed)]
            affected = {
                "package": {"name": name, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
            answer = {"vulns": [{"id": "GHSA-1", "aliases": ["CVE-1"], "affected": [affected]}]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with Index() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "osv")
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        yield server
        server.shutdown()


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Audit = Callable[..., tuple[int, str]]


@pytest.fixture
def audit(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> Audit:
    """Run it in a repository with these entries and one package; its exit code and its lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(script, "installed", lambda: {"tinypackage": "1.0"})

    def audit(ignore: str = "") -> tuple[int, str]:
        project = tmp_path / "pyproject.toml"
        project.write_text(f"[tool.audit.ignore]\n{ignore}")
        os.utime(project, (0, 0))  # it was there long before
        return script.main(), capsys.readouterr().out

    return audit


def test_a_hole_that_is_fixed_fails_until_a_reason_is_given(audit: Audit, index: Index):
    index.affected, index.fixed = OLD | {"tinypackage": "1.0"}, ["99.1"]
    code, said = audit()
    assert code == 1
    assert said.startswith("pip-audit: tinypackage 1.0: CVE-1 GHSA-1, fixed in 99.1\n")
    assert "[tool.audit.ignore]" in said
    assert audit('GHSA-1 = "is not reached"') == (0, "")


def test_a_hole_that_nobody_has_fixed_is_told(audit: Audit, index: Index):
    index.affected = OLD | {"tinypackage": "1.0"}
    assert audit() == (0, "pip-audit: tinypackage 1.0: CVE-1 GHSA-1, not fixed yet\n")


def test_what_was_clean_is_asked_for_again_after_a_day_or_a_change(
    audit: Audit, index: Index, tmp_path: Path
):
    assert audit() == (0, "")
    asked, environment = index.asked, tmp_path / ".venv"
    assert audit() == (0, "")
    assert index.asked == asked
    (environment / "installed").touch()  # what make does after an installation
    assert audit() == (0, "")
    assert index.asked == 2 * asked
    for file in environment.iterdir():
        os.utime(file, (1, 1))
    assert audit() == (0, "")
    assert index.asked == 3 * asked


def test_an_index_that_knows_of_no_holes_is_not_believed(audit: Audit, index: Index):
    index.affected = {}
    assert audit() == (
        0,
        "pip-audit: skipped: the index that answers knows of no holes at all\n",
    )


def test_without_an_answer_it_is_skipped_soon(audit: Audit, index: Index):
    index.silent = True
    started = time.monotonic()
    assert audit() == (0, NOBODY)
    assert time.monotonic() - started < 20
    index.shutdown()
    index.server_close()
    assert audit() == (0, NOBODY)


def test_all_that_is_installed_is_asked_for(script: ModuleType):
    pins: dict[str, Any] = script.installed()
    assert {"torch", "ray", "huggingface-hub", "pip-audit"} <= pins.keys()
    assert not {"pip", "setuptools", "tune-audio"} & pins.keys()
    assert not any("+" in version for version in pins.values())
