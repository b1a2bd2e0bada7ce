"""What a newcomer's folder is taken for: lengths, windows, splits, speakers."""

from io import StringIO

import numpy as np
import pytest
from make_audio import make_class_folder, make_speech_commands, tone, write_audio
from rich.console import Console
from surveyed import assumed, corpus_of, splits_of, write_classes

from tune_audio.data.grouping import NAME_PATTERNS, find_groups, recognise
from tune_audio.data.load import load_corpus
from tune_audio.data.windows import window_starts
from tune_audio.errors import UserError
from tune_audio.space import load_space
from tune_audio.tuning.resolve import resolve


def test_telephone_recordings_of_speakers(tmp_path):
    names = [f"speaker-{speaker:02}_{take}.wav" for speaker in range(10) for take in range(2)]
    root = write_classes(tmp_path / "data", ("no", "yes"), names)
    decided, told = assumed(root)
    assert decided["clip_seconds"] == 0.6
    assert "8 kHz recordings" in told and "above 4 kHz there is nothing" in told
    assert "10 speakers in the names (such as 'speaker-00')" in told
    corpus = corpus_of(decided, tmp_path / "cache")
    assert set(corpus.group) == {f"speaker-{speaker:02}" for speaker in range(10)}
    assert all(len(splits) == 1 for splits in splits_of(corpus, corpus.group).values())
    assert all(len(splits) == 3 for splits in splits_of(corpus, corpus.targets.tolist()).values())


def test_long_clips_of_mixed_formats_become_windows(tmp_path):
    root = tmp_path / "data"
    for label in ("dog", "rain"):
        for number in range(8):
            name = f"take{number}.{('wav', 'flac', 'ogg', 'mp3')[number % 4]}"
            stereo = np.stack([tone(5, 44_100, 200 + 50 * number)] * (1 + number % 2), axis=1)
            write_audio(root / label / name, stereo, 44_100)
    decided, told = assumed(root)
    window = {"clip_seconds": 2.0, "window_seconds": 2.0, "hop_seconds": 1.0}
    assert decided.items() >= window.items()
    assert "windows of 2 s, one every 1 s" in told and "stereo 8" in told and "mp3 4" in told
    corpus = corpus_of(decided, tmp_path / "cache")
    assert not corpus.skipped
    assert np.bincount(corpus.recording).tolist() == [4] * 16
    assert all(len(splits) == 1 for splits in splits_of(corpus, corpus.recording).values())
    assert corpus.clip_samples == 32_000
    assert (corpus.length > 31_000).all()


def test_what_is_given_is_not_assumed(tmp_path):
    root = write_classes(tmp_path, ("no", "yes"), [f"{n}.wav" for n in range(10)], seconds=4)
    decided, told = assumed(root, window_seconds=1.0, split=[0.8, 0.1, 0.1])
    assert decided["clip_seconds"] == decided["window_seconds"] == 1.0
    assert "hop_seconds" not in decided and decided["split"] == [0.8, 0.1, 0.1]
    assert "Split 70" not in told
    decided, _ = assumed(root, clip_seconds=4.0)
    assert decided["clip_seconds"] == 4.0 and "window_seconds" not in decided
    decided, told = assumed(root, split_by="label")
    assert decided["split_by"] == "label" and "names show" not in told


@pytest.mark.parametrize(
    ("starts", "seconds"),
    [([0], 0.0), ([0], 2.0), ([0], 2.4), ([0, 0.5], 2.5), ([0, 1, 2, 3], 5.0), ([0, 1, 1.6], 3.6)],
)
def test_windows_cover_a_recording(starts, seconds):
    assert list(window_starts(seconds, 2.0, 1.0)) == starts


def test_a_rare_long_recording_does_not_make_all_clips_long(tmp_path):
    root = write_classes(tmp_path, ("no", "yes"), [f"{n}.wav" for n in range(15)], seconds=1.0)
    write_audio(root / "no" / "long.wav", tone(9.0))
    decided, told = assumed(root)
    assert decided["clip_seconds"] == 1.0 and "window_seconds" not in decided
    assert "3.2% are longer and lose their ends" in told


