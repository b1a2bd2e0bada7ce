"""Metrics against numbers worked out by hand, against formulas of their own, and scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics as theirs

from tune_audio.errors import UserError
from tune_audio.training.metrics import (
    METRICS,
    accuracy,
    confusion_matrix,
    per_class_accuracy,
    per_class_auc_roc,
    per_class_average_precision,
    per_class_f1,
    probabilities,
    score,
)

# label 0: 3 of 4 found, one called 1; label 1: 1 of 2, one called 0; label 2 has no clip
TARGETS = np.array([0, 0, 0, 0, 1, 1])
PREDICTIONS = np.array([0, 0, 0, 1, 1, 0])
SCORES = np.eye(3, dtype=np.float32)[PREDICTIONS] * 4 - 1

# label 0 by falling score: yes, no, yes, no; label 1: no, yes, yes, no; label 2: never; 3: always
MULTI_HOT = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [1, 1, 0, 1], [0, 0, 0, 1]], dtype=np.float32)
LOGITS = np.array(
    [[3, 2, -1, 1], [2, 1, -1, 1], [1, -1, -1, -1], [-2, -3, -1, 1]], dtype=np.float32
)


@pytest.fixture
def one_label() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    targets = np.repeat(np.arange(5), [40, 30, 20, 7, 3])
    logits = rng.normal(size=(100, 5)) + 1.5 * np.eye(5)[targets]
    return targets, logits.round(1).astype(np.float32)  # rounded: some scores are equal


@pytest.fixture
def several_labels() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    targets = (rng.random((100, 5)) < [0.5, 0.3, 0.2, 0.1, 0.05]).astype(np.float32)
    return targets, (rng.normal(size=(100, 5)) + 1.5 * targets).round(1).astype(np.float32)


def area_by_pairs(truth: np.ndarray, scores: np.ndarray) -> float:
    """The part of pairs (clip with the label, clip without) in the right order, ties half."""
    difference = scores[truth][:, None] - scores[~truth]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def precision_by_thresholds(truth: np.ndarray, scores: np.ndarray) -> float:
    total, found_before = 0.0, 0
    for threshold in sorted(set(scores), reverse=True):
        found = int((truth & (scores >= threshold)).sum())
        total += found / int((scores >= threshold).sum()) * (found - found_before)
        found_before = found
    return total / int(truth.sum())


def one_hot(targets: np.ndarray) -> np.ndarray:
    return targets > 0.5 if targets.ndim == 2 else np.eye(5, dtype=bool)[targets]


def test_accuracy() -> None:
    assert score("accuracy", TARGETS, SCORES) == pytest.approx(4 / 6)


def test_balanced_accuracy_counts_the_labels_that_occur() -> None:
    assert score("balanced_accuracy", TARGETS, SCORES) == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_f1_macro_counts_the_labels_that_occur_or_are_predicted() -> None:
    # label 0: precision 3/4, recall 3/4; label 1: 1/2, 1/2; label 2: neither
    assert score("f1_macro", TARGETS, SCORES) == pytest.approx((3 / 4 + 1 / 2) / 2)
    called = np.vstack([SCORES[:-1], [-1, -1, 3]])  # label 0 then has a precision of 1
    np.testing.assert_allclose(per_class_f1(TARGETS, called), [6 / 7, 1 / 2, 0])
    assert score("f1_macro", TARGETS, called) == pytest.approx((6 / 7 + 1 / 2 + 0) / 3)


def test_f1_macro_is_scikit_learns_where_labels_are_absent(one_label, several_labels) -> None:
    targets, logits = one_label
    wider = np.insert(logits, [0, 3], -99, axis=1)  # two labels more, neither there nor predicted
    moved = targets + 1 + (targets >= 3)
    f1 = theirs.f1_score(moved, wider.argmax(axis=1), average="macro")
    assert score("f1_macro", moved, wider) == pytest.approx(f1, abs=1e-9)
    predicted = np.insert(logits, 0, np.where(np.arange(100) % 9, -99, 99), axis=1)
    f1 = theirs.f1_score(targets + 1, predicted.argmax(axis=1), average="macro")
    assert score("f1_macro", targets + 1, predicted) == pytest.approx(f1, abs=1e-9)
    targets, logits = several_labels
    wider, multi_hot = np.insert(logits, 2, -9, axis=1), np.insert(targets, 2, 0, axis=1)
    f1 = theirs.f1_score(multi_hot, wider > 0, average="macro", zero_division=0)
    assert score("f1_macro", multi_hot, wider) == pytest.approx(f1, abs=1e-9)
    assert f1 == pytest.approx(score("f1_macro", targets, logits) * 5 / 6)


def test_confusion_matrix_has_true_labels_in_rows() -> None:
    assert confusion_matrix(TARGETS, SCORES).tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_per_class_accuracy_of_an_absent_label_is_nan() -> None:
    np.testing.assert_allclose(per_class_accuracy(TARGETS, SCORES), [3 / 4, 1 / 2, np.nan])


def test_several_labels_by_hand() -> None:
    # precision and recall at a logit of 0: 2/3, 1; 1/2, 1/2; never found; 1, 3/4
    np.testing.assert_allclose(per_class_f1(MULTI_HOT, LOGITS), [4 / 5, 1 / 2, 0, 6 / 7])
    np.testing.assert_allclose(per_class_auc_roc(MULTI_HOT, LOGITS), [3 / 4, 1 / 2, np.nan, np.nan])
    average_precision = [(1 + 2 / 3) / 2, (1 / 2 + 2 / 3) / 2, np.nan, 1]
    np.testing.assert_allclose(per_class_average_precision(MULTI_HOT, LOGITS), average_precision)
    assert score("auc_roc", MULTI_HOT, LOGITS) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert score("map", MULTI_HOT, LOGITS) == pytest.approx((5 / 6 + 7 / 12 + 1) / 3)


def test_a_label_that_does_not_occur_changes_neither_auc_nor_map(one_label) -> None:
    targets, logits = one_label
    unlikely = np.full((len(logits), 1), -1e4, dtype=np.float32)
    for name in ("auc_roc", "map"):
        before = score(name, targets, logits)
        assert score(name, targets, np.hstack([logits, unlikely])) == pytest.approx(before)


@pytest.mark.parametrize("kind", ["one_label", "several_labels"])
def test_ranking_metrics_follow_their_definitions(kind: str, request) -> None:
    targets, logits = request.getfixturevalue(kind)
    columns = list(zip(one_hot(targets).T, probabilities(targets, logits).T, strict=True))
    areas = [area_by_pairs(*column) for column in columns]
    precisions = [precision_by_thresholds(*column) for column in columns]
    np.testing.assert_allclose(per_class_auc_roc(targets, logits), areas, atol=1e-9)
    np.testing.assert_allclose(per_class_average_precision(targets, logits), precisions, atol=1e-9)


def test_one_label_equals_scikit_learn(one_label) -> None:
    targets, logits = one_label
    exponents = np.exp(logits.astype(np.float64))
    shares = exponents / exponents.sum(axis=1, keepdims=True)
    predictions = logits.argmax(axis=1)
    expected = {
        "accuracy": theirs.accuracy_score(targets, predictions),
        "balanced_accuracy": theirs.balanced_accuracy_score(targets, predictions),
        "f1_macro": theirs.f1_score(targets, predictions, average="macro"),
        "auc_roc": theirs.roc_auc_score(targets, shares, multi_class="ovr", average="macro"),
        "map": theirs.average_precision_score(np.eye(5)[targets], shares, average="macro"),
    }
    assert set(expected) == {name for name in METRICS if METRICS[name].function}
    for name, value in expected.items():
        assert score(name, targets, logits) == pytest.approx(value, abs=1e-9), name
    recall = theirs.recall_score(targets, predictions, average=None)
    np.testing.assert_allclose(per_class_accuracy(targets, logits), recall, atol=1e-9)


def test_several_labels_equal_scikit_learn(several_labels) -> None:
    targets, logits = several_labels
    shares = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = {
        "f1_macro": theirs.f1_score(targets, shares > 0.5, average="macro"),
        "auc_roc": theirs.roc_auc_score(targets, shares, average="macro"),
        "map": theirs.average_precision_score(targets, shares, average="macro"),
    }
    for name, value in expected.items():
        assert score(name, targets, logits) == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].function])
def test_perfect_scores_are_one_and_better_is_higher(name: str) -> None:
    targets = np.array([0, 1, 2, 2])
    perfect = score(name, targets, np.eye(3)[targets])
    assert perfect == 1.0
    assert perfect > score(name, targets, np.eye(3)[[0, 1, 2, 1]])
    assert METRICS[name].direction == "maximize"


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].function])
def test_several_labels_are_judged_or_refused(name: str) -> None:
    if METRICS[name].multi_label:
        assert score(name, MULTI_HOT[:, :2], 2 * MULTI_HOT[:, :2] - 1) == 1.0
    else:
        with pytest.raises(UserError, match=rf"val/{name}, which needs one label.*val/map"):
            score(name, MULTI_HOT, LOGITS)


def test_functions_for_one_label_refuse_several() -> None:
    for function in (accuracy, confusion_matrix, per_class_accuracy):
        with pytest.raises(ValueError, match=r"\(4, 4\): one label a clip"):
            function(MULTI_HOT, LOGITS)


def test_nothing_to_rank_is_an_error() -> None:
    targets, logits = np.zeros(4, dtype=np.int64), np.zeros((4, 1))
    with pytest.raises(UserError, match="auc_roc: not defined"):
        score("auc_roc", targets, logits)
    with pytest.raises(UserError, match="map: not defined"):
        score("map", np.zeros((4, 2), dtype=np.float32), np.zeros((4, 2)))


def test_the_loss_is_the_learners() -> None:
    assert METRICS["loss"].direction == "minimize"
    with pytest.raises(ValueError, match="learner"):
        score("loss", TARGETS, SCORES)
