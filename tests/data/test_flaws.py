"""Physics: what is told of tones, noise, decays and silence whose state is known."""

import numpy as np
import pytest

from tune_audio.data.flaws import flaws

RATE = 16_000
TIME = np.arange(RATE) / RATE


def int16(wave: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(wave, -1, 1 - 2**-15) * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16)


def kinds(wave: np.ndarray, rate: int = RATE) -> list[str]:
    return [flaw.kind for flaw in flaws(int16(wave), rate)]


def noise(decibels: float) -> np.ndarray:
    return 10 ** (decibels / 20) * np.random.default_rng(0).standard_normal(RATE)


def word(ends: float, decibels: float = -20) -> np.ndarray:
    """A tone of 0.4 s with soft edges that ends at a time, in soft noise."""
    swell = np.sin(np.pi * np.clip((TIME - ends + 0.4) / 0.4, 0, 1)) ** 0.5
    return 10 ** (decibels / 20) * swell * np.sin(2 * np.pi * 200 * TIME) + noise(-70)


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_digital_silence_is_silent_wherever_it_stands(offset: float) -> None:
    (flaw,) = flaws(int16(np.full(RATE, offset)), RATE)
    assert (flaw.kind, flaw.reason) == (
        "silent",
        "There is nothing to hear: all samples are equal.",
    )


def test_a_step_or_two_of_dither_are_silent_and_a_whisper_is_not() -> None:
    assert kinds(noise(-95)) == ["silent"]
    assert kinds(noise(-75)) == []


@pytest.mark.parametrize("level", [1.0, 0.5])
@pytest.mark.parametrize("hertz", [50, 440, 1_000])
def test_a_sine_that_was_cut_at_half_its_height_is_clipped_even_when_turned_down(
    level: float, hertz: float
) -> None:
    sine = np.sin(2 * np.pi * hertz * TIME + 0.1)
    (flaw,) = flaws(int16(level * np.clip(2 * sine, -1, 1)), RATE)
    assert flaw.kind == "clipped" and f"{level:.0%} of full scale" in flaw.reason


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("hertz", [20, 50, 440, 4_000])
@pytest.mark.parametrize("level", [1.0, 0.3, 0.01])
def test_a_sine_at_any_level_has_round_tops(level: float, hertz: float, rate: int) -> None:
    time = np.arange(rate) / rate
    assert kinds((1 - 2**-15) * level * np.sin(2 * np.pi * hertz * time), rate) == []


def test_two_peaks_at_the_rails_are_no_clipping_yet() -> None:
    wave = noise(-30)
    wave[[1_000, 5_000]] = 1
    assert kinds(wave) == []


def test_a_word_that_ends_in_its_middle_is_cut_off_and_a_whole_one_is_not() -> None:
    (flaw,) = flaws(int16(word(ends=1.2)), RATE)
    assert flaw.kind == "cut off" and "its last 60 ms are 0 dB below its loudest" in flaw.reason
    assert kinds(word(ends=0.95)) == []


def test_what_decays_is_not_cut_off() -> None:
    for seconds in (0.05, 0.3, 1.0):
        decay = np.exp(-TIME / seconds) * np.sin(2 * np.pi * 200 * TIME)
        assert kinds(0.5 * decay) == []


def test_what_is_as_loud_throughout_is_not_cut_off() -> None:
    assert kinds(noise(-20)) == []
    assert kinds(0.3 * np.sin(2 * np.pi * 300 * TIME)) == []


def test_a_click_at_the_very_end_is_no_sound_that_was_cut_off() -> None:
    wave = word(ends=0.6)
    wave[-200:] += 0.3 * np.sin(2 * np.pi * 900 * TIME[:200])
    assert kinds(wave) == []


@pytest.mark.parametrize("length", [1, 2, 319, 320])
def test_of_a_few_samples_nothing_is_wrong_but_silence(length: int) -> None:
    assert kinds(np.zeros(length)) == ["silent"]
    assert kinds(noise(-20)[:length]) == (["silent"] if length == 1 else [])
