"""SIGTERM and SIGHUP end a command as Ctrl-C does: what is done is kept, how to go on is named."""

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ONE_PRESS_SECONDS = 1.0  # who presses Ctrl-C three times in a hurry means it once


class Signals:
    """What has ended, or is ending, this process: Ctrl-C, unless another signal came."""

    def __init__(self) -> None:
        self._number = signal.SIGINT
        self._terminals: list[int] = []
        self._pressed = -math.inf

    def listen(self, streams: Iterable[int] = (0, 1, 2)) -> None:
        """Be interrupted by Ctrl-C, SIGTERM (docker stop, a scheduler) and SIGHUP (a closed
        terminal; not where nohup has said otherwise).

        streams: descriptors that are read and written, of which some may be that terminal's.
        """
        self._terminals = [descriptor for descriptor in streams if os.isatty(descriptor)]
        signal.signal(signal.SIGINT, self._interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._end)

    def ignore(self) -> None:
        """Nothing is left to be interrupted but Ray's own end, which takes its processes along."""
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)

    @property
    def exit_code(self) -> int:
        """As a shell has it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + self._number

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """KeyboardInterrupt, once for presses in quick succession: a second one would meet the
        code that answers the first."""
        now = time.monotonic()
        if now - self._pressed > ONE_PRESS_SECONDS:
            self._pressed = now
            raise KeyboardInterrupt

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._number = signal.Signals(number)
        if number == signal.SIGHUP:
            self._leave_terminal()
        signal.raise_signal(signal.SIGINT)

    def _leave_terminal(self) -> None:
        """Nobody reads what is said there any more, and saying it would be an error."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in self._terminals:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Whoever is told of signals now is told of them again afterwards: Ray puts its own there."""
    known = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in known.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interrupts_wait() -> Iterator[None]:
    """Ctrl-C waits for the end of the block: Ray that is half there crashes when it ends."""
    came = threading.Event()
    with handlers_kept():
        signal.signal(signal.SIGINT, lambda number, frame: came.set())
        yield
    if came.is_set():
        signal.raise_signal(signal.SIGINT)
