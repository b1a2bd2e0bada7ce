"""A person's decisions: what they change, what they leave, and which of them are mistakes."""

from pathlib import Path

import numpy as np
import pytest
from make_audio import make_class_folder, write_audio

from tune_audio.data.clips import Clip, Listing
from tune_audio.data.corpus import Corpus
from tune_audio.data.corrections import corrected, corrections_csv
from tune_audio.data.load import load_corpus
from tune_audio.errors import UserError

ROOT = Path("/data")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_class_folder(tmp_path / "root", {"dog": 10, "cat": 10})


def load(root: Path, decisions: dict[str, str] | None = None, **options) -> Corpus:
    file = None
    if decisions is not None:
        file = root.parent / "corrections.csv"
        file.write_text(corrections_csv(decisions))
        file = str(file)
    options = {"split": (0.6, 0.2, 0.2), "clip_seconds": 0.1, **options}
    return load_corpus("folder", root, cache=root.parent / "cache", corrections=file, **options)


def labels_of(corpus: Corpus) -> dict[str, str]:
    return {n: corpus.labels[t] for n, t in zip(corpus.names, corpus.targets, strict=True)}


def test_recordings_are_relabelled_and_dropped_and_the_files_stay(root: Path) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*.wav")}
    plain = load(root)
    first, second = [name for name in plain.names if name.startswith("dog")][:2]
    found = labels_of(load(root, {first: "cat", second: "drop"}))
    expected = labels_of(plain) | {first: "cat"}
    del expected[second]
    assert found == expected
    assert {path: path.read_bytes() for path in root.rglob("*.wav")} == before


def test_a_corpus_is_another_only_where_something_changes(root: Path) -> None:
    plain = load(root)
    name = plain.names[0]
    own, other = labels_of(plain)[name], {"cat": "dog", "dog": "cat"}[labels_of(plain)[name]]
    assert load(root, {}).fingerprint == plain.fingerprint
    assert load(root, {name: own}).fingerprint == plain.fingerprint
    assert load(root, {name: "keep"}).fingerprint == plain.fingerprint
    changed = load(root, {name: other})
    assert changed.fingerprint != plain.fingerprint
    assert load(root, {name: other, plain.names[1]: "keep"}).fingerprint == changed.fingerprint


def test_a_dropped_duplicate_is_told_no_more(root: Path) -> None:
    rng = np.random.default_rng(0)
    sound = (8_000 * rng.standard_normal(8_000)).clip(-30_000, 30_000).astype(np.int16)
    for name in ("dog/same.wav", "cat/same.wav"):
        write_audio(root / name, sound)
    assert load(root, duplicates="tell").duplicates.labels["dog/same.wav"] == "dog"
    left = load(root, {"dog/same.wav": "drop"}, duplicates="tell")
    assert "dog/same.wav" not in left.names and "cat/same.wav" in left.names
    assert left.duplicates.pairs == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,label\ndog/99.wav,cat\n", "line 2: there is no recording 'dog/99.wav'"),
        ("file,label\n{0},cow\n", "line 2: 'cow' is no label and not drop. Labels are cat, dog"),
        ("file,label\n{0},\n", "line 2: '' is no label"),
        ("file,label\n{0},cat\n{0},drop\n", "line 3: '{0}' has been 'cat' above"),
        ("file,label\n" + 5 * "a,b\n", "line 4: .*; and 2 more"),
        ("name,label\n", "no column file"),
    ],
)
def test_mistakes_are_one_line(text: str, words: str, root: Path) -> None:
    name = "dog/" + min(path.name for path in (root / "dog").iterdir())
    file = root.parent / "mine.csv"
    file.write_text(text.format(name))
    with pytest.raises(UserError, match=words.format(name)) as error:
        load_corpus("folder", root, cache=root.parent, corrections=str(file))
    assert "\n" not in error.value.message


def test_a_file_that_is_not_there(root: Path) -> None:
    with pytest.raises(UserError, match=r"data.corrections: .*nowhere.csv: No such file"):
        load_corpus("folder", root, cache=root.parent, corrections=str(root / "nowhere.csv"))


def listing(*labels: tuple[str, ...], **options) -> Listing:
    clips = [Clip(ROOT / f"{number}.wav", of) for number, of in enumerate(labels)]
    return Listing(tuple(clips), ("bark", "meow", "=odd"), **options)


def test_several_labels_have_commas_and_names_stand_as_in_a_spreadsheet(tmp_path: Path) -> None:
    several = listing(("bark",), ("bark", "meow"), multi_label=True)
    file = tmp_path / "c.csv"
    file.write_text(corrections_csv({"0.wav": "meow, '=odd", "1.wav": "bark"}))
    assert [clip.labels for clip in corrected(several, ROOT, str(file)).clips] == [
        ("meow", "=odd"),
        ("bark",),
    ]


def test_all_windows_of_a_recording_change(tmp_path: Path) -> None:
    windows = [Clip(ROOT / "-a.wav", ("bark",), start_seconds=second) for second in range(3)]
    (tmp_path / "c.csv").write_text("file,label\n'-a.wav,meow\n")
    whole = Listing((*windows, Clip(ROOT / "b.wav", ("bark",))), ("bark", "meow"), windows=True)
    found = corrected(whole, ROOT, str(tmp_path / "c.csv"))
    assert [clip.labels[0] for clip in found.clips] == ["meow"] * 3 + ["bark"]


def test_a_label_that_is_called_as_a_decision_is_not_guessed_at(tmp_path: Path) -> None:
    words = Listing((Clip(ROOT / "0.wav", ("drop",)),), ("drop", "lift"))
    (tmp_path / "c.csv").write_text("file,label\n0.wav,drop\n")
    with pytest.raises(UserError, match="'drop' is a label of these data, too"):
        corrected(words, ROOT, str(tmp_path / "c.csv"))
