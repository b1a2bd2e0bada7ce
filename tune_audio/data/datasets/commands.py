"""Speech Commands as a task of ten commands, silence, and all else that may be said: unknown.

Ten words are commands, every other word is "unknown": the task of TensorFlow's tutorial, which
most publications report, and of the Kaggle challenge.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tune_audio.data.clips import SPLITS, Clip
from tune_audio.data.datasets.silence import SILENCE, Stretch, cut_silence
from tune_audio.data.names import hash64, relative_name
from tune_audio.data.selection import share
from tune_audio.errors import UserError

COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN = "unknown"
LABELS = (*COMMANDS, SILENCE, UNKNOWN)
# Of the commands' clips in a split, as in TensorFlow's speech_commands/input_data.py
SILENCE_SHARE = UNKNOWN_SHARE = 0.10


def commands_and_unknown(clips: Sequence[Clip], root: Path, unknown_clips: int) -> list[Clip]:
    """The commands, and at most `unknown_clips` clips of the other words, labelled "unknown".

    Report B found that with all of them everything is predicted unknown, and took about 2000.
    Raises UserError when no word is a command.
    """
    commands, others = _divide(clips, root)
    return commands + _unknown(others, root, unknown_clips)


def twelve_classes(clips: Sequence[Clip], root: Path, places: Sequence[Stretch]) -> list[Clip]:
    """The commands of each split and a tenth as many clips of silence and of unknown words.

    Raises UserError when no word is a command.
    """
    commands, others = _divide(clips, root)
    twelve = list(commands)
    for split, count in Counter(clip.split for clip in commands).items():
        here = [place for place in places if place.split == split]
        twelve += cut_silence(here, math.ceil(count * SILENCE_SHARE))
        unknown = [clip for clip in others if clip.split == split]
        twelve += _unknown(unknown, root, math.ceil(count * UNKNOWN_SHARE))
    return twelve


def present_labels(clips: Sequence[Clip]) -> tuple[str, ...]:
    """Those of the twelve labels that have clips, in the order of the challenge's page."""
    present = {clip.labels[0] for clip in clips}
    return tuple(label for label in LABELS if label in present)


def _divide(clips: Sequence[Clip], root: Path) -> tuple[list[Clip], list[Clip]]:
    commands = [clip for clip in clips if clip.labels[0] in COMMANDS]
    if not commands:
        raise UserError(
            f"data.root: {root} has none of the commands {', '.join(COMMANDS)}; "
            "every clip would be unknown. Give the whole archive, or leave out unknown_clips."
        )
    return commands, [clip for clip in clips if clip.labels[0] not in COMMANDS]


def _unknown(others: Sequence[Clip], root: Path, count: int) -> list[Clip]:
    """Drawn by a hash of the path, in proportion from each word and split."""
    cells: Mapping[tuple[int, str], list[Clip]] = defaultdict(list)
    for clip in others:
        cells[SPLITS.index(clip.split), clip.labels[0]].append(clip)
    quotas = share(count, [len(cell) for cell in cells.values()])
    drawn = []
    for cell, quota in zip(cells.values(), quotas, strict=True):
        cell.sort(key=lambda clip: hash64(relative_name(clip.path, root)))
        drawn += [replace(clip, labels=(UNKNOWN,)) for clip in cell[:quota]]
    return drawn
