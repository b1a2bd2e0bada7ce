"""Copies are found, however they were made, and nothing that only sounds alike is one."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from make_audio import RATE, tone, write_audio
from make_voices import resampled, voice

from tune_audio.data.duplicates import index
from tune_audio.data.duplicates.find import find_pairs
from tune_audio.data.duplicates.pairs import Pair
from tune_audio.data.progress import untracked

OTHERS = 12
LONG_SECONDS = 70.0  # more than a block


def find(folder: Path) -> list[Pair]:
    files = {path.name: path for path in sorted(folder.iterdir())}
    with ThreadPoolExecutor(2) as threads:
        return find_pairs(files, threads, untracked)


def write_all(folder: Path, recordings: Mapping[str, np.ndarray]) -> Path:
    for name, samples in recordings.items():
        write_audio(folder / name, samples)
    return folder


def noise(seed: int, seconds: float = 1.0) -> np.ndarray:
    return 0.2 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


@pytest.fixture(scope="module")
def long() -> np.ndarray:
    return voice(1_000, LONG_SECONDS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Other recordings, among which there are no copies."""
    return write_all(tmp_path, {f"other{n}.wav": voice(n) for n in range(OTHERS)})


SPOKEN = voice(100)
INTEGERS = np.rint(SPOKEN * 2**15).astype(np.int16)
SECOND = voice(100, 2.0)
# What is found: the first file and the second, the kind, and the second's start in the first.
COPIES = {
    "flac": (INTEGERS, "b.flac", INTEGERS, "equal", 0.0),
    "ogg": (SPOKEN, "b.ogg", SPOKEN, "copy", 0.0),
    "mp3": (SPOKEN, "b.mp3", SPOKEN, "copy", 0.0),
    "softer": (SPOKEN, "b.wav", 0.5012 * SPOKEN, "copy", 0.0),
    "upside down": (SPOKEN, "b.wav", -SPOKEN, "copy", 0.0),
    "later": (SPOKEN, "b.wav", np.append(np.zeros(4_567), SPOKEN[:-4_567]), "overlap", -0.2854),
    "earlier": (SPOKEN, "b.wav", np.append(SPOKEN[4_801:], noise(0, 0.3) / 99), "overlap", 0.3001),
    "a part": (SECOND, "b.wav", SECOND[9_000:25_000], "part", 0.5625),
    "slices": (SECOND[:16_000], "b.wav", SECOND[8_001:24_001], "overlap", 0.5001),
    "soft mp3 slices": (SECOND[:16_000], "b.mp3", 0.3 * SECOND[5_000:21_000], "overlap", 0.3125),
}


@pytest.mark.parametrize("case", COPIES)
def test_a_copy_is_found_among_others(folder, case) -> None:
    first, name, second, kind, offset = COPIES[case]
    write_all(folder, {"a.wav": first, name: second})
    (pair,) = find(folder)
    assert pair[:3] == ("a.wav", name, kind)
    assert pair.offset_seconds == pytest.approx(offset, abs=1e-3)
    assert pair.correlation < -0.99 if case == "upside down" else pair.correlation > 0.85


def test_a_copy_at_another_rate_and_in_stereo(folder) -> None:
    write_audio(folder / "a.wav", SPOKEN)
    high = resampled(SPOKEN, 44_100)
    write_audio(folder / "b.wav", np.stack([high, high], axis=1), 44_100)
    (pair,) = find(folder)
    assert pair.kind == "copy" and abs(pair.offset_seconds) < 1e-3


def test_a_slice_of_what_is_longer_than_a_block(folder, long) -> None:
    write_all(folder, {"a.wav": long, "b.wav": long[-RATE:]})
    (pair,) = find(folder)
    assert pair.kind == "part" and pair.offset_seconds == pytest.approx(LONG_SECONDS - 1, abs=1e-3)


def test_long_recordings_that_share_a_minute(folder, long) -> None:
    write_all(folder, {"a.wav": long[: 65 * RATE], "b.wav": long[5 * RATE :]})
    (pair,) = find(folder)
    assert pair.kind == "copy" and pair.offset_seconds == pytest.approx(5, abs=1e-3)


def test_what_only_sounds_alike(folder) -> None:
    loud = noise(1) / 3
    write_all(
        folder,
        {
            # halves of a recording, which share nothing, and slices that share too little
            **{f"half{n}.wav": SECOND[n * RATE :][:RATE] for n in range(2)},
            "slice.wav": voice(101, 2.0)[:RATE],
            "late slice.wav": voice(101, 2.0)[round(0.7 * RATE) :][:RATE],
            # other words in the very same noise
            **{f"noisy{n}.wav": 0.5 * voice(110 + n) + loud for n in range(3)},
            # other noises, one of them with the hum of the other
            "hum.wav": noise(2) / 9 + tone(1.0, hertz=120),
            "hum again.wav": noise(3) / 9 + tone(1.0, hertz=120),
        },
    )
    assert find(folder) == []


def test_silence_and_steady_tones_hold_nothing_together(folder) -> None:
    random = np.random.default_rng(0)
    steps = {f"steps{n}.wav": random.integers(0, 3, RATE).astype(np.int16) for n in range(3)}
    tones = {f"tone{n}.wav": tone(0.5 + n / 20, hertz=1_000) for n in range(8)}
    noisy = {f"noisy{n}.wav": tone(1.0, hertz=440) + noise(n) / 20 for n in range(8)}
    silent = {f"silent{n}.wav": np.zeros(RATE) for n in range(3)}
    offset = {f"offset{n}.wav": np.full(RATE, 0.1) for n in range(3)}
    write_all(folder, {**steps, **tones, **noisy, **silent, **offset})
    assert find(folder) == []
    write_audio(folder / "tone0 again.wav", tone(0.5, hertz=1_000))
    assert find(folder) == [Pair("tone0 again.wav", "tone0.wav", "equal", 0.0, 1.0)]


def test_many_copies_are_connected_and_none_is_compared_with_all(folder) -> None:
    copies = {f"copy{n:02}.wav": (0.3 + n / 100) * SPOKEN for n in range(40)}
    write_all(folder, copies)
    files = {path.name: path for path in sorted(folder.iterdir())}
    pairs = find(folder)
    together = {"copy00.wav"}
    for _ in copies:
        together |= {name for p in pairs for name in p[:2] if together.intersection(p[:2])}
    assert together == set(copies) < set(files) and len(pairs) < 40 * index.MOST_CANDIDATES


def test_of_many_recordings_fewer_constellations_are_kept(folder, monkeypatch) -> None:
    write_all(folder, {"a.wav": SECOND, "b.mp3": SECOND})
    monkeypatch.setattr(index.Index.__init__, "__defaults__", (1_500,))
    kept: list[int] = []
    sort = index._counted
    monkeypatch.setattr(index, "_counted", lambda p, s: (kept.append(len(p)), sort(p, s))[1])
    assert [pair[:3] for pair in find(folder)] == [("a.wav", "b.mp3", "copy")]
    assert 300 < kept[0] <= 1_500


def test_what_cannot_be_read_belongs_to_nothing(folder) -> None:
    write_all(folder, {"a.wav": SPOKEN, "b.ogg": SPOKEN})
    for name in ("x.wav", "y.wav"):
        (folder / name).write_bytes(b"no audio")
    data = (folder / "a.wav").read_bytes()
    (folder / "z.wav").write_bytes(data[: len(data) // 2])  # decoding lists it as truncated
    assert [pair[:2] for pair in find(folder)] == [("a.wav", "b.ogg")]
