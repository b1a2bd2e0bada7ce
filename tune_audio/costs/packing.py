"""How trials share a GPU: arithmetic on what was measured, and on what then went wrong."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

MARGIN = 0.15  # of memory more than two steps have shown
# Processes take turns on a GPU: more of them than this wait for each other and gain nothing.
MOST_ON_A_GPU = 16
RAY_UNITS = 10_000  # Ray counts a resource in these parts of one, rounded


@dataclass(frozen=True)
class Node:
    """One machine's CPUs and GPUs."""

    cpus: float
    gpus: int = 0

    def slots(self, cpus: float, gpus: float) -> int:
        """How many trials that need so much run on it at once."""
        by_cpu = math.floor(self.cpus / cpus + 1e-9)
        if not gpus:
            return by_cpu
        by_gpu = self.gpus // math.ceil(gpus) if gpus >= 1 else self.gpus * math.floor(1 / gpus)
        return min(by_cpu, by_gpu)


def share_of_gpu(peak_bytes: int, gpu_bytes: int, least: float = 0.0) -> float:
    """The share 1/n of a GPU where n trials fit that take so much each, with a margin.

    least: what it has in any case, because it was asked for.
    """
    fitting = int(gpu_bytes / (max(peak_bytes, 1) * (1 + MARGIN)))
    return max(least, one_of(min(max(fitting, 1), MOST_ON_A_GPU)))


def one_of(count: int) -> float:
    """1/count, rounded down to what Ray counts in: so many fit, and not one more."""
    return RAY_UNITS // count / RAY_UNITS


def raised(share: float) -> float:
    """What a trial gets that ran out of memory with this share: twice as much, at most a GPU."""
    return share if share >= 1 else min(1.0, 2 * share)


class Packing:
    """CPUs and GPUs of a trial: its family's, raised where one of them ran out of GPU memory."""

    def __init__(self, needs: Mapping[str, Mapping[str, float]]) -> None:
        self._needs = {family: dict(need) for family, need in needs.items()}
        self._given: dict[str, float] = {}  # of trials by key: the share they were begun with
        self._repeated: set[str] = set()

    def need(self, family: str) -> dict[str, float]:
        """What a trial of a family would get that began now."""
        return dict(self._needs[family])

    def begin(self, key: str, family: str) -> dict[str, float]:
        """What a trial of a family gets that begins now."""
        self._given[key] = self._needs[family]["GPU"]
        return self.need(family)

    def may_be_repeated(self, key: str) -> bool:
        """Whether a trial that has begun would be repeated if it ran out of GPU memory."""
        return 0 < self._given[key] < 1 and key not in self._repeated

    def out_of_memory(self, key: str, family: str) -> str | None:
        """Raise the family's share after a trial of it ran out of GPU memory.

        Returns what to tell, if the trial is to be repeated: once, and not if it had a whole GPU.
        """
        if not self.may_be_repeated(key):
            return None
        had, need = self._given[key], self._needs[family]
        self._repeated.add(key)
        # Of several that fail with the same share only the first raises it.
        need["GPU"] = max(need["GPU"], raised(had))
        return (
            f"{key}: out of memory with {had:g} of a GPU; it is repeated with {need['GPU']:g}, "
            f"which later trials of {family} get, too"
        )
