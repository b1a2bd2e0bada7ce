"""Retrain: the best configurations of a search on the full label set, each tested once.

python -m tune_audio.retrain RUN
"""

from typing import Any

import click

from tune_audio.cli import (
    CONTEXT,
    cache_gb_option,
    debug_option,
    go_on,
    interrupted,
    main,
    make_console,
    no_mlflow_option,
    retry_failed_option,
    set_option,
)
from tune_audio.data.corpus import Corpus
from tune_audio.driver import Driver, open_data
from tune_audio.errors import UserError
from tune_audio.machine.folders import runs_folder
from tune_audio.reporting.records import TrialRecord
from tune_audio.reporting.tables import retrain_table
from tune_audio.run_folder import RunFolder
from tune_audio.space import load_space
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.storage import Storage


@click.command(context_settings=CONTEXT)
@click.argument("run")
@set_option
@retry_failed_option
@cache_gb_option
@no_mlflow_option
@debug_option
def retrain(
    run: str,
    overrides: tuple[str, ...],
    retry_failed: bool,
    cache_gb: float | None,
    no_mlflow: bool,
) -> int:
    """Retrain the best of RUN (its name, its folder, or 'latest') and test each once.

    What was retrained already is not run again.
    """
    folder, console = RunFolder.find(runs_folder(), run), make_console()
    space = load_space(str(folder.space), overrides)
    if space.retrain is None:
        raise UserError(f"{folder.space}: retrain is null; say --set retrain.labels=all, or same")
    corpus = open_data(space, console, cache_gb)
    driver = Driver(folder, space, console, cache_gb, mlflow=not no_mlflow)
    try:
        with folder.locked(), driver:
            driver.finished = retrain_best(driver, corpus, retry_failed=retry_failed)
    except KeyboardInterrupt:  # as in search
        driver.finished = False
    if driver.finished:
        return driver.check_models()
    return interrupted(console, go_on(folder.name, "retrain", overrides))


def retrain_best(driver: Driver, corpus: Corpus, *, retry_failed: bool = False) -> bool:
    """Retrain the best of each family as the space says; show the table. False if interrupted.

    corpus: the search's own. retry_failed: run retrainings that failed once more.
    """
    how = driver.space.retrain
    if how is None:
        raise ValueError(f"{driver.run.path}: its space retrains nothing")
    searched = driver.rank(driver.search_storage(corpus).records())
    plans = []
    for family in driver.space.families.values():
        best = searched.of(family.name).order[: how.top]
        configurations = [_seeded(record, i) for record in best for i in range(how.repeats)]
        if configurations:
            plans.append(Plan(family, configurations))
    if not plans:
        raise UserError(f"{driver.run.path}: no trial has a result yet; nothing to retrain")
    what = "all labels" if how.labels == "all" else "the search's labels"
    driver.console.print(
        f"\nRetraining the best of each family on {what}: on the train split alone, with the best "
        "epoch by validation, and tested once",
        soft_wrap=True,
    )
    if how.labels == "all":
        corpus = open_data(driver.space, driver.console, driver.cache_gb, "all")
    storage = Storage(
        driver.run.database,
        plans,
        driver.space.search.model_copy(update={"scheduler": "none", "sampler": "grid"}),
        epochs=how.epochs or driver.space.epochs,
        study="retrain" if how.labels == "all" else "retrain-same",
        corpus=corpus.fingerprint,
        retry_failed=retry_failed,
    )
    driver.connect()
    driver.hear(*searched.records)  # of which MLflow may know nothing yet
    folder = driver.run.path / storage.study
    driver.searched, driver.retrained = searched, driver.execute(storage, corpus, folder, test=True)
    driver.console.print(retrain_table(searched, driver.retrained))
    return storage.finished()


def _seeded(record: TrialRecord, repeat: int) -> dict[str, Any]:
    return record.params | {"seed": record.params.get("seed", 0) + repeat}


if __name__ == "__main__":
    main(retrain)
