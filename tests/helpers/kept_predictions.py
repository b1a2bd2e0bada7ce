"""Predictions as a search keeps them, drawn: speakers differ, and so do models."""

import numpy as np
from scipy.special import expit

from tune_audio.evidence.predictions import Predictions
from tune_audio.training.kept import rounded


def drawn(
    seed: int = 0,
    *,
    several: bool = False,
    clips: int = 300,
    labels: int = 5,
    groups: int | None = 12,
    folds: int | None = None,
    sure: float = 2.0,
    model: int = 0,
) -> Predictions:
    """Answers that are the better the surer; the same seed has the same clips of any model."""
    rng, of_model = np.random.default_rng(seed), np.random.default_rng([seed, model])
    group = None if groups is None else rng.integers(groups, size=clips)
    fold = None if folds is None else (np.arange(clips) if group is None else group) % folds
    if several:
        targets = (rng.random((clips, labels)) < 0.3).astype(np.float32)
        own = 2 * targets - 1
    else:
        targets = rng.integers(labels, size=clips)
        own = np.eye(labels)[targets]
    logits = of_model.normal(size=(clips, labels)) + sure * own
    losses = of_model.random(clips).astype(np.float32)
    kept = rounded(logits.astype(np.float32), several=several)
    return Predictions(kept, targets, np.arange(clips), group, fold, losses)


def answers(right: np.ndarray, group: np.ndarray | None = None) -> Predictions:
    """Predictions of two labels, right or wrong as given, (n,)."""
    logits = np.stack([right, ~right], axis=1).astype(np.float16)
    return Predictions(logits, np.zeros(len(right), int), np.arange(len(right)), group)


def heard(
    rng: np.random.Generator, speakers: int, models: int = 1, spread: float = 0.7
) -> tuple[np.ndarray, np.ndarray, float]:
    """Right answers of equal models (models, n), each recording's speaker (n,), and the accuracy
    for all speakers there could be.

    10 to 100 recordings a speaker; speakers differ by `spread` on the scale of logits.
    """
    speaker = np.repeat(np.arange(speakers), rng.integers(10, 101, size=speakers))
    ease = 1.5 + spread * rng.normal(size=speakers)
    right = rng.random((models, len(speaker))) < expit(ease)[speaker]
    return right, speaker, accuracy_of_all(spread)


def accuracy_of_all(spread: float) -> float:
    normal = np.linspace(-8, 8, 2001)
    weights = np.exp(-(normal**2) / 2)
    return float(expit(1.5 + spread * normal) @ weights / weights.sum())
