"""Trials on a real, small Ray: what goes wrong in one of them stays in it."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tune_audio.errors import SurroundingsError, UserError
from tune_audio.space import SearchSpace
from tune_audio.tuning.cluster import check_needs, start_ray
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.storage import Storage
from tune_audio.tuning.study import run

MODEL = {"model": "lstm_cnn", "channels": 4, "hidden_size": 4}


@pytest.fixture(scope="module", autouse=True)
def ray_on_this_machine():
    import ray

    start_ray()
    yield
    ray.shutdown()


def make_storage(folder: Path, configurations: list[dict], epochs: int = 2, **search) -> Storage:
    space = SearchSpace.from_dict(
        {
            "data": {"name": "folder"},
            "train": {"epochs": epochs},
            "search": {"sampler": "grid", "scheduler": "none"} | search,
            "models": {"family": MODEL},
        }
    )
    base = {"channels": 4, "hidden_size": 4, "batch_size": 16}
    plan = Plan(space.families["family"], [base | c for c in configurations])
    folder.mkdir(exist_ok=True)
    return Storage(folder / "optuna.db", [plan], space.search, epochs=epochs)


def run_all(storage: Storage, corpus, folder: Path, **kwargs) -> None:
    trials = folder / "trials"
    run(storage, corpus, trials, features=folder / "features", feature_bytes=10**9, **kwargs)


def test_a_trial_that_no_machine_can_run_is_told_and_not_waited_for(capsys):
    check_needs({"family": {"CPU": 1.0, "GPU": 0}}, may_grow=False)
    with pytest.raises(UserError, match=r"models\.family: a trial needs 999 CPUs and 0 GPUs"):
        check_needs({"family": {"CPU": 999, "GPU": 0}}, may_grow=False)
    check_needs({"family": {"CPU": 1, "GPU": 99}}, may_grow=True)
    assert "needs 1 CPUs and 99 GPUs" in capsys.readouterr().err


def test_one_trial_diverges_one_is_broken_and_the_rest_go_on(tone_corpus, tmp_path):
    storage = make_storage(
        tmp_path,
        [
            {"lr": 1e-2},
            {"lr": 1e38, "optimizer": "sgd"},
            {"lr": 1e-2, "mel_bins": -1},  # no space would let this through
            {"lr": 1e-3},
        ],
    )
    run_all(storage, tone_corpus, tmp_path)
    fine, diverged, broken, last = storage.records()
    assert [r.state for r in (fine, last)] == ["complete"] * 2
    assert diverged.state == broken.state == "failed"
    assert "no longer finite" in diverged.extra["error"]
    assert (tmp_path / "trials" / broken.key / "error.txt").read_text().startswith("Traceback")
    assert fine.extra["trainable_parameters"] > 0 == fine.extra["frozen_parameters"]


def test_a_killed_worker_s_trial_goes_on_from_its_last_epoch(tone_corpus, tmp_path):
    storage, killed = make_storage(tmp_path, [{"lr": 1e-2}], epochs=6), []

    def kill_worker(record) -> None:
        if len(record.epochs) == 3 and not killed:
            killed.append(record.epochs)
            for pid in worker_pids():
                os.kill(pid, signal.SIGKILL)

    run_all(storage, tone_corpus, tmp_path, on_change=kill_worker)
    (record,) = storage.records()
    assert record.state == "complete"
    assert record.epochs[:3] == killed[0]  # these were not trained again
    assert [row["epoch"] for row in record.epochs] == list(range(1, 7))

    undisturbed = make_storage(tmp_path / "other", [{"lr": 1e-2}], epochs=6)
    run_all(undisturbed, tone_corpus, tmp_path / "other")
    losses = [[row["val/loss"] for row in s.records()[0].epochs] for s in (storage, undisturbed)]
    assert losses[0] == losses[1]


def worker_pids() -> list[int]:
    """The processes below this one that train; Ray names them after what they do."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::") and b"Trainable" in title and is_below_us(int(process.name)):
            found.append(int(process.name))
    return found


def is_below_us(pid: int) -> bool:
    while pid > 1 and pid != os.getpid():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == os.getpid()


def test_a_trial_that_hangs_is_started_once_more_and_then_given_up(tone_corpus, tmp_path):
    first, others = {"lr": 1e-2}, [{"lr": 1e-3}, {"lr": 1e-3, "augment": "noise"}]
    run_all(make_storage(tmp_path, [first]), tone_corpus, tmp_path)
    features = max((tmp_path / "features").rglob("*.npy"), key=lambda file: file.stat().st_size)
    features.unlink()
    os.mkfifo(features)  # to read it is to wait for ever
    storage = make_storage(tmp_path, [first, *others], hanging_seconds=4.0)
    run_all(storage, tone_corpus, tmp_path)
    done, hanging, fine = storage.records()
    assert (done.state, hanging.state) == ("complete", "failed")
    assert fine.state == "complete", fine.extra
    assert "it hangs: 2 times no step in" in hanging.extra["error"]
    where = (tmp_path / "trials" / hanging.key / "hanging.txt").read_text()
    assert where.count("Timeout") == 2 and "in train_epoch" in where


def test_data_that_are_gone_end_the_run_and_no_trial(tone_corpus, tmp_path):
    storage = make_storage(tmp_path, [{"lr": 1e-2}, {"lr": 1e-3}])
    with pytest.raises(SurroundingsError, match=r"family-\d on .*FileNotFoundError.*gone"):
        run_all(storage, replace(tone_corpus, folder=tmp_path / "gone"), tmp_path)
    assert "running" in {record.state for record in storage.records()} <= {"running"}
    run_all(make_storage(tmp_path, [{"lr": 1e-2}, {"lr": 1e-3}]), tone_corpus, tmp_path)
    records = make_storage(tmp_path, [{"lr": 1e-2}, {"lr": 1e-3}]).records()
    assert [record.state for record in records] == ["complete"] * 2


def test_what_a_killed_driver_left_of_an_ended_trial_is_cleared_up(tone_corpus, tmp_path):
    storage = make_storage(tmp_path, [{"lr": 1e-2}, {"lr": 1e-3}], epochs=1)
    ended = storage.next().key
    storage.report(ended, [{"epoch": 1, "val/accuracy": 0.5}])
    storage.finish(ended)
    left = tmp_path / "trials" / ended
    left.mkdir(parents=True)
    (left / "checkpoint.pt").touch()
    (left / "hanging.txt").touch()
    run_all(storage, tone_corpus, tmp_path)
    left = [path for path in (tmp_path / "trials").rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["predictions.npz"]  # of the one that was run
