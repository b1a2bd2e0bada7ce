"""Where a model is cut, what tells one frozen prefix from another, and how much goes into it."""

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import pytest
import torch
from make_audio import RATE
from make_checkpoints import tiny_ast, tiny_wav2vec2
from torch import Tensor, nn

from tune_audio.data.corpus import Corpus
from tune_audio.features.augment import AUGMENTATIONS, Augmentation
from tune_audio.features.pipeline import PREFIX_SECONDS, Features
from tune_audio.features.prefix import split_head, split_model
from tune_audio.features.spectrograms import LogMel
from tune_audio.features.store import FeatureStore
from tune_audio.models.ast import AST
from tune_audio.models.lstm_cnn import LSTMCNN
from tune_audio.models.wav2vec2 import Wav2Vec2


def stages_of(model: nn.Sequential, parameters: list[nn.Parameter]) -> set[str]:
    """The stages that hold these parameters."""
    wanted = set(map(id, parameters))
    return {
        name for name, stage in model.named_children() if wanted & set(map(id, stage.parameters()))
    }


@pytest.mark.parametrize(
    ("freeze", "trained"),
    [
        ("none", {"feature_encoder", "context"}),
        ("feature_encoder", {"context"}),
        ("backbone", set()),
    ],
)
def test_the_head_of_wav2vec2_is_projector_and_classifier(freeze, trained, tmp_path):
    model = Wav2Vec2(4, 16_000, RATE, checkpoint=tiny_wav2vec2(tmp_path), freeze=freeze)
    backbone, head = split_head(split_model(model)[1])
    assert stages_of(model, backbone) == trained
    assert stages_of(model, head) == {"projector", "classifier"}


@pytest.mark.parametrize(("freeze", "trained"), [("none", {"backbone"}), ("backbone", set())])
def test_the_head_of_ast_is_layer_norm_and_classifier(freeze, trained, tmp_path):
    model = AST(4, 16_000, RATE, checkpoint=tiny_ast(tmp_path), freeze=freeze)
    backbone, head = split_head(split_model(model)[1])
    assert stages_of(model, backbone) == trained
    assert stages_of(model, head) == {"layernorm", "classifier"}


def test_backbone_and_head_are_all_that_is_trained_each_once():
    model = LSTMCNN(4, 16_000, RATE)
    suffix = split_model(model)[1]
    backbone, head = split_head(suffix)
    assert sorted(map(id, backbone + head)) == sorted(map(id, suffix.parameters()))
    assert stages_of(model, head) == {"layernorm", "classifier"}


def test_the_last_stage_is_head_whatever_it_is_made_of():
    perceptron = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    stages = OrderedDict(log_mel=LogMel(RATE, 8), lstm=nn.LSTM(8, 8), head=perceptron)
    backbone, head = split_head(split_model(nn.Sequential(stages))[1])
    assert len(head) == 4
    assert len(backbone) == 4


class Frozen(nn.Module):
    """A stage with all that its output can depend on."""

    def __init__(self, weight=1.0, unsaved=1.0, setting=1, config="one"):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.0, weight]), requires_grad=False)
        self.register_buffer("unsaved", torch.tensor([0.0, unsaved]), persistent=False)
        self.setting, self.config = setting, {"kind": config}
        self.batches: list[int] = []

    def forward(self, waveforms: Tensor) -> Tensor:
        self.batches.append(len(waveforms))
        return waveforms.mean(dim=-1, keepdim=True)

    def extra_repr(self) -> str:
        return f"setting={self.setting}"


class Asked:
    """A feature store that has nothing and room for nothing, and remembers the key."""

    def get(self, key: str, rows: int, compute: Any, siblings: int) -> None:
        self.key = key


def key(
    corpus: Corpus, stage: dict | None = None, *, epoch=0, split="train", **changes: Any
) -> str:
    store, params = Asked(), {"augment": "noise", "views": 4} | changes
    features = Features(corpus, nn.Sequential(Frozen(**(stage or {}))), store, **params)
    features.train(epoch) if split == "train" else features.clean(split)
    return store.key


