"""Tiny folders of audio for the tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000  # Hz, unless a test says otherwise


def tone(seconds: float = 0.1, rate: int = RATE, hertz: float = 1_000.0) -> np.ndarray:
    """A sine of half full scale, float64 (samples,)."""
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def write_audio(path: Path, samples: np.ndarray | None = None, rate: int = RATE) -> Path:
    """Write samples (n,) or (n, channels) in the format of the name's ending; 0.1 s by default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(rate=rate) if samples is None else samples, rate)
    return path


def make_class_folder(root: Path, counts: Mapping[str, int], seed: int = 0) -> Path:
    """`root/class/N.wav`: noise bursts of 0.1 s, no two alike."""
    random = np.random.default_rng(seed)
    for label, count in counts.items():
        for number in range(count):
            burst = random.uniform(-0.5, 0.5, 1_600)
            write_audio(root / label / f"{number:03}.wav", burst)
    return root


def make_speech_commands(
    root: Path,
    words: Sequence[str] = ("go", "no", "stop", "yes"),
    speakers: int = 40,
    *,
    lists: bool = False,
    noise_seconds: float = 0.0,
    seed: int = 0,
) -> Path:
    """The archive's layout: every speaker says every word once, in 0.1 s of noise.

    With `lists` every tenth speaker is for validation and the one after for testing.
    """
    random = np.random.default_rng(seed)
    names = [f"{random.integers(2**32):08x}" for _ in range(speakers)]
    for word in words:
        for name in names:
            burst = random.uniform(-0.5, 0.5, 1_600)
            write_audio(root / word / f"{name}_nohash_0.wav", burst)
    if lists:
        for first, file_name in ((0, "validation_list.txt"), (1, "testing_list.txt")):
            chosen = [f"{word}/{name}_nohash_0.wav" for word in words for name in names[first::10]]
            (root / file_name).write_text("\n".join(chosen) + "\n")
    if noise_seconds:
        for color in ("pink", "white"):
            noise = random.normal(0, 0.05, round(noise_seconds * 16_000))
            write_audio(root / "_background_noise_" / f"{color}.wav", noise)
    return root


def make_kaggle(root: Path, words: Sequence[str] = ("yes", "no", "bed", "cat")) -> Path:
    """What train.7z and test.7z of the TensorFlow Speech Recognition Challenge unpack to."""
    train = root / "train"
    make_speech_commands(train / "audio", words, lists=True, noise_seconds=24.0)
    for name in ("validation_list.txt", "testing_list.txt"):
        (train / "audio" / name).rename(train / name)
    for name in ("LICENSE", "README.md"):
        (train / name).write_text("Speech Commands")
    for name in ("0a1b2c3d4", "000044442", "ffee00112"):
        write_audio(root / "test" / "audio" / f"clip_{name}.wav")
    return root
