"""Who or what was recorded, where the names of files say so."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tune_audio.errors import UserError

# What a name has to fulfil before a speaker or a source is read into it.
NAMED_SHARE = 0.95
FEWEST_GROUPS = 6
FEWEST_GROUPS_PER_LABEL = 3
FEWEST_CLIPS_PER_GROUP = 1.5
RECURRING_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A way of naming files: a regular expression whose group 1 is the speaker or the source.

    `recurring`: so common a form that it counts only where most groups stand in several classes,
    as speakers do who say several words, and numbers or dates hardly do.
    """

    pattern: str
    kind: Literal["speaker", "source"]
    example: str
    recurring: bool = False


# The first that holds is taken. A pattern is searched in the path below the data set's folder.
NAME_PATTERNS = (
    NamePattern(r"([^/_]+)_nohash_\d+\.\w+$", "speaker", "Speech Commands: SPEAKER_nohash_0"),
    NamePattern(
        r"(?i)(?:^|[/_ .-])((?:speaker|spkr|spk)[_ -]?[0-9a-z]+)(?=[/_ .-])",
        "speaker",
        "speaker-12_3, spk12",
    ),
    NamePattern(r"(?:^|/)\d-(\d+)-[A-Z]-\d+\.\w+$", "source", "ESC-50: FOLD-SOURCE-TAKE-CLASS"),
    NamePattern(r"(?:^|/)(\d+)-\d+-\d+-\d+\.\w+$", "source", "UrbanSound8K: SOURCE-CLASS-N-N"),
    NamePattern(r"(?:^|/)(\d+)-\d+-\d+\.\w+$", "speaker", "LibriSpeech: SPEAKER-CHAPTER-N"),
    NamePattern(r"(?:^|/)(?:\d\d-){6}(\d\d)\.\w+$", "speaker", "RAVDESS: the last of 7 numbers"),
    NamePattern(r"(?:^|/)(\d{4})_[A-Z]{3}_[A-Z]{3}_\w+\.\w+$", "speaker", "CREMA-D: SPEAKER_IEO_…"),
    NamePattern(r"(?:^|/)([ps]\d{3})_\d+[^/]*$", "speaker", "VCTK: p225_001"),
    NamePattern(r"(?:^|/)\d_([^/_]+)_\d+\.\w+$", "speaker", "spoken digits: 7_jackson_32"),
    NamePattern(r"(?:^|/)([^/]+)/[^/]+$", "speaker", "a folder a speaker", recurring=True),
    NamePattern(r"(?:^|/)([A-Za-z][^/_-]*)[_-][^/]*$", "speaker", "NAME_3", recurring=True),
)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression of data.group_pattern. Raises UserError."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"data.group_pattern: {pattern!r} is no regular expression: {error}."
        ) from None
    if compiled.groups != 1:
        raise UserError(
            f"data.group_pattern: {pattern!r} has {compiled.groups} groups in parentheses; it "
            r"needs one, around what names the speaker, for example '([^/_]+)_\d+\.wav$'."
        )
    return compiled


def find_groups(names: Sequence[str], pattern: str) -> list[str | None]:
    """The group that a pattern finds in each path below the data set's folder, None if in none."""
    compiled = compile_pattern(pattern)
    return [match[1] if (match := compiled.search(name)) else None for name in names]


def recognise(names: Sequence[str], labels: Sequence[tuple[str, ...]]) -> NamePattern | None:
    """How the files are named, if speaker or source can be read from nearly all their names.

    There must be several of them, with several clips each, and several for every label, so that a
    split that keeps them apart is possible.
    """
    return next((known for known in NAME_PATTERNS if _holds(known, names, labels)), None)


def _holds(known: NamePattern, names: Sequence[str], labels: Sequence[tuple[str, ...]]) -> bool:
    named = [
        (group, of_clip)
        for group, of_clip in zip(find_groups(names, known.pattern), labels, strict=True)
        if group is not None
    ]
    if len(named) < NAMED_SHARE * len(names):
        return False
    labels_of: defaultdict[str, set[str]] = defaultdict(set)
    groups_of: defaultdict[str, set[str]] = defaultdict(set)
    for group, of_clip in named:
        labels_of[group].update(of_clip)
        for label in of_clip:
            groups_of[label].add(group)
    several_labels = sum(len(found) > 1 for found in labels_of.values())
    return (
        len(labels_of) >= FEWEST_GROUPS
        and len(named) >= FEWEST_CLIPS_PER_GROUP * len(labels_of)
        and min(map(len, groups_of.values())) >= FEWEST_GROUPS_PER_LABEL
        and (not known.recurring or several_labels >= RECURRING_SHARE * len(labels_of))
    )
