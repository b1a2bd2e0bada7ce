"""Which sample rate keeps what is in recordings: told by their spectra, not their headers."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from make_audio import RATE, write_audio
from surveyed import assumed

from tune_audio.data.bandwidth import measure
from tune_audio.data.load import list_clips


def reaching(hertz: float, rate: int, seed: int = 0, seconds: float = 0.5) -> np.ndarray:
    """Noise at `rate` with nothing above `hertz`."""
    low = round(2 * hertz)
    noise = 0.2 * np.random.default_rng(seed).standard_normal(round(seconds * low))
    return soxr.resample(noise, low, rate, "VHQ") if low != rate else noise


def folder_of(root: Path, rate: int, **hertz: float) -> Path:
    for label, reached in hertz.items():
        for n in range(6):
            write_audio(root / label / f"{n}.wav", reaching(reached, rate, n), rate)
    return root


@pytest.mark.parametrize(
    ("rate", "hertz", "chosen"),
    [
        (44_100, 6_000, 16_000),
        (44_100, 7_900, 16_000),
        (44_100, 13_000, 32_000),
        (44_100, 20_000, 44_100),
        (48_000, 24_000, 48_000),
        (22_050, 10_500, 22_050),
        (16_000, 8_000, 16_000),
        (8_000, 4_000, 16_000),
    ],
)
def test_the_lowest_rate_that_keeps_what_is_there(tmp_path, rate, hertz, chosen) -> None:
    root = folder_of(tmp_path, rate, a=hertz, b=hertz / 2)
    found = measure(list_clips("folder", root))
    assert found.rate == chosen and found.listened == 12


def test_one_high_class_among_many_decides(tmp_path) -> None:
    root = folder_of(tmp_path, 44_100, **{f"low{n}": 3_000.0 for n in range(12)}, hihat=19_000.0)
    found = measure(list_clips("folder", root))
    assert (found.rate, found.label, found.above) == (44_100, "hihat", 6)


def test_what_cannot_be_read_decides_nothing(tmp_path) -> None:
    root = folder_of(tmp_path, 44_100, a=3_000.0, b=3_000.0)
    for path in (root / "a").iterdir():
        path.write_bytes(b"no audio")
    assert measure(list_clips("folder", root)).listened == 6
    for path in (root / "b").iterdir():
        path.write_bytes(b"no audio")
    assert measure(list_clips("folder", root)).rate == RATE


def test_it_is_told_and_can_be_had_otherwise(tmp_path) -> None:
    root = folder_of(tmp_path, 44_100, a=13_000.0, b=3_000.0)
    decided, said = assumed(root, sample_rate="auto")
    assert decided["sample_rate"] == 32_000
    assert (
        "Heard at 32 kHz: 6 of 12 recordings listened to have something above 8 kHz, a most, "
        in said
    )
    assert "--set data.sample_rate=16000" in said


def test_what_would_be_clipped_reaches_no_higher(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for n in range(6):
            path = tmp_path / label / f"{n}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, 30_000 * reaching(6_000, 44_100, n), 44_100, subtype="FLOAT")
    assert measure(list_clips("folder", tmp_path)).rate == RATE
