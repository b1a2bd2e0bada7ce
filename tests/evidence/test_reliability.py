"""Whether a model is right as often as it says."""

import numpy as np
import pytest
from scipy.special import logit

from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.reliability import reliability


def claims(sure: list[float], right: list[bool]) -> Predictions:
    """Two labels; the first is said with such probabilities, above a half."""
    logits = np.stack([logit(sure), np.zeros(len(sure))], axis=1)
    return Predictions(logits, 1 - np.array(right, int), np.arange(len(sure)))


def true_to_itself(rng: np.random.Generator, clips: int, several: bool) -> Predictions:
    """Labels drawn from the very probabilities."""
    logits = 2 * rng.normal(size=(clips, 6))
    kept = Predictions(logits, np.zeros((clips, 6) if several else clips, int), np.arange(clips))
    if several:
        targets = (rng.random((clips, 6)) < kept.chances).astype(np.float32)
    else:
        targets = (kept.chances.cumsum(axis=1) > rng.random((clips, 1))).argmax(axis=1)
    return Predictions(logits, targets, kept.recording)


def test_the_error_and_its_bins_as_worked_out_by_hand() -> None:
    found = reliability(claims([0.9] * 10 + [0.6] * 10, [True] * 7 + [False] * 3 + [True] * 10))
    assert found.error.score == pytest.approx((10 * 0.2 + 10 * 0.4) / 20)
    low, high = found.bins
    assert (low.claims, low.sure, low.right) == (10, pytest.approx(0.6), 1.0)
    assert (high.claims, high.sure, high.right) == (10, pytest.approx(0.9), 0.7)
    assert low.low <= 0.6 < low.high <= high.low <= 0.9 < high.high
    assert (found.error.resampled, found.error.count) == ("recordings", 20)


@pytest.mark.parametrize("several", [False, True])
def test_a_model_true_to_itself_has_the_error_of_chance(several: bool) -> None:
    rng = np.random.default_rng(0)
    found = [reliability(true_to_itself(rng, 400, several)) for _ in range(40)]
    mean = np.mean([one.error.score for one in found])
    assert mean == pytest.approx(np.mean([one.by_chance for one in found]), rel=0.1)
    assert mean > 0.005


def test_what_is_too_sure_is_found_out_with_an_interval_above_chance() -> None:
    kept = true_to_itself(np.random.default_rng(0), 2000, several=False)
    found = reliability(Predictions(3 * kept.logits, kept.targets, kept.recording))
    assert found.by_chance < found.error.low < found.error.score < found.error.high
    surest = found.bins[-1]
    assert surest.sure > 0.95 > surest.right
