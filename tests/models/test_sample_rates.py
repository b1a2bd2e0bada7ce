"""A sample rate is a property of the data: every model takes it, and a tone proves it."""

import pkgutil
from pathlib import Path

import numpy as np
import pytest
import torch
from make_audio import RATE, tone, write_audio
from make_checkpoints import tiny_ast, tiny_deit, tiny_wav2vec2

from tune_audio.data.corpus import Corpus
from tune_audio.data.load import load_corpus
from tune_audio.inference.classifier import Classifier
from tune_audio.inference.recordings import predict_files
from tune_audio.models import MODELS, build_model
from tune_audio.models.saved import save_model

HIGH = 44_100
CHECKPOINTS = {"wav2vec2": tiny_wav2vec2, "ast": tiny_ast, "deit_ast": tiny_deit}
LSTM_CNN = {"mel_bins": 40, "channels": 16, "hidden_size": 16, "dropout": 0.0}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_hears_other_rates(name: str, tmp_path: Path) -> None:
    made = {"checkpoint": CHECKPOINTS[name](tmp_path)} if name in CHECKPOINTS else {}
    model = build_model(name, 3, HIGH // 2, HIGH, **made).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, HIGH // 2)).isfinite().all()


@pytest.mark.parametrize("name", ["wav2vec2", "ast"])
def test_a_pretrained_one_hears_what_it_would_hear_at_its_own_rate(name: str, tmp_path) -> None:
    checkpoint = CHECKPOINTS[name](tmp_path)
    logits = []
    for rate in (RATE, 3 * RATE):
        torch.manual_seed(0)
        model = build_model(name, 3, rate, rate, checkpoint=checkpoint).eval()
        assert ("resample" in dict(model.named_children())) == (rate != RATE)
        with torch.no_grad():
            logits.append(model(torch.from_numpy(tone(1.0, rate)).float()[None]))
    torch.testing.assert_close(*logits, atol=2e-2, rtol=2e-2)


@pytest.fixture(scope="module")
def whistles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of faint noise, with a tone of 12 kHz in it or not, at 44.1 kHz."""
    root = tmp_path_factory.mktemp("whistles")
    random = np.random.default_rng(0)
    for label, level in (("silence", 0.0), ("whistle", 0.2)):
        for n in range(30):
            noise = 0.01 * random.standard_normal(HIGH // 2)
            high = level * tone(0.5, HIGH, 12_000)
            write_audio(root / label / f"{n:02}.wav", high + noise, HIGH)
    return root


def whistles_at(root: Path, rate: int, cache: Path) -> Corpus:
    how = {"split": [0.6, 0.2, 0.2], "clip_seconds": 0.5, "sample_rate": rate}
    return load_corpus("folder", root, cache=cache, **how)


def learn(corpus: Corpus) -> tuple[torch.nn.Sequential, float]:
    """An LSTMCNN trained on a corpus, and the part of the test clips that it gets right."""
    torch.manual_seed(0)
    model = pkgutil.resolve_name(MODELS["lstm_cnn"])(*corpus.form, **LSTM_CNN)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    heard = {s: torch.from_numpy(corpus.waveforms(corpus.rows(s))) for s in ("train", "test")}
    truth = {s: torch.from_numpy(corpus.targets[corpus.rows(s)]) for s in heard}
    for _ in range(15):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(heard["train"]), truth["train"]).backward()
        optimizer.step()
    right = model.eval()(heard["test"]).argmax(-1) == truth["test"]
    return model, right.float().mean().item()


def test_a_tone_of_12_khz_is_told_from_silence_at_44_1_khz_and_not_at_16(whistles, tmp_path):
    corpus = whistles_at(whistles, HIGH, tmp_path)
    model, accuracy = learn(corpus)
    assert accuracy == 1.0
    assert learn(whistles_at(whistles, RATE, tmp_path))[1] <= 0.75
    assert whistles_at(whistles, RATE, tmp_path).fingerprint != corpus.fingerprint

    save_model(
        tmp_path / "model",
        model,
        name="lstm_cnn",
        params=LSTM_CNN,
        labels=corpus.labels,
        clip_samples=corpus.clip_samples,
        sample_rate=corpus.sample_rate,
        extra={},
    )
    classifier = Classifier(tmp_path / "model")
    assert classifier.sample_rate == HIGH
    noise = 0.01 * np.random.default_rng(1).standard_normal(24_000)
    whistle = 0.2 * tone(0.5, 48_000, 12_000) + noise
    paths = [
        write_audio(tmp_path / f"{name}.flac", samples, 48_000)
        for name, samples in (("whistle", whistle), ("silence", noise))
    ]
    chances = predict_files(classifier, paths).probabilities
    assert [corpus.labels[i] for i in chances.argmax(1)] == ["whistle", "silence"]
