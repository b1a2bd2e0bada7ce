import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tune_audio.data.datasets import fsd50k as module
from tune_audio.data.datasets.fsd50k import SLIM_LABELS, fsd50k
from tune_audio.data.load import load_corpus
from tune_audio.data.selection import select_clips
from tune_audio.data.synthesis.environment import make_fsd50k
from tune_audio.errors import UserError


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """280 short mixtures: 196 train, 28 validation, 56 evaluation."""
    return make_fsd50k(tmp_path_factory.mktemp("fsd50k") / "FSD50K", longest_seconds=0.8)


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_made_files_are_as_the_official_ones(root):
    truth = root / "FSD50K.ground_truth"
    dev, evaluation = read(truth / "dev.csv"), read(truth / "eval.csv")
    assert dev[0] == ["fname", "labels", "mids", "split"]
    assert evaluation[0] == ["fname", "labels", "mids"]
    vocabulary = read(truth / "vocabulary.csv")
    assert [int(row[0]) for row in vocabulary] == list(range(len(vocabulary)))
    for folder, rows in (("FSD50K.dev_audio", dev), ("FSD50K.eval_audio", evaluation)):
        assert {path.stem for path in (root / folder).iterdir()} == {row[0] for row in rows[1:]}
    lengths = [soundfile.info(path).duration for path in (root / "FSD50K.dev_audio").iterdir()]
    assert 0.29 < min(lengths) < 0.35 and 0.7 < max(lengths) <= 0.81


def test_official_splits_and_ancestors(root):
    listing = fsd50k(root)
    assert listing.multi_label and len(listing.clips) == 280
    assert Counter(clip.split for clip in listing.clips) == {
        "train": 196,
        "validation": 28,
        "test": 56,
    }
    for clip in listing.clips:
        evaluated = clip.path.parent.name == "FSD50K.eval_audio"
        assert evaluated == (clip.split == "test")
        assert "Dog" not in clip.labels or "Animal" in clip.labels
    assert listing.labels[:3] == ("Aircraft", "Alarm", "Animal")


def test_targets_are_multi_hot(root, tmp_path):
    corpus = load_corpus("fsd50k", root, cache=tmp_path, clip_seconds=0.5)
    assert corpus.multi_label and corpus.targets.dtype == np.float32
    assert corpus.targets.shape == (280, len(corpus.labels))
    labels = {
        f"{clip.path.parent.name}/{clip.path.name}": clip.labels for clip in fsd50k(root).clips
    }
    for name, row in zip(corpus.names, corpus.targets, strict=True):
        assert {corpus.labels[column] for column in np.flatnonzero(row)} == set(labels[name])
    # Shorter clips are padded with zeros, longer ones cut to half a second.
    assert corpus.length.min() < 8_000 and corpus.length.max() == 8_000


def test_a_subset_of_labels(root, tmp_path):
    corpus = load_corpus("fsd50k", root, cache=tmp_path, labels=["Water", "Animal", "Bark"])
    assert corpus.labels == ["Water", "Animal", "Bark"]
    assert corpus.targets.any(axis=1).all()
    assert (corpus.targets[:, 1] >= corpus.targets[:, 2]).all()
    whole = load_corpus("fsd50k", root, cache=tmp_path)
    water, animal = (whole.targets[:, whole.labels.index(name)] for name in ("Water", "Animal"))
    assert len(corpus) == np.sum((water > 0) | (animal > 0))


def test_clips_per_label_count_for_the_rarest_label(root):
    listing = fsd50k(root)
    wanted = ["Animal", "Bark", "Water"]
    few, more = (
        select_clips(listing, root, labels=wanted, clips_per_label=count) for count in (5, 10)
    )
    assert len(few.clips) == 15 and len(more.clips) == 30
    assert set(few.names) < set(more.names)
    barks = sum("Bark" in clip.labels for clip in more.clips)
    assert barks >= 10 and sum("Animal" in clip.labels for clip in more.clips) >= 20


