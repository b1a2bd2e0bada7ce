"""A trial goes on from its checkpoint, wherever that was written."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from tune_audio.data.corpus import Corpus
from tune_audio.training.train_params import TrainParams
from tune_audio.tuning.trial import CHECKPOINT, AudioTrial

EPOCHS = 3


@pytest.fixture
def config(tmp_path: Path) -> dict:
    return {
        "folder": str(tmp_path / "trial"),
        "model": "lstm_cnn",
        "model_params": {"channels": 4, "hidden_size": 4},
        "train_params": asdict(TrainParams(lr=1e-2, batch_size=16)),
        "threads": 1,
        "patience_seconds": 60.0,
        "gpus": 0,
    }


@pytest.fixture
def job(tone_corpus: Corpus, tmp_path: Path) -> dict:
    return {
        "corpus": str(tone_corpus.folder),
        "features": str(tmp_path / "features"),
        "feature_bytes": 10**9,
        "served": None,
        "epochs": EPOCHS,
        "metric": "val/accuracy",
        "maximize": True,
        "folds": None,
        "test": False,
    }


def start(config: dict, job: dict) -> AudioTrial:
    trial = AudioTrial.__new__(AudioTrial)  # without what Ray sets up around it
    trial.setup(config, job)
    return trial


def finish(trial: AudioTrial) -> list[dict]:
    """The rows of all its epochs."""
    while not (result := trial.step())["done"]:
        pass
    assert result["error"] is None
    return result["epochs"]


def losses(epochs: list[dict]) -> list[tuple]:
    return [(row["epoch"], row["train/loss"], row["val/loss"]) for row in epochs]


def written_on_a_gpu(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same checkpoint with all its tensors marked as torch marks those of a GPU."""
    state = torch.load(checkpoint, weights_only=True)
    with monkeypatch.context() as patch:
        patch.setattr("torch.serialization.location_tag", lambda storage: "cuda:0")
        torch.save(state, checkpoint)


@pytest.mark.parametrize("optimizer", ["adam", "adamax", "sgd"])
def test_a_checkpoint_of_a_gpu_is_resumed_without_one(config, job, optimizer, monkeypatch) -> None:
    config["train_params"]["optimizer"] = optimizer
    expected = finish(start(config | {"folder": f"{config['folder']}-undisturbed"}, job))
    start(config, job).step()
    written_on_a_gpu(Path(config["folder"]) / CHECKPOINT, monkeypatch)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    resumed = start(config, job)
    assert losses(finish(resumed)) == losses(expected)
    state = resumed.learner.optimizer.state.values()
    devices = {tensor.device.type for of_parameter in state for tensor in of_parameter.values()}
    assert devices == {"cpu"}
