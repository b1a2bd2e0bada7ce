"""The synthetic data set is laid out and split as Speech Commands is, and always the same."""

import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tune_audio.data.synthesis import rooms, speakers, synthetic
from tune_audio.errors import UserError

WORDS = ("yes", "no")
CLIPS = 4
QUIET = rooms.Conditions(snr_db=(20.0, 30.0))


def say(folder: Path, **changes) -> Path:
    settings = {"clips_per_word": CLIPS, "seed": 7, "processes": 1, "speakers": 40}
    settings["conditions"] = QUIET
    return synthetic.synthesize(folder, WORDS, **(settings | changes))


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("espeakng_loader")
    return say(tmp_path_factory.mktemp("synthetic") / "two")


def test_layout_is_speech_commands(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "_background_noise_",
        "no",
        "testing_list.txt",
        "validation_list.txt",
        "yes",
    ]
    for word in WORDS:
        paths = sorted((folder / word).glob("????????_nohash_?.wav"))
        assert len(paths) == len(list((folder / word).iterdir())) == CLIPS
        for path in paths:
            info = soundfile.info(path)
            assert (info.samplerate, info.frames, info.channels) == (16_000, 16_000, 1)
            assert info.subtype == "PCM_16"
    assert len(list((folder / "_background_noise_").glob("*.wav"))) == len(rooms.NOISES)


def test_same_bytes_whatever_the_processes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # chunks of four clips: one process speaks both here, two processes one each there
    monkeypatch.setattr(synthetic, "CHUNK_CLIPS", CLIPS)
    one = digests(say(tmp_path / "one", processes=1))
    assert one == digests(say(tmp_path / "two", processes=2))
    other = digests(say(tmp_path / "other", seed=8))
    wavs = [name for name in one if name.endswith(".wav")]
    assert not any(one[name] == other.get(name) for name in wavs)


def test_complete_folder_is_kept(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert say(folder) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_lists_follow_the_official_hash(tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    cast = speakers.Cast(0, rooms.Conditions())
    crew = [cast.speaker(number) for number in range(300)]
    voices = defaultdict(set)
    for speaker in crew:
        assert speaker.split == speakers.official_split(speaker.id)
        voices[speaker.split].add(speaker.voice)
    assert set(voices) == set(speakers.SPLITS)
    assert not voices["training"] & voices["testing"]
    assert not voices["training"] & voices["validation"]
    assert not voices["validation"] & voices["testing"]
    assert len({speaker.id for speaker in crew}) == 300


def test_official_split_agrees_with_speech_commands() -> None:
    # speakers of the published test set of v0.02
    for speaker in ("022cd682", "03401e93", "0bac8a71"):
        assert speakers.official_split(speaker) == "testing"


def test_words_are_heard_and_differ(folder: Path) -> None:
    clips = [soundfile.read(path)[0] for path in sorted(folder.glob("[!_]*/*.wav"))]
    for clip in clips:
        power = np.square(clip).reshape(20, -1).mean(1)
        # a word of half a second, 8 dB and more above its noise with any speaker
        assert 10 * np.log10(power.max() / np.quantile(power, 0.1)) > 6
    assert len({clip.tobytes() for clip in clips}) == len(WORDS) * CLIPS


def test_noise_keeps_its_distance() -> None:
    rng = np.random.default_rng(0)
    word = np.sin(2 * np.pi * 1000 * np.arange(8000) / 16_000)
    quiet, loud = (
        rooms.record(
            np.random.default_rng(1),
            word,
            rooms.Surroundings(100, 7000, 0.0, 0.0, 10.0, 0.0),
            rooms.Conditions((snr, snr), 0.0, 0.0, 0.0),
            rooms.white(rng, 32_000),
        ).astype(float)
        for snr in (60.0, 0.0)
    )
    for clip, snr in ((quiet, 60.0), (loud, 0.0)):
        noise, middle = np.r_[clip[:3000], clip[13000:]], clip[5000:11000]
        measured = 10 * np.log10(np.mean(middle**2) / np.mean(noise**2))
        # the middle holds word and noise, the edges noise alone
        assert measured == pytest.approx(10 * np.log10(10 ** (snr / 10) + 1), abs=2.5)


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "none were given"), (["../up"], "cannot be a folder"), (["Go", "go"], "more than once")],
)
def test_bad_words_are_named(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        synthetic.synthesize(tmp_path / "bad", words)


def test_missing_espeak_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r"tune-audio\[demo\]"):
        synthetic.synthesize(tmp_path / "none", WORDS)


def test_a_word_without_sound_is_named() -> None:
    pytest.importorskip("espeakng_loader")

    class Mute:
        sample_rate = 22_050

        def say(self, text: str, voice: str, **settings: int) -> np.ndarray:
            return np.zeros(9000, np.float32)

    speaker = speakers.Cast(0, rooms.Conditions()).speaker(0)
    with pytest.raises(UserError, match=r"no sound for 'hm'"):
        synthetic._say(Mute(), np.random.default_rng(0), speaker, "hm")
