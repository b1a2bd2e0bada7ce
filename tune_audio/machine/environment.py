"""What Ray and its workers are to find in the environment; Ray reads some of it when imported."""

import os
from pathlib import Path

# Of worker processes, read when they start.
WORKERS = {
    "OMP_WAIT_POLICY": "passive",  # idle threads sleep instead of spinning
    # Large pages: without them a network on raw waveforms spends half its time in page faults.
    "THP_MEM_ALLOC_ENABLE": "1",
}
DRIVER = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our storage is the log
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    # How many trials wait for a machine is our searcher's to say; Tune would have one at a time.
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",
}


def joins_cluster() -> bool:
    """Whether `ray.init` will join a cluster that this machine belongs to, by its documentation."""
    latest = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    return "RAY_ADDRESS" in os.environ or latest.exists()


def prepare_workers() -> None:
    """Say what processes that train are to find to those that this one will start."""
    for name, value in WORKERS.items():
        os.environ.setdefault(name, value)


def prepare() -> None:
    """Set what is to be set before Ray is imported."""
    os.environ.update(DRIVER)
    if not joins_cluster():
        prepare_workers()
        # Ray alone on this machine is not for others: everything stays on the loopback interface.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
