"""Plan: what a search takes, measured before it runs: time, memory, disk and downloads.

python -m tune_audio.plan --space speech4 --data FOLDER --workers 4
"""

import click

from tune_audio.cli import (
    CONTEXT,
    cache_gb_option,
    debug_option,
    family_checkpoint,
    main,
    make_console,
    shorthands,
    space_options,
)
from tune_audio.errors import UserError
from tune_audio.machine.cached import most_bytes
from tune_audio.machine.folders import cache_folder
from tune_audio.space import load_space
from tune_audio.tuning.resolve import prepared


@click.command(context_settings=CONTEXT)
@space_options
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Reckon for N machines like this one, too.",
)
@cache_gb_option
@debug_option
def plan(
    space: str | None,
    data: str | None,
    models: str | None,
    checkpoints: tuple[str, ...],
    epochs: int | None,
    trials: int | None,
    overrides: tuple[str, ...],
    workers: int,
    cache_gb: float | None,
) -> None:
    """Show what a search would take on this machine, and on N like it.

    Two steps of every family are run here, one family a process; nothing is decoded or fetched.
    """
    if space is None:
        raise UserError("--space: is missing; give the name or the file of a space")
    console = make_console()
    chosen = load_space(
        space,
        [*overrides, *shorthands(data, epochs, trials)],
        models=models.split(",") if models else None,
        checkpoints=dict(map(family_checkpoint, checkpoints)),
    )
    chosen = prepared(chosen, console, cache_folder())
    from tune_audio.tuning.dry_run import show_plan  # torch is not for --help

    cache = cache_folder()
    show_plan(chosen, console, cache, most_bytes("features", cache_gb, cache), workers=workers)


if __name__ == "__main__":
    main(plan)
