import contextlib
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from make_audio import RATE, tone, write_audio

from tune_audio.data import audio
from tune_audio.data.audio import (
    duration_seconds,
    joined,
    peak_beyond_1,
    read_audio,
    read_blocks,
)
from tune_audio.data.audio_file import BadAudio, audio_files


def peak_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * 16_000 / len(samples))


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 16_000, 44_100, 44_101, 48_000, 384_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count_becomes_the_same_tone(tmp_path, rate, channels):
    samples = np.repeat(tone(1.0, rate)[:, None], channels, axis=1)
    decoded = read_audio(write_audio(tmp_path / "x.wav", samples, rate), sample_rate=RATE)
    assert decoded.dtype == np.int16
    assert decoded.shape == (16_000,)
    assert peak_hertz(decoded) == pytest.approx(1_000, abs=1.5)
    assert np.abs(decoded[2_000:-2_000]).max() == pytest.approx(0.5 * 32_768, rel=0.01)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_every_format_keeps_the_tone(tmp_path, suffix):
    path = write_audio(tmp_path / f"x.{suffix}", tone(1.0, 44_100), 44_100)
    decoded = read_audio(path, sample_rate=RATE)
    assert len(decoded) == pytest.approx(16_000, abs=1_200)
    assert peak_hertz(decoded) == pytest.approx(1_000, abs=5)


@pytest.mark.parametrize("suffix", ["mp3", "flac"])
def test_a_tag_before_a_recording_is_skipped(tmp_path, suffix):
    path = write_audio(tmp_path / f"x.{suffix}", tone(1.0))
    path.write_bytes(TAG + path.read_bytes())
    assert peak_hertz(read_audio(path, sample_rate=RATE)) == pytest.approx(1_000, abs=5)


def test_opus_in_ogg(tmp_path):
    path = tmp_path / "x.opus"
    soundfile.write(path, tone(1.0), 16_000, format="OGG", subtype="OPUS")
    assert peak_hertz(read_audio(path, sample_rate=RATE)) == pytest.approx(1_000, abs=5)


def test_sixteen_bits_at_16_khz_are_kept_exactly(tmp_path):
    samples = np.random.default_rng(0).integers(-32_768, 32_768, 5_000).astype(np.int16)
    assert (read_audio(write_audio(tmp_path / "x.wav", samples), sample_rate=RATE) == samples).all()


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([np.full(100, 0.5), np.full(100, -0.25)], axis=1)
    assert (read_audio(write_audio(tmp_path / "x.wav", stereo), sample_rate=RATE) == 4_096).all()


def test_a_stretch_and_the_centre(tmp_path):
    ramp = np.arange(16_000, dtype=np.int16)
    path = write_audio(tmp_path / "x.wav", ramp)
    stretch = read_audio(path, sample_rate=RATE, start_seconds=0.25, seconds=0.5)
    assert (stretch == ramp[4_000:12_000]).all()
    assert (read_audio(path, sample_rate=RATE, longest_seconds=0.5) == ramp[4_000:12_000]).all()
    assert (
        read_audio(path, sample_rate=RATE, start_seconds=0.75, seconds=1.0) == ramp[12_000:]
    ).all()
    with pytest.raises(BadAudio, match="ends before second 2"):
        read_audio(path, sample_rate=RATE, start_seconds=2.0, seconds=1.0)


def test_loud_floats_are_clipped_not_wrapped(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.array([2.0, -2.0] * 50), 16_000, subtype="FLOAT")
    assert set(read_audio(path, sample_rate=RATE).tolist()) == {32_767, -32_768}


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_the_peak_of_floats_beyond_1_becomes_full_scale(tmp_path, subtype):
    path = tmp_path / "x.wav"
    samples = np.stack([16_384.0 * tone(1.0), -30_000.0 * tone(1.0)], axis=1)
    soundfile.write(path, samples, 16_000, subtype=subtype)
    peak = peak_beyond_1(path)
    assert peak == pytest.approx(15_000, rel=1e-4)
    assert joined(read_blocks(path, sample_rate=RATE)).peak == peak
    scaled = read_audio(path, sample_rate=RATE, full_scale=peak)
    wanted = samples.mean(axis=1) / peak * 32_768
    np.testing.assert_allclose(scaled, np.clip(wanted, -32_768, 32_767), atol=0.51)