def test_data_that_are_split_already(tmp_path):
    for part, count in (("train", 20), ("valid", 3), ("test", 4)):
        make_class_folder(tmp_path / "three" / part, {"a": count, "b": count})
    decided, told = assumed(tmp_path / "three")
    assert decided["split"] == "official" and "split_by" not in decided
    assert "Split as the data are: train, validation, test" in told
    for part, count in (("train", 20), ("test", 4)):
        make_class_folder(tmp_path / "two" / part, {"a": count, "b": count})
    decided, told = assumed(tmp_path / "two")
    assert "validation is missing and takes 15% of train" in told
    corpus = corpus_of(decided, tmp_path / "cache")
    assert [len(corpus.rows(split)) for split in ("train", "validation", "test")] == [34, 6, 8]
    assert all(corpus.names[row].startswith("test/") for row in corpus.rows("test"))
    make_class_folder(tmp_path / "one" / "train", {"a": 10, "b": 10})
    decided, told = assumed(tmp_path / "one")
    assert decided["split"] == (0.7, 0.15, 0.15) and "All are in train" in told


def test_a_class_of_two_very_short_clips(tmp_path):
    root = make_class_folder(tmp_path / "data", {"big": 30, "mid": 10, "tiny": 2})
    decided, told = assumed(root)
    assert decided["clip_seconds"] == 0.5
    assert "Very few recordings of tiny (2)" in told and "balanced_accuracy" in told
    corpus = corpus_of(decided, tmp_path / "cache")
    assert len(corpus) == 42 and corpus.waveforms([0]).shape == (1, 8_000)


def test_rates_that_give_the_class_away(tmp_path):
    names = [f"{number}.wav" for number in range(6)]
    write_classes(tmp_path, ("phone",), names, rate=8_000)
    write_classes(tmp_path, ("studio",), names, rate=44_100)
    _, told = assumed(tmp_path)
    assert "100% of phone are below 16 kHz and 0% of studio" in told


