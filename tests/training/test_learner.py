from collections import OrderedDict
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from make_audio import RATE
from torch import nn

from tune_audio.errors import UserError
from tune_audio.features.pipeline import Features
from tune_audio.features.spectrograms import LogMel
from tune_audio.features.store import FeatureStore
from tune_audio.training.learner import OPTIMIZERS, DivergedError, Learner
from tune_audio.training.losses import LOSSES
from tune_audio.training.train_params import TrainParams

PARAMS = TrainParams(lr=3e-3, batch_size=16, augment="noise+time_mask")
MIXED = replace(PARAMS, mixup_alpha=0.4, balanced_sampling=True, augment="frequency_mask")


class Frozen(nn.Sequential):
    """Log-mel, a 'backbone' with dropout, frozen unless `trained`, and a trained head."""

    def __init__(self, labels: int, trained: bool = False) -> None:
        torch.manual_seed(0)
        backbone = nn.Sequential(nn.Flatten(), nn.LazyLinear(32), nn.Dropout(0.5), nn.Tanh())
        log_mel = LogMel(RATE, 16)
        backbone(log_mel(torch.zeros(1, 8000)))
        super().__init__(
            OrderedDict(log_mel=log_mel, backbone=backbone, head=nn.Linear(32, labels))
        )
        self.backbone.requires_grad_(trained)


@pytest.fixture
def multi_label_corpus(tone_corpus):
    """A clip has the label of its tone; that of the second tone has the first label, too."""
    targets = np.eye(3, dtype=np.float32)[tone_corpus.targets]
    targets[tone_corpus.targets == 1, 0] = 1
    return replace(tone_corpus, targets=targets, multi_label=True)


def make(
    corpus,
    folder,
    params=PARAMS,
    epochs=4,
    cache_bytes=10**9,
    trained=False,
    metric="val/accuracy",
):
    torch.manual_seed(params.seed)
    store = FeatureStore(folder, cache_bytes)
    model = Frozen(len(corpus.labels), trained)
    features = partial(Features, corpus, store=store)
    return Learner(model, features, params, epochs=epochs, metric=metric)


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


@pytest.mark.parametrize(
    "params",
    [PARAMS, MIXED, replace(MIXED, loss="bce_weighted", backbone_lr=1e-3, schedule="cosine")],
)
def test_a_loaded_learner_goes_on_with_the_very_same_numbers(tone_corpus, tmp_path, params):
    def make_one():
        trained = params.backbone_lr is not None
        return make(tone_corpus, tmp_path, params, trained=trained)

    undisturbed = make_one()
    expected = [without_time(undisturbed.train_epoch()) for _ in range(4)]
    killed = make_one()
    for _ in range(2):
        killed.train_epoch()
    torch.save(killed.state_dict(), tmp_path / "state.pt")
    resumed = make_one()
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [without_time(resumed.train_epoch()) for _ in range(2)] == expected[2:]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(tone_corpus, tmp_path, optimizer):
    learner = make(tone_corpus, tmp_path, replace(PARAMS, optimizer=optimizer, augment="none"))
    before = learner.evaluate("train").loss
    for _ in range(4):
        learner.train_epoch()
    assert learner.evaluate("train").loss < before


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_lowered_and_finds_the_label(tone_corpus, tmp_path, loss):
    params = replace(PARAMS, loss=loss, label_smoothing=0.1, augment="none")
    learner = make(tone_corpus, tmp_path, params, epochs=10)
    before = learner.evaluate("validation").loss
    for _ in range(10):
        row = learner.train_epoch()
    assert row["val/loss"] < before
    assert row["val/accuracy"] > 0.7
    after = learner.evaluate("validation")
    assert row["val/loss"] == after.loss
    logits, targets = torch.from_numpy(after.logits), torch.from_numpy(after.targets)
    smoothed = learner.loss(logits, targets).item()
    assert after.loss != pytest.approx(smoothed, rel=1e-3), "evaluated without smoothing"


def test_it_learns_from_mixed_and_balanced_batches(tone_corpus, tmp_path):
    learner = make(tone_corpus, tmp_path, MIXED, epochs=10)
    rows = [learner.train_epoch() for _ in range(10)]
    assert rows[-1]["val/accuracy"] > 0.9
    assert 0.3 < rows[-1]["train/accuracy"] <= 1


def test_each_batch_of_each_epoch_is_mixed_anew(tone_corpus, tmp_path):
    learner = make(tone_corpus, tmp_path, MIXED)
    features, targets = torch.eye(16), torch.zeros(16, dtype=torch.int64)
    mixed = []
    for learner.epoch in (0, 1):
        mixed += [learner._mixed(features, targets, step)[0] for step in (0, 1)]
    assert not any(torch.equal(a, b) for i, a in enumerate(mixed) for b in mixed[:i])
    assert torch.equal(learner._mixed(features, targets, 1)[0], mixed[3])


