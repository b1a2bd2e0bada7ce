"""Every space that comes along, from its data to its models on disk, small, as it is written."""

import math
from pathlib import Path

import numpy as np
import optuna
import pytest
from make_audio import make_class_folder, make_kaggle
from make_checkpoints import tiny_ast, tiny_deit, tiny_wav2vec2
from one_after_another import run_in_this_process
from rich.console import Console

from tune_audio.data.corpus import Corpus
from tune_audio.data.synthesis.environment import make_esc50, make_fsd50k
from tune_audio.driver import open_data
from tune_audio.models.saved import load_model
from tune_audio.reporting.ranking import Ranking
from tune_audio.reporting.records import TrialRecord
from tune_audio.space import Family, SearchSpace, list_spaces, load_space
from tune_audio.training.metrics import direction
from tune_audio.tuning import study
from tune_audio.tuning.check import check_models
from tune_audio.tuning.family_study import Plan
from tune_audio.tuning.resolve import resolve, with_folds
from tune_audio.tuning.storage import Storage

WORDS = ("yes", "no", "bed", "cat")
# Options of a data set that make little of it
LITTLE = {
    "kaggle_speech": {"silence_clips": 30, "unknown_clips": 30},
    "fsd50k": {"clip_seconds": 0.5},
    "esc50": {"clip_seconds": 0.1, "window_seconds": 0.1, "hop_seconds": 1.2},
}
CHECKPOINTS = {"wav2vec2": tiny_wav2vec2, "ast": tiny_ast, "deit_ast": tiny_deit}
# Parameters of a model that make it small, beside a tiny checkpoint
SMALL = {
    "lstm_cnn": {"channels": 8, "hidden_size": 8},
    "lstm": {"hidden_size": 8},
    "gru": {"hidden_size": 8, "num_layers": 1},
    "convs2s": {"width": 8},
    "conv_mixer": {"width": 8, "depth": 1},
    "ast": {"max_length": 48},
    "deit_ast": {"max_length": 48},
    "cnn_transformer_raw": {"feedforward": 16},
}


@pytest.fixture(scope="module", autouse=True)
def in_this_process():
    with pytest.MonkeyPatch.context() as patch:
        run_in_this_process(patch.setattr)
        yield


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_AUDIO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[str, Path]:
    """The folder of each data set, in its official layout."""
    place = tmp_path_factory.mktemp("data")
    kaggle = make_kaggle(place / "kaggle", WORDS)
    return {
        "kaggle_speech": kaggle,
        "speech_commands": kaggle / "train" / "audio",
        "folder": make_class_folder(place / "folder", {"dog": 20, "rain": 20}),
        "esc50": make_esc50(place / "esc50", clips_per_class=5),
        "fsd50k": make_fsd50k(place / "fsd50k", clips=70, longest_seconds=1.0),
    }


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("checkpoints")
    return {model: make(place / model) for model, make in CHECKPOINTS.items()}


def small(name: str, roots: dict[str, Path], checkpoints: dict[str, str]) -> SearchSpace:
    """The space as it is, but for its size: one epoch, little data, small models."""
    space = load_space(name)
    data = space.data["name"]
    changes = {"data.root": str(roots[data]), "train.epochs": 1}
    for option, value in LITTLE.get(data, {}).items():
        if space.data.get(option):
            changes[f"data.{option}"] = value
    if "labels" in space.data:
        changes["data.labels"] = [word for word in space.data["labels"] if word in WORDS]
    for family in space.families.values():
        place = f"models.{family.name}"
        for parameter, value in SMALL.get(family.model, {}).items():
            changes[f"{place}.{parameter}"] = value
        if family.model in checkpoints:
            changes[f"{place}.checkpoint"] = checkpoints[family.model]
    return load_space(name, list(changes.items()))


def configurations(space: SearchSpace, family: Family) -> list[dict]:
    """The last of a grid, which is augmented, or a drawn one for every way to freeze."""
    if space.search.sampler == "grid":
        return family.grid()[-1:]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [family.suggest(study.ask()) for _ in range(20)]
    return list({params.get("freeze"): params for params in drawn}.values())


def execute(
    space: SearchSpace, plans: list[Plan], corpus: Corpus, folder: Path, name: str
) -> list[TrialRecord]:
    folds = None if name == "retrain" else space.search.fold_count
    search = space.search.model_copy(update={"sampler": "grid", "folds": folds})
    folder.mkdir(exist_ok=True)
    storage = Storage(folder / "optuna.db", plans, search, epochs=space.epochs, study=name)
    study.run(
        storage,
        corpus,
        folder / name,
        features=folder / "features",
        feature_bytes=10**9,
        test=name == "retrain",
    )
    return storage.records()


@pytest.mark.parametrize("name", list_spaces())
def test_a_space_is_searched_retrained_and_tested(name, roots, checkpoints, tmp_path):
    console = Console(quiet=True)
    space = resolve(small(name, roots, checkpoints), console)
    corpus = open_data(space, console)
    space = with_folds(space, corpus, console)
    check_models(space, corpus)
    families = space.families.values()
    plans = [Plan(family, configurations(space, family)) for family in families]
    searched = execute(space, plans, corpus, tmp_path, "search")
    assert len(searched) == sum(len(plan.configurations) for plan in plans)
    check(searched, space.search.metric)
    for record in searched:
        known = record.epochs[-1] | record.extra
        for name in ("val/f1_macro", "val/auc_roc", "val/map"):
            assert 0 <= known[name] <= 1
            assert (f"{name}_sd" in known) == bool(space.search.folds)

    best = Ranking(searched, space.search.metric, direction(space.search.metric)).best
    plans = [Plan(family, [best[family.name].params]) for family in families]
    everything = open_data(space, console, labels=space.retrain.labels)
    retrained = execute(space, plans, everything, tmp_path, "retrain")
    assert [record.family for record in retrained] == list(space.families)
    check(retrained, space.search.metric)
    for record in retrained:
        assert math.isfinite(record.extra[space.search.metric.replace("val/", "test/")])
        model, config = load_model(Path(record.extra["model_folder"]))
        assert config["labels"] == everything.labels
        logits = model(torch_waveforms(everything))
        assert logits.shape == (2, len(everything.labels)) and logits.isfinite().all()


def check(records: list[TrialRecord], metric: str) -> None:
    assert {r.key: r.extra.get("error", r.state) for r in records} == {
        r.key: "complete" for r in records
    }
    for record in records:
        row = record.epochs[-1]
        numbers = [value for value in row.values() if isinstance(value, float)]
        assert metric in row and np.isfinite(numbers).all()


def torch_waveforms(corpus: Corpus):
    import torch

    return torch.from_numpy(corpus.waveforms(corpus.rows("test")[:2]))