@pytest.mark.parametrize("name", ["x.wav", "x.mp3", "x.ogg"])
def test_other_files_have_no_peak_beyond_1(tmp_path, name):
    loud = np.sign(tone(0.5, 44_100, 200.0))  # lossy decoders overshoot such edges
    path = write_audio(tmp_path / name, loud, 44_100)
    assert peak_beyond_1(path) == 1.0
    assert joined(read_blocks(path, sample_rate=RATE)).peak == 0.0


def test_floats_within_1_are_left_alone(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, 0.5 * tone(0.1), 16_000, subtype="FLOAT")
    assert peak_beyond_1(path) == 1.0


@pytest.mark.parametrize("rate", [RATE, 44_100, 8_000, 96_000])
def test_blocks_are_what_the_whole_recording_would_be(tmp_path, monkeypatch, rate):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 30_011)
    path = write_audio(tmp_path / "x.wav", noise, rate)
    whole = soundfile.read(path, dtype="float32")[0]
    whole = soxr.resample(whole, rate, RATE, "HQ") if rate != RATE else whole
    monkeypatch.setattr(audio, "BLOCK_SAMPLES", 997)
    blocks = list(read_blocks(path, sample_rate=RATE))
    assert len(blocks) > 30 and max(len(block.samples) for block in blocks) < 9_000
    assert (joined(blocks).samples == np.rint(whole * 32_768)).all()


def cut(path: Path, share: float = 0.5) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def patched(path: Path, offset: int, replacement: bytes) -> Path:
    data = bytearray(path.read_bytes())
    data[offset : offset + len(replacement)] = replacement
    path.write_bytes(data)
    return path


