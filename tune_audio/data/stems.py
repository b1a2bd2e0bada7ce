r"""Which recording a file was cut from, by the stem of its name: laugh_1.m4a_12, rec12_seg03.

A stem is a source only where it is not the name of a class with a counter, such as clip_0001 to
clip_3000. So the stem says itself that it was cut, or it has a number of its own before the one
that counts, and there are several stems in every class, with several files each, whose numbers
count from each stem anew.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

from tune_audio.data.grouping import (
    FEWEST_GROUPS_PER_LABEL,
    NAME_PATTERNS,
    NAMED_SHARE,
    NamePattern,
    find_groups,
)

_FORMATS = "wav|flac|mp3|ogg|oga|opus|m4a|aac|aiff?|amr|wma|webm|mp4"
_PIECES = "segment|seg|chunk|slice|part|piece|split|fragment|frag|excerpt|window|win"
_NUMBERS = r"\d+(?:[ _.-]+\d+)*\.\w+$"  # a number, or where it begins and ends
# The stem is group 1, with the folders above it: recordings of two classes are two.
CUT_PATTERNS = (
    NamePattern(rf"(?i)^(.*[^/]\.(?:{_FORMATS}))[ _.-]+{_NUMBERS}", "source", "laugh_1.m4a_12"),
    NamePattern(
        rf"(?i)^(.*[^/ _.-])[ _.-]+(?:{_PIECES})[ _.-]*{_NUMBERS}", "source", "rec12_seg03"
    ),
)
COUNTED_PATTERN = NamePattern(r"^((?:.*/)?[^/]*\d[^/]*?)[ _.-]+\d+\.\w+$", "source", "laugh_1_12")
CUT_SHARE = 0.2  # of all files: others may be whole recordings
FEWEST_FILES_PER_STEM = 1.5
# Numbers that count have few gaps; times of day, or identifiers, have many.
MOST_NUMBERS_PER_FILE = 8


def cut_from(names: Sequence[str], labels: Sequence[tuple[str, ...]]) -> NamePattern | None:
    """How files are named that were cut from longer recordings, if that can be read from names.

    None where names have a form that is known to mean something else.
    """
    if any(_fits(known, names) for known in NAME_PATTERNS if not known.recurring):
        return None
    known = next((known for known in CUT_PATTERNS if _holds(known, names, labels)), None)
    if known is None and _counts(names) and _holds(COUNTED_PATTERN, names, labels):
        return COUNTED_PATTERN
    return known


def _fits(known: NamePattern, names: Sequence[str]) -> bool:
    found = find_groups(names, known.pattern)
    return len(names) - found.count(None) >= NAMED_SHARE * len(names)


def _holds(known: NamePattern, names: Sequence[str], labels: Sequence[tuple[str, ...]]) -> bool:
    stems_of: defaultdict[str, set[str]] = defaultdict(set)
    stems = find_groups(names, known.pattern)
    for stem, of_file in zip(stems, labels, strict=True):
        for label in of_file:
            stems_of[label].update([stem] if stem is not None else [])
    named, different = len(stems) - stems.count(None), len({*stems} - {None})
    several = list(map(len, stems_of.values()))
    if known is COUNTED_PATTERN:
        enough = named >= NAMED_SHARE * len(names) and min(several) >= FEWEST_GROUPS_PER_LABEL
    else:
        enough = named >= CUT_SHARE * len(names) and max(several) > 1
    return enough and named >= FEWEST_FILES_PER_STEM * different


def _counts(names: Sequence[str]) -> bool:
    """Whether the last numbers of the names count, for each stem from the beginning."""
    numbers_of: defaultdict[str, set[int]] = defaultdict(set)
    for name, stem in zip(names, find_groups(names, COUNTED_PATTERN.pattern), strict=True):
        if stem is not None:
            numbers_of[stem].add(int(re.findall(r"\d+", name.rpartition(".")[0])[-1]))
    files = sum(map(len, numbers_of.values()))
    return sum(max(numbers) + 1 for numbers in numbers_of.values()) <= MOST_NUMBERS_PER_FILE * files
