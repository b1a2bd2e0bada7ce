"""A corpus knows what belongs together, and says so; what was found once is found in the cache."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from make_audio import write_audio
from make_voices import voice

from tune_audio.data.content import CLOCK_TICK_SECONDS
from tune_audio.data.corpus import Corpus
from tune_audio.data.duplicates import find
from tune_audio.data.duplicates.found import COLUMNS, LEFT_OUT
from tune_audio.data.load import load_corpus

FRACTIONS = (0.6, 0.2, 0.2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten words of each of two labels, each said once."""
    for label in ("no", "yes"):
        for n in range(10):
            write_audio(tmp_path / "root" / label / f"{n}.wav", voice(2 * n + (label == "no"), 0.5))
    return tmp_path / "root"


def load(root: Path, **options) -> Corpus:
    options = {"split": FRACTIONS, "clip_seconds": 0.5, **options}
    return load_corpus("folder", root, cache=root.parent / "cache", **options)


def plant(root: Path) -> None:
    """A copy of each of the first four of "no", one of which is labelled "yes"."""
    for n in range(3):
        write_audio(root / "no" / f"copy {n}.ogg", voice(2 * n + 1, 0.5))
    shutil.copy(root / "no" / "3.wav", root / "yes" / "wrong.wav")


def test_where_nothing_is_found_the_corpus_is_the_same(root) -> None:
    plain, told, apart = load(root), load(root, duplicates="tell"), load(root, duplicates="apart")
    assert plain.fingerprint == told.fingerprint == apart.fingerprint
    assert plain.duplicates is None and not apart.duplicates.rows()
    assert apart.duplicates.lines() == ["No recordings are equal, copies, or cut from one another."]


def test_they_are_kept_apart_only_where_that_is_asked_for(root) -> None:
    plant(root)
    seeds = range(6)
    plain = [load(root, seed=seed) for seed in seeds]
    told = [load(root, seed=seed, duplicates="tell") for seed in seeds]
    assert [c.fingerprint for c in plain] == [c.fingerprint for c in told]
    across = [sum(row[-2] != row[-1] for row in c.duplicates.rows()) for c in told]
    assert sum(across) > 6
    says = [line for c in told for line in c.duplicates.lines() if "better than they are" in line]
    assert says[0].startswith(f"Pairs in two splits: {next(filter(None, across))}.")
    for seed in seeds:
        corpus = load(root, seed=seed, duplicates="apart")
        where = dict(zip(corpus.names, corpus.split, strict=True))
        assert all(where[row[0]] == where[row[1]] for row in corpus.duplicates.rows())
        assert all(row[-1] == row[-2] for row in corpus.duplicates.rows())
        # folds of a search do not part them either
        group = dict(zip(corpus.names, corpus.group, strict=True))
        assert all(group[row[0]] == group[row[1]] != "" for row in corpus.duplicates.rows())


def test_what_is_told(root) -> None:
    plant(root)
    found = load(root, duplicates="apart").duplicates
    assert COLUMNS[:5] == ("file_a", "file_b", "kind", "offset_seconds", "correlation")
    rows = {row[:2]: row for row in found.rows()}
    assert rows["no/3.wav", "yes/wrong.wav"][2:7] == ("equal", 0.0, 1.0, "no", "yes")
    assert len(rows) == 4 and {row[2] for row in rows.values()} == {"equal", "copy"}
    lines = found.lines()
    assert lines[0] == "8 recordings are equal or cut from one another (copy 3, equal 1)."
    assert "--set data.duplicates=tell" in lines[2]
    assert lines[3] == ("Label conflicts: 1, such as no/3.wav (no) and yes/wrong.wav (yes).")


def test_a_class_of_one_recording_is_told(root) -> None:
    long = voice(200, 4.0)
    for path in (root / "yes").iterdir():
        path.unlink()
    for n in range(10):
        write_audio(root / "yes" / f"{n}.wav", long[n * 4_000 :][:8_000])
    found = load(root, duplicates="apart", seed=1).duplicates
    assert len(found.pairs) == 9 and "Not in every split: yes." in found.lines()[1]
    assert "Not in" not in str(load(root, duplicates="tell", seed=1).duplicates.lines())


def test_of_given_splits_the_test_stays(root) -> None:
    for n, label in ((n, label) for label in ("no", "yes") for n in range(10)):
        part = "train" if n < 6 else "validation" if n < 8 else "test"
        path = root / part / label / f"{n}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        (root / label / f"{n}.wav").rename(path)
    for label in ("no", "yes"):
        (root / label).rmdir()
    write_audio(root / "test" / "no" / "leak.ogg", voice(1, 0.5))
    corpus = load(root, split="official", duplicates="apart")
    assert "train/no/0.wav" not in corpus.names and "test/no/leak.ogg" in corpus.names
    assert len(corpus) == 20 and corpus.duplicates.rows()[0][-2:] == ("test", LEFT_OUT)
    assert "Left out: 1 that a split held back has, too." in corpus.duplicates.lines()[1]


def test_recordings_are_listened_to_once(root, monkeypatch) -> None:
    plant(root)
    time.sleep(CLOCK_TICK_SECONDS + 0.1)
    first = load(root, duplicates="apart")
    monkeypatch.setattr(find, "find_pairs", lambda *_: pytest.fail("listened to again"))
    again = load(root, duplicates="apart")
    assert again.duplicates == first.duplicates and again.fingerprint == first.fingerprint
    assert len(load(root, duplicates="tell", labels=["yes", "no"]).duplicates.pairs) == 4
    write_audio(root / "no" / "new.wav", voice(99, 0.5))
    with pytest.raises(pytest.fail.Exception):
        load(root, duplicates="apart")


def test_windows_of_a_recording_are_no_copies_of_each_other(root) -> None:
    for label in ("no", "yes"):
        for n in range(4):
            write_audio(root / label / f"long{n}.wav", voice(50 + 2 * n + (label == "no"), 2.0))
    corpus = load(root, duplicates="apart", window_seconds=0.5)
    assert not corpus.duplicates.pairs and np.bincount(corpus.recording).max() == 7
