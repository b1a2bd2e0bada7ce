"""What a search among a data set's recordings has found, kept in the cache, and how it is told."""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tune_audio.data.clips import SPLITS, Clip, Listing
from tune_audio.data.content import status_of
from tune_audio.data.duplicates.pairs import Pair
from tune_audio.data.names import relative_name
from tune_audio.data.progress import tracking
from tune_audio.data.selection import Selection
from tune_audio.machine.publish import publish_text

FORMAT = "duplicates 1"  # changes when other pairs may be found in the same recordings
COLUMNS = (*Pair._fields, "label_a", "label_b", "split_a", "split_b")
LEFT_OUT = "left out"


@dataclass(frozen=True)
class Duplicates:
    """The pairs of a data set; of each recording its labels and where it is.

    places: name -> one of SPLITS, or LEFT_OUT; nothing for what the search does not take at all.
    apart: whether what belongs together was kept on one side. lacking: labels that are then not in
    every split.
    """

    pairs: Sequence[Pair]
    labels: dict[str, str]
    places: dict[str, str]
    apart: bool
    lacking: Sequence[str] = ()

    @classmethod
    def of(
        cls, pairs: Sequence[Pair], listing: Listing, root: Path, selection: Selection
    ) -> "Duplicates":
        """What became of them in a selection of the listing."""
        names = {name for pair in pairs for name in pair[:2]}
        labels: dict[str, dict[str, None]] = defaultdict(dict)
        for clip in listing.clips:
            if (name := relative_name(clip.path, root)) in names:
                labels[name] |= dict.fromkeys(clip.labels)
        places = dict.fromkeys(selection.left_out, LEFT_OUT)
        places |= {
            name: SPLITS[part]
            for name, part in zip(selection.names, selection.split, strict=True)
            if name in names
        }
        joined = {name: "+".join(of_name) for name, of_name in labels.items()}
        apart = any(clip.joined for clip in listing.clips)
        return cls(pairs, joined, places, apart, _lacking(selection) if apart else ())

    def rows(self) -> list[tuple[object, ...]]:
        """A table with COLUMNS."""
        return [
            (*pair, *map(self._label, pair[:2]), *(self.places.get(name, "") for name in pair[:2]))
            for pair in self.pairs
        ]

    def lines(self) -> list[str]:
        """What a person is to know of them, and how to have it otherwise."""
        if not self.pairs:
            return ["No recordings are equal, copies, or cut from one another."]
        names = {name for pair in self.pairs for name in pair[:2]}
        kinds = Counter(pair.kind for pair in self.pairs)
        shown = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
        lines = [f"{len(names):,} recordings are equal or cut from one another ({shown})."]
        return [*lines, *self._across(), *self._conflicts()]

    def _across(self) -> list[str]:
        if self.apart:
            count = sum(place == LEFT_OUT for place in self.places.values())
            gone = f" Left out: {count:,} that a split held back has, too." if count else ""
            lacking = f" Not in every split: {', '.join(self.lacking)}." if self.lacking else ""
            return [
                f"Those that belong together are in one split.{gone}{lacking}",
                "Otherwise: --set data.duplicates=tell",
            ]
        places = [{self.places.get(name) for name in pair[:2]} for pair in self.pairs]
        across = sum(len(of_pair.intersection(SPLITS)) > 1 for of_pair in places)
        if not across:
            return ["No pair of them is in two splits."]
        return [
            f"Pairs in two splits: {across:,}. Results look better than they are.",
            "Otherwise: --set data.duplicates=apart",
        ]

    def _conflicts(self) -> list[str]:
        conflicts = [pair for pair in self.pairs if len(set(map(self._label, pair[:2]))) > 1]
        if not conflicts:
            return []
        a, b = conflicts[0][:2]
        return [
            f"Label conflicts: {len(conflicts):,}, such as {a} ({self._label(a)}) and {b} "
            f"({self._label(b)})."
        ]

    def _label(self, name: str) -> str:
        return self.labels.get(name, "")


def _lacking(selection: Selection) -> list[str]:
    parts_of: dict[str, set[int]] = defaultdict(set)
    for clip, part in zip(selection.clips, selection.split, strict=True):
        for label in clip.labels:
            parts_of[label].add(int(part))
    return [label for label in selection.labels if len(parts_of[label]) < len(SPLITS)]


def search(listing: Listing, root: Path, cache: Path, threads: int, progress: bool) -> list[Pair]:
    """The pairs among a data set's recordings, from the cache or by listening to all of them."""
    if (known := recall(listing, root, cache)) is not None:
        return known
    from tune_audio.data.duplicates.find import find_pairs  # SciPy is not for every worker

    files = _comparable(listing, root)
    status = status_of(files, FORMAT)
    with ThreadPoolExecutor(threads) as executor, tracking(progress) as track:
        pairs = find_pairs(files, executor, track)
    if status.settled:
        publish_text(_place(cache, status.key), json.dumps(pairs))
    return pairs


def recall(listing: Listing, root: Path, cache: Path) -> list[Pair] | None:
    """What was found among the very same files before; None if they were not searched."""
    place = _place(cache, status_of(_comparable(listing, root), FORMAT).key)
    try:
        pairs = [Pair(*values) for values in json.loads(place.read_text(encoding="utf-8"))]
        os.utime(place.parent)  # when it was last used
    except (OSError, ValueError, TypeError):
        return None
    return pairs


def _place(cache: Path, key: str) -> Path:
    return cache / "duplicates" / key / "pairs.json"


def _comparable(listing: Listing, root: Path) -> dict[str, Path]:
    """Recordings by their names, without those of which parts are in several splits on purpose."""
    clips_of: dict[Path, list[Clip]] = defaultdict(list)
    for clip in listing.clips:
        clips_of[clip.path].append(clip)
    return {
        relative_name(path, root): path
        for path, clips in clips_of.items()
        if len({(clip.split, clip.group) for clip in clips}) == 1
    }
