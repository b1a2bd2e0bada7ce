"""Augmentations: what they do is measured, and draws belong to the clip alone."""

import numpy as np
import pytest
import torch
from make_audio import RATE
from torch import Tensor

from tune_audio.errors import UserError
from tune_audio.features import augment as module
from tune_audio.features.augment import (
    AUGMENTATIONS,
    augment,
    gain,
    noise,
    speed,
    time_mask,
    time_shift,
)

BOTH = "noise+time_mask"
OF_WAVEFORMS = [name for name, a in AUGMENTATIONS.items() if a.domain == "waveform"]


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
    noisy = noise(
        speech, generators(6), sample_rate=RATE, noise=background, snr_low_db=3.0, snr_high_db=17.0
    )
    drawn = torch.tensor([g.uniform(3.0, 17.0) for g in generators(6)], dtype=torch.float32)
    assert len(drawn.unique()) == 6
    torch.testing.assert_close(snr_db(speech, noisy), drawn, atol=0.01, rtol=0)


def test_noise_comes_from_the_recordings(speech: Tensor) -> None:
    ramp = np.arange(20_000, dtype=np.int16)
    added = noise(speech, generators(6), sample_rate=RATE, noise=[ramp]) - speech
    slopes = added.diff(dim=-1)
    assert ((slopes / slopes.mean(-1, keepdim=True) - 1).abs() < 0.05).all()
    offsets = (added[:, 0] / slopes.mean(-1)).round()
    assert len(offsets.unique()) == 6


def test_a_short_recording_is_repeated(speech: Tensor, recordings: list[np.ndarray]) -> None:
    added = noise(speech, generators(6), sample_rate=RATE, noise=recordings[2:]) - speech
    torch.testing.assert_close(added[:, :900], added[:, 900:1800], atol=1e-6, rtol=0)
    assert added.abs().amax(-1).min() > 0


def test_silence_stays_finite(speech: Tensor, recordings: list[np.ndarray]) -> None:
    speech[2] = 0
    for background in (recordings, [], [np.zeros(9000, dtype=np.int16)]):
        noisy = noise(speech, generators(6), sample_rate=RATE, noise=background)
        assert noisy.isfinite().all()
        assert noisy[2].abs().max() == 0
    assert torch.equal(noisy, speech)  # the last background was silent


def test_colours_differ_in_slope() -> None:
    drawn = module._coloured(generators(60), RATE, RATE)
    power = torch.fft.rfft(drawn).abs().square()
    low, high = power[:, 100:200].mean(-1), power[:, 4000:4100].mean(-1)
    slope = torch.log10(low / high) / np.log10(4050 / 150)  # of power: 0, 1 and 2
    assert set(slope.round().int().tolist()) == {0, 1, 2}


def test_time_mask_zeroes_one_stretch(speech: Tensor) -> None:
    speech = speech.abs() + 0.1
    masked = time_mask(speech, generators(6), sample_rate=RATE, max_fraction=0.5)
    zero = masked == 0
    assert torch.equal(masked[~zero], speech[~zero])
    assert (zero.diff(dim=-1).sum(-1) <= 2).all()
    lengths = zero.sum(-1)
    assert 0 < lengths.max() <= 4000
    assert len(lengths.unique()) == 6


@pytest.mark.parametrize("max_fraction", [0.0, 1.0])
def test_time_mask_at_its_limits(speech: Tensor, max_fraction: float) -> None:
    masked = time_mask(speech, generators(6), sample_rate=RATE, max_fraction=max_fraction)
    assert masked.shape == speech.shape
    assert torch.equal(masked, speech) == (max_fraction == 0)


def tones(hertz: float, samples: int = 8000, clips: int = 6) -> Tensor:
    return torch.sin(2 * torch.pi * hertz * torch.arange(samples) / 16_000).repeat(clips, 1)


def pitches(waveforms: Tensor) -> Tensor:
    """Hz, between the FFT's bins by zero-padding."""
    window = torch.hann_window(waveforms.shape[-1])
    return torch.fft.rfft(waveforms * window, n=2**18).abs().argmax(-1) * 16_000 / 2**18


