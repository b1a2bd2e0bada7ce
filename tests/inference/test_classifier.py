"""A saved model hears recordings of any length as its corpus had them."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from make_audio import RATE, write_audio
from pitch_model import SAMPLES, pitch

from tune_audio.data import audio
from tune_audio.data.corpus import Corpus
from tune_audio.inference import recordings
from tune_audio.inference.classifier import Classifier
from tune_audio.inference.recordings import cut, predict_files


def test_a_clip_is_heard_as_the_corpus_has_it(model: Path, tone_corpus: Corpus, tones) -> None:
    classifier, rows = Classifier(model), tone_corpus.rows("test")
    paths = [tones / tone_corpus.names[row] for row in rows]
    heard, probabilities, bad, _ = predict_files(classifier, paths)
    wanted = classifier.probabilities(tone_corpus.waveforms(rows))
    assert (heard, bad) == (paths, [])
    np.testing.assert_allclose(probabilities, wanted, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_windows_of_a_long_recording_are_averaged(model: Path, tmp_path: Path) -> None:
    samples = np.concatenate([pitch("low", 0.75), pitch("high", 0.5)])
    path = write_audio(tmp_path / "two.wav", samples)
    classifier = Classifier(model)
    probabilities = predict_files(classifier, [path]).probabilities
    waveform = np.clip(np.rint(samples * 32768), -32768, 32767) / np.float32(32768)
    windows = np.stack([waveform[start : start + SAMPLES] for start in (0, 4000, 8000, 12000)])
    each = classifier.probabilities(windows.astype(np.float32))
    np.testing.assert_allclose(probabilities[0], each.mean(axis=0), atol=1e-3)
    assert [each[0].argmax(), each[-1].argmax()] == [1, 0]  # low, high


@pytest.mark.parametrize(
    ("length", "starts"),
    [
        (8000, [0]),
        (8001, [0]),
        (9999, [999]),
        (10000, [0, 2000]),
        (12000, [0, 4000]),
        (40000, list(range(0, 32001, 4000))),  # nine windows, as report E has
        (41999, list(range(0, 32001, 4000))),
        (42000, [*range(0, 32001, 4000), 34000]),
    ],
)
def test_where_windows_start(length: int, starts: list[int]) -> None:
    samples = np.arange(length).astype(np.int16)
    windows = list(cut([samples], SAMPLES, RATE))
    assert len(windows) == len(starts)
    for window, start in zip(windows, starts, strict=True):
        wanted = samples[start : start + SAMPLES] / np.float32(32768)
        assert window.dtype == np.float32 and np.array_equal(window, wanted)


@pytest.mark.parametrize("length", [1, 7_999, 9_999, 10_000, 16_001, 41_999, 42_000, 100_003])
@pytest.mark.parametrize("block", [1_000, 8_000, 30_011])
def test_windows_do_not_depend_on_blocks(length: int, block: int) -> None:
    samples = np.random.default_rng(0).integers(-1_000, 1_000, length).astype(np.int16)
    parts = [samples[first : first + block] for first in range(0, length, block)]
    whole, pieced = list(cut([samples], SAMPLES, RATE)), list(cut(parts, SAMPLES, RATE))
    assert np.array_equal(np.stack(whole), np.stack(pieced))


class Listener:
    """A model of one label that hears nothing, but counts."""

    labels, clip_samples, sample_rate, peak, windows = ("a",), 8_000, 16_000, "keep", 0

    def probabilities(self, waveforms: np.ndarray) -> np.ndarray:
        self.windows += len(waveforms)
        return np.ones((len(waveforms), 1))


def test_no_recording_is_held_whole(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "hour.flac", np.zeros(3_600 * 4_000, dtype=np.int16), 4_000)
    listener = Listener()
    tracemalloc.start()
    heard = predict_files(listener, [path])
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert heard.paths == [path] and listener.windows == 2 * 3_600 * 2 - 1
    assert peak_bytes < 30e6  # as it is heard, the recording has 115e6 bytes


def test_a_recording_that_ends_badly_is_not_used(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(recordings, "AHEAD_SAMPLES", 20_000)
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 10_000)
    good = write_audio(tmp_path / "a.wav", pitch("low", 5.0))
    bad, samples = tmp_path / "b.wav", np.zeros(16_000 * 5, dtype=np.float32)
    samples[-1] = np.nan
    soundfile.write(bad, samples, 16_000, subtype="FLOAT")
    last = write_audio(tmp_path / "c.wav", pitch("low", 2.0))
    listener = Listener()
    heard = predict_files(listener, [good, bad, last])
    assert heard.paths == [good, last] and heard.probabilities.tolist() == [[1.0], [1.0]]
    assert heard.bad == [(bad, "has samples that are NaN or infinite")]
    assert listener.windows > 19 + 7  # some of it had been heard


def test_recordings_beyond_1_are_heard_as_their_corpus_had_them(model, tmp_path: Path) -> None:
    classifier, path = Classifier(model), tmp_path / "loud.wav"
    samples = pitch("low", 2.0)
    samples /= np.abs(samples).max()
    whole = write_audio(tmp_path / "whole.wav", samples)
    soundfile.write(path, 20_000 * samples, 16_000, subtype="FLOAT")
    kept = predict_files(classifier, [path, whole])
    classifier.peak = "normalise"
    scaled = predict_files(classifier, [path, whole])
    assert kept.loud == scaled.loud == pytest.approx({path: 20_000})
    np.testing.assert_allclose(*scaled.probabilities, atol=1e-4)
    assert np.abs(np.subtract(*kept.probabilities)).max() > 1e-3


def test_a_short_recording_is_followed_by_zeros() -> None:
    (window,) = cut([np.full(3000, 16384, dtype=np.int16)], SAMPLES, RATE)
    assert (window[:3000] == 0.5).all() and (window[3000:] == 0).all() and len(window) == SAMPLES
