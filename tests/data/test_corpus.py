import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from make_audio import RATE, make_class_folder, make_speech_commands, tone, write_audio

from tune_audio.data.audio import read_audio
from tune_audio.data.corpus import Corpus
from tune_audio.data.load import load_corpus
from tune_audio.errors import UserError

FRACTIONS = (0.6, 0.2, 0.2)


@pytest.fixture
def root(tmp_path):
    return make_class_folder(tmp_path / "root", {"dog": 10, "cat": 10})


@pytest.fixture
def load(tmp_path, root):
    def load(folder: Path = root, **options) -> Corpus:
        options = {"split": FRACTIONS, "clip_seconds": 0.1, **options}
        return load_corpus("folder", folder, cache=tmp_path / "cache", **options)

    return load


def test_what_a_corpus_holds(load, root):
    write_audio(root / "_background_noise_" / "rain.wav", tone(0.5))
    corpus = load()
    assert corpus.labels == ["cat", "dog"]
    assert (len(corpus), corpus.clip_samples, corpus.skipped) == (20, 1_600, [])
    assert np.bincount(corpus.split).tolist() == [12, 4, 4]
    assert corpus.targets.dtype == np.int64 and corpus.split.dtype == np.uint8
    assert corpus.clip_ids.dtype == np.uint64 and len(set(corpus.clip_ids.tolist())) == 20
    for row, name in enumerate(corpus.names):
        samples = corpus.samples[corpus.start[row] :][: corpus.length[row]]
        assert (samples == read_audio(root / name, sample_rate=RATE)).all()
        assert corpus.labels[corpus.targets[row]] == name.split("/")[0]
    assert [len(noise) for noise in corpus.noise] == [8_000]
    assert (
        corpus.noise[0] == read_audio(root / "_background_noise_" / "rain.wav", sample_rate=RATE)
    ).all()
    rows = [corpus.rows(split).tolist() for split in ("train", "validation", "test")]
    assert [*rows[0], *rows[1], *rows[2]] == list(range(20))


def test_waveforms_are_padded_at_the_end_and_cut_to_their_centre(tmp_path, load):
    root = tmp_path / "lengths"
    ramp = np.arange(1, 4_801, dtype=np.int16)
    for label in "ab":
        for number, length in enumerate((400, 1_600, 4_800, 1_601, 399, 1)):
            write_audio(root / label / f"{number}.wav", ramp[:length])
    corpus = load(root)
    order = np.random.default_rng(0).permutation(len(corpus))
    waves = corpus.waveforms(order)
    assert waves.dtype == np.float32 and waves.shape == (12, 1_600)
    for wave, row in zip(waves, order, strict=True):
        whole = read_audio(root / corpus.names[row], sample_rate=RATE)
        cut = max(0, len(whole) - 1_600) // 2
        expected = np.zeros(1_600, dtype=np.float32)
        expected[: min(len(whole), 1_600)] = whole[cut:][:1_600] / 32_768
        assert (wave == expected).all()
    assert corpus.waveforms([]).shape == (0, 1_600)


def test_waveforms_cut_what_is_stored_longer(load):
    corpus = load()
    whole = corpus.waveforms([3, 4])
    corpus.clip_samples = 600
    assert (corpus.waveforms([3, 4]) == whole[:, 500:1_100]).all()


def test_waveforms_are_in_range(tmp_path, load):
    extremes = np.array([-32_768, 32_767] * 800, dtype=np.int16)
    root = tmp_path / "loud"
    for label in "ab":
        for number in range(5):
            write_audio(root / label / f"{number}.wav", extremes)
    waves = load(root).waveforms(np.arange(10))
    assert waves.min() == -1.0 and 0.9999 < waves.max() < 1.0


def test_a_corpus_is_pickled_as_its_path(load):
    corpus = load()
    data = pickle.dumps(corpus)
    again = pickle.loads(data)
    assert len(data) < 500
    assert again.fingerprint == corpus.fingerprint
    assert (again.waveforms([0, 5]) == corpus.waveforms([0, 5])).all()


