"""What may be wrong with the recordings of a search, each with its reason, the surest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tune_audio.claims import read_predictions
from tune_audio.data.audio import read_header
from tune_audio.data.audio_file import BadAudio
from tune_audio.data.corpus import Corpus
from tune_audio.data.flaws import flaws
from tune_audio.evidence.label_errors import Suspect, suspects
from tune_audio.evidence.predictions import Predictions, averaged
from tune_audio.reporting.ranking import Ranking
from tune_audio.training.kept import FILE

KINDS = ("duplicate", "silent", "label", "cut off", "clipped")
WHOLE_SECONDS = 1e-3  # a recording that is longer than its clip by no more is all of it
HOW = {
    "equal": "It has the same samples as {}",
    "copy": "It is a copy of {}",
    "part": "It is a part of {}, or that of it",
    "overlap": "It has a stretch in common with {}",
}


@dataclass(frozen=True)
class Finding:
    """A recording, by its name, and what may be wrong with it.

    kind: one of KINDS. label: what it has; likely: what it rather has, where that is known; of a
    duplicate the other's label. chance: the probability of what it has, by the models.
    """

    file: str
    kind: str
    reason: str
    label: str
    likely: str = ""
    chance: float | None = None


def predictions_of_best(searched: Ranking, corpus: Corpus, trials: Path) -> Predictions | None:
    """The mean of what the best trial of each family has said; None where nothing was kept.

    Trials of as many folds as the winner, which have answered for the same clips.
    """
    folds = max((record.folds for record in searched.order), default=0)
    best: dict[str, Predictions] = {}
    for record in searched.order:
        if record.folds == folds and record.family not in best:
            kept = read_predictions(trials / record.key / FILE, corpus)
            best |= {} if kept is None else {record.family: kept}
    return averaged(list(best.values())) if best else None


def in_order(found: Sequence[Finding]) -> list[Finding]:
    """By kind, and labels by how improbable they are.

    First duplicates that have two labels, of which one is wrong whatever a model says; last those
    that have one.
    """

    def place(one: Finding) -> tuple[bool, int, float]:
        alike = one.kind == "duplicate" and not one.likely
        return alike, KINDS.index(one.kind), one.chance or 0.0

    return sorted(found, key=place)


def wrong_labels(predictions: Predictions, corpus: Corpus) -> Iterator[Finding]:
    """Labels that are probably wrong. Raises UserError without cleanlab."""
    clips, labels = predictions.by_clip, corpus.labels
    of_recording = dict(zip(clips.recording.tolist(), clips.chances, strict=True))
    named = dict(zip(corpus.recording[::-1].tolist(), range(len(corpus))[::-1], strict=True))
    for suspect in suspects(predictions):
        row = named[suspect.recording]
        reason, likely = _reason(suspect, of_recording[suspect.recording], labels)
        label = _label(corpus, row)
        yield Finding(corpus.names[row], "label", reason, label, likely, suspect.chance)


def _reason(suspect: Suspect, chances: np.ndarray, labels: Sequence[str]) -> tuple[str, str]:
    """A sentence, and the label that is likelier."""
    given, likely = (None if i is None else labels[i] for i in (suspect.given, suspect.likely))
    if likely is None:
        said = f"Its label {given} is heard with a probability of {suspect.chance:.2g}."
    elif given is None:
        said = f"It lacks {likely}, which is heard with a probability of {1 - suspect.chance:.2g}."
    else:
        heard = chances[labels.index(likely)]
        said = (
            f"It sounds like {likely} with a probability of {heard:.2g}, like its label with "
            f"{suspect.chance:.2g}."
        )
    return said, likely or ""


def flawed(corpus: Corpus, root: Path) -> Iterator[Finding]:
    """Recordings that are silent, clipped, or cut off, by what the corpus has of them.

    root: the data set's folder; the headers there say which recordings are longer than a clip.
    """
    told = set()
    for row, name in enumerate(corpus.names):
        samples = corpus.samples[corpus.start[row] :][: corpus.length[row]]
        for flaw in flaws(samples, corpus.sample_rate):
            if (name, flaw.kind) in told:  # another window of it
                continue
            if flaw.kind == "clipped" or _is_whole(corpus, row, root / name):
                told.add((name, flaw.kind))
                yield Finding(name, flaw.kind, flaw.reason, _label(corpus, row))


def _is_whole(corpus: Corpus, row: int, path: Path) -> bool:
    """Whether a clip is its whole recording: what was cut here was not cut off before."""
    try:
        seconds = read_header(path).seconds
    except (BadAudio, OSError):
        return False
    return bool(seconds <= corpus.length[row] / corpus.sample_rate + WHOLE_SECONDS)


def duplicates(corpus: Corpus) -> Iterator[Finding]:
    """Recordings of which another is a duplicate, once each; those of two labels before others."""
    if corpus.duplicates is None:
        return
    labels, places = corpus.duplicates.labels, corpus.duplicates.places
    pairs, told = corpus.duplicates.pairs, set()
    for pair in sorted(pairs, key=lambda pair: labels[pair.file_a] == labels[pair.file_b]):
        if pair.file_b in told or pair.file_b not in places:
            continue
        told.add(pair.file_b)
        other, own = labels[pair.file_a], labels[pair.file_b]
        reason = HOW[pair.kind].format(pair.file_a)
        if pair.kind != "equal":
            reason += f" (correlation {pair.correlation:.3f})"
        if other == own:
            yield Finding(pair.file_b, "duplicate", f"{reason}.", own)
        else:
            reason += f", whose label is {other}."
            yield Finding(pair.file_b, "duplicate", reason, own, other)


def _label(corpus: Corpus, row: int) -> str:
    """The labels of a clip, with commas between several."""
    if not corpus.multi_label:
        return corpus.labels[corpus.targets[row]]
    return ",".join(corpus.labels[i] for i in np.flatnonzero(corpus.targets[row] > 0.5))
