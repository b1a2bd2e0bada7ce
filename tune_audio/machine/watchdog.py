"""Ends a process in which nothing goes on any more, and leaves behind where it stood."""

import faulthandler
import os
import time
from pathlib import Path
from types import TracebackType

EVERY_SECONDS = 1.0  # signs of life in between cost nothing

_watching: "Watchdog | None" = None


class Watchdog:
    """While it is entered, `alive` has to be called every so many seconds, or the process ends.

    It ends by itself at once, also where a library holds Python's lock. What it did then, the
    tracebacks of all of its threads, is in `file`, which is there in that case alone.
    """

    def __init__(self, seconds: float, file: Path) -> None:
        self.seconds, self.file = seconds, file

    def __enter__(self) -> "Watchdog":
        global _watching
        self._opened = open(self.file, "a")
        _watching = self
        self._again()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        global _watching
        faulthandler.cancel_dump_traceback_later()
        _watching = None
        self._opened.close()
        if os.path.getsize(self.file) == 0:
            self.file.unlink()

    def sign(self) -> None:
        """It goes on."""
        if time.monotonic() - self._since > EVERY_SECONDS:
            self._again()

    def _again(self) -> None:
        self._since = time.monotonic()
        faulthandler.dump_traceback_later(self.seconds, exit=True, file=self._opened)


def alive() -> None:
    """Say that this process goes on; nothing where nobody watches."""
    if _watching is not None:
        _watching.sign()