def make_bad_files(root: Path) -> dict[str, str]:
    """Every kind of bad file in the class dog: name to a part of its reason."""
    dog = root / "dog"
    whole = (dog / "000.wav").read_bytes()
    (dog / "empty.wav").touch()
    (dog / "text.wav").write_text("not audio" * 99)
    (dog / "cut.wav").write_bytes(whole[:2_000])
    (dog / "huge.wav").write_bytes(whole[:40] + b"\xf0\xff\xff\xff" + whole[44:])
    (dog / "claim.flac").write_bytes(b"fLaC" + b"\xff" * 400)
    (dog / "speech.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(400))
    soundfile.write(dog / "nan.wav", np.full(100, np.nan), 16_000, subtype="FLOAT")
    os.mkfifo(dog / "fifo.wav")
    (dog / "gone.wav").symlink_to(dog / "nowhere")
    with open(os.path.join(os.fsencode(dog), b"caf\xe9.wav"), "wb") as file:
        file.write(whole)
    return {
        "dog/empty.wav": "is empty",
        "dog/text.wav": "cannot be decoded",
        "dog/cut.wav": "truncated",
        "dog/huge.wav": "claims 4294967280 bytes",
        "dog/claim.flac": "cannot be decoded",
        "dog/speech.m4a": "cannot be decoded",
        "dog/nan.wav": "NaN",
        "dog/fifo.wav": "is not a regular file",
        "dog/gone.wav": "No such file",
        r"dog/caf\xe9.wav": "not UTF-8",
    }


def test_bad_files_are_skipped_with_their_reasons(load, root):
    reasons = make_bad_files(root)
    corpus = load(max_bad_share=0.5)
    assert len(corpus) == 20
    assert {path for path, _ in corpus.skipped} == set(reasons)
    for path, reason in corpus.skipped:
        assert reasons[path] in reason
    assert load(max_bad_share=0.5).skipped == corpus.skipped


def test_too_many_bad_files_stop_the_run(load, root):
    make_bad_files(root)
    for _ in range(2):
        with pytest.raises(UserError, match="10 of 30 recordings cannot be used") as caught:
            load(max_bad_share=0.3)
        assert "\n" not in caught.value.message
    assert len(load(max_bad_share=10 / 30)) == 20


def test_bad_noise_and_bad_silence_are_skipped(tmp_path):
    root = make_speech_commands(tmp_path / "root", noise_seconds=20.0)
    noise = root / "_background_noise_"
    (noise / "pink.wav").write_bytes((noise / "pink.wav").read_bytes()[:5_000])
    corpus = load_corpus(
        "speech_commands", root, cache=tmp_path / "cache", split=FRACTIONS, silence_clips=30
    )
    assert [path for path, _ in corpus.skipped] == ["_background_noise_/pink.wav"]
    assert 0 < sum(map(len, corpus.noise)) < 20 * 16_000  # of white.wav, less what is held out
    assert (corpus.targets == corpus.labels.index("silence")).sum() == 30
    assert set(corpus.length[corpus.targets == corpus.labels.index("silence")]) == {16_000}


def test_a_label_whose_clips_are_all_bad(load, root):
    for path in (root / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="no clip to train on for dog"):
        load(max_bad_share=1.0)


def loud_folder(root: Path) -> Path:
    """Two recordings of floats beyond ±1; the first half of long.wav is quiet."""
    quiet, loud = 100.0 * tone(0.2), 20_000.0 * tone(0.2)
    whole = {"dog/long.wav": np.concatenate([quiet, loud]), "dog/over.wav": 3.0 * tone(0.2)}
    for name, samples in whole.items():
        soundfile.write(root / name, samples, 16_000, subtype="FLOAT")
    return root


def samples_of(corpus: Corpus, name: str) -> list[np.ndarray]:
    rows = [row for row, other in enumerate(corpus.names) if other == name]
    return [corpus.samples[corpus.start[row] :][: corpus.length[row]] for row in rows]


def test_recordings_beyond_1_are_told_and_clipped(load, root):
    loud_folder(root)
    corpus = load(clip_seconds=0.5)
    assert (corpus.skipped, corpus.peak) == ([], "keep")
    assert corpus.loud == pytest.approx({"dog/long.wav": 10_000.0, "dog/over.wav": 1.5}, rel=1e-3)
    (samples,) = samples_of(corpus, "dog/over.wav")
    assert (samples == 32_767).mean() > 0.1
    assert load(clip_seconds=0.5).loud == corpus.loud  # also from the cache


def test_recordings_beyond_1_are_scaled_where_that_is_asked_for(load, root):
    loud_folder(root)
    kept, scaled = load(clip_seconds=0.5), load(clip_seconds=0.5, peak="normalise")
    assert kept.fingerprint != scaled.fingerprint
    assert (scaled.loud, scaled.peak) == (kept.loud, "normalise")
    (samples,) = samples_of(scaled, "dog/over.wav")
    np.testing.assert_allclose(samples, 2 * 32_768 * tone(0.2), atol=1.01)
    (left,), (right,) = samples_of(kept, "dog/000.wav"), samples_of(scaled, "dog/000.wav")
    assert (left == right).all()


def test_windows_of_a_recording_are_scaled_alike(load, root):
    loud_folder(root)
    corpus = load(window_seconds=0.1, peak="normalise")
    quiet, *_, last = samples_of(corpus, "dog/long.wav")
    assert last.max() >= 32_760
    assert quiet.max() == pytest.approx(32_768 / 200, abs=1)


BUILD = """
import os, signal, sys
from pathlib import Path
from tune_audio.data import decode
from tune_audio.data.load import load_corpus
read, count = decode.read_blocks, 0
def counted(*values, **options):
    global count
    count += 1
    if count == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return read(*values, **options)
decode.read_blocks = counted
corpus = load_corpus("folder", Path(sys.argv[1]), cache=Path(sys.argv[2]), split=(.6, .2, .2))
print(corpus.fingerprint, (corpus.folder / "samples.int16").stat().st_ino, count)
"""


def start_build(root: Path, cache: Path, die_at: int = -1) -> subprocess.Popen:
    command = [sys.executable, "-c", BUILD, str(root), str(cache), str(die_at)]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=here)


