"""Room for trials on machines of several kinds, and which trials are handed out for it."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.search import Searcher

from tune_audio.costs.packing import Packing
from tune_audio.space import SearchSpace
from tune_audio.tuning import cluster
from tune_audio.tuning.callbacks import memory_kills_known
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.searcher import MOST_WAITING, StudySearcher
from tune_audio.tuning.storage import Storage

LAPTOP, GPU_BOX, HEAD = {"CPU": 2}, {"CPU": 8, "GPU": 1}, {"CPU": 0}


@pytest.mark.parametrize(
    ("file", "promised"), [("aws.yaml", True), ("gcp.yaml", True), ("onprem.yaml", False)]
)
def test_gpus_that_a_cluster_s_file_promises(file: str, promised: bool):
    assert cluster.gpus_may_come(Path(__file__).parents[2] / "cluster" / file) == promised


def test_a_machine_that_nobody_has_set_up_promises_nothing(tmp_path: Path):
    assert not cluster.gpus_may_come(tmp_path / "ray_bootstrap_config.yaml")


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """The machines there are; a test changes them."""
    there: list[dict] = []
    monkeypatch.setattr(cluster, "machines", lambda: there)
    monkeypatch.setattr(cluster, "NODES_SECONDS", -1)  # always as they are now
    return there


def make_searcher(folder: Path, needs: dict, sampler: str, **options) -> StudySearcher:
    space = SearchSpace.from_dict(
        {
            "data": {"name": "folder"},
            "train": {"epochs": 1},
            "search": {"sampler": sampler, "scheduler": "none", "trials": 100},
            "models": {
                family: {"model": "lstm_cnn", "lr": {"low": 1e-4, "high": 1e-1, "log": True}}
                for family in needs
            },
        }
    )
    plans = [Plan(family, None, 100) for family in space.families.values()]
    storage = Storage(folder / "optuna.db", plans, space.search, epochs=1)
    packing = Packing(needs)

    def configure(record):
        packing.begin(record.key, record.family)
        return {"key": record.key, "patience_seconds": 60.0}

    return StudySearcher(storage, configure, packing, say=print, **options)


def ask(searcher: StudySearcher) -> list[str]:
    """The families of the trials that are handed out until no more are."""
    families = []
    while (config := searcher.suggest(f"trial {next(NUMBERS)}")) is not None:
        assert config != Searcher.FINISHED
        families.append(config["key"].rpartition("-")[0])
    return families


NUMBERS = itertools.count()
CPU, GPU = {"CPU": 1, "GPU": 0}, {"CPU": 1, "GPU": 0.5}


def test_one_trial_waits_on_a_machine_that_stays_alone(machines, tmp_path):
    machines += [LAPTOP]
    searcher = make_searcher(tmp_path, {"a": CPU, "b": CPU}, "tpe", may_grow=False)
    searcher.suggest("the first")
    assert ask(searcher) == ["b", "a"]
    ended = {"done": True, "epochs": [], "error": "diverged", "extra": []}
    searcher.on_trial_complete("the first", ended)
    assert ask(searcher) == ["b"]


def test_a_family_whose_machine_is_not_there_keeps_nobody_waiting(machines, tmp_path):
    machines += [LAPTOP] * 2
    searcher = make_searcher(tmp_path, {"a": CPU, "gpu": GPU, "b": CPU}, "tpe", may_grow=False)
    asked = ask(searcher)
    assert asked.count("gpu") == 1 and asked.count("a") + asked.count("b") == 5
    machines += [GPU_BOX]
    assert ask(searcher).count("gpu") == 2


@pytest.mark.parametrize(("sampler", "waiting"), [("random", MOST_WAITING), ("tpe", 10)])
def test_a_cluster_that_grows_is_asked_for_what_can_be_used_at_once(
    machines, tmp_path, sampler, waiting
):
    machines += [HEAD]
    searcher = make_searcher(tmp_path, {"a": CPU}, sampler, may_grow=True)
    assert len(ask(searcher)) == waiting  # TPE looks at results after its first ten
    machines += [GPU_BOX]
    assert len(ask(searcher)) == (8 if sampler == "random" else 0)


@pytest.fixture
def searcher(machines, tmp_path) -> StudySearcher:
    machines += [{"CPU": 4}]
    return make_searcher(tmp_path, {"a": CPU}, "tpe", may_grow=False)


def die(searcher: StudySearcher, trial_id: str, why: str) -> None:
    searcher.died(trial_id, f"Failure # 1\n{why}")
    searcher.on_trial_complete(trial_id, error=True)


def test_a_worker_that_dies_alone_is_started_again_twice(searcher):
    key = searcher.suggest("first")["key"]
    for number in range(3):
        die(searcher, "first" if number == 0 else f"again {number}", "it ended unexpectedly")
        if number < 2:
            assert searcher.suggest(f"again {number + 1}")["key"] == key  # before any new one
    record = searcher.storage.record(key)
    assert (record.state, record.extra["error"]) == ("failed", "its worker died 3 times")


def test_lost_hosts_do_not_count(searcher):
    key = searcher.suggest("0")["key"]
    for number in range(9):
        die(searcher, str(number), "The actor died because its node has died.")
        assert searcher.suggest(str(number + 1))["key"] == key


def test_where_memory_was_full_fewer_run_at_once_and_none_is_given_up(searcher):
    handed_out = [f"trial {number}" for number in range(5)]
    keys = [searcher.suggest(trial_id)["key"] for trial_id in handed_out]
    assert searcher.suggest("a sixth") is None
    full = "1 worker(s) were killed due to the node running low on memory."
    for trial_id in handed_out[:3]:
        die(searcher, trial_id, full)
    assert searcher.suggest("again") is None  # two run, of the five there was room for
    done = {"done": True, "epochs": [], "error": "diverged", "extra": []}
    searcher.on_trial_complete(handed_out[3], done)
    assert searcher.suggest("again")["key"] == keys[0]
    assert {searcher.storage.record(key).state for key in keys[:3]} == {"running"}


def test_what_is_too_large_even_alone_is_given_up_with_the_reason(searcher):
    key = searcher.suggest("0")["key"]
    for number in range(3):
        die(searcher, str(number), "killed due to the node running low on memory")
        if number < 2:
            assert searcher.suggest(str(number + 1))["key"] == key
    assert "too much for the memory, even alone" in searcher.storage.record(key).extra["error"]


def test_tune_hears_of_a_memory_kill_as_of_a_worker_that_died():
    told = []
    with memory_kills_known():
        manager = RayActorManager.__new__(RayActorManager)
        manager._failed_actor_ids, manager._cleanup_actor = set(), lambda tracked_actor: None
        actor = SimpleNamespace(actor_id="id", _on_error=lambda actor, error: told.append(error))
        manager._actor_start_failed(actor, OutOfMemoryError("running low on memory\nmore"))
        task = SimpleNamespace(_tracked_actor=actor, _on_error=None)
        manager._actor_task_failed(
            tracked_actor_task=task, exception=OutOfMemoryError("running low on memory\nmore")
        )
    assert [type(error) for error in told] == [RayActorError] * 2
    assert {str(error) for error in told} == {"running low on memory"}
