"""Retrain: the best configurations of a search on the full label set, each tested once.

python -m tune_audio.retrain RUN
"""

import click

from tune_audio.cli import INTERRUPTED, main
from tune_audio.data.corpus import Corpus
from tune_audio.driver import Driver, make_console, open_data, runs_folder
from tune_audio.errors import UserError
from tune_audio.records import TrialRecord
from tune_audio.reporting.ranking import ranked
from tune_audio.reporting.tables import retrain_table
from tune_audio.run_folder import RunFolder
from tune_audio.space import load_space
from tune_audio.storage import Plan, Storage


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="A.B=VALUE",
    help="Change the space, e.g. --set retrain.labels=same --set retrain.top=3.",
)
@click.option("--cache-gb", type=float, help="Most that cached features may take on disk.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def retrain(run: str, overrides: tuple[str, ...], cache_gb: float | None, debug: bool) -> int:
    """Retrain the best of RUN (its name, its folder, or 'latest') and test each once.

    What was retrained already is not run again.
    """
    folder, console = RunFolder.find(runs_folder(), run), make_console()
    space = load_space(str(folder.space), overrides)
    if space.retrain is None:
        raise UserError(f"{folder.space}: retrain is null; say --set retrain.labels=all, or same")
    corpus = open_data(space, console)
    with folder.locked(), Driver(folder, space, console, cache_gb) as driver:
        driver.finished = retrain_best(driver, corpus)
    return 0 if driver.finished else INTERRUPTED


def retrain_best(driver: Driver, corpus: Corpus) -> bool:
    """Retrain the best of each family as the space says; show the table. False if interrupted.

    corpus: the search's own.
    """
    how = driver.space.retrain
    searched = driver.search_storage(corpus).records()
    plans = []
    for family in driver.space.families.values():
        best = ranked((r for r in searched if r.family == family.name), driver.direction)
        configurations = [_seeded(r, i) for r in best[: how.top] for i in range(how.repeats)]
        if configurations:
            plans.append(Plan(family, configurations))
    if not plans:
        raise UserError(f"{driver.run.path}: no trial has a result yet; nothing to retrain")
    what = "all labels" if how.labels == "all" else "the search's labels"
    driver.console.print(f"\nRetraining the best of each family on {what}, to be tested once")
    if how.labels == "all":
        corpus = open_data(driver.space, driver.console, "all")
    storage = Storage(
        driver.run.database,
        plans,
        driver.space.search.model_copy(update={"scheduler": "none", "sampler": "grid"}),
        epochs=how.epochs or driver.space.epochs,
        study="retrain" if how.labels == "all" else "retrain-same",
        corpus=corpus.fingerprint,
    )
    folder = driver.run.path / storage.study
    records = driver.execute(storage, corpus, folder, test=True)
    driver.console.print(retrain_table(searched, records, **driver.ranking))
    return storage.finished()


def _seeded(record: TrialRecord, repeat: int) -> dict:
    return record.params | {"seed": record.params.get("seed", 0) + repeat}


if __name__ == "__main__":
    main(retrain)
