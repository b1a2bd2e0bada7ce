import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from make_audio import make_kaggle, make_speech_commands, write_audio

from tune_audio.data.datasets.commands import LABELS
from tune_audio.data.datasets.kaggle_speech import kaggle_speech, submission_clips
from tune_audio.data.datasets.speech_commands import speech_commands, speech_commands12
from tune_audio.data.load import load_corpus
from tune_audio.data.selection import select_clips
from tune_audio.errors import UserError


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return make_kaggle(tmp_path_factory.mktemp("kaggle"))


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> Path:
    """Two commands and three other words of 40 speakers each: 32 train, 4 select, 4 test."""
    folder = tmp_path_factory.mktemp("words")
    names = ("yes", "no", "bed", "cat", "dog")
    return make_speech_commands(folder, names, lists=True, noise_seconds=24.0)


def unknown(listing) -> list:
    return [clip for clip in listing.clips if clip.labels == ("unknown",)]


def test_commands_silence_and_unknown(root):
    listing = kaggle_speech(root, silence_clips=30, unknown_clips=20)
    assert listing.labels == ("yes", "no", "silence", "unknown")
    counts = Counter(clip.labels[0] for clip in listing.clips)
    assert counts == {"yes": 40, "no": 40, "silence": 30, "unknown": 20}
    assert [path.name for path in listing.noise] == ["pink.wav", "white.wav"]


def test_noise_for_training_has_nothing_that_is_selected_or_tested_by(words, tmp_path):
    """24 s of noise each: the last two tenths are silence that validates and tests."""
    listing = speech_commands(words, silence_clips=400)
    noise = select_clips(listing, words).noise
    held_out = [c for c in listing.clips if c.labels == ("silence",) and c.split != "train"]
    assert noise and held_out
    for piece in noise:
        for clip in (clip for clip in held_out if clip.path == piece.path):
            ends = piece.start_seconds + piece.seconds, clip.start_seconds + clip.seconds
            assert min(ends) <= max(piece.start_seconds, clip.start_seconds)
    corpus = load_corpus("speech_commands", words, cache=tmp_path, silence_clips=400)
    assert [len(samples) for samples in corpus.noise] == [round(0.8 * 24 * 16_000)] * 2
    assert [len(n) for n in load_corpus("speech_commands", words, cache=tmp_path).noise] == [
        24 * 16_000
    ] * 2


def test_official_lists_lie_beside_the_audio(root):
    listing = kaggle_speech(root, silence_clips=0, unknown_clips=None)
    assert listing.labels == ("bed", "cat", "no", "yes")
    for split, name in (("validation", "validation_list.txt"), ("test", "testing_list.txt")):
        listed = set((root / "train" / name).read_text().split())
        found = {
            clip.path.relative_to(root / "train" / "audio").as_posix()
            for clip in listing.clips
            if clip.split == split
        }
        assert found == listed and len(listed) == 16


def test_a_folder_of_speech_commands_does_as_well(root):
    nested = kaggle_speech(root, silence_clips=30, unknown_clips=20)
    audio = root / "train" / "audio"
    for name in ("validation_list.txt", "testing_list.txt"):
        shutil.copy(root / "train" / name, audio / name)
    flat = kaggle_speech(audio, silence_clips=30, unknown_clips=20)
    assert (flat.labels, flat.noise) == (nested.labels, nested.noise)
    assert len(flat.clips) == len(nested.clips)
    # Which of the other words are drawn depends on their names below the root.
    own = [clip for clip in flat.clips if clip.labels != ("unknown",)]
    assert set(own) < set(nested.clips)


def test_unknown_clips_are_shared_over_words_and_splits(words):
    drawn = unknown(speech_commands(words, unknown_clips=60))
    cells = Counter((clip.path.parent.name, clip.split) for clip in drawn)
    for word in ("bed", "cat", "dog"):
        assert [cells[word, s] for s in ("train", "validation", "test")] == [16, 2, 2]
    assert {clip.group for clip in drawn} == {clip.path.name.split("_")[0] for clip in drawn}


def test_unknown_clips_are_drawn_by_the_same_hash_each_time(words):
    few, many, all_of_them = (
        {clip.path for clip in unknown(speech_commands(words, unknown_clips=count))}
        for count in (30, 60, 10_000)
    )
    assert few < many < all_of_them
    assert [len(few), len(many), len(all_of_them)] == [30, 60, 120]


def test_no_unknown_clips_leave_the_commands(words):
    assert speech_commands(words, unknown_clips=0).labels == ("yes", "no")
    assert speech_commands(words).labels == ("bed", "cat", "dog", "no", "yes")


def test_twelve_classes_have_a_tenth_of_silence_and_of_unknown_in_each_split(words):
    listing = speech_commands12(words)
    assert listing.labels == ("yes", "no", "silence", "unknown")
    counts = Counter((clip.labels[0], clip.split) for clip in listing.clips)
    for split, commands in (("train", 64), ("validation", 8), ("test", 8)):
        assert counts["yes", split] + counts["no", split] == commands
        assert counts["silence", split] == counts["unknown", split] == -(-commands // 10)


def test_twelve_classes_in_the_order_of_the_challenge(tmp_path):
    names = ("bed", "go", "off", "stop", "on", "right", "left", "down", "up", "no", "yes")
    root = make_speech_commands(tmp_path, names, 20, lists=True, noise_seconds=20.0)
    assert speech_commands12(root).labels == LABELS
    assert " ".join(LABELS) == "yes no up down left right on off stop go silence unknown"


def test_a_corpus_of_it(root, tmp_path):
    corpus = load_corpus("kaggle_speech", root, silence_clips=40, unknown_clips=40, cache=tmp_path)
    assert corpus.labels == ["yes", "no", "silence", "unknown"]
    assert np.bincount(corpus.targets).tolist() == [40, 40, 40, 40]
    assert all(set(corpus.targets[corpus.rows(s)]) == {0, 1, 2, 3} for s in ("train", "test"))
    # Silence is cut from two files, and each clip of it still counts for itself.
    assert corpus.recording.tolist() == list(range(160)) and set(corpus.fold) == {-1}


def test_clips_to_predict(root, tmp_path):
    names = [path.name for path in submission_clips(root)]
    assert names == ["clip_000044442.wav", "clip_0a1b2c3d4.wav", "clip_ffee00112.wav"]
    with pytest.raises(UserError, match=r"no test/audio/clip_\*\.wav"):
        submission_clips(tmp_path)


def test_what_does_not_fit(tmp_path, words):
    with pytest.raises(UserError, match=r"no folder train/audio.*SPEAKER_nohash_N"):
        kaggle_speech(tmp_path)
    write_audio(tmp_path / "bed" / "0a1b2c3d_nohash_0.wav")
    with pytest.raises(UserError, match="has none of the commands yes, no, up"):
        speech_commands(tmp_path, unknown_clips=5)
    write_audio(tmp_path / "yes" / "0a1b2c3d_nohash_0.wav")
    with pytest.raises(UserError, match="no readable recording of 20 seconds or more"):
        speech_commands12(tmp_path)
