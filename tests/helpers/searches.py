"""Searches as a user starts them: processes of their own, looked at from outside."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

SPACE = """
data: {{name: folder, root: {root}, split: [0.6, 0.2, 0.2], clip_seconds: 0.5}}
train: {{epochs: 6, batch_size: 8}}
search: {{sampler: grid, scheduler: none}}
params: {{lr: [1e-2, 1e-3], augment: [none, noise]}}
models:
  wide: {{model: lstm_cnn, channels: 16, hidden_size: 16}}
  narrow: {{model: lstm_cnn, channels: 4, hidden_size: 4}}
retrain: {{train_on: train}}
"""
EPOCHS = 2 * 4 * 6  # families x configurations x epochs
RETRAIN_EPOCHS = 2 * 6
LIMIT_SECONDS = 240


def start(place: Path, *arguments: str, command: str = "search") -> subprocess.Popen:
    environment = os.environ | {"TUNE_AUDIO_CACHE": str(place / "cache")}
    # The package may be run from its folder without being installed.
    root = str(Path(__file__).parents[2])
    environment["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", f"tune_audio.{command}", *arguments],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, output
    return output


def left_over(place: Path) -> list[str]:
    """Processes that a search started there has left behind, by what was called."""
    mark, found = f"TUNE_AUDIO_CACHE={place / 'cache'}\0".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return [command for command in found if command]  # a zombie has none


def count_epochs(database: Path) -> int:
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            query = "SELECT count(*) FROM trial_intermediate_values"
            return connection.execute(query).fetchone()[0]
    except sqlite3.OperationalError:  # not there yet
        return 0
