"""What the environment of a process that trains is to say before torch starts there."""

import os

WORKERS = {
    # Idle threads sleep instead of spinning.
    "OMP_WAIT_POLICY": "passive",
    # Large pages: without them a network on raw waveforms spends half its time in page faults.
    "THP_MEM_ALLOC_ENABLE": "1",
}


def prepare_workers() -> None:
    """Say it to the processes that this one will start, where the user has not."""
    for name, value in WORKERS.items():
        os.environ.setdefault(name, value)
