"""When the likeliest of a model's labels is not believed: report B's rule, and how to tune it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tune_audio.data.datasets.commands import LABELS, UNKNOWN
from tune_audio.data.datasets.silence import SILENCE
from tune_audio.errors import UserError

FILE = "thresholds.json"


@dataclass(frozen=True)
class Thresholds:
    """Report B's rule: a best score below `silence_below` is silence, else below `unknown_below`
    unknown. A threshold of 0 changes nothing.
    """

    unknown_below: float = 0.0
    silence_below: float = 0.0

    def apply(self, labels: Sequence[str], scores: np.ndarray) -> list[str]:
        """What the rule makes of the likeliest labels and their probabilities, both (n,)."""
        rules = [scores < self.silence_below, scores < self.unknown_below]
        return np.select(rules, [SILENCE, UNKNOWN], np.array(labels, dtype=object)).tolist()

    @classmethod
    def read(cls, model_folder: Path) -> "Thresholds":
        """Those that were tuned for a model; zeros if none were. Raises UserError."""
        path = model_folder / FILE
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            found = cls(float(stored["unknown_below"]), float(stored["silence_below"]))
            if not all(0 <= part < 2 for part in (found.unknown_below, found.silence_below)):
                raise ValueError(f"{found} are no probabilities")
            return found
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}: not a model's thresholds ({type(error).__name__}: {error}); remove it, "
                "or write it anew with python -m tune_audio.thresholds."
            ) from None


REPORT_B = Thresholds(unknown_below=0.5, silence_below=0.3)


def tune_thresholds(
    probabilities: np.ndarray, labels: Sequence[str], targets12: np.ndarray
) -> Thresholds:
    """The thresholds with the highest twelve-class accuracy, found exactly.

    probabilities: float (n, L) of a model whose L labels are `labels`. targets12: int (n,), the
    true classes as indices into `data.commands.LABELS`. Only where the best scores are cut
    matters, so that with n clips sorted by them all pairs of cuts are compared in O(n log n). Of
    equally good ones that which relabels the fewest clips is taken, and a threshold stands halfway
    between two scores.
    """
    scores = probabilities.max(axis=1)
    order = np.argsort(scores, kind="stable")
    scores = scores[order]
    truth = np.array(LABELS, dtype=object)[targets12[order]]
    own = np.array(twelve(labels), dtype=object)[probabilities[order].argmax(axis=1)]
    silence, unknown, kept = (
        np.concatenate([[0], np.cumsum(answer == truth)]) for answer in (SILENCE, UNKNOWN, own)
    )
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(scores)) + 1, [len(scores)]])
    # Right if silence ends at cut i and unknown at cut j: the sum of gain[i], i <= j, and rest[j].
    gain, rest = (silence - unknown)[cuts], (unknown - kept)[cuts]
    j = int(np.argmax(np.maximum.accumulate(gain) + rest))
    i = int(np.argmax(gain[: j + 1]))
    return Thresholds(_between(scores, cuts[j]), _between(scores, cuts[i]))


def _between(scores: np.ndarray, cut: int) -> float:
    """A threshold below which exactly the `cut` lowest of the sorted scores are."""
    if cut == 0:
        return 0.0
    below, above = scores[cut - 1], scores[cut] if cut < len(scores) else max(1.0, scores[-1])
    middle = (below + above) / 2
    return float(middle if middle > below else above if above > below else np.nextafter(below, 2))


def twelve(labels: Sequence[str]) -> list[str]:
    """Each label as one of the challenge's twelve: what is none of them is unknown."""
    return [label if label in LABELS else UNKNOWN for label in labels]


def accuracy12(
    probabilities: np.ndarray, labels: Sequence[str], targets12: np.ndarray, rule: Thresholds
) -> float:
    """The part of the clips whose one of twelve classes is found; as `tune_thresholds`."""
    best = [labels[column] for column in probabilities.argmax(axis=1)]
    answers = twelve(rule.apply(best, probabilities.max(axis=1)))
    truth = [LABELS[target] for target in targets12]
    return float(np.mean([a == t for a, t in zip(answers, truth, strict=True)]))
