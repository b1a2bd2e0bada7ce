import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from make_audio import RATE, make_class_folder, tone, write_audio

from tune_audio.data import content
from tune_audio.data import load as module
from tune_audio.data.audio import read_audio
from tune_audio.data.corpus import Corpus
from tune_audio.data.load import load_corpus
from tune_audio.errors import UserError

FRACTIONS = (0.6, 0.2, 0.2)


@pytest.fixture
def root(tmp_path):
    return make_class_folder(tmp_path / "root", {"dog": 10, "cat": 10})


@pytest.fixture
def load(tmp_path, root):
    def load(folder: Path = root, **options) -> Corpus:
        options = {"split": FRACTIONS, "clip_seconds": 0.1, **options}
        return load_corpus("folder", folder, cache=tmp_path / "cache", **options)

    return load


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """One item for each time that a corpus is decoded."""
    times, write = [], module.write_corpus

    def counted(*values: object, **options: object) -> None:
        times.append(1)
        write(*values, **options)

    monkeypatch.setattr(module, "write_corpus", counted)
    return times


def make_older(root: Path) -> None:
    """Wait until no file is so new that its status is not trusted."""
    newest = max(path.stat().st_ctime for path in root.rglob("*"))
    time.sleep(max(0.0, newest + content.CLOCK_TICK_SECONDS - time.time()) + 0.01)


def test_decoded_once(load, root, decoded):
    first = load()
    make_older(root)
    for _ in range(3):
        assert load().fingerprint == first.fingerprint
    assert decoded == [1]


def test_known_files_are_not_opened_again_once_they_are_old_enough(
    tmp_path, load, root, monkeypatch
):
    load()
    assert not list((tmp_path / "cache").glob("corpora/seen/*"))
    make_older(root)
    load()
    assert len(list((tmp_path / "cache").glob("corpora/seen/*"))) == 1
    monkeypatch.setattr(module, "content_key", lambda *_: pytest.fail("files were hashed again"))
    load()


def test_the_same_content_elsewhere_is_the_same_corpus(tmp_path, load, root, decoded):
    first = load()
    make_class_folder(tmp_path / "copy", {"dog": 10, "cat": 10})
    assert load(tmp_path / "copy").fingerprint == first.fingerprint
    root.rename(tmp_path / "moved")
    assert load(tmp_path / "moved").fingerprint == first.fingerprint
    assert decoded == [1]


@pytest.mark.parametrize("settled", [True, False])
def test_a_changed_file_is_seen_though_its_size_and_time_are_the_same(load, root, settled):
    path = root / "dog" / "000.wav"
    if settled:
        make_older(root)
    before, old = load(), path.stat()
    samples = read_audio(path, sample_rate=RATE)[::-1]
    with path.open("r+b") as file:
        file.seek(44)
        file.write(samples.tobytes())
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    now = path.stat()
    assert (now.st_size, now.st_mtime_ns, now.st_ino) == (old.st_size, old.st_mtime_ns, old.st_ino)
    after = load()
    assert after.fingerprint != before.fingerprint
    row = after.names.index("dog/000.wav")
    assert (after.samples[after.start[row] :][:1_600] == samples).all()


def test_added_and_removed_files_are_seen(load, root):
    sizes = [len(load())]
    write_audio(root / "dog" / "new.wav")
    sizes.append(len(load()))
    (root / "cat" / "000.wav").unlink()
    (root / "cat" / "001.wav").unlink()
    sizes.append(len(load()))
    assert sizes == [20, 21, 19]


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 1},
        {"clip_seconds": 0.05},
        {"clips_per_label": 8},
        {"labels": ["dog", "cat"]},
        {"peak": "normalise"},
    ],
)
def test_options_make_another_corpus(load, options):
    assert load(**options).fingerprint != load().fingerprint


def test_a_file_that_changes_while_it_is_read_stops_the_run(tmp_path, load, root, monkeypatch):
    write = module.write_corpus

    def write_and_change(*values: object, **options: object) -> None:
        write(*values, **options)
        write_audio(root / "dog" / "000.wav", tone(0.05))

    monkeypatch.setattr(module, "write_corpus", write_and_change)
    with pytest.raises(UserError, match="changed while they were read"):
        load()
    assert not list((tmp_path / "cache").rglob("corpus.json"))
    monkeypatch.setattr(module, "write_corpus", write)
    assert len(load()) == 20


def test_a_damaged_entry_is_decoded_again(load, decoded):
    corpus = load()
    whole = np.array(corpus.samples)
    for name in ("samples.int16", "corpus.json", "tables.npz"):
        os.truncate(corpus.folder / name, 20)
        assert (load().samples == whole).all()
    assert len(decoded) == 4


def test_a_corpus_that_does_not_say_what_is_loud_is_decoded_again(load, decoded):
    corpus = load()
    about = json.loads((corpus.folder / "corpus.json").read_text())
    del about["loud"]  # as one of an earlier version, whose runs are to go on
    (corpus.folder / "corpus.json").write_text(json.dumps(about))
    assert load().fingerprint == corpus.fingerprint and len(decoded) == 2
