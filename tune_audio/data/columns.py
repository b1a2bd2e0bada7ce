"""What a corpus knows of its clips besides their samples."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from tune_audio.data.clips import Clip
from tune_audio.data.names import clip_id
from tune_audio.data.selection import Selection


class Columns(TypedDict):
    """The columns of a Corpus that are named alike."""

    targets: np.ndarray
    split: np.ndarray
    clip_ids: np.ndarray
    recording: np.ndarray
    fold: np.ndarray


def columns(selection: Selection, rows: np.ndarray) -> Columns:
    """The columns of a corpus of some of the selection's clips.

    `rows` are those of the selection that are in the corpus, int64 (n,).
    """
    clips = [selection.clips[row] for row in rows]
    names = [selection.names[row] for row in rows]
    ids = [clip_id(name, clip.start_seconds) for name, clip in zip(names, clips, strict=True)]
    # Without windows every clip is a recording of its own, though several may be cut from a file.
    sources: Sequence[str | int] = names if selection.windows else range(len(names))
    numbers = {source: number for number, source in enumerate(dict.fromkeys(sources))}
    return {
        "targets": _targets(clips, selection.labels, selection.multi_label),
        "split": selection.split[rows],
        "clip_ids": np.array(ids, dtype=np.uint64),
        "recording": np.array([numbers[source] for source in sources], dtype=np.int64),
        "fold": np.array([-1 if clip.fold is None else clip.fold for clip in clips], np.int64),
    }


def _targets(clips: list[Clip], labels: tuple[str, ...], multi_label: bool) -> np.ndarray:
    index = {label: column for column, label in enumerate(labels)}
    if not multi_label:
        return np.array([index[clip.labels[0]] for clip in clips], dtype=np.int64)
    targets = np.zeros((len(clips), len(labels)), dtype=np.float32)
    for row, clip in enumerate(clips):
        targets[row, [index[label] for label in clip.labels if label in index]] = 1.0
    return targets
