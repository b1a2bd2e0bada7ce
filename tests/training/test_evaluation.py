"""Whole clips: their order, their probabilities, and scores that confidence does not change."""

import numpy as np
import pytest
from sklearn import metrics as theirs

from tune_audio.training.evaluation import Evaluation
from tune_audio.training.metrics import probabilities

CLIPS, LABELS, WINDOWS = 400, 5, 3
KINDS = ["one label", "several labels"]


def drawn(kind: str, scale: float, windows: int) -> Evaluation:
    """Answers that are often wrong, the surer of themselves the larger the scale."""
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(CLIPS), windows)
    targets = rng.integers(LABELS, size=CLIPS)
    is_own = np.eye(LABELS, dtype=np.float32)[targets]
    if kind == "several labels":
        targets = is_own = (rng.random((CLIPS, LABELS)) < 0.3).astype(np.float32)
    logits = scale * (rng.normal(size=(len(recording), LABELS)) + is_own[recording])
    return Evaluation(targets[recording], logits.astype(np.float32), 0.5, recording)


def by_scikit_learn(targets: np.ndarray, chances: np.ndarray) -> dict[str, float]:
    is_own = targets if targets.ndim == 2 else np.eye(LABELS)[targets]
    return {
        "auc_roc": theirs.roc_auc_score(is_own, chances, average="macro"),
        "map": theirs.average_precision_score(is_own, chances, average="macro"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_clips_without_windows_score_as_they_are_however_sure(kind: str) -> None:
    evaluation = drawn(kind, scale=30.0, windows=1)
    chances = probabilities(evaluation.targets, evaluation.logits)
    for name, expected in by_scikit_learn(evaluation.targets, chances).items():
        assert evaluation.score(name) == pytest.approx(expected, abs=1e-9)
        assert evaluation.score(f"clip_{name}") == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scale", [1.0, 15.0])
@pytest.mark.parametrize("kind", KINDS)
def test_clips_with_windows_score_as_their_mean_probabilities(kind: str, scale: float) -> None:
    evaluation = drawn(kind, scale, WINDOWS)
    chances = probabilities(evaluation.targets, evaluation.logits)
    mean = chances.reshape(CLIPS, WINDOWS, LABELS).mean(axis=1)
    for name, expected in by_scikit_learn(evaluation.targets[::WINDOWS], mean).items():
        assert evaluation.score(f"clip_{name}") == pytest.approx(expected, abs=1e-9)
    of_clips = evaluation.by_clip
    np.testing.assert_allclose(probabilities(of_clips.targets, of_clips.logits), mean, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_of_0_and_1_stay_finite(kind: str) -> None:
    evaluation = drawn(kind, scale=1e4, windows=WINDOWS)
    assert {0.0, 1.0} <= set(probabilities(evaluation.targets, evaluation.logits).flat)
    assert np.isfinite(evaluation.by_clip.logits).all()


@pytest.mark.parametrize("windows", [1, WINDOWS])
def test_clips_come_in_the_order_of_their_recordings(windows: int) -> None:
    """`final_test` names them by np.unique of the recordings, in whatever order the rows are."""
    evaluation = drawn("one label", 1.0, windows)
    order = np.random.default_rng(1).permutation(CLIPS * windows)
    shuffled = Evaluation(
        evaluation.targets[order], evaluation.logits[order], 0.5, evaluation.recording[order]
    )
    ours, expected = shuffled.by_clip, evaluation.by_clip
    np.testing.assert_array_equal(ours.recording, np.arange(CLIPS))
    np.testing.assert_array_equal(ours.targets, expected.targets)
    np.testing.assert_allclose(ours.logits, expected.logits, rtol=1e-6)
