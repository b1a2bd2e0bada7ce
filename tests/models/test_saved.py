"""A saved model is the model: equal logits, without its checkpoint, from JSON and safetensors."""

import json
import pkgutil
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from make_audio import RATE
from make_checkpoints import tiny_ast, tiny_wav2vec2
from torch import nn

from tune_audio.errors import UserError
from tune_audio.models import MODELS
from tune_audio.models.saved import load_model, save_model

LABELS = ["yes", "no", "stop", "go"]
SAMPLES = 8000


def save(folder: Path, model: nn.Sequential, name: str, params: dict[str, Any]) -> None:
    save_model(
        folder,
        model,
        name=name,
        params=params,
        labels=LABELS,
        clip_samples=SAMPLES,
        sample_rate=RATE,
        extra={"family": "mine", "test/accuracy": 0.9},
    )


def build(name: str, params: dict[str, Any]) -> nn.Sequential:
    model = pkgutil.resolve_name(MODELS[name])(len(LABELS), SAMPLES, RATE, **params)
    with torch.no_grad():
        model.train()(0.1 * torch.randn(4, SAMPLES))  # running means of batch norms move
    return model.eval()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("lstm_cnn", {"hidden_size": 24, "dropout": 0.5}),
        ("wav2vec2", {"freeze": "backbone"}),
        ("wav2vec2", {"freeze": "none"}),
        ("ast", {"freeze": "none"}),
        ("ast", {"freeze": "backbone", "max_length": 40}),
    ],
)
def test_round_trip(name: str, params: dict[str, Any], tmp_path: Path) -> None:
    tiny = {"wav2vec2": tiny_wav2vec2, "ast": tiny_ast}
    if name in tiny:
        params = params | {"checkpoint": tiny[name](tmp_path / "checkpoint")}
    model = build(name, params)
    save(tmp_path / "runs" / "model", model, name, params)
    shutil.rmtree(tmp_path / "checkpoint", ignore_errors=True)

    random_state = torch.get_rng_state()
    loaded, config = load_model(tmp_path / "runs" / "model")

    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(module.training for module in loaded.modules())
    waveforms = 0.1 * torch.randn(3, SAMPLES)
    with torch.no_grad():
        assert torch.equal(loaded(waveforms), model(waveforms))
    assert config["params"] == params
    assert (config["model"], config["labels"]) == (name, LABELS)
    assert (config["clip_samples"], config["sample_rate"]) == (SAMPLES, 16_000)
    assert config["extra"] == {"family": "mine", "test/accuracy": 0.9}
    assert "torch" in config["versions"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save(tmp_path / "model", build("lstm_cnn", {}), "lstm_cnn", {})
    return tmp_path / "model"


def test_a_folder_that_is_there_is_replaced(saved: Path) -> None:
    (saved / "of_before").touch()
    model = build("lstm_cnn", {"hidden_size": 16})
    save(saved, model, "lstm_cnn", {"hidden_size": 16})
    loaded, _ = load_model(saved)
    assert loaded.classifier.in_features == model.classifier.in_features
    assert [path.name for path in saved.parent.iterdir()] == ["model"]
    assert {path.name for path in saved.iterdir()} == {"config.json", "model.safetensors"}


def test_what_cannot_be_saved_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save(tmp_path / "model", build("lstm_cnn", {}), "lstm_cnn", {"unfit": object()})
    assert list(tmp_path.iterdir()) == []


def change(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGES = {
    "no config": lambda folder: (folder / "config.json").unlink(),
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "not JSON": lambda folder: (folder / "config.json").write_text("{"),
    "JSON, not ours": lambda folder: (folder / "config.json").write_text("[]"),
    "cut weights": lambda folder: (folder / "model.safetensors").write_bytes(b"short"),
    "other labels": lambda folder: change(folder, labels=["one"]),
    "other model": lambda folder: change(folder, model="unheard_of"),
    "other keyword": lambda folder: change(folder, params={"unheard_of": 1}),
    "other format": lambda folder: change(folder, format=99),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_one_line(damage: str, saved: Path) -> None:
    DAMAGES[damage](saved)
    with pytest.raises(UserError, match="not a model that can be loaded") as raised:
        load_model(saved)
    assert str(saved) in raised.value.message
    assert "\n" not in raised.value.message
