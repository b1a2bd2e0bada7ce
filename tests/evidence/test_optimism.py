"""The best of many scores is partly luck; corrected, it is what the winner is worth."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from kept_predictions import accuracy_of_all, answers, drawn, heard

from tune_audio.evidence.optimism import correct
from tune_audio.evidence.predictions import Predictions
from tune_audio.training.metrics import METRICS


def test_the_best_of_50_equal_trials_looks_better_than_it_is_and_is_brought_back() -> None:
    rng = np.random.default_rng(0)
    raw, corrected, held_raw, held = [], [], [], []
    truth = accuracy_of_all(0.7)
    for _ in range(60):
        right, speaker, _ = heard(rng, speakers=8, models=50)
        found = correct((answers(of, speaker) for of in right), "accuracy")
        # What all trials got right by these speakers' ease is no luck of the winner's.
        ease = right.mean() - truth
        raw.append(found.raw.score - truth - ease)
        corrected.append(found.corrected.score - truth - ease)
        held_raw.append(found.raw.low <= truth <= found.raw.high)
        held.append(found.corrected.low <= truth <= found.corrected.high)
    assert np.mean(raw) > 0.03
    assert abs(np.mean(corrected)) < 0.005
    assert np.mean(held) > 0.9
    assert np.mean(held_raw) < np.mean(held)


def test_a_lone_trial_and_a_clear_winner_are_left_as_they_are() -> None:
    best = drawn(clips=2000, sure=3.0)
    alone = correct([best], "val/accuracy")
    assert alone.optimism == pytest.approx(0, abs=1e-6)
    poor = [drawn(clips=2000, sure=1.0, model=number) for number in range(1, 9)]
    among = correct([*poor, best], "val/accuracy")
    assert (among.winner, among.trials, among.draws) == (8, 9, 2000)
    assert among.corrected.score == pytest.approx(alone.corrected.score)
    assert among.raw.score == best.score("accuracy")


def test_copies_of_one_trial_add_no_luck() -> None:
    """What is equally good in a sample counts alike, whichever stands first."""
    one, other = drawn(clips=60), drawn(clips=60, model=1)
    twice, many = correct([one, other], "accuracy"), correct([one, *[other] * 5], "accuracy")
    assert many.corrected.score == pytest.approx(twice.corrected.score, abs=0.01)
    assert correct([one] * 20, "accuracy").optimism == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_corrected_towards_the_worse(name: str, several: bool) -> None:
    if several and not METRICS[name].multi_label:
        return
    trials = [drawn(several=several, sure=1.0, model=number) for number in range(12)]
    found = correct(trials, f"val/{name}")
    scores = [trial.score(name) for trial in trials]
    best = max if METRICS[name].direction == "maximize" else min
    assert found.raw.score == pytest.approx(best(scores), abs=1e-6)
    assert found.winner == scores.index(best(scores))
    assert (found.optimism > 0) == (best is max)
    assert found.corrected.low < found.corrected.score < found.corrected.high
    assert found.corrected.method == "BBC-CV, jackknife-t"


def test_trials_are_read_one_by_one() -> None:
    read: list[weakref.ref[Predictions]] = []
    alive: list[int] = []

    def trials() -> Iterator[Predictions]:
        for number in range(30):
            trial = drawn(model=number)
            read.append(weakref.ref(trial))
            alive.append(sum(one() is not None for one in read))
            yield trial

    assert correct(trials(), "accuracy").trials == 30
    assert max(alive) <= 4  # the first, the best, the last, and this one


def test_the_same_seed_gives_the_same_to_the_last_digit() -> None:
    trials = [drawn(model=number) for number in range(5)]
    assert correct(trials, "map") == correct(trials, "map")
    first, other = (correct(trials, "accuracy", seed=seed).corrected.score for seed in (0, 1))
    assert first != other


def test_what_is_no_search_is_refused() -> None:
    with pytest.raises(ValueError, match="none"):
        correct([], "accuracy")
    with pytest.raises(ValueError, match="targets"):
        correct([drawn(seed=0), drawn(seed=1)], "accuracy")


def test_a_winner_that_is_always_right_is_no_surer_for_having_been_chosen():
    targets = np.arange(60) % 3
    right = np.float32(np.eye(3)[targets])
    wrong = right.copy()
    wrong[0] = wrong[0][::-1]
    trials = [Predictions(logits, targets, np.arange(60)) for logits in (right, wrong)]
    found = correct(trials, "val/accuracy")
    assert found.raw.low < 0.95 and found.corrected.low < 0.95
