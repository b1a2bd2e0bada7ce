"""Calibration undoes what makes a model too sure, and leaves alone what it cannot better."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from tune_audio.evidence.calibration import FEWEST, calibrate, cross_fitted, temperature, vector
from tune_audio.evidence.predictions import Predictions, log_losses
from tune_audio.training.kept import rounded

LABELS = 6


def told(clips: int, *, several: bool = False, times: float = 1.0, shift: float = 0.0):
    """Predictions `times` as sure as they should be, with a shift of the last label's logit."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(clips, LABELS)) - several
    recording, group = np.arange(clips), rng.integers(20, size=clips)
    nothing = np.zeros((clips, LABELS) if several else clips, int)
    chances = Predictions(logits, nothing, recording).chances
    if several:
        targets = (rng.random((clips, LABELS)) < chances).astype(np.float32)
    else:
        targets = (chances.cumsum(axis=1) > rng.random((clips, 1))).argmax(axis=1)
    logits = times * logits + shift * (np.arange(LABELS) == LABELS - 1)
    return Predictions(rounded(logits, several=several), targets, recording, group)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("times", [0.5, 2.0])
def test_the_temperature_is_found_again(times: float, several: bool) -> None:
    found = calibrate(told(3000, several=several, times=times))
    assert found.calibration is not None
    assert found.calibration.kind == "temperature"
    assert found.calibration.scale == pytest.approx([1 / times] * LABELS, rel=0.08)
    assert found.calibration.shift == (0.0,) * LABELS
    assert found.after.error.score < 1.5 * found.after.by_chance
    assert found.before.error.score > 3 * found.after.error.score


@pytest.mark.parametrize("several", [False, True])
def test_a_label_that_is_said_too_often_needs_a_shift_of_its_own(several: bool) -> None:
    found = calibrate(told(3000, several=several, shift=2.0))
    assert found.calibration is not None
    assert found.calibration.kind == "vector"
    *others, last = found.calibration.shift
    assert last - np.mean(others) == pytest.approx(-2, abs=0.4)
    assert found.after.error.score < found.before.error.low


@pytest.mark.parametrize("several", [False, True])
def test_what_is_calibrated_is_left_alone_and_why_is_told(several: bool) -> None:
    found = calibrate(told(1000, several=several))
    assert found.calibration is None
    assert "no calibration" in found.reason
    assert found.after == found.before


def test_too_few_recordings_are_told() -> None:
    found = calibrate(told(FEWEST - 1, times=4.0))
    assert found.calibration is None
    assert f"{FEWEST - 1} recordings" in found.reason
    assert calibrate(told(FEWEST, times=4.0)).calibration is not None


def test_a_temperature_changes_no_answer_and_no_logit_by_what_softmax_does_not_notice() -> None:
    kept = told(500, times=3.0)
    for fit in (temperature, vector):
        found = fit(kept)
        plain, moved = (
            found.apply(logits.astype(float), several=False)
            for logits in (kept.logits, kept.logits.astype(float) + 7.5)
        )
        np.testing.assert_allclose(softmax(plain, axis=1), softmax(moved, axis=1))
    calibrated = temperature(kept).apply(kept.logits, several=False)
    np.testing.assert_array_equal(calibrated.argmax(axis=1), kept.logits.argmax(axis=1))


def test_nothing_near_has_a_lower_log_loss_than_what_was_fitted() -> None:
    kept = told(500, times=2.0)

    def loss(scale: tuple[float, ...]) -> float:
        fitted = replace(temperature(kept), scale=scale)
        moved = replace(kept, logits=fitted.apply(kept.logits, several=False))
        return float(log_losses(moved.targets, moved.chances).mean())

    best = temperature(kept).scale
    for factor in (0.95, 1.05):
        assert loss(best) < loss(tuple(factor * of for of in best))


def test_each_clip_is_calibrated_by_other_speakers() -> None:
    """A speaker with wrong labels does not make the model less sure of that speaker."""
    kept = told(400, times=1.0)
    own = kept.group == 0
    wrong = np.where(own, (kept.targets + 1) % LABELS, kept.targets)
    crossed = cross_fitted(temperature, kept)
    with_wrong = cross_fitted(temperature, replace(kept, targets=wrong))
    np.testing.assert_array_equal(with_wrong.logits[own], crossed.logits[own])
    assert (with_wrong.logits[~own] != crossed.logits[~own]).any()


def test_a_label_of_few_clips_stays_near_the_others() -> None:
    kept = told(400)
    rare = replace(kept, targets=np.where(kept.targets == LABELS - 1, 0, kept.targets))
    found = vector(rare)
    assert np.abs(np.log(found.scale)).max() < 1.5
    assert np.abs(found.shift).max() < 6
