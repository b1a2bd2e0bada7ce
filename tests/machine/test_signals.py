"""What ends a command: one Ctrl-C or several, other signals, and what must not be cut short."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tune_audio.machine.signals import handlers_kept, interrupts_wait

COMMAND = """
import atexit, time, click
from tune_audio.cli import INTERRUPTED, main

@click.command()
def wait():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("keeping", flush=True)
        time.sleep(0.5)
        print("go on with", flush=True)
        return INTERRUPTED

@atexit.register
def end():
    print("ending", flush=True)
    time.sleep(0.5)
    print("ended", flush=True)

main(wait)
"""
Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the command, its signals as a shell leaves them but for one that may be ignored."""
    processes = []

    def start(ignored: signal.Signals | None = None) -> subprocess.Popen:
        def before() -> None:
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)

        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=before,
        )
        processes.append(process)
        expect(process, "ready")
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def expect(process: subprocess.Popen, line: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == line


def test_three_presses_in_a_hurry_are_one(start: Start):
    process = start()
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    said, _ = process.communicate(timeout=30)
    assert said.split("\n")[:-1] == ["keeping", "go on with", "ending", "ended"]
    assert process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_end_is_not_cut_short(start: Start, number: signal.Signals):
    process = start()
    process.send_signal(signal.SIGINT)
    for line in ("keeping", "go on with", "ending"):
        expect(process, line)
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert (said, process.returncode) == ("ended\n", 130)


def test_nohup_is_heeded(start: Start):
    process = start(ignored=signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert "go on with" in said and process.returncode == 143


def test_what_others_put_in_place_of_our_handlers_does_not_stay():
    before = signal.getsignal(signal.SIGINT)
    with handlers_kept():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) == before


def test_an_interrupt_waits_for_what_is_half_done():
    done = False
    with pytest.raises(KeyboardInterrupt), interrupts_wait():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done
