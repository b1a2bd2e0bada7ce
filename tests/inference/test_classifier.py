"""A saved model hears recordings of any length as its corpus had them."""

from pathlib import Path

import numpy as np
import pytest
from make_audio import RATE, write_audio
from pitch_model import SAMPLES, pitch

from tune_audio.data.corpus import Corpus
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


def test_a_short_recording_is_followed_by_zeros() -> None:
    (window,) = cut([np.full(3000, 16384, dtype=np.int16)], SAMPLES, RATE)
    assert (window[:3000] == 0.5).all() and (window[3000:] == 0).all() and len(window) == SAMPLES
