"""The value of a trial: its best epoch, by the mean over the folds that are done."""

import pytest

from tune_audio.training.curve import Best, best


def rows(*folds: list[float]) -> list[dict]:
    return [{"fold": f, "x": value} for f, values in enumerate(folds) for value in values]


def test_of_one_split_the_best_epoch_counts_and_the_last_of_equals():
    epochs = [{"x": value} for value in (0.2, 0.6, 0.5, 0.6)]
    assert best(epochs, "x", maximize=True) == Best(0.6, 4, 1)
    assert best(epochs, "x", maximize=False) == Best(0.2, 1, 1)
    assert best([], "x", maximize=True) is None


@pytest.mark.parametrize(
    ("folds", "expected"),
    [
        ([[0.5]], Best(0.5, 1, 1)),
        ([[0.5, 0.9]], Best(0.9, 2, 1)),
        ([[0.5, 0.9], [1.0]], Best(0.9, 2, 1)),  # the second is not done
        ([[0.5, 0.9], [1.0, 0.2]], Best(0.75, 1, 2)),  # its best is not the mean of the bests
        ([[0.5, 0.9], [1.0, 0.2], [0.0]], Best(0.75, 1, 2)),
    ],
)
def test_folds_are_compared_at_the_same_epoch(folds, expected):
    assert best(rows(*folds), "x", maximize=True) == expected
