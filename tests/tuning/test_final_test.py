"""What a retraining leaves: files that others open, and a model that hears as its corpus was."""

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from pitch_model import PARAMS

from tune_audio.evidence.calibration import Calibration
from tune_audio.inference.classifier import Classifier
from tune_audio.training.evaluation import Evaluation
from tune_audio.tuning.final_test import final_test

CALIBRATION = Calibration("temperature", (0.5,) * 3, (0.0,) * 3)
CONFIG = {
    "model": "lstm_cnn",
    "model_params": PARAMS,
    "family": "mine",
    "demonstration": False,
    "train_params": {},
    "calibration": CALIBRATION,
}


def read(path: Path) -> list[list[str]]:
    return list(csv.reader(path.open(encoding="utf-8", newline="")))


def test_what_is_written_of_names_and_labels(trained, tone_corpus, tmp_path: Path) -> None:
    labels, names = ["=high", "-low", "middle"], [f"@\x1b[2J{n}" for n in tone_corpus.names]
    corpus = replace(tone_corpus, labels=labels, names=names, peak="normalise")
    rows = corpus.rows("test")
    targets = corpus.targets[rows]
    logits = 5 * np.eye(3, dtype=np.float32)[targets]
    said = Evaluation(targets, logits, 0.1, np.arange(len(rows)), rows)
    learner = SimpleNamespace(model=trained, evaluate=lambda split: said)
    results = final_test(learner, corpus, CONFIG, tmp_path, "val/accuracy")
    classifier = Classifier(tmp_path / "model")
    assert classifier.peak == "normalise"
    head, first, *_ = read(tmp_path / "predictions.csv")
    assert head == ["file", "labels", "prediction", "'=high", "'-low", "middle"]
    assert first[0].startswith(r"'@\x1b[2J") and first[1] == first[2] == "'=high"
    assert all(0 <= float(cell) <= 1 for cell in first[3:])
    assert [row[0] for row in read(tmp_path / "per_class.csv")[1:]] == head[3:]
    assert read(tmp_path / "confusion_matrix.csv")[1] == ["'=high", "8", "0", "0"]

    assert results["test/accuracy"] == results["test/accuracy_high"] == 1.0
    assert results["test/accuracy_low"] < 0.95
    # Half of each logit is said: less sure than e^5 to 2, of what is always right.
    assert results["test/ece"] > results["test/ece_uncalibrated"]
    assert classifier.calibration == CALIBRATION
