import warnings
from dataclasses import replace
from functools import partial
from statistics import mean, stdev

import numpy as np
import pytest
import torch

from tune_audio.data.clips import SPLITS
from tune_audio.errors import UserError
from tune_audio.features.pipeline import Features
from tune_audio.features.store import FeatureStore
from tune_audio.models.lstm_cnn import LSTMCNN
from tune_audio.training.evaluation import Evaluation
from tune_audio.training.folds import CrossValidation, assign_folds
from tune_audio.training.learner import Learner
from tune_audio.training.train_params import TrainParams

TEST = SPLITS.index("test")


def test_every_clip_validates_once_and_the_test_never(tone_corpus):
    assigned = assign_folds(tone_corpus, 4)
    assert (assigned[tone_corpus.split == TEST] == -1).all()
    kept = assigned[tone_corpus.split != TEST]
    labels = tone_corpus.targets[tone_corpus.split != TEST]
    for fold in range(4):
        assert np.bincount(labels[kept == fold]).tolist() == [8, 8, 8]


@pytest.mark.parametrize("column", ["recording", "group"])
def test_windows_and_speakers_stay_in_one_fold(tone_corpus, column):
    rows = np.arange(len(tone_corpus))
    # Four rows that follow each other are of one label and one split.
    units = rows // 4 if column == "recording" else rows % 12
    given = units if column == "recording" else [f"speaker {unit}" for unit in units]
    assigned = assign_folds(replace(tone_corpus, **{column: given}), 3)
    kept = assigned >= 0
    pairs = set(zip(units[kept].tolist(), assigned[kept].tolist(), strict=True))
    assert len(pairs) == len(set(units[kept])) < kept.sum()


def test_too_few_speakers_for_folds(tone_corpus):
    with pytest.raises(UserError, match="only 2 speakers or sources"):
        assign_folds(replace(tone_corpus, group=[str(i % 2) for i in range(120)]), 3)


def few_clips(corpus, counts):
    """The corpus with only so many clips of each label that are not for the test."""
    split = np.full(len(corpus), TEST, np.uint8)
    for target, count in enumerate(counts):
        split[np.flatnonzero(corpus.targets == target)[:count]] = SPLITS.index("train")
    return replace(corpus, split=split)


@pytest.mark.parametrize(
    ("counts", "folds", "few"),
    [
        ((4, 4, 4), 5, "high 4, low 4, middle 4"),  # scikit-learn raises
        ((20, 3, 20), 4, "low 3"),  # scikit-learn warns
        ((3, 20, 1), 4, "high 3, middle 1"),
    ],
)
def test_a_label_with_fewer_clips_than_folds(tone_corpus, counts, folds, few):
    message = rf"got {folds}; .* too few recordings or speakers: {few}\. Have fewer folds"
    with pytest.raises(UserError, match=message):
        assign_folds(few_clips(tone_corpus, counts), folds)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        enough = assign_folds(few_clips(tone_corpus, [max(n, folds) for n in counts]), folds)
    assert set(enough) == {-1, *range(folds)}


def test_a_label_with_fewer_speakers_than_folds(tone_corpus):
    speakers = [f"speaker {i % 12}" for i in range(len(tone_corpus))]
    for row in np.flatnonzero(tone_corpus.targets == 1):
        speakers[row] = f"speaker {row % 3}"
    corpus = replace(tone_corpus, group=speakers)
    assert set(assign_folds(corpus, 3)) == {-1, 0, 1, 2}
    with pytest.raises(UserError, match="too few recordings or speakers: low 3"):
        assign_folds(corpus, 4)


def test_speakers_whom_no_folds_can_share_out(tone_corpus):
    """Every label has three speakers; but of four in all, one says nearly everything."""
    speakers = np.full(len(tone_corpus), "talker", dtype=object)
    others = ("a", "c"), ("a", "b"), ("b", "c")
    for target, names in enumerate(others):
        rows = np.flatnonzero((tone_corpus.targets == target) & (tone_corpus.split != TEST))
        speakers[rows[:2]] = names
    with pytest.raises(UserError, match="too few folds with them: "):
        assign_folds(replace(tone_corpus, group=speakers.tolist()), 3)


