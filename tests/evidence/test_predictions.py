"""What is kept of a trial scores as the trial did."""

from dataclasses import replace

import numpy as np
import pytest
from kept_predictions import drawn

from tune_audio.evidence.predictions import Predictions, log_losses
from tune_audio.training.evaluation import Evaluation
from tune_audio.training.kept import rounded
from tune_audio.training.metrics import METRICS, probabilities, score


def test_rounding_keeps_the_highest_logit_however_close_the_next_and_however_large_both() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=20, size=(2000, 30)).astype(np.float32)
    highest = logits.argmax(axis=1)
    others = (highest + 7) % 30
    rows = np.arange(len(logits))
    logits[rows, others] = np.nextafter(logits[rows, highest], np.float32(-np.inf))
    assert (logits.astype(np.float16).argmax(axis=1) != highest).any()  # what it is there for
    kept = rounded(logits, several=False)
    assert kept.dtype == np.float16
    np.testing.assert_array_equal(kept.argmax(axis=1), highest)
    one_label = np.zeros(len(logits), int)
    chances = [probabilities(one_label, of) for of in (logits, kept)]
    np.testing.assert_allclose(*chances, atol=1e-3)


def test_rounding_keeps_signs_of_several_labels_and_stays_finite() -> None:
    logits = np.array([[1e-4, -1e-4, 3e5, -3e5]], np.float32)
    kept = rounded(logits, several=True)
    assert np.isfinite(kept).all()
    np.testing.assert_array_equal(kept > 0, logits > 0)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.function])
def test_a_score_with_folds_is_the_mean_of_theirs(name: str) -> None:
    kept = drawn(folds=3)
    parts = [kept.fold == fold for fold in range(3)]
    expected = np.mean([score(name, kept.targets[of], kept.logits[of]) for of in parts])
    assert kept.score(f"val/{name}") == pytest.approx(expected)
    assert replace(kept, fold=None).score(name) == score(name, kept.targets, kept.logits)


def test_windows_are_scored_as_clips_where_the_metric_says_so() -> None:
    kept = drawn()
    recording = np.repeat(np.arange(100), 3)[np.random.default_rng(0).permutation(300)]
    first = np.unique(recording, return_index=True)[1]
    targets, group = kept.targets[first][recording], kept.group[first][recording]
    kept = replace(kept, recording=recording, targets=targets, group=group)
    theirs = Evaluation(targets, kept.logits, 0.0, recording)
    for metric in ("accuracy", "clip_accuracy", "clip_map"):
        assert kept.score(f"val/{metric}") == pytest.approx(theirs.score(metric))
    np.testing.assert_array_equal(kept.by_clip.group, kept.group[first])
    assert len(kept.by_clip.logits) == 100


def test_log_losses_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import log_loss

    for several in (False, True):
        kept = drawn(several=several)
        ours = log_losses(kept.targets, kept.chances).mean()
        columns = zip(kept.targets.T, kept.chances.T, strict=True)
        theirs = (
            np.mean([log_loss(t, p) for t, p in columns])
            if several
            else log_loss(kept.targets, kept.chances)
        )
        assert ours == pytest.approx(theirs)


def test_a_loss_that_was_not_kept_is_not_made_up() -> None:
    kept = drawn()
    assert kept.score("val/loss") == pytest.approx(kept.losses.mean())
    with pytest.raises(ValueError, match="loss"):
        replace(kept, losses=None).score("val/loss")


def test_rows_must_be_as_many_everywhere() -> None:
    with pytest.raises(ValueError, match="group: 2 rows, but logits have 3"):
        Predictions(np.zeros((3, 2)), np.zeros(3, int), np.arange(3), group=np.zeros(2, int))
