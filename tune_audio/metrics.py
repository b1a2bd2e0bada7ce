"""What models are judged by: name -> function and direction.

A function takes targets, int64 (n,) labels, and scores, float (n, L) logits, and returns a float.
scikit-learn is imported only when a metric that needs it is computed.
"""

import pkgutil
from typing import Literal, NamedTuple

import numpy as np


class Metric(NamedTuple):
    """Where a metric's function is and which way is better.

    function is None for the loss: the learner has it from the loss it trains with.
    """

    function: str | None
    direction: Literal["maximize", "minimize"]


METRICS: dict[str, Metric] = {
    "accuracy": Metric("tune_audio.metrics:accuracy", "maximize"),
    "balanced_accuracy": Metric("tune_audio.metrics:balanced_accuracy", "maximize"),
    "f1_macro": Metric("tune_audio.metrics:f1_macro", "maximize"),
    "loss": Metric(None, "minimize"),
}


def score(name: str, targets: np.ndarray, scores: np.ndarray) -> float:
    """A metric of METRICS that has a function, by name."""
    function = METRICS[name].function
    if function is None:
        raise ValueError(f"{name} is computed by the learner, not from targets and scores")
    return float(pkgutil.resolve_name(function)(targets, scores))


def accuracy(targets: np.ndarray, scores: np.ndarray) -> float:
    """The part of clips whose highest score is their label's."""
    return float(np.mean(scores.argmax(axis=-1) == targets))


def balanced_accuracy(targets: np.ndarray, scores: np.ndarray) -> float:
    """The mean over the labels that occur of the part of their clips that is found (recall)."""
    return float(np.nanmean(per_class_accuracy(targets, scores)))


def f1_macro(targets: np.ndarray, scores: np.ndarray) -> float:
    """The mean over all L labels of F1; a label that neither occurs nor is predicted counts 0."""
    from sklearn.metrics import f1_score

    labels = np.arange(scores.shape[-1])
    predictions = scores.argmax(axis=-1)
    return float(f1_score(targets, predictions, labels=labels, average="macro", zero_division=0))


def per_class_accuracy(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For each label the part of its clips that is found, float (L,); NaN for one without clips."""
    matrix = confusion_matrix(targets, scores)
    clips = matrix.sum(axis=1)
    return np.divide(matrix.diagonal(), clips, out=np.full(len(clips), np.nan), where=clips > 0)


def confusion_matrix(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Numbers of clips, int64 (L, L): rows are true labels, columns predicted ones."""
    from sklearn import metrics

    labels = np.arange(scores.shape[-1])
    return metrics.confusion_matrix(targets, scores.argmax(axis=-1), labels=labels)
