"""Labels that are probably wrong, by confident learning (Northcutt, Jiang & Chuang 2021).

From probabilities of models that were not trained on these clips: where another label is likelier
than it is on average for the clips that have it, a clip counts for the other, and as many clips as
are miscounted so are suspected, those first whose own label is the least likely. Computed by
cleanlab, an extra: pip install 'tune-audio[audit]'. What a model that is mostly wrong suspects is
mostly right.
"""

import warnings
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from tune_audio.errors import UserError
from tune_audio.evidence.predictions import Predictions

# Of 1 % wrong labels and a model that is right in 92 %, 9 of 10 suspects are wrong; by cleanlab's
# default half of them, for as many found.
BY = "low_self_confidence"


@dataclass(frozen=True)
class Suspect:
    """A recording and a label of it that may be wrong.

    given: the label it has; likely: that which it rather has. Where a clip may have several, one
    of them is None: it has one too many, or lacks one. chance: the probability that the model
    gives to what stands there.
    """

    recording: int
    given: int | None
    likely: int | None
    chance: float


def suspects(predictions: Predictions) -> list[Suspect]:
    """The labels that are probably wrong, the surest first; whole recordings, not windows.

    predictions: of clips that the model was not trained on. Raises UserError without cleanlab.
    """
    filters = _cleanlab(several=predictions.several)
    clips = predictions.by_clip
    with warnings.catch_warnings():  # of a label with one clip or none, which it cannot judge
        warnings.filterwarnings("ignore", "May not flag all label issues")
        found = _of_several(filters, clips) if clips.several else _of_one(filters, clips)
    return sorted(found, key=lambda suspect: suspect.chance)


def _of_one(filters: ModuleType, clips: Predictions) -> list[Suspect]:
    wrong = filters.find_label_issues(clips.targets, clips.chances, filter_by=BY, n_jobs=1)
    return [
        Suspect(
            recording=int(clips.recording[row]),
            given=int(clips.targets[row]),
            likely=int(clips.chances[row].argmax()),
            chance=float(clips.chances[row, clips.targets[row]]),
        )
        for row in np.flatnonzero(wrong)
    ]


def _of_several(filters: ModuleType, clips: Predictions) -> list[Suspect]:
    has = clips.targets > 0.5
    labels = [np.flatnonzero(row).tolist() for row in has]
    wrong = filters.find_multilabel_issues_per_class(labels, clips.chances, filter_by=BY, n_jobs=1)
    return [
        Suspect(
            recording=int(clips.recording[row]),
            given=int(label) if has[row, label] else None,
            likely=None if has[row, label] else int(label),
            chance=float(abs(1 - has[row, label] - clips.chances[row, label])),
        )
        for row, label in np.argwhere(wrong)
    ]


def _cleanlab(*, several: bool) -> ModuleType:
    """cleanlab's filters; a UserError naming the extra where it is not installed."""
    try:
        if several:
            from cleanlab.multilabel_classification import filter as filters
        else:
            from cleanlab import filter as filters
    except ImportError:
        raise UserError(
            "finding wrong labels needs cleanlab, which is not installed: "
            "pip install 'tune-audio[audit]'"
        ) from None
    return filters
