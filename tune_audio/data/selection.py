"""What is taken of a data set: clips of the wanted labels, so many of each, in their splits."""

import difflib
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tune_audio.data.clips import SPLITS, Clip, Listing
from tune_audio.data.duplicates.sides import one_side
from tune_audio.data.names import hash64, relative_name
from tune_audio.data.noise import training_noise
from tune_audio.data.split import SPLIT_CHOICES, SplitBy, assign_splits, rarest
from tune_audio.errors import UserError


@dataclass(frozen=True)
class Selection:
    """The chosen clips, ordered by split and then by name; `names` are relative to the root."""

    clips: tuple[Clip, ...]
    names: tuple[str, ...]
    split: np.ndarray  # uint8 (n,): index into SPLITS
    labels: tuple[str, ...]
    noise: tuple[Clip, ...]  # what training may mix into its clips
    noise_names: tuple[str, ...]
    multi_label: bool
    windows: bool
    left_out: frozenset[str] = frozenset()  # names of what is in a split that is held back, too


def select_clips(
    listing: Listing,
    root: Path,
    *,
    labels: Sequence[str] | Literal["all"] = "all",
    clips_per_label: int | None = None,
    split: Sequence[float] | Literal["official"] = "official",
    split_by: SplitBy = "label",
    seed: int = 0,
) -> Selection:
    """Split the whole listing, then keep `labels`, then at most `clips_per_label` of each.

    The kept clips of a label are shared over its splits in the splits' own proportion; windows of
    one recording count as one clip, and a clip of several labels counts for the rarest of them.
    Raises UserError for labels that do not exist and splits or labels that would be empty.
    """
    names = [relative_name(clip.path, root) for clip in listing.clips]
    splits = assign_splits(
        listing.clips,
        names,
        split=split,
        split_by=split_by,
        whole_groups=listing.whole_groups,
        seed=seed,
    )
    splits, twins = one_side(listing, splits)
    chosen_labels = choose_labels(listing.labels, labels)
    wanted = set(chosen_labels)
    wanted_rows = [r for r, clip in enumerate(listing.clips) if wanted.intersection(clip.labels)]
    kept = [row for row in wanted_rows if not twins[row]]
    if clips_per_label is not None:
        kept = _at_most(clips_per_label, kept, listing, names, splits, wanted, seed)
    kept.sort(key=lambda row: (splits[row], names[row], listing.clips[row].start_seconds))
    held_out = [clip for clip, s in zip(listing.clips, splits, strict=True) if SPLITS[s] != "train"]
    noise = training_noise(listing.noise, held_out)
    selection = Selection(
        clips=tuple(listing.clips[row] for row in kept),
        names=tuple(names[row] for row in kept),
        split=splits[kept],
        labels=tuple(chosen_labels),
        noise=noise,
        noise_names=tuple(relative_name(piece.path, root) for piece in noise),
        multi_label=listing.multi_label,
        windows=listing.windows,
        left_out=frozenset(names[row] for row in wanted_rows if twins[row]),
    )
    trained = {
        label
        for clip, part in zip(selection.clips, selection.split, strict=True)
        if SPLITS[part] == "train"
        for label in clip.labels
    }
    joined = sum(clip.joined is not None for clip in selection.clips)
    check_coverage(selection.labels, trained, selection.split, joined)
    return selection


def choose_labels(known: Sequence[str], wanted: Sequence[str] | Literal["all"]) -> list[str]:
    """The labels in the order asked for ("all": official order). Raises UserError."""
    labels = list(known) if wanted == "all" else list(wanted)
    if isinstance(wanted, str) and wanted != "all":
        raise UserError(f"data.labels: got {wanted!r}; give a list of labels, or all.")
    mistakes = []
    for label, count in Counter(map(str, labels)).items():
        if count > 1:
            mistakes.append(f"{label!r} is given {count} times")
        if label not in known:
            near = difflib.get_close_matches(label, known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            mistakes.append(f"{label!r} does not exist{hint}")
    if mistakes:
        raise UserError(f"data.labels: {'; '.join(mistakes)}. The labels are {', '.join(known)}.")
    if len(labels) < 2:
        raise UserError(
            f"data.labels: got {', '.join(labels) or 'none'}; a classifier needs two or more."
        )
    return labels


def check_coverage(
    labels: Sequence[str], trained: Collection[str], split: np.ndarray, joined: int = 0
) -> None:
    """UserError when a split is empty or a label is not among the `trained` ones.

    joined: how many clips stay with others because they are copies or parts of them.
    """
    together = (
        f" {joined:,} clips are equal to or cut from others and stay with them; with "
        "--set data.duplicates=tell they do not."
        if joined
        else ""
    )
    counts = np.bincount(split, minlength=len(SPLITS))
    if empty := [name for name, count in zip(SPLITS, counts, strict=True) if count == 0]:
        raise UserError(
            f"data.split: no clip is left for {', '.join(empty)}; each of {', '.join(SPLITS)} "
            f"needs one. Give more clips, or data.split as {SPLIT_CHOICES}.{together}"
        )
    if untrained := [label for label in labels if label not in trained]:
        raise UserError(
            f"data.labels: no clip to train on for {', '.join(untrained)}. "
            f"Give these labels more clips, leave them out, or change data.split.{together}"
        )


def _at_most(
    limit: int,
    rows: Sequence[int],
    listing: Listing,
    names: Sequence[str],
    splits: np.ndarray,
    wanted: set[str],
    seed: int,
) -> list[int]:
    if limit < 1:
        raise UserError(f"data.clips_per_label: got {limit}; give 1 or more, or null for all.")
    counts = Counter(label for row in rows for label in listing.clips[row].labels)
    by_label: dict[str, list[dict[tuple[str | float, ...], list[int]]]] = defaultdict(
        lambda: [defaultdict(list) for _ in SPLITS]
    )
    for row in rows:
        clip = listing.clips[row]
        label = rarest(wanted.intersection(clip.labels), counts)
        unit: tuple[str | float, ...] = (names[row],)
        if not listing.windows:
            unit += (clip.start_seconds,)
        by_label[label][splits[row]][unit].append(row)
    kept = []
    for parts in by_label.values():
        quotas = share(limit, [len(part) for part in parts])
        for part, quota in zip(parts, quotas, strict=True):
            for unit in sorted(part, key=lambda unit: hash64(seed, *unit))[:quota]:
                kept += part[unit]
    return kept


def share(limit: int, counts: Sequence[int]) -> list[int]:
    """`limit` shared in proportion to `counts`; what rounding leaves goes to the largest rests."""
    total = sum(counts)
    if limit >= total:
        return list(counts)
    exact = [limit * count / total for count in counts]
    quotas = [int(value) for value in exact]
    rests = sorted(range(len(counts)), key=lambda part: quotas[part] - exact[part])
    for part in rests[: limit - sum(quotas)]:
        quotas[part] += 1
    return quotas
