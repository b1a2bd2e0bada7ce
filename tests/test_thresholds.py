"""Thresholds against brute force, on a made challenge; and which model is meant."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from make_audio import RATE, make_kaggle

from tune_audio.data.datasets.commands import LABELS
from tune_audio.errors import UserError
from tune_audio.inference.find import find_model
from tune_audio.models.lstm_cnn import LSTMCNN
from tune_audio.models.saved import save_model
from tune_audio.predict import predict
from tune_audio.space import load_space
from tune_audio.thresholds import (
    Thresholds,
    accuracy12,
    thresholds,
    tune_thresholds,
)
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.storage import Storage

WORDS = ["yes", "no", "bed", "silence", "marvin"]


def random_case(seed: int, clips: int, decimals: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 5), many of them equal where there are few decimals; targets (n,)."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(5, 0.4), clips).round(decimals)
    known = [LABELS.index(label) for label in ("yes", "no", "silence", "unknown")]
    return probabilities, random.choice(known, clips)


def all_rules(scores: np.ndarray) -> list[Thresholds]:
    """Every pair of thresholds that makes a difference, silence above unknown included."""
    values = [0.0, *np.unique(scores), 2.0]
    return [Thresholds(unknown, silence) for unknown in values for silence in values]


def relabelled(rule: Thresholds, scores: np.ndarray) -> int:
    return int((scores < max(rule.unknown_below, rule.silence_below)).sum())


@pytest.mark.parametrize("decimals", [1, 2, 9])
@pytest.mark.parametrize("clips", [1, 2, 7, 24])
@pytest.mark.parametrize("seed", range(4))
def test_no_pair_of_thresholds_is_better(seed: int, clips: int, decimals: int) -> None:
    probabilities, targets = random_case(seed, clips, decimals)
    scores = probabilities.max(axis=1)
    found = tune_thresholds(probabilities, WORDS, targets)
    rules = all_rules(scores)
    accuracy = [accuracy12(probabilities, WORDS, targets, rule) for rule in rules]
    assert accuracy12(probabilities, WORDS, targets, found) == max(accuracy)
    best = [rule for rule, a in zip(rules, accuracy, strict=True) if a == max(accuracy)]
    assert relabelled(found, scores) == min(relabelled(rule, scores) for rule in best)


def test_thresholds_stand_halfway() -> None:
    probabilities = np.array([[0.2, 0.1], [0.4, 0.3], [0.5, 0.1], [0.1, 0.7], [0.9, 0.0]])
    names = ("silence", "silence", "unknown", "no", "yes")
    targets = np.array([LABELS.index(name) for name in names])
    tuned = tune_thresholds(probabilities, ["yes", "no"], targets)
    assert tuned == Thresholds(pytest.approx(0.6), pytest.approx(0.45))
    assert accuracy12(probabilities, ["yes", "no"], targets, tuned) == 1.0


def test_a_model_that_is_always_right_needs_none() -> None:
    targets = np.array([LABELS.index("yes"), LABELS.index("unknown")])
    probabilities = np.array([[0.6, 0.4], [0.3, 0.7]])
    assert tune_thresholds(probabilities, ["yes", "marvin"], targets) == Thresholds(0.0, 0.0)


@pytest.mark.parametrize("score", [1.0, 1.0 - 2**-53, 0.7])
def test_all_may_be_relabelled(score: float) -> None:
    probabilities = np.array([[0.5, 0.1], [score, 0.0]])
    targets = np.full(2, LABELS.index("unknown"))
    tuned = tune_thresholds(probabilities, ["yes", "no"], targets)
    assert accuracy12(probabilities, ["yes", "no"], targets, tuned) == 1.0
    assert tuned.silence_below == 0.0 and score < tuned.unknown_below < 1.001


def test_neighbouring_numbers_are_told_apart() -> None:
    below, above = 0.6, float(np.nextafter(0.6, 1))
    targets = np.array([LABELS.index("unknown"), LABELS.index("yes")])
    probabilities = np.array([[below, 0.1], [above, 0.1]])
    tuned = tune_thresholds(probabilities, ["yes", "no"], targets)
    assert accuracy12(probabilities, ["yes", "no"], targets, tuned) == 1.0


def test_accuracy_of_twelve_classes() -> None:
    """marvin is unknown; a rule beats it; silence goes before unknown; a threshold is not below."""
    probabilities = np.array([[0.8, 0.1], [0.1, 0.9], [0.4, 0.2], [0.2, 0.1], [0.5, 0.3]])
    names = ("yes", "unknown", "unknown", "silence", "yes")
    targets = np.array([LABELS.index(name) for name in names])
    labels = ["yes", "marvin"]
    assert accuracy12(probabilities, labels, targets, Thresholds()) == 0.6
    assert accuracy12(probabilities, labels, targets, Thresholds(0.5, 0.3)) == 1.0
    assert accuracy12(probabilities, labels, targets, Thresholds(0.5, 0.0)) == 0.8
    assert accuracy12(probabilities, labels, targets, Thresholds(0.3, 0.5)) == 0.8


# Beside the model.


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_kaggle(tmp_path_factory.mktemp("challenge"))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Untrained weights, of which the tuner has to make the best."""
    monkeypatch.setenv("TUNE_AUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    params, labels = {"mel_bins": 16, "channels": 8, "hidden_size": 8}, ["bed", "cat", "no", "yes"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = LSTMCNN(4, 1_600, RATE, **params).eval()
    folder = tmp_path / "model"
    how = {"name": "lstm_cnn", "params": params, "labels": labels}
    save_model(folder, weights, **how, clip_samples=1_600, sample_rate=RATE, extra={})
    return folder


def tune(*arguments: object) -> None:
    thresholds.main([str(a) for a in arguments], standalone_mode=False)


def space_file(folder: Path, data: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(
        f"data: {data}\ntrain: {{epochs: 1}}\nsearch: {{sampler: grid}}\n"
        "models: {lstm_cnn: {lr: [1e-3]}}\n"
    )
    return path


SMALL = "{name: kaggle_speech, unknown_clips: 40, silence_clips: 40}"


def test_tuned_on_validation_and_used(model: Path, challenge: Path, capsys) -> None:
    tune(model, "--data", challenge, "--space", space_file(model.parent, SMALL))
    said = capsys.readouterr().out
    stored = json.loads((model / "thresholds.json").read_text())
    # Four speakers say two commands; a tenth of unknown and of silence.
    assert stored["clips"] == 8 + 4 + 4 and stored["data"] == "kaggle_speech"
    scores = stored["val/accuracy"]
    assert scores["tuned"] >= max(scores["no rule"], scores["report B"], 8 / 16)
    for score in scores.values():
        assert f"{score:.4f}" in said
    assert "report B" in said and str(model / "thresholds.json") in said
    assert "may have trained it" not in said
    assert Thresholds.read(model) == Thresholds(stored["unknown_below"], stored["silence_below"])
    assert {p.name for p in model.iterdir()} == {
        "config.json",
        "model.safetensors",
        "thresholds.json",
    }
    predict.main([str(model), str(challenge / "test")], standalone_mode=False)
    assert "as tuned" in capsys.readouterr().err


def test_the_layout_says_which_form_of_the_data(model: Path, challenge: Path, capsys) -> None:
    tune(model, "--data", challenge / "train" / "audio")
    assert json.loads((model / "thresholds.json").read_text())["data"] == "speech_commands12"


def test_a_run_that_was_split_otherwise_is_told(model: Path, challenge: Path, capsys) -> None:
    run = model.parent / "runs" / "x"
    (run / "retrain" / "lstm_cnn-0").mkdir(parents=True)
    model = model.rename(run / "retrain" / "lstm_cnn-0" / "model")
    (run / "space.yaml").write_text("data: {name: speech_commands, split: [0.7, 0.15, 0.15]}")
    tune(model, "--data", challenge, "--space", space_file(run, SMALL))
    assert "may have trained it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            "{name: kaggle_speech, unknown_clips: null, silence_clips: 0}",
            "no validation clips of s",
        ),
        ("{name: kaggle_speech, unknown_clips: 0, silence_clips: 40}", "no validation clips of u"),
        ("{name: folder}", "data.name: folder"),
    ],
)
def test_data_without_silence_or_unknown(data, words, model, challenge) -> None:
    with pytest.raises(UserError, match=words):
        tune(model, "--data", challenge, "--space", space_file(model.parent, data))
    assert not (model / "thresholds.json").exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"unknown_below": "x", "silence_below": 0}'])
