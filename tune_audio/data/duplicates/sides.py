"""Recordings that belong together are kept on one side of every split."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tune_audio.data.clips import SPLITS, Clip, Listing
from tune_audio.data.duplicates.components import Components
from tune_audio.data.duplicates.pairs import Pair
from tune_audio.data.names import hash64, relative_name


def among(listing: Listing, root: Path, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs of which both recordings are in the listing."""
    names = {relative_name(clip.path, root) for clip in listing.clips}
    return [pair for pair in pairs if names.issuperset((pair.file_a, pair.file_b))]


def join(listing: Listing, root: Path, pairs: Sequence[Pair]) -> Listing:
    """The listing with `joined` set for clips of recordings that are in pairs.

    Their speakers or sources become one group, for none of them may be in two splits either. What
    is in no pair, nor of a speaker who is, stays as it was.
    """
    together: Components[str] = Components()
    for pair in pairs:
        together.join(*sorted((pair.file_a, pair.file_b)))
    in_pairs = {name for pair in pairs for name in (pair.file_a, pair.file_b)}
    names = [relative_name(clip.path, root) for clip in listing.clips]
    joined = [together.least(name) if name in in_pairs else None for name in names]
    groups: Components[tuple[str, str]] = Components()
    for clip, one in zip(listing.clips, joined, strict=True):
        if one is not None and clip.group is not None:
            groups.join(("group", clip.group), ("joined", one))
    clips = tuple(
        replace(clip, joined=one, group=_group(clip, one, groups))
        for clip, one in zip(listing.clips, joined, strict=True)
    )
    return replace(listing, clips=clips)


def _group(clip: Clip, joined: str | None, groups: Components[tuple[str, str]]) -> str | None:
    if joined is not None:
        return groups.least(("joined", joined))[1]
    return None if clip.group is None else groups.least(("group", clip.group))[1]


def one_side(listing: Listing, splits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Splits uint8 (n,) with what is joined on one side, and bool (n,): clips that are left out.

    Splits by fractions are so already. Where the data's own splits part what belongs together, the
    test stays as its authors gave it, so that results remain comparable, and training does without
    its twins; so does validation without those of the test. A split that was drawn from train here
    may be drawn otherwise: it gives back or takes all.
    """
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, clip in enumerate(listing.clips):
        if clip.joined is not None:
            rows_of[clip.joined].append(row)
    splits, left_out = splits.copy(), np.zeros(len(splits), bool)
    ours = {SPLITS.index(split) for split in ("train", listing.drawn) if split}
    for joined, rows in rows_of.items():
        parts = set(splits[rows].tolist())
        if len(parts) > 1 and parts <= ours:
            # As likely on a side as its clips are, whatever order they are listed in.
            splits[rows] = splits[rows[hash64(joined) % len(rows)]]
        else:
            left_out[rows] = splits[rows] < max(parts)
    return splits, left_out
