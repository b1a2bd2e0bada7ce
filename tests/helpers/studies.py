"""Storages of a small space of two families, and trials that end without being run."""

from tune_audio.space import SearchSpace
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.storage import Storage

GRID = {"lr": [1e-2, 1e-3, 1e-4], "batch_size": [32, 64]}


def make_space(params=GRID, **search):
    return SearchSpace.from_dict(
        {
            "data": {"name": "folder"},
            "train": {"epochs": 9},
            "search": {"sampler": "grid", "scheduler": "none"} | search,
            "params": params,
            "models": {"first": {"model": "lstm_cnn"}, "second": {"model": "lstm_cnn"}},
        }
    )


def open_storage(folder, space=None, **kwargs):
    space = space or make_space()
    grid = space.search.sampler == "grid"
    plans = [
        Plan(family, family.grid() if grid else None, space.search.trials)
        for family in space.families.values()
    ]
    return Storage(folder / "optuna.db", plans, space.search, epochs=space.epochs, **kwargs)


def rows(*accuracies):
    return [{"epoch": i, "val/accuracy": a} for i, a in enumerate(accuracies, start=1)]


def run_all(storage, accuracy=lambda record: 0.5):
    while record := storage.next():
        storage.report(record.key, rows(*[accuracy(record)] * storage.epochs))
        storage.finish(record.key)
    return storage.records()
