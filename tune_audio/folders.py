"""Where things lie: the environment variables that say so, for the command lines only."""

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Decoded audio and features: TUNE_AUDIO_CACHE, else ~/.cache/tune_audio. Absolute."""
    given = environment.get("TUNE_AUDIO_CACHE")
    return Path(given or "~/.cache/tune_audio").expanduser().absolute()


def runs_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Searches: TUNE_AUDIO_RUNS, else runs/ in the working directory. Absolute."""
    return Path(environment.get("TUNE_AUDIO_RUNS") or "runs").expanduser().absolute()
