"""Augmentations: what they do is measured, and draws belong to the clip alone."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tune_audio import augment as module
from tune_audio.augment import AUGMENTATIONS, augment, noise, time_mask
from tune_audio.errors import UserError

BOTH = "noise+time_mask"


def generators(count: int, first: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng([7, first + clip]) for clip in range(count)]


@pytest.fixture
def speech() -> Tensor:
    return 0.1 * torch.randn(6, 8000, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def recordings() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(-3000, 3000, samples, dtype=np.int16) for samples in (50_000, 20_000, 900)]


def snr_db(clean: Tensor, noisy: Tensor) -> Tensor:
    return 10 * torch.log10(clean.square().mean(-1) / (noisy - clean).square().mean(-1))


@pytest.mark.parametrize("recorded", [True, False])
def test_noise_has_the_ratio_that_was_drawn(
    speech: Tensor, recordings: list[np.ndarray], recorded: bool
) -> None:
    background = recordings if recorded else []
    noisy = noise(speech, generators(6), noise=background, snr_low_db=3.0, snr_high_db=17.0)
    drawn = torch.tensor([g.uniform(3.0, 17.0) for g in generators(6)], dtype=torch.float32)
    assert len(drawn.unique()) == 6
    torch.testing.assert_close(snr_db(speech, noisy), drawn, atol=0.01, rtol=0)


def test_noise_comes_from_the_recordings(speech: Tensor) -> None:
    ramp = np.arange(20_000, dtype=np.int16)
    added = noise(speech, generators(6), noise=[ramp]) - speech
    slopes = added.diff(dim=-1)
    assert ((slopes / slopes.mean(-1, keepdim=True) - 1).abs() < 0.05).all()
    offsets = (added[:, 0] / slopes.mean(-1)).round()
    assert len(offsets.unique()) == 6


def test_a_short_recording_is_repeated(speech: Tensor, recordings: list[np.ndarray]) -> None:
    added = noise(speech, generators(6), noise=recordings[2:]) - speech
    torch.testing.assert_close(added[:, :900], added[:, 900:1800], atol=1e-6, rtol=0)
    assert added.abs().amax(-1).min() > 0


def test_silence_stays_finite(speech: Tensor, recordings: list[np.ndarray]) -> None:
    speech[2] = 0
    for background in (recordings, [], [np.zeros(9000, dtype=np.int16)]):
        noisy = noise(speech, generators(6), noise=background)
        assert noisy.isfinite().all()
        assert noisy[2].abs().max() == 0
    assert torch.equal(noisy, speech)  # the last background was silent


def test_colours_differ_in_slope() -> None:
    drawn = module._coloured(generators(60), 16_000, ())
    power = torch.fft.rfft(drawn).abs().square()
    low, high = power[:, 100:200].mean(-1), power[:, 4000:4100].mean(-1)
    slope = torch.log10(low / high) / np.log10(4050 / 150)  # of power: 0, 1 and 2
    assert set(slope.round().int().tolist()) == {0, 1, 2}


def test_time_mask_zeroes_one_stretch(speech: Tensor) -> None:
    speech = speech.abs() + 0.1
    masked = time_mask(speech, generators(6), max_fraction=0.5)
    zero = masked == 0
    assert torch.equal(masked[~zero], speech[~zero])
    assert (zero.diff(dim=-1).sum(-1) <= 2).all()
    lengths = zero.sum(-1)
    assert 0 < lengths.max() <= 4000
    assert len(lengths.unique()) == 6


@pytest.mark.parametrize("max_fraction", [0.0, 1.0])
def test_time_mask_at_its_limits(speech: Tensor, max_fraction: float) -> None:
    masked = time_mask(speech, generators(6), max_fraction=max_fraction)
    assert masked.shape == speech.shape
    assert torch.equal(masked, speech) == (max_fraction == 0)


@pytest.mark.parametrize("names", [*AUGMENTATIONS, BOTH])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_draw_does_not_depend_on_the_batch(
    speech: Tensor, recordings: list[np.ndarray], names: str, recorded: bool
) -> None:
    background = recordings if recorded else []
    together = augment(names, speech, generators(6), background)
    alone = torch.cat(
        [augment(names, speech[i : i + 1], generators(1, i), background) for i in range(6)]
    )
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("names", [*AUGMENTATIONS, BOTH])
def test_the_input_is_not_modified(
    speech: Tensor, recordings: list[np.ndarray], names: str
) -> None:
    before = speech.clone()
    after = augment(names, speech, generators(6), recordings)
    assert torch.equal(speech, before)
    assert after.dtype == torch.float32
    assert torch.equal(after, before) == (names == "none")


def test_names_are_applied_in_turn(speech: Tensor, recordings: list[np.ndarray]) -> None:
    own = generators(6)
    expected = time_mask(noise(speech, own, noise=recordings), own, noise=recordings)
    assert torch.equal(augment(BOTH, speech, generators(6), recordings), expected)


def test_an_unknown_name_is_answered_with_the_nearest(speech: Tensor) -> None:
    with pytest.raises(UserError, match=r"time_masks.*did you mean time_mask\?"):
        augment("noise+time_masks", speech, generators(6))
    with pytest.raises(UserError, match="Allowed: none, noise, time_mask"):
        augment("", speech, generators(6))
