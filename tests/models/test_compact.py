"""The compact checkpoints are what transformers loads, small, and made without the tuned words."""

from pathlib import Path

import numpy as np
import pytest
import torch

import tune_audio.features._torchaudio  # noqa: F401

# isort: split
from transformers import ASTFeatureExtractor, ASTModel, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from tune_audio.data.synthesis.synthetic import SPEECH_COMMANDS_WORDS
from tune_audio.features.spectrograms import KaldiFbank
from tune_audio.features.waveforms import ZeroMeanUnitVariance
from tune_audio.models import compact
from tune_audio.models.compact.corpus import WORDS, Corpus, Hearing
from tune_audio.models.compact.distil import learning_rate
from tune_audio.models.compact.students import STUDENTS, DistillationLoss

FOLDER = Path(compact.__file__).parent
MODELS = {"wav2vec2": Wav2Vec2Model, "ast": ASTModel}


@pytest.fixture
def waveforms() -> torch.Tensor:
    return torch.from_numpy(0.1 * np.random.default_rng(0).standard_normal((2, 16_000), np.float32))


@pytest.mark.parametrize("kind", MODELS)
def test_checkpoint_loads_whole(kind: str) -> None:
    model, info = MODELS[kind].from_pretrained(FOLDER / kind, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    assert model.dtype == torch.float32
    assert 0.7e6 < sum(parameter.numel() for parameter in model.parameters()) < 1.2e6


def test_checkpoints_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*/*.safetensors")) < 8e6


def test_ast_extractor_gives_the_features_of_training(waveforms: torch.Tensor) -> None:
    extractor = ASTFeatureExtractor.from_pretrained(FOLDER / "ast")
    theirs = extractor(list(waveforms.numpy()), sampling_rate=16_000, return_tensors="pt")
    settings = (extractor.max_length, extractor.num_mel_bins, extractor.mean, extractor.std)
    ours = KaldiFbank(extractor.sampling_rate, *settings)(waveforms)
    torch.testing.assert_close(ours, theirs.input_values, atol=1e-4, rtol=1e-4)
    config = ASTModel.from_pretrained(FOLDER / "ast").config
    assert (config.max_length, config.num_mel_bins) == theirs.input_values.shape[1:]


def test_wav2vec2_extractor_gives_the_features_of_training(waveforms: torch.Tensor) -> None:
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(FOLDER / "wav2vec2")
    theirs = extractor(list(waveforms.numpy()), sampling_rate=16_000, return_tensors="pt")
    torch.testing.assert_close(ZeroMeanUnitVariance()(waveforms), theirs.input_values)


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_said_moves_the_embedding_more_than_how_loud(
    kind: str, waveforms: torch.Tensor
) -> None:
    model = MODELS[kind].from_pretrained(FOLDER / kind).eval()
    student = STUDENTS[kind](8, {"mean": -8.6, "std": 4.3}, torch.Generator())
    student.backbone = model
    seconds = torch.arange(16_000) / 16_000
    tone = 0.1 * torch.sin(2 * torch.pi * 500 * seconds) * (seconds > 0.3) * (seconds < 0.7)
    with torch.inference_mode():
        logits = student.eval()(torch.stack([waveforms[0], 0.7 * waveforms[0], tone]))[1]
    louder, other = (logits[0] - logits[1]).norm(), (logits[0] - logits[2]).norm()
    assert louder < 0.5 * other


def test_tuned_words_were_never_heard() -> None:
    assert len(set(WORDS)) == len(WORDS) > 450
    assert not set(WORDS) & set(SPEECH_COMMANDS_WORDS)


@pytest.mark.parametrize("kind", STUDENTS)
def test_student_meets_the_teachers_frame_by_frame(kind: str, waveforms: torch.Tensor) -> None:
    student = STUDENTS[kind](8, {"mean": -8.6, "std": 4.3}, torch.Generator().manual_seed(0))
    frames, logits = student(waveforms)
    target = student.teacher_frames(torch.randn(2, 49, 8))
    assert frames.shape == target.shape
    assert logits.shape == (2, len(WORDS))
    labels = torch.tensor([0, 1])
    losses = DistillationLoss()((frames, logits), (target, logits.detach()), labels)
    assert losses["logits"].item() == pytest.approx(0, abs=1e-5)
    losses["total"].backward()
    unmoved = {
        name
        for name, parameter in student.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().sum() > 0
    }
    assert unmoved <= {"backbone.masked_spec_embed"}


def test_hearing_keeps_shape_and_its_signal_to_noise_ratio() -> None:
    clips = (3000 * np.random.default_rng(0).standard_normal((30, 16_000))).astype(np.int16)
    corpus = Corpus(clips, torch.zeros(30, dtype=torch.long), torch.zeros(30, dtype=torch.bool))
    seconds = torch.arange(16_000) / 16_000
    tones = torch.sin(2 * torch.pi * 1000 * seconds).repeat(20, 1)
    hearing = Hearing(corpus, np.random.default_rng(0), snr_db=(10.0, 10.0))
    heard = hearing(tones)
    assert heard.shape == tones.shape
    assert heard.isfinite().all()
    power = torch.fft.rfft(heard[:, 4000:12000]).abs().square()
    # a steady tone stays in its bin whatever the room: all else is noise
    snr_db = 10 * torch.log10(power[:, 500] / (power.sum(1) - power[:, 500]))
    assert 7 < snr_db.median() < 13
    again = Hearing(corpus, np.random.default_rng(0), snr_db=(10.0, 10.0))(tones)
    assert torch.equal(heard, again)


def test_learning_rate_rises_stays_and_falls_to_zero() -> None:
    shares = [learning_rate(step, 10, 70, 100) for step in range(101)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[10:71] == [1.0] * 61
    assert shares[85] == pytest.approx(0.5)
    assert shares[100] == 0
