from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from tune_audio.data.clips import Clip, Listing
from tune_audio.data.names import clip_id
from tune_audio.data.selection import choose_labels, select_clips
from tune_audio.data.split import assign_splits
from tune_audio.errors import UserError

ROOT = Path("/data")
FRACTIONS = (0.70, 0.15, 0.15)


def make_listing(labels: int = 6, clips: int = 40, speakers: int = 60, seed: int = 0) -> Listing:
    """Speakers of very different numbers of clips, over all labels."""
    random = np.random.default_rng(seed)
    share = random.pareto(1.0, speakers) + 0.05
    names = [f"word{label}" for label in range(labels)]
    return Listing(
        clips=tuple(
            Clip(ROOT / name / f"{number}.wav", (name,), group=f"speaker{speaker}")
            for name in names
            for number, speaker in enumerate(
                random.choice(speakers, size=clips + len(name), p=share / share.sum())
            )
        ),
        labels=tuple(names),
    )


def select(listing: Listing, **options):
    return select_clips(listing, ROOT, **{"split": FRACTIONS, **options})


def split_of(selection) -> dict[str, int]:
    return dict(zip(selection.names, selection.split.tolist(), strict=True))


@pytest.mark.parametrize("fractions", [FRACTIONS, (0.8, 0.1, 0.1), (1 / 3, 1 / 3, 1 / 3)])
@pytest.mark.parametrize("seed", range(5))
def test_every_label_is_cut_at_the_fractions(fractions, seed):
    listing = make_listing(clips=37 + seed)
    chosen = select(listing, split=fractions, seed=seed)
    for label in listing.labels:
        mine = [part for name, part in split_of(chosen).items() if name.startswith(label)]
        counts = np.bincount(mine, minlength=3)
        assert np.abs(counts - np.array(fractions) * len(mine)).max() <= 1


@pytest.mark.parametrize("seed", range(10))
def test_no_speaker_is_in_two_splits(seed):
    chosen = select(make_listing(seed=seed), split_by="speaker", seed=seed)
    splits = defaultdict(set)
    for clip, part in zip(chosen.clips, chosen.split, strict=True):
        splits[clip.group].add(int(part))
    assert all(len(parts) == 1 for parts in splits.values())
    assert set().union(*splits.values()) == {0, 1, 2}


def test_three_speakers_fill_three_splits():
    clips = tuple(
        Clip(ROOT / f"{label}{speaker}{number}.wav", (label,), group=speaker)
        for speaker, count in (("ann", 500), ("bob", 3), ("eve", 2))
        for label in "ab"
        for number in range(count)
    )
    for seed in range(10):
        chosen = select(Listing(clips, ("a", "b")), split_by="speaker", seed=seed)
        assert sorted(np.bincount(chosen.split)) == [4, 6, 1_000]


def test_speakers_are_cut_near_the_fractions():
    listing = make_listing(clips=500, speakers=400, seed=1)
    chosen = select(listing, split_by="speaker")
    largest = max(Counter(clip.group for clip in listing.clips).values()) / len(listing.clips)
    shares = np.bincount(chosen.split) / len(chosen.split)
    assert np.abs(shares - np.array(FRACTIONS)).max() <= largest


@pytest.mark.parametrize("split_by", ["label", "speaker"])
def test_a_clip_is_in_one_split_whatever_the_subset(split_by):
    listing = make_listing()
    whole = split_of(select(listing, split_by=split_by))
    for options in (
        {"labels": ["word4", "word1"]},
        {"clips_per_label": 20},
        {"labels": ["word0", "word5", "word2"], "clips_per_label": 25},
    ):
        part = split_of(select(listing, split_by=split_by, **options))
        assert len(part) < len(whole)
        assert part.items() <= whole.items()


def test_order_of_the_listing_does_not_matter():
    listing = make_listing()
    turned = Listing(listing.clips[::-1], listing.labels)
    assert split_of(select(listing)) == split_of(select(turned))


def test_the_seed_decides():
    listing = make_listing()
    assert split_of(select(listing, seed=1)) != split_of(select(listing, seed=2))


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_clips_a_label_are_700_150_150(seed):
    chosen = select(make_listing(labels=2, clips=1_307), clips_per_label=1_000, seed=seed)
    for label in ("word0", "word1"):
        mine = [part for name, part in split_of(chosen).items() if name.startswith(label)]
        assert np.bincount(mine).tolist() == [700, 150, 150]


