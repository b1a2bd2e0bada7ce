"""How long trials take on some machines: a schedule of them, and what stopping early may save."""

import bisect
import heapq
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tune_audio.costs.packing import Node
from tune_audio.space import Search

DRAWS = 20


@dataclass(frozen=True)
class Work:
    """One trial: the seconds of its epochs, and of what one trial a node computes for all others.

    prefixes: name of a frozen prefix's output -> seconds to compute it.
    """

    family: str
    seconds: float
    cpus: float = 1.0
    gpus: float = 0.0
    prefixes: Mapping[str, float] = field(default_factory=dict)


def makespan(works: Sequence[Work], nodes: Sequence[Node]) -> float:
    """Seconds until all are done, each begun in its turn as soon as some node has room for it.

    One that waits for a GPU does not keep later ones from a CPU. Raises ValueError where a work
    fits on no node.
    """
    for work in works:
        if not any(node.slots(work.cpus, work.gpus) for node in nodes):
            raise ValueError(f"{work.family}: needs more CPUs or GPUs than any node has")
    places = [_Place(node) for node in nodes]
    running: list[tuple[float, int, _Place, Work, list[int]]] = []
    waiting, now, turn = list(works), 0.0, itertools.count()
    while waiting or running:
        left, full = [], set[tuple[float, float]]()
        for work in waiting:
            needs = work.cpus, work.gpus
            place = None if needs in full else _place_for(work, places)
            if place is None:
                full.add(needs)
                left.append(work)
            else:
                end = now + work.seconds + place.still_to_compute(work.prefixes)
                heapq.heappush(running, (end, next(turn), place, work, place.take(work)))
        waiting = left
        now, _, place, work, taken = heapq.heappop(running)
        place.give_back(work, taken)
    return now


def _place_for(work: Work, places: Sequence["_Place"]) -> "_Place | None":
    """The emptiest of those with room."""
    fitting = [place for place in places if place.has_room(work)]
    return max(fitting, key=lambda place: place.cpus, default=None)


class _Place:
    """What is free on a node, and which prefixes it has computed."""

    def __init__(self, node: Node) -> None:
        self.cpus, self.gpus, self.computed = node.cpus, [1.0] * node.gpus, set[str]()

    def has_room(self, work: Work) -> bool:
        return self.cpus >= work.cpus - 1e-9 and len(self._gpus_for(work)) >= _count(work)

    def take(self, work: Work) -> list[int]:
        """Occupy what a work needs; which GPUs."""
        chosen = self._gpus_for(work)[: _count(work)]
        self.cpus -= work.cpus
        for gpu in chosen:
            self.gpus[gpu] -= min(1.0, work.gpus)
        return chosen

    def give_back(self, work: Work, taken: Sequence[int]) -> None:
        self.cpus += work.cpus
        for gpu in taken:
            self.gpus[gpu] += min(1.0, work.gpus)

    def still_to_compute(self, prefixes: Mapping[str, float]) -> float:
        """Seconds for the prefixes that are not on this node yet; from now on they are."""
        missing = prefixes.keys() - self.computed
        self.computed |= missing
        return sum(prefixes[name] for name in missing)

    def _gpus_for(self, work: Work) -> list[int]:
        least = min(1.0, work.gpus) - 1e-9
        return [gpu for gpu, free in enumerate(self.gpus) if free >= least]


def _count(work: Work) -> int:
    """How many GPUs a work is on: one if it needs a part of one."""
    return 0 if not work.gpus else max(1, round(work.gpus))


def least_epochs(search: Search, trials: int, epochs: int) -> float:
    """Epochs a trial on average where the scheduler stops as many as it is expected to.

    For asha, drawn: trials come in no particular order, and the better of two is so from its first
    epoch on. hyperband stops later than that. The median rule is taken to stop half of them as
    soon as it may.
    """
    grace = min(search.grace_epochs, epochs)
    if search.scheduler == "none" or not trials:
        return float(epochs)
    if search.scheduler == "median":
        return (grace + epochs) / 2
    draw, total = random.Random(0), 0
    for _ in range(DRAWS):
        reached: dict[int, list[int]] = {}  # rung -> how good those are that came so far
        for quality in draw.sample(range(trials), trials):
            rung = grace
            while rung < epochs:
                bisect.insort(there := reached.setdefault(rung, []), quality)
                # As Optuna's SuccessiveHalvingPruner: the best part goes on, at least the best.
                if quality < there[-max(1, len(there) // search.reduction_factor)]:
                    break
                rung *= search.reduction_factor
            total += min(rung, epochs)
    return total / DRAWS / trials
