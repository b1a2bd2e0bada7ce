"""The fast way to thousands of samples gives what repeating the rows gives, for every metric."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from kept_predictions import drawn

from tune_audio.evidence.predictions import Predictions
from tune_audio.evidence.resampled import FAST, draws, sample_by_sample, scorer
from tune_audio.evidence.units import units
from tune_audio.evidence.weighing import mean_of_defined
from tune_audio.training.metrics import METRICS, Metric, accuracy


def cases() -> Iterator[tuple[str, Predictions]]:
    for name, metric in METRICS.items():
        for several in (False, True):
            for folds in (None, 3):
                if metric.function and (metric.multi_label or not several):
                    kept = drawn(several=several, folds=folds)
                    yield f"{name}-{'several' if several else 'one'}-{folds}", kept
                    # Few values: ranks with ties. Few clips: samples without some labels.
                    tied = kept.logits.astype(float).round().astype(np.float16)
                    yield (
                        f"{name}-{'several' if several else 'one'}-{folds}-tied",
                        replace(kept, logits=tied).take(np.arange(0, 300, 9)),
                    )


CASES = dict(cases())


@pytest.mark.parametrize("case", CASES)
def test_the_fast_way_is_the_slow_way(case: str) -> None:
    kept, name = CASES[case], case.partition("-")[0]
    over = units(kept)
    weights = np.vstack([over.draws(15, 0), over.each_left_out(), np.zeros((1, over.parts))])
    fast = scorer(kept, name, over)(weights)
    one_by_one = [sample_by_sample(name)(kept, rows, over)(weights) for rows in kept.fold_rows()]
    assert METRICS[name].function in FAST
    np.testing.assert_allclose(fast, mean_of_defined(np.stack(one_by_one)), atol=1e-6)
    assert np.isnan(fast[-1])  # nothing drawn
    whole = scorer(kept, name, over)(np.ones((1, over.parts)))[0]
    assert whole == pytest.approx(kept.score(name), abs=1e-6)


def test_the_loss_is_the_mean_of_the_rows_that_were_drawn() -> None:
    kept = drawn()
    over = units(kept)
    weights = over.draws(20, 0)
    repeated = [np.repeat(kept.losses, sample[over.of_row].astype(int)) for sample in weights]
    expected = [np.mean(sample, dtype=float) for sample in repeated]
    np.testing.assert_allclose(scorer(kept, "loss", over)(weights), expected)


def test_a_metric_of_ones_own_is_computed_on_repeated_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[accuracy.__module__]
    monkeypatch.setattr(module, "own", lambda t, s: accuracy(t, s) ** 2, raising=False)
    own = Metric(f"{module.__name__}:own", "maximize", multi_label=False)
    monkeypatch.setitem(METRICS, "own", own)
    kept = drawn()
    over = units(kept)
    weights = over.draws(20, 0)
    expected = scorer(kept, "accuracy", over)(weights) ** 2
    np.testing.assert_allclose(scorer(kept, "own", over)(weights), expected)
    assert draws("own") < draws("accuracy") == 2000


def test_a_search_of_54_trials_is_resampled_2000_times_in_a_second() -> None:
    """4,482 recordings, 35 labels; 0.2 s on one core."""
    trials = [drawn(clips=4482, labels=35, groups=250, model=number) for number in range(54)]
    started = time.process_time()
    for name in ("accuracy", "balanced_accuracy", "f1_macro"):
        weights = units(trials[0]).draws(2000, 0)
        for trial in trials:
            scorer(trial, name, units(trial))(weights)
    assert time.process_time() - started < 3 * 2
