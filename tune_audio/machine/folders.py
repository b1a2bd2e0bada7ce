"""Where things lie: the environment variables that say so, for the command lines only."""

import os
from collections.abc import Mapping
from pathlib import Path

# By the names that Linux mounts them under.
NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "fuse.sshfs",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "glusterfs",
    "9p",
)


def network_file_system(path: Path, mounts: str | None = None) -> str | None:
    """The kind of the network's file system on which a path lies; None where it is this machine's.

    mounts: what /proc/self/mounts says; read where it is not given, and nothing is known without.
    """
    if mounts is None:
        table = Path("/proc/self/mounts")
        mounts = table.read_text() if table.exists() else ""
    places = [line.split()[1:3] for line in mounts.splitlines()]
    above = [(place, kind) for place, kind in places if path.resolve().is_relative_to(place)]
    _, kind = max(above, key=lambda mount: len(mount[0]), default=("", ""))
    return kind if kind.startswith(NETWORK) else None


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Decoded audio and features: TUNE_AUDIO_CACHE, else ~/.cache/tune_audio. Absolute."""
    given = environment.get("TUNE_AUDIO_CACHE")
    return Path(given or "~/.cache/tune_audio").expanduser().absolute()


def runs_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Searches: TUNE_AUDIO_RUNS, else runs/ in the working directory. Absolute."""
    return Path(environment.get("TUNE_AUDIO_RUNS") or "runs").expanduser().absolute()
