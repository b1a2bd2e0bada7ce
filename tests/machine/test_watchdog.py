"""A process that stands still is ended; one that says that it goes on is not."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tune_audio.machine.watchdog import Watchdog, alive

IMPORTS = "import re, sys, time; from pathlib import Path; from tune_audio.machine import watchdog"


def run(code: str, file: Path) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, "-c", f"{IMPORTS}\n{code}", str(file)]
    return subprocess.run(script, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "stuck",
    [
        "time.sleep(60)",
        "re.match('(a+)+b', 'a' * 40)",  # C code that holds Python's lock
    ],
)
def test_a_process_that_stands_still_is_ended_and_says_where(stuck, tmp_path: Path):
    file = tmp_path / "hanging.txt"
    code = (
        f"def stuck():\n    {stuck}\nwith watchdog.Watchdog(0.5, Path(sys.argv[1])):\n    stuck()"
    )
    started = time.monotonic()
    ended = run(code, file)
    assert ended.returncode == 1 and time.monotonic() - started < 30
    assert " in stuck" in file.read_text()


def test_a_process_that_goes_on_is_not(tmp_path: Path, monkeypatch):
    file = tmp_path / "hanging.txt"
    code = (
        "watchdog.EVERY_SECONDS = 0.1\n"
        "with watchdog.Watchdog(1.0, Path(sys.argv[1])):\n"
        "    for _ in range(15):\n        time.sleep(0.2); watchdog.alive()\n"
        "time.sleep(1.5)"  # nobody watches any more
    )
    assert run(code, file).returncode == 0
    assert not file.exists()


def test_nobody_watches_where_nothing_was_asked_for(tmp_path: Path):
    alive()
    with Watchdog(60.0, tmp_path / "hanging.txt"):
        alive()
    assert list(tmp_path.iterdir()) == []
