"""Retrain: the best configurations of a search on the full label set, each tested once.

python -m tune_audio.retrain RUN
"""

from typing import Any

import click

from tune_audio.claims import make_claims
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
from tune_audio.training.curve import best
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.storage import Storage

TRAIN, TRAIN_AND_VALIDATION = "train", "train+validation"
WHAT = {"all": "all labels", "same": "the search's labels"}
HOW = {
    TRAIN: "the train split alone, with the best epoch by validation",
    TRAIN_AND_VALIDATION: "all that is not for the test, for as many steps as its best epoch had",
}


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
    space = load_space(str(folder.space), overrides, of_run=True)
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
    searched_on, searched = corpus, driver.rank(driver.search_storage(corpus).records())
    if not searched.order:
        raise UserError(f"{driver.run.path}: no trial has a result yet; nothing to retrain")
    if how.labels == "all":
        corpus = open_data(driver.space, driver.console, driver.cache_gb, "all")
    train_on: str = how.train_on
    if train_on == "auto":
        train_on = TRAIN if corpus.labels != searched_on.labels else TRAIN_AND_VALIDATION
    driver.console.print(
        f"\nRetraining the best of each family on {WHAT[how.labels]}: on {HOW[train_on]}, and "
        "tested once",
        soft_wrap=True,
    )
    part = 1.0  # of as many epochs: as many steps
    if train_on == TRAIN_AND_VALIDATION and corpus.labels == searched_on.labels:
        part = _trained_on(searched_on, driver.space.search.fold_count) / _untested(corpus)
    plans = []
    for family in driver.space.families.values():
        configurations = []
        for record in searched.of(family.name).order[: how.top]:
            epochs = {"epochs": how.epochs or _epochs(driver, record, part)}
            own = epochs if train_on == TRAIN_AND_VALIDATION else {}
            configurations += [_seeded(record, i) | own for i in range(how.repeats)]
        if configurations:
            plans.append(Plan(family, configurations))
    storage = Storage(
        driver.run.database,
        plans,
        driver.space.search.model_copy(
            update={"scheduler": "none", "sampler": "grid", "folds": None}
        ),
        epochs=how.epochs or max(1, round(part * driver.space.epochs)),
        study="retrain" if how.labels == "all" else "retrain-same",
        corpus=corpus.fingerprint,
        retry_failed=retry_failed,
    )
    driver.connect()
    driver.hear(*searched.records)  # of which MLflow may know nothing yet
    folder = driver.run.path / storage.study
    driver.searched = searched
    driver.claims = driver.claims or make_claims(searched, searched_on, driver.run.trials)
    calibrations = driver.claims.calibrations if corpus.labels == searched_on.labels else {}
    driver.retrained = driver.execute(
        storage, corpus, folder, test=True, train_on=train_on, calibrations=calibrations
    )
    driver.console.print(retrain_table(searched, driver.retrained))
    for line in driver.claims.about_cost(driver.retrained):
        driver.console.print(line, soft_wrap=True, highlight=False, markup=False)
    return storage.finished()


def _seeded(record: TrialRecord, repeat: int) -> dict[str, Any]:
    return record.params | {"seed": record.params.get("seed", 0) + repeat}


def _epochs(driver: Driver, record: TrialRecord, part: float) -> int:
    """As many as the best epoch of a trial, over its folds, was from its beginning."""
    found = best(record.epochs, driver.metric, maximize=driver.direction == "maximize")
    assert found is not None  # it is ranked
    return max(1, round(part * found.epoch))


def _trained_on(corpus: Corpus, folds: int | None) -> float:
    """Clips of an epoch of the search."""
    return len(corpus.rows("train")) if folds is None else _untested(corpus) * (1 - 1 / folds)


def _untested(corpus: Corpus) -> int:
    return len(corpus.rows("train")) + len(corpus.rows("validation"))


if __name__ == "__main__":
    main(retrain)