def test_the_data_set_s_own_folds_are_kept(tone_corpus):
    own = np.arange(len(tone_corpus)) % 4 + 1
    assigned = assign_folds(replace(tone_corpus, fold=own), 4)
    kept = assigned >= 0
    np.testing.assert_array_equal(assigned[kept] + 1, own[kept])
    with pytest.raises(UserError, match="has 4 folds"):
        assign_folds(replace(tone_corpus, fold=own), 3)
    own[(tone_corpus.targets == 0) & (own == 2)] = 3
    with pytest.raises(UserError, match="too few folds with them: high 3"):
        assign_folds(replace(tone_corpus, fold=own), 4)


def make(corpus, folder, epochs=4):
    params = TrainParams(lr=1e-2, batch_size=16, augment="noise")

    def learner(fold):
        torch.manual_seed(0)
        model = LSTMCNN(*corpus.form, channels=8, hidden_size=8)
        features = partial(Features, corpus, store=FeatureStore(folder, 10**9), fold=fold)
        return Learner(model, features, params, epochs=epochs)

    return CrossValidation(learner, assign_folds(corpus, 3), epochs)


def test_folds_follow_each_other_and_go_on_after_a_kill(tone_corpus, tmp_path):
    whole = make(tone_corpus, tmp_path, epochs=2)
    rows, answers = [], []
    for _ in range(6):
        rows.append(whole.train_epoch())
        answers.append(whole.validation)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["fold"] for row in rows] == [0, 0, 1, 1, 2, 2]
    recordings = [set(answer.recording.tolist()) for answer in answers[1::2]]
    assert not set.intersection(*recordings)
    assert len(set.union(*recordings)) == (tone_corpus.split != TEST).sum()
    scores = whole.validation_scores()
    for name, values in (
        ("val/loss", [answer.loss for answer in answers[1::2]]),
        ("val/accuracy", [answer.score("accuracy") for answer in answers[1::2]]),
    ):
        assert scores[name] == pytest.approx(mean(values))
        assert scores[f"{name}_sd"] == pytest.approx(stdev(values))
    assert scores["val/loss_sd"] > 0

    for left_after in (1, 2, 3, 5):
        killed = make(tone_corpus, tmp_path, epochs=2)
        for _ in range(left_after):
            killed.train_epoch()
        torch.save(killed.state_dict(), tmp_path / "state.pt")
        resumed = make(tone_corpus, tmp_path, epochs=2)
        resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert resumed.epoch == left_after
        rest = [resumed.train_epoch()["val/loss"] for _ in range(6 - left_after)]
        assert rest == [row["val/loss"] for row in rows[left_after:]]
        assert resumed.validation_scores() == scores


def test_folds_share_one_computed_prefix(tone_corpus, tmp_path):
    folds = make(tone_corpus, tmp_path, epochs=1)
    assert [folds.train_epoch()["prefix"], folds.train_epoch()["prefix"]] == ["computed", "read"]
    learner = folds.learner
    trained, validated = learner.features.rows("train"), learner.features.rows("validation")
    assert not set(trained) & set(validated)
    assert len(trained) + len(validated) == (tone_corpus.split != TEST).sum()


def test_windows_are_averaged_back_to_their_clip():
    targets, recording = np.array([0, 0, 0, 1, 1]), np.array([7, 7, 7, 9, 9])
    logits = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9]]))
    evaluation = Evaluation(targets, logits, 0.5, recording)
    assert evaluation.usual("f1_macro") == ["accuracy", "clip_accuracy", "f1_macro"]
    assert evaluation.score("accuracy") == 2 / 5
    assert evaluation.score("clip_accuracy") == 1.0  # (.9 + .4 + .4) / 3 > 1/2, (.1 + .9) / 2 too
    means = np.exp(evaluation.by_clip.logits)
    np.testing.assert_allclose(means, [[1.7 / 3, 1.3 / 3], [0.35, 0.65]])
