"""The error stream as Python's own, so that C libraries can be kept from writing into it.

libmpg123 says by itself, on descriptor 2, what it finds odd in an MP3, and libsndfile has no
setting against it: its lines would stand in the middle of a progress bar.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ERRORS = 2  # the descriptor that everything written in C uses


class ErrorStream:
    """Descriptor 2 and, once `take` was called, a copy of it that Python alone writes to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0  # threads that have it silenced
        self._own: int | None = None
        self._kept = -1

    def take(self) -> list[int]:
        """Have Python write its errors to a copy, as a command starts; the descriptors in use.

        Nothing is changed where the stream is closed, or somebody has put another in its place.
        """
        given = sys.stderr
        if self._own is None and given is sys.__stderr__ and given is not None:
            self._own = os.dup(ERRORS)
            sys.stderr = os.fdopen(self._own, "w", 1, given.encoding, given.errors)
        return [ERRORS] if self._own is None else [ERRORS, self._own]

    @contextmanager
    def silenced(self) -> Iterator[None]:
        """While any thread is in here, what C libraries write is lost, and what Python does not.

        Nothing is lost where Python has no stream of its own.
        """
        if self._own is None:
            yield
            return
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._inside += change
            if change > 0 and self._inside == 1:
                self._kept = os.dup(ERRORS)
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, ERRORS)
                os.close(nowhere)
            elif self._inside == 0:
                os.dup2(self._kept, ERRORS)
                os.close(self._kept)


error_stream = ErrorStream()
