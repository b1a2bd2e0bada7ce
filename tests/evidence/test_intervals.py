"""Intervals hold the truth for speakers who were not heard, and say what they are of."""

from dataclasses import replace

import numpy as np
import pytest
from kept_predictions import answers, drawn, heard
from scipy import stats

from tune_audio.errors import UserError
from tune_audio.evidence.intervals import interval
from tune_audio.evidence.jackknife import spread
from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.resampled import scorer
from tune_audio.training.metrics import METRICS


def test_of_equally_many_recordings_it_is_students_t_of_the_speakers_means() -> None:
    means = np.array([0.5, 0.7, 0.8, 0.9])
    right = (np.arange(100) < 100 * means[:, None]).ravel()
    kept = answers(right, np.repeat(np.arange(4), 100))
    found = spread(lambda over: scorer(kept, "accuracy", over), kept)
    assert found.estimate == pytest.approx(means.mean())
    assert found.error == pytest.approx(means.std(ddof=1) / 2)
    assert found.half_width(0.95) == pytest.approx(stats.t.ppf(0.975, 3) * found.error)
    got = interval(kept, "val/accuracy")
    assert (got.resampled, got.count, got.level, got.note) == ("groups", 4, 0.95, "")


def test_speakers_who_agree_by_chance_make_it_no_narrower_than_recordings_do() -> None:
    right = np.tile(np.arange(20) < 18, 3)  # 0.9 for each of three
    by_speaker = interval(answers(right, np.repeat(np.arange(3), 20)), "accuracy")
    by_recording = interval(answers(right), "accuracy")
    assert by_recording.low < 0.81
    # 58 degrees of freedom there, the normal law here
    assert by_speaker.low == pytest.approx(by_recording.low, abs=0.005)


@pytest.mark.parametrize(("speakers", "spread"), [(3, 0.7), (5, 0.0), (5, 0.7), (10, 1.0)])
def test_95_of_100_hold_the_accuracy_of_all_speakers(speakers: int, spread: float) -> None:
    rng, held, by_percentile = np.random.default_rng(0), [], []
    for _ in range(400):
        (right,), speaker, truth = heard(rng, speakers, spread=spread)
        found = interval(answers(right, speaker), "accuracy")
        held.append(found.low <= truth <= found.high)
        drawn = rng.multinomial(speakers, np.full(speakers, 1 / speakers), size=300)
        scores = (drawn @ np.bincount(speaker, right)) / (drawn @ np.bincount(speaker))
        low, high = np.quantile(scores, [0.025, 0.975])
        by_percentile.append(low <= truth <= high)
    assert 0.915 <= np.mean(held) <= 0.99
    assert np.mean(by_percentile) < np.mean(held) - 0.03  # why it is not a bootstrap's


def test_recordings_alone_would_be_far_too_sure() -> None:
    rng, held = np.random.default_rng(0), []
    for _ in range(300):
        (right,), _, truth = heard(rng, 10)
        found = interval(answers(right), "accuracy")
        held.append(found.low <= truth <= found.high)
        assert found.resampled == "recordings"
    assert np.mean(held) < 0.8


def test_all_right_is_not_certainly_right() -> None:
    found = interval(answers(np.ones(100, bool)), "accuracy")
    assert found.score == 1.0
    assert 0.90 < found.low < 0.97  # the rule of three: 1 - 3 / 100
    assert found.high == pytest.approx(1.0, abs=0.005)


def test_one_speaker_is_told() -> None:
    found = interval(drawn(groups=1), "accuracy")
    assert (found.resampled, found.count) == ("recordings", 300)
    assert "1 speaker" in found.note


def test_labels_of_few_clips_make_means_over_labels_too_good_and_it_is_told() -> None:
    few, many = (drawn(labels=30, clips=n, sure=0.7, groups=None) for n in (40, 4000))
    assert few.score("map") > 1.8 * many.score("map")
    assert interval(few, "map").note == (
        "30 of 30 labels have fewer than 20 clips, with which map looks too good"
    )
    assert interval(few, "auc_roc").note == interval(many, "map").note == ""
    several = drawn(several=True, clips=40)  # 12 clips a label
    assert "5 of 5 labels have fewer than 20" in interval(several, "f1_macro").note


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_one_within_its_bounds(name: str, several: bool) -> None:
    if several and not METRICS[name].multi_label:
        return
    kept = drawn(several=several, sure=3.0, groups=4)
    found = interval(kept, f"val/{name}")
    assert found.low < found.score < found.high
    assert found.low > 0
    assert name == "loss" or found.high < 1
    assert found.score == pytest.approx(kept.score(name), abs=1e-6)


def test_more_recordings_make_it_narrower_and_a_higher_level_wider() -> None:
    widths = []
    for clips in (400, 1600, 6400):
        found = interval(drawn(clips=clips, groups=None), "accuracy")
        widths.append(found.high - found.low)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.3)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.3)
    sure = interval(drawn(clips=400, groups=None), "accuracy", level=0.99)
    assert sure.high - sure.low > 1.2 * widths[0]


def test_clips_are_resampled_where_the_metric_is_of_clips() -> None:
    kept = replace(drawn(groups=None), recording=np.repeat(np.arange(100), 3))
    kept = replace(kept, targets=np.repeat(kept.targets[::3], 3))
    assert interval(kept, "val/clip_accuracy").count == interval(kept, "val/accuracy").count == 100


def test_what_cannot_have_one_says_why() -> None:
    with pytest.raises(UserError, match="1 recording"):
        interval(answers(np.ones(1, bool)), "accuracy")
    without = Predictions(np.ones((4, 2)), np.zeros((4, 2)), np.arange(4))
    with pytest.raises(UserError, match="not defined"):
        interval(without, "map")
