"""CMA-ES goes on where it was, and from a stranger's file nothing is run."""

import json
import os
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from tune_audio.errors import UserError
from tune_audio.tuning.samplers import make_sampler


def study(database: Path) -> optuna.Study:
    return optuna.create_study(
        storage=f"sqlite:///{database}",
        study_name="search/family",
        sampler=make_sampler("cmaes", 0),
        load_if_exists=True,
    )


def distance(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", -1, 1) ** 2 + trial.suggest_float("y", 1e-4, 1, log=True)


def generation(study: optuna.Study) -> int:
    return study.get_trials()[-1].system_attrs["cma:generation"]


def test_it_goes_on_with_its_state(tmp_path: Path):
    first = study(tmp_path / "optuna.db")
    first.optimize(distance, n_trials=16)
    reached = generation(first)
    again = study(tmp_path / "optuna.db")
    again.optimize(distance, n_trials=6)
    assert generation(again) == reached + 1 >= 2  # a lost state would begin anew


class Hostile:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


def test_a_state_that_would_run_code_is_refused(tmp_path: Path):
    known = study(tmp_path / "optuna.db")
    known.optimize(distance, n_trials=16)
    trap = tmp_path / "trap"
    state = json.dumps(pickle.dumps(Hostile(trap)).hex())
    with closing(sqlite3.connect(tmp_path / "optuna.db")) as file, file:
        change = "UPDATE trial_system_attributes SET value_json = ? WHERE key = 'cma:optimizer:0'"
        assert file.execute(change, [state]).rowcount
        file.execute("DELETE FROM trial_system_attributes WHERE key = 'cma:optimizer:1'")
    with pytest.raises(UserError, match=r"CMA-ES with posix\.mkdir"):
        study(tmp_path / "optuna.db").optimize(distance, n_trials=1)
    assert not trap.exists()