def test_damaged_thresholds_are_an_error(text: str, tmp_path: Path) -> None:
    assert Thresholds.read(tmp_path) == Thresholds()
    (tmp_path / "thresholds.json").write_text(text)
    with pytest.raises(UserError, match="not a model's thresholds"):
        Thresholds.read(tmp_path)


# Which model is meant.

SPACE = """
data: {name: folder}
train: {epochs: 1}
params: {lr: [1e-1, 1e-2, 1e-3]}
models: {lstm_cnn: {}, gru: {}}
search: {sampler: grid, metric: val/loss}
"""


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A run with three retrained models of one family and one of another."""
    run = tmp_path / "runs" / "mine"
    for key in ("lstm_cnn-0", "lstm_cnn-1", "lstm_cnn-2", "gru-0"):
        (run / "retrain" / key / "model").mkdir(parents=True)
        (run / "retrain" / key / "model" / "config.json").write_text("{}")
    (run / "retrain-same" / "gru-0" / "model").mkdir(parents=True)
    (run / "retrain-same" / "gru-0" / "model" / "config.json").write_text("{}")
    (run / "space.yaml").write_text(SPACE)
    space = load_space(run / "space.yaml")
    family = space.families["lstm_cnn"]
    plan = Plan(family, family.grid())
    search = space.search.model_copy(update={"scheduler": "none", "sampler": "grid"})
    storage = Storage(run / "optuna.db", [plan], search, epochs=1, study="retrain")
    for loss in (0.4, 0.2, 0.3):
        key = storage.next().key
        storage.report(key, [{"epoch": 1, "val/loss": loss}])
        storage.finish(key)
    return tmp_path / "runs"


def test_run_and_family(runs: Path) -> None:
    retrained = runs / "mine" / "retrain"
    assert find_model(runs, "mine/gru") == retrained / "gru-0" / "model"
    assert find_model(runs, "latest/gru") == retrained / "gru-0" / "model"
    assert find_model(runs, f"{runs}/mine/gru") == retrained / "gru-0" / "model"


def test_the_best_by_validation_of_several(runs: Path) -> None:
    assert find_model(runs, "mine/lstm_cnn") == runs / "mine/retrain/lstm_cnn-1/model"


def test_a_folder_is_itself(runs: Path) -> None:
    folder = runs / "mine" / "retrain" / "lstm_cnn-0"
    assert find_model(runs, str(folder / "model")) == folder / "model"
    assert find_model(runs, str(folder)) == folder / "model"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine/cnn", "mine/gru, mine/lstm_cnn"),
        ("mine", "mine/gru, mine/lstm_cnn"),
        ("yours/gru", "no search 'yours'.*mine"),
    ],
)
def test_what_there_is_instead(name: str, words: str, runs: Path) -> None:
    with pytest.raises(UserError, match=words):
        find_model(runs, name)
