"""Trains the compact checkpoints anew: python -m tune_audio.models.compact.train --help"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tune_audio.models.compact.corpus import Corpus

# read when the libraries load; several threads a process stall as soon as a core is busy
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def report(line: str) -> None:
    click.echo(line)


@click.group()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Where clips, targets and checkpoints go (about 5 GB).",
)
@click.option("--clips-per-word", default=100, show_default=True, type=click.IntRange(1))
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1))
@click.pass_context
def main(context: click.Context, folder: Path, clips_per_word: int, processes: int) -> None:
    """Speak the words, then run one step.

    In order: teacher --seed 0, teacher --seed 1, student ast, student wav2vec2. The two teachers,
    and then the two students, may run at once in processes of their own.
    """
    from tune_audio.data.progress import tracking
    from tune_audio.models.compact.corpus import prepare

    folder.mkdir(parents=True, exist_ok=True)
    with tracking(True) as track:
        corpus = prepare(folder, clips_per_word, 101, processes, track)
    context.obj = folder, corpus


@main.command()
@click.option("--seed", default=0, show_default=True)
@click.option("--epochs", default=3, show_default=True, type=click.IntRange(1))
@click.pass_obj
def teacher(given: "tuple[Path, Corpus]", seed: int, epochs: int) -> None:
    """Train a teacher."""
    from tune_audio.models.compact.teacher import train_teacher

    folder, corpus = given
    train_teacher(corpus, folder / f"teacher-{seed}.pt", epochs, seed, report)


@main.command()
@click.argument("kind", type=click.Choice(["wav2vec2", "ast"]))
@click.option("--epochs", default=7, show_default=True, type=click.IntRange(1))
@click.option("--cool-down-epochs", default=3, show_default=True, type=click.IntRange(1))
@click.option("--lr", default=1e-3, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.pass_obj
def student(
    given: "tuple[Path, Corpus]",
    kind: str,
    epochs: int,
    cool_down_epochs: int,
    lr: float,
    seed: int,
) -> None:
    """Distil all teachers in the folder into a student."""
    from filelock import FileLock

    from tune_audio.models.compact.distil import distil
    from tune_audio.models.compact.teacher import write_targets

    folder, corpus = given
    teachers = sorted(folder.glob("teacher-*.pt"))
    if not teachers:
        raise click.UsageError(f"there is no teacher in {folder}: train one first")
    with FileLock(folder / "targets.lock"):
        statistics = write_targets(corpus, teachers, folder)
    distil(kind, corpus, folder, statistics, epochs, cool_down_epochs, lr, seed, report)


if __name__ == "__main__":
    main()