def test_two_processes_build_one_corpus(tmp_path, root):
    running = [start_build(root, tmp_path / "cache") for _ in range(2)]
    said = [process.communicate(timeout=60)[0].split() for process in running]
    assert said[0][:2] == said[1][:2]
    assert sorted(int(count) for _, _, count in said) == [0, 20]


def test_a_killed_build_leaves_nothing_that_is_read(tmp_path, root):
    killed = start_build(root, tmp_path / "cache", die_at=15)
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert list((tmp_path / "cache").rglob("samples.int16"))
    corpus = load_corpus("folder", root, cache=tmp_path / "cache", split=FRACTIONS)
    assert len(corpus) == 20
    assert [path.parent for path in (tmp_path / "cache").rglob("samples.int16")] == [corpus.folder]


def test_data_needs_no_torch():
    code = "import sys, tune_audio.data.corpus, tune_audio.data.datasets.speech_commands; "
    code += "import tune_audio.data.datasets.folder; sys.exit('torch' in sys.modules)"
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=here).returncode == 0


def test_what_is_no_data_set_folder(tmp_path, load, root):
    for path in (tmp_path / "none", root / "dog" / "000.wav"):
        with pytest.raises(UserError, match=r"is not a folder.*--data FOLDER"):
            load(path)
    with pytest.raises(UserError, match="got 'foldr'; allowed are speech_commands, folder"):
        load_corpus("foldr", root, cache=tmp_path)


def test_a_cache_that_cannot_be_written(tmp_path, root):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="TUNE_AUDIO_CACHE"):
        load_corpus("folder", root, split=FRACTIONS, cache=tmp_path / "file" / "cache")
