"""Models that answer together: chosen within a budget, and judged on others than chosen on."""

import math

import numpy as np
import pytest
from kept_predictions import drawn

from tune_audio.evidence.ensemble import Budget, select
from tune_audio.evidence.predictions import Predictions
from tune_audio.training.metrics import METRICS


def models(count: int, *, several: bool = False, clips: int = 400) -> dict[str, Predictions]:
    """Equally good ones whose mistakes are their own."""
    sure = 0.7 if several else 1.3
    return {f"m{i}": drawn(several=several, clips=clips, sure=sure, model=i) for i in range(count)}


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", METRICS)
def test_models_with_mistakes_of_their_own_are_better_together(name: str, several: bool) -> None:
    if several and not METRICS[name].multi_label:
        return
    found = select(models(8, several=several), f"val/{name}")
    assert found.is_better()
    assert found.gain.low > 0
    assert 2 <= len(found.weights) <= 5
    assert math.fsum(found.weights.values()) == pytest.approx(1)
    assert list(found.weights.values()) == sorted(found.weights.values(), reverse=True)


def test_copies_are_no_better_together() -> None:
    found = select({f"m{i}": drawn() for i in range(6)}, "val/accuracy")
    assert not found.is_better()
    assert found.gain.better_by == 0.0
    assert found.estimate.score == pytest.approx(drawn().score("accuracy"))


def test_noise_among_which_is_chosen_does_not_look_like_a_gain() -> None:
    """Models that know nothing: selected on the same clips they would score well above chance."""
    rng = np.random.default_rng(0)
    targets, recording = rng.integers(4, size=200), np.arange(200)
    noise = {f"m{i}": Predictions(rng.normal(size=(200, 4)), targets, recording) for i in range(15)}
    found = select(noise, "accuracy")
    assert noise[found.single].score("accuracy") > 0.28
    assert found.estimate.low < 0.25 < found.estimate.high
    assert not found.is_better()


def test_the_budget_is_kept() -> None:
    candidates = models(8)
    costs = {name: 1.0 + 3 * (name == "m0") for name in candidates}
    two = select(candidates, "accuracy", costs=costs, budget=Budget(cost=2.5))
    assert len(two.weights) == 2
    assert "m0" not in two.weights
    assert two.single != "m0"
    assert two.cost == 2.0
    assert len(select(candidates, "accuracy", budget=Budget(members=1)).weights) == 1
    with pytest.raises(ValueError, match="allows none of 8"):
        select(candidates, "accuracy", costs=costs, budget=Budget(cost=0.5))


def test_the_estimate_is_of_speakers_that_nothing_was_chosen_on() -> None:
    found = select(models(4), "accuracy")
    assert (found.estimate.resampled, found.estimate.count) == ("groups", 12)
    assert found == select(models(4), "accuracy")  # seeded


def test_only_models_of_the_same_rows_answer_together() -> None:
    with pytest.raises(ValueError, match="targets"):
        select({"one": drawn(seed=0), "other": drawn(seed=1)}, "accuracy")
