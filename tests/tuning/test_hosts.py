"""Trials on hosts without shared storage: what they need comes, what they make goes."""

import os
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import ray

from tune_audio.training.train_params import TrainParams
from tune_audio.tuning import files as files_module
from tune_audio.tuning.cluster import start_ray
from tune_audio.tuning.files import Served, serve
from tune_audio.tuning.hosts import Elsewhere, Here, find_home
from tune_audio.tuning.trial import CHECKPOINT, AudioTrial

EPOCHS = 3


@pytest.fixture(scope="module", autouse=True)
def ray_on_this_machine():
    start_ray()
    yield
    ray.shutdown()


@pytest.fixture
def their_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of the host that sees nothing of the driver's; what Tune would give as its cwd."""
    monkeypatch.setenv("TUNE_AUDIO_CACHE", str(tmp_path / "their_cache"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "their_cache"


@pytest.fixture
def served(tone_corpus, tmp_path: Path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "config.json").write_text("{}")
    with serve(tmp_path / "run", [tone_corpus.folder, weights]) as served:
        yield served


@pytest.fixture
def job(served: Served, tone_corpus, tmp_path: Path) -> dict:
    """Of a run, as a host gets it that has another file system: the beacon is not there."""
    return {
        "corpus": str(tone_corpus.folder),
        "features": str(tmp_path / "features"),
        "feature_bytes": 10**9,
        "cache_gb": 1.0,
        "pretrained": (str(tmp_path / "weights"),),
        "served": Served(served.actor, "/on/another/host"),
        "epochs": EPOCHS,
        "metric": "val/accuracy",
        "maximize": True,
        "folds": None,
        "test": True,
    }


@pytest.fixture
def config(tmp_path: Path) -> dict:
    return {
        "key": "family-0",
        "family": "family",
        "folder": str(tmp_path / "run" / "family-0"),
        "model": "lstm_cnn",
        "params": {},
        "model_params": {"channels": 4, "hidden_size": 4},
        "train_params": asdict(TrainParams(lr=1e-2, batch_size=16)),
        "threads": 1,
        "patience_seconds": 60.0,
        "calibration": None,
        "gpus": 0,
        "demonstration": False,
    }


def start(config: dict, job: dict) -> AudioTrial:
    trial = AudioTrial.__new__(AudioTrial)  # without what Ray sets up around it
    trial.setup(config, job)
    return trial


@pytest.fixture
def without_the_driver_s_cache(monkeypatch: pytest.MonkeyPatch, tone_corpus):
    """This process does not see the driver's corpus; the actor beside the driver does."""
    exists = Path.exists
    hidden = tone_corpus.folder
    monkeypatch.setattr(
        Path, "exists", lambda path, **how: hidden not in path.parents and exists(path, **how)
    )


def test_the_beacon_tells_who_sees_the_driver_s_folders(served, job):
    assert isinstance(find_home(job), Elsewhere)
    assert isinstance(find_home(job | {"served": served}), Here)


def test_the_corpus_comes_once_and_is_the_same(
    job, tone_corpus, their_cache, without_the_driver_s_cache
):
    mine = Elsewhere(job).corpus()
    assert mine == their_cache / "corpora" / tone_corpus.folder.name
    names = sorted(path.name for path in tone_corpus.folder.iterdir())
    assert sorted(path.name for path in mine.iterdir()) == names
    for name in names:
        assert (mine / name).read_bytes() == (tone_corpus.folder / name).read_bytes()
    written = (mine / "corpus.json").stat().st_ino
    assert Elsewhere(job).corpus() == mine
    assert (mine / "corpus.json").stat().st_ino == written  # not brought again


def test_a_trial_elsewhere_leaves_all_on_the_driver_s_host_and_nothing_here(
    config, job, their_cache, without_the_driver_s_cache, tmp_path
):
    trial = start(config, job)
    while not (result := trial.step())["done"]:
        time.sleep(0.3)  # for the checkpoint to have gone
    assert (result["error"], result["trouble"]) == (None, None)
    extra = dict(result["extra"])
    home = Path(config["folder"])
    assert extra["model_folder"] == str(home / "model")
    assert (home / "model" / "model.safetensors").stat().st_size > 0
    assert (home / "predictions.csv").exists() and not list(home.rglob("*.partial"))
    trial.cleanup()
    assert list(Path.cwd().iterdir()) == []


def test_another_host_goes_on_from_the_checkpoint_that_was_sent(
    config, job, their_cache, without_the_driver_s_cache
):
    undisturbed = start(config | {"folder": f"{config['folder']}-other"}, job)
    while not (expected := undisturbed.step())["done"]:
        pass
    first = start(config, job)
    first.step()
    sent = Path(config["folder"], CHECKPOINT)
    deadline = time.monotonic() + 20
    while not os.path.exists(sent) and time.monotonic() < deadline:
        time.sleep(0.05)
    second = start(config, job)  # `first` is never heard of again
    result = second.step()
    assert [row["epoch"] for row in result["epochs"]] == [1, 2]
    while not result["done"]:
        result = second.step()
    losses = [[row["val/loss"] for row in r["epochs"]] for r in (result, expected)]
    assert losses[0] == losses[1]


def test_a_folder_of_weights_comes_along_and_a_hub_s_name_stays(job, their_cache, tmp_path):
    weights = tmp_path / "weights"
    home = Elsewhere(job)
    for params in (
        {"dropout": 0.1},
        {"checkpoint": "facebook/wav2vec2-base"},
        {"checkpoint": str(weights)},  # this host has the same at that place
    ):
        assert home.brought(params) == params
    is_file = Path.is_file
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "is_file", lambda p: weights not in p.parents and is_file(p))
        brought = home.brought({"checkpoint": str(weights), "dropout": 0.1})
    mine = Path(brought["checkpoint"])
    assert brought["dropout"] == 0.1
    assert mine.parent == their_cache / "pretrained"
    assert (mine / "config.json").read_text() == "{}"

    (weights / "config.json").write_text("[]")  # as large as before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "is_file", lambda p: weights not in p.parents and is_file(p))
        newer = Path(home.brought({"checkpoint": str(weights)})["checkpoint"])
    assert newer != mine and (newer / "config.json").read_text() == "[]"


def test_files_travel_in_pieces(served, tmp_path, monkeypatch):
    monkeypatch.setattr(files_module, "PIECE_BYTES", 1000)
    content = np.random.default_rng(0).bytes(3500)
    for size in (0, 1, 1000, 3500):
        source, target = tmp_path / "source", tmp_path / "run" / "deep" / f"{size}.bin"
        source.write_bytes(content[:size])
        with open(source, "rb") as stream:
            assert len(list(served.send(stream, str(target)))) == max(1, -(-size // 1000))
        assert target.read_bytes() == content[:size]
    back = tmp_path / "back"
    served.fetch(str(target), 3500, back)
    assert back.read_bytes() == content


@pytest.mark.parametrize("path", ["{run}/../secret", "/etc/passwd", "{run}x/file"])
def test_nothing_else_of_the_driver_s_host_is_read_or_written(served, tmp_path, path):
    path = path.format(run=tmp_path / "run")
    for call in (
        served.actor.read.remote(path, 0, 1),
        served.actor.listing.remote(path),
        served.actor.size.remote(path),
        served.actor.write.remote(path, "me", 0, b""),
        served.actor.publish.remote(path, "me"),
    ):
        with pytest.raises(PermissionError):
            ray.get(call)


def test_what_is_only_to_be_read_is_not_written(served, tone_corpus):
    with pytest.raises(PermissionError):
        ray.get(served.actor.write.remote(str(tone_corpus.folder / "new"), "me", 0, b""))


def test_a_host_that_cannot_reach_the_driver_s_says_so_and_its_trial_is_not_given_up(
    config, job, their_cache, without_the_driver_s_cache
):
    trial = start(config, job)
    trial.step()
    ray.kill(job["served"].actor)
    while not (result := trial.step())["done"]:
        time.sleep(0.2)
    assert result["error"] is None and "the driver's host does not answer" in result["trouble"]


def test_predictions_of_ended_and_of_stopped_trials_reach_the_driver_s_host(
    config, job, their_cache, without_the_driver_s_cache
):
    job, kept = job | {"test": False}, Path(config["folder"]) / "predictions.npz"
    trial = start(config, job)
    trial.step()
    assert not kept.exists()
    trial.cleanup()  # stopped after an epoch
    first = kept.read_bytes()
    kept.unlink()
    trial = start(config, job)
    while not trial.step()["done"]:
        pass
    assert kept.exists() and first  # before the trial is told to have ended
    trial.cleanup()
