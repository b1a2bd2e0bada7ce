"""A saved model from somebody else: it loads, or it is one line; nothing is fetched or run."""

import copy
import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from make_audio import RATE
from make_checkpoints import tiny_wav2vec2
from safetensors.torch import load_file, save_file

from tune_audio.errors import UserError
from tune_audio.models import build_model, pretrained
from tune_audio.models.saved import load_model, save_model

MUTANTS = 100
GIGABYTE = 2**30


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: Any, **__: Any) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(pretrained, "snapshot_download", reached)
    monkeypatch.setattr(pretrained.Backbone, "load", reached)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A saved model without a backbone, and one with a tiny one."""
    place = tmp_path_factory.mktemp("models")
    checkpoint = str(tiny_wav2vec2(place / "checkpoint"))
    made = {}
    of = {"lstm_cnn": {"hidden_size": 8}, "wav2vec2": {"checkpoint": checkpoint}}
    for name, params in of.items():
        model = build_model(name, 2, RATE // 2, RATE, **params)
        made[name] = place / name
        save_model(
            made[name],
            model,
            name=name,
            params=params,
            labels=["yes", "no"],
            clip_samples=RATE // 2,
            sample_rate=RATE,
            extra={"family": "mine", "multi_label": False},
        )
    return made


def altered(folder: Path, change: dict[str, Any], copy_to: Path) -> Path:
    """A copy of a model with another config.json; a change is by the path of its key."""
    copy_to.mkdir()
    (copy_to / "model.safetensors").symlink_to(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    for place, value in change.items():
        *above, key = place.split(".")
        at = config
        for name in above:
            at = at[name]
        if value is None:
            del at[key]
        else:
            at[key] = value
    (copy_to / "config.json").write_text(json.dumps(config))
    return copy_to


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("wav2vec2", {"architecture": None}, "architecture: wav2vec2 lacks one"),
        ("lstm_cnn", {"model": "wav2vec2", "params": {}}, "architecture: wav2vec2 lacks one"),
        ("lstm_cnn", {"params.checkpoint": "org/repository"}, "params.checkpoint: lstm_cnn has no"),
        ("lstm_cnn", {"params.hidden_size": -1}, "params.hidden_size: Input should be greater"),
        ("lstm_cnn", {"params.hidden_size": 10**9}, "the model is larger than its weights"),
        ("lstm_cnn", {"params.hidden_size": 9}, "RuntimeError"),
        ("lstm_cnn", {"model": "no_such"}, "model: got 'no_such'; allowed are"),
        ("lstm_cnn", {"extras": 1}, "extras: Extra inputs are not permitted"),
        ("lstm_cnn", {"labels": []}, "labels: "),
        ("lstm_cnn", {"labels": ["yes", "yes"]}, "labels: one stands there twice"),
        ("lstm_cnn", {"labels": [str(n) for n in range(99_999)]}, "larger than|RuntimeError"),
        ("lstm_cnn", {"clip_samples": 2**40}, "clip_samples: "),
        ("lstm_cnn", {"sample_rate": "16000"}, "sample_rate: "),
        ("lstm_cnn", {"extra.multi_label": "perhaps"}, "extra.multi_label: "),
        ("lstm_cnn", {"extra.peak": "loud"}, "extra.peak: "),
        ("lstm_cnn", {"format": 2}, "format 2: written by another version"),
        ("wav2vec2", {"architecture.config.hidden_size": 2**22}, "larger than its weights"),
        ("wav2vec2", {"architecture.config.num_hidden_layers": 2**40}, "num_hidden_layers is"),
        (
            "wav2vec2",
            {"architecture.config.auto_map": {"AutoModel": "a/b--c.D"}},
            "auto_map is not",
        ),
        (
            "wav2vec2",
            {"architecture.config._attn_implementation": "org/kernel"},
            "_attn_implementation",
        ),
    ],
)
def test_what_is_wrong_is_told(models, tmp_path: Path, name: str, change: dict, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        load_model(altered(models[name], change, tmp_path / "model"))
    assert "\n" not in caught.value.message


def test_weights_that_are_no_numbers_are_refused(models, tmp_path: Path) -> None:
    folder = altered(models["lstm_cnn"], {}, tmp_path / "model")
    weights = load_file(models["lstm_cnn"] / "model.safetensors")
    weights["classifier.bias"][0] = torch.nan
    (folder / "model.safetensors").unlink()
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"classifier\.bias has weights that are no numbers"):
        load_model(folder)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a JSON text."""
    yield at
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, below in value.items() if isinstance(value, dict) else ():
        yield from places(below, (*at, key))


STRANGE = [
    *(None, True, -1, 0, 1, 7, 10**9, 1e308, -0.5),
    *("", "a/b", "/etc", "\u0000", [], [[]], {}, {"a": 1}),
]


@pytest.mark.parametrize("name", ["lstm_cnn", "wav2vec2"])
def test_whatever_stands_there_it_loads_or_is_one_line(models, tmp_path: Path, name: str) -> None:
    given = json.loads((models[name] / "config.json").read_text())
    known, random = list(places(given))[1:], np.random.default_rng(0)
    folder, loaded = altered(models[name], {}, tmp_path / "model"), 0
    for _ in range(MUTANTS):
        config = copy.deepcopy(given)
        *above, key = known[random.integers(len(known))]
        at = config
        for step in above:
            at = at[step]
        at[key] = STRANGE[random.integers(len(STRANGE))]
        (folder / "config.json").write_text(json.dumps(config))
        try:
            load_model(folder)
            loaded += 1
        except UserError as error:
            assert "\n" not in error.message
    assert 0 < loaded < MUTANTS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 4 * GIGABYTE


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "NaN", "[" * 100_000, '{"format": 1}'])
def test_a_text_that_is_no_config_is_one_line(models, tmp_path: Path, text: str) -> None:
    folder = altered(models["lstm_cnn"], {}, tmp_path / "model")
    (folder / "config.json").write_text(text)
    with pytest.raises(UserError, match="not a model that can be loaded"):
        load_model(folder)