def test_random_splits_share_out_rare_labels(root):
    listing = fsd50k(root)
    for seed in range(3):
        chosen = select_clips(listing, root, split=(0.6, 0.2, 0.2), seed=seed)
        assert np.abs(np.bincount(chosen.split) / 280 - (0.6, 0.2, 0.2)).max() < 0.05
        for label in listing.labels:
            parts = {
                int(p) for c, p in zip(chosen.clips, chosen.split, strict=True) if label in c.labels
            }
            assert parts == {0, 1, 2}


def test_slim_clips_have_one_of_five_labels(root):
    whole = {clip.path: set(clip.labels) for clip in fsd50k(root).clips}
    listing = fsd50k(root, slim=True)
    assert listing.labels == SLIM_LABELS and not listing.multi_label
    found = {clip.path: clip.labels for clip in listing.clips}
    expected = {
        p: tuple(n & set(SLIM_LABELS)) for p, n in whole.items() if len(n & set(SLIM_LABELS)) == 1
    }
    assert found == expected
    assert len(found) < sum(bool(names & set(SLIM_LABELS)) for names in whole.values())


def test_slim_draws_equally_many_and_splits_65_15_20(root, monkeypatch):
    everything = fsd50k(root, slim=True).clips
    monkeypatch.setattr(module, "SLIM_CLIPS_PER_LABEL", 20)
    first = fsd50k(root, slim=True).clips
    counts = Counter((clip.labels[0], clip.split) for clip in first)
    # The melodies and the wailing babies are one class of fourteen each: not twenty for all.
    for label in SLIM_LABELS:
        there = min(20, sum(clip.labels == (label,) for clip in everything))
        mine = [counts[label, split] for split in ("train", "validation", "test")]
        assert sum(mine) == there
        assert np.abs(np.array(mine) - there * np.array((0.65, 0.15, 0.20))).max() <= 1
    assert {clip.path for clip in first} < {clip.path for clip in everything}
    assert fsd50k(root, slim=True).clips == first


def test_slim_is_a_corpus_of_one_label_a_clip(root, tmp_path):
    corpus = load_corpus("fsd50k", root, slim=True, cache=tmp_path, clip_seconds=0.5)
    assert corpus.targets.dtype == np.int64 and set(corpus.targets) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("dev.csv", "fname,labels,mids\n1,Dog,/m/x\n", "no column split"),
        (
            "dev.csv",
            "fname,labels,mids,split\n1,Dog,/m/x,trian\n",
            "'trian'; allowed are train, val",
        ),
        ("dev.csv", "fname,labels,mids,split\n1,Dogg,/m/x,val\n", "'Dogg' is not in vocabulary"),
        (
            "dev.csv",
            "fname,labels,mids,split\n../1,Dog,/m/x,val\n",
            r"line 2: fname '\.\./1' must be",
        ),
        (
            "dev.csv",
            "fname,labels,mids,split\n1,Dog,/m/x,val\n1,Dog,/m/x,train\n",
            "line 3: 1 stands in line 2 already",
        ),
        ("vocabulary.csv", "index,label,mid\n0,Dog,/m/x\n", "without a header"),
        ("vocabulary.csv", "0,Fianc\xe9e,/m/x\n", "vocabulary.csv is not a CSV table in UTF-8"),
        ("vocabulary.csv", f"0,{'x' * 200_000},/m/x\n", "vocabulary.csv is not a CSV table"),
        ("vocabulary.csv", "", "needed are rows of index,label,mid"),
    ],
)
def test_tables_that_are_wrong(tmp_path, name, text, message):
    for folder in ("FSD50K.ground_truth", "FSD50K.dev_audio", "FSD50K.eval_audio"):
        (tmp_path / folder).mkdir()
    truth = tmp_path / "FSD50K.ground_truth"
    (truth / "vocabulary.csv").write_text("0,Animal,/m/0jbk\n1,Dog,/m/0bt9lr\n")
    (truth / "eval.csv").write_text("fname,labels,mids\n")
    (truth / name).write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=message):
        fsd50k(tmp_path)


def test_another_layout(tmp_path):
    with pytest.raises(UserError, match=r"no folder FSD50K\.ground_truth.*zenodo"):
        fsd50k(tmp_path)
