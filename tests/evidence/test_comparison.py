"""Who is really better: heard by the same speakers, corrected for how many are asked about."""

from dataclasses import replace

import numpy as np
import pytest
from kept_predictions import answers, drawn, heard
from scipy import stats

from tune_audio.evidence.comparison import compare, difference, holm
from tune_audio.evidence.predictions import Predictions


def test_holm_corrects_as_in_a_worked_example() -> None:
    # sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, and never below the one before
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_of_equally_many_recordings_p_is_that_of_the_paired_t_test_of_speakers() -> None:
    rng = np.random.default_rng(0)
    speaker = np.repeat(np.arange(6), 200)
    ease = rng.uniform(0.5, 0.8, size=6)[speaker]
    better = rng.uniform(0, 0.2, size=6)[speaker]
    one, other = (rng.random(1200) < of for of in (ease + better, ease))
    found = difference(answers(one, speaker), answers(other, speaker), "accuracy")
    means = [[of[speaker == s].mean() for s in range(6)] for of in (one, other)]
    expected = stats.ttest_rel(*means)
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.resampled, found.count) == ("groups", 6)


def test_what_a_hard_speaker_costs_all_models_tells_none_from_another() -> None:
    """The difference is sure where the scores themselves are not at all."""
    hard = np.repeat([0.95, 0.5, 0.9, 0.3, 0.8], 100)
    draw = np.random.default_rng(0).random(500)
    speaker = np.repeat(np.arange(5), 100)
    one, other = answers(draw < hard, speaker), answers(draw < hard - 0.05, speaker)
    assert difference(one, other, "accuracy").p < 0.02
    assert difference(other, one, "accuracy").better_by == pytest.approx(
        -difference(one, other, "accuracy").better_by
    )


@pytest.mark.parametrize("speakers", [3, 5, 20])
def test_equal_models_are_rarely_told_apart(speakers: int) -> None:
    rng, told = np.random.default_rng(0), 0
    for _ in range(300):
        right, speaker, _ = heard(rng, speakers, models=2)
        one, other = (answers(of, speaker) for of in right)
        told += difference(one, other, "accuracy").p <= 0.05
    assert told / 300 < 0.08


def models() -> dict[str, Predictions]:
    return {name: drawn(sure=sure, model=i) for i, (name, sure) in enumerate(SURE.items())}


SURE = {"poor": 0.5, "good": 2.0, "best": 2.3, "as good": 2.2}
COSTS = {"poor": 0.1, "good": 0.3, "best": 9.0, "as good": 2.0}


@pytest.mark.parametrize("metric", ["val/accuracy", "val/map", "val/f1_macro"])
def test_the_winner_its_ties_and_the_cheapest_of_them(metric: str) -> None:
    found = compare(models(), metric)
    assert found.winner in ("best", "as good")
    scores = [rival.score for rival in found.rivals]
    assert scores == sorted(scores, reverse=True)
    assert "poor" not in found.tied
    assert set(found.tied) | {found.winner} == {"best", "as good", "good"}
    assert found.cheapest(COSTS) == "good"
    assert all(rival.p >= rival.behind.p and rival.behind.better_by >= 0 for rival in found.rivals)


def test_the_lowest_loss_wins() -> None:
    kept = drawn()
    found = compare({"high": kept, "low": replace(kept, losses=kept.losses / 2)}, "val/loss")
    assert found.winner == "low"
    assert found.rivals[0].behind.better_by == pytest.approx(kept.losses.mean() / 2)
    assert not found.tied


def test_a_model_is_not_different_from_itself_and_may_be_alone() -> None:
    found = compare({"one": drawn(), "same": drawn()}, "accuracy")
    assert found.tied == ["same"]
    assert found.rivals[0].behind.p == 1.0
    assert compare({"one": drawn()}, "accuracy").cheapest({"one": 1.0}) == "one"


def test_only_the_same_rows_are_compared() -> None:
    with pytest.raises(ValueError, match="targets"):
        difference(drawn(seed=0), drawn(seed=1), "accuracy")
