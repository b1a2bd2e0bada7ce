"""What a search will take: every family measured here, its trials laid out on machines."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tune_audio.costs.duration import Work, makespan
from tune_audio.costs.family_costs import FamilyCosts
from tune_audio.costs.measure import Measurement
from tune_audio.costs.packing import Node

# Until Ray and its workers have started and imported torch and the models.
SECONDS_TO_START = 12.0


@dataclass(frozen=True)
class FamilyForecast:
    """One family: what its trials take here, or why that is not known.

    measured: a configuration of its middle size, by whose seconds all are reckoned. memory_bytes:
    of the largest. works: all trials to their last epoch; shorter: as early as they may stop.
    """

    name: str
    trials: int
    costs: FamilyCosts | None = None
    measured: Measurement | None = None
    memory_bytes: int | None = None
    gpus: float = 0.0
    works: Sequence[Work] = ()
    shorter: Sequence[Work] = ()
    retraining: Sequence[Work] = ()
    problem: str = ""

    @property
    def epoch_seconds(self) -> float:
        """Mean over its configurations, without what is computed once for all."""
        assert self.costs is not None and self.measured is not None
        each = [
            self.costs.epoch_seconds(self.measured, c.params.augment)
            for c in self.costs.configurations
        ]
        return sum(each) / len(each)

    @property
    def once_seconds(self) -> float:
        """Of what is computed once for all of its trials."""
        return sum({k: s for work in self.works for k, s in work.prefixes.items()}.values())


@dataclass(frozen=True)
class Span:
    """Seconds on some machines: if trials stop as early as they may, and if none does."""

    least: float
    most: float


@dataclass(frozen=True)
class Forecast:
    """All families, and this machine."""

    families: Sequence[FamilyForecast]
    node: Node
    epochs: int

    def span(self, machines: int, families: Sequence[FamilyForecast] | None = None) -> Span:
        """The search on so many machines like this one, or a part of it alone there."""
        chosen = self.families if families is None else families
        nodes = [self.node] * machines
        lists = ([f.shorter for f in chosen], [f.works for f in chosen])
        least, most = (makespan(list(in_turns(works)), nodes) for works in lists)
        return Span(least, most)

    def retraining_seconds(self, machines: int) -> float:
        """What comes after the search."""
        works = list(in_turns([family.retraining for family in self.families]))
        return makespan(works, [self.node] * machines)

    def stored_bytes(self) -> int:
        """What frozen prefixes take on disk, those included that are there."""
        stored: dict[str, int] = {}
        for family in self.families:
            if family.costs is not None and family.measured is not None:
                stored |= family.costs.stored_bytes(family.measured)
        return sum(stored.values())


def in_turns(lists: Iterable[Sequence[Work]]) -> Iterable[Work]:
    """One of each family after the other, as a search hands them out."""
    rows = itertools.zip_longest(*lists)
    return (work for row in rows for work in row if work is not None)