def test_time_shift_moves_and_leaves_silence(speech: Tensor) -> None:
    shifted = time_shift(speech, generators(6), sample_rate=RATE, max_seconds=0.1)
    shifts = [int(g.integers(-1600, 1601)) for g in generators(6)]
    assert min(shifts) < 0 < max(shifts)
    for before, after, shift in zip(speech, shifted, shifts, strict=True):
        rolled = before.roll(shift)
        rolled[:shift] = 0 if shift > 0 else rolled[:shift]
        rolled[shift:] = 0 if shift < 0 else rolled[shift:]
        assert torch.equal(after, rolled)


def test_a_shift_longer_than_the_clip_leaves_nothing_but_is_no_error(speech: Tensor) -> None:
    shifted = time_shift(speech, generators(6), sample_rate=RATE, max_seconds=60.0)
    assert (shifted.abs().amax(-1) == 0).any()


def test_gain_is_what_was_drawn_in_db(speech: Tensor) -> None:
    louder = gain(speech, generators(6), sample_rate=RATE, max_db=12.0)
    drawn = torch.tensor([g.uniform(-12, 12) for g in generators(6)], dtype=torch.float32)
    ratios = louder.square().mean(-1) / speech.square().mean(-1)
    torch.testing.assert_close(10 * torch.log10(ratios), drawn, atol=1e-3, rtol=0)
    assert drawn.min() < -3
    assert drawn.max() > 3


def test_speed_changes_pitch_by_its_factor() -> None:
    played = speed(tones(1000.0), generators(6), sample_rate=RATE)
    factors = torch.tensor([g.uniform(0.9, 1.1) for g in generators(6)], dtype=torch.float32)
    assert factors.max() - factors.min() > 0.05
    torch.testing.assert_close(pitches(played) / 1000.0, factors, atol=1e-3, rtol=0)


def test_speed_keeps_length_and_middle() -> None:
    slope = torch.arange(8001.0).repeat(2, 1) - 4000
    faster = speed(slope, generators(2), sample_rate=RATE, slowest=2.0, fastest=2.0)
    outside = torch.arange(8001).sub(4000).abs() > 2000
    assert faster.shape == slope.shape
    torch.testing.assert_close(faster[:, ~outside], 2 * slope[:, ~outside])
    assert not faster[:, outside].any()
    slower = speed(slope, generators(2), sample_rate=RATE, slowest=0.5, fastest=0.5)
    torch.testing.assert_close(slower, slope / 2)
    assert torch.equal(
        speed(slope, generators(2), sample_rate=RATE, slowest=1.0, fastest=1.0), slope
    )


@pytest.mark.parametrize("names", [*OF_WAVEFORMS, BOTH])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_draw_does_not_depend_on_the_batch(
    speech: Tensor, recordings: list[np.ndarray], names: str, recorded: bool
) -> None:
    background = recordings if recorded else []
    together = augment(names, speech, generators(6), RATE, background)
    alone = torch.cat(
        [augment(names, speech[i : i + 1], generators(1, i), RATE, background) for i in range(6)]
    )
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("names", [*OF_WAVEFORMS, BOTH])
def test_the_input_is_not_modified(
    speech: Tensor, recordings: list[np.ndarray], names: str
) -> None:
    before = speech.clone()
    after = augment(names, speech, generators(6), RATE, recordings)
    assert torch.equal(speech, before)
    assert after.dtype == torch.float32
    assert torch.equal(after, before) == (names == "none")


def test_names_are_applied_in_turn(speech: Tensor, recordings: list[np.ndarray]) -> None:
    own = generators(6)
    expected = time_mask(
        noise(speech, own, sample_rate=RATE, noise=recordings),
        own,
        sample_rate=RATE,
        noise=recordings,
    )
    assert torch.equal(augment(BOTH, speech, generators(6), RATE, recordings), expected)


def test_augmentations_of_spectrograms_leave_waveforms_alone(speech: Tensor) -> None:
    alone = augment("gain", speech, generators(6), RATE)
    assert torch.equal(
        augment("frequency_mask+gain+frame_mask", speech, generators(6), RATE), alone
    )


def test_an_unknown_name_is_answered_with_the_nearest(speech: Tensor) -> None:
    with pytest.raises(UserError, match=r"time_masks.*did you mean time_mask\?"):
        augment("noise+time_masks", speech, generators(6), RATE)
    with pytest.raises(UserError, match="Allowed: none, noise, time_mask"):
        augment("", speech, generators(6), RATE)
