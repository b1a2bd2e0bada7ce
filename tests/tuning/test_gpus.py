"""GPUs that Ray believes in: what is measured decides how trials share them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tune_audio.costs.measure import Measurement, Prefix
from tune_audio.data.corpus import Corpus
from tune_audio.space import SearchSpace
from tune_audio.tuning import gpus, study
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.gpus import pack
from tune_audio.tuning.storage import Storage

GB = 10**9


@pytest.fixture(scope="module", autouse=True)
def a_gpu() -> Iterator[None]:
    """A Ray that believes to have one."""
    import ray

    ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def measured_as(gpu: Measurement, cpu: Measurement | None = None):
    """A stand-in for `measure`, which Ray's workers can run: it leaves a mark a call."""

    def fake(corpus, config, job, *, augments, feature_bytes) -> Measurement:
        marks = Path(job["features"])
        marks.mkdir(exist_ok=True)
        number = len(list(marks.iterdir()))
        (marks / f"{number}").write_text("gpu" if config["gpus"] else "cpu")
        return gpu if config["gpus"] else (cpu or gpu)

    return fake


def on_gpu(**changes) -> Measurement:
    fast = Measurement("H0", 80 * GB, 10 * GB, 1e-5, 1e-5, 0.0, {"none": Prefix(1e-6, 100)}, False)
    return replace(fast, **changes)


ON_CPU = on_gpu(device="cpu", device_bytes=None, train_seconds=1.0)


def packed(tmp_path: Path, corpus: Corpus, measure, gpus: float | str = "auto", **resources):
    space = SearchSpace.from_dict(
        {
            "data": {"name": "folder"},
            "train": {"epochs": 2},
            "search": {"sampler": "grid", "gpus_per_trial": gpus},
            "models": {
                "small": {"model": "lstm_cnn", "channels": 4, "hidden_size": 4},
                "asked": {"model": "lstm_cnn", "channels": 4, "resources": {"gpus": 0.5}},
            },
        }
    )
    plans = {name: Plan(family, family.grid()) for name, family in space.families.items()}
    needs = {name: study.resources(family, space.search) for name, family in space.families.items()}
    job = {
        "corpus": str(corpus.folder),
        "features": str(tmp_path / "features"),
        "feature_bytes": GB,
        "served": None,
        "epochs": 2,
        "metric": "val/accuracy",
        "folds": None,
    }
    told: list[str] = []
    found = pack(needs, plans, space.search, corpus, job, say=told.append, measure=measure)
    return {family: need["GPU"] for family, need in found.items()}, told


@pytest.fixture
def measured_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: one of Ray's own a measurement is seconds."""
    import ray

    def start(task, measure):
        return ray.put(gpus._run(measure, task.config, dict(task.job), task.costs.augments))

    monkeypatch.setattr(gpus._Task, "start", start)


def calls(tmp_path: Path) -> list[str]:
    return sorted(mark.read_text() for mark in (tmp_path / "features").glob("*"))


def test_a_family_gets_the_part_that_it_needs_and_what_was_asked_for_stays(tone_corpus, tmp_path):
    shares, told = packed(tmp_path, tone_corpus, measured_as(on_gpu(), ON_CPU))
    # 80 GB / (10 GB and 15 % more) is 6.96; the CPU, where it is slower, was tried, too
    assert shares == {"small": pytest.approx(1 / 6, abs=1e-4), "asked": 0.5}
    assert calls(tmp_path) == ["cpu", "gpu"]
    assert told[1:] == ["models.small: 0.1666 of a GPU a trial, of which it took 10.0 GB"]


def test_what_was_measured_is_remembered(tone_corpus, tmp_path, measured_here):
    first, _ = packed(tmp_path, tone_corpus, measured_as(on_gpu(), ON_CPU))
    again, told = packed(tmp_path, tone_corpus, measured_as(on_gpu(peak_bytes=GB), ON_CPU))
    assert again == first and len(calls(tmp_path)) == 2 and len(told) == 1


def test_a_head_runs_without_a_gpu_where_that_is_as_quick(tone_corpus, tmp_path, measured_here):
    slow = on_gpu(train_seconds=1.0)
    shares, told = packed(tmp_path, tone_corpus, measured_as(slow, ON_CPU))
    assert shares["small"] == 0.0
    assert "runs without a GPU" in told[-1] or "run without a GPU" in told[-1]


def test_a_measurement_out_of_memory_is_a_whole_gpu_and_said(tone_corpus, tmp_path, measured_here):
    measure = measured_as(Measurement("H0", 80 * GB, out_of_memory=True), ON_CPU)
    shares, told = packed(tmp_path, tone_corpus, measure)
    assert shares["small"] == 1.0 and "too much" in told[1]


def test_a_worker_that_dies_measuring_counts_as_out_of_memory(tone_corpus, tmp_path):
    def dies(corpus, config, job, **_) -> Measurement:
        import os

        os._exit(1)

    shares, _ = packed(tmp_path, tone_corpus, dies)
    assert shares["small"] == 1.0
    assert not (tmp_path / "measurements").exists()


def test_nothing_is_measured_where_gpus_were_asked_for(tone_corpus, tmp_path):
    shares, told = packed(tmp_path, tone_corpus, measured_as(on_gpu()), gpus=0.25)
    assert shares == {"small": 0.25, "asked": 0.5} and calls(tmp_path) == [] == told


def test_nothing_is_measured_where_there_is_no_gpu(tone_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "machines", lambda: [{"CPU": 2.0}])
    _, told = packed(tmp_path, tone_corpus, measured_as(on_gpu()))
    assert calls(tmp_path) == [] == told


def test_a_trial_out_of_memory_is_repeated_with_twice_the_share(
    tone_corpus, tmp_path, monkeypatch, capsys
):
    from ray import tune

    class Fits(tune.Trainable):  # here, so that workers get it by value
        def setup(self, config, job) -> None:
            self.reset_config(config)

        def reset_config(self, new_config) -> bool:
            self.config = new_config
            return True

        def step(self) -> dict:
            lacking = self.config["gpus"] < self.config["train_params"]["lr"]
            error = "out of GPU memory" if lacking else None
            epochs = [] if lacking else [{"epoch": 1, "val/accuracy": self.config["gpus"]}]
            return {
                "epochs": epochs,
                "done": True,
                "error": error,
                "out_of_memory": lacking,
                "extra": [],
            }

    monkeypatch.setattr(study, "AudioTrial", Fits)
    monkeypatch.setattr(
        study, "pack", lambda needs, *_, **__: {"family": {"CPU": 1.0, "GPU": 0.25}}
    )
    space = SearchSpace.from_dict(
        {
            "data": {"name": "folder"},
            "train": {"epochs": 1},
            "search": {"sampler": "grid", "scheduler": "none"},
            "models": {"family": {"model": "lstm_cnn"}},
        }
    )
    # As much of a GPU as they need: the second of them more than twice what it is given.
    plan = Plan(space.families["family"], [{"lr": need} for need in (0.5, 2.0, 0.1)])
    storage = Storage(tmp_path / "optuna.db", [plan], space.search, epochs=1)
    study.run(storage, tone_corpus, tmp_path / "trials", features=tmp_path / "f", feature_bytes=GB)
    first, second, third = storage.records()
    assert (first.state, first.value) == ("complete", 0.5)
    assert second.state == "failed" and second.extra["error"] == "out of GPU memory"
    assert third.state == "complete"
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "family-0: out of memory with 0.25 of a GPU" in "".join(told)
