"""Which clips are trained on, which select, which test; and which are left out of a subset.

Splits are made on the whole data set before any label or clip is left out, and a clip's place is
the rank of a hash of its path. So a clip that tests in a search on four labels also tests when
the winner is retrained on all of them.
"""

import difflib
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np

from tune_audio.data.clips import SPLITS, Clip, Listing
from tune_audio.data.noise import training_noise
from tune_audio.errors import UserError

SPLIT_CHOICES = "'official' or three fractions [train, validation, test] above 0 that sum to 1"


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


def select_clips(
    listing: Listing,
    root: Path,
    *,
    labels: Sequence[str] | Literal["all"] = "all",
    clips_per_label: int | None = None,
    split: Sequence[float] | Literal["official"] = "official",
    split_by: Literal["label", "speaker"] = "label",
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
    chosen_labels = choose_labels(listing.labels, labels)
    wanted = set(chosen_labels)
    kept = [row for row, clip in enumerate(listing.clips) if wanted.intersection(clip.labels)]
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
    )
    trained = {
        label
        for clip, part in zip(selection.clips, selection.split, strict=True)
        if SPLITS[part] == "train"
        for label in clip.labels
    }
    check_coverage(selection.labels, trained, selection.split)
    return selection


def assign_splits(
    clips: Sequence[Clip],
    names: Sequence[str],
    *,
    split: Sequence[float] | Literal["official"],
    split_by: Literal["label", "speaker"] = "label",
    whole_groups: bool = False,
    seed: int = 0,
) -> np.ndarray:
    """uint8 (n,): the index into SPLITS of every clip.

    Fractions by label are stratified: each label is cut at the fractions, to half a clip. By
    speaker, and with `whole_groups`, no group stands in two splits. Clips of one recording and
    group always stay together.
    """
    if isinstance(split, str):
        return _official_splits(clips, split)
    fractions = _check_fractions(split)
    if split_by == "speaker":
        _check_groups(clips)
        units = [("", clip.group) for clip in clips]
    elif split_by == "label":
        whole: list[Hashable] = [
            clip.group if whole_groups and clip.group is not None else (name, clip.group)
            for clip, name in zip(clips, names, strict=True)
        ]
        units = list(zip(_strata(clips, whole), whole, strict=True))
    else:
        raise UserError(f"data.split_by: got {split_by!r}; allowed are 'label' and 'speaker'.")
    return _cut_at_fractions(units, fractions, seed, fill=split_by == "speaker")


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


def check_coverage(labels: Sequence[str], trained: Collection[str], split: np.ndarray) -> None:
    """UserError when a split is empty or a label is not among the `trained` ones."""
    counts = np.bincount(split, minlength=len(SPLITS))
    if empty := [name for name, count in zip(SPLITS, counts, strict=True) if count == 0]:
        raise UserError(
            f"data.split: no clip is left for {', '.join(empty)}; each of {', '.join(SPLITS)} "
            f"needs one. Give more clips, or data.split as {SPLIT_CHOICES}."
        )
    if untrained := [label for label in labels if label not in trained]:
        raise UserError(
            f"data.labels: no clip to train on for {', '.join(untrained)}. "
            "Give these labels more clips, leave them out, or change data.split."
        )


def clip_id(name: str, start_seconds: float) -> int:
    """A stable 64-bit id of a clip, the same in every subset of its data set."""
    return hash64(name, repr(float(start_seconds)))


def relative_name(path: Path, root: Path) -> str:
    """The path below `root`, with forward slashes; the whole path when it is elsewhere."""
    # Ten times as fast as Path.relative_to, which matters for 100,000 clips.
    return str(path).removeprefix(f"{root}{os.sep}").replace(os.sep, "/")


def hash64(*parts: object) -> int:
    """A stable 64-bit hash of the text of the parts."""
    text = "\0".join(map(str, parts))
    return int.from_bytes(blake2b(os.fsencode(text), digest_size=8).digest(), "little")


def _official_splits(clips: Sequence[Clip], split: str) -> np.ndarray:
    if split != "official":
        raise UserError(f"data.split: got {split!r}; allowed are {SPLIT_CHOICES}.")
    if without := sum(clip.split not in SPLITS for clip in clips):
        raise UserError(
            f"data.split: {without} of {len(clips)} clips have no official split. "
            "Give three fractions instead, for example [0.8, 0.1, 0.1]."
        )
    return np.array([SPLITS.index(clip.split) for clip in clips], dtype=np.uint8)


def _check_fractions(split: Sequence[float]) -> np.ndarray:
    try:
        fractions = np.array(split, dtype=np.float64)
    except (TypeError, ValueError):
        fractions = np.zeros(0)
    if fractions.shape != (3,) or not (fractions > 0).all() or abs(fractions.sum() - 1) > 1e-6:
        raise UserError(f"data.split: got {split!r}; allowed are {SPLIT_CHOICES}.")
    return fractions


def _check_groups(clips: Sequence[Clip]) -> None:
    if without := sum(clip.group is None for clip in clips):
        raise UserError(
            f"data.split_by: {without} of {len(clips)} clips have no known speaker or group. "
            "Use split_by: label, or name a group for every clip."
        )


def _strata(clips: Sequence[Clip], units: Sequence[Hashable]) -> list[str]:
    """The label that each clip's unit counts for, in the split by label."""
    counts = Counter(label for clip in clips for label in clip.labels)
    stratum: dict[Hashable, str] = {}
    for clip, unit in zip(clips, units, strict=True):
        label = rarest(clip.labels, counts)
        stratum[unit] = min(label, stratum.get(unit, label))
    return [stratum[unit] for unit in units]


def rarest(labels: Collection[str], counts: Mapping[str, int]) -> str:
    """Of several labels the one with the fewest clips: it is the hardest to share out."""
    return min(labels, key=lambda label: (counts[label], label))


def _cut_at_fractions(
    units: Sequence[tuple[str, Hashable]], fractions: np.ndarray, seed: int, *, fill: bool
) -> np.ndarray:
    """Splits of clips that belong to (stratum, unit): a unit is whole, a stratum is cut.

    With `fill` no split of a stratum is empty, however large its units are.
    """
    sizes: dict[str, Counter] = defaultdict(Counter)
    for stratum, unit in units:
        sizes[stratum][unit] += 1
    part: dict[tuple[str, Hashable], int] = {}
    for stratum, counts in sizes.items():
        # The name beside the hash keeps the order of two equal hashes.
        order = sorted(counts, key=lambda unit: (hash64(seed, unit), str(unit)))
        clips = np.array([counts[unit] for unit in order])
        middles = (np.cumsum(clips) - clips / 2) / clips.sum()
        train_end, validation_end = np.searchsorted(middles, np.cumsum(fractions)[:-1])
        if fill and len(order) >= len(SPLITS):
            train_end = np.clip(train_end, 1, len(order) - 2)
            validation_end = np.clip(validation_end, train_end + 1, len(order) - 1)
        for rank, unit in enumerate(order):
            part[stratum, unit] = int(rank >= train_end) + int(rank >= validation_end)
    return np.array([part[unit] for unit in units], dtype=np.uint8)


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
    by_label: dict[str, list[dict[tuple, list[int]]]] = defaultdict(
        lambda: [defaultdict(list) for _ in SPLITS]
    )
    for row in rows:
        clip = listing.clips[row]
        label = rarest(wanted.intersection(clip.labels), counts)
        unit = (names[row],) if listing.windows else (names[row], clip.start_seconds)
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
