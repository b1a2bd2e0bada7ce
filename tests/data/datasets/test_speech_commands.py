from collections import defaultdict

import pytest
from make_audio import make_speech_commands, write_audio

from tune_audio.data.datasets.speech_commands import speech_commands, which_set
from tune_audio.data.selection import select_clips
from tune_audio.errors import UserError


def test_words_speakers_and_official_lists(tmp_path):
    root = make_speech_commands(tmp_path, lists=True)
    listing = speech_commands(root)
    assert listing.labels == ("go", "no", "stop", "yes")
    assert len(listing.clips) == 160
    listed = {
        split: set((root / name).read_text().split())
        for split, name in (("validation", "validation_list.txt"), ("test", "testing_list.txt"))
    }
    for clip in listing.clips:
        name = clip.path.relative_to(root).as_posix()
        where = [split for split, names in listed.items() if name in names]
        assert [clip.split] == (where or ["train"])
        assert clip.path.name.startswith(f"{clip.group}_nohash_")


def test_without_lists_the_hash_rule_decides(tmp_path):
    listing = speech_commands(make_speech_commands(tmp_path, speakers=60))
    by_speaker = defaultdict(set)
    for clip in listing.clips:
        assert clip.split == which_set(clip.path.name)
        by_speaker[clip.group].add(clip.split)
    assert all(len(splits) == 1 for splits in by_speaker.values())
    assert set().union(*by_speaker.values()) == {"train", "validation", "test"}


@pytest.mark.parametrize(
    ("speaker", "split"),
    [
        # Speakers of the official test set of version 0.02.
        ("022cd682", "test"),
        ("0487ba9b", "test"),
        ("0bac8a71", "test"),
        ("0c40e715", "test"),
    ],
)
def test_hash_rule_agrees_with_the_official_lists(speaker, split):
    assert which_set(f"{speaker}_nohash_0.wav") == split
    assert which_set(f"{speaker}_nohash_17.wav") == split


def test_hash_rule_gives_a_tenth_to_validation_and_to_test():
    sets = [which_set(f"{number:08x}_nohash_0.wav") for number in range(10_000)]
    assert sets.count("validation") == pytest.approx(1_000, abs=100)
    assert sets.count("test") == pytest.approx(1_000, abs=100)


def test_one_list_without_the_other_is_an_error(tmp_path):
    root = make_speech_commands(tmp_path, lists=True)
    (root / "testing_list.txt").unlink()
    with pytest.raises(UserError, match=r"validation_list.txt but not testing_list.txt"):
        speech_commands(root)


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_lists_that_are_empty_are_an_error(tmp_path, text):
    root = make_speech_commands(tmp_path, lists=True)
    for name in ("validation_list.txt", "testing_list.txt"):
        (root / name).write_text(text)
    with pytest.raises(UserError, match=r"testing_list.txt of .* are empty\. Restore them"):
        speech_commands(root)


def test_another_layout_is_an_error(tmp_path):
    write_audio(tmp_path / "go" / "hello.wav")
    with pytest.raises(UserError, match="Speech Commands"):
        speech_commands(tmp_path)


def test_silence_of_one_split_overlaps_none_of_another(tmp_path):
    root = make_speech_commands(tmp_path, lists=True, noise_seconds=24.0)
    listing = speech_commands(root, silence_clips=100)
    assert listing.labels[-1] == "silence"
    silence = [clip for clip in listing.clips if clip.labels == ("silence",)]
    counts = {split: sum(clip.split == split for clip in silence) for split in ("train", "test")}
    assert (len(silence), counts) == (100, {"train": 80, "test": 10})
    assert len({(clip.path, clip.start_seconds) for clip in silence}) == 100
    for split in ("label", "speaker"):
        chosen = select_clips(listing, root, split=(0.6, 0.2, 0.2), split_by=split)
        spans = [
            (clip.path, clip.start_seconds, part)
            for clip, part in zip(chosen.clips, chosen.split, strict=True)
            if clip.labels == ("silence",)
        ]
        for path, start, part in spans:
            assert 0 <= start <= 23.0
            for other_path, other_start, other_part in spans:
                if part != other_part and path == other_path:
                    assert abs(start - other_start) >= 1.0


def test_more_silence_keeps_what_was_there(tmp_path):
    root = make_speech_commands(tmp_path, noise_seconds=20.0)
    few, many = (set(speech_commands(root, silence_clips=count).clips) for count in (30, 60))
    assert few < many


def test_silence_needs_noise(tmp_path):
    root = make_speech_commands(tmp_path, noise_seconds=19.0)
    assert len(speech_commands(root).noise) == 2
    with pytest.raises(UserError, match="no readable recording of 20 seconds or more"):
        speech_commands(root, silence_clips=5)