def test_nothing_that_can_be_read(tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "x.wav").write_text("not audio")
    with pytest.raises(UserError, match="none of 2 recordings can be read"):
        assumed(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        assumed(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("kind", "name", "group"),
    [
        ("speaker", "yes/0a7c2a8d_nohash_1.wav", "0a7c2a8d"),
        ("speaker", "yes/speaker-12_3.wav", "speaker-12"),
        ("speaker", "yes/SPK07-2.flac", "SPK07"),
        ("speaker", "yes/p225_001.wav", "p225"),
        ("speaker", "84/121123/84-121123-0001.flac", "84"),
        ("source", "audio/1-100032-A-0.wav", "100032"),
        ("source", "fold1/101415-3-0-2.wav", "101415"),
        ("speaker", "Actor_12/03-01-06-01-02-01-12.wav", "12"),
        ("speaker", "angry/1001_DFA_ANG_XX.wav", "1001"),
        ("speaker", "7/7_jackson_32.wav", "jackson"),
    ],
)
def test_known_ways_of_naming_files(kind, name, group):
    known = next(known for known in NAME_PATTERNS if find_groups([name], known.pattern) != [None])
    assert (known.kind, find_groups([name], known.pattern)) == (kind, [group])


def recognised(names) -> bool:
    return recognise(names, [(name.split("/")[0],) for name in names]) is not None


def test_names_that_only_look_like_speakers():
    people = [f"p{number}" for number in range(8)]
    names = [f"{label}/{who}_{take}.wav" for label in "ab" for who in people for take in range(3)]
    assert recognised(names)
    assert recognised([f"{label}/{who}/{t}.wav" for label in "ab" for who in people for t in "xy"])
    # numbered; named after their class; one clip each; a speaker a class; most without a speaker
    assert not recognised([f"{label}/clip_{number}.wav" for label in "ab" for number in range(50)])
    assert not recognised(
        [f"{label}/{label}_{number}.wav" for label in "ab" for number in range(9)]
    )
    assert not recognised([f"a/speaker{number}_0.wav" for number in range(30)])
    assert not recognised(
        [f"speaker{who}/speaker{who}_{n}.wav" for who in "abcdefgh" for n in "12"]
    )
    assert not recognised([*names, *(f"a/{number}.wav" for number in range(20))])


def test_speakers_who_cannot_be_kept_apart(tmp_path):
    # The class "yes" is said by three speakers only, whom no split of all happens to part.
    for label, speakers in (("no", range(40)), ("yes", (0, 1, 2))):
        for speaker in speakers:
            for take in range(2):
                write_audio(tmp_path / label / f"spk{speaker}_{take}.wav")
    decided, told = assumed(tmp_path, seed=1)
    assert "group_pattern" not in decided and decided["split_by"] == "label"
    assert "cannot be kept apart with every class" in told


def test_a_rare_class_does_not_mix_the_speakers(tmp_path):
    for label, speakers in (("no", 40), ("rare", 3), ("yes", 40)):
        for speaker in range(speakers):
            for take in range(2 if label != "rare" else 1):
                write_audio(tmp_path / "data" / label / f"spk{speaker}_{take}.wav")
    decided, told = assumed(tmp_path / "data", seed=1)
    assert "40 speakers in the names" in told and "too few: rare." in told
    corpus = corpus_of(decided, tmp_path / "cache")
    assert all(len(splits) == 1 for splits in splits_of(corpus, corpus.group).values())


def test_a_pattern_of_ones_own(tmp_path):
    names = [f"{take}@{who}.wav" for who in ("ann", "bob", "cy", "dee") for take in range(3)]
    root = write_classes(tmp_path / "data", ("no", "yes"), names)
    decided, _ = assumed(root, group_pattern="@(.+)[.]wav$", split_by="speaker")
    assert set(corpus_of(decided, tmp_path / "cache").group) == {"ann", "bob", "cy", "dee"}
    for pattern, message in (
        ("@", "0 groups"),
        ("(", "no regular expression"),
        ("#(.)", "fits no"),
    ):
        with pytest.raises(UserError, match=f"data.group_pattern: .*{message}"):
            assumed(root, group_pattern=pattern)


def test_speakers_in_a_table(tmp_path):
    lines = ["file_name,label,group"]
    for number in range(40):
        write_audio(tmp_path / "data" / f"{number}.wav")
        lines.append(f"{number}.wav,{('no', 'yes')[number % 2]},person {number // 4}")
    (tmp_path / "data" / "metadata.csv").write_text("\n".join(lines))
    decided, told = assumed(tmp_path / "data")
    assert decided["split_by"] == "speaker" and "10 speakers or sources" in told
    corpus = corpus_of(decided, tmp_path / "cache")
    assert all(len(splits) == 1 for splits in splits_of(corpus, corpus.group).values())


def test_speakers_that_are_none_after_all(tmp_path):
    root = write_classes(
        tmp_path, ("no", "yes"), [f"spk{n}_{t}.wav" for n in range(9) for t in "ab"]
    )
    assert "group_pattern" in assumed(root)[0]
    decided, told = assumed(root, group_pattern=None)
    assert decided["group_pattern"] is None and decided["split_by"] == "label"
    assert "clip by clip" in told


def test_every_change_that_is_offered_is_possible():
    changes = (
        "data.clip_seconds=1.5",
        "data.window_seconds=1",
        "data.split=[0.8, 0.1, 0.1]",
        "data.split_by=label",
        "data.group_pattern=null",
        "search.metric=val/balanced_accuracy",
        "search.metric=val/clip_accuracy",
        "params.balanced_sampling=true",
    )
    space = load_space("own", changes, models=["lstm_cnn"])
    assert space.data["clip_seconds"] == 1.5
    assert space.families["lstm_cnn"].domains["balanced_sampling"].value is True


def test_data_sets_that_know_their_split(tmp_path):
    root = make_speech_commands(tmp_path, ("go", "no"))
    decided, _ = assumed(root, name="speech_commands")
    assert decided["split"] == "official" and decided["clip_seconds"] == 0.5


def test_the_space_own_is_decided_once(tmp_path):
    names = [f"{number}.wav" for number in range(10)]
    root = write_classes(tmp_path / "data", ("no", "yes"), names, seconds=4.0)
    console = Console(file=StringIO(), width=200)
    space = load_space("own", [("data.root", str(root))], models=["ast-compact", "lstm_cnn"])
    decided = resolve(space, console)
    assert "Assumed, and kept in the run's space.yaml:" in console.file.getvalue()
    assert decided.families["ast-compact"].domains["max_length"].value == 198  # of 2 s
    assert "max_length" not in decided.families["lstm_cnn"].domains
    (tmp_path / "space.yaml").write_text(decided.to_yaml())
    again, quiet = load_space(tmp_path / "space.yaml"), Console(file=StringIO())
    assert resolve(again, quiet) == again == decided
    assert not quiet.file.getvalue()


def test_load_corpus_decides_nothing_itself(tmp_path):
    with pytest.raises(UserError, match=r"data\.clip_seconds: is still auto"):
        load_corpus("folder", tmp_path, clip_seconds="auto", cache=tmp_path)
