"""A clock and a memory gauge for what runs on a device."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import torch

# Steps of small heads take less than the clock's grain: they go on for so long.
LEAST_SECONDS = 0.3
# A context takes less than this; what is more is a neighbour's.
MOST_CONTEXT_BYTES = 2**30
Result = TypeVar("Result")


class Clock:
    """Seconds of calls on a device.

    On one thread of a CPU those that it is busy: what other processes take of it meanwhile would
    not be so when the search runs. Elsewhere those that pass.
    """

    def __init__(self, device: str, threads: int) -> None:
        self.waits = torch.cuda.synchronize if device != "cpu" else lambda: None
        one_thread = device == "cpu" and threads == 1
        self.now = time.process_time if one_thread else time.perf_counter

    def once(self, call: Callable[[], Result]) -> tuple[Result, float]:
        """What a call returns, and its seconds."""
        started = self.now()
        result = call()
        self.waits()
        return result, self.now() - started

    def settled(self, call: Callable[[], object]) -> float:
        """Mean seconds of a call, without the first, which sets things up."""
        self.once(call)
        return self.again(call)

    def again(self, call: Callable[[], object]) -> float:
        """Mean seconds of a call that was called before; short ones are repeated."""
        started, calls = self.now(), 0
        while not calls or self.now() - started < LEAST_SECONDS:
            call()
            self.waits()
            calls += 1
        return (self.now() - started) / calls


class Memory(Protocol):
    """A device's memory and what this process has taken of it."""

    device: str
    device_bytes: int | None

    def start(self) -> None: ...

    def peak(self) -> int | None: ...


class CpuMemory:
    """The resident memory of this process, largest so far. Only Linux tells it of a process alone
    (ru_maxrss counts what its parent had when it was started)."""

    device = "cpu"
    device_bytes: int | None = None

    def start(self) -> None:
        """There is no going back: the process is to be a fresh one."""

    def peak(self) -> int | None:
        status = Path("/proc/self/status")
        if not status.exists():
            return None
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024


class GpuMemory:
    """What torch has reserved on the GPU, and what CUDA itself takes of it for this process."""

    def __init__(self) -> None:
        self.device: str = torch.cuda.get_device_name()
        self.device_bytes: int | None = torch.cuda.mem_get_info()[1]

    def start(self) -> None:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        free, total = torch.cuda.mem_get_info()
        # What is taken and not torch's is the context; a neighbour's memory may be in it.
        context = max(0, total - free - torch.cuda.memory_reserved())
        return torch.cuda.max_memory_reserved() + min(context, MOST_CONTEXT_BYTES)