def flac_claiming_2_to_the_36_frames(path: Path) -> Path:
    data = bytearray(write_audio(path, tone(1.0)).read_bytes())
    data[21] |= 0x0F  # the total is the low 36 bits of bytes 21 to 25
    data[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    return path


def floats(path: Path, value: float) -> Path:
    soundfile.write(path, np.array([0.0, value] * 50), 16_000, subtype="FLOAT")
    return path


def of_another_kind(path: Path, before: bytes) -> Path:
    """A recording that libsndfile can read, too."""
    soundfile.write(path, tone(), 16_000, format="IRCAM", subtype="PCM_16")
    path.write_bytes(before + path.read_bytes())
    return path


TAG = b"ID3\4\0\0\0\0\1\2" + bytes(130)  # two digits of 7 bits: 130 bytes follow
EMPTY_TAG = b"ID3\4\0\0\0\0\0\0"
BAD = {
    "empty": (lambda p: (p.touch(), p)[1], "is empty"),
    "text": (lambda p: (p.write_text("no audio " * 20), p)[1], "is no WAV, AIFF, FLAC"),
    "IRCAM": (lambda p: of_another_kind(p, b""), "is no WAV, AIFF, FLAC"),
    "a million tags": (lambda p: (p.write_bytes(10**6 * EMPTY_TAG), p)[1], "is no WAV, AIFF"),
    "IRCAM after a tag": (lambda p: of_another_kind(p, TAG), "is no WAV, AIFF, FLAC"),
    "missing": (lambda p: p, "No such file"),
    "folder": (lambda p: (p.mkdir(), p)[1], "not a regular file"),
    "device": (lambda p: (p.symlink_to("/dev/zero"), p)[1], "not a regular file"),
    "link to itself": (lambda p: (p.symlink_to(p), p)[1], "cannot be opened"),
    "cut header": (lambda p: cut(write_audio(p), 0.005), "cannot be decoded"),
    "cut wav": (lambda p: cut(write_audio(p)), "truncated.*claims 3200 bytes"),
    "4 GB wav": (lambda p: patched(write_audio(p), 40, b"\xff\xff\xff\xff"), "truncated"),
    "no samples": (lambda p: write_audio(p, np.zeros(0)), "no samples"),
    "no channels": (lambda p: patched(write_audio(p), 22, b"\0\0"), "cannot be decoded"),
    "1 GHz": (lambda p: patched(write_audio(p), 24, struct.pack("<I", 10**9)), "sample rate"),
    "1 Hz": (lambda p: patched(write_audio(p), 24, struct.pack("<I", 1)), "sample rate"),
    "NaN": (lambda p: floats(p, np.nan), "NaN or infinite"),
    "inf": (lambda p: floats(p, np.inf), "NaN or infinite"),
    "1e38": (lambda p: floats(p, -1e38), r"samples of up to 1e\+38, which is no sound"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_has_a_reason(tmp_path, case):
    make, reason = BAD[case]
    path = make(tmp_path / "x.wav")
    with pytest.raises(BadAudio, match=reason):
        read_audio(path, sample_rate=RATE)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e38, 3e9, 2.0**31, 32_768.0])
def test_no_float_makes_numpy_warn(tmp_path, value):
    with contextlib.suppress(BadAudio):
        read_audio(floats(tmp_path / "x.wav", value), sample_rate=8_000)


def test_integers_of_32_bits_saved_as_floats_are_a_recording(tmp_path):
    path = floats(tmp_path / "x.wav", 2.0**31)
    assert read_audio(path, sample_rate=RATE, full_scale=2.0**31).max() == 32_767


@pytest.mark.parametrize("suffix", ["flac", "mp3", "ogg"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_cut_compressed_file_is_not_read_as_a_short_one(tmp_path, suffix, share):
    noise = np.random.default_rng(0).normal(0, 0.1, 80_000)
    path = cut(write_audio(tmp_path / f"x.{suffix}", noise), share)
    with pytest.raises(BadAudio):
        read_audio(path, sample_rate=RATE)


def test_a_flac_that_claims_too_much_is_not_allocated(tmp_path):
    with pytest.raises(BadAudio, match="claims 4294967 seconds"):
        read_audio(flac_claiming_2_to_the_36_frames(tmp_path / "x.flac"), sample_rate=RATE)


def test_more_than_an_hour_is_refused_by_its_header(tmp_path):
    path = write_audio(tmp_path / "x.flac", np.zeros(3_601 * 4_000, dtype=np.int16), 4_000)
    with pytest.raises(BadAudio, match="claims 3601 seconds"):
        read_audio(path, sample_rate=RATE)


def test_a_fifo_does_not_hang(tmp_path):
    path = tmp_path / "x.wav"
    os.mkfifo(path)
    reasons = []

    def read() -> None:
        with pytest.raises(BadAudio) as caught:
            read_audio(path, sample_rate=RATE)
        reasons.append(str(caught.value))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(timeout=10)
    assert reasons == ["is not a regular file"]


def test_a_name_that_is_not_utf8(tmp_path):
    good = write_audio(tmp_path / "x.wav")
    bad = os.path.join(os.fsencode(tmp_path), b"\xff.wav")
    os.rename(good, bad)
    with pytest.raises(BadAudio, match="not UTF-8"):
        read_audio(Path(os.fsdecode(bad)), sample_rate=RATE)


def test_duration_is_of_the_header(tmp_path):
    assert duration_seconds(write_audio(tmp_path / "x.flac", tone(1.5, 44_100), 44_100)) == 1.5


def test_listing_leaves_out_hidden_files_and_ends_on_loops(tmp_path):
    wanted = [write_audio(tmp_path / "a" / name) for name in ("B.WAV", "x.mp3")]
    wanted.append(write_audio(tmp_path / "a" / "deep" / "y.flac"))
    for name in (".DS_Store", "._x.wav", "notes.txt", ".hidden/z.wav", "__MACOSX/z.wav"):
        path = tmp_path / "a" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "a" / "deep" / "up").symlink_to(tmp_path / "a")
    assert audio_files(tmp_path / "a") == sorted(wanted)
