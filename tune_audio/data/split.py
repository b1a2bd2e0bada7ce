"""Which clips are trained on, which select, which test.

Splits are made on the whole data set before any label or clip is left out, and a clip's place is
the rank of a hash of its path. So a clip that tests in a search on four labels also tests when
the winner is retrained on all of them.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Literal

import numpy as np

from tune_audio.data.clips import SPLITS, Clip
from tune_audio.data.names import hash64
from tune_audio.errors import UserError

SplitBy = Literal["label", "source", "speaker"]
# So few that one order of them may leave a split nearly empty: the best of many is taken.
FEW_UNITS, ORDERS = 50, 100
SPLIT_CHOICES = "'official' or three fractions [train, validation, test] above 0 that sum to 1"


def assign_splits(
    clips: Sequence[Clip],
    names: Sequence[str],
    *,
    split: Sequence[float] | Literal["official"],
    split_by: SplitBy = "label",
    whole_groups: bool = False,
    seed: int = 0,
) -> np.ndarray:
    """uint8 (n,): the index into SPLITS of every clip.

    Fractions by label are stratified: each label is cut at the fractions, to half a clip. By
    speaker, and with `whole_groups`, no group stands in two splits. By source neither, and every
    label of three groups or more is in every split. Clips of one recording and group, and of
    recordings that are joined, always stay together.
    """
    if isinstance(split, str):
        return _official_splits(clips, split)
    fractions = _check_fractions(split)
    if split_by == "speaker":
        _check_groups(clips)
        units: list[tuple[str, Hashable]] = [("", clip.group) for clip in clips]
        return _cut_at_fractions(units, fractions, seed, fill=True)
    if split_by not in ("label", "source"):
        raise UserError(
            f"data.split_by: got {split_by!r}; allowed are 'label', 'source' and 'speaker'."
        )
    whole_groups |= split_by == "source"
    whole: list[Hashable] = [
        clip.group if whole_groups and clip.group is not None else clip.joined or (name, clip.group)
        for clip, name in zip(clips, names, strict=True)
    ]
    units = list(zip(_strata(clips, whole), whole, strict=True))
    large = {
        stratum
        for (stratum, _), clip in zip(units, clips, strict=True)
        if split_by == "source" or clip.joined
    }
    return _cut_at_fractions(units, fractions, seed, large=large)


def share_of_train(clips: Sequence[Clip], names: Sequence[str], share: float) -> np.ndarray:
    """bool (n,): which training clips a missing split takes; of a group all or none."""
    # What is taken is not to be divided further, so it is both of the fractions that follow train.
    fractions = (1 - share, share / 2, share / 2)
    return assign_splits(clips, names, split=fractions, whole_groups=True) > SPLITS.index("train")


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
    units: Sequence[tuple[str, Hashable]],
    fractions: np.ndarray,
    seed: int,
    *,
    fill: bool = False,
    large: Collection[str] = (),
) -> np.ndarray:
    """Splits of clips that belong to (stratum, unit): a unit is whole, a stratum is cut.

    With `fill` no split of a stratum is empty, however large its units are; nor one of the strata
    that have `large` units, which come as near to the fractions as these allow.
    """
    sizes: dict[str, Counter[Hashable]] = defaultdict(Counter)
    for stratum, unit in units:
        sizes[stratum][unit] += 1
    part: dict[tuple[str, Hashable], int] = {}
    for stratum, counts in sizes.items():
        if stratum in large and len(counts) <= FEW_UNITS:
            tries = (_cut(counts, fractions, (seed, n), fill=True) for n in range(ORDERS))
            parts = min(tries, key=lambda parts: _distance(parts, counts, fractions))
        else:
            parts = _cut(counts, fractions, (seed,), fill or stratum in large)
        part |= {(stratum, unit): of_unit for unit, of_unit in parts.items()}
    return np.array([part[unit] for unit in units], dtype=np.uint8)


def _cut(
    counts: Counter[Hashable], fractions: np.ndarray, seed: tuple[int, ...], fill: bool
) -> dict[Hashable, int]:
    """The split of each unit of a stratum, where these are in the order of their hashes."""
    # The name beside the hash keeps the order of two equal hashes.
    order = sorted(counts, key=lambda unit: (hash64(*seed, unit), str(unit)))
    clips = np.array([counts[unit] for unit in order])
    middles = (np.cumsum(clips) - clips / 2) / clips.sum()
    train_end, validation_end = np.searchsorted(middles, np.cumsum(fractions)[:-1])
    if fill and len(order) >= len(SPLITS):
        train_end = np.clip(train_end, 1, len(order) - 2)
        validation_end = np.clip(validation_end, train_end + 1, len(order) - 1)
    return {
        unit: int(rank >= train_end) + int(rank >= validation_end)
        for rank, unit in enumerate(order)
    }


def _distance(
    parts: Mapping[Hashable, int], counts: Counter[Hashable], fractions: np.ndarray
) -> float:
    """How far the splits of a stratum are from the fractions, 0 to 2."""
    clips = np.zeros(len(SPLITS))
    for unit, part in parts.items():
        clips[part] += counts[unit]
    return float(np.abs(clips / clips.sum() - fractions).sum())