def test_fewer_clips_of_a_label_are_among_more():
    listing = make_listing()
    few, many = (set(select(listing, clips_per_label=n).names) for n in (10, 30))
    assert few < many


def test_windows_of_one_recording_stay_together():
    clips = tuple(
        Clip(ROOT / f"{label}{number}.wav", (label,), start_seconds=start, seconds=1.0)
        for label in "ab"
        for number in range(20)
        for start in range(5)
    )
    chosen = select(Listing(clips, ("a", "b")))
    parts = defaultdict(set)
    for name, part in zip(chosen.names, chosen.split, strict=True):
        parts[name].add(int(part))
    assert all(len(splits) == 1 for splits in parts.values())
    assert np.bincount(chosen.split).tolist() == [140, 30, 30]


def test_official_split_and_rows_by_split():
    order = ("test", "train", "validation")
    clips = tuple(
        Clip(ROOT / label / f"{split}.wav", (label,), split=split)
        for label in "ab"
        for split in order
    )
    chosen = select(Listing(clips, ("a", "b")), split="official")
    assert chosen.split.tolist() == [0, 0, 1, 1, 2, 2]
    assert chosen.names[:2] == ("a/train.wav", "b/train.wav")


def test_multi_label_clips_keep_a_clip_with_any_wanted_label():
    clips = tuple(
        Clip(ROOT / f"{number}.wav", ("a", "b") if number % 2 else ("b", "c"))
        for number in range(40)
    )
    chosen = select(Listing(clips, ("a", "b", "c"), multi_label=True), labels=["a", "c"])
    assert len(chosen.clips) == 40
    chosen = select(Listing(clips, ("a", "b", "c"), multi_label=True), labels=["a", "b"])
    assert len(chosen.clips) == 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "oficial"}, "got 'oficial'; allowed are 'official' or three"),
        ({"split": "official"}, "have no official split"),
        ({"split": (0.7, 0.3)}, "three fractions"),
        ({"split": (0.7, 0.2, 0.2)}, "sum to 1"),
        ({"split": (0.7, 0.3, 0.0)}, "above 0"),
        ({"split_by": "folder"}, "allowed are 'label', 'source' and 'speaker'"),
        ({"clips_per_label": 0}, "give 1 or more"),
        ({"clips_per_label": 1}, "no clip is left for validation, test"),
        ({"labels": ["word0"]}, "needs two or more|two or more"),
        ({"labels": ["word1", "word1"]}, "'word1' is given 2 times"),
    ],
)
def test_wrong_choices(options, message):
    with pytest.raises(UserError, match=message):
        select(make_listing(), **options)


def test_all_wrong_labels_are_named_with_the_nearest():
    with pytest.raises(UserError) as caught:
        choose_labels(["yes", "no", "stop"], ["yess", "no", "stpo", "zebra"])
    text = caught.value.message
    assert "'yess' does not exist (did you mean 'yes'?)" in text
    assert "'stpo' does not exist (did you mean 'stop'?)" in text
    assert "'zebra' does not exist." in text
    assert "'no'" not in text


def test_split_by_speaker_needs_speakers():
    clips = (Clip(ROOT / "a.wav", ("a",), group="s"), Clip(ROOT / "b.wav", ("b",)))
    with pytest.raises(UserError, match="1 of 2 clips have no known speaker"):
        assign_splits(clips, ["a.wav", "b.wav"], split=FRACTIONS, split_by="speaker")


def test_a_label_without_training_clips():
    clips = tuple(
        Clip(ROOT / f"{label}{split}.wav", (label,), split=split)
        for label in "ab"
        for split in ("train", "validation", "test")
        if (label, split) != ("b", "train")
    )
    with pytest.raises(UserError, match="no clip to train on for b"):
        select(Listing(clips, ("a", "b")), split="official")


def test_clip_ids_are_stable_and_differ():
    assert clip_id("go/x.wav", 0) == clip_id("go/x.wav", 0.0) == 0xCA9B506C96456A5
    ids = {clip_id(f"go/{n}.wav", start) for n in range(1_000) for start in (0.0, 1.0)}
    assert len(ids) == 2_000
