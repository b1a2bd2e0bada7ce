"""Another sample rate keeps what it can hold, and says what it cannot be led to."""

import numpy as np
import pytest
import soxr
import torch
from make_audio import tone

from tune_audio.errors import UserError
from tune_audio.features.waveforms import Resample


@pytest.mark.parametrize(("before", "after"), [(44_100, 16_000), (48_000, 16_000), (8_000, 16_000)])
def test_a_tone_stays_where_it_was(before: int, after: int) -> None:
    stage = Resample(before, after)
    heard = stage(torch.from_numpy(tone(0.5, before)).float()[None])[0].numpy()
    assert len(heard) == stage.samples(round(0.5 * before)) == round(0.5 * after)
    middle = slice(after // 8, -after // 8)  # the ends hear what is before and after the clip
    np.testing.assert_allclose(heard[middle], tone(0.5, after)[middle], atol=2e-3)


def test_what_the_lower_rate_cannot_hold_is_gone() -> None:
    high = torch.from_numpy(tone(0.5, 44_100, 12_000)).float()[None]
    assert Resample(44_100, 16_000)(high)[0, 400:-400].abs().max() < 1e-2


def test_it_resamples_as_soxr_does() -> None:
    noise = np.random.default_rng(0).standard_normal(22_050)
    smooth = soxr.resample(soxr.resample(noise, 44_100, 11_025, "HQ"), 11_025, 44_100, "HQ")
    ours = Resample(44_100, 16_000)(torch.from_numpy(smooth).float()[None])[0].numpy()
    np.testing.assert_allclose(
        ours[200:-200], soxr.resample(smooth, 44_100, 16_000, "HQ")[200:-200], atol=5e-3
    )


def test_rates_in_no_small_ratio_are_told() -> None:
    with pytest.raises(UserError, match=r"data.sample_rate: got 44101, .* needs 16000"):
        Resample(44_101, 16_000)
