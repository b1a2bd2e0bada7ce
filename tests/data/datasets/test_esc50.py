import csv
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from make_audio import RATE

from tune_audio.data.audio import read_audio
from tune_audio.data.corpus import Corpus
from tune_audio.data.datasets.esc50 import esc50
from tune_audio.data.load import load_corpus
from tune_audio.data.selection import select_clips
from tune_audio.data.synthesis.environment import make_esc50
from tune_audio.data.windows import check_windows
from tune_audio.errors import UserError
from tune_audio.space import load_space
from tune_audio.training.evaluation import Evaluation

# https://github.com/karolpiczak/ESC-50, in the order of the official targets
ESC10 = (
    *("dog", "rooster", "rain", "sea_waves", "crackling_fire"),
    *("crying_baby", "sneezing", "clock_tick", "helicopter", "chainsaw"),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Thirteen classes of ten clips, two a fold, both of one source."""
    return make_esc50(tmp_path_factory.mktemp("esc50") / "ESC-50", clips_per_class=10)


@pytest.fixture(scope="module")
def meta(root) -> list[dict[str, str]]:
    with (root / "meta" / "esc50.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def windows(root, tmp_path_factory) -> Corpus:
    cache = tmp_path_factory.mktemp("cache")
    return load_corpus("esc50", root, esc10=True, window_seconds=1.0, cache=cache)


def test_made_files_are_as_the_official_ones(root, meta):
    assert len(meta) == 130
    assert list(meta[0]) == ["filename", "fold", "target", "category", "esc10", "src_file", "take"]
    for row in meta:
        name = f"{row['fold']}-{row['src_file']}-{row['take']}-{row['target']}.wav"
        assert row["filename"] == name
        about = soundfile.info(root / "audio" / name)
        assert (about.samplerate, about.channels, about.frames) == (44_100, 1, 220_500)
        assert about.subtype == "PCM_16"
    assert {row["category"] for row in meta if row["esc10"] == "True"} == set(ESC10)


def test_equal_seeds_make_equal_bytes(root, tmp_path):
    again = make_esc50(tmp_path / "again", clips_per_class=1)
    other = make_esc50(tmp_path / "other", clips_per_class=1, seed=1)
    names = [path.name for path in (again / "audio").iterdir()]
    assert len(names) == 13
    for name in names:
        made, same, differs = ((d / "audio" / name).read_bytes() for d in (root, again, other))
        assert made == same != differs
    kept = (again / "meta" / "esc50.csv").stat()
    assert make_esc50(again, clips_per_class=40) == again
    assert (again / "meta" / "esc50.csv").stat() == kept


def test_classes_differ_more_than_clips(root, meta):
    """The mean spectrum tells the class of a clip of another source better than chance."""
    spectra = []
    for row in meta:
        wave = read_audio(root / "audio" / row["filename"], sample_rate=RATE).astype(float)
        power = np.abs(np.fft.rfft(wave.reshape(50, -1))) ** 2
        bands = np.log(power.reshape(50, -1)[:, :800].reshape(50, 40, 20).mean(2) + 1e-3)
        spectra.append(np.r_[bands.mean(0), bands.std(0)])
    spectra = np.array(spectra) - np.mean(spectra, axis=0)
    source = np.array([row["src_file"] for row in meta])
    label = np.array([row["category"] for row in meta])
    distance = np.linalg.norm(spectra[:, None] - spectra[None], axis=2)
    distance[source[:, None] == source[None]] = np.inf
    assert np.mean(label[distance.argmin(1)] == label) > 3 / 13


def test_folds_and_splits(root, meta):
    listing = esc50(root, esc10=True, test_fold=2, validation_fold=1)
    assert listing.labels == ESC10
    assert len(listing.clips) == 100
    fold_of = {row["filename"]: int(row["fold"]) for row in meta}
    for clip in listing.clips:
        assert clip.fold == fold_of[clip.path.name]
        assert clip.split == {2: "test", 1: "validation"}.get(clip.fold, "train")
        assert clip.path.name.split("-")[1] == clip.group


def test_all_classes_in_the_order_of_their_targets(root, meta):
    labels = esc50(root).labels
    assert len(labels) == 13
    targets = {row["category"]: int(row["target"]) for row in meta}
    assert [targets[label] for label in labels] == sorted(targets.values())
    assert Counter(clip.split for clip in esc50(root).clips) == {
        "train": 78,
        "validation": 26,
        "test": 26,
    }


def test_five_seconds_are_nine_windows_of_one(root, windows):
    assert len(windows) == 900
    assert np.bincount(windows.split).tolist() == [540, 180, 180]
    assert set(windows.length) == {16_000} and windows.skipped == []
    for recording in (0, 57, 99):
        rows = np.flatnonzero(windows.recording == recording)
        names = {windows.names[row] for row in rows}
        assert len(rows) == 9 and len(names) == 1
        whole = soundfile.read(root / names.pop())[0].astype(np.float32)
        for number, row in enumerate(rows):
            first = int(number * 0.5 * 44_100)
            window = windows.waveforms([row])[0]
            # Resampling ends differently at a cut, but energy stays.
            expected = np.sqrt(np.mean(whole[first : first + 44_100] ** 2))
            assert np.sqrt(np.mean(window**2)) == pytest.approx(expected, rel=0.1, abs=1e-3)


def test_predictions_of_windows_can_be_averaged(windows):
    assert windows.recording.dtype == windows.fold.dtype == np.int64
    first = np.unique(windows.recording, return_index=True)[1]
    assert windows.recording[first].tolist() == list(range(100))
    for column in (windows.targets, windows.split, windows.fold):
        assert (column == column[first][windows.recording]).all()
    chances = np.random.default_rng(0).dirichlet(np.ones(10), 900)
    whole = Evaluation(windows.targets, np.log(chances), 0.0, windows.recording).by_clip
    assert (whole.targets == windows.targets[first]).all()
    for recording, logits in enumerate(whole.logits):
        nine = chances[windows.recording == recording]
        assert np.exp(logits) == pytest.approx(nine.mean(axis=0))


@pytest.mark.parametrize(
    ("window", "hop", "count"), [(5.0, 0.1, 1), (1.0, 0.1, 41), (2.0, None, 4)]
)
def test_window_counts(root, window, hop, count):
    clips = esc50(root, window_seconds=window, hop_seconds=hop).clips
    assert len(clips) == 130 * count
    assert max(clip.start_seconds for clip in clips) + window <= 5.0 + 1e-9


def test_windows_are_as_long_as_clips(root):
    listing = esc50(root, window_seconds=1.0)
    check_windows(listing, 1.0)
    for seconds in (0.5, 5.0):
        with pytest.raises(UserError, match=f"got {seconds:g}, but data.window_seconds is 1: "):
            check_windows(listing, seconds)
    check_windows(esc50(root), 3.0)  # of whole recordings the centre


@pytest.mark.parametrize(
    ("option", "value", "shortest"), [("hop", 1e-9, "0.01"), ("window", 1e-9, "0.02")]
)
def test_windows_too_short_to_be_meant(option, value, shortest):
    change = f"data.{option}_seconds={value}"
    for name in ("esc10_raw_cnn", "own"):
        with pytest.raises(UserError, match=f"{option}_seconds: got 1e-09, must be .* {shortest}"):
            load_space(name, [change], models=["lstm_cnn"] if name == "own" else None)


@pytest.mark.parametrize("split_by", ["label", "speaker"])
@pytest.mark.parametrize("seed", range(3))
def test_random_splits_keep_sources_and_windows_together(root, split_by, seed):
    listing = esc50(root, window_seconds=1.0)
    chosen = select_clips(listing, root, split=(0.6, 0.2, 0.2), split_by=split_by, seed=seed)
    splits = defaultdict(set)
    for clip, part in zip(chosen.clips, chosen.split, strict=True):
        splits[clip.group].add(int(part))
    assert len(splits) == 65
    assert all(len(parts) == 1 for parts in splits.values())
    if split_by == "label":
        assert np.bincount(chosen.split).tolist() == [702, 234, 234]


def test_a_subset_takes_whole_recordings(root):
    listing = esc50(root, window_seconds=1.0)
    chosen = select_clips(listing, root, labels=["dog", "rain"], clips_per_label=5)
    assert Counter(Counter(chosen.names).values()) == {9: 10}
    assert np.bincount(chosen.split).tolist() == [54, 18, 18]


def test_another_fold_is_another_corpus(root, tmp_path):
    options = {"clip_seconds": 5.0, "split": (0.6, 0.2, 0.2), "cache": tmp_path / "cache"}
    moved = tmp_path / "moved"
    shutil.copytree(root, moved)
    first = load_corpus("esc50", moved, **options)
    text = (moved / "meta" / "esc50.csv").read_text()
    (moved / "meta" / "esc50.csv").write_text(text.replace(".wav,1,", ".wav,2,"))
    second = load_corpus("esc50", moved, **options)
    assert first.fingerprint != second.fingerprint
    assert set(first.fold) == {1, 2, 3, 4, 5} and set(second.fold) == {2, 3, 4, 5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_fold": 3, "validation_fold": 3}, "data.validation_fold: is 3, the test_fold"),
        ({"hop_seconds": 0.5}, "data.hop_seconds: needs data.window_seconds"),
    ],
)
def test_options_that_contradict(root, options, message):
    with pytest.raises(UserError, match=message):
        esc50(root, **options)


def test_another_layout(tmp_path, root):
    with pytest.raises(UserError, match=r"has no meta/esc50\.csv"):
        esc50(tmp_path)
    (tmp_path / "meta").mkdir()
    table = tmp_path / "meta" / "esc50.csv"
    table.write_text("filename,fold,category\n")
    with pytest.raises(UserError, match="no column target and esc10 and src_file and take"):
        esc50(tmp_path)
    head = "filename,fold,target,category,esc10,src_file,take\n"
    for rows, message in (
        ("a.wav,6,0,dog,True,1,A\n", "line 2: fold '6'"),
        ("../../a.wav,1,0,dog,True,1,A\n", r"line 2: filename '\.\./\.\./a\.wav' must be a path"),
        ("a.wav,1,0,dog,True,1,A\na.wav,5,0,dog,True,1,A\n", "line 3: a.wav stands in line 2"),
    ):
        table.write_text(head + rows)
        with pytest.raises(UserError, match=message):
            esc50(tmp_path)


def test_a_corpus_of_windows_that_are_no_clips(root, tmp_path):
    with pytest.raises(UserError, match=r"got 5, but data\.window_seconds is 1"):
        load_corpus("esc50", root, window_seconds=1.0, clip_seconds=5.0, cache=tmp_path)
