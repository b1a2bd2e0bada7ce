"""Search: space -> trials -> tables -> the best of each family retrained and tested once.

python -m tune_audio.search --space speech4 --data FOLDER
"""

import sys
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from tune_audio.claims import make_claims, write_claims
from tune_audio.cli import (
    CONTEXT,
    cache_gb_option,
    debug_option,
    family_checkpoint,
    go_on,
    interrupted,
    main,
    make_console,
    no_mlflow_option,
    retry_failed_option,
    shorthands,
    space_options,
)
from tune_audio.closing import say_where
from tune_audio.data import DATASETS
from tune_audio.data.corpus import Corpus
from tune_audio.detach import start_detached
from tune_audio.driver import Driver, open_data
from tune_audio.errors import UserError
from tune_audio.machine.cached import most_bytes
from tune_audio.machine.folders import cache_folder, runs_folder
from tune_audio.machine.publish import publish_text
from tune_audio.reporting.files import write_best, write_leaderboard
from tune_audio.reporting.tables import best_by_tables, leaderboard
from tune_audio.retrain import retrain_best
from tune_audio.run_copy import fetch
from tune_audio.run_folder import RunFolder
from tune_audio.space import SearchSpace, load_space
from tune_audio.tuning.check import check_models
from tune_audio.tuning.resolve import prepared, with_folds
from tune_audio.tuning.storage import Storage


@click.command(context_settings=CONTEXT)
@space_options
@click.option("--download", is_flag=True, help="Fetch the data set's official archive first.")
@click.option("--name", help="Name of the run; default: the space and the time.")
@click.option("--resume", metavar="NAME", help="Go on with a run: its name, folder, or 'latest'.")
@retry_failed_option
@click.option("--no-retrain", is_flag=True, help="Stop after the search.")
@cache_gb_option
@click.option(
    "--storage",
    metavar="FOLDER|s3://…|gs://…",
    help="Keep a copy of the run there; --resume on another machine goes on from it.",
)
@no_mlflow_option
@click.option("--detach", is_flag=True, help="Go on in the background; watch shows how far it is.")
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
    retry_failed: bool,
    no_retrain: bool,
    cache_gb: float | None,
    storage: str | None,
    no_mlflow: bool,
    detach: bool,
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
    if retry_failed and resume is None:
        raise UserError("--retry-failed: goes with --resume NAME; a new search has no failures yet")
    if download and data:
        raise UserError("--download, --data: give one of them")
    if resume is not None and storage is not None:
        fetch(runs_folder(), resume, storage)
    if detach:
        return _detached(given, name, resume)
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
        of_run=resume is not None,
    )
    if download:
        chosen = chosen.with_data_root(_download(chosen))
    chosen = prepared(chosen, console, cache_folder())
    if dry_run:
        from tune_audio.tuning.dry_run import show

        cache = cache_folder()
        show(chosen, console, cache, most_bytes("features", cache_gb, cache))
        return 0
    corpus = open_data(chosen, console, cache_gb)
    chosen = with_folds(chosen, corpus, console)
    check_models(chosen, corpus)
    if resume is None:
        run = RunFolder.create(runs_folder(), chosen.name, name)
    driver = Driver(run, chosen, console, cache_gb, storage, mlflow=not no_mlflow)
    try:
        with run.locked(), driver:
            studies = driver.search_storage(corpus, retry_failed=retry_failed)
            driver.connect()
            # Nothing is written before all that was asked for is known to be right.
            publish_text(run.space, chosen.to_yaml())
            driver.write_notes(corpus)
            driver.finished = search_families(driver, studies, corpus)
            if driver.finished and chosen.retrain and not no_retrain:
                driver.finished = retrain_best(driver, corpus, retry_failed=retry_failed)
    except KeyboardInterrupt:  # more than once, or where nothing else was waiting for it
        driver.finished = False
        if not run.space.exists():  # nothing has begun
            raise
    if driver.finished:
        say_where(run, chosen.name, console, mlflow=driver.mlflow)
        return driver.check_models()
    return interrupted(console, go_on(run.name))


def search_families(driver: Driver, storage: Storage, corpus: Corpus) -> bool:
    """Run every trial of the space; show and write its tables. False if interrupted."""
    ranking = driver.rank(driver.execute(storage, corpus, driver.run.trials))
    driver.searched, driver.claims = ranking, make_claims(ranking, corpus, driver.run.trials)
    claims = driver.claims
    write_leaderboard(driver.run.leaderboard, ranking, claims.intervals)
    write_best(driver.run.best, ranking)
    write_claims(driver.run.claims, claims)
    if storage.finished():
        shown = leaderboard(ranking, intervals=claims.intervals, commonest=claims.commonest)
        driver.console.print(shown)
        for table in best_by_tables(ranking).values():
            driver.console.print(table)
        for line in claims.in_words():
            driver.console.print(line, soft_wrap=True, highlight=False, markup=False)
    return storage.finished()


def _detached(given: str, name: str | None, resume: str | None) -> int:
    """The same search in the background, under a name that is known here, too."""
    words = sys.argv[2:] if sys.argv[1:2] == ["search"] else sys.argv[1:]
    if resume is not None:
        run = RunFolder.find(runs_folder(), resume)
        words = [run.name if word == resume else word for word in words]
    elif name is not None:
        RunFolder.check_name(runs_folder(), name)
        run = RunFolder(runs_folder() / name)
    else:
        run = RunFolder(runs_folder() / f"{Path(given).stem}-{datetime.now():%Y%m%d-%H%M%S}")
        words = [*words, "--name", run.name]
    return start_detached(run, [word for word in words if word != "--detach"])


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
