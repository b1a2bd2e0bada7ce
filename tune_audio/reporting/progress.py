"""How far a search is: a calm table on a terminal, plain lines anywhere else."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from tune_audio.escaping import printable
from tune_audio.reporting.ranking import Direction, Ranking
from tune_audio.reporting.records import ENDED, TrialRecord
from tune_audio.reporting.remaining import seconds_left
from tune_audio.reporting.values import NOT_RUN, cell, format_metric, format_params

REFRESHES_PER_SECOND = 2
LINE_SECONDS = 30.0


class Progress:
    """Shows the records it is given while it is entered as a context.

    A terminal gets one row a family, redrawn at most twice a second. A pipe or a log gets a line
    every 30 seconds and one at the end of each family, without control characters.

    Args:
        metric: name of the search metric, e.g. `val/accuracy`.
        direction: of the metric.
        epochs: that a trial has when nothing stops it.
        console: where to draw; standard output by default.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        metric: str,
        direction: Direction,
        epochs: int,
        *,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metric, self._direction, self._epochs = metric, direction, epochs
        self._clock = clock
        self._console = console or Console()
        self._records: list[TrialRecord] = []
        self._totals: dict[str, int] = {}
        self._started = clock()
        self._spent_before: float | None = None
        self._last_line = self._started
        self._finished: set[str] = set()
        interactive = self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = (
            Live(
                console=self._console,
                get_renderable=self._render,
                refresh_per_second=REFRESHES_PER_SECOND,
            )
            if interactive
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
        elif self._records:
            self._say(self._line())

    def update(self, records: Sequence[TrialRecord], totals: Mapping[str, int]) -> None:
        """Show these records from now on.

        Args:
            records: of all trials so far.
            totals: family to how many trials it will have; a family not in it has no known end.
        """
        self._records, self._totals = list(records), dict(totals)
        if self._spent_before is None:
            self._spent_before = _spent(records)
            self._finished = self._full_families()
        if self._live:
            return
        for family in sorted(self._full_families() - self._finished):
            self._finished.add(family)
            self._say(f"{family} is done: {self._summary(family)}")
        if self._clock() - self._last_line >= LINE_SECONDS:
            self._say(self._line())

    def eta_seconds(self) -> float | None:
        """Estimated seconds to the end of the search, or None while that would be a guess.

        What is left, in trial seconds, shrinks as fast as this run has worked through them so far.
        """
        if not self._totals or self._spent_before is None:
            return None
        if self._full_families() >= set(self._totals):
            return 0.0
        elapsed = self._clock() - self._started
        worked = _spent(self._records) - self._spent_before
        left = seconds_left(self._records, self._totals, self._epochs)
        # Nothing left with trials still running: they take longer than any before them.
        return left * elapsed / worked if left and worked > 0 else None

    def _full_families(self) -> set[str]:
        ended = Counter(record.family for record in self._records if record.state in ENDED)
        return {family for family, total in self._totals.items() if ended[family] >= total}

    def _families(self) -> list[str]:
        return list(dict.fromkeys([*self._totals, *(record.family for record in self._records)]))

    def _best(self, family: str) -> str:
        ranking = Ranking(self._records, self._metric, self._direction).of(family)
        if not ranking.order:
            return NOT_RUN
        best = ranking.order[0]
        params = format_params(best, ranking.varying)
        return format_metric(best.value) + (f" ({params})" if params else "")

    def _counts(self, family: str) -> tuple[str, list[TrialRecord], Counter[str]]:
        mine = [record for record in self._records if record.family == family]
        states = Counter(record.state for record in mine)
        done = str(sum(states[state] for state in ENDED))
        if family in self._totals:
            done += f"/{self._totals[family]}"
        return done, [record for record in mine if record.state == "running"], states

    def _render(self) -> RenderableType:
        table = Table(box=None, pad_edge=False)
        table.add_column("family", style="bold", no_wrap=True)
        for name in ("done", "running", "stopped", "failed"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column(cell(f"best {self._metric}"), overflow="ellipsis", no_wrap=True)
        for family in self._families():
            done, running, states = self._counts(family)
            table.add_row(
                cell(family),
                done,
                f"{len(running)} ({_epochs(running)})" if running else "",
                str(states["stopped"] or ""),
                cell(str(states["failed"] or ""), "red"),
                cell(self._best(family)),
            )
        return Group(table, self._time())

    def _time(self) -> str:
        eta = self.eta_seconds()
        left = NOT_RUN if eta is None else str(timedelta(seconds=round(eta)))
        return f"{timedelta(seconds=round(self._clock() - self._started))} so far, ETA {left}"

    def _summary(self, family: str) -> str:
        done, running, states = self._counts(family)
        notes = [f"{done} trials"]
        notes += [f"{len(running)} running ({_epochs(running)})"] if running else []
        notes += [f"{states[state]} {state}" for state in ("stopped", "failed") if states[state]]
        return ", ".join([*notes, f"best {self._metric} {self._best(family)}"])

    def _line(self) -> str:
        families = "; ".join(f"{family} {self._summary(family)}" for family in self._families())
        return f"[{self._time()}] {families}"

    def _say(self, line: str) -> None:
        # Not through rich, which wraps at 80 columns where there are none.
        print(printable(line), file=self._console.file, flush=True)
        self._last_line = self._clock()


def _spent(records: Sequence[TrialRecord]) -> float:
    return sum(record.seconds for record in records)


def _epochs(running: Sequence[TrialRecord]) -> str:
    """How far running trials are: epoch 3, or epochs 3–7."""  # noqa: RUF002
    at = [len(record.epochs) for record in running]
    first, last = min(at), max(at)
    return f"epoch {last}" if first == last else f"epochs {first}–{last}"  # noqa: RUF001