def test_all_that_changes_a_prefix_changes_its_key(tone_corpus):
    other_rows = tone_corpus.clip_ids.copy()
    other_rows[0] += 1
    keys = {
        "as it is": key(tone_corpus),
        "weight": key(tone_corpus, {"weight": 2.0}),
        "unsaved buffer": key(tone_corpus, {"unsaved": 2.0}),
        "setting": key(tone_corpus, {"setting": 2}),
        "config": key(tone_corpus, {"config": "two"}),
        "seed": key(tone_corpus, seed=1),
        "view": key(tone_corpus, epoch=1),
        "augmentation": key(tone_corpus, augment="time_mask"),
        "order of augmentations": key(tone_corpus, augment="time_mask+noise"),
        "its reverse": key(tone_corpus, augment="noise+time_mask"),
        "no augmentation": key(tone_corpus, augment="none"),
        "split": key(tone_corpus, split="validation"),
        "corpus": key(replace(tone_corpus, fingerprint="another")),
        "rows": key(replace(tone_corpus, clip_ids=other_rows)),
    }
    equal = [(a, b) for a in keys for b in keys if a < b and keys[a] == keys[b]]
    assert equal == []


def test_what_does_not_change_a_prefix_leaves_its_key(tone_corpus):
    assert key(tone_corpus) == key(tone_corpus)
    assert key(tone_corpus, epoch=4) == key(tone_corpus), "view 4 mod 4 is view 0"
    clean = {
        key(tone_corpus, split="test", seed=seed, augment=a)
        for seed in (0, 1)
        for a in ("none", "gain")
    }
    assert len(clean) == 1, "what is not augmented draws nothing"


def test_another_code_of_an_augmentation_changes_the_key(tone_corpus, tmp_path, monkeypatch):
    module = tmp_path / "an_augmentation_of_ours.py"
    module.write_text("def change(waveforms, generators, *, noise=()):\n    return 2 * waveforms\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(AUGMENTATIONS, "ours", Augmentation(f"{module.stem}:change"))
    before, others = key(tone_corpus, augment="ours"), key(tone_corpus)
    assert key(tone_corpus, augment="ours") == before
    module.write_text(module.read_text().replace("2 *", "2.5 *"))
    assert key(tone_corpus, augment="ours") != before
    assert key(tone_corpus) == others


@pytest.mark.parametrize(("seconds", "clips"), [(0.5, 32), (5, 3), (10, 1), (20, 1)])
def test_a_batch_is_so_many_seconds_and_at_least_a_clip(tone_corpus, seconds, clips):
    assert PREFIX_SECONDS == {"cpu": 16, "cuda": 128}
    corpus = replace(tone_corpus, clip_samples=int(seconds * 16_000))
    stage = Frozen()
    features = Features(corpus, nn.Sequential(stage), Asked())
    rows = features.rows("train")
    assert features._compute(rows, None).shape == (72, 1)
    assert max(stage.batches) == clips
    assert sum(stage.batches) == len(rows)


@pytest.mark.parametrize(("freeze", "how"), [("none", "live"), ("feature_encoder", "computed")])
def test_waveforms_that_are_only_normalised_are_not_stored(freeze, how, tone_corpus, tmp_path):
    """They would take as much room as all recordings, for each of their augmented views."""
    checkpoint = tiny_wav2vec2(tmp_path / "checkpoint")
    model = Wav2Vec2(*tone_corpus.form, checkpoint=checkpoint, freeze=freeze)
    store = FeatureStore(tmp_path / "store", 10**9)
    features = Features(tone_corpus, split_model(model)[0], store, augment="noise", views=2)
    assert features.train(0).how == how
    assert bool(list((tmp_path / "store").rglob("*.npy"))) == (how == "computed")
