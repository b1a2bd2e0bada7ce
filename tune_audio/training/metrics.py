"""What models are judged by: name -> function and direction.

A function takes targets and scores and returns a float. Targets are int64 (n,) where a clip has one
label, or multi-hot float (n, L) where it may have several; scores are float (n, L) logits. A
prediction is the highest logit of one label, and every logit above 0 (a probability above 0.5) of
several. scikit-learn is imported only when a metric that needs it is computed.
"""

import pkgutil
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from tune_audio.errors import UserError


class Metric(NamedTuple):
    """Where a metric's function is, which way is better, whether a clip may have several labels.

    function is None for the loss: the learner has it from the loss it trains with.
    """

    function: str | None
    direction: Literal["maximize", "minimize"]
    multi_label: bool = True


METRICS: dict[str, Metric] = {
    "accuracy": Metric("tune_audio.training.metrics:accuracy", "maximize", multi_label=False),
    "balanced_accuracy": Metric(
        "tune_audio.training.metrics:balanced_accuracy", "maximize", multi_label=False
    ),
    "f1_macro": Metric("tune_audio.training.metrics:f1_macro", "maximize"),
    "auc_roc": Metric("tune_audio.training.metrics:auc_roc", "maximize"),
    "map": Metric("tune_audio.training.metrics:mean_average_precision", "maximize"),
    "loss": Metric(None, "minimize"),
}


# Before a metric's name: of whole clips, whose windows' predictions are averaged.
CLIP = "clip_"


def names() -> list[str]:
    """What `search.metric` may be."""
    averaged = [name for name in METRICS if METRICS[name].function is not None]
    return [f"val/{name}" for name in METRICS] + [f"val/{CLIP}{name}" for name in averaged]


def direction(metric: str) -> Literal["maximize", "minimize"]:
    """Which way is better, of one of `names()`."""
    return METRICS[metric.removeprefix("val/").removeprefix(CLIP)].direction


def check_metric(name: str, *, multi_label: bool) -> None:
    """Raises UserError for a metric that is not defined for such a data set."""
    if multi_label and not METRICS[name.removeprefix(CLIP)].multi_label:
        allowed = ", ".join(f"val/{n}" for n in METRICS if METRICS[n].multi_label)
        raise UserError(
            f"search.metric: got val/{name}, which needs one label a clip, and here a clip may "
            f"have several; allowed: {allowed}"
        )


def score(name: str, targets: np.ndarray, scores: np.ndarray) -> float:
    """A metric of METRICS that has a function, by name. Raises UserError as `check_metric`."""
    function = METRICS[name].function
    if function is None:
        raise ValueError(f"{name} is computed by the learner, not from targets and scores")
    check_metric(name, multi_label=targets.ndim == 2)
    return float(pkgutil.resolve_name(function)(targets, scores))


def accuracy(targets: np.ndarray, scores: np.ndarray) -> float:
    """The part of clips whose highest score is their label's. One label a clip."""
    _one_label(targets)
    return float(np.mean(scores.argmax(axis=-1) == targets))


def balanced_accuracy(targets: np.ndarray, scores: np.ndarray) -> float:
    """The mean over the labels that occur of the part of their clips that is found (recall).

    One label a clip.
    """
    return float(np.nanmean(per_class_accuracy(targets, scores)))


def f1_macro(targets: np.ndarray, scores: np.ndarray) -> float:
    """The mean over labels of F1, as scikit-learn's f1_score(average="macro").

    Of one label a clip, over the labels that occur or are predicted; of several, over all L.
    """
    f1 = per_class_f1(targets, scores)
    if targets.ndim == 1:
        f1 = f1[np.union1d(targets, scores.argmax(axis=-1))]
    return float(np.mean(f1))


def auc_roc(targets: np.ndarray, scores: np.ndarray) -> float:
    """Macro one-vs-rest area under the ROC curve: the mean over labels of `per_class_auc_roc`.

    Labels for which it is not defined are left out. Raises UserError if that leaves none.
    """
    return _mean_of_defined("auc_roc", per_class_auc_roc(targets, scores))


def mean_average_precision(targets: np.ndarray, scores: np.ndarray) -> float:
    """mAP: the mean over labels of `per_class_average_precision` (FSD50K's metric, report D).

    Labels that do not occur in the targets are left out. Raises UserError if that leaves none.
    """
    return _mean_of_defined("map", per_class_average_precision(targets, scores))


def per_class_accuracy(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For each label the part of its clips that is found, float (L,); NaN for one without clips.

    One label a clip.
    """
    matrix = confusion_matrix(targets, scores)
    clips = matrix.sum(axis=1)
    return np.divide(matrix.diagonal(), clips, out=np.full(len(clips), np.nan), where=clips > 0)


def per_class_f1(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """F1 of each label, float (L,); 0 for one that neither occurs nor is predicted."""
    from sklearn.metrics import f1_score

    several = targets.ndim == 2
    truth = targets > 0.5 if several else targets
    predictions = scores > 0 if several else scores.argmax(axis=-1)
    labels = np.arange(scores.shape[-1])
    return f1_score(truth, predictions, labels=labels, average=None, zero_division=0)


def per_class_auc_roc(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Area under each label's ROC curve, itself against the rest, float (L,).

    NaN for a label that all clips have, or none.
    """
    from sklearn.metrics import roc_auc_score

    return _per_class(roc_auc_score, targets, scores, defined=lambda t: 0 < t.sum() < len(t))


def per_class_average_precision(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision of each label, float (L,): its precision, averaged over its recall.

    The sum over thresholds of precision times gained recall, not interpolated, as scikit-learn's.
    NaN for a label that does not occur.
    """
    from sklearn.metrics import average_precision_score

    return _per_class(average_precision_score, targets, scores, defined=lambda t: bool(t.any()))


def confusion_matrix(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Numbers of clips, int64 (L, L): rows are true labels, columns predicted ones.

    One label a clip.
    """
    from sklearn import metrics

    _one_label(targets)
    labels = np.arange(scores.shape[-1])
    return metrics.confusion_matrix(targets, scores.argmax(axis=-1), labels=labels)


def probabilities(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Logits as probabilities, float64 (n, L): softmax where a clip has one label, else sigmoid."""
    from scipy.special import expit, softmax

    scores = scores.astype(np.float64)
    return expit(scores) if targets.ndim == 2 else softmax(scores, axis=-1)


def _per_class(
    function: Callable[[np.ndarray, np.ndarray], float],
    targets: np.ndarray,
    scores: np.ndarray,
    defined: Callable[[np.ndarray], bool],
) -> np.ndarray:
    """A function of one label's targets (n,) and probabilities (n,), for each label, (L,)."""
    several = targets.ndim == 2
    own = targets > 0.5 if several else targets[:, None] == np.arange(scores.shape[-1])
    columns = zip(own.T, probabilities(targets, scores).T, strict=True)
    return np.array([function(t, p) if defined(t) else np.nan for t, p in columns])


def _mean_of_defined(name: str, values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    if not len(defined):
        raise UserError(
            f"{name}: not defined for these clips, no label tells some of them from the others; "
            "take more clips, or another metric"
        )
    return float(defined.mean())


def _one_label(targets: np.ndarray) -> None:
    if targets.ndim != 1:
        raise ValueError(f"targets of shape {targets.shape}: one label a clip is needed, (n,)")
