"""One way to show how far something is: rich, on the terminal's error stream."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol, TypeVar

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from tune_audio.escaping import printable

Item = TypeVar("Item")


class Track(Protocol):
    """Passes the items on, and shows how far they are."""

    def __call__(self, items: Iterable[Item], description: str, total: int) -> Iterable[Item]: ...


def untracked(items: Iterable[Item], description: str, total: int) -> Iterable[Item]:
    """The items, and nothing shown."""
    return items


@contextmanager
def tracking(enabled: bool) -> Iterator[Track]:
    """A function `track(iterable, description, total)` that shows a bar while it is iterated."""
    with _progress(MofNCompleteColumn(), disable=not enabled) as bars:

        def track(items: Iterable[Item], description: str, total: int) -> Iterable[Item]:
            return bars.track(items, total, description=description)

        yield track


class DownloadBar:
    """The progress bar that pooch drives: it sets `total`, calls update, reset and close."""

    def __init__(self, description: str) -> None:
        self._bars = _progress(DownloadColumn(), TransferSpeedColumn())
        self._task = self._bars.add_task(description, total=None)

    @property
    def total(self) -> float | None:
        return self._bars.tasks[self._task].total

    @total.setter
    def total(self, size_bytes: float | None) -> None:
        self._bars.update(self._task, total=size_bytes or None)

    def update(self, size_bytes: int) -> None:
        self._bars.advance(self._task, size_bytes)

    def reset(self) -> None:
        # pooch resets before a last update by the whole size, to end at 100 %.
        self._bars.update(self._task, completed=0)

    def close(self) -> None:
        self._bars.refresh()

    def __enter__(self) -> "DownloadBar":
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()


def say(message: str) -> None:
    """A line on the error stream, where the bars are; standard output may be a table."""
    click.echo(printable(message), err=True)


def _progress(*columns: ProgressColumn, disable: bool = False) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=disable,
    )
