"""Search: space -> trials -> tables -> the best of each family retrained and tested once.

python -m tune_audio.search --space speech4 --data FOLDER
"""

from collections import Counter
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from tune_audio.cached import KINDS, entries, human
from tune_audio.cli import (
    CONTEXT,
    INTERRUPTED,
    cache_gb_option,
    checkpoint_option,
    data_option,
    debug_option,
    epochs_option,
    family_checkpoint,
    main,
    make_console,
    models_option,
    set_option,
    shorthands,
    space_option,
    trials_option,
)
from tune_audio.data import DATASETS
from tune_audio.data.corpus import Corpus
from tune_audio.driver import Driver, most_bytes, open_data
from tune_audio.errors import UserError
from tune_audio.folders import cache_folder, runs_folder
from tune_audio.publish import publish_text
from tune_audio.reporting.files import write_best, write_leaderboard
from tune_audio.reporting.tables import best_by_tables, leaderboard
from tune_audio.retrain import retrain_best
from tune_audio.run_folder import RunFolder
from tune_audio.space import SearchSpace, list_spaces, load_space
from tune_audio.tuning.check import check_models
from tune_audio.tuning.resolve import prepared
from tune_audio.tuning.storage import Storage


@click.command(context_settings=CONTEXT)
@space_option
@data_option
@click.option("--download", is_flag=True, help="Fetch the data set's official archive first.")
@models_option
@checkpoint_option
@epochs_option
@trials_option
@set_option
@click.option("--name", help="Name of the run; default: the space and the time.")
@click.option("--resume", metavar="NAME", help="Go on with a run: its name, folder, or 'latest'.")
@click.option("--no-retrain", is_flag=True, help="Stop after the search.")
@cache_gb_option
@click.option("--dry-run", is_flag=True, help="Show what would be run, run nothing.")
@debug_option
def search(
    space: str | None,
    data: str | None,
    download: bool,
    models: str | None,
    checkpoints: tuple[str, ...],
    epochs: int | None,
    trials: int | None,
    overrides: tuple[str, ...],
    name: str | None,
    resume: str | None,
    no_retrain: bool,
    cache_gb: float | None,
    dry_run: bool,
) -> int:
    """Find the best audio classifier for labelled audio.

    Trials of all families of a space run in parallel, losers are stopped early, the best
    configuration of each family is retrained and tested once; every run is in MLflow.
    """
    console = make_console()
    given = _either(space, resume)
    if resume is not None and (models or name):
        raise UserError(
            "--resume: goes on with a whole run under its name; leave out --models and --name"
        )
    if download and data:
        raise UserError("--download, --data: give one of them")
    changes: list[str | tuple[str, Any]] = [*overrides, *shorthands(data, epochs, trials)]
    if resume is not None:
        run = RunFolder.find(runs_folder(), given)
        given = str(run.space)
    elif name is not None:
        RunFolder.check_name(runs_folder(), name)
    chosen = load_space(
        given,
        changes,
        models=models.split(",") if models else None,
        checkpoints=dict(map(family_checkpoint, checkpoints)),
    )
    if download:
        chosen = chosen.with_data_root(_download(chosen))
    chosen = prepared(chosen, console, cache_folder())
    if dry_run:
        from tune_audio.tuning.dry_run import show

        show(chosen, console, cache_folder(), most_bytes("features", cache_gb))
        return 0
    corpus = open_data(chosen, console, cache_gb)
    check_models(chosen, corpus)
    if resume is None:
        run = RunFolder.create(runs_folder(), chosen.name, name)
    with run.locked(), Driver(run, chosen, console, cache_gb) as driver:
        storage = driver.search_storage(corpus)
        driver.connect()
        # Nothing is written before all that was asked for is known to be right.
        publish_text(run.space, chosen.to_yaml())
        driver.write_skipped(corpus)
        driver.finished = search_families(driver, storage, corpus)
        if driver.finished and chosen.retrain and not no_retrain:
            driver.finished = retrain_best(driver, corpus)
    if driver.finished:
        say_where(driver)
        return 0
    console.print(f"\nInterrupted. Go on with: python -m tune_audio.search --resume {run.name}")
    return INTERRUPTED


def search_families(driver: Driver, storage: Storage, corpus: Corpus) -> bool:
    """Run every trial of the space; show and write its tables. False if interrupted."""
    ranking = driver.rank(driver.execute(storage, corpus, driver.run.trials))
    driver.searched = ranking
    write_leaderboard(driver.run.leaderboard, ranking)
    write_best(driver.run.best, ranking)
    if storage.finished():
        driver.console.print(leaderboard(ranking))
        for table in best_by_tables(ranking).values():
            driver.console.print(table)
    return storage.finished()


def say_where(driver: Driver) -> None:
    """Where everything lies, and what to try next."""
    run, say = driver.run, partial(driver.console.print, soft_wrap=True, highlight=False)
    say(f"\nEverything of this search: {run.path}")
    say(f"  {run.leaderboard.name}, {run.best.name}, {run.space.name}, {run.database.name}")
    for folder in sorted(run.path.glob("retrain*")):
        say(f"  {folder.name}/FAMILY-N: models of the train split, and what they said of the test")
    cache, kept = cache_folder(), entries(cache_folder())
    of_kind = Counter({k: sum(e.size_bytes for e in kept if e.kind == k) for k in KINDS})
    largest = ", ".join(f"{kind} {human(size)}" for kind, size in of_kind.most_common(2) if size)
    say(f"In {cache}, for the next one: {human(of_kind.total())} ({largest})")
    say("Next:")
    say("  python -m tune_audio.cache --clear                          free that room")
    say("  mlflow ui                                                   all runs, in a browser")
    say("  python -m tune_audio.predict latest/FAMILY FILE_OR_FOLDER   what a model hears")
    say("  python -m tune_audio.search --space own --data FOLDER       your own recordings")
    if others := [name for name in list_spaces() if name not in (driver.space.name, "own")]:
        say(
            f"  python -m tune_audio.search --space {others[0]:<23} another of {len(others)} spaces"
        )


def _either(space: str | None, resume: str | None) -> str:
    """The one that is given. Raises UserError for both and for none."""
    given = [name for name in (space, resume) if name is not None]
    if len(given) != 1:
        raise UserError("give either --space NAME to start a search or --resume NAME to go on")
    return given[0]


def _download(space: SearchSpace) -> Path:
    """The folder of the data set's official archive, fetched if it is not there yet."""
    name = space.data["name"]
    module = import_module(DATASETS[name].partition(":")[0])
    if not hasattr(module, "download"):
        raise UserError(f"--download: {name} has no official archive; give it with --data FOLDER")
    return module.download(cache_folder() / "datasets")


if __name__ == "__main__":
    main(search)
