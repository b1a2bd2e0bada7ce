"""How many folds recordings are worth, from how many there are and whose they are."""

from dataclasses import replace

import numpy as np
import pytest

from tune_audio.data.clips import SPLITS
from tune_audio.data.corpus import Corpus
from tune_audio.training.few import choose_folds
from tune_audio.training.folds import assign_folds

TEST = SPLITS.index("test")


def spoken_by(corpus: Corpus, speakers: int, clips: int = 120) -> Corpus:
    """So many clips of three labels in turn, a sixth of the speakers for the test."""
    of = np.arange(clips) // 3 % speakers
    tested = of % 6 == 5 if speakers > 5 else of < 0
    return replace(
        corpus,
        targets=np.arange(clips) % 3,
        group=[f"speaker {speaker}" for speaker in of],
        split=np.where(tested, TEST, 0).astype(np.uint8),
        recording=np.arange(clips),
        fold=np.full(clips, -1),
        start=np.zeros(clips, np.int64),
    )


@pytest.mark.parametrize(
    ("speakers", "clips", "folds"),
    [
        (6, 3000, 5),  # five besides the test: each validates once
        (3, 120, 3),
        (12, 3000, 5),
        (60, 3000, None),  # fifty besides the test
        (60, 600, 5),  # but few recordings
        (1, 3000, None),  # of one nothing can be left out
    ],
)
def test_by_speakers_and_recordings(tone_corpus, speakers, clips, folds):
    corpus = spoken_by(tone_corpus, speakers, clips)
    chosen, reason = choose_folds(corpus)
    assert chosen == folds
    assert "besides the test there are" in reason
    if folds:
        assigned = assign_folds(corpus, folds)
        pairs = {(g, f) for g, f in zip(corpus.group, assigned, strict=True) if f >= 0}
        assert len(pairs) == len({group for group, _ in pairs})
        if speakers <= 6:
            assert len(pairs) == folds


def test_without_speakers_recordings_decide(tone_corpus):
    few = replace(tone_corpus, group=[""] * len(tone_corpus))
    assert choose_folds(few)[0] == 5
    many = spoken_by(tone_corpus, 6, 3000)
    assert choose_folds(replace(many, group=[""] * 3000))[0] is None


def test_the_data_set_s_own_folds(tone_corpus):
    own = np.arange(len(tone_corpus)) % 4
    chosen, reason = choose_folds(replace(tone_corpus, fold=own))
    assert chosen == 4 and "the data set's own" in reason


def test_a_label_of_few_recordings_has_fewer_folds(tone_corpus):
    targets = np.arange(len(tone_corpus)) % 2
    rows = np.flatnonzero(tone_corpus.split != TEST)
    targets[rows[:3]] = 2
    corpus = replace(tone_corpus, targets=targets, group=[""] * len(tone_corpus))
    assert choose_folds(corpus)[0] == 3
    targets[rows[1:3]] = 0
    assert choose_folds(corpus)[0] is None
    assert "no folds with every label" in choose_folds(corpus)[1]
