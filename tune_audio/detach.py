"""A search in the background of this machine: a closed terminal or a lost ssh does not end it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from tune_audio.run_folder import RunFolder

POLL_SECONDS = 0.2


def start_detached(run: RunFolder, arguments: Sequence[str]) -> int:
    """Start `search ARGUMENTS` in a session of its own; return once it is under way.

    What it says goes to the run's log, and until it is under way here, too. The exit code is 0, or
    its own where it ends before that.
    """
    fresh = not run.path.exists()
    run.path.mkdir(parents=True, exist_ok=True)
    with open(run.log, "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tune_audio.search", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    said = 0
    while (code := process.poll()) is None and not run.is_locked():
        said = tell(run.log, said)
        time.sleep(POLL_SECONDS)
    tell(run.log, said)
    if code is not None:
        if fresh and not run.space.exists():  # it was never begun
            shutil.rmtree(run.path)
        return code
    click.echo(f"\nThe search goes on in the background of this machine, as process {process.pid}:")
    click.echo(f"  python -m tune_audio.watch {run.name}   see how far it is, from here or later")
    click.echo(f"  kill -INT {process.pid}   end it as Ctrl-C would; --resume {run.name} goes on")
    return 0


def tell(log: Path, said: int) -> int:
    """Say what has been added to a log since `said` bytes of it were said; the bytes said then."""
    with open(log, "rb") as file:
        file.seek(said)
        new = file.read()
    click.echo(new.decode(errors="replace"), nl=False)
    return said + len(new)
