"""Metrics against numbers worked out by hand."""

import numpy as np
import pytest

from tune_audio.metrics import METRICS, confusion_matrix, per_class_accuracy, score

# label 0: 3 of 4 found, one called 1; label 1: 1 of 2, one called 0; label 2 has no clip
TARGETS = np.array([0, 0, 0, 0, 1, 1])
PREDICTIONS = np.array([0, 0, 0, 1, 1, 0])
SCORES = np.eye(3, dtype=np.float32)[PREDICTIONS] * 4 - 1


def test_accuracy() -> None:
    assert score("accuracy", TARGETS, SCORES) == pytest.approx(4 / 6)


def test_balanced_accuracy_counts_the_labels_that_occur() -> None:
    assert score("balanced_accuracy", TARGETS, SCORES) == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_f1_macro_counts_every_label() -> None:
    # label 0: precision 3/4, recall 3/4; label 1: 1/2, 1/2; label 2: 0
    assert score("f1_macro", TARGETS, SCORES) == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)


def test_confusion_matrix_has_true_labels_in_rows() -> None:
    assert confusion_matrix(TARGETS, SCORES).tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_per_class_accuracy_of_an_absent_label_is_nan() -> None:
    np.testing.assert_allclose(per_class_accuracy(TARGETS, SCORES), [3 / 4, 1 / 2, np.nan])


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].function])
def test_perfect_scores_are_one_and_better_is_higher(name: str) -> None:
    targets = np.array([0, 1, 2, 2])
    perfect = score(name, targets, np.eye(3)[targets])
    assert perfect == 1.0
    assert perfect > score(name, targets, np.eye(3)[[0, 1, 2, 1]])
    assert METRICS[name].direction == "maximize"


def test_the_loss_is_the_learners() -> None:
    assert METRICS["loss"].direction == "minimize"
    with pytest.raises(ValueError, match="learner"):
        score("loss", TARGETS, SCORES)
