"""How sure a difference is: p, over units and over recordings."""

import numpy as np
import pytest
from kept_predictions import answers
from scipy import stats

from tune_audio.evidence.jackknife import Spread, spread
from tune_audio.evidence.resampled import scorer
from tune_audio.evidence.units import units


def of(estimate: float, error: float, freedom: int, error_of_recordings: float) -> Spread:
    over = units(answers(np.ones(10, bool)))
    return Spread(estimate, over, 10, error, freedom, error_of_recordings)


def test_p_is_students_where_units_vary_and_the_normal_laws_where_recordings_vary_more() -> None:
    assert of(0.1, 0.05, 4, 0.01).p == pytest.approx(2 * stats.t.sf(2, 4))
    assert of(-0.1, 0.001, 4, 0.05).p == pytest.approx(2 * stats.norm.sf(2))


def test_what_does_not_differ_is_not_different() -> None:
    assert of(0.0, 0.0, 4, 0.0).p == 1.0
    assert of(0.0, 0.1, 4, 0.1).p == 1.0


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_the_interval_has_0_at_its_end_where_p_is_1_less_the_level(level: float) -> None:
    half = of(0.0, 0.05, 4, 0.02).half_width(level)
    assert of(half, 0.05, 4, 0.02).p == pytest.approx(1 - level)


def test_the_error_of_a_mean_of_recordings_is_the_textbooks() -> None:
    right = np.arange(100) < 80
    found = spread(lambda over: scorer(answers(right), "accuracy", over), answers(right))
    assert found.error == pytest.approx(right.std(ddof=1) / 10)
    assert found.freedom == 99
