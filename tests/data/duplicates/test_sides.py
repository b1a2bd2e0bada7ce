"""What belongs together is on one side of every split, and what does not stays where it was."""

from pathlib import Path

import numpy as np
import pytest

from tune_audio.data.clips import SPLITS, Clip, Listing
from tune_audio.data.duplicates.pairs import Pair
from tune_audio.data.duplicates.sides import join
from tune_audio.data.selection import Selection, select_clips
from tune_audio.errors import UserError

ROOT = Path("/data")
FRACTIONS = (0.70, 0.15, 0.15)
TRAIN, VALIDATION, TEST = range(3)


def listing_of(splits: str = "", clips: int = 40, speakers: int = 0, **options) -> Listing:
    """`clips` of each of two labels; a letter of `splits` for each: t, v, or e for test."""
    split_of = dict(zip("tve", SPLITS, strict=True))
    made = [
        Clip(
            ROOT / label / f"{n:02}.wav",
            (label,),
            split=split_of[splits[n]] if splits else None,
            group=f"speaker{n % speakers}" if speakers else None,
        )
        for label in "ab"
        for n in range(len(splits) or clips)
    ]
    return Listing(tuple(made), ("a", "b"), **options)


def pairs(*names: str) -> list[Pair]:
    """ "a/00 a/01" are a pair."""
    return [Pair(*(f"{name}.wav" for name in two.split()), "copy", 0.0, 0.9) for two in names]


def split(listing: Listing, found: list[Pair], **options) -> Selection:
    return select_clips(join(listing, ROOT, found), ROOT, **{"split": FRACTIONS, **options})


def places(selection: Selection) -> dict[str, int]:
    return dict(zip(selection.names, selection.split.tolist(), strict=True))


CHAIN = pairs("a/00 a/01", "a/05 a/01", "a/07 b/00", "b/00 b/09")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("split_by", ["label", "source"])
def test_fractions_never_part_them(seed, split_by) -> None:
    listing = listing_of(speakers=40 if split_by == "source" else 0)
    where = places(split(listing, CHAIN, seed=seed, split_by=split_by))
    for name_a, name_b, *_ in CHAIN:
        assert where[name_a] == where[name_b]
    for label in "ab":
        mine = [part for name, part in where.items() if name.startswith(label)]
        assert np.abs(np.bincount(mine) - 40 * np.array(FRACTIONS)).max() <= 4


def test_where_nothing_is_found_nothing_changes() -> None:
    listing = listing_of(speakers=7)
    assert join(listing, ROOT, []) == listing
    plain, joined = select_clips(listing, ROOT, split=FRACTIONS), split(listing, pairs("b/00 b/07"))
    of_a = {name: part for name, part in places(plain).items() if name.startswith("a")}
    assert of_a.items() <= places(joined).items()


@pytest.mark.parametrize("seed", range(8))
def test_speakers_who_share_a_recording_are_as_one(seed) -> None:
    listing = listing_of(speakers=8)
    found = pairs("a/00 a/01", "a/01 b/02")
    joined = join(listing, ROOT, found)
    assert len({clip.group for clip in joined.clips}) == 6
    chosen = select_clips(joined, ROOT, split=FRACTIONS, split_by="speaker", seed=seed)
    parts = {part for name, part in places(chosen).items() if int(name[2:4]) % 8 in (0, 1, 2)}
    assert len(parts) == 1


def test_few_sources_are_split_so_that_each_label_is_everywhere() -> None:
    sizes = {"a": (14, 8, 5), "b": (1, 2, 20, 3, 1)}
    clips = tuple(
        Clip(ROOT / label / f"{source}_{n}.wav", (label,), group=f"{label}{source}")
        for label, counts in sizes.items()
        for source, count in enumerate(counts)
        for n in range(count)
    )
    for seed in range(5):
        chosen = select_clips(
            Listing(clips, ("a", "b")), ROOT, split=FRACTIONS, split_by="source", seed=seed
        )
        groups = [(clip.group, part) for clip, part in zip(chosen.clips, chosen.split, strict=True)]
        assert len(set(groups)) == 8
        for label in "ab":
            counts = np.bincount([part for group, part in groups if group[0] == label])
            assert counts.min() > 0 and counts.argmax() == TRAIN


def test_a_given_test_stays_and_train_does_without_its_twins() -> None:
    listing = listing_of("tttttvvvee")
    found = pairs("a/00 a/08", "a/01 a/05", "a/06 b/09", "a/02 a/03", "b/00 a/06")
    chosen = split(listing, found, split="official")
    assert chosen.left_out == {"a/00.wav", "a/01.wav", "a/06.wav", "b/00.wav"}
    before = places(select_clips(listing, ROOT, split="official"))
    assert places(chosen) == {n: p for n, p in before.items() if n not in chosen.left_out}
    assert sum(part == TEST for part in before.values()) == 4 == list(chosen.split).count(TEST)


def test_a_split_that_was_drawn_here_gives_back_or_takes() -> None:
    listing = listing_of("tttttvvvee", drawn="validation")
    chosen = split(listing, pairs("a/00 a/05", "b/01 b/06", "a/02 a/08"), split="official")
    assert chosen.left_out == {"a/02.wav"}  # for a test that was given
    where = places(chosen)
    assert where["a/00.wav"] == where["a/05.wav"] and where["b/01.wav"] == where["b/06.wav"]


def test_what_hangs_together_as_a_whole_cannot_be_split() -> None:
    listing = listing_of(clips=4)
    found = pairs(*(f"a/00 {name}/{n:02}" for name in "ab" for n in range(4)))
    with pytest.raises(UserError, match=r"8 clips are equal to or cut from.*duplicates=tell"):
        split(listing, found)
