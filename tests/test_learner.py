from collections import OrderedDict
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tune_audio.feature_store import FeatureStore
from tune_audio.features import LogMel
from tune_audio.learner import OPTIMIZERS, DivergedError, Learner
from tune_audio.pipeline import Features
from tune_audio.train_params import TrainParams

PARAMS = TrainParams(lr=3e-3, batch_size=16, augment="noise+time_mask")


class Frozen(nn.Sequential):
    """Log-mel, a frozen 'backbone' with dropout, a trained head."""

    def __init__(self, labels: int) -> None:
        torch.manual_seed(0)
        backbone = nn.Sequential(nn.Flatten(), nn.LazyLinear(32), nn.Dropout(0.5), nn.Tanh())
        log_mel = LogMel(16)
        backbone(log_mel(torch.zeros(1, 8000)))
        super().__init__(
            OrderedDict(log_mel=log_mel, backbone=backbone, head=nn.Linear(32, labels))
        )
        self.backbone.requires_grad_(False)


def make(corpus, folder, params=PARAMS, epochs=4, cache_bytes=10**9):
    torch.manual_seed(params.seed)
    store = FeatureStore(folder, cache_bytes)
    model = Frozen(len(corpus.labels))
    return Learner(model, partial(Features, corpus, store=store), params, epochs=epochs)


def without_time(row):
    return {k: v for k, v in row.items() if k not in ("epoch_seconds", "prefix")}


def test_it_learns_tones(tone_corpus, tmp_path):
    learner = make(tone_corpus, tmp_path, epochs=10)
    rows = [learner.train_epoch() for _ in range(10)]
    assert rows[-1]["val/accuracy"] > 0.9
    assert rows[-1]["train/loss"] < rows[0]["train/loss"]
    assert [row["epoch"] for row in rows] == list(range(1, 11))


def test_a_cached_and_an_uncached_trial_agree(tone_corpus, tmp_path):
    cached = make(tone_corpus, tmp_path / "cached")
    live = make(tone_corpus, tmp_path / "none", cache_bytes=0)
    for _ in range(3):
        ours, theirs = cached.train_epoch(), live.train_epoch()
        assert (ours["prefix"], theirs["prefix"]) == ("computed", "live")
        assert ours["val/loss"] == pytest.approx(theirs["val/loss"], abs=1e-5)
    ours, theirs = cached.evaluate("test").logits, live.evaluate("test").logits
    np.testing.assert_array_equal(ours.argmax(-1), theirs.argmax(-1))


def test_the_second_trial_reads_what_the_first_computed(tone_corpus, tmp_path):
    first = make(tone_corpus, tmp_path).train_epoch()
    second = make(tone_corpus, tmp_path, replace(PARAMS, lr=1e-4, batch_size=8)).train_epoch()
    other_augmentation = make(tone_corpus, tmp_path, replace(PARAMS, augment="none")).train_epoch()
    assert [first["prefix"], second["prefix"], other_augmentation["prefix"]] == [
        "computed",
        "read",
        "computed",
    ]


def test_views_repeat_after_their_number(tone_corpus, tmp_path):
    learner = make(tone_corpus, tmp_path, replace(PARAMS, views=2))
    assert [learner.train_epoch()["prefix"] for _ in range(4)] == ["computed"] * 2 + ["read"] * 2


def test_a_loaded_learner_goes_on_with_the_very_same_numbers(tone_corpus, tmp_path):
    undisturbed = make(tone_corpus, tmp_path)
    expected = [without_time(undisturbed.train_epoch()) for _ in range(4)]
    killed = make(tone_corpus, tmp_path)
    for _ in range(2):
        killed.train_epoch()
    torch.save(killed.state_dict(), tmp_path / "state.pt")
    resumed = make(tone_corpus, tmp_path)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [without_time(resumed.train_epoch()) for _ in range(2)] == expected[2:]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(tone_corpus, tmp_path, optimizer):
    learner = make(tone_corpus, tmp_path, replace(PARAMS, optimizer=optimizer, augment="none"))
    before = learner.evaluate("train").loss
    for _ in range(4):
        learner.train_epoch()
    assert learner.evaluate("train").loss < before


def test_the_rate_warms_up_and_falls_along_a_cosine(tone_corpus, tmp_path):
    params = replace(PARAMS, lr=1.0, warmup_epochs=1.0, schedule="cosine")
    learner = make(tone_corpus, tmp_path, params, epochs=5)
    rates = []
    for progress in (0.5, 1.0, 3.0, 5.0):
        learner._set_rate(progress)
        rates.append(learner.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.5, 1.0, 0.5, 0.0], abs=1e-9)


def test_a_loss_that_is_not_finite_ends_the_trial(tone_corpus, tmp_path):
    learner = make(tone_corpus, tmp_path, replace(PARAMS, optimizer="sgd", lr=1e38))
    with pytest.raises(DivergedError, match="epoch 1"):
        learner.train_epoch()
