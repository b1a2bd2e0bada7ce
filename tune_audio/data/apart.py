"""Whether speakers and sources can be kept apart, where `data` leaves that to be decided."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tune_audio.data.clips import SPLITS, Clip, Listing
from tune_audio.data.grouping import find_groups, recognise
from tune_audio.data.names import relative_name
from tune_audio.data.split import SplitBy, assign_splits, share_of_train
from tune_audio.data.stems import cut_from

MISSING = "missing_split_share"
# Classes with no more of all clips than this need not be in every split for speakers' sake.
RARE_SHARE = 0.05
CANNOT = "cannot be kept apart with every class in every split: results look better than they are."
NO_GROUPS = (
    "names show no speaker or source; where several clips come from one, results look better than "
    "they are.",
    "--set data.group_pattern='REGULAR EXPRESSION', or a column group in metadata.csv",
)


@dataclass(frozen=True)
class Assumption:
    """Options of `data`, why they are so, and how to have it otherwise."""

    options: dict[str, Any]
    reason: str = ""
    otherwise: str = ""


def groups_apart(
    listing: Listing, root: Path, data: Mapping[str, Any], known: Collection[str]
) -> Assumption:
    """Whether speakers or sources are kept apart: if they are known and every class allows it."""
    names = [relative_name(clip.path, root) for clip in listing.clips]
    listing, seen, pattern = _with_groups(listing, names, data, known)
    if seen is None:
        return _clip_by_clip(*NO_GROUPS)
    if apart := _way_apart(listing, names, data):
        otherwise = "--set data.group_pattern=null" if pattern else "--set data.split_by=label"
        return _kept_apart(seen, apart, pattern, otherwise)
    return _clip_by_clip(f"{seen} {CANNOT}")


def groups_of_train(
    listing: Listing, root: Path, data: Mapping[str, Any], known: Collection[str]
) -> Assumption:
    """Whether a missing split takes speakers or sources of train whole: under the same terms."""
    (taken,) = set(SPLITS) - {clip.split for clip in listing.clips}
    clips = [clip for clip in listing.clips if clip.split == "train"]
    names = [relative_name(clip.path, root) for clip in clips]
    if told := any(clip.group for clip in clips):
        # A clip of nobody known is taken by itself.
        clips = [replace(c, group=c.group or name) for c, name in zip(clips, names, strict=True)]
    listing = replace(listing, clips=tuple(clips))
    listing, seen, pattern = _with_groups(listing, names, data, known)
    if seen is None:
        return _clip_by_clip(*NO_GROUPS)
    takes = share_of_train(listing.clips, names, data[MISSING])
    lacking, bearable = _lacking(listing.clips, takes.tolist(), needed=2)
    # Groups that the data themselves tell stay whole, whatever classes that leaves out.
    if not (bearable or told):
        return _clip_by_clip(f"{seen} {CANNOT}")
    reason = f"{seen}: {taken} takes them whole.{_but(lacking)}"
    return Assumption(pattern, reason, "--set data.group_pattern=null" if pattern else "")


def _with_groups(
    listing: Listing, names: Sequence[str], data: Mapping[str, Any], known: Collection[str]
) -> tuple[Listing, str | None, dict[str, Any]]:
    """The listing with a group a clip, how many they are, and the option that finds them.

    None where neither the data nor the names of files tell them.
    """
    if all(clip.group is not None for clip in listing.clips):
        return listing, f"{_count(listing)} speakers or sources", {}
    labels = [clip.labels for clip in listing.clips]
    found = recognise(names, labels) or cut_from(names, labels)
    if found is None or "group_pattern" not in known or "group_pattern" in data:
        return listing, None, {}
    groups = find_groups(names, found.pattern)
    clips = tuple(
        replace(clip, group=group or name)
        for clip, group, name in zip(listing.clips, groups, names, strict=True)
    )
    listing = replace(listing, clips=clips, whole_groups=True)
    in_names = list(dict.fromkeys(group for group in groups if group is not None))
    seen = f"{len(in_names)} {found.kind}s in the names (such as {in_names[0]!r})"
    return listing, seen, {"group_pattern": found.pattern}


def _kept_apart(
    seen: str, apart: tuple[SplitBy, list[str]], options: dict[str, Any], otherwise: str
) -> Assumption:
    split_by, rare = apart
    reason = f"{seen}: none of them is in two splits.{_but(rare)}"
    return Assumption({"split_by": split_by, **options}, reason, otherwise)


def _but(rare: Sequence[str]) -> str:
    return f" Not in every split, for there are too few: {', '.join(rare)}." if rare else ""


def _clip_by_clip(reason: str, otherwise: str = "") -> Assumption:
    reason = f"Every class is split so, clip by clip: {reason}"
    return Assumption({"split_by": "label"}, reason, otherwise)


def _way_apart(
    listing: Listing, names: Sequence[str], data: Mapping[str, Any]
) -> tuple[SplitBy, list[str]] | None:
    """The best split_by with no group in two splits, and the labels that are not in all three.

    None where these labels have too many clips, or one of them has none to train on.
    """
    ways: list[tuple[SplitBy, list[str]]] = []
    by_label: tuple[SplitBy, ...] = ("label",) if listing.whole_groups else ()
    for split_by in ("speaker", *by_label, "source"):
        splits = assign_splits(
            listing.clips,
            names,
            split=data["split"],
            split_by=split_by,
            whole_groups=listing.whole_groups,
            seed=data.get("seed", 0),
        )
        lacking, bearable = _lacking(listing.clips, splits.tolist(), needed=len(SPLITS))
        if bearable:
            ways.append((split_by, lacking))
    return min(ways, key=lambda way: len(way[1]), default=None)


def _lacking(clips: Sequence[Clip], parts: Sequence[int], needed: int) -> tuple[list[str], bool]:
    """The labels that are in fewer than the `needed` parts, and whether that can be borne.

    It can where they have few clips, and some of each are in part 0, which is trained on.
    """
    in_parts: dict[str, Counter[int]] = defaultdict(Counter)
    for clip, part in zip(clips, parts, strict=True):
        for label in clip.labels:
            in_parts[label][part] += 1
    lacking = {label: counts for label, counts in in_parts.items() if len(counts) < needed}
    few = sum(counts.total() for counts in lacking.values()) <= RARE_SHARE * len(clips)
    return list(lacking), few and all(counts[0] for counts in lacking.values())


def _count(listing: Listing) -> int:
    return len({clip.group for clip in listing.clips})
