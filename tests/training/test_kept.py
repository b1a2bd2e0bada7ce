"""Predictions on validation: of the best epoch, of every fold, whatever was killed in between."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tune_audio.training import kept
from tune_audio.training.evaluation import Evaluation
from tune_audio.training.kept import FILE, Kept, rounded

ACCURACY = "val/accuracy"


def said(mark: float, rows: list[int]) -> Evaluation:
    """An evaluation whose logits tell which it is: the second label is so far behind."""
    logits = np.tile(np.float32([0, -mark]), (len(rows), 1))
    return Evaluation(np.zeros(len(rows), np.int64), logits, 0.5, np.array(rows), np.array(rows))


def replay(keeper: Kept, rows: list[dict], recordings: dict[int, list[int]]) -> list[bool]:
    """Add epochs one after another, each marked by its number, as if killed after every one."""
    better = []
    for n in range(1, len(rows) + 1):
        better.append(keeper.add(rows[:n], said(n, recordings[rows[n - 1].get("fold", 0)])))
        state = keeper.state_dict()
        keeper.load_state_dict(state)
    return better


def test_the_best_epoch_of_one_split(tmp_path: Path):
    rows = [{"epoch": i, ACCURACY: a} for i, a in enumerate((0.2, 0.7, 0.4), 1)]
    keeper = Kept(ACCURACY, maximize=True)
    assert replay(keeper, rows, {0: [4, 7]}) == [True, True, False]
    keeper.write(rows, tmp_path)
    with np.load(tmp_path / FILE) as file:
        assert file["logits"].tolist() == [[0, -2], [0, -2]] and file["logits"].dtype == np.float16
        assert file["row"].tolist() == [4, 7] and file["fold"].tolist() == [0, 0]
        assert file["epoch"] == 2


def test_folds_are_joined_at_the_epoch_that_is_best_on_average(tmp_path: Path):
    values = [(0, 0.5), (0, 0.9), (1, 1.0), (1, 0.2), (2, 0.3)]
    rows = [{"epoch": i, "fold": f, ACCURACY: a} for i, (f, a) in enumerate(values, 1)]
    keeper = Kept(ACCURACY, maximize=True)
    assert replay(keeper, rows, {0: [4, 7], 1: [1], 2: [2]}) == [True, True, False, True, False]
    keeper.write(rows, tmp_path)
    with np.load(tmp_path / FILE) as file:  # epochs 1 of the two that are done
        assert file["logits"][:, 1].tolist() == [-1, -1, -3]
        assert file["row"].tolist() == [4, 7, 1] and file["fold"].tolist() == [0, 0, 1]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_what_would_be_too_much_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept, "MOST_BYTES", 10)
    rows = [{"epoch": i, "fold": 0, ACCURACY: 0.5} for i in (1, 2)]
    keeper = Kept(ACCURACY, maximize=True)
    replay(keeper, rows, {0: [4, 7]})
    keeper.write(rows, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_logits_beyond_half_precision_stay_numbers(tmp_path: Path):
    keeper, rows = Kept(ACCURACY, maximize=True), [{"epoch": 1, ACCURACY: 0.5}]
    keeper.add(rows, said(1e9, [0]))
    keeper.write(rows, tmp_path)
    with np.load(tmp_path / FILE) as file:
        assert np.isfinite(file["logits"]).all()
    close = np.float32([[300.0, 300.01], [7.0, 6.99]])
    assert rounded(close, several=False).argmax(-1).tolist() == [1, 0]


def test_its_state_is_what_a_checkpoint_may_hold(tmp_path: Path):
    keeper, rows = Kept(ACCURACY, maximize=True), [{"epoch": 1, ACCURACY: 0.5}]
    keeper.add(rows, said(1, [0]))
    torch.save(keeper.state_dict(), tmp_path / "state.pt")
    again = Kept(ACCURACY, maximize=True)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    again.write(rows, tmp_path)
    assert (tmp_path / FILE).exists()