def test_balanced_sampling_hears_rare_labels_as_often(tone_corpus, tmp_path):
    targets = np.where(np.arange(len(tone_corpus)) % 10 == 0, 1, 0)
    corpus = replace(tone_corpus, targets=targets)
    heard = {}
    for balanced in (False, True):
        params = replace(PARAMS, balanced_sampling=balanced)
        learner = make(corpus, tmp_path, params)
        view = learner.features.train(0)
        torch.manual_seed(0)
        orders = [learner._order(view) for _ in range(50)]
        assert {len(order) for order in orders} == {72}
        heard[balanced] = view.targets[torch.cat(orders)].float().mean().item()
    assert heard[False] < 0.15
    assert heard[True] == pytest.approx(0.5, abs=0.03)


def test_several_labels_are_learnt_without_a_word_of_accuracy(multi_label_corpus, tmp_path):
    params = replace(MIXED, loss="bce", lr=1e-2)
    learner = make(multi_label_corpus, tmp_path, params, epochs=12, metric="val/map")
    rows = [learner.train_epoch() for _ in range(12)]
    measured = {"epoch", "epoch_seconds", "prefix", "train/loss", "val/loss", "val/map"}
    assert set(rows[-1]) == measured
    assert rows[-1]["val/map"] > 0.9
    assert rows[-1]["val/loss"] < rows[0]["val/loss"]
    test = learner.evaluate("test")
    assert test.targets.shape == test.logits.shape == (24, 3)
    assert ((test.logits > 0) == (test.targets > 0)).mean() > 0.8


def test_what_several_labels_cannot_have_is_refused_at_once(multi_label_corpus, tmp_path):
    with pytest.raises(UserError, match=r"got cross_entropy.*allowed: bce, bce_weighted"):
        make(multi_label_corpus, tmp_path, metric="val/map")
    with pytest.raises(UserError, match=r"got val/accuracy.*allowed: val/f1_macro.*val/map"):
        make(multi_label_corpus, tmp_path, replace(PARAMS, loss="bce"))


def test_the_backbone_has_a_rate_of_its_own(tone_corpus, tmp_path):
    params = replace(PARAMS, backbone_lr=1e-6, optimizer="adam", schedule="cosine")
    learner = make(tone_corpus, tmp_path, params, trained=True)
    before = {name: p.detach().clone() for name, p in learner.suffix.named_parameters()}
    learner.train_epoch()
    moved = {
        name.partition(".")[0]: (p - before[name]).abs().max().item()
        for name, p in learner.suffix.named_parameters()
    }
    assert 0 < moved["backbone"] < 1e-5 < 1e-3 < moved["head"]
    learner._set_rate(2.0)  # half of four epochs: half of both peaks
    assert [g["lr"] for g in learner.optimizer.param_groups] == pytest.approx([1.5e-3, 5e-7])


def test_a_rate_for_a_frozen_backbone_is_refused(tone_corpus, tmp_path):
    with pytest.raises(UserError, match=r"backbone_lr: got 0\.001, but only the head"):
        make(tone_corpus, tmp_path, replace(PARAMS, backbone_lr=1e-3))


def test_the_rate_warms_up_and_falls_along_a_cosine(tone_corpus, tmp_path):
    params = replace(PARAMS, lr=1.0, warmup_epochs=1.0, schedule="cosine")
    learner = make(tone_corpus, tmp_path, params, epochs=5)
    rates = []
    for progress in (0.5, 1.0, 3.0, 5.0):
        learner._set_rate(progress)
        rates.append(learner.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.5, 1.0, 0.5, 0.0], abs=1e-9)


@pytest.mark.parametrize("warmup_epochs", [0.001, 0.5, 1.0, 3.0])
def test_warming_up_never_stands_still_nor_exceeds_the_peak(tone_corpus, tmp_path, warmup_epochs):
    learner = make(tone_corpus, tmp_path, replace(PARAMS, lr=1.0, warmup_epochs=warmup_epochs))
    rates = []
    for part in (0.0, 0.005, 0.5, 0.99, 1.0):
        learner._set_rate(part * warmup_epochs)
        rates.append(learner.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.01, 0.01, 0.5, 0.99, 1.0])


def test_a_loss_that_is_not_finite_ends_the_trial(tone_corpus, tmp_path):
    learner = make(tone_corpus, tmp_path, replace(PARAMS, optimizer="sgd", lr=1e38))
    with pytest.raises(DivergedError, match="epoch 1"):
        learner.train_epoch()
