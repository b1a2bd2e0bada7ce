"""A measurement is of what a trial does, and leaves no trace in what comes after it."""

import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from tune_audio.costs.apart import Request, measure_apart
from tune_audio.costs.family_costs import FamilyCosts
from tune_audio.costs.measure import Measurement, measure
from tune_audio.costs.remembered import Remembered, key_of
from tune_audio.data.corpus import Corpus
from tune_audio.features.store import FeatureStore
from tune_audio.space import SearchSpace
from tune_audio.training.learners import make_learner
from tune_audio.training.train_params import TrainParams

JOB = {"epochs": 3, "metric": "val/accuracy", "folds": None}


def configuration(model: str = "lstm_cnn", batch_size: int = 16, **params) -> dict:
    small = {"channels": 4, "hidden_size": 4} if model == "lstm_cnn" else {}
    return {
        "model": model,
        "model_params": {**small, **params.pop("model_params", {})},
        "train_params": asdict(TrainParams(batch_size=batch_size, **params)),
        "threads": 1,
        "gpus": 0,
    }


class FakeMemory:
    """A device that says how much of it was taken."""

    device, device_bytes = "H0", 80 * 10**9

    def start(self) -> None:
        self.started = True

    def peak(self) -> int:
        return 7 * 10**9


def measured(corpus: Corpus, config: dict, feature_bytes: int = 10**9, **kwargs) -> Measurement:
    return measure(corpus, config, JOB, feature_bytes=feature_bytes, **kwargs)


def test_an_epoch_takes_about_as_long_as_measured(tone_corpus, tmp_path):
    config = configuration(model_params={"channels": 32, "hidden_size": 64})
    m = measured(tone_corpus, config)
    learner = make_learner(tone_corpus, FeatureStore(tmp_path, 10**9), config, JOB)
    learner.train_epoch()  # computes what the next ones read
    threads, took = torch.get_num_threads(), []
    torch.set_num_threads(1)
    for _ in range(4):
        started = time.process_time()  # others' load is not in it
        learner.train_epoch()
        took.append(time.process_time() - started)
    torch.set_num_threads(threads)
    assert m.seconds(72, 24, "none") == pytest.approx(min(took), rel=0.5)


def test_the_features_of_a_clip_are_those_of_the_store(tone_corpus, tmp_path):
    config, store = configuration(augment="noise"), FeatureStore(tmp_path, 10**9)
    learner = make_learner(tone_corpus, store, config, JOB)
    view = learner.features.train(0)
    a_clip = view.batch(torch.arange(1))[0].nbytes
    m = measured(tone_corpus, config, augments=["time_mask"])
    assert {augment: prefix.bytes for augment, prefix in m.prefixes.items()} == dict.fromkeys(
        ["noise", "none", "time_mask"], a_clip
    )


def test_what_does_not_fit_into_the_store_is_paid_for_in_every_epoch(tone_corpus):
    config = configuration(augment="noise", views=3)
    a_clip = measured(tone_corpus, config).prefixes["noise"].bytes
    m = measured(tone_corpus, config, feature_bytes=2 * 72 * a_clip)  # two of three views
    assert m.prefixes["noise"].bytes == 0 and m.prefixes["none"].bytes == a_clip
    live = m.seconds(72, 0, "noise") - m.seconds(72, 0, "none")
    assert live == pytest.approx(72 * m.prefixes["noise"].seconds)


def test_raw_waveforms_are_kept_nowhere(tone_corpus):
    m = measured(tone_corpus, configuration("cnn_raw"))
    assert m.prefixes["none"].bytes == 0


