"""How sure a model must be of each label before it says so."""

import numpy as np
import pytest
from kept_predictions import drawn
from scipy.special import logit

from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.thresholds import FEWEST, tune


def of_one_label(chances: np.ndarray, own: np.ndarray) -> Predictions:
    return Predictions(logit(chances)[:, None], own.astype(float)[:, None], np.arange(len(own)))


# By falling probability: ten with the label, then one without, two with it, and the rest without.
CHANCES = np.linspace(0.45, 0.01, 60)
OWN = np.isin(np.arange(60), [*range(10), 11, 12])


def test_the_highest_f1_is_found_between_two_clips() -> None:
    found = tune(of_one_label(np.repeat(CHANCES, 9), np.repeat(OWN, 9)))
    (threshold,) = found.thresholds.chances
    assert threshold == pytest.approx((CHANCES[12] + CHANCES[13]) / 2)
    assert found.before.score == 0.0  # nothing is above 0.5
    assert found.after.score == pytest.approx(24 / 25)  # 12 right of 13 given, of 12
    assert (found.precision, found.recall) == (pytest.approx(12 / 13), 1.0)
    assert found.after.low < found.after.score < found.after.high


def test_the_most_are_given_that_are_right_as_often_as_wanted() -> None:
    (threshold,) = tune(of_one_label(CHANCES, OWN), precision=1.0).thresholds.chances
    assert threshold == pytest.approx((CHANCES[9] + CHANCES[10]) / 2)
    (threshold,) = tune(of_one_label(CHANCES, OWN), precision=0.92).thresholds.chances
    assert threshold == pytest.approx((CHANCES[12] + CHANCES[13]) / 2)  # 12 / 13


def test_a_precision_that_is_never_reached_means_never() -> None:
    found = tune(of_one_label(CHANCES, OWN[::-1]), precision=0.9)
    assert found.thresholds.chances == (1.0,)
    assert (found.thresholds.apply(np.array([[50.0]])) <= 0).all()
    assert np.isnan(found.precision)
    assert found.recall == 0.0


def test_labels_of_few_clips_are_left_alone_and_named() -> None:
    few = np.arange(60) < FEWEST - 1
    kept = Predictions(
        np.tile(logit(CHANCES), (2, 1)).T, np.stack([OWN, few], axis=1).astype(float), np.arange(60)
    )
    found = tune(kept).thresholds
    assert found.too_few == (1,)
    assert found.chances[1] == 0.5
    assert found.chances[0] < 0.5


def test_equally_sure_clips_are_given_the_label_together() -> None:
    chances = np.repeat([0.8, 0.4, 0.1], 20)
    own = np.arange(60) % 20 < np.repeat([18, 11, 1], 20)
    (threshold,) = tune(of_one_label(chances, own)).thresholds.chances
    assert threshold == pytest.approx(0.25)


def test_logits_are_moved_so_that_what_is_said_is_above_0() -> None:
    kept = drawn(several=True, clips=600)
    found = tune(kept).thresholds
    moved = found.apply(kept.logits) > 0
    np.testing.assert_array_equal(moved, kept.chances > np.array(found.chances))


def test_what_thresholds_are_worth_is_judged_on_others_and_so_no_optimism() -> None:
    """Where probabilities are noise there is nothing to be found."""
    rng = np.random.default_rng(0)
    own = (rng.random((300, 8)) < 0.2).astype(float)
    kept = Predictions(rng.normal(size=(300, 8)), own, np.arange(300), np.arange(300) % 30)
    found = tune(kept)
    on_its_own = Predictions(found.thresholds.apply(kept.logits), own, kept.recording)
    assert found.after.score < on_its_own.score("f1_macro") - 0.01
    # Saying a label of every clip is right for a fifth of them: F1 = 2 * 0.2 / 1.2
    assert found.after.score == pytest.approx(1 / 3, abs=0.04)


def test_one_label_a_clip_has_no_thresholds_of_labels() -> None:
    with pytest.raises(ValueError, match="several"):
        tune(drawn())
