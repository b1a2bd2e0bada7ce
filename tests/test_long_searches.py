"""A search that outlives its terminal, its process and its machine."""

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from searches import EPOCHS, LIMIT_SECONDS, SPACE, count_epochs, finish, left_over, start

SMALL = ("--space", "space.yaml", "--no-retrain", "--name", "long")


@pytest.fixture
def place(tones: Path, tmp_path: Path) -> Path:
    (tmp_path / "space.yaml").write_text(SPACE.format(root=tones))
    return tmp_path


def wait_for(place: Path, epochs: int, process: subprocess.Popen | None = None) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while count_epochs(place / "runs" / "long" / "optuna.db") < epochs:
        assert process is None or process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_search_goes_on_when_its_process_and_then_its_machine_are_lost(place: Path):
    copy = place / "shared"
    process = start(place, *SMALL, "--storage", str(copy))
    wait_for(place, EPOCHS // 4, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "Go on with: python -m tune_audio.search --resume long" in output
    known = count_epochs(copy / "long" / "optuna.db")
    assert known == count_epochs(place / "runs" / "long" / "optuna.db") >= EPOCHS // 4

    shutil.rmtree(place / "runs")  # another machine begins with nothing
    started = start(place, "--resume", "latest", "--storage", str(copy), "--no-retrain", "--detach")
    assert "watch long" in finish(started)
    watched = finish(start(place, "long", command="watch"))
    assert "Leaderboard" in watched and "Everything of this search" in watched
    assert count_epochs(place / "runs" / "long" / "optuna.db") == EPOCHS  # nothing ran twice
    assert count_epochs(copy / "long" / "optuna.db") == EPOCHS
    assert (copy / "long" / "leaderboard.csv").exists()
    assert not list(copy.rglob("*.pt"))  # a checkpoint goes when its trial has ended


def start_in_a_terminal(place: Path) -> tuple[int, int]:
    """The process and its terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(place)
        os.environ["TUNE_AUDIO_CACHE"] = str(place / "cache")
        os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
        os.execv(sys.executable, [sys.executable, "-m", "tune_audio.search", *SMALL])
    return pid, terminal


def test_ctrl_c_three_times_in_a_hurry_and_then_until_it_ends(place: Path):
    pid, terminal = start_in_a_terminal(place)
    wait_for(place, 4)
    said = b""
    with contextlib.suppress(OSError):  # its end, as a terminal tells it
        for pause in (0.1, 0.1, *[1.1] * 60):
            os.write(terminal, b"\x03")
            time.sleep(pause)
            said += os.read(terminal, 2**16)  # at least ^C
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130, said
    assert b"Go on with: python -m tune_audio.search --resume long" in said
    assert b"Traceback" not in said and b"Exception ignored" not in said
    assert 4 <= count_epochs(place / "runs" / "long" / "optuna.db") < EPOCHS
    until = time.monotonic() + 30
    while left_over(place) and time.monotonic() < until:  # killed, and not yet gone
        time.sleep(0.2)
    assert left_over(place) == []


def test_a_closed_terminal_interrupts(place: Path):
    pid, terminal = start_in_a_terminal(place)
    wait_for(place, 4)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert 4 <= count_epochs(place / "runs" / "long" / "optuna.db") < EPOCHS


def test_what_never_got_under_way_leaves_nothing_and_its_exit_code(place: Path):
    process = start(place, *SMALL, "--detach", "--set", "params.lrr=1")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and "did you mean lr" in output
    assert not (place / "runs" / "long").exists()