def test_nothing_is_drawn_from_the_generators_of_others_and_nothing_written(tone_corpus, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    before = sorted(tone_corpus.folder.rglob("*"))
    measured(tone_corpus, configuration(augment="noise"))
    assert torch.equal(torch.rand(3), expected) and torch.get_num_threads() == threads
    assert sorted(tone_corpus.folder.rglob("*")) == before


def test_a_search_after_it_has_the_same_numbers(tone_corpus, tmp_path):
    config = configuration(augment="noise")

    def losses(name: str) -> list[float]:
        learner = make_learner(tone_corpus, FeatureStore(tmp_path / name, 10**9), config, JOB)
        return [learner.train_epoch()["train/loss"] for _ in range(2)]

    first = losses("before")
    measured(tone_corpus, config)
    assert losses("after") == first


def test_folds_are_measured_together(tone_corpus):
    m = measure(tone_corpus, configuration(), JOB | {"folds": 3}, feature_bytes=10**9)
    assert m.train_seconds > 0 and m.prefixes["none"].bytes > 0


def test_the_memory_is_the_device_s(tone_corpus):
    m = measured(tone_corpus, configuration(), memory=FakeMemory())
    assert (m.device, m.device_bytes, m.peak_bytes) == ("H0", 80 * 10**9, 7 * 10**9)


def test_running_out_of_gpu_memory_is_an_answer(tone_corpus, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("tune_audio.costs.measure.make_learner", full)
    m = measured(tone_corpus, configuration(), memory=FakeMemory())
    assert m == Measurement("H0", 80 * 10**9, out_of_memory=True)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells it")
def test_each_process_s_memory_is_its_own(tone_corpus):
    ballast = torch.ones(150_000_000)  # 600 MB, which the children have not
    wide = configuration(batch_size=64, model_params={"channels": 64, "hidden_size": 1024})
    requests = {
        (name, "largest"): Request(tone_corpus, config, JOB, [], 10**9)
        for name, config in [("small", configuration()), ("wide", wide)]
    }
    answers = {name: answer for (name, _), answer in measure_apart(requests, at_once=2)}
    small, wide_one = answers["small"].peak_bytes, answers["wide"].peak_bytes
    assert ballast.nbytes == 600_000_000 and 100 * 10**6 < small < 600 * 10**6
    # Weights, gradients and two moments of Adam: 4 x 4 bytes each, 4.2 million in the LSTM alone.
    assert wide_one - small > 50 * 10**6


def test_what_is_wrong_with_a_configuration_is_told_and_a_dead_process_is(tone_corpus):
    broken = configuration(model_params={"mel_bins": -1})
    request = Request(tone_corpus, broken, JOB, [], 10**9)
    ((_, answer),) = measure_apart({("broken", "largest"): request}, at_once=1)
    assert isinstance(answer, str) and "Error" in answer


def test_a_measurement_is_remembered_by_all_that_it_depends_on(tone_corpus, tmp_path):
    memory, config = Remembered(tmp_path), configuration()
    key = key_of(tone_corpus, config, JOB, "H0", ["none"])
    assert memory.get(key) is None
    m = measured(tone_corpus, config)
    memory.put(key, m)
    assert Remembered(tmp_path).get(key) == m
    lr = {**config, "train_params": config["train_params"] | {"lr": 0.5}}
    assert key_of(tone_corpus, lr, JOB, "H0", ["none"]) == key  # a rate costs nothing
    others = [
        key_of(tone_corpus, configuration(batch_size=17), JOB, "H0", ["none"]),
        key_of(tone_corpus, configuration(model_params={"channels": 5}), JOB, "H0", ["none"]),
        key_of(tone_corpus, config, JOB, "T4", ["none"]),
        key_of(tone_corpus, config, JOB | {"folds": 4}, "H0", ["none"]),
    ]
    assert len({key, *others}) == 5
    (tmp_path / key / "measurement.json").write_text("{")
    assert memory.get(key) is None


def family_costs(corpus: Corpus, folder: Path, params: dict, **model) -> FamilyCosts:
    space = SearchSpace.from_dict(
        {
            "data": {"name": "folder"},
            "train": {"epochs": 3},
            "search": {"sampler": "grid"},
            "params": params,
            "models": {"family": {"model": "lstm_cnn", **model}},
        }
    )
    family = space.families["family"]
    return FamilyCosts(family, family.grid(), corpus, 3, None, FeatureStore(folder, 10**9))


def test_the_costliest_configuration_has_the_largest_batch_of_the_widest_model(
    tone_corpus, tmp_path
):
    costs = family_costs(
        tone_corpus, tmp_path, {"batch_size": [8, 32, 16]}, hidden_size=[4, 64, 16], channels=4
    )
    chosen = costs.costliest
    assert (chosen.params.batch_size, chosen.model_params["hidden_size"]) == (32, 64)
    assert costs.typical.model_params["hidden_size"] == 16


def test_a_frozen_prefix_is_paid_for_once_and_not_where_it_is_stored(tone_corpus, tmp_path):
    costs = family_costs(
        tone_corpus, tmp_path, {"augment": ["none", "noise"], "lr": [0.1, 0.01]}, channels=4
    )
    m = measured(tone_corpus, configuration(), augments=costs.augments)
    works = costs.works(m, 1, 0)
    names = {name for work in works for name in work.prefixes}
    assert len(names) == 5  # three views of noise, the clean clips, those of validation
    a_clip = m.prefixes["none"].bytes
    assert sum(costs.stored_bytes(m).values()) == (4 * 72 + 24) * a_clip

    clean = costs.config(next(c for c in costs.configurations if c.params.augment == "none"), 1, 0)
    make_learner(tone_corpus, FeatureStore(tmp_path, 10**9), clean, JOB).train_epoch()
    again = family_costs(
        tone_corpus, tmp_path, {"augment": ["none", "noise"], "lr": [0.1, 0.01]}, channels=4
    )
    left = {name for work in again.works(m, 1, 0) for name in work.prefixes}
    assert len(left) == 3 and left < names
