"""Feature stages: physics, and equality with the extractors the checkpoints were trained with."""

import numpy as np
import pytest
import torch
import transformers
from make_audio import RATE
from torch import Tensor

from tune_audio.features.spectrograms import KaldiFbank, LogMel, MelAmplitude
from tune_audio.features.waveforms import ZeroMeanUnitVariance

SPEECH_COMMANDS = {"mean": -6.845978, "std": 5.5654526}


def tone(hertz: float, samples: int = 16_000) -> Tensor:
    return 0.5 * torch.sin(2 * torch.pi * hertz * torch.arange(samples) / 16_000)


def clips(samples: int = 16_000) -> Tensor:
    """Noise, silence, a constant, and noise that ends in silence."""
    noise = 0.1 * torch.randn(4, samples, generator=torch.Generator().manual_seed(0))
    noise[1], noise[2] = 0.0, 0.25
    noise[3, samples // 2 :] = 0.0
    return noise


def mel_centres(bins: int, low: float, high: float) -> np.ndarray:
    """Centre frequencies (Hz) of mel filters, HTK's formula."""
    ends = 2595 * np.log10(1 + np.array([low, high]) / 700)
    return 700 * (10 ** (np.linspace(*ends, bins + 2)[1:-1] / 2595) - 1)


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 4000.0])
def test_log_mel_peaks_at_the_tone(hertz: float) -> None:
    log_mel = LogMel(RATE)(tone(hertz)[None])
    assert log_mel.shape == (1, 64, 101)
    peak = int(log_mel[0, :, 50].argmax())
    assert peak == np.abs(mel_centres(64, 40, 7800) - hertz).argmin()


def test_log_mel_of_silence_is_its_floor() -> None:
    torch.testing.assert_close(
        LogMel(RATE)(torch.zeros(1, 1600)), torch.full((1, 64, 11), -13.8155106)
    )


def test_mel_amplitude_is_as_large_as_the_waveform() -> None:
    quiet, loud = MelAmplitude(RATE)(torch.stack([tone(1000.0), 3 * tone(1000.0)]))
    torch.testing.assert_close(loud, 3 * quiet, atol=1e-4, rtol=1e-4)
    assert int(quiet[:, 50].argmax()) == int(LogMel(RATE)(tone(1000.0)[None])[0, :, 50].argmax())


@pytest.mark.parametrize(
    ("samples", "max_length"), [(16_000, 1024), (16_000, 98), (16_000, 64), (8_000, 100)]
)
def test_fbank_equals_transformers(samples: int, max_length: int) -> None:
    extractor = transformers.ASTFeatureExtractor(max_length=max_length, **SPEECH_COMMANDS)
    batch = clips(samples)
    theirs = extractor(list(batch.numpy()), sampling_rate=16_000, return_tensors="pt")
    ours = KaldiFbank(RATE, max_length=max_length, **SPEECH_COMMANDS)(batch)
    torch.testing.assert_close(ours, theirs["input_values"], atol=1e-4, rtol=0)


def test_fbank_pads_before_it_normalises() -> None:
    fbank = KaldiFbank(RATE, max_length=120, **SPEECH_COMMANDS)(clips())
    padded = fbank[:, 98:]
    assert padded.shape[1] == 22
    assert torch.allclose(padded, torch.tensor(6.845978 / (2 * 5.5654526)))


def test_fbank_without_normalising() -> None:
    extractor = transformers.ASTFeatureExtractor(max_length=98, num_mel_bins=40, do_normalize=False)
    batch = clips()
    theirs = extractor(list(batch.numpy()), sampling_rate=16_000, return_tensors="pt")
    ours = KaldiFbank(RATE, max_length=98, mel_bins=40, do_normalize=False)(batch)
    torch.testing.assert_close(ours, theirs["input_values"], atol=1e-4, rtol=0)


def test_zero_mean_unit_variance_equals_transformers() -> None:
    batch = clips()
    theirs = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)(
        list(batch.numpy()), sampling_rate=16_000, return_tensors="pt"
    )
    ours = ZeroMeanUnitVariance()(batch)
    torch.testing.assert_close(ours, theirs["input_values"], atol=1e-5, rtol=1e-5)
    assert ours[1].abs().max() == 0


@pytest.mark.parametrize("stage", [LogMel(RATE), KaldiFbank(RATE), ZeroMeanUnitVariance()])
def test_stages_are_frozen_and_show_their_settings(stage: torch.nn.Module) -> None:
    assert not list(stage.parameters())
    assert "=" in stage.extra_repr()


def test_repr_tells_settings_apart() -> None:
    assert repr(LogMel(RATE, 64)) != repr(LogMel(RATE, 40))
    assert repr(KaldiFbank(RATE, 98)) != repr(KaldiFbank(RATE, 128))
    assert repr(KaldiFbank(RATE, mean=1.0)) != repr(KaldiFbank(RATE, mean=2.0))
    assert repr(KaldiFbank(RATE)) != repr(KaldiFbank(RATE, do_normalize=False))


@pytest.mark.parametrize("stage", [LogMel(RATE), KaldiFbank(RATE, 98), ZeroMeanUnitVariance()])
def test_a_clip_does_not_depend_on_its_batch(stage: torch.nn.Module) -> None:
    batch = clips()
    torch.testing.assert_close(stage(batch)[2:3], stage(batch[2:3]), atol=1e-5, rtol=1e-5)
