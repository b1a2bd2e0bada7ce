"""What a search's kept predictions prove, and how it is said."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tune_audio.claims import make_claims, read_predictions, write_claims
from tune_audio.data.corpus import Corpus
from tune_audio.reporting.ranking import Ranking
from tune_audio.reporting.records import TrialRecord
from tune_audio.training.kept import FILE

METRIC = "val/accuracy"


def answer(corpus: Corpus, share_right: float, seed: int) -> np.ndarray:
    """Logits of the validation clips, of which about such a share is right."""
    rng, targets = np.random.default_rng(seed), corpus.targets[corpus.rows("validation")]
    wrong = (targets + 1) % 3
    said = np.where(rng.random(len(targets)) < share_right, targets, wrong)
    return 3 * np.eye(3)[said] + rng.normal(0, 0.1, (len(targets), 3))


def keep(folder: Path, corpus: Corpus, logits: np.ndarray, folds: int = 1) -> float:
    """What a trial leaves; its accuracy."""
    rows = corpus.rows("validation")
    folder.mkdir(parents=True)
    fold = np.arange(len(rows)) % folds
    np.savez(folder / FILE, logits=np.float16(logits), row=rows, fold=fold, epoch=1)
    return float((logits.argmax(-1) == corpus.targets[rows]).mean())


@pytest.fixture
def searched(tone_corpus: Corpus, tmp_path: Path) -> Ranking:
    """Three families: a good one with two trials, one that is nearly as good, and a poor one."""
    records = []
    for family, shares in {"good": (0.95, 0.9), "near": (0.9,), "mel_statistics": (0.5,)}.items():
        for number, share in enumerate(shares):
            logits = answer(tone_corpus, share, seed=len(records))
            value = keep(tmp_path / f"{family}-{number}", tone_corpus, logits)
            epochs = [{"epoch": 1, METRIC: value}]
            records.append(TrialRecord("search", family, number, {}, "complete", value, epochs))
    return Ranking(records, METRIC, "maximize")


def test_every_trial_has_an_interval_around_its_value(searched, tone_corpus, tmp_path):
    claims = make_claims(searched, tone_corpus, tmp_path)
    assert claims.intervals.keys() == {record.key for record in searched.records}
    for record in searched.records:
        found = claims.intervals[record.key]
        assert found.score == pytest.approx(record.value)
        assert found.low < record.value <= found.high
        assert (found.resampled, found.count) == ("recordings", 24)
    assert claims.commonest == pytest.approx(1 / 3)
    low = claims.bounds(searched)["good_low"]
    assert low == claims.intervals[searched.best["good"].key].low


def test_what_cannot_be_told_apart_is_said(searched, tone_corpus, tmp_path):
    lines = make_claims(searched, tone_corpus, tmp_path).in_words()
    winner, other = list(searched.best)[:2]
    assert lines[0].startswith(f"Not to be told from the winner, {winner} (")
    assert f"with 24 recordings: {other} (" in lines[0] and "mel_statistics" not in lines[0]
    assert lines[1].startswith("The best of 4 trials is partly luck")
    assert len(lines) == 2  # both networks beat the baseline


def test_a_network_that_does_not_beat_the_baseline_is_told_so(searched, tone_corpus, tmp_path):
    worse = answer(tone_corpus, 0.4, seed=9)
    np.savez(
        tmp_path / "near-0" / FILE,
        logits=np.float16(worse),
        row=tone_corpus.rows("validation"),
        fold=np.zeros(24, int),
        epoch=1,
    )
    lines = make_claims(searched, tone_corpus, tmp_path).in_words()
    assert lines[-1].endswith("is no network, beyond doubt: near.")


def test_the_cheapest_of_equals_is_named_once_it_is_timed(searched, tone_corpus, tmp_path):
    claims = make_claims(searched, tone_corpus, tmp_path)
    winner, other = list(searched.best)[:2]
    times = {winner: 4.0, other: 0.5, "mel_statistics": 0.1}
    retrained = [
        replace(record, extra={"ms_per_clip": times[family]})
        for family, record in searched.best.items()
    ]
    (line,) = claims.about_cost(retrained)
    assert line.startswith(f"The cheapest of those that cannot be told from {winner} is {other}")
    assert "0.5 ms a clip, against 4" in line


def test_speakers_are_what_is_drawn(searched, tone_corpus, tmp_path):
    corpus = replace(tone_corpus, group=[f"speaker {i % 6}" for i in range(len(tone_corpus))])
    found = make_claims(searched, corpus, tmp_path).intervals["good-0"]
    assert found.resampled == "groups" and found.count <= 6


def test_trials_of_fewer_folds_are_not_compared_with_the_winner(searched, tone_corpus, tmp_path):
    def of_folds(record: TrialRecord, folds: int) -> TrialRecord:
        rows = [{"epoch": i + 1, "fold": i, METRIC: record.value} for i in range(folds)]
        return replace(record, epochs=rows)

    records = [of_folds(record, 1 if record.family == "near" else 2) for record in searched.records]
    claims = make_claims(replace(searched, records=records), tone_corpus, tmp_path)
    assert claims.corrected.trials == 3
    assert {rival.name for rival in claims.comparison.rivals} == {"mel_statistics"}
    assert "near-0" in claims.intervals


@pytest.mark.parametrize("damage", [b"", b"PK no archive", None])
def test_what_is_not_there_or_not_whole_claims_nothing(searched, tone_corpus, tmp_path, damage):
    file = tmp_path / "good-0" / FILE
    file.unlink()
    if damage is not None:
        file.write_bytes(damage)
    assert read_predictions(file, tone_corpus) is None
    claims = make_claims(searched, tone_corpus, tmp_path)
    assert "good-0" not in claims.intervals and "good-1" in claims.intervals


def test_all_of_it_is_json(searched, tone_corpus, tmp_path):
    claims = make_claims(searched, tone_corpus, tmp_path)
    write_claims(tmp_path / "claims.json", claims)
    read = json.loads((tmp_path / "claims.json").read_text())
    assert read["intervals"]["good-0"]["low"] == claims.intervals["good-0"].low
    assert read["corrected"]["trials"] == 4
    assert read["comparison"]["winner"] == claims.comparison.winner
