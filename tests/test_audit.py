"""make lint asks for known holes where somebody answers, and goes on where nobody does."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "audit.py"
OLD = {"requests": ["2.19.1"]}  # what is asked first, to see whether anything is known


class Index(ThreadingHTTPServer):
    """Answers as OSV does: a hole is {"name": [versions that have it]}."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.holes: dict[str, list[str]] = OLD
        self.fixed: list[str] = []
        self.asked = 0
        self.silent = threading.Event()


class Answer(BaseHTTPRequestHandler):
    server: Index

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name, holes = asked["package"]["name"], self.server.holes
        self.server.asked += 1
        if self.server.silent.is_set():
            return
        answer: dict[str, Any] = {}
        if asked["version"] in holes.get(name, ()):
            events = [{"introduced": "0"}, *({"fixed": version} for version in self.server.fixed)]
            affected = {
                "package": {"name": name, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
            answer = {"vulns": [{"id": "GHSA-1", "aliases": ["CVE-1"], "affected": [affected]}]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[Index]:
    with Index() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def audit(place: Path, index: Index, ignore: str = "") -> subprocess.CompletedProcess:
    """The script in a repository whose pyproject.toml has these entries."""
    project = place / "pyproject.toml"
    project.write_text(f"[tool.audit.ignore]\n{ignore}")
    os.utime(project, (0, 0))  # it was there long before
    osv = {
        "PIP_AUDIT_VULNERABILITY_SERVICE": "osv",
        "PIP_AUDIT_OSV_URL": f"http://127.0.0.1:{index.server_port}/",
        "XDG_CACHE_HOME": str(place / "cache"),
    }
    return subprocess.run(
        [sys.executable, SCRIPT],
        cwd=place,
        env=os.environ | osv,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def ours(index: Index) -> str:
    """A hole in the pytest that runs this."""
    index.holes = OLD | {"pytest": [pytest.__version__]}
    return f"pip-audit: pytest {pytest.__version__}: "


def test_a_hole_that_is_fixed_fails_until_a_reason_is_given(
    tmp_path: Path, index: Index, ours: str
):
    index.fixed = ["99.1"]
    run = audit(tmp_path, index)
    assert run.returncode == 1, run
    assert ours in run.stdout and "CVE-1" in run.stdout and "fixed in 99.1" in run.stdout
    assert "[tool.audit.ignore]" in run.stdout
    run = audit(tmp_path, index, 'GHSA-1 = "is not reached"')
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_hole_that_nobody_has_fixed_is_told(tmp_path: Path, index: Index, ours: str):
    run = audit(tmp_path, index)
    assert run.returncode == 0, run
    assert ours in run.stdout and "not fixed yet" in run.stdout


def test_what_was_clean_is_asked_for_again_after_a_day_or_a_change(tmp_path: Path, index: Index):
    assert audit(tmp_path, index).returncode == 0
    asked, environment = index.asked, tmp_path / ".venv"
    assert asked > 50  # all that is installed here
    assert audit(tmp_path, index).returncode == 0
    assert index.asked == asked
    (environment / "installed").touch()  # what make does after an installation
    assert audit(tmp_path, index).returncode == 0
    assert index.asked == 2 * asked
    for file in environment.iterdir():
        os.utime(file, (1, 1))
    assert audit(tmp_path, index).returncode == 0
    assert index.asked == 3 * asked


def test_an_index_that_knows_of_no_holes_is_not_believed(tmp_path: Path, index: Index):
    index.holes = {}
    run = audit(tmp_path, index)
    assert run.returncode == 0
    assert "skipped: the index that answers knows of no holes at all" in run.stdout


def test_without_an_answer_it_is_skipped(tmp_path: Path, index: Index):
    index.silent.set()
    run = audit(tmp_path, index)
    assert run.returncode == 0, run
    assert run.stdout.startswith("pip-audit: skipped: ") and run.stdout.count("\n") == 1
    index.server_close()
    run = audit(tmp_path, index)
    assert (run.returncode, run.stdout) == (0, "pip-audit: skipped: 127.0.0.1 does not answer\n")
