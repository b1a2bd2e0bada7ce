"""SpecAugment: which cells are masked, with what, and behind which stage of a model."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from make_audio import RATE
from torch import Tensor, nn

from tune_audio.errors import UserError
from tune_audio.features.pipeline import Features
from tune_audio.features.spec_augment import (
    augment_features,
    frame_mask,
    frequency_mask,
    spectrogram_stage,
)
from tune_audio.features.spectrograms import KaldiFbank, LogMel
from tune_audio.features.store import FeatureStore
from tune_audio.features.waveforms import ZeroMeanUnitVariance

MASKS = {"frequency_mask": (frequency_mask, 1, 0.375), "frame_mask": (frame_mask, 2, 0.1875)}
BOTH = "frequency_mask+frame_mask"


def generators(count: int, first: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([7, first + clip]) for clip in range(count)]


@pytest.fixture
def spectrograms() -> Tensor:
    return torch.randn(20, 40, 60, generator=torch.Generator().manual_seed(0)) - 5


@pytest.mark.parametrize("name", MASKS)
def test_one_band_is_filled_and_no_more_than_allowed(name: str, spectrograms: Tensor) -> None:
    mask, axis, fraction = MASKS[name]
    fill = torch.arange(20.0)
    masked = mask(spectrograms, generators(20), fill=fill)
    changed = masked != spectrograms
    assert torch.equal(masked[changed], fill[:, None, None].expand_as(masked)[changed])
    places = changed.any(dim=3 - axis)
    assert torch.equal(changed, places.unsqueeze(3 - axis).expand_as(changed))
    assert (places.diff(dim=-1).sum(-1) <= 2).all()
    most = int(fraction * spectrograms.shape[axis])
    assert most - 3 <= places.sum(-1).max() <= most
    assert len(places.sum(-1).unique()) > 4


def test_a_draw_does_not_depend_on_the_batch(spectrograms: Tensor) -> None:
    together = augment_features(BOTH, spectrograms, generators(20), LogMel(RATE))
    alone = [
        augment_features(BOTH, spectrograms[i : i + 1], generators(1, i), LogMel(RATE))
        for i in range(20)
    ]
    torch.testing.assert_close(together, torch.cat(alone))


def test_a_mask_is_the_clips_mean_or_the_data_sets(spectrograms: Tensor) -> None:
    masked = augment_features(BOTH, spectrograms, generators(20), LogMel(RATE))
    changed = masked != spectrograms
    means = spectrograms.mean(dim=(1, 2), keepdim=True).expand_as(masked)
    torch.testing.assert_close(masked[changed], means[changed])
    for normalised in (True, False):
        stage = KaldiFbank(RATE, 60, 40, do_normalize=normalised)
        frames_first = augment_features(BOTH, spectrograms.mT, generators(20), stage)
        assert torch.equal(frames_first.mT != spectrograms, changed)
        filled = frames_first.mT[changed]
        torch.testing.assert_close(
            filled, torch.zeros_like(filled) if normalised else means[changed]
        )


def test_axes_and_zero_mean_are_what_the_stages_say() -> None:
    noise = 0.1 * torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0))
    silent_half = noise.clone()
    silent_half[:, 8000:] = 0
    for stage in (LogMel(RATE, 40), KaldiFbank(RATE, 98, 40, do_normalize=False)):
        time = 1 + stage.axes.index("time")
        assert stage(noise).shape[1 + stage.axes.index("mel")] == 40
        early, late = stage(silent_half).tensor_split(2, dim=time)
        assert early.mean() > late.mean() + 5
        assert not stage.zero_mean
    assert KaldiFbank(RATE, 98, 40).zero_mean


def test_a_model_without_a_spectrogram_is_refused() -> None:
    stages = nn.Sequential(ZeroMeanUnitVariance())
    assert spectrogram_stage("noise+gain", stages) is None
    with pytest.raises(UserError, match=r"makes no spectrogram.*allowed: none, noise.*speed"):
        spectrogram_stage("noise+frame_mask", stages)


@pytest.mark.parametrize("stage", [LogMel(RATE, 40), KaldiFbank(RATE, 48, 40)])
def test_the_pipeline_masks_behind_the_spectrogram(stage: nn.Module, tone_corpus, tmp_path) -> None:
    """Masked cells are seen after the stages that follow; validation has none."""
    prefix = nn.Sequential(OrderedDict(spectrogram=stage, pool=nn.AvgPool2d(2)))

    def views(names: str, cache: str, cache_bytes: int = 10**9) -> Features:
        store = FeatureStore(tmp_path / cache, cache_bytes)
        return Features(tone_corpus, prefix, store, augment=names, views=2)

    every = torch.arange(len(tone_corpus.rows("train")))
    cached, live = views(BOTH, "cached"), views(BOTH, "none", 0)
    clean = cached.clean("train").batch(every)[0]
    masked = cached.train(0).batch(every)[0]
    assert cached.train(0).how == "read"
    torch.testing.assert_close(masked, live.train(0).batch(every)[0])
    assert not torch.equal(masked, cached.train(1).batch(every)[0])
    changed = masked != clean
    mel, time = 1 + stage.axes.index("mel"), 1 + stage.axes.index("time")
    assert changed.all(dim=time).any(), "whole mel bins are masked"
    assert changed.all(dim=mel).any(), "whole frames are masked"
    assert changed.float().mean() < 0.5
    noisy = views("noise", "cached").train(0).batch(every)[0]
    both = views(f"noise+{BOTH}", "cached").train(0).batch(every)[0]
    unmasked = (noisy == both).float().mean()
    assert 0.5 < unmasked < 0.95, "noise is drawn first, masks are put on what it leaves"
    view = cached.clean("validation")
    waveforms = torch.from_numpy(tone_corpus.waveforms(tone_corpus.rows("validation")))
    torch.testing.assert_close(view.batch(torch.arange(len(view)))[0], prefix(waveforms))
