"""CPU seconds of a whole search over frozen backbones, beside the plain way of writing it.

python benchmarks/frozen_prefix.py --data FOLDER --checkpoint wav2vec2=DIR --checkpoint ast=DIR

Runs the frozen families of speech4 (36 configurations, no early stopping, no retraining) through
`python -m tune_audio.search` with an empty cache, with a fresh view each epoch and with one view,
and through plain_search.py, which computes every prefix in every epoch of every trial. Counts the
CPU seconds of all processes each of them started (Linux).
"""

import argparse
import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

SAMPLE_SECONDS = 0.2
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(command: list[str], folder: Path, cache: Path) -> tuple[float, float]:
    """(CPU, wall) seconds of a command and of every process below it.

    Ray's daemons do not hand on what their workers used, so /proc is read while they live; of each
    the last fifth of a second may lack.
    """
    environment = os.environ | {"TUNE_AUDIO_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    started, used = time.perf_counter(), {}
    process = subprocess.Popen(command, cwd=folder, env=environment)
    while process.poll() is None:
        used |= _cpu_seconds_below(process.pid)
        time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return sum(used.values()), time.perf_counter() - started


def _cpu_seconds_below(root: int) -> dict[tuple[int, str], float]:
    """(process id, start time) -> CPU seconds so far, of a process and its descendants."""
    parents, found = {}, {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            pid, seconds = int(process.name), (int(fields[11]) + int(fields[12])) / TICKS
            parents[pid], found[pid, fields[19]] = int(fields[1]), seconds

    def is_below(pid: int) -> bool:
        while pid != root and pid in parents:
            pid = parents[pid]
        return pid == root

    return {key: seconds for key, seconds in found.items() if is_below(key[0])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--checkpoint", action="append", default=[], metavar="FAMILY=DIR")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--plain-epochs",
        type=int,
        help="measure the plain search over so many epochs and multiply: its epochs are all alike",
    )
    given = parser.parse_args()
    here = Path(__file__).parent
    options = [f"--checkpoint={c}" for c in given.checkpoint]
    options += [f"--epochs={given.epochs}", "--set=search.scheduler=none"]
    search = [sys.executable, "-m", "tune_audio.search", "--space", "speech4", "--no-retrain"]
    search += ["--models=wav2vec2,ast", f"--data={Path(given.data).absolute()}", *options]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, views in (("a view an epoch", "null"), ("one view", "1")):
            command = [*search, "--name", name.replace(" ", "-"), f"--set=train.views={views}"]
            rows.append((f"tune_audio, {name}", *cpu_seconds(command, folder, folder / name)))
        space = folder / "runs" / "a-view-an-epoch" / "space.yaml"
        measured = given.plain_epochs or given.epochs
        plain = [sys.executable, str(here / "plain_search.py"), str(space), f"--epochs={measured}"]
        seconds = cpu_seconds(plain, folder, folder / "plain")
        times = given.epochs / measured
        name = "plain" if times == 1 else f"plain, {measured} epochs measured, times {times:g}"
        rows.append((name, *(times * value for value in seconds)))
        with open(space.with_name("leaderboard.csv")) as file:
            trials = len(list(csv.reader(file))) - 1
    table = Table(title=f"{trials} trials of {given.epochs} epochs, frozen backbones")
    for column in ("", "CPU s", "wall s", "CPU s a trial", "plain / this"):
        table.add_column(column, justify="left" if not column else "right")
    for name, cpu, wall in rows:
        ratio = rows[-1][1] / cpu
        table.add_row(name, f"{cpu:.0f}", f"{wall:.0f}", f"{cpu / trials:.2f}", f"{ratio:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
