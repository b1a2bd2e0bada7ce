"""SIGTERM and SIGHUP end a command as Ctrl-C does: what is done is kept, how to go on is named."""

import os
import signal
from collections.abc import Iterable
from types import FrameType


class Signals:
    """What has ended, or is ending, this process: Ctrl-C, unless another signal came."""

    def __init__(self) -> None:
        self._number = signal.SIGINT
        self._terminals: list[int] = []

    def listen(self, streams: Iterable[int] = (0, 1, 2)) -> None:
        """Be interrupted by SIGTERM (docker stop, a scheduler) and SIGHUP (a closed terminal).

        streams: descriptors that are read and written, of which some may be that terminal's.
        """
        self._terminals = [descriptor for descriptor in streams if os.isatty(descriptor)]
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)

    @property
    def exit_code(self) -> int:
        """As a shell has it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + self._number

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
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
